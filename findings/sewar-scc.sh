#!/usr/bin/env bash
# sewar 0.4.10: the spatial correlation coefficient of a picture with itself is not 1.
#
# The measure correlates what a Laplacian filter leaves of two pictures, so two equal pictures have 1. The
# average goes over all windows, and a window without any detail counts as 0. Seen: a page with a little
# text has 0.19 against itself, a smooth gradient 0.16 (its borders), and noise 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install sewar==0.4.10 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
from sewar.full_ref import scc

y, x = np.mgrid[0:96, 0:128]
page = np.full((96, 128), 255, np.uint8)
page[10:90:20, 10:60:3] = 0
gradient = (x + y).astype(np.uint8)
noise = np.random.default_rng(0).integers(0, 256, (96, 128)).astype(np.uint8)
seen = {name: float(scc(a, a)) for name, a in (("page", page), ("gradient", gradient), ("noise", noise))}
for name, value in seen.items():
    print(f"{name} against itself: {value:.3f}")
assert 0.15 < seen["page"] < 0.25 and 0.1 < seen["gradient"] < 0.2 and seen["noise"] > 0.99
PY
