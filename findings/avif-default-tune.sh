#!/usr/bin/env bash
# Pillow 13.0.0 writes AVIF that is tuned for the eye, unless it is told otherwise.
#
# libavif 1.4.2 with libaom 3.14.1 chooses tune=iq for lossy pictures. So a comparison by PSNR against
# 'AVIF' as Pillow writes it is one against an encoder that does not aim at PSNR.
# Seen: the default file is the one of tune=iq to the byte. At the same quality tune=psnr makes another file
# with more PSNR for its bytes.
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

rng = np.random.default_rng(0)
y, x = np.mgrid[0:256, 0:384]
planes = [128 + 60 * np.sin(x / (9 + 3 * c)) * np.cos(y / (13 - c)) for c in range(3)]
pixels = (np.stack(planes, -1) + rng.normal(0, 6, (256, 384, 3))).clip(0, 255).astype(np.uint8)


def coded(quality, **advanced):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "AVIF", quality=quality, advanced=advanced)
    error = np.mean((np.asarray(Image.open(file)).astype(float) - pixels) ** 2)
    return file.getvalue(), 10 * np.log10(255**2 / error)


def psnr_at(size, **advanced):
    points = [coded(quality, **advanced) for quality in range(30, 91, 5)]
    return float(np.interp(np.log(size), [np.log(len(d)) for d, _ in points], [p for _, p in points]))


default, _ = coded(60)
print("libavif", features.version("avif"), "default is iq:", default == coded(60, tune="iq")[0])
by_eye, by_psnr = psnr_at(len(default)), psnr_at(len(default), tune="psnr")
print(f"at {len(default)} bytes: {by_eye:.2f} dB by default, {by_psnr:.2f} dB by tune=psnr")
assert default == coded(60, tune="iq")[0], "this has changed"
assert by_psnr > by_eye, "this has changed"
PY
