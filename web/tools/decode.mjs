/**
 * Decodes every .aec file of a folder with Node: `node decode.mjs FOLDER OUTPUTS`.
 *
 * Makes NAME.png, in the picture's own mode, and NAME.json with what the file says, or the name of
 * the error. `--threads N` lets the networks use more than one.
 */

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { crc32, deflateSync } from "node:zlib";

import { parse } from "../src/container.js";
import { AecodecError, configure, decode } from "../src/node.js";

/** A PNG of RGBA pixels, in one of the four modes of the format. */
export function png({ width, height, data }, mode) {
  const channels = { L: [0], LA: [0, 3], RGB: [0, 1, 2], RGBA: [0, 1, 2, 3] }[mode];
  const rows = Buffer.alloc(height * (1 + channels.length * width));
  for (let y = 0, to = 0; y < height; y++) {
    rows[to++] = 0; // no filter
    for (let x = 0; x < width; x++) for (const c of channels) rows[to++] = data[4 * (y * width + x) + c];
  }
  const chunk = (name, content) => {
    const made = Buffer.alloc(content.length + 12);
    made.writeUInt32BE(content.length);
    made.write(name, 4, "latin1");
    content.copy(made, 8);
    made.writeUInt32BE(crc32(made.subarray(4, -4)), content.length + 8);
    return made;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = { L: 0, LA: 4, RGB: 2, RGBA: 6 }[mode];
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** What the conformance suite knows of a file, and the file's picture. */
export async function answer(bytes) {
  try {
    const file = parse(bytes);
    const { width, height, mode, quality, model, tileSize, version } = file.header;
    const picture = await decode(bytes, { keepColours: true });
    const sum = (name) => {
      const content = file.metadata(name);
      return content && crc32(content);
    };
    const told = { width, height, mode, quality, model, tile_size: tileSize, version };
    told.sections = file.sections.map(({ name }) => name);
    told.checksums = picture.checksums.map((crc) => crc && crc.toString(16).padStart(8, "0"));
    told.neutral = file.header.neutral;
    for (const name of ["exif", "icc", "xmp"]) told[name] = sum(name.toUpperCase());
    return { told, picture };
  } catch (error) {
    if (!(error instanceof AecodecError)) throw error;
    return { told: { error: error.name } };
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { threads: { type: "string" } } });
  const [folder, outputs] = positionals;
  configure({ threads: Number(values.threads ?? 1) });
  await mkdir(outputs, { recursive: true });
  for (const file of (await readdir(folder)).filter((name) => name.endsWith(".aec")).sort()) {
    const { told, picture } = await answer(new Uint8Array(await readFile(join(folder, file))));
    const out = join(outputs, basename(file, ".aec"));
    await writeFile(`${out}.json`, JSON.stringify(told));
    if (picture) await writeFile(`${out}.png`, png(picture, told.mode));
  }
  process.exit(0); // the threads of ONNX Runtime would keep the process alive
}
