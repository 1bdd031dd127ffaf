#!/usr/bin/env bash
# Pillow 13.0.0 cannot save a noisy picture as an optimised or progressive JPEG 4:4:4.
#
# Its buffer for such a file has one byte a pixel below quality 95, and two from there on. Noise in three
# channels takes more.
# Seen: OSError ("broken data stream when writing image file") at qualities 75, 90 and 100. The same picture is
# saved without `optimize`, and with 4:2:0. A larger ImageFile.MAXBLOCK helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
from PIL import Image, ImageFile

noise = np.random.default_rng(0).integers(0, 256, (384, 384, 3), dtype=np.uint8)
picture = Image.fromarray(noise)


def saved(quality, **options):
    file = io.BytesIO()
    try:
        picture.save(file, "JPEG", quality=quality, **options)
        result = "saved"
    except OSError as error:
        result = str(error)
    print(f"quality {quality}, {options}: {result}")
    return result == "saved"


full = {"subsampling": "4:4:4"}
for quality in (75, 90, 100):
    assert not saved(quality, optimize=True, **full)
    assert not saved(quality, progressive=True, **full)
    assert saved(quality, **full)
    assert saved(quality, optimize=True, subsampling="4:2:0")
ImageFile.MAXBLOCK = 2**22
assert saved(90, optimize=True, **full)
PY
