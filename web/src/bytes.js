/** Numbers out of bytes: what the format's "Conventions" define. */

import { CorruptError } from "./errors.js";

/** A little-endian u32. */
export function u32(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/**
 * The varint at `at`: its value and where it ends, or null where the bytes end within it.
 * Values have up to 49 bits, so they are built by multiplication.
 */
export function varint(bytes, at, most) {
  let value = 0;
  let unit = 1;
  for (let k = 0; k < most; k++) {
    if (at + k >= bytes.length) return null;
    const byte = bytes[at + k];
    value += (byte & 0x7f) * unit;
    unit *= 128;
    if (byte < 0x80) {
      if (byte === 0 && k) throw new CorruptError(`the number at byte ${at} is padded with a zero`);
      return { value, end: at + k + 1 };
    }
  }
  throw new CorruptError(`the number at byte ${at} is longer than ${most} bytes`);
}

// Eight tables: eight bytes a step ("slicing by 8").
let tables;

function crcTables() {
  const made = new Int32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    made[n] = c;
  }
  for (let n = 256; n < 2048; n++) {
    const before = made[n - 256];
    made[n] = (before >>> 8) ^ made[before & 255];
  }
  return made;
}

/** The CRC-32 of zlib, going on from `crc`. */
export function crc32(bytes, crc = 0) {
  const t = (tables ??= crcTables());
  let c = ~crc;
  let k = 0;
  for (const end = bytes.length - 7; k < end; k += 8) {
    c ^= bytes[k] | (bytes[k + 1] << 8) | (bytes[k + 2] << 16) | (bytes[k + 3] << 24);
    c =
      t[1792 + (c & 255)] ^
      t[1536 + ((c >>> 8) & 255)] ^
      t[1280 + ((c >>> 16) & 255)] ^
      t[1024 + (c >>> 24)] ^
      t[768 + bytes[k + 4]] ^
      t[512 + bytes[k + 5]] ^
      t[256 + bytes[k + 6]] ^
      t[bytes[k + 7]];
  }
  for (; k < bytes.length; k++) c = (c >>> 8) ^ t[(c ^ bytes[k]) & 255];
  return ~c >>> 0;
}

/** The bytes of whole numbers as the format wants them: signed, 32 bits, little-endian. */
export function littleEndian(numbers) {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0]) {
    return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  }
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((value, k) => view.setInt32(4 * k, value, true));
  return new Uint8Array(view.buffer);
}

/** Bytes as hexadecimal digits. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
