/** The system's Chromium, if there is one: the tests bring none of their own. */

import { existsSync } from "node:fs";

export const PLACES = [
  process.env.AECODEC_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
export const executablePath = PLACES.find((path) => path && existsSync(path));

/** A browser, or null where there is none. */
export async function launch() {
  if (!executablePath) return null;
  const { chromium } = await import("playwright-core");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--force-color-profile=srgb"] });
}

if (process.argv[1] === import.meta.filename) console.log(executablePath ?? "");
