#!/usr/bin/env bash
# imagecodecs 2026.3.6 takes a 16-bit picture for one of 12 bits in `jpeg_encode`, and the bright half is lost.
#
# Expected: an error, as from `avif_encode`, or values scaled to 12 bits. A 16-bit array is coded as a JPEG of
# 12 bits without a word. Seen at level 95: 4,095 stays 4,095, 10,000 becomes 4,095 as well, 20,000 becomes
# 3,616, and white, 65,535, becomes black. Values up to 4,095 are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install imagecodecs==2026.3.6 numpy==2.4.6
env/bin/python - <<'PY'
import imagecodecs
import numpy as np

values = np.array([0, 2000, 4095, 10000, 20000, 65535], np.uint16)
picture = np.tile(np.repeat(values, 32), (64, 1))
seen = imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(picture, level=95))[32, 16::32].tolist()
print(f"imagecodecs {imagecodecs.__version__}: {values.tolist()} came back as {seen}")
assert seen[:3] == [0, 2000, 4095]
assert seen[3:] == [4095, 3616, 0]
PY
