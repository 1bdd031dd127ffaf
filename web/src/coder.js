/** The entropy decoder: tables of integer probabilities, and range ANS. Integers alone. */

import { CorruptError } from "./errors.js";

const BITS = 24;
const WHOLE = 2 ** BITS;
export const SYMBOL_LIMIT = 2 ** 30;
const RUNS_FROM = 3 * 2 ** 22;
const RUNS_COUNT = 256;
const LONGEST_RUN = 64;
const COARSE = 14; // bits of a quantile that the search does without

/** Ready to find the entry that a quantile lies in: probabilities that sum to 2^24. */
class Model {
  constructor(probabilities) {
    const count = probabilities.length;
    this.left = new Uint32Array(count + 1);
    for (let k = 0; k < count; k++) this.left[k + 1] = this.left[k] + probabilities[k];
    // Where to begin to look, for each value of the quantile's upper bits.
    const begin = (this.begin = new Uint16Array(1 << (BITS - COARSE)));
    for (let k = 0, entry = 0; k < begin.length; k++) {
      while (this.left[entry + 1] <= k << COARSE) entry++;
      begin[k] = entry;
    }
  }
}

/** Runs of zeros, for a probability p of 0: entries of fewer than K zeros, and the one of K. */
function runsModel(p) {
  const left = [2 ** 40];
  while (left.length <= LONGEST_RUN && left.at(-1) > 2 ** 39) {
    left.push(Number((BigInt(left.at(-1)) * BigInt(p)) >> BigInt(BITS)));
  }
  const still = left.map((s) => Math.floor(s / 2 ** 16));
  const longest = left.length - 1;
  const entries = still.map((c, k) => (k < longest ? c - still[k + 1] : c));
  return { model: new Model(entries), longest };
}

/** The probabilities of all entries but `without`, made to sum to 2^24 again. */
function othersModel(probabilities, without) {
  const rest = probabilities.filter((_, k) => k !== without);
  const sum = rest.reduce((a, b) => a + b, 0);
  const scaled = Array.from(rest, (p) => Math.floor((p * WHOLE) / sum)); // below 2^48: exact
  let largest = 0;
  rest.forEach((p, k) => {
    if (p > rest[largest]) largest = k;
  });
  scaled[largest] += WHOLE - scaled.reduce((a, b) => a + b, 0);
  return new Model(scaled);
}

/** Some tables, of which each array takes its own: lengths, first symbols and probabilities. */
export class TableSet {
  constructor(probabilities, lengths, first) {
    this.count = lengths.length;
    this.lengths = lengths;
    this.first = first;
    this.models = new Map();
    this.starts = [];
    let start = 0;
    for (const length of lengths) {
      this.starts.push(start);
      start += length;
    }
    this.probabilities = probabilities.subarray(0, start);
    this.size = start;
  }

  part(t) {
    return this.probabilities.subarray(this.starts[t], this.starts[t] + this.lengths[t]);
  }

  kept(key, make) {
    let found = this.models.get(key);
    if (found === undefined) this.models.set(key, (found = make()));
    return found;
  }

  /** The model of a table's entries. */
  model(t) {
    return this.kept(t, () => new Model(this.part(t)));
  }

  /** The same without the entry of 0. */
  others(t) {
    return this.kept(`others ${t}`, () => othersModel(this.part(t), 1 - this.first[t]));
  }

  /** How zeros among `count` elements are coded, or null: one by one. */
  runs(t, count) {
    if (count < RUNS_COUNT) return null;
    return this.kept(`runs ${t}`, () => {
      const zero = 1 - this.first[t];
      const p = zero > 0 && zero < this.lengths[t] - 1 ? this.part(t)[zero] : 0;
      return p < RUNS_FROM ? null : runsModel(p);
    });
  }
}

/** The table sets of `KIND_lengths` (sets, tables), one for each row. */
export function tableSets(arrays, kind) {
  const lengths = arrays[`${kind}_lengths`];
  const [sets, tables] = lengths.shape;
  let probabilities = arrays[`${kind}_probabilities`];
  return Array.from({ length: sets }, (_, k) => {
    const row = (of) => of.subarray(k * tables, (k + 1) * tables);
    const set = new TableSet(probabilities, row(lengths), row(arrays[`${kind}_first`]));
    probabilities = probabilities.subarray(set.size);
    return set;
  });
}

/**
 * The decoder of one tile. Its state of 64 bits is kept as two Numbers of 32.
 *
 * `take` reads one array; most damage decodes to wrong symbols in silence, so a checksum of the
 * symbols must follow.
 */
export class Decoder {
  constructor(bytes) {
    if (bytes.length % 4) throw new CorruptError("the coded latents are not whole words");
    this.words = new Uint32Array(bytes.length / 4);
    for (let k = 0; k < this.words.length; k++) {
      const at = 4 * k;
      this.words[k] = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    }
    this.left = this.words.length;
    this.high = this.low = 0;
    if (!this.left) return;
    const last = this.words[--this.left];
    if (last === 0) throw new CorruptError("the coded latents do not end as any encoder ends them");
    if (this.left) {
      this.high = last;
      this.low = this.words[--this.left];
    } else {
      this.low = last;
    }
  }

