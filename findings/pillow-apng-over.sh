#!/usr/bin/env bash
# Pillow 13.0.0 and imagecodecs 2026.3.6 play translucent APNG frames wrongly: an opaque picture becomes translucent.
#
# The PNG specification (third edition, fcTL chunk) says of APNG_BLEND_OP_OVER that the frame is composited by
# a simple OVER operation. The alpha of OVER is a + b * (1 - a), so anything over an opaque canvas is opaque.
# Both mix the alpha like a colour, and a colour over a transparent pixel with that pixel's hidden colour.
# Seen, for one blue frame of alpha 128: alpha 191 over opaque red; blue 128, alpha 64 over transparent black.
# OpenCV 5.0.0 composites right: alpha 255 and about (127, 0, 128); blue 255, alpha 128.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pillow==13.0.0 imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import io
import struct
import zlib

import cv2
import imagecodecs
import numpy as np
from PIL import Image

OVER = 1


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def control(number):
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 1, 10, 0, OVER if number else 0))


def animation(first, second):
    frames = [zlib.compress(b"\0" + bytes(colour)) for colour in (first, second)]
    return b"".join([
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        control(0),
        chunk(b"IDAT", frames[0]),
        control(1),
        chunk(b"fdAT", struct.pack(">I", 2) + frames[1]),
        chunk(b"IEND", b""),
    ])  # fmt: skip


def by_pillow(file):
    image = Image.open(io.BytesIO(file))
    image.seek(1)
    return list(image.convert("RGBA").getpixel((0, 0)))


def by_imagecodecs(file):
    return imagecodecs.apng_decode(file)[1].reshape(4).tolist()


def by_opencv(file):
    _, frames = cv2.imdecodeanimation(np.frombuffer(file, np.uint8))
    blue, green, red, alpha = frames.frames[1].reshape(4).tolist()
    return [red, green, blue, alpha]


blue = (0, 0, 255, 128)
for name, canvas, right, wrong in [
    ("opaque red", (255, 0, 0, 255), (127, 0, 128, 255), (127, 0, 128, 191)),
    ("transparent black", (0, 0, 0, 0), (0, 0, 255, 128), (0, 0, 128, 64)),
]:
    file = animation(canvas, blue)
    found = [read(file) for read in (by_pillow, by_imagecodecs, by_opencv)]
    print(f"blue of alpha 128 over {name}: Pillow {found[0]}, imagecodecs {found[1]}, OpenCV {found[2]}")
    for pixel, expected in zip(found, (wrong, wrong, right), strict=True):
        assert np.abs(np.subtract(pixel, expected)).max() <= 1, "this has changed"
PY
