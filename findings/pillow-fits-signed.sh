#!/usr/bin/env bash
# Pillow 13.0.0 reads 16-bit FITS values as unsigned, and ignores BZERO.
#
# The FITS standard says that BITPIX = 16 is signed, and that a value is BZERO + BSCALE * what is stored.
# Unsigned values are stored with BZERO = 32768.
# Seen: -100 comes back as 65436; a stored 0 with BZERO = 32768, which means 32768, comes back as 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
from PIL import Image


def read(value, *more):
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += ["NAXIS   =                    2", "NAXIS1  =                    8"]
    cards += ["NAXIS2  =                    8", *more, "END"]
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    data = np.full((8, 8), value, ">i2").tobytes().ljust(2880, b"\0")
    return int(np.asarray(Image.open(io.BytesIO(header + data)))[0, 0])


signed = read(-100)
offset = read(0, "BZERO   =                32768", "BSCALE  =                    1")
print("-100 is read as", signed, "and 0 + BZERO as", offset)
assert (signed, offset) == (65436, 0), "this has changed"
PY
