#!/usr/bin/env bash
# sharp 0.35.5 makes a PNG lossy when it is asked for more effort, and a TIFF when it is asked for nothing.
#
# PNG is lossless, and for sharp's other formats `effort` trades time for bytes alone. For PNG, `effort`, like
# `quality`, "sets palette to true": the picture is reduced to 256 colours. TIFF is what pictures are kept in, and
# other libraries write it lossless unless told otherwise; sharp writes JPEG of quality 80 into it.
# Only the lists of options say so.
# Seen, for a colourful 64 x 64 picture: png() and png({compressionLevel: 9}) change no value. With effort 7 or 10, or
# with quality 100, 97 % of the values are changed, by up to 42 of 255, and the file is a third.
# tiff() changes most values and drops the transparency; tiff({compression: 'lzw'}) changes none and keeps it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund sharp@0.35.5
cat > save.mjs <<'JS'
import assert from 'node:assert';
import sharp from 'sharp';

const size = 64;
const raw = Buffer.alloc(size * size * 4);
for (let y = 0; y < size; y++)
  for (let x = 0; x < size; x++) raw.set([4 * x, 4 * y, (x * y) & 255, 255], 4 * (y * size + x));
const picture = sharp(raw, { raw: { width: size, height: size, channels: 4 } });

async function changed(format, options) {
  const file = await picture.clone().removeAlpha().toFormat(format, options).toBuffer();
  const back = await sharp(file).removeAlpha().raw().toBuffer();
  let count = 0;
  let largest = 0;
  for (let i = 0; i < size * size; i++)
    for (let c = 0; c < 3; c++) {
      const error = Math.abs(raw[4 * i + c] - back[3 * i + c]);
      largest = Math.max(largest, error);
      count += error > 0;
    }
  const share = count / (size * size * 3);
  const shown = `${(100 * share).toFixed(1)} % changed, largest error ${largest}`;
  console.log(`${format}(${JSON.stringify(options)}): ${file.length} bytes, ${shown}`);
  return share;
}

for (const options of [{}, { compressionLevel: 9 }, { progressive: true }])
  assert.equal(await changed('png', options), 0, 'this has changed');
for (const options of [{ effort: 7 }, { effort: 10 }, { quality: 100 }])
  assert.ok((await changed('png', options)) > 0.5, 'this has changed');
assert.ok((await changed('tiff', {})) > 0.5, 'this has changed');
assert.equal(await changed('tiff', { compression: 'lzw' }), 0, 'this has changed');
const channels = async (options) => (await sharp(await picture.clone().tiff(options).toBuffer()).metadata()).channels;
const kept = [await channels({}), await channels({ compression: 'lzw' })];
console.log('channels of a TIFF of RGBA, by default and with LZW:', kept.join(', '));
assert.deepEqual(kept, [3, 4], 'this has changed');
JS
node save.mjs
