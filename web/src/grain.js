/** The noise that a file's section GRAIN describes, which is added to the pixels that are shown. */

import { u32 } from "./bytes.js";
import { atLeast, newKernel } from "./wasm.js";

const STEP = 32; // levels of brightness from one deviation to the next
const PLANES = 4;
const MEAN = 510; // of the sum of four bytes
const DEVIATION = Math.sqrt((2 ** 16 - 1) / 3);
const ROW = 2 ** 21; // what a row adds to the number of a pixel

let kernel;

export class Grain {
  /** @param payload the section's 15 bytes */
  constructor(payload) {
    const [coarse, common] = payload.subarray(9, 11);
    this.coarse = coarse;
    this.common = common / 255;
    this.seed = u32(payload, 11);
    // By the sum of the three channels: they are 0..765.
    this.deviations = Float64Array.from({ length: 766 }, (_, sum) => {
      const place = sum / 3 / STEP;
      const before = Math.floor(place);
      const [low, high] = payload.subarray(before, before + 2);
      return (low + (place - before) * (high - low)) / 4;
    });
  }

  /**
   * Add the noise to the RGBA pixels of a box of the picture; with `alike` the same to all channels.
   * What the boxes `exact` cover stays as it is.
   */
  addTo(rgba, { x, y, width, height }, { alike = false, exact = [] } = {}) {
    kernel ??= newKernel();
    const count = width + 2;
    const size = 2 * PLANES * count;
    atLeast(kernel.memory, size);
    const row = (line) => {
      kernel.noise(0, ROW * line + x, count, this.seed); // of the line above, from the left pixel's on
      return new Uint16Array(kernel.memory.buffer, 0, PLANES * count).slice();
    };
    const a = this.coarse / 255;
    const sides = 4 * (a / 8) ** 2 + 4 * (a / 16) ** 2;
    const unit = DEVIATION * Math.sqrt((1 - a + a / 4) ** 2 + sides) * 16 * 255;
    const [shared, own] = alike ? [1, 0] : [this.common, Math.sqrt(1 - this.common ** 2)];
    const before = new Uint8ClampedArray(4 * width);
    const down = new Int32Array(PLANES * count); // 1 2 1 of three lines
    const blended = new Int32Array(PLANES * width); // times 16 * 255
    const [own16, around16, mean16] = [16 * (255 - this.coarse), this.coarse, 16 * 255 * MEAN];
    const { deviations } = this;
    let [above, here, below] = [null, row(y), row(y + 1)];
    for (let i = 0, at = 0; i < height; i++) {
      [above, here, below] = [here, below, row(y + i + 2)];
      for (let k = 0; k < down.length; k++) down[k] = above[k] + 2 * here[k] + below[k];
      for (let k = 0, from = PLANES; k < blended.length; k++, from++) {
        const around = down[from - PLANES] + 2 * down[from] + down[from + PLANES];
        blended[k] = own16 * here[from] + around16 * around - mean16;
      }
      const kept = exact.filter((box) => y + i >= box.y && y + i < box.y + box.height);
      if (kept.length) before.set(rgba.subarray(at, at + 4 * width));
      for (let k = 0; k < blended.length; k += PLANES, at += 4) {
        const s = deviations[rgba[at] + rgba[at + 1] + rgba[at + 2]] / unit;
        const first = shared * blended[k];
        // Sums are clamped and rounded.
        rgba[at] += s * (first + own * blended[k + 1]);
        rgba[at + 1] += s * (first + own * blended[k + 2]);
        rgba[at + 2] += s * (first + own * blended[k + 3]);
      }
      for (const box of kept) {
        const [left, right] = [Math.max(x, box.x) - x, Math.min(x + width, box.x + box.width) - x];
        if (left < right) rgba.set(before.subarray(4 * left, 4 * right), at + 4 * (left - width));
      }
    }
  }
}
