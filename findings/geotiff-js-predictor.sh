#!/usr/bin/env bash
# geotiff 3.0.5 (JavaScript) reads big-endian TIFF files that have a predictor with wrong values.
#
# TIFF 6.0, section 14, and Adobe's technical note 3 store differences of values, or of bytes, in either byte order of
# the file. Predictors are usual with LZW, Deflate and Zstandard, and big-endian files come from GIS and microscopes.
# Seen, without an error: with predictor 2 and 16 bits the first value of a row is right, and nearly all others are
# wrong: carries between the bytes go the wrong way. With predictor 3 (floating point) every value is wrong. Files in
# little-endian order, of 8 bits or without a predictor are right.
# OpenCV 5.0, which has libtiff, reads the same files right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  tifffile==2026.3.3 imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 numpy==2.4.6
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund geotiff@3.0.5
env/bin/python - <<'PY'
import cv2
import numpy as np
import tifffile

y, x = np.mgrid[0:21, 0:37]
levels = 0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 7) + 0.02 * np.random.default_rng(0).normal(size=x.shape)
for kind in (np.uint8, np.uint16, np.float32):
    pixels = (levels if kind is np.float32 else levels * np.iinfo(kind).max).astype(kind)
    for order in ("little", "big"):
        for predictor in (1, 3 if kind is np.float32 else 2):
            name = f"{np.dtype(kind).name}-{order}-{predictor}"
            how = {"compression": "deflate", "predictor": predictor, "byteorder": "<" if order == "little" else ">"}
            tifffile.imwrite(f"{name}.tif", pixels, photometric="minisblack", **how)
            assert (cv2.imread(f"{name}.tif", cv2.IMREAD_UNCHANGED) == pixels).all()
            pixels.tofile(f"{name}.raw")
PY
cat > read.mjs <<'JS'
import assert from 'node:assert';
import fs from 'node:fs';
import { fromArrayBuffer } from 'geotiff';

const types = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
for (const name of fs.readdirSync('.').filter((file) => file.endsWith('.raw')).map((file) => file.slice(0, -4))) {
  const [kind, order, predictor] = name.split('-');
  const right = new types[kind](new Uint8Array(fs.readFileSync(`${name}.raw`)).buffer);
  const tiff = await fromArrayBuffer(new Uint8Array(fs.readFileSync(`${name}.tif`)).buffer);
  const found = await (await tiff.getImage()).readRasters({ interleave: true });
  assert.equal(found.length, right.length);
  const wrong = found.filter((value, i) => value !== right[i]).length / found.length;
  console.log(`${kind}, ${order}-endian, predictor ${predictor}: ${(100 * wrong).toFixed(0)} % wrong`);
  const bad = order === 'big' && predictor !== '1' && kind !== 'uint8';
  assert.ok(bad ? wrong > 0.8 : wrong === 0, 'this has changed');
}
JS
node read.mjs
