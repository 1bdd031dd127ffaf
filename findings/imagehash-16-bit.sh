#!/usr/bin/env bash
# ImageHash 4.3.2 with Pillow 13.0.0 gives all 16-bit pictures the same hash, if they have no very dark parts.
#
# ImageHash converts to mode L first. Pillow's conversion from I;16 to L clips at 255 in place of scaling.
# Seen: two different 16-bit pictures, a slope and its mirror image, become white and have the same pHash, dHash
# and wHash. Their 8-bit versions differ by more than a quarter of the bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install \
  imagehash==4.3.2 pillow==13.0.0 numpy==2.4.6 scipy==1.17.1 PyWavelets==1.9.0
env/bin/python - <<'PY'
import imagehash
import numpy as np
from PIL import Image

y, x = np.mgrid[0:256, 0:256]
first = (1000 + 200 * x + 40 * (y // 32 % 2) * x).astype(np.uint16)
second = np.ascontiguousarray(first[:, ::-1])
for name in ("phash", "dhash", "whash"):
    distance = getattr(imagehash, name)
    deep = [distance(Image.fromarray(a)) for a in (first, second)]
    flat = [distance(Image.fromarray((a >> 8).astype(np.uint8))) for a in (first, second)]
    print(f"{name}: 16 bits {deep[0] - deep[1]} of 64 bits differ, 8 bits {flat[0] - flat[1]}")
    assert deep[0] - deep[1] == 0 and flat[0] - flat[1] > 16
PY
