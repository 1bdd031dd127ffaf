#!/usr/bin/env bash
# OpenCV 5.0.0 reads a binary PGM or PPM whose greatest value is not 255 or 65535 too dark.
#
# Netpbm's description of the formats (ppm, pgm) defines a sample as a part of Maxval, which the header gives.
# A 10-bit frame has Maxval 1023, and so its white is 1023. OpenCV ignores Maxval in binary files.
# Seen: white of a file of Maxval 1023 is 1023 of 65535, or 3 of 255 when it is read as 8 bits; that of Maxval
# 100 is 100 of 255. In the text variant of the same file with Maxval 100, white is 255. Pillow scales them all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io
import struct

import cv2
import numpy as np
from PIL import Image

# Two pixels each: black and white.
files = {
    "binary, Maxval 1023": b"P6\n2 1\n1023\n" + struct.pack(">6H", 0, 0, 0, 1023, 1023, 1023),
    "binary, Maxval 100": b"P6\n2 1\n100\n" + bytes([0, 0, 0, 100, 100, 100]),
    "text, Maxval 100": b"P3\n2 1\n100\n0 0 0 100 100 100\n",
    "binary, Maxval 255": b"P6\n2 1\n255\n" + bytes([0, 0, 0, 255, 255, 255]),
}
found = {}
for name, file in files.items():
    data = np.frombuffer(file, np.uint8)
    whole = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    in_8_bits = int(cv2.imdecode(data, cv2.IMREAD_COLOR)[0, 1, 0])
    by_pillow = Image.open(io.BytesIO(file)).getpixel((1, 0))[0]
    found[name] = int(whole[0, 1, 0]), str(whole.dtype), in_8_bits
    print(f"{name}: white is {found[name][0]} as {whole.dtype}, {in_8_bits} in 8 bits; {by_pillow} by Pillow")
    assert by_pillow == 255
assert list(found.values()) == [
    (1023, "uint16", 3), (100, "uint8", 100), (255, "uint8", 255), (255, "uint8", 255)
], "this has changed"  # fmt: skip
PY
