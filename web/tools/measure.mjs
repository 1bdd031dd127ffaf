/**
 * How long a picture takes in Chromium: `node tools/measure.mjs photo.aec [--rounds N] [--runs N]`.
 *
 * Each round starts a new browser, whose first page fetches the weights and is closed. `ready` is
 * what a page then takes to prepare the decoder, `first` its first picture, `later` the ones after
 * it; `cold` is a page that decodes at once, with the weights in the browser's cache. Every picture
 * is decoded twice: up to its first preview, and whole.
 *
 * Times are in milliseconds: of the clock, which beside other work says little, and of the
 * processors, summed over all of the page's threads and the compiler's.
 */

import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";

import { launch } from "../test/chromium.mjs";
import { ROOT } from "../test/files.mjs";
import { serve } from "./serve.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "3" }, runs: { type: "string", default: "12" } },
});
const bytes = readFileSync(positionals[0]).toString("base64");

const ready = (base64) => {
  const file = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return aecodec.readInfo(file).then(({ model }) => aecodec.preload(model)); // not those of another file
};
const decode = (stopEarly) =>
  new Function(
    "base64",
    `return (async () => {
      const file = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const stop = new AbortController();
      const early = () => ${stopEarly} && stop.abort();
      await aecodec.decode(file, { onPreview: early, signal: stop.signal }).catch(() => {});
    })()`,
  );
const text = (list) => {
  const sorted = list.map(Math.round).sort((a, b) => a - b);
  return `${sorted[0]}..${sorted.at(-1)}, median ${sorted[sorted.length >> 1]}`;
};

for (const plain of [false, true]) {
  const found = new Map();
  const server = await serve(ROOT, { plain });
  for (let round = 0; round < Number(values.rounds); round++) {
    const browser = await launch();
    const session = await browser.newBrowserCDPSession();
    const context = await browser.newContext();
    const cpu = async () => {
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      const of = processInfo.filter(({ type }) => type === "renderer");
      return 1000 * of.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    };
    const timed = async (page, name, work, argument) => {
      const [clock, processors] = [performance.now(), await cpu()];
      await page.evaluate(work, argument);
      const entry = { clock: performance.now() - clock, processors: (await cpu()) - processors };
      found.set(name, [...(found.get(name) ?? []), entry]);
    };
    const open = async () => {
      const page = await context.newPage();
      await page.goto(`${server.url}web/test/page.html`);
      await page.waitForFunction(() => window.aecodec);
      return page;
    };
    const fetching = await open();
    await fetching.evaluate(ready, bytes);
    await fetching.close();
    for (const early of [true, false]) {
      const name = early ? "preview" : "whole";
      const page = await open();
      await timed(page, "ready", ready, bytes);
      await timed(page, `first ${name}`, decode(early), bytes);
      for (let k = 0; k < Number(values.runs); k++) await page.evaluate(decode(false), bytes);
      for (let k = 0; k < 5; k++) await timed(page, `later ${name}`, decode(early), bytes);
      await page.close();
      const cold = await open();
      await timed(cold, `cold ${name}`, decode(early), bytes);
      await cold.close();
    }
    await browser.close();
  }
  server.close();
  console.log(`${basename(positionals[0])}, ${plain ? "one thread" : "threads"}, load ${loadavg()[0].toFixed(1)}`);
  for (const [name, entries] of [...found].sort()) {
    const [clock, processors] = ["clock", "processors"].map((kind) => text(entries.map((entry) => entry[kind])));
    console.log(`  ${name.padEnd(14)} processors ${processors.padEnd(26)} clock ${clock}`);
  }
}
