#!/usr/bin/env bash
# image-js 1.7.0 reads PNG pictures of 1 bit wrongly, and palettes of few bits with a slant.
#
# The PNG specification ("Scanlines") packs the leftmost pixel into the high bits of a byte and starts each row with a
# new byte. image-js is for the analysis of pictures, where masks are of 1 bit and maps of labels are palettes.
# Seen, without an error: of a 1-bit picture as wide as one byte every pixel is black; in other widths about half of
# random pixels are wrong. A palette of 4 bits is right at width 8, and wrong from the second row on at width 9.
# pngjs 7.0.0 and Pillow read them right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0 numpy==2.4.6
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund image-js@1.7.0 pngjs@7.0.0
env/bin/python - <<'PY'
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
for width in (8, 9, 64):
    pixels = rng.integers(0, 2, (16, width), dtype=np.uint8) * 255
    Image.fromarray(pixels).convert("1", dither=0).save(f"mask{width}.png", bits=1)
    image = Image.fromarray(rng.integers(0, 16, (16, width), dtype=np.uint8), "P")
    image.putpalette([value for i in range(16) for value in (i * 16, 0, 255 - i * 16)])
    image.save(f"palette{width}.png", bits=4)
PY
cat > read.mjs <<'JS'
import assert from 'node:assert';
import fs from 'node:fs';
import { decode } from 'image-js';
import { PNG } from 'pngjs';

for (const [kind, depth] of [['mask', 1], ['palette', 4]])
  for (const width of [8, 9, 64]) {
    const file = fs.readFileSync(`${kind}${width}.png`);
    assert.equal(file[24], depth);
    const image = decode(file);
    const found = image.getRawImage().data;
    const right = PNG.sync.read(file).data;
    let wrong = 0;
    for (let i = 0; i < width * 16; i++) wrong += found[i * image.channels] !== right[i * 4];
    const share = wrong / (width * 16);
    console.log(`${kind} of ${depth} bits, ${width} x 16: ${(100 * share).toFixed(0)} % of pixels wrong`);
    assert.ok(kind === 'palette' && width !== 9 ? share === 0 : share > 0.3, 'this has changed');
    if (kind === 'mask' && width === 8) assert.ok(found.every((value) => value === 0), 'this has changed');
  }
JS
node read.mjs
