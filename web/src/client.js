/** The page's side of the decoder: one worker, and what it answers. */

import { AecodecError, NotAecError, unpack } from "./errors.js";
import { describe } from "./picture.js";
import { models } from "./weights.js";

const settings = {
  base: new URL(".", import.meta.url).href,
  threads: Math.min(globalThis.navigator?.hardwareConcurrency ?? 1, 8),
};
let worker;
let last = 0;
const waiting = new Map();

/**
 * Where the package's `dist` folder lies, and how many threads the networks may use; before the
 * first picture. More than one needs a page that is cross-origin isolated.
 */
export function configure({ base, threads } = {}) {
  if (base !== undefined) settings.base = new URL(base.endsWith("/") ? base : `${base}/`, document.baseURI).href;
  if (threads !== undefined) settings.threads = threads;
  worker?.terminate();
  worker = undefined;
  endAll(new AecodecError("the decoder was configured anew"));
}

function endAll(error) {
  for (const job of waiting.values()) job.fail(error);
  waiting.clear();
}

function theWorker() {
  if (worker) return worker;
  worker = new Worker(new URL("aecodec-worker.js", settings.base), { type: "module" });
  worker.onmessage = ({ data: { id, kind, ...message } }) => {
    const job = waiting.get(id);
    try {
      job?.[kind]?.(message);
    } catch (error) {
      // What the page does with a part has failed: there is no picture, and no more work on it.
      worker.postMessage({ work: "abort", id });
      job.fail(error);
      kind = "error";
    }
    if (kind === "done" || kind === "error") waiting.delete(id);
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    endAll(new AecodecError(`the decoder cannot start: ${event.message || settings.base}`));
    worker = undefined;
  };
  worker.postMessage({ work: "configure", ...settings });
  return worker;
}

function ask(message, answers, transfer = []) {
  const id = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(id, {
      ...answers,
      done: resolve,
      fail: reject,
      error: ({ error }) => reject(unpack(error)),
    });
    theWorker().postMessage({ id, ...message }, transfer);
    answers.started?.(id);
  });
}

/** Fetch the weights of a model, and compile what they need; those of Python's default. */
export async function preload(model = "small-eye") {
  const found = models().find(({ id, name }) => id === model || name === model);
  if (!found) throw new AecodecError(`no weights called ${model}`);
  await ask({ work: "load", model: found.id }, {});
}

/** The bytes of what is given: bytes, a Blob, a Response, or the address of a file. */
export async function bytesOf(source, signal) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (typeof source === "string" || source instanceof URL) {
    try {
      const response = await fetch(source, { signal });
      if (!response.ok) throw new NotAecError(`${source}: the server answers ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (error instanceof AecodecError || signal?.aborted) throw error;
      throw new AecodecError(`${source} can't be fetched: ${error.message}`);
    }
  }
  return new Uint8Array(await source.arrayBuffer());
}

/** What a file says of itself: every checksum is checked, and nothing decoded. */
export async function readInfo(source, limits) {
  return describe(await bytesOf(source), limits);
}

/** Whether pictures in a wider gamut than sRGB can be drawn as they are. */
function takesWide() {
  try {
    return new ImageData(1, 1, { colorSpace: "display-p3" }).colorSpace === "display-p3";
  } catch {
    return false;
  }
}

/**
 * Decode a file in the worker, and hear of it on the way: `begin({width, height, colourSpace})`,
 * `preview(part)`, `part(part)`, a part being {x, y, width, height, rgba}.
 */
export async function decodeParts(source, { begin, preview, part, signal, ...options } = {}) {
  signal?.throwIfAborted();
  // A copy: it goes to the worker, and the caller keeps theirs.
  const bytes = (await bytesOf(source, signal)).slice();
  signal?.throwIfAborted();
  const answers = { begin, preview, part };
  const message = { work: "decode", bytes, options: { wide: takesWide(), ...options }, previews: !!preview };
  let stop;
  try {
    return await new Promise((resolve, reject) => {
      answers.started = (id) => {
        stop = () => {
          worker?.postMessage({ work: "abort", id });
          waiting.delete(id);
          reject(signal.reason);
        };
        signal?.addEventListener("abort", stop);
      };
      ask(message, answers, [bytes.buffer]).then(resolve, reject);
    });
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

const SURE = { side: 8192, area: 2 ** 24 }; // canvases that all browsers can draw

/** The context of a canvas that takes a picture's size. Browsers draw nothing on one that is too large. */
function sized(canvas, { width, height, colourSpace }) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { colorSpace: colourSpace });
  let works = context && canvas.width === width && canvas.height === height;
  if (works && (Math.max(width, height) > SURE.side || width * height > SURE.area)) {
    const corner = [width - 1, height - 1, 1, 1];
    try {
      context.fillRect(...corner);
      works = context.getImageData(...corner).data[3] === 255;
      context.clearRect(...corner);
    } catch {
      works = false;
    }
  }
  if (!works) throw new AecodecError(`this browser has no canvas of ${width}x${height} pixels`);
  return context;
}

/** The picture of a file as ImageData, in sRGB or Display P3. */
export async function decode(source, { onPreview, onPart, ...options } = {}) {
  let image;
  await decodeParts(source, {
    ...options,
    preview: onPreview,
    begin: ({ width, height, colourSpace }) => {
      image = new ImageData(width, height, { colorSpace: colourSpace });
    },
    part: (found) => {
      const { x, y, width, height, rgba } = found;
      for (let i = 0; i < height; i++) {
        image.data.set(rgba.subarray(4 * i * width, 4 * (i + 1) * width), 4 * ((y + i) * image.width + x));
      }
      onPart?.(found);
    },
  });
  return image;
}

/** Draw a file onto a canvas, a preview first. The canvas takes the picture's size. */
export async function draw(source, canvas, { begin, preview, part, ...options } = {}) {
  let context;
  let colours;
  const image = ({ rgba, width, height }) => new ImageData(rgba, width, height, colours);
  const small = document.createElement("canvas");
  return decodeParts(source, {
    ...options,
    begin: (found) => {
      colours = { colorSpace: found.colourSpace };
      context = sized(canvas, found);
      begin?.(found);
    },
    preview: (found) => {
      const { x, y, width, height, scale } = found;
      Object.assign(small, { width, height });
      small.getContext("2d", colours).putImageData(image(found), 0, 0);
      context.drawImage(small, x * scale, y * scale, width * scale, height * scale);
      preview?.(found);
    },
    part: (found) => {
      context.putImageData(image(found), found.x, found.y);
      part?.(found);
    },
  });
}

/** The picture of a file as a Blob, a PNG unless told otherwise. */
export async function toBlob(source, { type = "image/png", ...options } = {}) {
  const canvas = document.createElement("canvas");
  let context;
  await decodeParts(source, {
    ...options,
    begin: (found) => {
      context = sized(canvas, found);
    },
    part: ({ x, y, width, height, rgba }) => {
      const colorSpace = context.getContextAttributes().colorSpace;
      context.putImageData(new ImageData(rgba, width, height, { colorSpace }), x, y);
    },
  });
  return new Promise((resolve, reject) => {
    const take = (blob) => {
      if (blob?.type === type) resolve(blob); // of a type that they do not know browsers make a PNG
      else reject(new AecodecError(`this browser makes no ${type}`));
    };
    canvas.toBlob(take, type);
  });
}
