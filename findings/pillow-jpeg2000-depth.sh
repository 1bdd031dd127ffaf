#!/usr/bin/env bash
# Pillow 13.0.0 reads JPEG 2000 of other depths than 8 bits wrongly.
#
# Seen: a colour picture of 12 or 16 bits whose every value is the largest one (white) comes back black,
# with no error and no warning; half of that value comes back as 128, rightly. The largest value of a
# 4-bit grey picture comes back as 240, not 255. imagecodecs reads all of them as they were written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
env/bin/python - <<'PY'
import io

import imagecodecs
import numpy as np
from PIL import Image


def both(pixels, bits):
    data = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", bitspersample=bits, reversible=True)
    assert np.array_equal(imagecodecs.jpeg2k_decode(data), pixels)
    return np.asarray(Image.open(io.BytesIO(data)))[0, 0].tolist()


seen = {
    "white of 16 bits": both(np.full((16, 16, 3), 65535, np.uint16), 16),
    "half of 16 bits": both(np.full((16, 16, 3), 32768, np.uint16), 16),
    "white of 12 bits": both(np.full((16, 16, 3), 4095, np.uint16), 12),
    "white of 4 bits, grey": both(np.full((16, 16), 15, np.uint8), 4),
}
print(seen)
assert seen == {
    "white of 16 bits": [0, 0, 0],
    "half of 16 bits": [128, 128, 128],
    "white of 12 bits": [0, 0, 0],
    "white of 4 bits, grey": 240,
}, "this has changed"
PY
