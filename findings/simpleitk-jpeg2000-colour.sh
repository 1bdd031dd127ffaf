#!/usr/bin/env bash
# SimpleITK 2.5.7 writes a 16-bit RGB JPEG 2000 with the low 8 bits of each value, and reads one with wrong values.
#
# JPEG 2000 takes components of up to 38 bits, and SimpleITK writes and reads a grey one of 16 bits right. Its writers
# raise an error for what they cannot store (16-bit BMP and JPEG), and its PNG, TIFF and NRRD keep 16-bit RGB.
# Seen, without an error: WriteImage gives a file of 8 bits whose values are those of the array modulo 256. ReadImage
# gives a 16-bit picture of another file, which imagecodecs and OpenCV read right, with about 9 of 10 values wrong.
# RGB of 8 bits and grey of 16 bits come back equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=simpleitk \
  simpleitk==2.5.7 imagecodecs==2026.3.6 opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import imagecodecs
import numpy as np
import SimpleITK as sitk

sitk.ProcessObject.SetGlobalWarningDisplay(False)
y, x = np.mgrid[0:40, 0:60]
colours = np.stack([4095 * x // 59, 4095 * y // 39, 4095 * (x + y) // 98], -1).astype(np.uint16)


def write(pixels, name):
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), name)


def read(name):
    return sitk.GetArrayFromImage(sitk.ReadImage(name))


for pixels in (colours[..., 0], (colours >> 4).astype(np.uint8)):
    write(pixels, "same.jp2")
    assert (read("same.jp2") == pixels).all()
for suffix in ("png", "tif", "nrrd"):
    write(colours, f"same.{suffix}")
    assert (read(f"same.{suffix}") == colours).all()

write(colours, "written.jp2")
with open("written.jp2", "rb") as file:
    written = imagecodecs.jpeg2k_decode(file.read())
print(f"written: {written.dtype}, {colours[20, 30].tolist()} became {written[20, 30].tolist()}")
assert written.dtype == np.uint8 and (written == colours % 256).all(), "this has changed"

with open("other.jp2", "wb") as file:
    file.write(imagecodecs.jpeg2k_encode(colours, level=0, reversible=True))
assert (cv2.imread("other.jp2", cv2.IMREAD_UNCHANGED)[..., ::-1] == colours).all()
found = read("other.jp2")
print(f"read: {found.dtype}, {colours[20, 30].tolist()} became {found[20, 30].tolist()}")
print(f"  {100 * (found != colours).mean():.0f} % of the values are wrong")
assert found.shape == colours.shape and (found != colours).mean() > 0.8, "this has changed"
PY
