#!/usr/bin/env bash
# image-size 2.1.0 and probe-image-size 7.5.0 (JavaScript) give a wrong size of HEIC pictures whose sides are odd.
#
# HEVC codes pictures of even sides. A HEIC file of an odd side has the coded size in the property ispe, and the right
# one in clap, which a reader must apply (ISO/IEC 23008-12, 6.5.9; ISO/IEC 14496-12, 12.1.4). Crops have such sizes.
# Seen, without an error: a picture of 321 x 201 is 321 x 202 for image-size and 322 x 202 for probe-image-size. One of
# 300 x 513 is 299 x 514, and one of 320 x 200 with a thumbnail is 319 x 200, for image-size. pillow-heif 1.8.1 and
# sharp 0.35.5 give the right sizes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0 pillow-heif==1.8.1
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund image-size@2.1.0 probe-image-size@7.5.0 sharp@0.35.5
env/bin/python - <<'PY'
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
for size in ((320, 200), (321, 201), (300, 513)):
    for thumbnail in (0, 64):
        name = "{}x{}-{}.heic".format(*size, thumbnail)
        Image.new("RGB", size).save(name, thumbnails=[thumbnail] if thumbnail else [])
        with Image.open(name) as file:
            assert file.size == size
PY
cat > read.js <<'JS'
const assert = require('node:assert');
const fs = require('node:fs');
const { imageSize } = require('image-size');
const probe = require('probe-image-size');
const sharp = require('sharp');

const wrong = {
  '320x200-0': ['320x200', '320x200'],
  '320x200-64': ['319x200', '320x200'],
  '321x201-0': ['321x202', '322x202'],
  '321x201-64': ['321x202', '322x202'],
  '300x513-0': ['299x514', '300x514'],
  '300x513-64': ['299x514', '300x514'],
};
(async () => {
  for (const [name, expected] of Object.entries(wrong)) {
    const file = fs.readFileSync(`${name}.heic`);
    const sizes = [imageSize(file), probe.sync(file), await sharp(file).metadata()];
    const found = sizes.map(({ width, height }) => `${width}x${height}`);
    const [size, thumbnail] = name.split('-');
    console.log(`${size}, thumbnail ${thumbnail}: image-size ${found[0]}, probe ${found[1]}, sharp ${found[2]}`);
    assert.equal(found[2], size);
    assert.deepEqual(found.slice(0, 2), expected, 'this has changed');
  }
})();
JS
node read.js
