/** The container: header, sections and checksums, all checked before anything is decoded. */

import { crc32, hex, u32, varint } from "./bytes.js";
import { CorruptError, LimitError, NotAecError, TruncatedError, UnsupportedError } from "./errors.js";
import { contentSize, decompress } from "./zstd.js";

export const MODES = ["L", "LA", "RGB", "RGBA"];
const NEUTRAL = 1;
const STEPS = 2;
export const LIMITS = { maxPixels: 2 ** 28, maxMetadata: 2 ** 24, maxTileSize: 1024, maxExactPixels: 2 ** 24 };

const MAGIC = [0x89, 0x41, 0x45, 0x43, 0x0d, 0x0a, 0x1a, 0x0a];
const FIXED = 22;
const SMALLEST = 39; // a header of 29 bytes, and a tile's section of 10
const MAX_SIDE = 2 ** 20;
const UNIT = 64;

/**
 * The sections that this decoder knows, by type. `check(section, header, limits)` sees the payload;
 * `tile` says that it is one tile of the picture. A new section is one entry more: what is not listed
 * is refused where bit 7 of its type is clear, and else skipped.
 */
const SECTIONS = {
  0x01: { name: "TILE", tile: true, check: checkTile },
  0x03: { name: "EXACT", tile: true, check: checkTile },
  0x02: {
    name: "ALPHA",
    check(section, header) {
      if (!(section.payload[0] <= 2)) throw new CorruptError("ALPHA has no known filter");
      const size = contentSize(section.payload.subarray(1), "ALPHA");
      if (size !== header.width * header.height) {
        throw new CorruptError(`ALPHA has ${size} values for ${header.width * header.height} pixels`);
      }
    },
  },
  0x81: { name: "EXIF", check: checkMetadata },
  0x82: { name: "ICC", check: checkMetadata },
  0x83: { name: "XMP", check: checkMetadata },
  // Named, and else skipped: a picture on a screen has no use for them.
  0x84: { name: "RESOLUTION" },
  0x85: { name: "TEXTS" },
  0x86: { name: "IPTC" },
  0x87: { name: "GAINMAP" },
  0x88: { name: "VIDEO" },
  0x89: {
    name: "GRAIN",
    check({ payload }) {
      if (payload.length !== 15) throw new CorruptError(`GRAIN has ${payload.length} bytes, not 15`);
    },
  },
};

function checkTile(section) {
  if (section.payload.length < 4) throw new CorruptError("a tile of less than 4 bytes");
}

function checkMetadata(section, header, { maxMetadata }) {
  const size = contentSize(section.payload, section.name);
  if (size > maxMetadata) {
    throw new LimitError(
      `${section.name} metadata of ${size} bytes, and the limit is ${maxMetadata}: raise maxMetadata`,
    );
  }
}

/** How the tiles of a picture lie: `box(n)` is the n-th one's x, y, width and height in pixels. */
export class Grid {
  constructor(width, height, tileSize) {
    this.width = width;
    this.height = height;
    const parts = (side) => {
      const units = Math.ceil(side / UNIT);
      const count = Math.ceil(units / (tileSize / UNIT));
      return Math.ceil(units / count) * UNIT;
    };
    this.tileWidth = parts(width);
    this.tileHeight = parts(height);
    this.columns = Math.ceil(width / this.tileWidth);
    this.rows = Math.ceil(height / this.tileHeight);
    this.count = this.columns * this.rows;
  }

  box(n) {
    const x = (n % this.columns) * this.tileWidth;
    const y = Math.floor(n / this.columns) * this.tileHeight;
    const width = Math.min(this.tileWidth, this.width - x);
    const height = Math.min(this.tileHeight, this.height - y);
    return { x, y, width, height };
  }

  /** On which sides of the n-th tile the picture goes on: 1 or 0. */
  sides(n) {
    const row = Math.floor(n / this.columns);
    const column = n % this.columns;
    return {
      top: +(row > 0),
      bottom: +(row < this.rows - 1),
      left: +(column > 0),
      right: +(column < this.columns - 1),
    };
  }
}

