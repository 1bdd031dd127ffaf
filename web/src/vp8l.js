/**
 * A VP8L stream, the lossless half of WebP (RFC 9649, section 3), to pixels.
 *
 * Our own, since a browser's decoder is not to be had in Node, and hands pixels out by way of a canvas.
 */

import { CorruptError } from "./errors.js";

const CODE_ORDER = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const ROOT = 8; // bits of a code that one look tells, at most: a file may have 300,000 codes
const GREENS = 256 + 24;

/** The 120 shortest distances, as steps to the left and up, in the order of the RFC. */
function nearDistances() {
  const list =
    "0,1 1,0 1,1 -1,1 0,2 2,0 1,2 -1,2 2,1 -2,1 2,2 -2,2 0,3 3,0 1,3 -1,3 3,1 -3,1 2,3 -2,3 3,2 -3,2 0,4 4,0 1,4 " +
    "-1,4 4,1 -4,1 3,3 -3,3 2,4 -2,4 4,2 -4,2 0,5 3,4 -3,4 4,3 -4,3 5,0 1,5 -1,5 5,1 -5,1 2,5 -2,5 5,2 -5,2 4,4 -4,4 " +
    "3,5 -3,5 5,3 -5,3 0,6 6,0 1,6 -1,6 6,1 -6,1 2,6 -2,6 6,2 -6,2 4,5 -4,5 5,4 -5,4 3,6 -3,6 6,3 -6,3 0,7 7,0 1,7 " +
    "-1,7 5,5 -5,5 7,1 -7,1 4,6 -4,6 6,4 -6,4 2,7 -2,7 7,2 -7,2 3,7 -3,7 7,3 -7,3 5,6 -5,6 6,5 -6,5 8,0 4,7 -4,7 7,4 " +
    "-7,4 8,1 8,2 6,6 -6,6 8,3 5,7 -5,7 7,5 -7,5 8,4 6,7 -6,7 7,6 -7,6 8,5 7,7 -7,7 8,6 8,7";
  return list.split(" ").map((pair) => pair.split(",").map(Number));
}

class Bits {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.end = 8 * bytes.length;
  }

  /** The next bits, 24 at most, which are not taken; beyond the end there are zeros. */
  peek(count) {
    const { bytes } = this;
    const low = this.at >> 3;
    const word = bytes[low] | (bytes[low + 1] << 8) | (bytes[low + 2] << 16) | (bytes[low + 3] << 24);
    return (word >>> (this.at & 7)) & ((1 << count) - 1);
  }

  take(count) {
    const found = this.peek(count);
    this.at += count;
    return found;
  }

  check() {
    if (this.at > this.end) throw new CorruptError("an exact tile is cut off");
  }
}

/** A prefix code, canonical, by its lengths. */
class Code {
  constructor(lengths) {
    const counts = new Uint16Array(16);
    for (const length of lengths) counts[length]++;
    const used = lengths.length - counts[0];
    counts[0] = 0;
    if (!used) throw new CorruptError("an exact tile has a code without symbols");
    if (used === 1) {
      this.only = lengths.findIndex((length) => length > 0);
      return;
    }
    let left = 1; // codes of a length that are still free
    for (let length = 1; length < 16 && left >= 0; length++) left = 2 * left - counts[length];
    if (left !== 0) throw new CorruptError("an exact tile has a code that is not complete");
    this.only = -1;
    this.counts = counts;
    const starts = new Uint16Array(17);
    for (let length = 1; length < 16; length++) starts[length + 1] = starts[length] + counts[length];
    this.symbols = new Uint16Array(used);
    const next = starts.slice();
    lengths.forEach((length, symbol) => {
      if (length) this.symbols[next[length]++] = symbol;
    });
    // Short codes, by the bits as they come: the first one of a code is its highest.
    const root = Math.min(ROOT, counts.findLastIndex((count) => count > 0));
    this.mask = (1 << root) - 1;
    this.root = new Uint32Array(1 << root); // symbol * 16 + length; 0: a longer code
    let code = 0;
    let index = 0;
    for (let length = 1; length <= root; length++) {
      for (let k = 0; k < counts[length]; k++, code++) {
        let turned = 0;
        for (let bit = 0; bit < length; bit++) turned |= ((code >> bit) & 1) << (length - 1 - bit);
        for (let at = turned; at < 1 << root; at += 1 << length) this.root[at] = this.symbols[index] * 16 + length;
        index++;
      }
      code <<= 1;
    }
  }

