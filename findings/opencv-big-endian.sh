#!/usr/bin/env bash
# OpenCV 5.0 and imagecodecs 2026.3.6 (JPEG 2000, TIFF, RGBE) take the bytes of a big-endian array in the wrong order.
#
# A NumPy array is its values, and its dtype says how they are stored. Big-endian arrays are usual: astropy gives the
# pixels of FITS files so, and np.frombuffer(data, ">u2") reads the 16-bit pixels of a PNM or PNG file.
# Seen, without an error: cv2.imencode writes 256 for the value 1, and cv2.mean gives 256 for its mean. imagecodecs'
# jpeg2k_encode, htj2k_encode, tiff_encode and rgbe_encode do the same, while its encoders of PNG, JPEG XL, JPEG-LS,
# LERC and others raise an error for such an array. tifffile and Pillow are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 imagecodecs==2026.3.6 tifffile==2026.3.3 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image

native = np.random.default_rng(0).integers(0, 2**16, (32, 48), dtype=np.uint16)
big = native.astype(">u2")
assert (big == native).all()


def by_tifffile(array):
    file = io.BytesIO()
    tifffile.imwrite(file, array)
    return tifffile.imread(io.BytesIO(file.getvalue()))


codecs = {
    "OpenCV, PNG": lambda array: cv2.imdecode(cv2.imencode(".png", array)[1], cv2.IMREAD_UNCHANGED),
    "OpenCV, TIFF": lambda array: cv2.imdecode(cv2.imencode(".tiff", array)[1], cv2.IMREAD_UNCHANGED),
    "OpenCV, flip": lambda array: cv2.flip(cv2.flip(array, 0), 0),
    "JPEG 2000": lambda array: imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(array, level=0, reversible=True)),
    "HTJ2K": lambda array: imagecodecs.htj2k_decode(imagecodecs.htj2k_encode(array, reversible=True)),
    "TIFF": lambda array: imagecodecs.tiff_decode(imagecodecs.tiff_encode(array)),
    "tifffile": by_tifffile,
    "Pillow": lambda array: np.asarray(Image.fromarray(array)),
}
for name, code in codecs.items():
    assert (code(native) == native).all()
    found = code(big)
    print(f"{name}: {native[0, 0]} became {found[0, 0]}")
    right = native if name in ("tifffile", "Pillow") else native.byteswap()
    assert (found == right).all(), "this has changed"
mean = cv2.mean(np.ones((4, 4), ">u2"))[0]
print(f"the mean of ones, by cv2.mean: {mean}")
assert mean == 256, "this has changed"
colours = np.random.default_rng(0).random((32, 48, 3), dtype=np.float32)
found = imagecodecs.rgbe_decode(imagecodecs.rgbe_encode(colours.astype(">f4")))
assert np.abs(imagecodecs.rgbe_decode(imagecodecs.rgbe_encode(colours)) - colours).max() < 0.01
print(f"RGBE: {colours[0, 0].tolist()} became {found[0, 0].tolist()}")
assert not np.allclose(found, colours, atol=0.01), "this has changed"
for name in ("png", "jpegxl", "jpegls", "lerc"):
    try:
        getattr(imagecodecs, f"{name}_encode")(big)
    except ValueError as error:
        print(f"{name}: {error}")
    else:
        raise SystemExit("this has changed")
PY
