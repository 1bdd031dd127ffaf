#!/usr/bin/env bash
# imagecodecs 2026.3.6 gives back a grey picture with alpha as two planes in `htj2k_decode`.
#
# Expected: the array that was coded, (rows, columns, 2), as from `jpeg2k_decode`. Seen: (2, rows, columns).
# With three and four channels the channels come last.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install imagecodecs==2026.3.6 numpy==2.4.6
env/bin/python - <<'PY'
import imagecodecs
import numpy as np

y, x = np.mgrid[0:96, 0:128]
four = np.stack([x, y, x + y, 255 - x], axis=-1).astype(np.uint8)
shapes = {}
for channels in (2, 3, 4):
    picture = np.ascontiguousarray(four[..., :channels])
    back = imagecodecs.htj2k_decode(imagecodecs.htj2k_encode(picture))
    shapes[channels] = back.shape
    print(f"{picture.shape} came back as {back.shape}")
    in_order = np.moveaxis(back, 0, -1) if channels == 2 else back
    assert np.array_equal(in_order, picture)
    assert imagecodecs.jpeg2k_decode(imagecodecs.jpeg2k_encode(picture)).shape == picture.shape
assert shapes == {2: (2, 96, 128), 3: (96, 128, 3), 4: (96, 128, 4)}
PY
