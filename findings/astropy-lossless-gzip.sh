#!/usr/bin/env bash
# astropy 8.0.2 changes floating-point pictures when it compresses them, with the lossless coder GZIP, too.
#
# `CompImageHDU` quantises floating-point values by default before any coder sees them, in steps of a
# sixteenth of the noise. Expected: GZIP_1 and GZIP_2 lose nothing, as their name says. Seen: a mask of zeros and
# ones comes back with other values, and whole numbers come back as fractions, off by more than 3.
# `quantize_level=0` with GZIP loses nothing. Integers are right without it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install astropy==8.0.2 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
from astropy.io import fits


def error(picture, **options):
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(picture, **options)]).writeto(file)
    file.seek(0)
    with fits.open(file) as hdus:
        return float(np.abs(hdus[1].data.astype(float) - picture).max())


noise = np.random.default_rng(0).normal(10_000, 100, (64, 64))
whole, mask = np.rint(noise).astype(np.float32), (noise > 10_000).astype(np.float32)
for coder in ("GZIP_1", "GZIP_2"):
    off, wrong = error(whole, compression_type=coder), error(mask, compression_type=coder)
    print(f"{coder}: whole numbers off by up to {off:.2f}, a mask of 0 and 1 by {wrong:.3f}")
    assert off > 3 and wrong > 0.01
    assert error(whole, compression_type=coder, quantize_level=0) == 0
    assert error(whole.astype(np.int32), compression_type=coder) == 0
PY
