/** The decoder's parts against known answers, and the promises on sizes. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { crc32, varint } from "../src/bytes.js";
import { Grid } from "../src/container.js";
import { colourSpace, converter } from "../src/icc.js";
import { parse } from "../src/container.js";
import { reflected } from "../src/scales.js";
import { loadWeights, models } from "../src/weights.js";
import { xxh64Low } from "../src/zstd.js";
import { read } from "./files.mjs";

const text = (string) => new TextEncoder().encode(string);
const folder = new URL("../weights/", import.meta.url);
const fromFolder = async (file) => new Uint8Array(readFileSync(new URL(file, folder)));

test("CRC-32 has the check value of its definition", () => {
  assert.equal(crc32(text("123456789")), 0xcbf43926);
  assert.equal(crc32(text("6789"), crc32(text("12345"))), 0xcbf43926);
});

test("XXH64 has the values of its reference", () => {
  assert.equal(xxh64Low(text("")), 0x51d8e999);
  assert.equal(xxh64Low(text("abc")), 0xad770999);
  assert.equal(xxh64Low(Uint8Array.from({ length: 100 }, (_, k) => k)), 0x32166597);
});

test("varints are minimal and bounded", () => {
  assert.deepEqual(varint(Uint8Array.of(0x96, 0x01), 0, 3), { value: 150, end: 2 });
  assert.equal(varint(Uint8Array.of(0x80), 0, 3), null);
  assert.throws(() => varint(Uint8Array.of(0x80, 0), 0, 3), { name: "CorruptError" });
  assert.throws(() => varint(Uint8Array.of(0x80, 0x80, 0x80, 1), 0, 3), { name: "CorruptError" });
  const most = Uint8Array.of(255, 255, 255, 255, 255, 255, 127);
  assert.equal(varint(most, 0, 7).value, 2 ** 49 - 1);
});

test("tiles are as even as multiples of 64 can be", () => {
  const grid = new Grid(768, 100, 512);
  assert.deepEqual(grid.box(1), { x: 384, y: 0, width: 384, height: 100 });
  assert.deepEqual(grid.sides(1), { top: 0, bottom: 0, left: 1, right: 0 });
  assert.equal(new Grid(1025, 1, 1024).columns, 2);
});

test("what is reflected leaves out its outermost", () => {
  assert.deepEqual([-2, -1, 0, 1, 2, 3, 4].map((k) => reflected(k, 3)), [2, 1, 0, 1, 2, 1, 0]);
  assert.deepEqual([-1, 0, 1, 2].map((k) => reflected(k, 1)), [0, 0, 0, 0]);
  assert.deepEqual([-2, -1, 2, 3].map((k) => reflected(k, 2)), [0, 1, 0, 1]);
});

test("a profile of neither colour space is converted", () => {
  const profile = parse(read("tests/conformance/good/icc-p3.aec")).metadata("ICC").slice();
  assert.equal(colourSpace(profile), "display-p3");
  const grey = converter(profile, "srgb")(Uint8ClampedArray.of(128, 128, 128, 9));
  grey.subarray(0, 3).forEach((value) => assert.ok(Math.abs(value - 128) <= 1));
  const red = converter(profile, "srgb")(Uint8ClampedArray.of(255, 0, 0, 255));
  assert.deepEqual([...red], [255, 0, 0, 255]); // beyond sRGB: cut
  // What LittleCMS 2 makes of them (relative colorimetric).
  for (const [given, expected] of [[[200, 100, 100], [215, 93, 97]], [[30, 160, 220], [0, 163, 226]]]) {
    const found = converter(profile, "srgb")(Uint8ClampedArray.of(...given, 255));
    expected.forEach((value, k) => assert.ok(Math.abs(found[k] - value) <= 1, `${found}`));
  }
  profile.fill(0, 128);
  assert.equal(colourSpace(profile), "unknown");
  assert.equal(colourSpace(new Uint8Array(3)), "unknown");
  assert.equal(colourSpace(null), "srgb");
});

test("damaged weights are no weights", async () => {
  const { id, file } = models()[0];
  const whole = await fromFolder(file);
  const changed = whole.slice();
  changed[changed.length >> 1] ^= 1;
  for (const bytes of [changed, whole.subarray(0, -1)]) {
    await assert.rejects(loadWeights(id, async () => bytes), { name: "WeightsError" });
  }
  await assert.rejects(loadWeights("0011223344556677", fromFolder), { name: "UnknownModelError" });
});

test("tables that are not the exporter's are noticed by its known answers", async () => {
  const { Latents } = await import("../src/latents.js");
  const { id } = models()[0];
  const weights = await loadWeights(id, fromFolder);
  weights.arrays["scale.output.weight"][5] += 40;
  assert.throws(() => new Latents(weights), { name: "KnownAnswerError" });
});

test("the kernel is what its source makes", async () => {
  const { assembled } = await import("../tools/assemble.mjs");
  assert.equal(readFileSync(new URL("../src/kernel.js", import.meta.url), "utf8"), await assembled());
});

test("the weights that files are made with unless told otherwise have less than 2.5 MB", () => {
  assert.ok(models().find(({ name }) => name === "small").bytes < 2_500_000);
});

test("our own code has less than 40 kB, minified and gzipped", (t) => {
  const sizes = new URL("../dist/sizes.json", import.meta.url);
  if (!existsSync(sizes)) return t.skip("dist is not built: node tools/build.mjs");
  assert.ok(JSON.parse(readFileSync(sizes, "utf8")).ownCodeGzipped < 40_000);
});
