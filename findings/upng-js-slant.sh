#!/usr/bin/env bash
# upng-js 2.1.0 reads grey PNG pictures of 1 bit with a slant, unless a row fills whole bytes.
#
# The PNG specification ("Scanlines") starts each row of pixels with a new byte. Scans of pages and masks are grey of
# 1 bit. upng-js (UPNG.toRGBA8) goes on in the byte where the row before has ended.
# Seen, without an error: of random pixels in 8 and 64 columns none is wrong. In 9 and 65 columns the first row is
# right, and about half of the pixels below it are wrong. A palette of 1 bit is right in every width.
# pngjs 7.0.0 and Pillow read them right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0 numpy==2.4.6
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund upng-js@2.1.0 pngjs@7.0.0
env/bin/python - <<'PY'
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
for width in (8, 9, 64, 65):
    pixels = rng.integers(0, 2, (16, width), dtype=np.uint8)
    Image.fromarray(255 * pixels).convert("1", dither=0).save(f"grey{width}.png")
    image = Image.fromarray(pixels, "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(f"palette{width}.png", bits=1)
PY
cat > read.js <<'JS'
const assert = require('node:assert');
const fs = require('node:fs');
const UPNG = require('upng-js');
const { PNG } = require('pngjs');

for (const kind of ['grey', 'palette'])
  for (const width of [8, 9, 64, 65]) {
    const file = fs.readFileSync(`${kind}${width}.png`);
    assert.equal(file[24], 1);
    const found = new Uint8Array(UPNG.toRGBA8(UPNG.decode(file))[0]);
    const right = PNG.sync.read(file).data;
    const wrong = [0, 0];
    for (let i = 0; i < width * 16; i++) wrong[i < width ? 0 : 1] += found[4 * i] !== right[4 * i];
    const share = wrong[1] / (width * 15);
    console.log(`${kind}, ${width} columns: ${wrong[0]} wrong in the first row, ${(100 * share).toFixed(0)} % below`);
    assert.equal(wrong[0], 0, 'this has changed');
    assert.ok(kind === 'grey' && width % 8 ? share > 0.3 : share === 0, 'this has changed');
  }
JS
node read.js
