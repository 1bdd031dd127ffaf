#!/usr/bin/env bash
# OpenCV 5.0.0 turns a JPEG by its orientation unless told otherwise, a TIFF always, and an AVIF never.
#
# Its documentation says that imread turns an image by its Exif orientation, except with
# IMREAD_IGNORE_ORIENTATION or IMREAD_UNCHANGED. HEIF (ISO/IEC 23008-12), which AVIF is, demands
# that a reader applies an image's rotation (irot), which is an essential property.
# Seen, for one picture that is to be turned by 90 degrees: a PNG and a WebP are treated as a JPEG is; a TIFF is
# turned with both flags as well; an AVIF lies on its side with all. libvips turns the same AVIF.
# So files of one photograph in two formats do not match, and turning by Exif afterwards turns a TIFF twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 "pyvips[binary]==3.2.0" pyvips-binary==8.18.7 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np
import pyvips
from PIL import Image

exif = Image.Exif()
exif[0x0112] = 6  # To be turned by 90 degrees: 96 x 64 becomes 64 x 96.
flags = {
    "default": cv2.IMREAD_COLOR,
    "ignore orientation": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "unchanged": cv2.IMREAD_UNCHANGED,
}
expected = {"jpg": [True, False, False], "png": [True, False, False], "webp": [True, False, False],
            "tif": [True, True, True], "avif": [False, False, False]}  # fmt: skip
for suffix, wanted in expected.items():
    name = f"turned.{suffix}"
    Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(name, exif=exif)
    data = np.fromfile(name, np.uint8)
    turned = [cv2.imdecode(data, flag).shape[:2] == (96, 64) for flag in flags.values()]
    print(f"{suffix} turned:", dict(zip(flags, turned, strict=True)))
    assert turned == wanted, "this has changed"
avif = pyvips.Image.new_from_file("turned.avif")
print("libvips reads the AVIF as", avif.width, "x", avif.height)
assert (avif.width, avif.height) == (64, 96)
PY
