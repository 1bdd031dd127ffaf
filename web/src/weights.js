/** The weights: one file for each model, fetched once, checked, and unpacked. */

import { hex, u32 } from "./bytes.js";
import { UnknownModelError, WeightsError } from "./errors.js";
import { WEIGHTS } from "./manifest.js";

const CACHE = "aecodec-weights-1";

/** The models that this build knows: id, name, file, bytes. */
export function models() {
  return Object.entries(WEIGHTS).map(([id, { name, file, bytes }]) => ({ id, name, file, bytes }));
}

/**
 * The weights of a model id (16 hexadecimal digits), from `read(file)`, which gives a Uint8Array.
 * Raises UnknownModelError, WeightsError.
 */
export async function loadWeights(id, read) {
  const listed = WEIGHTS[id];
  if (!listed) {
    const known = models().map(({ name }) => name);
    throw new UnknownModelError(`written with weights ${id}, which are not here; here: ${known.join(", ")}`);
  }
  const bytes = await read(listed.file, (data) => intact(data, listed));
  if (!(await intact(bytes, listed))) throw new WeightsError(`${listed.file} is damaged: its checksum is wrong`);
  const weights = unpack(await gunzip(bytes, listed.file));
  if (weights.id !== id) throw new WeightsError(`${listed.file} holds other weights: ${weights.id}`);
  return weights;
}

/** Whether a file is the one that was published: its SHA-256, where the browser lends it. */
async function intact(bytes, { bytes: size, sha256 }) {
  if (bytes.length !== size) return false;
  const subtle = globalThis.crypto?.subtle; // only on https: and localhost
  return !subtle || hex(new Uint8Array(await subtle.digest("SHA-256", bytes))) === sha256;
}

/** Reads files below `base`, an URL, and keeps them in the browser's cache. */
export function fetching(base) {
  return async (file, isIntact) => {
    const url = new URL(file, base).href;
    const cache = await globalThis.caches?.open(CACHE).catch(() => null);
    try {
      const kept = await cache?.match(url);
      if (kept) {
        const bytes = new Uint8Array(await kept.arrayBuffer());
        if (await isIntact(bytes)) return bytes;
        await cache.delete(url);
      }
    } catch {
      // A cache that cannot be read is none.
    }
    let response;
    let bytes;
    try {
      response = await fetch(url);
      if (response.ok) bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      throw new WeightsError(`${url} can't be fetched: ${error.message}`);
    }
    if (!response.ok) throw new WeightsError(`${url} can't be fetched: ${response.status}`);
    if (await isIntact(bytes)) {
      // Older builds' weights have other names. A full disk is no reason not to decode.
      await cache?.put(url, new Response(bytes)).catch(() => {});
    }
    return bytes;
  };
}

async function gunzip(bytes, file) {
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    throw new WeightsError(`${file} is damaged: ${error.message}`);
  }
}

/** The unpacked file (tools/pack_weights.py says how it is built): arrays and graphs by name. */
export function unpack(bytes) {
  const size = u32(bytes, 0);
  const about = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  const arrays = {};
  let at = 4 + size;
  for (const part of about.parts) {
    const data = bytes.subarray(at, at + part.size);
    at += part.size;
    if (part.into) {
      const values = numbers(part, data, arrays);
      const floats = values instanceof Float32Array ? values : Float32Array.from(values);
      arrays[part.into].set(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength), part.at);
    } else {
      arrays[part.name] = numbers(part, data, arrays);
      arrays[part.name].shape = part.shape;
    }
  }
  return { id: about.id, name: about.name, config: about.config, arrays };
}

const KINDS = { uint8: Uint8Array, int32: Int32Array, uint32: Uint32Array, float32: Float32Array };

function numbers(part, data, arrays) {
  const count = part.shape.reduce((a, b) => a * b, 1);
  if (part.coding === "plain") {
    if (part.dtype === "uint8") return data.slice();
    if (part.dtype === "float16") return halves(planes(data, count, 2));
    const whole = planes(data, count, 4);
    return new KINDS[part.dtype](whole.buffer);
  }
  if (part.coding === "anchors") return interpolated(part, planes(data, data.length / 4, 4), arrays.level);
  if (part.coding === "scaled") {
    const rows = part.shape[0];
    const units = new Float32Array(planes(data.subarray(0, 4 * rows), rows, 4).buffer);
    const whole = planes(data.subarray(4 * rows), count, part.width);
    const made = new Float32Array(count);
    const row = count / rows;
    for (let k = 0, n = 0; k < rows; k++) for (let end = n + row; n < end; n++) made[n] = signed(whole[n]) * units[k];
    return made;
  }
  const whole = planes(data, count, part.width);
  const made = new Int32Array(count);
  for (let k = 0; k < count; k++) made[k] = signed(whole[k]);
  const row = count / part.shape[0];
  for (let turn = 0; turn < part.times; turn++) for (let k = row; k < count; k++) made[k] += made[k - row];
  return part.dtype === "float32" ? new Float32Array(made.buffer) : made;
}

const signed = (folded) => (folded & 1 ? -((folded >>> 1) + 1) : folded >>> 1);

/** Numbers of `width` bytes, of which first all low bytes are stored, then all second ones, ... */
function planes(data, count, width) {
  const made = new Uint32Array(count);
  for (let plane = 0; plane < width; plane++) {
    const shift = 8 * plane;
    for (let k = 0, from = plane * count; k < count; k++) made[k] |= data[from + k] << shift;
  }
  return made;
}

/** Float16 bits as float32. None is infinite. */
function halves(bits) {
  return Float32Array.from(bits, (half) => {
    const exponent = (half >> 10) & 31;
    const size = exponent ? (1 + (half & 1023) / 1024) * 2 ** (exponent - 15) : (half & 1023) * 2 ** -24;
    return half & 0x8000 ? -size : size;
  });
}

function interpolated({ count, shape }, bits, level) {
  const rows = new Float32Array(bits.buffer);
  const [qualities, width] = shape;
  const made = new Float32Array(qualities * width);
  for (let q = 0; q < qualities; q++) {
    const place = level[q] * (count - 1);
    const before = Math.min(Math.floor(place), count - 2);
    const share = place - before;
    for (let k = 0; k < width; k++) {
      const low = rows[before * width + k];
      made[q * width + k] = Math.exp(low + share * (rows[(before + 1) * width + k] - low));
    }
  }
  return made;
}
