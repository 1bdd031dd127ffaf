/**
 * A small web server for trying pages: `node tools/serve.mjs FOLDER [--port N] [--plain]`.
 *
 * It sends the headers that allow threads (cross-origin isolation); with --plain it does not, as
 * most servers do not.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { parseArgs } from "node:util";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".aec": "image/x-aec",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
};
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "credentialless",
};

/** A server of a folder, listening on this machine alone; `close()` ends it. */
export async function serve(folder, { port = 0, plain = false } = {}) {
  const root = resolve(folder);
  const server = createServer(async (request, response) => {
    try {
      let path = join(root, normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname)));
      if (path !== root && !path.startsWith(`${root}/`)) throw new Error("outside");
      if ((await stat(path)).isDirectory()) path = join(path, "index.html");
      const { size } = await stat(path);
      response.writeHead(200, {
        "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
        "Content-Length": size,
        ...(plain ? {} : ISOLATION),
      });
      createReadStream(path).pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { port: { type: "string", default: "8000" }, plain: { type: "boolean" } },
  });
  const { url } = await serve(positionals[0] ?? ".", { port: Number(values.port), plain: values.plain });
  console.log(url);
}