  /** The next `count` entries of a model, into `out` from `at` on. */
  entries(model, out, at, count) {
    const { left, begin } = model;
    const { words } = this;
    let { high, low, left: there } = this;
    for (const end = at + count; at < end; at++) {
      const quantile = low & 0xffffff;
      let entry = begin[quantile >>> COARSE];
      while (left[entry + 1] <= quantile) entry++;
      out[at] = entry;
      const from = left[entry];
      const p = left[entry + 1] - from;
      // state = (state >> 24) * p + (quantile - from), in parts of 24 and 16 bits
      const upper = (high >>> 16) * p;
      const lower = (((high & 0xffff) << 8) | (low >>> 24)) * p + (quantile - from) + (upper % 256) * 0x1000000;
      low = lower >>> 0;
      high = Math.floor(upper / 256) + Math.floor(lower / 0x100000000);
      if (high === 0 && there) {
        high = low;
        low = words[--there];
      }
    }
    this.high = high;
    this.low = low;
    this.left = there;
  }

  /** A number that is uniform over 2^bits values, 16 bits at most. */
  uniform(bits) {
    const quantile = this.low & 0xffffff;
    const shift = BITS - bits;
    const found = quantile >>> shift;
    const rest = quantile & ((1 << shift) - 1);
    const scale = 1 << shift;
    const upper = (this.high >>> 16) * scale;
    const lower = (((this.high & 0xffff) << 8) | (this.low >>> 24)) * scale + rest + (upper % 256) * 0x1000000;
    this.low = lower >>> 0;
    this.high = Math.floor(upper / 256) + Math.floor(lower / 0x100000000);
    if (this.high === 0 && this.left) {
      this.high = this.low;
      this.low = this.words[--this.left];
    }
    return found;
  }

  /** One array: the symbols of elements whose tables, in order, are `indexes`. */
  take(indexes, tables) {
    const { order, parts } = grouped(indexes, tables);
    const symbols = new Int32Array(indexes.length);
    const coded = parts.map(({ t, start, end }) => {
      const rare = tables.runs(t, end - start);
      const where = order.subarray(start, end);
      return { t, rare, where: rare ? this.places(where, rare) : where };
    });
    const escaped = [];
    for (const { t, rare, where } of coded) {
      const entries = new Uint16Array(where.length);
      this.entries(rare ? tables.others(t) : tables.model(t), entries, 0, where.length);
      const first = tables.first[t];
      const zero = rare ? 1 - first : Infinity;
      const last = tables.lengths[t] - 1;
      for (let k = 0; k < where.length; k++) {
        const entry = entries[k] + (entries[k] >= zero ? 1 : 0);
        symbols[where[k]] = entry + first - 1;
        if (entry === 0 || entry === last) escaped.push(where[k], entry ? 1 : -1);
      }
    }
    if (escaped.length) this.escapes(escaped, symbols);
    return symbols;
  }

  /** Which of these elements are not 0, by the runs before each of them. */
  places(where, { model, longest }) {
    const found = new Uint32Array(where.length);
    const entry = new Uint16Array(1);
    let count = 0;
    for (let at = 0; at < where.length; ) {
      this.entries(model, entry, 0, 1);
      at += entry[0];
      if (entry[0] < longest) {
        if (at >= where.length) throw new CorruptError("a symbol after the last");
        found[count++] = where[at++];
      }
    }
    return found.subarray(0, count);
  }

  /** Move the escaped symbols, given as pairs of place and direction, as far as they lie beyond. */
  escapes(escaped, symbols) {
    const count = escaped.length / 2;
    const bits = new Uint8Array(count);
    for (let k = 0; k < count; k++) bits[k] = this.uniform(5);
    const values = Array.from(bits, (n) => 2 ** n);
    const widths = new Set(bits);
    for (let n = 1; n < 32; n++) {
      if (!widths.has(n)) continue;
      for (let shift = 0; shift < n; shift += 16) {
        const width = Math.min(16, n - shift);
        for (let k = 0; k < count; k++) if (bits[k] === n) values[k] += this.uniform(width) * 2 ** shift;
      }
    }
    for (let k = 0; k < count; k++) {
      const place = escaped[2 * k];
      const value = symbols[place] + escaped[2 * k + 1] * (values[k] - 1);
      if (Math.abs(value) >= SYMBOL_LIMIT) throw new CorruptError("a symbol beyond every limit");
      symbols[place] = value;
    }
  }

  /** CorruptError unless everything was taken. */
  finish() {
    if (this.left || this.high || this.low) {
      throw new CorruptError("the coded latents hold more than the picture needs");
    }
  }
}

/** The elements by table, in ascending order; those of empty tables are not coded. */
function grouped(indexes, tables) {
  const counts = new Uint32Array(tables.count + 1);
  for (const t of indexes) counts[t]++;
  const next = new Uint32Array(tables.count);
  const parts = [];
  let start = 0;
  for (let t = 0; t < tables.count; t++) {
    next[t] = start;
    if (!tables.lengths[t]) continue;
    if (counts[t]) parts.push({ t, start, end: start + counts[t] });
    start += counts[t];
  }
  const order = new Uint32Array(start);
  for (let k = 0; k < indexes.length; k++) {
    const t = indexes[k];
    if (tables.lengths[t]) order[next[t]++] = k;
  }
  return { order, parts };
}
