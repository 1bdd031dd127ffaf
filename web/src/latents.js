/** One tile's payload to its symbols. Integers alone, so every machine finds the same ones. */

import { crc32, littleEndian, u32 } from "./bytes.js";
import { Decoder, SYMBOL_LIMIT, tableSets } from "./coder.js";
import { CorruptError, KnownAnswerError, WeightsError } from "./errors.js";
import { Checkerboard, Scales } from "./scales.js";
import { MAP_SLOPE, MAP_TABLES, Steps } from "./steps.js";

export class Latents {
  constructor(weights) {
    const { arrays, config } = weights;
    this.arrays = arrays;
    this.channels = config.latents;
    this.hyperChannels = config.hyper_latents;
    this.yTables = tableSets(arrays, "y");
    this.zTables = tableSets(arrays, "z");
    this.scales = new Scales(arrays);
    this.checkKnownAnswers(weights.name);
  }

  /**
   * z_hat, both steps' symbols, and the checkerboard of a tile of `h` by `w` latents; where it is
   * `stepMaps`, its map of steps.
   */
  decode(payload, h, w, quality, sides, stepMaps = false) {
    const decoder = new Decoder(payload.subarray(4));
    const [hz, wz] = [Math.ceil(h / 4), Math.ceil(w / 4)];
    const z = this.hyperlatents(decoder, hz, wz, quality);
    const map = stepMaps && likeHyperlatents(decoder, 1, hz, wz, MAP_TABLES, MAP_SLOPE);
    const steps = map ? new Steps(map, wz, h, w) : null;
    const board = new Checkerboard(this.channels, h, w);
    const fine = this.scales.fine(z, hz, wz, quality, board, sides);
    const first = decoder.take(this.scales.first(fine, quality, board, steps), this.yTables[0]);
    const indexes = this.scales.second(fine, first, quality, board, sides, steps);
    const second = decoder.take(indexes, this.yTables[1]);
    decoder.finish();
    const coded = map ? [z, map, first, second] : [z, first, second];
    const crc = coded.reduce((sum, symbols) => crc32(littleEndian(symbols), sum), 0);
    if (crc !== u32(payload, 0)) throw new CorruptError("the decoded latents are not those that were written");
    return { z, hz, wz, first, second, board, steps, crc };
  }

  /**
   * Have everything compiled: decode what no encoder wrote, of which the tables make symbols as
   * pictures have them.
   */
  warmUp(h, w, quality) {
    for (const tables of this.yTables) tables.prepare();
    const noise = new Uint8Array(4 + h * w * 16);
    let state = 1;
    for (let k = 0; k < noise.length; k++) {
      state = Math.imul(state, 1664525) + 1013904223;
      noise[k] = state >>> 24;
    }
    try {
      this.decode(noise, h, w, quality, { top: 0, bottom: 0, left: 0, right: 0 });
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
    }
  }

  /** z_hat (N,hz,wz). */
  hyperlatents(decoder, hz, wz, quality) {
    const { z_band: band, z_slope: slope } = this.arrays;
    return likeHyperlatents(decoder, this.hyperChannels, hz, wz, this.zTables[band[quality]], slope);
  }

  /** KnownAnswerError unless this machine finds the table indexes that the exporter found. */
  checkKnownAnswers(name) {
    const get = (part) => this.arrays[`known.${part}`];
    const [, channels, h, w] = get("index").shape;
    if (channels !== this.channels) throw new WeightsError(`${name}: its parts do not fit together`);
    const board = new Checkerboard(channels, h, w);
    const alone = { top: 0, bottom: 0, left: 0, right: 0 };
    const row = (array, step) => {
      const made = new Int32Array(board.size(step));
      for (const { first, count, places, at } of board.halves(step)) {
        for (let c = 0, to = at; c < count; c++) {
          for (const p of places) made[to++] = array[(first + 2 * c) * h * w + p];
        }
      }
      return made;
    };
    get("q").forEach((quality, k) => {
      const size = channels * h * w;
      const expected = get("index").subarray(k * size, (k + 1) * size);
      const fine = this.scales.fine(get("z_hat"), Math.ceil(h / 4), Math.ceil(w / 4), quality, board, alone);
      const symbols = row(get("symbols"), 0);
      const found = [
        this.scales.first(fine, quality, board),
        this.scales.second(fine, symbols, quality, board, alone),
      ];
      for (const step of [0, 1]) {
        if (!row(expected, step).every((index, at) => index === found[step][at])) {
          throw new KnownAnswerError(`${name}: this machine does not find the tables that the weights expect`);
        }
      }
    });
  }
}

/**
 * n channels (n,hz,wz) as z_hat is coded: every second place as it is, the others by how far they lie
 * from a prediction.
 */
function likeHyperlatents(decoder, n, hz, wz, tables, slope) {
  const z = new Int32Array(n * hz * wz);
  const { places } = new Checkerboard(1, hz, wz);
  for (const half of [0, 1]) {
    const where = places[half];
    const indexes = new Uint8Array(n * where.length);
    for (let c = 0; c < n; c++) indexes.fill(half * n + c, c * where.length, (c + 1) * where.length);
    const symbols = decoder.take(indexes, tables);
    for (let c = 0, k = 0; c < n; c++) {
      const plane = c * hz * wz;
      for (const place of where) {
        let value = symbols[k++];
        if (half) value += prediction(z, plane, place, hz, wz, slope[c]);
        if (Math.abs(value) >= SYMBOL_LIMIT) throw new CorruptError("a symbol beyond every limit");
        z[plane + place] = value;
      }
    }
  }
  return z;
}

/** floor((slope * sum * 12 / n + 1536) / 3072), of the n neighbours within the tile. */
function prediction(z, plane, place, h, w, slope) {
  const i = Math.floor(place / w);
  const j = place % w;
  let sum = 0;
  let n = 0;
  const add = (at) => {
    sum += z[plane + at];
    n++;
  };
  if (i > 0) add(place - w);
  if (i < h - 1) add(place + w);
  if (j > 0) add(place - 1);
  if (j < w - 1) add(place + 1);
  return Math.floor((slope * sum * (12 / n) + 1536) / 3072);
}
