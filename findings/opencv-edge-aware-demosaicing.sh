#!/usr/bin/env bash
# OpenCV 5.0.0's edge-aware demosaicing interpolates red and blue exactly as the plain one.
#
# Edge-aware demosaicing usually means that all colours follow the edges: red and blue are interpolated as
# differences to green. OpenCV's COLOR_Bayer..._EA picks the direction for green alone. So the coloured fringes
# of bilinear interpolation stay.
# Seen: the planes of red and blue are equal to COLOR_BayerRGGB2RGB's, bit for bit, in 8 and 16 bits; half of
# green's values differ. For a grey pattern of waves, where all three colours are the same, the error of red is
# that of the plain one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np

y, x = np.mgrid[0:64, 0:96]
print("OpenCV", cv2.__version__)
for kind, white in ((np.uint8, 255), (np.uint16, 65535)):
    # Grey: every site of the sensor sees the same, whatever its colour.
    waves = np.rint(white * (0.5 + 0.5 * np.sin(0.9 * x + 0.4 * y))).astype(kind)
    plain = cv2.demosaicing(waves, cv2.COLOR_BayerRGGB2RGB)
    aware = cv2.demosaicing(waves, cv2.COLOR_BayerRGGB2RGB_EA)
    changed = [float(np.mean(plain[..., c] != aware[..., c])) for c in range(3)]
    off = [float(np.abs(aware[..., c].astype(float) - waves)[4:-4, 4:-4].mean() / white) for c in range(3)]
    print(f"{kind.__name__}: values that EA changes {changed}, mean error of EA {np.round(off, 3)}")
    assert changed[0] == changed[2] == 0.0 and changed[1] > 0.4
    assert min(off[0], off[2]) > 0.02
PY
