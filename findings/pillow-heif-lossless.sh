#!/usr/bin/env bash
# pillow-heif 1.8.1 changes most pixels at quality -1, which it documents as lossless.
#
# The residual of HEVC is coded without loss then. But the picture that HEVC gets has lost before: half of the
# colours' width and height (4:2:0), and the rounding of YCbCr. Only two more options together keep every pixel:
# chroma=444, and matrix_coefficients=0, which codes RGB itself.
# Seen, for one smooth picture with a little noise: quality=-1 changes 84 % of the values by up to 11 levels, as
# quality=100 does; with chroma=444 32 % by 1; with both options none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
y, x = np.mgrid[0:96, 0:128]
noise = np.random.default_rng(0).integers(0, 12, (96, 128, 3))
picture = (np.stack([x * 2, y * 2, x + y], axis=-1) + noise).clip(0, 255).astype(np.uint8)


def saved(**options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "HEIF", **options)
    with Image.open(file) as image:
        off = np.abs(np.asarray(image).astype(int) - picture)
    print(f"{options}: {len(file.getvalue())} bytes, {np.mean(off > 0):.0%} changed, largest error {off.max()}")
    return float(np.mean(off > 0)), int(off.max())


share, largest = saved(quality=-1)
assert share > 0.8 and largest >= 10
assert saved(quality=100) == (share, largest)
share, largest = saved(quality=-1, chroma=444)
assert 0.2 < share < 0.5 and largest == 1
assert saved(quality=-1, matrix_coefficients=0)[1] > 0
assert saved(quality=-1, chroma=444, matrix_coefficients=0) == (0.0, 0)
PY
