/**
 * One zstd frame (RFC 8878), as strict as the format wants it: the frame states its size, has a
 * checksum and needs no dictionary.
 *
 * Our own, since browsers bring no zstd to scripts that all of them have, the package depends on
 * onnxruntime-web alone, and small decoders in JavaScript leave the checksum unread.
 */

import { u32 } from "./bytes.js";
import { CorruptError } from "./errors.js";

const BLOCK = 1 << 17; // no block holds more

function broken(name, what) {
  return new CorruptError(`${name} has a broken zstd frame: ${what}`);
}

/** The header of a frame, checked. */
function frameHeader(bytes, name) {
  if (bytes.length < 4 || u32(bytes, 0) !== 0xfd2fb528) throw new CorruptError(`${name} is not a zstd frame`);
  const flags = bytes[4];
  const single = (flags >> 5) & 1;
  const idSize = [0, 1, 2, 4][flags & 3];
  const sizeSize = [single, 2, 4, 8][flags >> 6];
  let at = 5 + (single ? 0 : 1);
  if (bytes.length < at + idSize + sizeSize) throw broken(name, "its header is cut off");
  if (flags & 8) throw broken(name, "a reserved bit is set");
  let dictionary = 0;
  for (let k = 0; k < idSize; k++) dictionary |= bytes[at + k] << (8 * k);
  at += idSize;
  if (!sizeSize) throw new CorruptError(`${name} has a zstd frame that does not state its size`);
  let size = sizeSize === 2 ? 256 : 0;
  for (let k = 0; k < sizeSize; k++) size += bytes[at + k] * 2 ** (8 * k);
  at += sizeSize;
  if (size === 0) throw new CorruptError(`${name} has an empty zstd frame`);
  if (!(flags & 4)) throw new CorruptError(`${name} has a zstd frame without a checksum`);
  if (dictionary) throw new CorruptError(`${name} has a zstd frame that needs a dictionary`);
  // Who states a window may be asked for less than the content needs.
  let window = size;
  if (!single) {
    const exponent = 10 + (bytes[5] >> 3);
    if (exponent > 31) throw broken(name, "a window that is too large");
    window = 2 ** exponent * (1 + (bytes[5] & 7) / 8);
  }
  return { at, size, window };
}

/** How many bytes a frame says that it holds. Raises CorruptError for one that may not be here. */
export function contentSize(bytes, name) {
  return frameHeader(bytes, name).size;
}

/** The content of a frame whose size was found acceptable. */
export function decompress(bytes, name = "the data") {
  const { at: start, size, window } = frameHeader(bytes, name);
  const out = new Uint8Array(size);
  const state = { out, end: 0, window, offsets: [1, 4, 8], huffman: null, tables: [null, null, null] };
  const most = Math.min(BLOCK, Math.max(window, 1024));
  let at = start;
  try {
    for (let last = 0; !last; ) {
      if (at + 3 > bytes.length) throw new Error("it ends within a block");
      const head = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
      at += 3;
      last = head & 1;
      const kind = (head >> 1) & 3;
      const length = head >> 3;
      if (kind === 3) throw new Error("a block of a reserved kind");
      if (length > (kind === 2 ? BLOCK : most)) throw new Error("a block is too large");
      const taken = kind === 1 ? 1 : length;
      if (at + taken > bytes.length) throw new Error("it ends within a block");
      if (kind === 2) {
        compressedBlock(bytes.subarray(at, at + taken), state);
      } else {
        if (state.end + length > size) throw new Error("it holds more than it states");
        if (kind === 0) out.set(bytes.subarray(at, at + length), state.end);
        else out.fill(bytes[at], state.end, state.end + length);
        state.end += length;
      }
      at += taken;
    }
    if (state.end !== size) throw new Error("it holds less than it states");
    if (at + 4 !== bytes.length) throw new Error("something follows it, or its checksum is cut off");
    if (xxh64Low(out) !== u32(bytes, at)) throw new Error("its checksum is wrong");
  } catch (error) {
    if (error instanceof CorruptError) throw error;
    throw broken(name, error.message);
  }
  return out;
}

// --- bits ---------------------------------------------------------------------------------------

/** Bits from the end of a stream to its beginning; beyond the beginning there are zeros. */
class BackwardBits {
  constructor(bytes) {
    this.bytes = bytes;
    const last = bytes[bytes.length - 1];
    if (!last) throw new Error("a stream of bits without its end mark");
    this.left = 8 * (bytes.length - 1) + 31 - Math.clz32(last);
  }