  read(bits) {
    if (this.only >= 0) return this.only;
    const word = bits.peek(15);
    const found = this.root[word & this.mask];
    if (found) {
      bits.at += found & 15;
      return found >> 4;
    }
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length++) {
      code |= (word >> (length - 1)) & 1;
      const count = this.counts[length];
      if (code - first < count) {
        bits.at += length;
        return this.symbols[index + code - first];
      }
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new CorruptError("an exact tile has a code that does not exist");
  }
}

function readCode(bits, size) {
  const lengths = new Array(size).fill(0);
  if (bits.take(1)) {
    const two = bits.take(1);
    const first = bits.take(bits.take(1) ? 8 : 1);
    const second = two ? bits.take(8) : first;
    if (first >= size || second >= size) throw new CorruptError("an exact tile has a symbol that does not exist");
    lengths[first] = lengths[second] = 1;
    return new Code(lengths);
  }
  const outer = new Array(19).fill(0);
  const count = 4 + bits.take(4);
  for (let k = 0; k < count; k++) outer[CODE_ORDER[k]] = bits.take(3);
  const code = new Code(outer);
  let left = size;
  if (bits.take(1)) left = 2 + bits.take(2 + 2 * bits.take(3));
  if (left > size) throw new CorruptError("an exact tile has more lengths than symbols");
  let before = 8;
  for (let at = 0; at < size && left > 0; left--) {
    bits.check();
    const symbol = code.read(bits);
    if (symbol < 16) {
      lengths[at++] = symbol;
      if (symbol) before = symbol;
      continue;
    }
    const repeat = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    if (at + repeat > size) throw new CorruptError("an exact tile has more lengths than symbols");
    for (const end = at + repeat; at < end; at++) lengths[at] = symbol === 16 ? before : 0;
  }
  return new Code(lengths);
}

/** The number of a prefix: itself, or with more bits. */
function prefixed(bits, prefix) {
  if (prefix < 4) return prefix + 1;
  const more = (prefix - 2) >> 1;
  return ((2 + (prefix & 1)) << more) + bits.take(more) + 1;
}

/** An image that is coded by prefix codes: ARGB, one number a pixel. `outermost` may have several codes. */
function readImage(bits, width, height, near, outermost) {
  const cacheBits = bits.take(1) ? bits.take(4) : 0;
  if (cacheBits > 11) throw new CorruptError("an exact tile has a cache that is too large");
  const cache = cacheBits ? new Uint32Array(1 << cacheBits) : null;
  let groupBits = 0;
  let groupOf = null;
  let groupCount = 1;
  let across = 0;
  if (outermost && bits.take(1)) {
    groupBits = 2 + bits.take(3);
    across = (width + (1 << groupBits) - 1) >> groupBits;
    groupOf = readImage(bits, across, (height + (1 << groupBits) - 1) >> groupBits, near, false);
    for (let k = 0; k < groupOf.length; k++) {
      groupOf[k] = (groupOf[k] >>> 8) & 0xffff;
      groupCount = Math.max(groupCount, groupOf[k] + 1);
    }
  }
  const sizes = [GREENS + (cache ? cache.length : 0), 256, 256, 256, 40];
  const groups = [];
  for (let k = 0; k < groupCount; k++) {
    bits.check();
    groups.push(sizes.map((size) => readCode(bits, size)));
  }
  const pixels = new Uint32Array(width * height);
  let cached = 0; // pixels that the cache has seen
  for (let at = 0; at < pixels.length; ) {
    if ((at & 255) === 0) bits.check();
    const x = at % width;
    const y = (at - x) / width;
    const group = groups[groupOf ? groupOf[(y >> groupBits) * across + (x >> groupBits)] : 0];
    const green = group[0].read(bits);
    if (green < 256) {
      const red = group[1].read(bits);
      const blue = group[2].read(bits);
      pixels[at++] = (group[3].read(bits) << 24) | (red << 16) | (green << 8) | blue;
    } else if (green < GREENS) {
      const length = prefixed(bits, green - 256);
      const value = prefixed(bits, group[4].read(bits));
      let distance = value - 120;
      if (value <= 120) {
        const [left, up] = near[value - 1];
        distance = Math.max(1, left + up * width);
      }
      if (distance > at || at + length > pixels.length) throw new CorruptError("an exact tile copies from nowhere");
      bits.check();
      for (const end = at + length; at < end; at++) pixels[at] = pixels[at - distance];
    } else {
      for (; cached < at; cached++) cache[(Math.imul(0x1e35a7bd, pixels[cached]) >>> (32 - cacheBits)) | 0] = pixels[cached];
      pixels[at++] = cache[green - GREENS];
    }
  }
  bits.check();
  return pixels;
}

