#!/usr/bin/env bash
# numcodecs' BitRound makes the number 0 of some NaNs, and infinity of others, without an error.
#
# BitRound(keepbits=n) is the filter that climate and microscopy arrays in Zarr are made smaller with: it keeps n bits of
# the mantissa, rounded. NaN usually marks what is missing there. Every pattern of bits with the largest exponent and a
# mantissa other than 0 is a NaN, and IEEE 754 leaves the rest of it to the machine: NVIDIA's GPUs make 0x7fffffff where
# NumPy has 0x7fc00000. BitRound adds half a unit to the bits as if they were a whole number.
# Seen with numcodecs 0.16.6, float32, float64 and float16: NaNs of all ones become -0.0 or 0.0, so a missing value is a
# measured zero. A NaN whose only bit is the lowest one becomes infinity. NumPy's own NaN stays one. The largest finite
# numbers become infinity, which is what rounding to few bits asks for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile numcodecs==0.16.6 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
from numcodecs import BitRound

for kind, whole in (("f2", "u2"), ("f4", "u4"), ("f8", "u8")):
    ones = np.iinfo(whole).max
    infinity = np.array([np.inf], kind).view(whole)[0]
    patterns = {
        "NumPy's own": np.array([np.nan], kind).view(whole)[0],
        "all ones, positive": ones >> 1,
        "all ones, negative": ones,
        "the lowest bit alone": infinity + 1,
    }
    codec = BitRound(keepbits=5)
    for name, bits in patterns.items():
        missing = np.array([bits], whole).view(kind)
        assert np.isnan(missing).all()
        (found,) = codec.decode(codec.encode(missing.copy())).view(kind)
        print(f"{kind}, {name}: NaN becomes {found}")
        if name.startswith("all ones"):
            assert found == 0.0, "this has changed"
        elif name.startswith("the lowest"):
            assert np.isinf(found), "this has changed"
        else:
            assert np.isnan(found), "this has changed"
PY
