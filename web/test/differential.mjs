/**
 * Answers what test_web.py asks: `node differential.mjs FOLDER`. The folder has .aec files, of each
 * of which NAME.name tells the error (or nothing), and zstd frames NAME.zst of contents NAME.bin.
 * Prints a line for each answer that differs, and how many there were.
 */

import { readdirSync, readFileSync } from "node:fs";

import { parse } from "../src/container.js";
import { AecodecError } from "../src/errors.js";
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
  } else {
    continue;
  }
  count++;
  if (found) console.log(`${file}: ${found}`);
}
console.log(`${count} compared`);
