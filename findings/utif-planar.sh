#!/usr/bin/env bash
# UTIF.js (utif 3.1.0 and utif2 4.1.0) reads an RGB TIFF with separate planes as if its pixels were interleaved.
#
# TIFF 6.0 has PlanarConfiguration 2: first all red values, then all green, then all blue. "tiffcp -p separate"
# writes it, and so does scientific software. UTIF.toRGBA8 takes three neighbours of the red plane for a pixel.
# Seen, without an error: of a red picture of 48 x 16 pixels the first third of the pixels comes back white, and the
# rest black. The same picture with interleaved pixels is right. The package tiff 7.1.3 refuses the planar file with
# a RangeError; Pillow and tifffile read it right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pillow==13.0.0 numpy==2.4.6 tifffile==2026.3.3
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund utif@3.1.0 utif2@4.1.0 tiff@7.1.3
env/bin/python - <<'PY'
import numpy as np
import tifffile
from PIL import Image

red = np.zeros((16, 48, 3), np.uint8)
red[..., 0] = 255
tifffile.imwrite("chunky.tif", red, photometric="rgb", planarconfig="contig")
tifffile.imwrite("planar.tif", red.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
for name in ("chunky.tif", "planar.tif"):
    with tifffile.TiffFile(name) as file:
        print(name, "PlanarConfiguration", int(file.pages[0].planarconfig))
    assert (np.asarray(Image.open(name)) == red).all()
PY
cat > read.mjs <<'JS'
import assert from 'node:assert';
import fs from 'node:fs';
import { decode } from 'tiff';
import utif from 'utif';
import utif2 from 'utif2';

const RED = '255,0,0';
for (const [name, UTIF] of Object.entries({ utif, utif2 }))
  for (const kind of ['chunky', 'planar']) {
    const file = fs.readFileSync(`${kind}.tif`);
    const [page] = UTIF.decode(file);
    UTIF.decodeImage(file, page);
    const pixels = UTIF.toRGBA8(page);
    const seen = {};
    for (let i = 0; i < pixels.length; i += 4) {
      const colour = [...pixels.slice(i, i + 3)].join(',');
      seen[colour] = (seen[colour] ?? 0) + 1;
    }
    console.log(name, kind, seen);
    const expected = kind === 'chunky' ? { [RED]: 768 } : { '255,255,255': 256, '0,0,0': 512 };
    assert.deepEqual(seen, expected, 'this has changed');
  }
assert.throws(() => decode(fs.readFileSync('planar.tif')), RangeError, 'this has changed');
console.log('tiff refuses the planar file');
JS
node read.mjs
