/** The integer network: from z_hat, the quality and the first symbols to the table of each symbol. */

import { WeightsError } from "./errors.js";
import { atLeast, newKernel } from "./wasm.js";

const LIMIT = 4095;
const MIXED_LIMIT = 8191;
const BITS = { input: 10, dw64: 7, up: 10, dw16: 7, output: 6, magnitude: 5, near: 7, fine: 7, correction: 6 };

const clip = (value, limit) => (value > limit ? limit : value < -limit ? -limit : value);

/** Wherever something else than zeros is seen beyond a tile: index `k` of a row of `size`, reflected. */
export function reflected(k, size) {
  const period = Math.max(1, 2 * (size - 1));
  const place = ((k % period) + period) % period;
  return Math.min(place, period - place);
}

/** z_hat (N,h,w) with its outermost elements once more on the sides where there are neighbours. */
export function repeated(z, n, h, w, { top, bottom, left, right }, Kind = Int32Array) {
  const rows = h + top + bottom;
  const columns = w + left + right;
  const made = new Kind(n * rows * columns);
  let at = 0;
  for (let c = 0; c < n; c++) {
    for (let i = 0; i < rows; i++) {
      const row = (c * h + Math.min(Math.max(i - top, 0), h - 1)) * w;
      for (let j = 0; j < columns; j++) made[at++] = z[row + Math.min(Math.max(j - left, 0), w - 1)];
    }
  }
  return { made, rows, columns };
}

/** Exact sums of products, by WebAssembly: eight at once. ONNX Runtime needs such a browser anyway. */
class Products {
  constructor() {
    this.kernel = newKernel();
  }

  /**
   * What a 1x1 layer adds up, without its bias: for each output, for each place.
   *
   * `fill(rows, inputs)` writes the activations (places, inputs) into `rows`. The result has a row
   * for each output, of `stride` numbers, and holds until the next call.
   */
  sums(weight, places, fill) {
    const { outputs, inputs } = weight;
    const stride = (places + 3) & ~3;
    const [atWeight, atRows] = [0, 2 * weight.data.length];
    const atSums = atRows + 2 * stride * inputs;
    const size = atSums + 4 * stride * outputs;
    const { memory, multiply } = this.kernel;
    atLeast(memory, size);
    new Int16Array(memory.buffer, atWeight, weight.data.length).set(weight.data);
    const rows = new Int16Array(memory.buffer, atRows, stride * inputs);
    rows.fill(0); // the ends of rows, and rows beyond the last place
    fill(rows, inputs);
    if (places) multiply(atRows, atWeight, atSums, stride, outputs, 2 * inputs);
    return { sums: new Int32Array(memory.buffer, atSums, stride * outputs), stride };
  }
}

/** The weights of 1x1 layers that see the same, as 16 bits; rows are filled up with zeros. */
function mixing(...layers) {
  const outputs = layers[0].shape[0];
  const widths = layers.map((layer) => layer.shape[1]);
  const inputs = (widths.reduce((a, b) => a + b) + 7) & ~7;
  const data = new Int16Array(outputs * inputs);
  for (let o = 0; o < outputs; o++) {
    let at = o * inputs;
    layers.forEach((layer, k) => {
      for (let i = 0; i < widths[k]; i++) {
        const value = layer[o * widths[k] + i];
        if (value !== (value << 16) >> 16) throw new WeightsError("weights of more than 16 bits");
        data[at++] = value;
      }
    });
  }
  return { data, outputs, inputs };
}

/**
 * A 3x3 layer, channel by channel: `from` (C,h,w), zeros around; requantised, of the inner part of
 * `height` by `width` from a row and a column on.
 */
function depthwise(from, h, w, [weight, bias, bits], top = 0, left = 0, height = h, width = w) {
  const channels = bias.length;
  const made = new Int32Array(channels * height * width);
  const half = 1 << (bits - 1);
  const stride = w + 2;
  const padded = new Int32Array((h + 2) * stride);
  for (let c = 0, to = 0; c < channels; c++) {
    for (let i = 0; i < h; i++) {
      const row = (c * h + i) * w;
      const at = (i + 1) * stride + 1;
      for (let j = 0; j < w; j++) padded[at + j] = from[row + j];
    }
    const [t0, t1, t2, t3, t4, t5, t6, t7, t8] = weight.subarray(9 * c, 9 * c + 9);
    const start = bias[c] + half;
    for (let i = 0; i < height; i++) {
      let at = (i + top) * stride + left;
      for (let j = 0; j < width; j++, at++) {
        let sum = start;
        sum = (sum + Math.imul(t0, padded[at]) + Math.imul(t1, padded[at + 1])) | 0;
        sum = (sum + Math.imul(t2, padded[at + 2]) + Math.imul(t3, padded[at + stride])) | 0;
        sum = (sum + Math.imul(t4, padded[at + stride + 1]) + Math.imul(t5, padded[at + stride + 2])) | 0;
        sum = (sum + Math.imul(t6, padded[at + 2 * stride]) + Math.imul(t7, padded[at + 2 * stride + 1])) | 0;
        made[to++] = (sum + Math.imul(t8, padded[at + 2 * stride + 2])) >> bits;
      }
    }
  }
  return made;
}

