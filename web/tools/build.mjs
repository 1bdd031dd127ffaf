/**
 * Makes `dist/`, the folder that a web page needs and nothing else, and `build/site/`, the page to
 * try it on: `node tools/build.mjs`.
 */

import { build } from "esbuild";
import { copyFile, cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const at = (...parts) => join(root, ...parts);

const options = {
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  logLevel: "warning",
};

await copyFile(at("..", "LICENSE"), at("LICENSE")); // npm packs what lies here
await rm(at("dist"), { recursive: true, force: true });
await mkdir(at("dist"));
for (const [from, to] of [["index.js", "aecodec.js"], ["worker.js", "aecodec-worker.js"]]) {
  await build({ ...options, entryPoints: [at("src", from)], outfile: at("dist", to) });
}
await copyFile(at("src", "index.d.ts"), at("dist", "aecodec.d.ts"));

// ONNX Runtime in WebAssembly, which the worker loads from beside itself.
const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
for (const file of ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  await copyFile(join(runtime, file), at("dist", file));
}
await cp(at("weights"), at("dist", "weights"), { recursive: true });

/** The bytes of our own code, minified and compressed: all of it, and nothing of ONNX Runtime. */
const own = await build({
  ...options,
  stdin: { contents: 'export * from "./src/index.js"; import "./src/worker.js";', resolveDir: root },
  external: ["onnxruntime-web/*"],
  write: false,
});
const ownSize = gzipSync(own.outputFiles[0].contents, { level: 9 }).length;
await writeFile(at("dist", "sizes.json"), `${JSON.stringify({ ownCodeGzipped: ownSize })}\n`);

await rm(at("build"), { recursive: true, force: true });
await cp(at("site"), at("build", "site"), { recursive: true });
await cp(at("dist"), at("build", "site", "aecodec"), { recursive: true });
console.log(`dist: ${(await readdir(at("dist"))).join(", ")}; our own code is ${ownSize} bytes minified and gzipped`);
