#!/usr/bin/env bash
# tiff 7.1.3 (JavaScript) reads tiled colour pictures, negative and half-precision values of TIFF files wrongly.
#
# TIFF 6.0, section 15, has tiles; tiled colour pictures are usual in microscopy and GIS. The library reads tiles, and
# for what it does not read (separate planes, predictor 3) it raises errors. image-js reads TIFF with it.
# Seen, without an error: of a tiled RGB picture fewer than 1 of 100 values are right, and many are 0. A tiled grey one
# is right, but not with predictor 2. A picture of int16 comes as unsigned numbers (-1 as 65535), and one of float16 as
# the integers of its bits. The same pictures of uint8 in strips are right.
# geotiff 3.0.5 reads all of them right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund tiff@7.1.3 geotiff@3.0.5
env/bin/python - <<'PY'
import json

import numpy as np
import tifffile

y, x = np.mgrid[0:21, 0:37]
grey = (128 + 60 * np.sin(x / 9) * np.cos(y / 7) + np.random.default_rng(0).normal(0, 6, x.shape)).astype(np.uint8)
colour = np.stack([grey, grey // 2, 255 - grey], -1)
tile = {"tile": (16, 16)}
predictor = {"compression": "deflate", "predictor": 2}
cases = {
    "grey in strips": (grey, {}),
    "colours in strips": (colour, predictor),
    "grey in tiles": (grey, tile),
    "grey in tiles, predictor 2": (grey, tile | predictor),
    "colours in tiles": (colour, tile),
    "colours in tiles, LZW": (colour, tile | {"compression": "lzw"}),
    "int16": (grey.astype(np.int16) - 128, {}),
    "float16": (grey.astype(np.float16) / 256, {}),
}
for name, (pixels, how) in cases.items():
    tifffile.imwrite(f"{name}.tif", pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **how)
    assert (tifffile.imread(f"{name}.tif") == pixels).all()
with open("right.json", "w") as file:
    json.dump({name: pixels.astype(float).ravel().tolist() for name, (pixels, _) in cases.items()}, file)
PY
cat > read.mjs <<'JS'
import assert from 'node:assert';
import fs from 'node:fs';
import { fromArrayBuffer } from 'geotiff';
import { decode } from 'tiff';

const least = { 'grey in tiles, predictor 2': 0.3, int16: 0.2, float16: 1 };
least['colours in tiles'] = least['colours in tiles, LZW'] = 0.9;
for (const [name, right] of Object.entries(JSON.parse(fs.readFileSync('right.json')))) {
  const file = new Uint8Array(fs.readFileSync(`${name}.tif`));
  const found = decode(file)[0].data;
  const other = await (await (await fromArrayBuffer(file.buffer)).getImage()).readRasters({ interleave: true });
  assert.ok(right.length === other.length && right.every((value, i) => value === other[i]));
  assert.equal(found.length, right.length);
  const wrong = right.filter((value, i) => value !== found[i]).length / right.length;
  console.log(`${name}: ${(100 * wrong).toFixed(0)} % of the values are wrong`);
  assert.ok(name in least ? wrong >= least[name] : wrong === 0, 'this has changed');
}
JS
node read.mjs
