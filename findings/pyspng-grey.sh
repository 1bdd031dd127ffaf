#!/usr/bin/env bash
# pyspng 0.1.4 gives a 16-bit grey PNG an alpha channel that it does not have, and cannot read grey with alpha.
#
# Its documentation says that the format follows the file, and that grey pictures have the shape (rows, columns).
# Seen: a 16-bit grey picture has the shape (rows, columns, 2), the second value always 65,535. An 8-bit
# grey picture with alpha is refused as "invalid format". 8-bit grey is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pyspng==0.1.4 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
import pyspng
from PIL import Image


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "png")
    return file.getvalue()


y, x = np.mgrid[0:4, 0:5]
grey = (40 * y + 10 * x).astype(np.uint8)
assert np.array_equal(pyspng.load(png(grey)), grey)
deep = grey.astype(np.uint16) * 257
back = pyspng.load(png(deep))
print(f"16-bit grey: {deep.shape} came back as {back.shape}, channel 2 is {np.unique(back[..., 1])}")
assert back.shape == (4, 5, 2) and np.array_equal(back[..., 0], deep) and (back[..., 1] == 65535).all()
try:
    pyspng.load(png(np.stack([grey, 255 - grey], axis=-1)))
except RuntimeError as error:
    print("8-bit grey with alpha:", error)
    assert "invalid format" in str(error)
else:
    raise SystemExit("grey with alpha was read")
PY
