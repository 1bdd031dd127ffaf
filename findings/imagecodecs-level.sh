#!/usr/bin/env bash
# In imagecodecs 2026.3.6 `level` means another thing for each codec, and WebP stays lossless at all of them.
#
# Seen, for one smooth picture with a little noise:
# - webp_encode(level=q) is lossless at every level, in the same size or nearly; lossy needs lossless=False.
# - jpegls_encode(level=n) allows errors of n: a higher level is a worse picture.
# - avif_encode(level=100) is lossless; jpegxl_encode(level=100) is not, and larger than its lossless file.
# A comparison of codecs by `level` alone takes lossless WebP for WebP at quality 50.
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
noise = np.random.default_rng(0).integers(0, 12, (96, 128, 3))
picture = (np.stack([x * 2, y * 2, x + y], axis=-1) + noise).clip(0, 255).astype(np.uint8)


def coded(name, **options):
    data = getattr(imagecodecs, f"{name}_encode")(picture, **options)
    back = getattr(imagecodecs, f"{name}_decode")(data)
    error = np.abs(back.astype(int) - picture).max()
    shown = ", ".join(f"{key}={value}" for key, value in options.items())
    print(f"{name}({shown}): {len(data)} bytes, largest error {error}")
    return len(data), int(error)


assert all(coded("webp", level=level)[1] == 0 for level in (1, 50, 100))
assert coded("webp", level=50, lossless=False)[1] > 0
errors = [coded("jpegls", level=level)[1] for level in (0, 5, 50)]
assert errors[0] == 0 < errors[1] <= 5 < errors[2] <= 50
assert coded("avif", level=100)[1] == 0
lossless, lossy = coded("jpegxl"), coded("jpegxl", level=100)
assert lossless[1] == 0 < lossy[1] and lossy[0] > lossless[0]
PY
