#!/usr/bin/env bash
# Pillow 13.0.0 and OpenCV 5.0.0 read a 16-bit TIFF whose white is zero as its negative, and an 8-bit one right.
#
# TIFF 6.0 says of PhotometricInterpretation 0 (WhiteIsZero), for grey pictures of any depth: "0 is imaged as white".
# Both turn the values of 8-bit files round, so a reader takes it that they do so in all.
# Seen, for a file whose first pixel is white: at 8 bits both give 255; at 16 bits both give 0, without a warning.
# OpenCV gives white again if the same 16-bit file is read in colour. libvips turns both depths round.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 "pyvips[binary]==3.2.0" pyvips-binary==8.18.7 \
  tifffile==2026.3.3 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np
import pyvips
import tifffile
from PIL import Image

for dtype in (np.uint8, np.uint16):
    top = int(np.iinfo(dtype).max)
    ramp = np.linspace(0, top, 64).astype(dtype)
    name = f"{np.dtype(dtype)}.tif"
    tifffile.imwrite(name, np.tile(ramp, (48, 1)), photometric="miniswhite")
    found = {
        "Pillow": int(np.asarray(Image.open(name))[0, 0]),
        "OpenCV": int(cv2.imread(name, cv2.IMREAD_UNCHANGED)[0, 0]),
        "libvips": int(pyvips.Image.new_from_file(name).numpy()[0, 0]),
    }
    colour = int(cv2.imread(name, cv2.IMREAD_COLOR)[0, 0, 0])
    print(f"{np.dtype(dtype)}, white is {top}: {found}; OpenCV in colour, white is 255: {colour}")
    seen = top if dtype == np.uint8 else 0
    assert found == {"Pillow": seen, "OpenCV": seen, "libvips": top} and colour == 255, "this has changed"
PY
