/** The float networks in ONNX Runtime: means and the synthesis. No decision depends on them. */

import { reflected, repeated } from "./scales.js";

const SETTINGS = {
  executionProviders: ["wasm"],
  graphOptimizationLevel: "disabled", // tools/pack_weights.py has done it
  enableMemPattern: false, // tiles come in several sizes
};

/** The smallest graph: y = x. ONNX Runtime fetches and compiles its WebAssembly for a first session. */
const SMALLEST = "CAgSADo3ChAKAXgSAXkiCElkZW50aXR5EgFnWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQDQ==";

/** Have ONNX Runtime ready; it compiles on other threads, so there is time for other work. */
export async function start(ort) {
  await ort.InferenceSession.create(
    Uint8Array.from(atob(SMALLEST), (c) => c.charCodeAt(0)),
    SETTINGS,
  );
}

const GRAPHS = ["mean_features", "context", "synthesis16", "synthesis8"];

export class Networks {
  /** A model's graphs, once `started` is settled; `ort` is onnxruntime-web. */
  constructor(ort, weights, started) {
    Object.assign(this, { ort, started, arrays: weights.arrays, config: weights.config });
    this.sessions = {};
  }

  /** The session of a graph, made when it is first needed: a preview does not wait for the synthesis. */
  async session(name) {
    await this.started;
    if (!this.sessions[name]) {
      this.sessions[name] = await this.ort.InferenceSession.create(this.arrays[name], SETTINGS);
      delete this.arrays[name]; // megabytes that the session has read
    }
    return this.sessions[name];
  }

  /** Make all sessions now. */
  async prepare() {
    for (const name of GRAPHS) await this.session(name);
  }

  tensor(data, dims) {
    return new this.ort.Tensor("float32", data, dims);
  }

  async run(name, feeds) {
    const session = await this.session(name);
    const found = await session.run(feeds);
    for (const tensor of Object.values(feeds)) tensor.dispose();
    return found;
  }

  /** The float inputs of a quality: its level, and the deviation of each channel of v. */
  level(quality) {
    return this.tensor(this.arrays.level.slice(quality, quality + 1), [1]);
  }

  unit(quality) {
    const { std } = this.arrays;
    const m = std.length;
    return this.tensor(std.map((s, c) => s * this.arrays.gain[quality * m + c]), [1, m, 1, 1]);
  }

  /** v_hat (M,h,w) of a tile's symbols, step by step. */
  async means({ z, hz, wz, first, second, board, steps }, quality, sides) {
    const { h, w, channels: m } = board;
    const reach = this.config.context_blocks;
    const margin = reach + 1;
    const outer = scaled(sides, margin);
    const inner = scaled(sides, reach);
    const n = this.config.hyper_latents;
    const { made, rows, columns } = repeated(z, n, hz, wz, sides, Float32Array);
    const at = (down, right) => new this.ort.Tensor("int64", BigInt64Array.of(BigInt(down), BigInt(right)), [2]);
    const known = await this.run("mean_features", {
      z_hat: this.tensor(made, [1, n, rows, columns]),
      level: this.level(quality),
      unit: this.unit(quality),
      begin: at(4 * sides.top - outer.top, 4 * sides.left - outer.left),
      end: at(4 * sides.top + h + outer.bottom, 4 * sides.left + w + outer.right),
    });
    const [, features, tall, wide] = known.features.dims;

    const v = new Float32Array(m * h * w);
    complete(v, board, 0, first, steps, known.mu.data, tall, wide, outer);
    const [high, broad] = [h + inner.top + inner.bottom, w + inner.left + inner.right];
    const { mu } = await this.run("context", {
      features: this.tensor(
        cut(known.features.data, features, tall, wide, outer.top - inner.top, outer.left - inner.left, high, broad),
        [1, features, high, broad],
      ),
      known: this.tensor(around(v, m, h, w, inner), [1, m, high, broad]),
      parity: this.tensor(around(parities(h, w), 1, h, w, inner), [1, 1, high, broad]),
      unit: this.unit(quality),
    });
    complete(v, board, 1, second, steps, mu.data, high, broad, inner);
    for (const tensor of [known.features, known.mu, mu]) tensor.dispose();
    return v;
  }

  /** What the blocks at 1/16 make of v_hat (M,h,w): a tensor (1,2h,2w,C). */
  async synthesise16(v, h, w, quality) {
    const { gain } = this.arrays;
    const m = this.config.latents;
    const inverse = Float32Array.from({ length: m }, (_, c) => 1 / gain[quality * m + c]);
    const { x8 } = await this.run("synthesis16", {
      v_hat: this.tensor(v, [1, m, h, w]),
      inverse_gain: this.tensor(inverse, [1, m, 1, 1]),
      level: this.level(quality),
    });
    return x8;
  }

  /** The pixels (1,H,W,3) of such a tensor, or of a part of it. */
  async synthesise8(x8, quality) {
    const { pixels } = await this.run("synthesis8", { x8, level: this.level(quality) });
    return pixels;
  }
}

const scaled = ({ top, bottom, left, right }, by) => ({
  top: by * top,
  bottom: by * bottom,
  left: by * left,
  right: by * right,
});

/** v = symbol * its step + mean at the elements of a step; mu (M,tall,wide) has a margin. */
function complete(v, board, step, symbols, steps, mu, tall, wide, { top, left }) {
  const { h, w } = board;
  for (const { first, count, places, at } of board.halves(step)) {
    for (let c = 0; c < count; c++) {
      const channel = first + 2 * c;
      const row = at + c * places.length;
      for (let k = 0; k < places.length; k++) {
        const place = places[k];
        const i = (place / w) | 0;
        const from = (channel * tall + i + top) * wide + (place - i * w) + left;
        const binWidth = steps ? steps.units[place] / 4096 : 1;
        v[channel * h * w + place] = symbols[row + k] * binWidth + mu[from];
      }
    }
  }
}

function parities(h, w) {
  return Float32Array.from({ length: h * w }, (_, k) => (Math.floor(k / w) + (k % w)) % 2);
}

/** a (C,h,w) with margins, in which it is reflected. */
function around(a, channels, h, w, { top, bottom, left, right }) {
  if (!(top || bottom || left || right)) return a.slice();
  const columns = Uint32Array.from({ length: w + left + right }, (_, j) => reflected(j - left, w));
  const made = new Float32Array(channels * (h + top + bottom) * columns.length);
  let at = 0;
  for (let c = 0; c < channels; c++) {
    for (let i = -top; i < h + bottom; i++) {
      const row = (c * h + reflected(i, h)) * w;
      for (const j of columns) made[at++] = a[row + j];
    }
  }
  return made;
}

/** The part (C,rows,columns) of a (C,h,w) from a row and a column on. */
export function cut(a, channels, h, w, row, column, rows, columns) {
  const made = new Float32Array(channels * rows * columns);
  for (let c = 0, at = 0; c < channels; c++) {
    for (let i = 0; i < rows; i++, at += columns) {
      const from = (c * h + row + i) * w + column;
      made.set(a.subarray(from, from + columns), at);
    }
  }
  return made;
}
