#!/usr/bin/env bash
# rasterio 1.4.4 writes an RGBA picture as a CMYK JPEG: what is translucent becomes dark.
#
# JPEG has no transparency. Other libraries refuse four channels of this kind, or drop the last one. GDAL's driver,
# here of GDAL 3.10.3, takes four bands for cyan, magenta, yellow and black, also with photometric="RGB" and where
# the bands are said to be red, green, blue and alpha. No error or warning is given.
# Seen: (200, 120, 40) with alpha 255 comes back as it was, with alpha 128 as (100, 60, 20), with alpha 0 as black.
# The file is CMYK, and Pillow reads the same colours from it. So a map whose border is transparent white gets a
# black one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install rasterio==1.4.4 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io
import warnings

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
picture = np.zeros((4, 48, 96), np.uint8)
picture[:3] = np.array([200, 120, 40])[:, None, None]
for part, alpha in enumerate((255, 128, 0)):
    picture[3, :, 32 * part : 32 * part + 32] = alpha

with MemoryFile() as memory:
    shape = {"height": 48, "width": 96, "count": 4, "dtype": "uint8"}
    with memory.open(driver="JPEG", photometric="RGB", **shape) as out:
        out.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        out.write(picture)
    data = memory.read()
    with memory.open() as file:
        back = file.read()
        print("rasterio reads", [band.name for band in file.colorinterp])

print("GDAL", rasterio.__gdal_version__, "- Pillow reads", Image.open(io.BytesIO(data)).mode)
rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
assert Image.open(io.BytesIO(data)).mode == "CMYK"
for part, wanted in enumerate(((200, 120, 40), (100, 60, 20), (0, 0, 0))):
    x = 32 * part + 16
    print(f"alpha {picture[3, 24, x]}: rasterio {back[:, 24, x]}, Pillow {rgb[24, x]}")
    assert np.abs(back[:, 24, x].astype(int) - wanted).max() <= 3
    assert np.abs(rgb[24, x].astype(int) - wanted).max() <= 3
PY
