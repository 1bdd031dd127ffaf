/** Every golden file and every case of the conformance suite, in Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { configure, decode, readInfo } from "../src/node.js";
import { answer } from "../tools/decode.mjs";
import { bad, golden, good, pixelFault, read } from "./files.mjs";

configure({ threads: 1 });

for (const { file, hashes, picture, means } of golden) {
  test(`golden ${file}`, async () => {
    const found = await decode(read(`tests/golden/${file}`));
    assert.deepEqual(found.checksums.map((crc) => crc.toString(16).padStart(8, "0")), hashes);
    assert.deepEqual([found.width, found.height], picture.slice(1));
    const sums = [0, 0, 0];
    found.data.forEach((value, k) => k % 4 < 3 && (sums[k % 4] += value));
    sums.forEach((sum, c) => assert.ok(Math.abs(sum / (found.width * found.height) - means[c]) < 0.1));
  });
}

for (const entry of good) {
  test(entry.name, async () => {
    const { told, picture } = await answer(read(`tests/conformance/good/${entry.name}.aec`));
    for (const [key, value] of Object.entries(told)) assert.deepEqual(value, entry[key], key);
    assert.equal(pixelFault(entry, picture), "");
  });
}

for (const { name, error } of bad) {
  test(`${name} is refused`, async () => {
    const bytes = read(`tests/conformance/bad/${name}.aec`);
    await assert.rejects(decode(bytes), { name: error });
  });
}

test("readInfo tells what the header says", async () => {
  const entry = good.find(({ name }) => name === "icc-p3");
  const info = await readInfo(read("tests/conformance/good/icc-p3.aec"));
  assert.equal(info.mode, entry.mode);
  assert.equal(info.model, entry.model);
  assert.equal(info.colourSpace, "display-p3");
  assert.equal((await readInfo(read("tests/conformance/good/icc-srgb.aec"))).colourSpace, "srgb");
  await assert.rejects(readInfo(read("tests/conformance/good/tiles-128.aec"), { maxPixels: 100 }), { name: "LimitError" });
  await assert.rejects(readInfo(read("tests/conformance/good/xmp.aec"), { maxMetadata: 100 }), { name: "LimitError" });
});

test("a preview of every tile comes before the pixels", async () => {
  const order = [];
  const bytes = read("tests/conformance/good/tiles-128.aec");
  const whole = await decode(bytes, {
    scale: 4,
    onPreview: (part) => order.push(part),
    onPart: () => order.push("part"),
  });
  const previews = order.filter((entry) => entry !== "part");
  assert.equal(previews.length, 6);
  assert.equal(order[0], previews[0]);
  // It is the picture made small: the mean of 4 x 4 pixels lies near.
  let error = 0;
  let count = 0;
  for (const { x, y, width, height, rgba } of previews) {
    for (let i = 0; i + 1 < height; i++) {
      for (let j = 0; j + 1 < width; j++) {
        for (let c = 0; c < 3; c++) {
          let sum = 0;
          for (let k = 0; k < 16; k++) {
            sum += whole.data[4 * ((4 * (y + i) + (k >> 2)) * whole.width + 4 * (x + j) + (k & 3)) + c];
          }
          error += (sum / 16 - rgba[4 * (i * width + j) + c]) ** 2;
          count++;
        }
      }
    }
  }
  assert.ok(10 * Math.log10(255 ** 2 / (error / count)) > 30, `${error / count}`);
});

test("noise may be left out, and previews never have it", async () => {
  const bytes = read("tests/conformance/good/grain-wide.aec");
  const decoded = async (grain) => {
    const previews = [];
    const { data } = await decode(bytes, { grain, onPreview: ({ rgba }) => previews.push(...rgba) });
    return { data, previews };
  };
  const [noisy, smooth] = [await decoded(true), await decoded(false)];
  assert.deepEqual(noisy.previews, smooth.previews);
  const errors = noisy.data.map((value, k) => Math.abs(value - smooth.data[k]));
  assert.ok(errors.reduce((a, b) => a + b) / errors.length > 20);
});

test("an aborted picture is no picture", async () => {
  const stop = new AbortController();
  const bytes = read("tests/conformance/good/tiles-128.aec");
  const onPreview = () => stop.abort();
  await assert.rejects(decode(bytes, { signal: stop.signal, onPreview }), { name: "AbortError" });
  assert.equal((await decode(bytes)).width, 300); // and the next one is
});
