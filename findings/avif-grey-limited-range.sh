#!/usr/bin/env bash
# OpenCV 5.0.0 and libvips 8.18.7 read a grey AVIF of limited range washed out: black as 16 and white as 235.
#
# AVIF says by the full range flag of its colour information (nclx, as ITU-T H.273 defines it; color_range in AV1)
# that black is 16 and white 235, as in video; a reader has to scale. Both do for colour, and not for grey.
# Seen, for one ramp from 0 to 255: with full range all readers give 0 to 255. With limited range Pillow 13.0.0 and
# imagecodecs 2026.3.6 give 0 to 255, OpenCV and libvips 16 to 235. In colour all four give 0 to 255 again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0 imagecodecs==2026.3.6 \
  opencv-python-headless==5.0.0.93 "pyvips[binary]==3.2.0" pyvips-binary==8.18.7 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import imagecodecs
import numpy as np
import pyvips
from PIL import Image

ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
readers = {
    "Pillow": lambda: Image.open("ramp.avif"),
    "imagecodecs": lambda: imagecodecs.imread("ramp.avif"),
    "OpenCV": lambda: cv2.imread("ramp.avif"),
    "libvips": lambda: pyvips.Image.new_from_file("ramp.avif", revalidate=True).numpy(),
}
for mode in ("L", "RGB"):
    for extent in ("full", "limited"):
        Image.fromarray(ramp).convert(mode).save("ramp.avif", quality=100, range=extent)
        ends = {name: [int(np.min(read())), int(np.max(read()))] for name, read in readers.items()}
        print(f"{mode}, {extent} range: {ends}")
        for name, found in ends.items():
            washed = mode == "L" and extent == "limited" and name in ("OpenCV", "libvips")
            right = [16, 235] if washed else [0, 255]
            assert np.abs(np.subtract(found, right)).max() <= 1, "this has changed"
PY
