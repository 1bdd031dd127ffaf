#!/usr/bin/env bash
# libvips 8.18.7 (pyvips, sharp) makes 16-bit pictures darker and patterned when it makes them smaller.
#
# The weights of a resize add up to one, so a plain picture stays as it is: in libvips so with 8 bits and with float32.
# Seen, with 16 bits and the default kernel: of a plain white picture, 65,535, made 0.9 to 0.2 times as wide, pixels
# become 65,407 to 65,503, and not all pixels the same. All values lose up to 0.2 %, which is up to half a level of 8
# bits; 16 bits have steps 257 times finer. The kernels linear, lanczos2 and mitchell do so, too, at other scales. sharp
# 0.35.5 gives 39,922 for 40,000. Pictures that become larger are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pyvips==3.1.1 pyvips-binary==8.18.7 numpy==2.4.6
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund sharp@0.35.5
env/bin/python - <<'PY'
import numpy as np
import pyvips

for kind, white in (("uint8", 255), ("float32", 65535), ("uint16", 65535)):
    plain = pyvips.Image.new_from_array(np.full((64, 64), white, kind))
    for kernel in ("lanczos3", "linear", "lanczos2", "mitchell"):
        found = {}
        for scale in (2, 0.9, 1 / 3, 0.3125, 0.2):
            pixels = plain.resize(scale, kernel=kernel).numpy()
            found[scale] = (int(pixels.min()), int(pixels.max()))
        text = ", ".join(f"{scale:.2f}: {low}-{high}" for scale, (low, high) in found.items())
        print(f"{kind}, {kernel}, by scale: {text}")
        assert found[2] == (white, white)
        wrong = [scale for scale, (low, _) in found.items() if low != white]
        if kind != "uint16":
            assert not wrong
        else:
            assert len(wrong) >= (4 if kernel == "lanczos3" else 2), "this has changed"
deep = np.full((32, 32), 40000, np.uint16)
pyvips.Image.new_from_array(deep).copy(interpretation="grey16").write_to_file("plain.png")
PY
cat > resize.js <<'JS'
const assert = require('node:assert');
const sharp = require('sharp');

(async () => {
  const show = async (name, picture, expected) => {
    const { data } = await picture.toBuffer({ resolveWithObject: true });
    const value = data.readUInt16LE(2 * 55);
    console.log(`sharp, ${name}: 40000 became ${value}`);
    assert.equal(value, expected, 'this has changed');
  };
  const deep = (picture) => picture.toColourspace('grey16').raw({ depth: 'ushort' });
  await show('as it is', deep(sharp('plain.png')), 40000);
  await show('resize', deep(sharp('plain.png').resize(10, 10)), 39922);
})();
JS
node resize.js