const OTHERS = [
  [[0xff, 0xd8, 0xff], "a JPEG"],
  [[0x89, 0x50, 0x4e, 0x47], "a PNG"],
  [[0x47, 0x49, 0x46, 0x38], "a GIF"],
  [[0x52, 0x49, 0x46, 0x46], "a WebP"],
];

function begins(bytes, start) {
  return start.every((byte, k) => bytes[k] === byte);
}

function checkMagic(bytes) {
  if (begins(bytes, MAGIC)) return;
  if (bytes.length === 0) throw new NotAecError("not an .aec file: it is empty");
  if (bytes.length < 8 && begins(MAGIC, [...bytes])) throw tooShort(bytes);
  // The magic is built so that a transfer in text mode shows in it: line ends changed, bit 7 cut
  // off, or the bytes taken for text in another encoding.
  const damaged = [
    [0x89, 0x41, 0x45, 0x43, 0x0a, 0x1a, 0x0a],
    [0x89, 0x41, 0x45, 0x43, 0x0a, 0x0a, 0x1a, 0x0a],
    [0x89, 0x41, 0x45, 0x43, 0x0d, 0x0d, 0x0a, 0x1a],
    [0x89, 0x41, 0x45, 0x43, 0x0d, 0x0a, 0x1a, 0x0d],
    [0x09, 0x41, 0x45, 0x43, 0x0d, 0x0a, 0x1a, 0x0a],
    [0xc2, 0x89, 0x41, 0x45, 0x43],
    [0xef, 0xbf, 0xbd, 0x41, 0x45, 0x43],
  ];
  if (damaged.some((start) => begins(bytes, start))) {
    throw new CorruptError("a transfer in text mode has damaged the file: copy it in binary mode");
  }
  const found = OTHERS.find(([start]) => begins(bytes, start));
  throw new NotAecError(found ? `not an .aec file: it is ${found[1]}` : "not an .aec file");
}

function tooShort(bytes) {
  return new TruncatedError(`truncated: ${bytes.length} of at least ${SMALLEST} bytes`);
}

/** The header, of which the first 39 bytes are enough. */
export function parseHeader(bytes) {
  checkMagic(bytes);
  if (bytes.length < FIXED) throw tooShort(bytes);
  const [major, minor, flags, mode, quality, tileUnits] = bytes.subarray(8, 14);
  if (major > 1) throw new UnsupportedError(`version ${major}.${minor} of the format; this decoder reads 1`);
  if (major !== 1) throw new CorruptError(`version ${major}.${minor} of the format, which does not exist`);
  let at = FIXED;
  const next = (most) => {
    const found = varint(bytes, at, most);
    if (!found) throw tooShort(bytes);
    at = found.end;
    return found.value;
  };
  const width = next(3);
  const height = next(3);
  const bodySize = next(7);
  if (bytes.length < at + 4) throw tooShort(bytes);
  if (crc32(bytes.subarray(0, at)) !== u32(bytes, at)) {
    throw new CorruptError("the checksum of the header is wrong");
  }
  if (flags & ~(NEUTRAL | STEPS)) throw new UnsupportedError(`must-understand flags ${flags}: made for a newer decoder`);
  if (mode >= MODES.length) throw new UnsupportedError(`colour mode ${mode}: made for a newer decoder`);
  for (const [name, side] of [["width", width], ["height", height]]) {
    if (side < 1 || side > MAX_SIDE) throw new CorruptError(`a ${name} of ${side} pixels`);
  }
  if (quality < 1 || quality > 100) throw new CorruptError(`a quality of ${quality}`);
  if (!tileUnits) throw new CorruptError("a tile size of 0");
  return {
    version: `${major}.${minor}`,
    width,
    height,
    mode: MODES[mode],
    quality,
    model: hex(bytes.subarray(14, FIXED)),
    tileSize: tileUnits * UNIT,
    neutral: !!(flags & NEUTRAL),
    stepMaps: !!(flags & STEPS),
    size: at + 4,
    fileSize: at + 4 + bodySize,
  };
}

