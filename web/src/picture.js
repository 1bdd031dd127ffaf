/** A whole picture: tiles to latents, latents to pixels, previews on the way. */

import { Grid, LIMITS, parse } from "./container.js";
import { LimitError } from "./errors.js";
import { Grain } from "./grain.js";
import { colourSpace } from "./icc.js";
import { Latents } from "./latents.js";
import { cut } from "./networks.js";
import { Checkerboard } from "./scales.js";
import { decodeVp8l } from "./vp8l.js";
import { atLeast, newKernel } from "./wasm.js";

const PART = 512; // pixels of a side, at most, that the synthesis makes at once

/** One model, ready to decode; or none, for pictures whose tiles are all exact. */
export class PictureDecoder {
  constructor(weights, networks) {
    if (!weights) return;
    this.weights = weights;
    this.latents = new Latents(weights);
    this.networks = networks;
  }

  /**
   * Decode a parsed file. `on.preview({x, y, width, height, scale, rgba})` is called for each tile
   * and `on.part({x, y, width, height, rgba})` for each part of the picture, as soon as there is
   * one. `on.stopped()` may end it early: then null is returned. Without `grain` the noise that the
   * file describes is left out, as it always is of previews.
   */
  async decode(file, on = {}, { scale = 8, grain = true } = {}) {
    const { header, grid } = file;
    checkSizes(file);
    const alpha = file.alpha();
    const grey = header.mode.startsWith("L") || header.neutral;
    const noise = grain && file.grain && new Grain(file.grain);
    const exact = file.tiles.flatMap(({ kind }, n) => (kind === "EXACT" ? [grid.box(n)] : []));
    const finish = (box, rgba) => {
      if (grey) toGrey(rgba);
      if (noise) noise.addTo(rgba, box, { alike: grey, exact });
      if (alpha) withAlpha(rgba, box, alpha, header.width);
      return rgba;
    };
    const checksums = [];
    const tiles = new Map(); // v_hat or pixels by number, as long as a part may look at them
    const decodeTile = async (n) => {
      const box = grid.box(n);
      const { kind, payload } = file.tiles[n];
      const [h, w] = [Math.ceil(box.height / 16), Math.ceil(box.width / 16)];
      if (kind === "EXACT") {
        tiles.set(n, { box, h, w, pixels: decodeVp8l(payload, box.width, box.height) });
        checksums.push(null);
      } else {
        const symbols = this.latents.decode(payload, h, w, header.quality, grid.sides(n), header.stepMaps);
        checksums.push(symbols.crc);
        tiles.set(n, { box, h, w, v: await this.networks.means(symbols, header.quality, grid.sides(n)) });
      }
      if (on.preview) {
        const { v, pixels } = tiles.get(n);
        const small = { scale, x: box.x / scale, y: box.y / scale };
        small.width = Math.ceil(box.width / scale);
        small.height = Math.ceil(box.height / scale);
        const rgba = pixels
          ? reduced(pixels, box, small)
          : this.preview(v, h, w, header.quality, scale, small.width, small.height);
        if (grey) toGrey(rgba);
        if (alpha) withAlpha(rgba, small, alpha, header.width, scale);
        on.preview({ ...small, rgba });
      }
    };

    // Row by row of tiles: what a part looks at beyond its own tile is less than a tile away.
    let begun = 0;
    for (const part of this.parts(header)) {
      const seen = this.seen(part, header);
      const last = Math.min(grid.rows - 1, Math.floor((16 * (seen.y + seen.h) - 1) / grid.tileHeight));
      for (; begun < (last + 1) * grid.columns; begun++) {
        if (await on.stopped?.()) return null;
        await decodeTile(begun);
      }
      for (const n of tiles.keys()) {
        if ((Math.floor(n / grid.columns) + 1) * grid.tileHeight <= 16 * seen.y) tiles.delete(n);
      }
      if (await on.stopped?.()) return null;
      const rgba = await this.draw(part, seen, tiles, grid, header);
      on.part?.({ ...part, rgba: finish(part, rgba) });
    }
    return { checksums };
  }

  /** Use everything once, so that the browser has compiled it before a picture comes. */
  async warmUp() {
    await this.networks.prepare();
    const [h, w, quality] = [16, 16, 75];
    const sides = { top: 0, bottom: 0, left: 0, right: 0 };
    this.latents.warmUp(h, w, quality);
    const { latents: m, hyper_latents: n } = this.weights.config;
    const board = new Checkerboard(m, h, w);
    const symbols = { z: new Int32Array(n * 16), hz: 4, wz: 4, board };
    symbols.first = new Int32Array(board.size(0));
    symbols.second = new Int32Array(board.size(1));
    const v = await this.networks.means(symbols, quality, sides);
    this.preview(v, h, w, quality, 8, 2 * w, 2 * h);
    const pixels = await this.networks.synthesise8(await this.networks.synthesise16(v, h, w, quality), quality);
    pixels.dispose();
  }

  /** The parts of a picture, row by row, in which it is drawn. */
  *parts({ width, height }) {
    const parts = new Grid(width, height, PART);
    for (let n = 0; n < parts.count; n++) yield parts.box(n);
  }