// --- transforms, undone in place ------------------------------------------------------------------

/** a + b, byte by byte. */
const added = (a, b) => (((a & 0xff00ff00) + (b & 0xff00ff00)) & 0xff00ff00) | (((a & 0xff00ff) + (b & 0xff00ff)) & 0xff00ff);
const average = (a, b) => ((((a ^ b) & 0xfefefefe) >>> 1) + (a & b)) | 0;
const byte = (a, shift) => (a >>> shift) & 255;
const clamped = (v) => (v < 0 ? 0 : v > 255 ? 255 : v);
const bytewise = (work) => (work(24) << 24) | (work(16) << 16) | (work(8) << 8) | work(0);

function select(left, top, corner) {
  let byLeft = 0;
  let byTop = 0;
  for (let shift = 0; shift < 32; shift += 8) {
    byLeft += Math.abs(byte(top, shift) - byte(corner, shift));
    byTop += Math.abs(byte(left, shift) - byte(corner, shift));
  }
  return byLeft < byTop ? left : top;
}

const PREDICTORS = [
  () => 0xff000000 | 0,
  (l) => l,
  (l, t) => t,
  (l, t, tr) => tr,
  (l, t, tr, tl) => tl,
  (l, t, tr) => average(average(l, tr), t),
  (l, t, tr, tl) => average(l, tl),
  (l, t) => average(l, t),
  (l, t, tr, tl) => average(tl, t),
  (l, t, tr) => average(t, tr),
  (l, t, tr, tl) => average(average(l, tl), average(t, tr)),
  (l, t, tr, tl) => select(l, t, tl),
  (l, t, tr, tl) => bytewise((s) => clamped(byte(l, s) + byte(t, s) - byte(tl, s))),
  (l, t, tr, tl) => {
    const middle = average(l, t);
    return bytewise((s) => clamped(byte(middle, s) + Math.trunc((byte(middle, s) - byte(tl, s)) / 2)));
  },
];

function predicted(pixels, width, height, { bits, data }) {
  const across = (width + (1 << bits) - 1) >> bits;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let guess;
      if (!y) {
        guess = x ? pixels[at - 1] : 0xff000000;
      } else if (!x) {
        guess = pixels[at - width];
      } else {
        const mode = (data[(y >> bits) * across + (x >> bits)] >>> 8) & 15;
        const predict = PREDICTORS[mode > 13 ? 0 : mode];
        // Beyond a row's end stands the first pixel of the next one, which is this one.
        guess = predict(pixels[at - 1], pixels[at - width], pixels[at - width + 1], pixels[at - width - 1]);
      }
      pixels[at] = added(pixels[at], guess);
    }
  }
}

const signed = (v) => (v << 24) >> 24;
const delta = (factor, colour) => (signed(factor) * signed(colour)) >> 5;

