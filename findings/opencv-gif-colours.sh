#!/usr/bin/env bash
# OpenCV 5.0 writes a GIF with a fixed palette: plain grey becomes a pattern of four colours, and white is no white.
#
# GIF stores up to 256 colours of any value without loss, and writers take the picture's own colours where there are no
# more. Pillow 13.0.0 gives such pictures back equal.
# Seen: by default imwrite takes 252 colours that do not depend on the picture, and dithers. White comes back as
# (252, 252, 255), grey 128 as a mix of four colours up to 43 levels away, and a picture of 2 colours with 14.
# IMWRITE_GIF_QUALITY at its maximum, 8, is right for white only; the colours come back when IMWRITE_GIF_DITHER is 3,
# too. For grey arrays, which a GIF could hold exactly, imwrite fails.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import cv2
import numpy as np
from PIL import Image

colours = np.array([[219, 62, 177], [14, 130, 90]], np.uint8)
pictures = {
    "white": np.full((32, 32, 3), 255, np.uint8),
    "grey": np.full((32, 32, 3), 128, np.uint8),
    "two colours": colours[np.random.default_rng(0).integers(0, 2, (32, 32))],
}
best = [cv2.IMWRITE_GIF_QUALITY, cv2.IMWRITE_GIF_COLORTABLE_SIZE_256]
options = {"default": [], "quality 8": best, "quality 8, no dither": [*best, cv2.IMWRITE_GIF_DITHER, 3]}
for name, pixels in pictures.items():
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "GIF")
    assert (np.asarray(Image.open(file).convert("RGB")) == pixels).all()
    for option, parameters in options.items():
        file = cv2.imencode(".gif", pixels[..., ::-1], parameters)[1].tobytes()
        found = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        assert (cv2.imdecode(np.frombuffer(file, np.uint8), 1)[..., ::-1] == found).all()
        values = np.unique(found.reshape(-1, 3), axis=0)
        error = np.abs(found.astype(int) - pixels).max()
        print(f"{name}, {option}: {len(values)} colours, error {error}, first {values[0].tolist()}")
        if "no dither" in option:
            assert error == 0, "this has changed"
        elif option == "quality 8":
            assert (error == 0) == (name == "white"), "this has changed"
        else:
            assert len(values) == {"white": 1, "grey": 4, "two colours": len(values)}[name], "this has changed"
            assert error >= (3 if name == "white" else 40), "this has changed"
PY
