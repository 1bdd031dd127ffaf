#!/usr/bin/env bash
# sharp 0.35.5 makes a PNG lossy when it is asked for more effort.
#
# PNG is lossless, and for sharp's other formats `effort` trades time for bytes alone. For PNG, `effort`, like
# `quality`, "sets palette to true": the picture is reduced to 256 colours. Only the list of options says so.
# Seen, for a colourful 64 x 64 picture: with no option and with compressionLevel 9 every pixel comes back.
# With effort 7 or 10, or quality 100, nearly every pixel is changed, by up to 38 of 255, and the file is a third.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund sharp@0.35.5
cat > effort.mjs <<'JS'
import assert from 'node:assert';
import sharp from 'sharp';

const size = 64;
const raw = Buffer.alloc(size * size * 3);
for (let y = 0; y < size; y++)
  for (let x = 0; x < size; x++) raw.set([4 * x, 4 * y, (x * y) & 255], 3 * (y * size + x));

async function changed(options) {
  const file = await sharp(raw, { raw: { width: size, height: size, channels: 3 } }).png(options).toBuffer();
  const back = await sharp(file).removeAlpha().raw().toBuffer();
  let count = 0;
  let largest = 0;
  for (let i = 0; i < raw.length; i++) {
    const error = Math.abs(raw[i] - back[i]);
    largest = Math.max(largest, error);
    count += error > 0;
  }
  const share = ((100 * count) / raw.length).toFixed(1);
  console.log(`png(${JSON.stringify(options)}): ${file.length} bytes, ${share} % changed, largest error ${largest}`);
  return count / raw.length;
}

for (const options of [{}, { compressionLevel: 9 }, { progressive: true }])
  assert.equal(await changed(options), 0, 'this has changed');
for (const options of [{ effort: 7 }, { effort: 10 }, { quality: 100 }])
  assert.ok((await changed(options)) > 0.5, 'this has changed');
JS
node effort.mjs