  /** The latents that a part's pixels depend on: one at each side for each block of the synthesis. */
  seen({ x, y, width, height }, picture) {
    if (!this.weights) {
      const [left, top] = [Math.floor(x / 16), Math.floor(y / 16)];
      return { x: left, y: top, w: Math.ceil((x + width) / 16) - left, h: Math.ceil((y + height) / 16) - top };
    }
    const { synthesis16, synthesis8 } = this.weights.config;
    const near = synthesis8.length; // blocks at 1/8: one place of 8 pixels each
    const span = (from, size, whole) => {
      const first = Math.floor(Math.max(0, Math.floor(from / 8) - near) / 2);
      const last = Math.ceil(Math.min(2 * Math.ceil(whole / 16), Math.ceil((from + size) / 8) + near) / 2);
      const begin = Math.max(0, first - synthesis16.length);
      return [begin, Math.min(Math.ceil(whole / 16), last + synthesis16.length) - begin];
    };
    const [left, w] = span(x, width, picture.width);
    const [top, h] = span(y, height, picture.height);
    return { x: left, y: top, w, h };
  }

  /** The pixels of a part, RGBA: of exact tiles their own, of the others what the synthesis draws. */
  async draw(part, seen, tiles, grid, header) {
    const exact = [...tiles.values()].filter(({ pixels, box }) => pixels && common(box, part));
    const covered = exact.reduce((sum, { box }) => sum + area(common(box, part)), 0);
    const rgba =
      covered === area(part)
        ? new Uint8ClampedArray(4 * covered)
        : await this.synthesise(part, seen, tiles, grid, header);
    for (const { pixels, box } of exact) {
      const { x, y, width, height } = common(box, part);
      for (let i = 0; i < height; i++) {
        const from = 4 * ((y + i - box.y) * box.width + x - box.x);
        rgba.set(pixels.subarray(from, from + 4 * width), 4 * ((y + i - part.y) * part.width + x - part.x));
      }
    }
    return rgba;
  }

  async synthesise(part, seen, tiles, grid, { width, height, quality }) {
    const m = this.weights.config.latents;
    const v = new Float32Array(m * seen.h * seen.w);
    const [tall, wide] = [grid.tileHeight / 16, grid.tileWidth / 16];
    for (const [n, tile] of tiles) {
      const [row, column] = [Math.floor(n / grid.columns) * tall, (n % grid.columns) * wide];
      const [top, bottom] = [Math.max(row, seen.y), Math.min(row + tile.h, seen.y + seen.h)];
      const [left, right] = [Math.max(column, seen.x), Math.min(column + tile.w, seen.x + seen.w)];
      if (!tile.v || top >= bottom || left >= right) continue; // those of exact tiles are 0
      for (let c = 0; c < m; c++) {
        for (let i = top; i < bottom; i++) {
          const from = (c * tile.h + i - row) * tile.w - column;
          v.set(tile.v.subarray(from + left, from + right), (c * seen.h + i - seen.y) * seen.w + left - seen.x);
        }
      }
    }
    const x8 = await this.networks.synthesise16(v, seen.h, seen.w, quality);
    // Of the places at 1/8 only those that the blocks there look at.
    const near = this.weights.config.synthesis8.length;
    const limit = (from, size, whole) => {
      const begin = Math.max(0, Math.floor(from / 8) - near);
      return [begin, Math.min(2 * Math.ceil(whole / 16), Math.ceil((from + size) / 8) + near) - begin];
    };
    const [left, w8] = limit(part.x, part.width, width);
    const [top, h8] = limit(part.y, part.height, height);
    const [, rows, columns, channels] = x8.dims;
    const cropped = cut(x8.data, 1, rows, columns * channels, top - 2 * seen.y, (left - 2 * seen.x) * channels, h8, w8 * channels);
    x8.dispose();
    const pixels = await this.networks.synthesise8(this.networks.tensor(cropped, [1, h8, w8, channels]), quality);
    const rgba = new Uint8ClampedArray(4 * part.width * part.height);
    const { data } = pixels;
    for (let i = 0, to = 0; i < part.height; i++) {
      let from = 3 * ((part.y - 8 * top + i) * 8 * w8 + part.x - 8 * left);
      for (let j = 0; j < part.width; j++, to += 4, from += 3) {
        rgba[to] = data[from];
        rgba[to + 1] = data[from + 1];
        rgba[to + 2] = data[from + 2];
        rgba[to + 3] = 255;
      }
    }
    pixels.dispose();
    return rgba;
  }

