/** What decodes on this thread: the models that have been loaded, and one picture at a time. */

import { parse } from "./container.js";
import { colourSpace, converter } from "./icc.js";
import { Networks, start } from "./networks.js";
import { PictureDecoder } from "./picture.js";
import { loadWeights } from "./weights.js";

/** How often everything is used before a picture comes: browsers optimise what runs often. */
const ROUNDS = 2;

export class Engine {
  /**
   * @param ort onnxruntime-web, set up
   * @param read gives a file of weights: fetching(base), or another of its kind
   */
  constructor(ort, read) {
    this.ort = ort;
    this.read = read;
    this.models = new Map();
    this.queue = Promise.resolve();
    this.waiting = 0; // pictures, for which the rest of a preparation is left out
  }

  /** Load the weights of a model, and do once what the first picture would have to wait for. */
  async prepare(id) {
    const decoder = await this.load(id);
    const turn = this.queue.then(async () => {
      for (let round = 0; round < ROUNDS && (!round || !this.waiting); round++) await decoder.warmUp();
    });
    this.queue = turn.catch(() => {});
    return turn;
  }

  /** The decoder of a model. */
  load(id) {
    if (!this.models.has(id)) {
      // Both at once: the one is fetched and compiled while the other is unpacked and tested.
      const started = (this.started ??= start(this.ort));
      started.catch(() => {
        this.started = undefined; // the next one may try again
        this.models.delete(id);
      });
      const loading = loadWeights(id, this.read).then(
        (weights) => new PictureDecoder(weights, new Networks(this.ort, weights, started)),
      );
      loading.catch(() => this.models.delete(id));
      this.models.set(id, loading);
    }
    return this.models.get(id);
  }

  /** Decode a file: see PictureDecoder.decode. Its parts come in `colourSpace`, which `on.begin` tells. */
  async decode(bytes, on = {}, options = {}) {
    const { maxPixels, maxMetadata, wide = true, keepColours = false, scale, grain } = options;
    const limits = { maxPixels, maxMetadata };
    for (const name of Object.keys(limits)) if (limits[name] === undefined) delete limits[name];
    const file = parse(bytes, limits);
    const icc = file.metadata("ICC");
    for (const name of ["EXIF", "XMP"]) file.metadata(name); // a damaged file is no picture
    const found = keepColours ? "srgb" : colourSpace(icc);
    let space = found === "display-p3" || found === "other" ? "display-p3" : "srgb";
    let convert = found === "other" ? converter(icc, wide ? space : "srgb") : null;
    if (!wide && space === "display-p3") {
      space = "srgb";
      convert ??= converter(icc, space);
    }
    const { width, height } = file.header;
    on.begin?.({ width, height, colourSpace: space });
    const through = (call) =>
      call && ((part) => call(convert ? { ...part, rgba: convert(part.rgba) } : part));
    // Exact tiles need no weights, not even ones that are not here.
    const exact = file.tiles.every(({ kind }) => kind === "EXACT");
    this.waiting++;
    try {
      const decoder = exact ? new PictureDecoder() : await this.load(file.header.model);
      const turn = this.queue.then(() =>
        decoder.decode(file, { ...on, preview: through(on.preview), part: through(on.part) }, { scale, grain }),
      );
      this.queue = turn.catch(() => {});
      return await turn;
    } finally {
      this.waiting--;
    }
  }
}
