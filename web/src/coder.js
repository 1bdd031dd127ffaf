/** The entropy decoder: tables of integer probabilities, and range ANS. Integers alone. */

import { CorruptError } from "./errors.js";
import { atLeast, newKernel } from "./wasm.js";

const BITS = 24;
const WHOLE = 2 ** BITS;
export const SYMBOL_LIMIT = 2 ** 30;
const RUNS_FROM = 3 * 2 ** 22;
const RUNS_COUNT = 256;
const LONGEST_RUN = 64;
const FEW = 24; // entries of a model whose search begins by 6 bits of a quantile, else by 10

/** Ready to find the entry that a quantile lies in: probabilities that sum to 2^24. */
class Model {
  constructor(probabilities) {
    const count = probabilities.length;
    this.bounds = new Uint32Array(count + 1);
    for (let k = 0; k < count; k++) this.bounds[k + 1] = this.bounds[k] + probabilities[k];
    // Where to begin to look, for each value of the quantile's upper bits.
    const bits = count < FEW ? 6 : 10;
    this.shift = BITS - bits;
    this.begin = new Uint16Array(1 << bits);
    for (let k = 0, entry = 0; k < this.begin.length; k++) {
      while (this.bounds[entry + 1] <= k << this.shift) entry++;
      this.begin[k] = entry;
    }
  }
}

/** Runs of zeros, for a probability p of 0: entries of fewer than K zeros, and the one of K. */
function runsModel(p) {
  const left = [2 ** 40];
  while (left.length <= LONGEST_RUN && left.at(-1) > 2 ** 39) {
    // floor(s * p / 2^24), of which the product has up to 64 bits: exact in two parts of 44.
    const [high, low] = [Math.floor(left.at(-1) / 2 ** 20), left.at(-1) % 2 ** 20];
    left.push(Math.floor((high * p + Math.floor((low * p) / 2 ** 20)) / 16));
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

  /** Make every model now. */
  prepare() {
    for (let t = 0; t < this.count; t++) {
      if (!this.lengths[t]) continue;
      this.model(t);
      if (this.runs(t, RUNS_COUNT)) this.others(t);
    }
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

let kernel; // one for all tiles, which are decoded one after another: browsers allow few memories

/**
 * The decoder of one tile, in WebAssembly, whose state of 64 bits JavaScript's numbers do not hold.
 * The next one that is made takes its place.
 *
 * `take` reads one array; most damage decodes to wrong symbols in silence, so a checksum of the
 * symbols must follow.
 */
export class Decoder {
  constructor(bytes) {
    if (bytes.length % 4) throw new CorruptError("the coded latents are not whole words");
    const last = bytes.subarray(-4);
    if (last.length && !last.some((byte) => byte)) {
      throw new CorruptError("the coded latents do not end as any encoder ends them");
    }
    this.kernel = kernel ??= newKernel();
    this.free = (bytes.length + 15) & ~15; // memory from here on is the models' and the outputs'
    atLeast(this.kernel.memory, this.free);
    new Uint8Array(this.kernel.memory.buffer).set(bytes);
    this.kernel.start(0, bytes.length / 4);
  }

  /** A model in the kernel's memory, before `size` bytes more: where its parts lie, and those. */
  placed({ bounds, begin, shift }, size) {
    const { memory } = this.kernel;
    const atBegin = this.free + 4 * bounds.length;
    const out = (atBegin + 2 * begin.length + 15) & ~15;
    atLeast(memory, out + size);
    new Uint32Array(memory.buffer, this.free, bounds.length).set(bounds);
    new Uint16Array(memory.buffer, atBegin, begin.length).set(begin);
    return { out, model: [this.free, atBegin, shift] };
  }

  /** The next `count` entries of a model; they hold until the next call. */
  entries(model, count) {
    const { out, model: placed } = this.placed(model, 2 * count);
    this.kernel.entries(out, count, ...placed);
    return new Uint16Array(this.kernel.memory.buffer, out, count);
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
      const entries = this.entries(rare ? tables.others(t) : tables.model(t), where.length);
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
    const { out, model: placed } = this.placed(model, 4 * where.length);
    const count = this.kernel.places(out, where.length, longest, ...placed);
    if (count < 0) throw new CorruptError("a symbol after the last");
    return new Uint32Array(this.kernel.memory.buffer, out, count).map((k) => where[k]);
  }

  /** Move the escaped symbols, given as pairs of place and direction, as far as they lie beyond. */
  escapes(escaped, symbols) {
    const { uniform } = this.kernel;
    const count = escaped.length / 2;
    const bits = new Uint8Array(count);
    for (let k = 0; k < count; k++) bits[k] = uniform(5);
    const values = Array.from(bits, (n) => 2 ** n);
    const widths = new Set(bits);
    for (let n = 1; n < 32; n++) {
      if (!widths.has(n)) continue;
      for (let shift = 0; shift < n; shift += 16) {
        const width = Math.min(16, n - shift);
        for (let k = 0; k < count; k++) if (bits[k] === n) values[k] += uniform(width) * 2 ** shift;
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
    if (this.kernel.remains()) {
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
