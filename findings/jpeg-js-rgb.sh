#!/usr/bin/env bash
# jpeg-js 0.4.4, and with it Jimp 1.6.1, shows a JPEG that holds RGB in wrong colours.
#
# An Adobe marker with transform 0 says that three components are RGB (ITU-T T.872, 6.5.3). The README says of
# `colorTransform` that undefined means to "respect the default behavior encoded in metadata". The marker is read,
# but its 0 is taken for no marker, and RGB is converted as if it were YCbCr.
# Seen: (200, 80, 40) is read as (76, 255, 114), without an error. Pillow writes such files with keep_rgb=True, and
# Photoshop can. Pillow and sharp read them right, and jpeg-js does with colorTransform: false.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund jpeg-js@0.4.4 jimp@1.6.1 sharp@0.35.5
env/bin/python - <<'PY'
from PIL import Image

Image.new("RGB", (16, 16), (200, 80, 40)).save("rgb.jpg", quality=95, keep_rgb=True)
file = Image.open("rgb.jpg")
print("Pillow:", file.info["adobe_transform"], "is the transform;", file.getpixel((8, 8)), "is the colour")
assert file.info["adobe_transform"] == 0 and file.getpixel((8, 8)) == (200, 80, 40)
PY
cat > read.mjs <<'JS'
import assert from 'node:assert';
import fs from 'node:fs';
import { Jimp } from 'jimp';
import jpeg from 'jpeg-js';
import sharp from 'sharp';

const file = fs.readFileSync('rgb.jpg');
const found = {
  'jpeg-js': jpeg.decode(file).data,
  Jimp: (await Jimp.read('rgb.jpg')).bitmap.data,
  'jpeg-js, colorTransform: false': jpeg.decode(file, { colorTransform: false }).data,
  sharp: await sharp(file).raw().toBuffer(),
};
for (const name in found) {
  const pixel = [...found[name].subarray(0, 3)];
  console.log(`${name}: ${pixel}`);
  const right = name === 'sharp' || name.includes('false');
  assert.deepEqual(pixel, right ? [200, 80, 40] : [76, 255, 114], 'this has changed');
}
JS
node read.mjs