function activated(a) {
  for (let k = 0; k < a.length; k++) {
    const value = a[k] < 0 ? (a[k] + 4) >> 3 : a[k];
    a[k] = value > LIMIT ? LIMIT : value < -LIMIT ? -LIMIT : value;
  }
  return a;
}

/**
 * The order of a step's elements: first those of the even channels, then those of the odd ones.
 * `places[p]` are the positions of parity p = (i + j) mod 2, row by row.
 */
export class Checkerboard {
  constructor(channels, h, w) {
    Object.assign(this, { channels, h, w });
    const places = [[], []];
    for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) places[(i + j) & 1].push(i * w + j);
    this.places = places.map((list) => Uint32Array.from(list));
  }

  /** A step's two halves: the first channel, how many, the positions, where in the row it begins. */
  halves(step) {
    const even = Math.ceil(this.channels / 2);
    const odd = this.channels - even;
    const here = this.places[step];
    const there = this.places[1 - step];
    return [
      { first: 0, count: even, parity: step, places: here, at: 0 },
      { first: 1, count: odd, parity: 1 - step, places: there, at: even * here.length },
    ];
  }

  size(step) {
    const [, odd] = this.halves(step);
    return odd.at + odd.count * odd.places.length;
  }
}

/** The integer network of some weights. What it computes is channels first: (C,h,w). */
export class Scales {
  constructor(arrays) {
    this.arrays = arrays;
    this.top = arrays["scale.tables"][0] - 1;
    this.products = new Products();
    const weight = (name) => arrays[`scale.${name}.weight`];
    this.weights = {
      input: mixing(weight("input")),
      up: mixing(weight("up")),
      fine: mixing(weight("fine")),
      output: [mixing(weight("output")), mixing(weight("output"), weight("correction"))],
    };
    // By channel: what a symbol adds to each sum lies together.
    const magnitude = weight("magnitude");
    const [mixed, channels] = magnitude.shape;
    this.mixing = new Int32Array(magnitude.length);
    for (let m = 0; m < mixed; m++) {
      for (let c = 0; c < channels; c++) this.mixing[c * mixed + m] = magnitude[m * channels + c];
    }
  }

  layer(name) {
    return [this.arrays[`scale.${name}.weight`], this.arrays[`scale.${name}.bias`], BITS[name]];
  }

  /** A 1x1 layer of a (I,places), requantised: (O,places). */
  pointwise(name, a, places) {
    const bias = this.arrays[`scale.${name}.bias`];
    const bits = BITS[name];
    const half = 1 << (bits - 1);
    const { sums, stride } = this.products.sums(this.weights[name], places, (rows, inputs) => {
      for (let c = 0, from = 0; from < a.length; c++) {
        for (let p = 0, to = c; p < places; p++, to += inputs) rows[to] = a[from++];
      }
    });
    const made = new Int32Array(bias.length * places);
    for (let o = 0, to = 0; o < bias.length; o++) {
      const start = bias[o] + half;
      for (let p = 0, from = o * stride; p < places; p++) made[to++] = (sums[from++] + start) >> bits;
    }
    return made;
  }

  /** The last activations (F,h,w) that depend on z_hat (N,hz,wz) and the quality alone. */
  fine(z, hz, wz, quality, board, sides) {
    const n = z.length / (hz * wz);
    const { made: wide, rows, columns } = repeated(z, n, hz, wz, sides);
    const count = rows * columns;
    // z_hat << 4 may leave 32 bits; what is that large is clipped.
    for (let k = 0; k < wide.length; k++) wide[k] = clip(16 * clip(wide[k], LIMIT), LIMIT);
    let a = this.pointwise("input", wide, count);
    const width = a.length / count;
    for (let c = 0, k = 0; c < width; c++) {
      const bias = this.arrays["scale.level_bias"][quality * width + c];
      for (let p = 0; p < count; p++) a[k++] += bias;
    }
    a = activated(depthwise(activated(a), rows, columns, this.layer("dw64")));
    a = activated(this.pointwise("up", a, count));

    // 16 outputs in a row are 4 x 4 places of one channel. Where the tile has neighbours one more
    // row or column is kept; where it ends, nothing is.
    const { h, w } = board;
    const { top, bottom, left, right } = sides;
    const channels = a.length / count / 16;
    const [high, broad] = [h + top + bottom, w + left + right];
    const shuffled = new Int32Array(channels * high * broad);
    for (let c = 0, to = 0; c < channels; c++) {
      for (let i = 0; i < high; i++) {
        const y = i + 3 * top;
        for (let j = 0; j < broad; j++) {
          const x = j + 3 * left;
          shuffled[to++] = a[(16 * c + 4 * (y & 3) + (x & 3)) * count + (y >> 2) * columns + (x >> 2)];
        }
      }
    }
    return activated(depthwise(shuffled, high, broad, this.layer("dw16"), top, left, h, w));
  }

