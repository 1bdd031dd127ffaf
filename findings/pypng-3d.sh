#!/usr/bin/env bash
# PyPNG writes a colour array of (height, width, 3) as a PNG that no reader opens, without an error.
#
# png.from_array(array, "RGB").save(path) takes a NumPy array of rows. Other writers take a picture as it is in memory,
# (height, width, 3); PyPNG wants the rows flat, array.reshape(height, -1), as its manual shows in an example. The other
# shape is not refused: with 8 bits the header states a third of the width, and the rows are too long for it.
# Seen with PyPNG 0.20220715.0: the file is there; Pillow 12.3.0 and PyPNG itself raise errors when they read its pixels.
# 16 bits raise a TypeError when they are written. png.Writer.write refuses the array by its shape.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pypng==0.20220715.0 pillow==12.3.0 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import png
from PIL import Image

picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
png.from_array(picture.reshape(20, -1), "RGB").save("flat.png")
assert (np.asarray(Image.open("flat.png")) == picture).all()
print("rows flat: right")

png.from_array(picture, "RGB").save("picture.png")
print("(20, 30, 3): written without an error")
with Image.open("picture.png") as image:
    print("size by its header:", image.size)
    assert image.size == (10, 20), "this has changed"
    try:
        image.load()
    except (OSError, SyntaxError) as error:
        print("Pillow:", type(error).__name__, error)
    else:
        raise SystemExit("this has changed")
try:
    _, _, rows, _ = png.Reader("picture.png").read()
    list(rows)
except png.FormatError as error:
    print("PyPNG:", error)
else:
    raise SystemExit("this has changed")
PY