function recoloured(pixels, width, height, { bits, data }) {
  const across = (width + (1 << bits) - 1) >> bits;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const factors = data[(y >> bits) * across + (x >> bits)];
      const argb = pixels[at];
      const green = byte(argb, 8);
      const red = (byte(argb, 16) + delta(factors & 255, green)) & 255;
      const blue = (byte(argb, 0) + delta(byte(factors, 8), green) + delta(byte(factors, 16), red)) & 255;
      pixels[at] = (argb & 0xff00ff00) | (red << 16) | blue;
    }
  }
}

function greenAdded(pixels) {
  for (let k = 0; k < pixels.length; k++) {
    const green = byte(pixels[k], 8);
    pixels[k] = (pixels[k] & 0xff00ff00) | (((pixels[k] & 0xff00ff) + ((green << 16) | green)) & 0xff00ff);
  }
}

/** Colours by their numbers, of which one green byte may hold several. */
function looked(packed, width, height, { bits, data }) {
  const across = (width + (1 << bits) - 1) >> bits;
  const wide = 8 >> bits; // bits of a number
  const pixels = new Uint32Array(width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const green = byte(packed[y * across + (x >> bits)], 8);
      const number = (green >> (wide * (x & ((1 << bits) - 1)))) & ((1 << wide) - 1);
      pixels[at] = data[number] ?? 0;
    }
  }
  return pixels;
}

/**
 * The pixels (height,width), RGBA, of a stream of that size. Raises CorruptError for any other and
 * for a damaged one.
 */
export function decodeVp8l(bytes, width, height) {
  if (bytes.length < 5 || bytes[0] !== 0x2f) throw new CorruptError("an exact tile is not a VP8L stream of version 0");
  const bits = new Bits(bytes);
  bits.take(8);
  const [w, h] = [bits.take(14) + 1, bits.take(14) + 1];
  const alpha = bits.take(1);
  if (bits.take(3)) throw new CorruptError("an exact tile is not a VP8L stream of version 0");
  if (w !== width || h !== height) {
    throw new CorruptError(`an exact tile of ${w}x${h} pixels where ${width}x${height} belong`);
  }
  if (alpha) throw new CorruptError("an exact tile with transparency");

  const near = nearDistances();
  const transforms = [];
  let coded = width;
  while (bits.take(1)) {
    bits.check();
    const kind = bits.take(2);
    if (transforms.some((transform) => transform.kind === kind)) {
      throw new CorruptError("an exact tile has a transform twice");
    }
    const transform = { kind, width: coded };
    if (kind === 3) {
      const count = bits.take(8) + 1;
      const colours = readImage(bits, count, 1, near, false);
      for (let k = 1; k < count; k++) colours[k] = added(colours[k], colours[k - 1]);
      transform.data = colours;
      transform.bits = count <= 2 ? 3 : count <= 4 ? 2 : count <= 16 ? 1 : 0;
      coded = (coded + (1 << transform.bits) - 1) >> transform.bits;
    } else if (kind !== 2) {
      transform.bits = 2 + bits.take(3);
      const [across, down] = [coded, height].map((side) => (side + (1 << transform.bits) - 1) >> transform.bits);
      transform.data = readImage(bits, across, down, near, false);
    }
    transforms.push(transform);
  }
  let pixels = readImage(bits, coded, height, near, true);
  for (const transform of transforms.reverse()) {
    if (transform.kind === 0) predicted(pixels, transform.width, height, transform);
    else if (transform.kind === 1) recoloured(pixels, transform.width, height, transform);
    else if (transform.kind === 2) greenAdded(pixels);
    else pixels = looked(pixels, transform.width, height, transform);
  }
  const rgba = new Uint8ClampedArray(4 * pixels.length);
  for (let k = 0; k < pixels.length; k++) {
    rgba[4 * k] = byte(pixels[k], 16);
    rgba[4 * k + 1] = byte(pixels[k], 8);
    rgba[4 * k + 2] = byte(pixels[k], 0);
    rgba[4 * k + 3] = 255;
  }
  return rgba;
}
