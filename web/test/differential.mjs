/**
 * Answers what test_web.py asks: `node differential.mjs FOLDER`. The folder has .aec files, of each
 * of which NAME.name tells the error (or nothing), zstd frames NAME.zst of contents NAME.bin, and
 * NAME.noise with the place of pixels NAME.in (RGB) that get noise and are then NAME.out.
 * Prints a line for each answer that differs, and how many there were.
 */

import { readdirSync, readFileSync } from "node:fs";

import { parse } from "../src/container.js";
import { AecodecError } from "../src/errors.js";
import { Grain } from "../src/grain.js";
import { decompress } from "../src/zstd.js";

const [folder] = process.argv.slice(2);
const read = (name) => new Uint8Array(readFileSync(`${folder}/${name}`));

function errorOf(bytes) {
  try {
    const file = parse(bytes);
    file.alpha();
    for (const name of ["EXIF", "ICC", "XMP"]) file.metadata(name);
    return "";
  } catch (error) {
    if (!(error instanceof AecodecError)) throw error;
    return error.name;
  }
}

/** How many values with noise differ from those that are expected. */
function differing(name) {
  const { payload, box, alike, exact } = JSON.parse(readFileSync(`${folder}/${name}.noise`, "utf8"));
  const [pixels, expected] = [read(`${name}.in`), read(`${name}.out`)];
  const rgba = Uint8ClampedArray.from({ length: (4 * pixels.length) / 3 }, (_, k) => pixels[3 * (k >> 2) + (k & 3)]);
  new Grain(Uint8Array.from(payload)).addTo(rgba, box, { alike, exact });
  return expected.filter((value, k) => rgba[4 * Math.floor(k / 3) + (k % 3)] !== value).length;
}

let count = 0;
for (const file of readdirSync(folder)) {
  const [name, suffix] = file.split(".");
  let found = "";
  if (suffix === "aec") {
    const expected = readFileSync(`${folder}/${name}.name`, "utf8");
    const error = errorOf(read(file));
    if (error !== expected) found = `${error || "no error"}, not ${expected || "no error"}`;
  } else if (suffix === "zst") {
    if (Buffer.compare(decompress(read(file)), read(`${name}.bin`))) found = "another content";
  } else if (suffix === "noise") {
    const different = differing(name);
    if (different) found = `${different} values differ`;
  } else {
    continue;
  }
  count++;
  if (found) console.log(`${file}: ${found}`);
}
console.log(`${count} compared`);