  /**
   * A small picture, from v_hat (M,h,w) by the weights' linear map: for each latent the means of
   * 2x2 pixels, of which more are averaged; scale is 2, 4, 8 or 16.
   */
  preview(v, h, w, quality, scale, width, height) {
    const m = this.weights.config.latents;
    const { gain } = this.weights.arrays;
    const side = 16 / scale;
    const map = this.previewMap(scale);
    const outputs = map.length / (m + 1);
    const rgba = new Uint8ClampedArray(4 * width * height);
    const places = h * w;
    this.kernel ??= newKernel();
    const [atValues, atSums] = [4 * outputs, 4 * outputs + ((4 * places + 15) & ~15)];
    atLeast(this.kernel.memory, atSums + 4 * outputs * places);
    const floats = (at, count) => new Float32Array(this.kernel.memory.buffer, at, count);
    const [row, values, sums] = [floats(0, outputs), floats(atValues, places), floats(atSums, outputs * places)];
    for (let p = 0; p < places; p++) sums.set(map.subarray(m * outputs), p * outputs);
    for (let c = 0; c < m; c++) {
      const inverse = 1 / gain[quality * m + c];
      for (let k = 0; k < outputs; k++) row[k] = inverse * map[c * outputs + k];
      values.set(v.subarray(c * places, (c + 1) * places));
      this.kernel.mapped(atSums, atValues, 0, places, outputs / 4);
    }
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++, to += 4) {
        const place = Math.floor(y / side) * w + Math.floor(x / side);
        const from = place * outputs + 3 * ((y % side) * side + (x % side));
        for (let k = 0; k < 3; k++) rgba[to + k] = 255 * sums[from + k]; // clamped and rounded
        rgba[to + 3] = 255;
      }
    }
    return rgba;
  }

  /** The weights' map (M+1,8,8,3) with its pixels averaged, (M+1,side,side,3); rows of multiples of 4. */
  previewMap(scale) {
    this.maps ??= new Map();
    if (this.maps.has(scale)) return this.maps.get(scale);
    const { preview } = this.weights.arrays;
    const side = 16 / scale;
    const part = scale / 2;
    const rows = preview.length / 192;
    const outputs = (3 * side * side + 3) & ~3;
    const made = new Float32Array(rows * outputs);
    for (let r = 0; r < rows; r++) {
      for (let k = 0; k < 192; k++) {
        const [i, j, colour] = [Math.floor(k / 24), Math.floor(k / 3) % 8, k % 3];
        const to = (Math.floor(i / part) * side + Math.floor(j / part)) * 3 + colour;
        made[r * outputs + to] += preview[r * 192 + k] / (part * part);
      }
    }
    this.maps.set(scale, made);
    return made;
  }
}

/** LimitError for tiles that are larger than this decoder takes. */
function checkSizes({ header, grid, tiles }) {
  tiles.forEach(({ kind }, n) => {
    const { width, height } = grid.box(n);
    if (kind === "EXACT" && width * height > LIMITS.maxExactPixels) {
      throw new LimitError(`exact tiles of ${width}x${height} pixels: this decoder takes ${LIMITS.maxExactPixels}`);
    }
    if (kind !== "EXACT" && header.tileSize > LIMITS.maxTileSize) {
      throw new LimitError(`tiles of ${header.tileSize} pixels: this decoder takes ${LIMITS.maxTileSize} at most`);
    }
  });
}

const area = ({ width, height }) => width * height;

/** The pixels that two boxes share, or null. */
function common(one, other) {
  const [x, y] = [Math.max(one.x, other.x), Math.max(one.y, other.y)];
  const width = Math.min(one.x + one.width, other.x + other.width) - x;
  const height = Math.min(one.y + one.height, other.y + other.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

/** RGBA pixels of a box made small: the means of squares. */
function reduced(pixels, box, { width, height, scale }) {
  const rgba = new Uint8ClampedArray(4 * width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const bottom = Math.min(box.height, (y + 1) * scale);
    for (let x = 0; x < width; x++, to += 4) {
      const right = Math.min(box.width, (x + 1) * scale);
      const count = (bottom - y * scale) * (right - x * scale);
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let i = y * scale; i < bottom; i++) {
          for (let j = x * scale; j < right; j++) sum += pixels[4 * (i * box.width + j) + c];
        }
        rgba[to + c] = sum / count;
      }
    }
  }
  return rgba;
}

function toGrey(rgba) {
  for (let k = 0; k < rgba.length; k += 4) {
    rgba[k] = rgba[k + 1] = rgba[k + 2] = Math.round((rgba[k] + rgba[k + 1] + rgba[k + 2]) / 3);
  }
}

/** Sets the alpha of a box from the picture's plane, of which every `scale`-th value is taken. */
function withAlpha(rgba, { x, y, width, height }, plane, stride, scale = 1) {
  for (let i = 0, to = 3; i < height; i++) {
    const row = (y + i) * scale * stride;
    for (let j = 0; j < width; j++, to += 4) rgba[to] = plane[row + (x + j) * scale];
  }
}

/** What a file says of itself, checked as far as it can be without decoding. */
export function describe(bytes, limits) {
  const file = parse(bytes, limits);
  const { header } = file;
  const icc = file.metadata("ICC");
  return {
    width: header.width,
    height: header.height,
    mode: header.mode,
    quality: header.quality,
    model: header.model,
    bytes: bytes.length,
    bitsPerPixel: (8 * bytes.length) / (header.width * header.height),
    tiles: file.grid.count,
    tileSize: header.tileSize,
    version: header.version,
    sections: file.sections,
    colourSpace: colourSpace(icc),
  };
}
