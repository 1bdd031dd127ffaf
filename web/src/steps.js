/** Maps of steps: how finely each 64x64 pixels of a tile are quantised. */

import { TableSet } from "./coder.js";
import { CorruptError } from "./errors.js";

const MOST = 8; // the largest magnitude in a map
// Of -MOST..MOST, 4096 being 1.
const UNITS = [
  10485, 9322, 8289, 7370, 6553, 5827, 5181, 4607, 4096, 3642, 3238, 2879,
  2560, 2276, 2024, 1800, 1600,
];
const LARGEST = 1023;
const COUNTS = [
  [1, 2, 14, 12, 4, 4, 7, 43, 236, 377, 196, 88, 23, 8, 2, 4, 1, 1, 1],
  [1, 1, 1, 1, 1, 5, 17, 58, 257, 435, 181, 48, 10, 3, 1, 1, 1, 1, 1],
];

/** The tables and the slope of a map, which is coded as one channel of z_hat. */
export const MAP_TABLES = new TableSet(
  Uint32Array.from(COUNTS.flat(), (count) => count * 2 ** 14),
  Int32Array.of(COUNTS[0].length, COUNTS[1].length),
  Int32Array.of(-MOST, -MOST),
);
export const MAP_SLOPE = Int32Array.of(256);

/** A map (hz,wz), and what it means for the h by w latents of its tile. */
export class Steps {
  constructor(map, wz, h, w) {
    this.map = map;
    this.tables = new Int32Array(h * w); // how many tables further the scales are
    this.units = new Int32Array(h * w); // the quantisation step, 4096 being 1
    if (map.some((m) => Math.abs(m) > MOST)) throw new CorruptError(`a step beyond ${MOST} in a map`);
    for (let i = 0, p = 0; i < h; i++) {
      for (let j = 0; j < w; j++, p++) {
        const m = map[(i >> 2) * wz + (j >> 2)];
        this.tables[p] = m;
        this.units[p] = UNITS[MOST + m];
      }
    }
  }

  /** The magnitude of a symbol as it would be without a map. */
  plain(symbol, place) {
    return (Math.min(Math.abs(symbol), LARGEST) * this.units[place] + 2048) >> 12;
  }
}
