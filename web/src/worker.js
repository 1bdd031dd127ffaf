/** The decoder on a thread of its own: what client.js says to, in messages. */

import * as ort from "onnxruntime-web/wasm";

import { Engine } from "./engine.js";
import { pack } from "./errors.js";
import { fetching } from "./weights.js";

let engine;
const aborted = new Set();

/** Let messages that have come be heard: networks run without a pause. */
const breathe = () =>
  new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  });

const work = {
  configure({ base, threads }) {
    ort.env.logLevel = "error";
    ort.env.wasm.wasmPaths = base;
    // Without cross-origin isolation there is no shared memory, and so but one thread.
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
    engine = new Engine(ort, fetching(new URL("weights/", base)));
  },

  async load({ id, model }) {
    await engine.prepare(model);
    postMessage({ id, kind: "done" });
  },

  async decode({ id, bytes, options, previews }) {
    const send = (kind) => (part) => postMessage({ id, kind, ...part }, [part.rgba.buffer]);
    const on = {
      begin: (found) => postMessage({ id, kind: "begin", ...found }),
      part: send("part"),
      stopped: async () => {
        await breathe();
        return aborted.has(id);
      },
    };
    if (previews) on.preview = send("preview");
    try {
      const done = await engine.decode(bytes, on, options);
      if (done) postMessage({ id, kind: "done", ...done });
    } finally {
      aborted.delete(id);
    }
  },

  abort({ id }) {
    aborted.add(id);
  },
};

addEventListener("message", async ({ data }) => {
  try {
    await work[data.work](data);
  } catch (error) {
    postMessage({ id: data.id, kind: "error", error: pack(error) });
  }
});
