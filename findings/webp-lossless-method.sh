#!/usr/bin/env bash
# WebP's slower lossless methods make a noisy picture larger, in Pillow 13.0.0 with libwebp 1.6.0.
#
# Pillow says of `method`: 0 is fast, 6 is slower and better. For lossless files 5 and 6 are the worst ones here:
# worse than 0, which takes a fraction of the time.
# Seen, for three smooth pictures of 160 x 120 with noise: about 34,630 bytes by method 2, 34,870 by the default 4,
# 35,410 by 0, and 35,870 by 5 and 6. Photographs with grain behave in the same way, cleaner ones do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
from PIL import Image, features

print("libwebp", features.version("webp"))
y, x = np.mgrid[0:120, 0:160]


def size(seed, method):
    rng = np.random.default_rng(seed)
    grey = 128 + 60 * np.sin(x / 17 + seed) + 40 * np.cos(y / 13) + rng.normal(0, 6, (120, 160))
    picture = (grey[..., None] + rng.normal(0, 3, (120, 160, 3))).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", lossless=True, method=method)
    with Image.open(file) as image:
        assert np.array_equal(np.asarray(image), picture)
    return len(file.getvalue())


for seed in range(3):
    sizes = [size(seed, method) for method in range(7)]
    print("methods 0 to 6:", sizes)
    assert min(sizes[5:]) > 1.01 * sizes[0] > 1.01 * sizes[4] > 1.01 * sizes[2]
    assert min(sizes[5:]) > 1.03 * sizes[2]
PY
