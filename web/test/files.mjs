/** What the tests share: files of the repository, PNGs, a seeded generator of numbers. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const read = (path) => new Uint8Array(readFileSync(`${ROOT}${path}`));
export const readJson = (path) => JSON.parse(readFileSync(`${ROOT}${path}`, "utf8"));
export const golden = readJson("tests/golden/golden.json");
export const cases = readJson("tests/conformance/cases.json");
export const good = cases.filter((entry) => !entry.error);
export const bad = cases.filter((entry) => entry.error);

/** The samples of a PNG of 8 bits, as RGBA. */
export function readPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const depth = bytes[24];
  const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[bytes[25]];
  const parts = [];
  let palette;
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IDAT") parts.push(content);
    if (name === "PLTE") palette = content;
    at += 12 + length;
  }
  if (depth !== 8) throw new Error(`a PNG of ${depth} bits`);
  const raw = inflateSync(Buffer.concat(parts));
  const stride = channels * width;
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const left = x >= channels ? rows[y * stride + x - channels] : 0;
      const up = y ? rows[(y - 1) * stride + x] : 0;
      const corner = y && x >= channels ? rows[(y - 1) * stride + x - channels] : 0;
      const guess = left + up - corner;
      const [a, b, c] = [left, up, corner].map((v) => Math.abs(guess - v));
      const paeth = a <= b && a <= c ? left : b <= c ? up : corner;
      const add = [0, left, up, (left + up) >> 1, paeth][filter];
      rows[y * stride + x] = raw[y * (stride + 1) + 1 + x] + add;
    }
  }
  const data = new Uint8Array(4 * width * height).fill(255);
  for (let k = 0; k < width * height; k++) {
    const at = (c) => rows[channels * k + c];
    const colour = channels > 2 ? [at(0), at(1), at(2)] : [at(0), at(0), at(0)];
    data.set(palette ? palette.subarray(3 * at(0), 3 * at(0) + 3) : colour, 4 * k);
    if (channels % 2 === 0) data[4 * k + 3] = at(channels - 1);
  }
  return { width, height, data };
}

/** Whether pixels are those of a case: a line that says what is wrong, or nothing. */
export function pixelFault(entry, { width, height, data }) {
  if (!entry.tolerance) return "";
  const expected = readPng(read(`tests/conformance/good/${entry.name}.png`));
  if (width !== expected.width || height !== expected.height) return `${width} x ${height}`;
  let peak = 0;
  let sum = 0;
  for (let k = 0; k < data.length; k++) {
    const error = Math.abs(data[k] - expected.data[k]);
    peak = Math.max(peak, error);
    sum += error * error;
  }
  const rmse = Math.sqrt(sum / data.length);
  const within = peak <= entry.tolerance.peak && rmse <= entry.tolerance.rmse;
  return within ? "" : `pixels differ by up to ${peak}, ${rmse.toFixed(3)} RMSE`;
}

/** Whole numbers below n, the same ones for the same seed (mulberry32). */
export function random(seed) {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * n) | 0;
  };
}