  /** The next `count` bits (24 at most), which are not taken. */
  peek(count) {
    const from = this.left - count;
    const low = from >> 3;
    const { bytes } = this;
    const at = (k) => (k >= 0 && k < bytes.length ? bytes[k] : 0);
    const word = at(low) | (at(low + 1) << 8) | (at(low + 2) << 16) | (at(low + 3) << 24);
    return (word >>> (from & 7)) & ((1 << count) - 1);
  }

  take(count) {
    if (count > 24) {
      const high = this.take(count - 16);
      return high * 65536 + this.take(16);
    }
    const found = count ? this.peek(count) : 0;
    this.left -= count;
    return found;
  }
}

// --- FSE ----------------------------------------------------------------------------------------

/** The decoding table of a distribution of 2^log; a count of -1 stands for "less than one". */
function fseTable(counts, log) {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  const next = new Uint16Array(counts.length);
  let high = size - 1;
  counts.forEach((count, symbol) => {
    if (count === -1) symbols[high--] = symbol;
    next[symbol] = count === -1 ? 1 : count;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let place = 0;
  counts.forEach((count, symbol) => {
    for (let k = 0; k < count; k++) {
      symbols[place] = symbol;
      do place = (place + step) & (size - 1);
      while (place > high);
    }
  });
  for (let k = 0; k < size; k++) {
    const value = next[symbols[k]]++;
    bits[k] = log - (31 - Math.clz32(value));
    base[k] = (value << bits[k]) - size;
  }
  return { symbols, bits, base, log };
}

/** A distribution as it is stored: counts, their log, and how many bytes it took. */
function fseCounts(bytes, mostLog, mostSymbols) {
  let bit = 0;
  const take = (count) => {
    let found = 0;
    for (let k = 0; k < count; k++, bit++) {
      if (bit >= 8 * bytes.length) throw new Error("a distribution is cut off");
      found |= ((bytes[bit >> 3] >> (bit & 7)) & 1) << k;
    }
    return found;
  };
  const log = 5 + take(4);
  if (log > mostLog) throw new Error("a distribution is too fine");
  const counts = [];
  let left = 1 << log;
  while (left > 0) {
    if (counts.length >= mostSymbols) throw new Error("a distribution has too many symbols");
    const width = 32 - Math.clz32(left + 1);
    const spared = 2 ** width - 1 - (left + 1);
    let value = take(width - 1);
    if (value >= spared) {
      value |= take(1) << (width - 1);
      if (value >= 1 << (width - 1)) value -= spared;
    }
    const count = value - 1;
    counts.push(count);
    left -= Math.abs(count);
    if (count === 0) {
      for (let repeat = 3; repeat === 3; ) {
        repeat = take(2);
        for (let k = 0; k < repeat; k++) counts.push(0);
      }
    }
  }
  if (left < 0 || counts.length > mostSymbols) throw new Error("a distribution that adds up to too much");
  return { counts, log, size: Math.ceil(bit / 8) };
}

// --- Huffman ------------------------------------------------------------------------------------

const MOST_BITS = 11;

function huffmanTree(bytes) {
  const head = bytes[0];
  let weights = [];
  let size = 1;
  if (head >= 128) {
    const count = head - 127;
    size += Math.ceil(count / 2);
    if (size > bytes.length) throw new Error("a Huffman tree is cut off");
    for (let k = 0; k < count; k++) weights.push(k & 1 ? bytes[1 + (k >> 1)] & 15 : bytes[1 + (k >> 1)] >> 4);
  } else {
    size += head;
    if (!head || size > bytes.length) throw new Error("a Huffman tree is cut off");
    weights = fseWeights(bytes.subarray(1, size));
  }
  let total = 0;
  for (const weight of weights) {
    if (weight > MOST_BITS) throw new Error("a Huffman code is too long");
    total += weight && 1 << (weight - 1);
  }
  if (!total) throw new Error("a Huffman tree without leaves");
  const most = 32 - Math.clz32(total);
  const rest = (1 << most) - total;
  if (most > MOST_BITS || rest & (rest - 1)) throw new Error("a Huffman tree that is not complete");
  weights.push(32 - Math.clz32(rest));
  if (weights.filter((weight) => weight === 1).length < 2) throw new Error("a Huffman tree that is not complete");
  const symbols = new Uint8Array(1 << most);
  const lengths = new Uint8Array(1 << most);
  let place = 0;
  for (let weight = 1; weight <= most; weight++) {
    weights.forEach((of, symbol) => {
      if (of !== weight) return;
      const span = 1 << (weight - 1);
      symbols.fill(symbol, place, place + span);
      lengths.fill(most + 1 - weight, place, place + span);
      place += span;
    });
  }
  return { symbols, lengths, most, size };
}

/** The weights of a Huffman tree: two FSE states that take turns. */
function fseWeights(bytes) {
  const { counts, log, size } = fseCounts(bytes, 6, 12 + 1);
  const table = fseTable(counts, log);
  const bits = new BackwardBits(bytes.subarray(size));
  const states = [bits.take(log), bits.take(log)];
  if (bits.left < 0) throw new Error("the weights of a Huffman tree are cut off");
  const weights = [];
  for (let turn = 0; ; turn ^= 1) {
    const state = states[turn];
    weights.push(table.symbols[state]);
    if (weights.length > 255) throw new Error("a Huffman tree of too many symbols");
    states[turn] = table.base[state] + bits.take(table.bits[state]);
    if (bits.left < 0) {
      weights.push(table.symbols[states[turn ^ 1]]);
      break;
    }
  }
  if (weights.length > 255) throw new Error("a Huffman tree of too many symbols");
  return weights;
}

function huffmanStream(bytes, { symbols, lengths, most }, out) {
  const bits = new BackwardBits(bytes);
  let { left } = bits;
  for (let k = 0; k < out.length; k++) {
    bits.left = left;
    const found = left >= most ? bits.peek(most) : bits.peek(Math.max(left, 0)) << (most - Math.max(left, 0));
    out[k] = symbols[found];
    left -= lengths[found];
    if (left < 0) throw new Error("a Huffman stream is cut off");
  }
  if (left) throw new Error("a Huffman stream has bits to spare");
}

// --- blocks -------------------------------------------------------------------------------------

/** The literals of a block, and where its sequences begin. */
function literals(bytes, state) {
  const kind = bytes[0] & 3;
  const format = (bytes[0] >> 2) & 3;
  const number = (at, count) => {
    if (at + count > bytes.length) throw new Error("the literals are cut off");
    let found = 0;
    for (let k = 0; k < count; k++) found += bytes[at + k] * 2 ** (8 * k);
    return found;
  };
  if (kind < 2) {
    const size = [1, 2, 1, 3][format];
    const count = Math.floor(number(0, size) / (size === 1 ? 8 : 16));
    const taken = kind ? 1 : count;
    if (count > BLOCK || size + taken > bytes.length) throw new Error("the literals are cut off");
    const found = kind ? new Uint8Array(count).fill(bytes[size]) : bytes.subarray(size, size + count);
    return { found, at: size + taken };
  }
  const size = [3, 3, 4, 5][format];
  const width = [10, 10, 14, 18][format];
  const sizes = Math.floor(number(0, size) / 16);
  const count = sizes % 2 ** width;
  const end = size + Math.floor(sizes / 2 ** width);
  if (count > BLOCK || end > bytes.length) throw new Error("the literals are cut off");
  let at = size;
  if (kind === 2) {
    state.huffman = huffmanTree(bytes.subarray(at, end));
    at += state.huffman.size;
  } else if (!state.huffman) {
    throw new Error("a Huffman tree is asked for that never was");
  }
  const found = new Uint8Array(count);
  if (format === 0) {
    huffmanStream(bytes.subarray(at, end), state.huffman, found);
    return { found, at: end };
  }
  if (end - at < 10 || count < 6) throw new Error("four streams of literals are cut off");
  const part = Math.ceil(count / 4);
  let from = at + 6;
  for (let k = 0; k < 4; k++) {
    const length = k < 3 ? number(at + 2 * k, 2) : end - from;
    if (from + length > end || length < 1 || (k === 3 && 3 * part > count)) {
      throw new Error("four streams of literals are cut off");
    }
    huffmanStream(bytes.subarray(from, from + length), state.huffman, found.subarray(k * part, k < 3 ? (k + 1) * part : count));
    from += length;
  }
  return { found, at: end };
}

// Literal lengths, offsets, match lengths: predefined distributions, and the largest ones allowed.
const PREDEFINED = [
  [[4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6],
  [[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5],
  [
    [
      1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
      1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    6,
  ],
];
const MOST_LOG = [9, 8, 9];
const MOST_SYMBOLS = [36, 32, 53];

/** Bits below a code's value, and the values: for literal lengths (from 0) and matches (from 3). */
function codes(bits, first) {
  const values = [];
  let value = first;
  for (const count of bits) {
    values.push(value);
    value += 2 ** count;
  }
  return { bits, values };
}
const LITERAL_CODES = codes([...Array(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 0);
const MATCH_CODES = codes(
  [...Array(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
  3,
);

function compressedBlock(bytes, state) {
  if (bytes.length < 2) throw new Error("a block is cut off");
  const { found: lits, at: begin } = literals(bytes, state);
  let at = begin;
  if (at >= bytes.length) throw new Error("a block is cut off");
  let count = bytes[at++];
  if (count >= 128) {
    const more = count === 255 ? 2 : 1;
    if (at + more > bytes.length) throw new Error("a block is cut off");
    count = count === 255 ? bytes[at] + (bytes[at + 1] << 8) + 0x7f00 : ((count - 128) << 8) + bytes[at];
    at += more;
  }
  let from = 0; // literals taken
  const limit = state.end + BLOCK;
  if (count) {
    if (at >= bytes.length) throw new Error("a block is cut off");
    const modes = bytes[at++];
    if (modes & 3) throw new Error("a reserved bit is set");
    for (let k = 0; k < 3; k++) at += sequenceTable(bytes.subarray(at), (modes >> (6 - 2 * k)) & 3, k, state);
    from = sequences(bytes.subarray(at), count, lits, state, limit);
  } else if (at !== bytes.length) {
    throw new Error("a block has bytes to spare");
  }
  append(state, lits.subarray(from), limit);
}

function append(state, bytes, limit) {
  const end = state.end + bytes.length;
  if (end > state.out.length) throw new Error("it holds more than it states");
  if (end > limit) throw new Error("a block is too large");
  state.out.set(bytes, state.end);
  state.end = end;
}

/** Makes the table of one of the three kinds of codes; returns how many bytes its description took. */
function sequenceTable(bytes, mode, kind, state) {
  if (mode === 0) {
    state.tables[kind] = fseTable(...PREDEFINED[kind]);
    return 0;
  }
  if (mode === 1) {
    if (!bytes.length || bytes[0] >= MOST_SYMBOLS[kind]) throw new Error("a code that does not exist");
    state.tables[kind] = { symbols: bytes.slice(0, 1), bits: [0], base: [0], log: 0 };
    return 1;
  }
  if (mode === 2) {
    const { counts, log, size } = fseCounts(bytes, MOST_LOG[kind], MOST_SYMBOLS[kind]);
    state.tables[kind] = fseTable(counts, log);
    return size;
  }
  if (!state.tables[kind]) throw new Error("a table is asked for that never was");
  return 0;
}

/** Carries out `count` sequences; returns how many literals they took. */
function sequences(bytes, count, lits, state, limit) {
  if (!bytes.length) throw new Error("the sequences are cut off");
  const bits = new BackwardBits(bytes);
  const [literalTable, offsetTable, matchTable] = state.tables;
  let literalState = bits.take(literalTable.log);
  let offsetState = bits.take(offsetTable.log);
  let matchState = bits.take(matchTable.log);
  const { out, offsets } = state;
  let from = 0;
  for (let k = 0; k < count; k++) {
    const offsetCode = offsetTable.symbols[offsetState];
    const matchCode = matchTable.symbols[matchState];
    const literalCode = literalTable.symbols[literalState];
    if (offsetCode > 31) throw new Error("a code that does not exist");
    const offsetValue = 2 ** offsetCode + bits.take(offsetCode);
    const matchLength = MATCH_CODES.values[matchCode] + bits.take(MATCH_CODES.bits[matchCode]);
    const literalLength = LITERAL_CODES.values[literalCode] + bits.take(LITERAL_CODES.bits[literalCode]);
    if (k < count - 1) {
      literalState = literalTable.base[literalState] + bits.take(literalTable.bits[literalState]);
      matchState = matchTable.base[matchState] + bits.take(matchTable.bits[matchState]);
      offsetState = offsetTable.base[offsetState] + bits.take(offsetTable.bits[offsetState]);
    }
    if (bits.left < 0) throw new Error("the sequences are cut off");
    if (from + literalLength > lits.length) throw new Error("more literals are asked for than there are");
    append(state, lits.subarray(from, from + literalLength), limit);
    from += literalLength;

    const offset = offsetOf(offsetValue, literalLength, offsets);
    const end = state.end + matchLength;
    if (offset < 1 || offset > state.end || offset > state.window) throw new Error("a match from before the beginning");
    if (end > out.length) throw new Error("it holds more than it states");
    if (end > limit) throw new Error("a block is too large");
    if (offset >= matchLength) out.copyWithin(state.end, state.end - offset, end - offset);
    else for (let to = state.end; to < end; to++) out[to] = out[to - offset];
    state.end = end;
  }
  if (bits.left) throw new Error("the sequences have bits to spare");
  return from;
}

/** The distance that an offset's value stands for: itself, or one of the last three. */
function offsetOf(value, literalLength, offsets) {
  if (value > 3) {
    offsets.unshift(value - 3);
    offsets.pop();
    return offsets[0];
  }
  const which = value - 1 + (literalLength ? 0 : 1);
  if (which === 0) return offsets[0];
  const offset = which === 3 ? offsets[0] - 1 : offsets[which];
  if (which !== 1) offsets[2] = offsets[1];
  offsets[1] = offsets[0];
  offsets[0] = offset;
  return offset;
}

// --- XXH64 --------------------------------------------------------------------------------------

const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const MASK = (1n << 64n) - 1n;

const rotate = (x, n) => ((x << n) | (x >> (64n - n))) & MASK;
const round = (sum, word) => (rotate((sum + word * P2) & MASK, 31n) * P1) & MASK;

/** The lower half of XXH64 with seed 0, which is a frame's checksum. */
export function xxh64Low(bytes) {
  const whole = bytes.length & ~31;
  const { sums, hash: start } = whole ? stripes(bytes, whole) : { sums: null, hash: P5 };
  let hash = start;
  for (const sum of sums ?? []) hash = ((hash ^ round(0n, sum)) * P1 + P4) & MASK;
  hash = (hash + BigInt(bytes.length)) & MASK;
  let at = whole;
  for (; at + 8 <= bytes.length; at += 8) {
    const word = BigInt(u32(bytes, at)) | (BigInt(u32(bytes, at + 4)) << 32n);
    hash = (rotate(hash ^ round(0n, word), 27n) * P1 + P4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(u32(bytes, at)) * P1) & MASK), 23n) * P2 + P3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at]) * P5) & MASK), 11n) * P1) & MASK;
  hash = ((hash ^ (hash >> 33n)) * P2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P3) & MASK;
  return Number((hash ^ (hash >> 32n)) & 0xffffffffn);
}

/**
 * The four sums over the stripes of 32 bytes. They are nearly all of the work, so their 64 bits are
 * kept as two Numbers of 32: BigInt takes some ten times as long.
 */
function stripes(bytes, whole) {
  const low = Int32Array.from([P1 + P2, P2, 0n, -P1], (n) => Number(BigInt.asIntN(32, n)));
  const high = Int32Array.from([P1 + P2, P2, 0n, -P1], (n) => Number(BigInt.asIntN(32, n >> 32n)));
  const [p1l, p1h, p2l, p2h] = [P1, P1 >> 32n, P2, P2 >> 32n].map((n) => Number(BigInt.asIntN(32, n)));
  for (let at = 0; at < whole; at += 32) {
    for (let k = 0; k < 4; k++) {
      const where = at + 8 * k;
      const wl = bytes[where] | (bytes[where + 1] << 8) | (bytes[where + 2] << 16) | (bytes[where + 3] << 24);
      const wh = bytes[where + 4] | (bytes[where + 5] << 8) | (bytes[where + 6] << 16) | (bytes[where + 7] << 24);
      // sum += word * P2
      let l = Math.imul(wl, p2l);
      let h = (highOfProduct(wl, p2l) + Math.imul(wl, p2h) + Math.imul(wh, p2l)) | 0;
      const sl = (low[k] + l) | 0;
      h = (high[k] + h + (sl >>> 0 < l >>> 0 ? 1 : 0)) | 0;
      // rotate by 31
      l = (sl << 31) | (h >>> 1);
      h = (h << 31) | (sl >>> 1);
      // sum *= P1
      high[k] = (highOfProduct(l, p1l) + Math.imul(l, p1h) + Math.imul(h, p1l)) | 0;
      low[k] = Math.imul(l, p1l);
    }
  }
  const sums = [0, 1, 2, 3].map((k) => (BigInt(high[k] >>> 0) << 32n) | BigInt(low[k] >>> 0));
  const turns = [1n, 7n, 12n, 18n];
  return { sums, hash: sums.reduce((sum, value, k) => (sum + rotate(value, turns[k])) & MASK, 0n) };
}

/** The upper 32 bits of the product of two unsigned numbers of 32 bits. */
function highOfProduct(a, b) {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = Math.imul(ah, bl) >>> 0;
  const other = Math.imul(al, bh) >>> 0;
  const carried = (Math.imul(al, bl) >>> 16) + (middle & 0xffff) + (other & 0xffff);
  return (Math.imul(ah, bh) + (middle >>> 16) + (other >>> 16) + (carried >>> 16)) | 0;
}
