import type { DecodeOptions, Info, Limits, Part, Preview } from "./index.js";

export type { DecodeOptions, Info, Limits, Part, Preview };
export {
  AecodecError,
  CorruptError,
  FormatError,
  KnownAnswerError,
  LimitError,
  NotAecError,
  TruncatedError,
  UnknownModelError,
  UnsupportedError,
  WeightsError,
  models,
} from "./index.js";

export interface Picture {
  width: number;
  height: number;
  /** Four bytes a pixel, not premultiplied. */
  data: Uint8ClampedArray;
  colorSpace: "srgb" | "display-p3";
  /** The CRC-32 of each tile's symbols; null for exact tiles, which have none. */
  checksums: (number | null)[];
}

/** How many threads the networks use; before the first picture. */
export function configure(settings?: { threads?: number }): void;

/** The picture of a file, decoded on the calling thread. */
export function decode(
  bytes: Uint8Array,
  options?: DecodeOptions & { onPreview?(found: Preview): void; onPart?(found: Part): void },
): Promise<Picture>;

/** What a file says of itself. */
export function readInfo(bytes: Uint8Array, limits?: Limits): Promise<Info>;
