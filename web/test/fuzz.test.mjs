/** Seeded damage: the decoder raises its own errors and nothing else, and always comes to an end. */

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { readFileSync } from "node:fs";

import { crc32 } from "../src/bytes.js";
import { parse } from "../src/container.js";
import { AecodecError, CorruptError } from "../src/errors.js";
import { Latents } from "../src/latents.js";
import { models, loadWeights } from "../src/weights.js";
import { decodeVp8l } from "../src/vp8l.js";
import { contentSize, decompress } from "../src/zstd.js";
import { bad, good, random, read } from "./files.mjs";

const FILES = ["alpha-none", "alpha-noise", "metadata", "skipped", "tiles-64", "size-2x3"];
const files = FILES.map((name) => read(`tests/conformance/good/${name}.aec`));

/** Changed, cut, repeated or inserted bytes. */
function damaged(bytes, next) {
  const made = [...bytes];
  for (let turns = 1 + next(3); turns > 0; turns--) {
    const at = next(made.length + 1);
    const kind = next(6);
    if (kind === 0) made[at] = next(256);
    else if (kind === 1) made[at] ^= 1 << next(8);
    else if (kind === 2) made.splice(at, 1 + next(20));
    else if (kind === 3) made.splice(at, 0, ...made.slice(next(made.length), next(made.length)).slice(0, 40));
    else if (kind === 4) made.splice(at, 0, ...Array.from({ length: 1 + next(4) }, () => [0, 1, 127, 128, 255][next(5)]));
    else made.length = at;
    if (!made.length) made.push(next(256));
  }
  return Uint8Array.from(made, (byte) => byte ?? 0);
}

/** Give a file's header and sections the checksums that its bytes ask for, as a forger would. */
function resealed(bytes) {
  const made = bytes.slice();
  const number = (at, most) => {
    let value = 0;
    for (let k = 0; k < most; k++) {
      value += (made[at + k] & 127) * 128 ** k;
      if (!(made[at + k] & 128)) return [value, at + k + 1];
    }
    return [value, at + most];
  };
  const put = (at, crc) => {
    for (let k = 0; k < 4; k++) if (at + k < made.length) made[at + k] = crc >>> (8 * k);
  };
  let at = 22;
  for (const most of [3, 3, 7]) [, at] = number(at, most);
  put(at, crc32(made.subarray(0, at)));
  at += 4;
  for (let ordinal = 0; at < made.length && ordinal < 100; ordinal++) {
    const [length, begin] = number(at + 1, 7);
    const head = Uint8Array.of(made[at], ordinal, ordinal >>> 8, ordinal >>> 16, ordinal >>> 24);
    put(begin, crc32(made.subarray(begin + 4, begin + 4 + length), crc32(head)));
    at = begin + 4 + length;
  }
  return made;
}

/** Everything of a file but its symbols and pixels. */
function readAll(bytes) {
  const file = parse(bytes, { maxPixels: 2 ** 20, maxMetadata: 2 ** 20 });
  file.alpha();
  for (const name of ["EXIF", "ICC", "XMP"]) file.metadata(name);
}

function survive(work, what) {
  const begun = performance.now();
  try {
    work();
    return 1;
  } catch (error) {
    if (!(error instanceof AecodecError)) throw new Error(what, { cause: error });
    return 0;
  } finally {
    const taken = performance.now() - begun;
    assert.ok(taken < 20_000, `${what}: ${taken} ms`);
  }
}

test("30,000 damaged files, half of them with right checksums", () => {
  const next = random(1);
  let accepted = 0;
  for (let turn = 0; turn < 30_000; turn++) {
    const bytes = damaged(files[next(files.length)], next);
    accepted += survive(() => readAll(turn % 2 ? resealed(bytes) : bytes), `turn ${turn}`);
  }
  assert.ok(accepted > 30, `${accepted}`); // a forger's files do reach the inner parts
});

test("20,000 damaged zstd frames", () => {
  const next = random(2);
  const frames = ["metadata", "alpha-left", "alpha-up", "alpha-noise"].flatMap((name) => {
    const bytes = read(`tests/conformance/good/${name}.aec`);
    const found = [];
    for (let at = 0; at + 4 < bytes.length; at++) {
      if (bytes[at] === 0x28 && bytes[at + 1] === 0xb5 && bytes[at + 2] === 0x2f && bytes[at + 3] === 0xfd) {
        found.push(bytes.slice(at, at + 3000));
      }
    }
    return found;
  });
  assert.ok(frames.length >= 6);
  for (let turn = 0; turn < 20_000; turn++) {
    const bytes = damaged(frames[next(frames.length)], next);
    survive(() => {
      if (contentSize(bytes, "x") < 2 ** 20) decompress(bytes, "x");
    }, `turn ${turn}`);
  }
});

test("20,000 damaged exact tiles", () => {
  const next = random(4);
  const streams = ["exact-drawing", "exact-palette", "exact-photo"].map((name) => {
    const { grid, tiles } = parse(read(`tests/conformance/good/${name}.aec`));
    const n = tiles.findIndex(({ kind }) => kind === "EXACT");
    return { box: grid.box(n), payload: tiles[n].payload.subarray(0, 4000) };
  });
  let decoded = 0;
  for (let turn = 0; turn < 20_000; turn++) {
    const { box, payload } = streams[next(streams.length)];
    const bytes = damaged(payload.subarray(5), next);
    const whole = new Uint8Array(5 + bytes.length);
    whole.set(payload.subarray(0, 5));
    whole.set(bytes, 5);
    decoded += survive(() => decodeVp8l(whole, box.width, box.height), `turn ${turn}`);
  }
  assert.ok(decoded > 5, `${decoded}`);
});

let latents;
before(async () => {
  const { id } = models().find(({ name }) => name === "small");
  const folder = new URL("../weights/", import.meta.url);
  latents = new Latents(await loadWeights(id, async (file) => new Uint8Array(readFileSync(new URL(file, folder)))));
});

test("damaged symbols under right checksums are noticed", () => {
  const next = random(3);
  const alone = { top: 0, bottom: 0, left: 0, right: 0 };
  for (const name of ["size-17x16", "noise-q100", "far-symbols", "quality-1", "steps-white", "far-steps"]) {
    const { header, tiles } = parse(read(`tests/conformance/good/${name}.aec`));
    const [h, w] = [Math.ceil(header.height / 16), Math.ceil(header.width / 16)];
    for (let turn = 0; turn < (h * w > 20 ? 30 : 150); turn++) {
      const payload = damaged(tiles[0].payload, next);
      if (payload.length < 4) continue;
      if (Buffer.compare(payload, tiles[0].payload) === 0) continue;
      const begun = performance.now();
      assert.throws(() => latents.decode(payload, h, w, header.quality, alone, header.stepMaps), CorruptError);
      assert.ok(performance.now() - begun < 20_000);
    }
  }
});

test("every truncation of a small file, and every bit of its beginning", () => {
  const bytes = read("tests/conformance/good/size-2x3.aec");
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => readAll(bytes.subarray(0, length)), AecodecError);
  }
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    if (bit >> 3 === 9) continue; // the minor version, which the header's checksum covers, too
    const changed = bytes.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    assert.throws(() => readAll(changed), AecodecError, `bit ${bit}`);
  }
});

test("the good files survive what the fuzzers call", () => {
  for (const { name } of good) readAll(read(`tests/conformance/good/${name}.aec`));
  assert.ok(bad.length > 20);
});
