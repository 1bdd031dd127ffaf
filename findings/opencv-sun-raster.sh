#!/usr/bin/env bash
# OpenCV 5.0 reads its own grey Sun raster files as black.
#
# OpenCV lists Sun raster (.sr, .ras) as "always supported", for reading and writing. A file of 8 bits without a colour
# map holds grey levels.
# Seen, without an error: imwrite writes a right file, and Pillow 13.0.0 reads it back equal. imread gives zero for
# every pixel, in grey and unchanged. With IMREAD_COLOR, the default, the file is right, and so is a colour picture.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
flags = {"unchanged": cv2.IMREAD_UNCHANGED, "grey": cv2.IMREAD_GRAYSCALE, "colour": cv2.IMREAD_COLOR}
for width in (48, 61):
    pixels = rng.integers(1, 256, (32, width), dtype=np.uint8)
    for suffix in ("ras", "sr"):
        assert cv2.imwrite(f"grey.{suffix}", pixels)
        assert (np.asarray(Image.open(f"grey.{suffix}")) == pixels).all()
        for name, flag in flags.items():
            found = cv2.imread(f"grey.{suffix}", flag)
            print(f"{width} columns, .{suffix}, {name}: shape {found.shape}, from {found.min()} to {found.max()}")
            right = np.stack([pixels] * 3, -1) if name == "colour" else 0 * pixels
            assert found.shape == right.shape and (found == right).all(), "this has changed"
    colours = rng.integers(0, 256, (32, width, 3), dtype=np.uint8)
    cv2.imwrite("colours.ras", colours)
    assert (cv2.imread("colours.ras") == colours).all()
PY
