#!/usr/bin/env bash
# Pillow 13.0.0 reads an uncompressed 16-bit RGB TIFF with separate planes wrongly.
#
# Seen: it opens as RGB, of the right size, with no error and no warning. Each plane of 16-bit values is read
# as if it were of 8 bits, so the picture shows its left or upper half, stretched. tifffile reads it right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
import tifffile
from PIL import Image

y, x = np.mgrid[0:96, 0:128]
pixels = np.stack([x * 2, y * 2, 128 + 0 * x], -1).astype(np.uint16) * 257
file = io.BytesIO()
tifffile.imwrite(file, np.moveaxis(pixels, 2, 0), photometric="rgb", planarconfig="separate")
assert np.array_equal(np.moveaxis(tifffile.imread(io.BytesIO(file.getvalue())), 0, 2), pixels)
image = Image.open(io.BytesIO(file.getvalue()))
found = np.asarray(image)
print(image.mode, image.size, "at row 50, column 60:", found[50, 60], "for", pixels[50, 60] // 257)
assert image.mode == "RGB", "this has changed"
assert found[50, 60].tolist() == [60, 50, 128], "this has changed"
PY
