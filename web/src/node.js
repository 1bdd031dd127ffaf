/** In Node: the same decoder on the calling thread, and weights from the package's own folder. */

import { readFile } from "node:fs/promises";

import * as ort from "onnxruntime-web";

import { Engine } from "./engine.js";
import { describe } from "./picture.js";

export * from "./errors.js";
export { models } from "./weights.js";

let engine;

/** @param threads how many threads the networks use; before the first picture */
export function configure({ threads = 1 } = {}) {
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  engine = new Engine(ort, (file) =>
    readFile(new URL(`../weights/${file}`, import.meta.url)).then((found) => new Uint8Array(found)),
  );
}

/** What a file says of itself. */
export async function readInfo(bytes, limits) {
  return describe(bytes, limits);
}

/** The picture of a file: { width, height, data, colorSpace }, data in RGBA; and its checksums. */
export async function decode(bytes, { onPreview, onPart, signal, ...options } = {}) {
  if (!engine) configure();
  let picture;
  const begin = ({ width, height, colourSpace }) => {
    const data = new Uint8ClampedArray(4 * width * height);
    picture = { width, height, data, colorSpace: colourSpace };
  };
  const part = (found) => {
    place(picture, found);
    onPart?.(found);
  };
  const stopped = () => signal?.aborted;
  const done = await engine.decode(bytes, { begin, part, stopped, preview: onPreview }, options);
  if (!done) throw signal.reason;
  return Object.assign(picture, done);
}

/** Put a part into a picture. */
export function place({ data, width }, { x, y, width: w, height: h, rgba }) {
  for (let i = 0; i < h; i++) data.set(rgba.subarray(4 * i * w, 4 * (i + 1) * w), 4 * ((y + i) * width + x));
}
