/** What a file may be given as: its bytes, its address, or what holds its bytes. */
export type Source = Uint8Array | ArrayBuffer | ArrayBufferView | Blob | Response | URL | string;

/** What bounds the memory that a file may ask for. */
export interface Limits {
  /** Pixels of the picture; 2**28 unless told otherwise. */
  maxPixels?: number;
  /** Bytes of each of EXIF, ICC and XMP; 2**24 unless told otherwise. */
  maxMetadata?: number;
}

/** A part of a picture, in pixels. `rgba` has four bytes a pixel, not premultiplied. */
export interface Part {
  x: number;
  y: number;
  width: number;
  height: number;
  rgba: Uint8ClampedArray;
}

/** A small picture of a tile: places and sizes count pixels of the picture reduced by `scale`. */
export interface Preview extends Part {
  scale: number;
}

export interface Beginning {
  width: number;
  height: number;
  colourSpace: "srgb" | "display-p3";
}

export interface DecodeOptions extends Limits {
  /** Stops the work; the promise is then rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Leave the numbers of a picture with a colour profile as they are. */
  keepColours?: boolean;
  /** Whether the noise is added that the file describes, if it does; true unless told otherwise. */
  grain?: boolean;
  /** How small previews are: 2, 4, 8 (the default) or 16. */
  scale?: 2 | 4 | 8 | 16;
}

export interface DrawOptions extends DecodeOptions {
  begin?(found: Beginning): void;
  preview?(found: Preview): void;
  part?(found: Part): void;
}

export interface Info {
  width: number;
  height: number;
  mode: "L" | "LA" | "RGB" | "RGBA";
  quality: number;
  /** The id of the weights that the file was made with. */
  model: string;
  bytes: number;
  bitsPerPixel: number;
  tiles: number;
  tileSize: number;
  version: string;
  sections: { name: string; length: number }[];
  /** "other" profiles are converted, "unknown" ones taken for sRGB. */
  colourSpace: "srgb" | "display-p3" | "other" | "unknown";
}

/** Where the folder `dist` lies (its address), and how many threads to use; before the first picture. */
export function configure(settings: { base?: string; threads?: number }): void;

/** The picture of a file, in sRGB or Display P3, decoded in a worker. */
export function decode(
  source: Source,
  options?: DecodeOptions & { onPreview?(found: Preview): void; onPart?(found: Part): void },
): Promise<ImageData>;

/** Draw a file onto a canvas, which takes its size; a preview comes first. */
export function draw(source: Source, canvas: HTMLCanvasElement, options?: DrawOptions): Promise<unknown>;

/** The picture of a file as a PNG, or as another kind that the browser can make. */
export function toBlob(source: Source, options?: DecodeOptions & { type?: string }): Promise<Blob>;

/** What a file says of itself. Its checksums are checked, nothing is decoded. */
export function readInfo(source: Source, limits?: Limits): Promise<Info>;

/** The bytes of a source. */
export function bytesOf(source: Source, signal?: AbortSignal): Promise<Uint8Array>;

/** Fetch and prepare the weights of a model, "small-eye" unless told otherwise. */
export function preload(model?: string): Promise<void>;

/** The weights that this package has. */
export function models(): { id: string; name: string; file: string; bytes: number }[];

/** Show the picture of every <img src="*.aec"> below `root`; returns what stops it. */
export function polyfill(root?: Document | Element, options?: DecodeOptions): () => void;

/** Make <aec-image> known, which importing the package has done, or under another name. */
export function defineElement(name?: string): void;

/** <aec-image src alt loading no-grain>: events `preview`, `load` and `error` (with the error in `.error`). */
export class AecImage extends HTMLElement {
  src: string;
  alt: string;
  noGrain: boolean;
  readonly complete: boolean;
  readonly naturalWidth: number;
  readonly naturalHeight: number;
  readonly canvas: HTMLCanvasElement | undefined;
}

declare global {
  interface HTMLElementTagNameMap {
    "aec-image": AecImage;
  }
}

/** The root of the errors, which have the same names as in Python. */
export class AecodecError extends Error {}
export class FormatError extends AecodecError {}
export class NotAecError extends FormatError {}
export class TruncatedError extends FormatError {}
export class CorruptError extends FormatError {}
export class UnsupportedError extends FormatError {}
export class LimitError extends AecodecError {}
export class WeightsError extends AecodecError {}
export class UnknownModelError extends WeightsError {}
export class KnownAnswerError extends WeightsError {}