/** The whole file, every checksum and every bound of it checked. Nothing is decompressed yet. */
export function parse(bytes, limits = {}) {
  const allowed = { ...LIMITS, ...limits };
  const header = parseHeader(bytes);
  const pixels = header.width * header.height;
  if (pixels > allowed.maxPixels) {
    throw new LimitError(
      `${header.width}x${header.height} is ${pixels} pixels, and the limit is ${allowed.maxPixels}: raise maxPixels`,
    );
  }
  if (bytes.length < header.fileSize) {
    throw new TruncatedError(`truncated: ${bytes.length} of ${header.fileSize} bytes`);
  }
  if (bytes.length > header.fileSize) {
    throw new CorruptError(`${bytes.length - header.fileSize} bytes follow the end of the file`);
  }
  const grid = new Grid(header.width, header.height, header.tileSize);
  if (grid.count * 10 > header.fileSize - header.size) {
    throw new CorruptError(`${grid.count} tiles do not fit in a file of ${header.fileSize} bytes`);
  }
  const sections = [];
  const tiles = [];
  let previous = 0;
  let at = header.size;
  for (let ordinal = 0; at < bytes.length; ordinal++) {
    const section = readSection(bytes, at, ordinal);
    at = section.end;
    const known = SECTIONS[section.type];
    section.name = known?.name ?? `0x${hex([section.type]).toUpperCase()}`;
    if (!section.fits) throw new CorruptError(`the checksum of section ${ordinal} (${section.name}) is wrong`);
    if (known?.tile) {
      if (tiles.length === grid.count) throw new CorruptError(`more tiles than the ${grid.count} of the dimensions`);
      known.check(section);
      tiles.push({ kind: section.name, payload: section.payload });
    } else {
      if (!known && section.type < 0x80) {
        throw new UnsupportedError(`critical section ${section.name}: made for a newer decoder`);
      }
      if (tiles.length) throw new CorruptError(`a section ${section.name} follows the tiles`);
      if (section.type <= previous) {
        throw new CorruptError(`section ${section.name} comes twice or out of order`);
      }
      previous = section.type;
      known?.check?.(section, header, allowed);
    }
    sections.push(section);
  }
  if (tiles.length !== grid.count) {
    throw new CorruptError(`${tiles.length} tiles where the dimensions make ${grid.count}`);
  }
  const find = (name) => sections.find((section) => section.name === name)?.payload ?? null;
  const alpha = find("ALPHA");
  if (header.mode.endsWith("A") !== (alpha !== null)) {
    throw new CorruptError(`mode ${header.mode} ${alpha ? "with" : "without"} a section ALPHA`);
  }
  return {
    header,
    grid,
    tiles,
    sections: sections.map(({ name, payload }) => ({ name, length: payload.length })),
    grain: find("GRAIN"),
    alpha: () => alpha && unfiltered(alpha[0], decompress(alpha.subarray(1), "ALPHA"), header),
    metadata: (name) => {
      const frame = find(name);
      return frame && decompress(frame, name);
    },
  };
}

function readSection(bytes, at, ordinal) {
  const length = varint(bytes, at + 1, 7);
  if (!length || length.value > bytes.length - length.end - 4) {
    throw new CorruptError(`section ${ordinal} runs past the end of the file`);
  }
  const start = length.end + 4;
  const end = start + length.value;
  const payload = bytes.subarray(start, end);
  const head = Uint8Array.of(bytes[at], ordinal, ordinal >>> 8, ordinal >>> 16, ordinal >>> 24);
  const fits = crc32(payload, crc32(head)) === u32(bytes, length.end);
  return { type: bytes[at], payload, end, fits };
}

/** The alpha plane (height, width) from its differences. */
function unfiltered(filter, plane, { width, height }) {
  if (filter === 1) {
    for (let y = 0; y < height; y++) {
      const row = plane.subarray(y * width, (y + 1) * width);
      for (let x = 1; x < width; x++) row[x] += row[x - 1];
    }
  } else if (filter === 2) {
    for (let k = width; k < plane.length; k++) plane[k] += plane[k - width];
  }
  return plane;
}
