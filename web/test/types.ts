/** Compiled, never run: the declarations fit what the README shows. */

import {
  AecImage,
  CorruptError,
  configure,
  decode,
  draw,
  models,
  polyfill,
  preload,
  readInfo,
  toBlob,
} from "../src/index.js";
import { decode as decodeInNode, type Picture } from "../src/node.js";

async function page(): Promise<void> {
  configure({ base: "/aecodec/", threads: 2 });
  await preload("small");
  const image: ImageData = await decode("photo.aec", { onPreview: ({ scale, rgba }) => void (scale * rgba.length) });
  const info = await readInfo(new Uint8Array(3), { maxPixels: 2 ** 20 });
  const mode: "L" | "LA" | "RGB" | "RGBA" = info.mode;
  await draw(new Blob(), document.createElement("canvas"), { signal: new AbortController().signal });
  const blob: Blob = await toBlob("photo.aec", { type: "image/webp" });
  const stop: () => void = polyfill(document, { grain: false });
  const element: AecImage = document.createElement("aec-image");
  element.noGrain = true;
  element.src = "photo.aec";
  const first: string | undefined = models()[0]?.name;
  // @ts-expect-error: there is no such scale
  await decode("photo.aec", { scale: 3 });
  try {
    const picture: Picture = await decodeInNode(new Uint8Array(3));
    void [image, mode, blob, stop, first, picture.checksums];
  } catch (error) {
    if (error instanceof CorruptError) console.log(error.message);
  }
}
void page;
