/** Makes src/kernel.js of src/kernel.wat: `node tools/assemble.mjs`. Both are kept in git. */

import { readFileSync, writeFileSync } from "node:fs";

import wabt from "wabt";

const at = (name) => new URL(`../src/${name}`, import.meta.url);

/** The module's text. */
export async function assembled() {
  const { parseWat } = await wabt();
  const module = parseWat("kernel.wat", readFileSync(at("kernel.wat"), "utf8"), { simd: true });
  const { buffer } = module.toBinary({});
  const text = Buffer.from(buffer).toString("base64");
  return `/** kernel.wat, assembled by tools/assemble.mjs: do not edit. */\nexport const KERNEL =\n  "${text}";\n`;
}

if (process.argv[1] === import.meta.filename) writeFileSync(at("kernel.js"), await assembled());
