/** Every error that the decoder raises on purpose: the same names as in Python (aecodec/errors.py). */

export class AecodecError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.kind;
  }
}
AecodecError.kind = "AecodecError"; // class names do not survive a minifier

const made = { AecodecError };

function kind(name, Base) {
  const Made = class extends Base {};
  Made.kind = name;
  made[name] = Made;
  return Made;
}

/** The bytes are not an .aec file that this version can decode. */
export const FormatError = kind("FormatError", AecodecError);
/** They are something else altogether. */
export const NotAecError = kind("NotAecError", FormatError);
/** The end is missing. */
export const TruncatedError = kind("TruncatedError", FormatError);
/** Damaged: checksums, contradictions, desynchronised symbols. */
export const CorruptError = kind("CorruptError", FormatError);
/** Valid, but made for a newer decoder. */
export const UnsupportedError = kind("UnsupportedError", FormatError);
/** Larger than a limit that the caller can raise. */
export const LimitError = kind("LimitError", AecodecError);
/** The weights are missing, damaged or incomplete. */
export const WeightsError = kind("WeightsError", AecodecError);
/** The file was written with weights that are not here. */
export const UnknownModelError = kind("UnknownModelError", WeightsError);
/** This machine does not compute what the weights expect. */
export const KnownAnswerError = kind("KnownAnswerError", WeightsError);

/** An error as a plain object, for a message between threads. */
export function pack(error) {
  return { name: error?.name ?? "Error", message: error?.message ?? String(error) };
}

/** The error of such an object, of its class where that is one of ours. */
export function unpack({ name, message }) {
  const Made = made[name];
  if (Made) return new Made(message);
  const error = new Error(message);
  error.name = name;
  return error;
}
