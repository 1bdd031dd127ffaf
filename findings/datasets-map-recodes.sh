#!/usr/bin/env bash
# datasets 5.2.0 stores pictures in a lossy form after a `map` that only looks at them.
#
# Its guide says that `map` can add a column, and its Image feature is said to decode pictures when they are read.
# A picture that a function has read is encoded again afterwards, by Pillow in the format that it was in, with
# Pillow's default options. The guide does not say so, and there is no warning.
# Seen, for pictures that are held as bytes, as all are that come from Parquet files:
# - a JPEG of quality 98, 4:4:4, becomes one of quality 75, 4:2:0, with errors up to 37, in an eighth of the bytes.
# - a lossless WebP becomes a lossy one. An AVIF of quality 95 becomes one of 75.
# - a PNG keeps its pixels, and so does a JPEG that the function does not read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HOME="$folder" HF_HUB_OFFLINE=1
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  datasets==5.2.0 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import datasets
import numpy as np
from PIL import Image

datasets.disable_progress_bars()
rng = np.random.default_rng(0)
y, x = np.mgrid[0:96, 0:128]
picture = (np.stack([x * 2, y * 2, x + y], -1) + rng.normal(0, 9, (96, 128, 3))).clip(0, 255).astype(np.uint8)
features = datasets.Features({"image": datasets.Image()})


def stored(data):
    return data.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def mapped(name, reads=True, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, name, **options)
    before = file.getvalue()
    data = datasets.Dataset.from_dict({"image": [{"bytes": before, "path": None}]}, features=features)
    after = stored(data.map(lambda row: {"width": row["image"].width if reads else 0}))
    error = int(np.abs(pixels(after) - pixels(before)).max())
    print(f"{name} {options}, read: {reads}: {len(before)} bytes, then {len(after)}; largest error {error}")
    return before == after, error


assert mapped("JPEG", reads=False, quality=98, subsampling=0) == (True, 0), "this has changed"
assert mapped("PNG")[1] == 0, "this has changed"
for name, options in [
    ("JPEG", {"quality": 98, "subsampling": 0}),
    ("WEBP", {"lossless": True}),
    ("AVIF", {"quality": 95}),
]:
    same, error = mapped(name, **options)
    assert not same and error > 10, "this has changed"
PY
