#!/usr/bin/env bash
# probe-image-size 7.5.0 (JavaScript) takes a turn to the left of an AVIF picture for one to the right.
#
# Its `orientation` is documented as that of EXIF. In AVIF the property irot says by how many quarters a picture
# is turned anti-clockwise (ISO/IEC 23008-12, 6.5.10), so 3 is EXIF's orientation 6, and 1 is 8.
# Seen, without an error: Pillow 13.0.0 writes AVIF files of the orientations 1 to 8 and reads the same numbers back.
# probe-image-size gives 8 for 6, and 6 for 8, and the other six right. Upright photographs of a telephone are of these
# two kinds, and one that is turned by the wrong number stands on its head. In a JPEG all eight are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund probe-image-size@7.5.0
env/bin/python - <<'PY'
from PIL import Image

image = Image.new("RGB", (64, 48))
for orientation in range(1, 9):
    for suffix in ("avif", "jpg"):
        exif = Image.Exif()
        exif[274] = orientation
        image.save(f"{orientation}.{suffix}", exif=exif)
        with Image.open(f"{orientation}.{suffix}") as file:
            assert file.getexif().get(274, 1) == orientation
PY
cat > read.js <<'JS'
const assert = require('node:assert');
const fs = require('node:fs');
const probe = require('probe-image-size');

for (const suffix of ['jpg', 'avif'])
  for (let right = 1; right <= 8; right++) {
    const file = fs.readFileSync(`${right}.${suffix}`);
    const at = file.indexOf('irot');
    const turns = at < 0 ? 0 : file[at + 4] & 3;
    const found = probe.sync(file).orientation ?? 1;
    console.log(`.${suffix}, orientation ${right}, ${turns} quarters anti-clockwise: ${found}`);
    if (suffix === 'avif' && (right === 6 || right === 8)) {
      assert.equal(turns, right === 6 ? 3 : 1);
      assert.equal(found, right === 6 ? 8 : 6, 'this has changed');
    } else assert.equal(found, right, 'this has changed');
  }
JS
node read.js