  /** The table of each symbol of step 0, from `fine`. */
  first(fine, quality, board, steps = null) {
    return this.indexes(0, [fine], quality, board, steps);
  }

  /** The table of each symbol of step 1, from `fine` and the symbols of step 0. */
  second(fine, symbols, quality, board, sides, steps = null) {
    const { h, w } = board;
    const sizes = this.arrays["scale.sizes"];
    const [, magnitudeBias, magnitudeBits] = this.layer("magnitude");
    const width = magnitudeBias.length;
    const mixed = new Int32Array(h * w * width); // (h,w,C)
    for (let p = 0; p < h * w; p++) mixed.set(magnitudeBias, p * width);
    for (const { first, count, places, at } of board.halves(0)) {
      for (let c = 0; c < count; c++) {
        const from = (first + 2 * c) * width;
        const row = at + c * places.length;
        for (let k = 0; k < places.length; k++) {
          const symbol = symbols[row + k];
          if (!symbol) continue; // its size is 0: nearly all are
          const magnitude = steps ? steps.plain(symbol, places[k]) : Math.abs(symbol);
          const size = sizes[Math.min(magnitude, sizes.length - 1)];
          const to = places[k] * width;
          for (let m = 0; m < width; m++) {
            mixed[to + m] = (mixed[to + m] + Math.imul(size, this.mixing[from + m])) | 0;
          }
        }
      }
    }
    const half = 1 << (magnitudeBits - 1);
    const { top, bottom, left, right } = sides;
    const [high, broad] = [h + top + bottom, w + left + right];
    const around = new Int32Array(width * high * broad); // (C,h,w)
    const columns = Uint32Array.from({ length: broad }, (_, j) => reflected(j - left, w));
    for (let i = 0; i < high; i++) {
      const row = reflected(i - top, h) * w;
      for (let j = 0; j < broad; j++) {
        const from = (row + columns[j]) * width;
        for (let m = 0, to = i * broad + j; m < width; m++, to += high * broad) {
          around[to] = clip((mixed[from + m] + half) >> magnitudeBits, MIXED_LIMIT);
        }
      }
    }
    const b = depthwise(around, high, broad, this.layer("near"), top, left, h, w);
    const added = this.pointwise("fine", fine, h * w);
    for (let k = 0; k < b.length; k++) b[k] += added[k];
    return this.indexes(1, [fine, activated(b)], quality, board, steps);
  }

  /** A step's row of indexes, of what the last layer sees: one or two arrays (C,h,w). */
  indexes(step, seen, quality, board, steps) {
    const { channels, h, w } = board;
    const found = new Uint8Array(board.size(step));
    const bias = this.arrays["scale.output.bias"];
    const offsets = this.arrays["scale.index_offset"].subarray((quality * 2 + step) * channels);
    const { top } = this;
    const half = 1 << (BITS.output - 1);
    const whole = this.weights.output[step];
    for (const { first, count, places, at } of board.halves(step)) {
      if (!count || !places.length) continue;
      // Every second row: only these channels have elements of this step here.
      const data = new Int16Array(count * whole.inputs);
      for (let c = 0; c < count; c++) {
        const from = (first + 2 * c) * whole.inputs;
        data.set(whole.data.subarray(from, from + whole.inputs), c * whole.inputs);
      }
      const some = { data, outputs: count, inputs: whole.inputs };
      const { sums, stride } = this.products.sums(some, places.length, (rows, inputs) => {
        let c = 0;
        for (const a of seen) {
          for (let plane = 0; plane < a.length; plane += h * w, c++) {
            for (let k = 0, to = c; k < places.length; k++, to += inputs) rows[to] = a[plane + places[k]];
          }
        }
      });
      for (let c = 0, to = at; c < count; c++) {
        const channel = first + 2 * c;
        const start = bias[channel] + half;
        const offset = offsets[channel] + 128;
        for (let k = 0, from = c * stride; k < places.length; k++) {
          let value = (((sums[from++] + start) >> BITS.output) + offset) >> 8;
          if (steps) value += steps.tables[places[k]];
          found[to++] = value < 0 ? 0 : value > top ? top : value;
        }
      }
    }
    return found;
  }
}
