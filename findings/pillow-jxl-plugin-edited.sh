#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8 saves an edited picture without the edit, if it was opened from a JPEG file.
#
# If the picture still names the file it came from, `save` transcodes that JPEG file without loss, and looks
# at neither the pixels in memory nor `quality`.
# Seen: a picture that was painted over in place comes back as it was on disk, and one that `thumbnail` made
# 32 pixels wide comes back 128 wide. The same holds for quality=20, for lossless=True, and for new EXIF,
# which is missing. A warning says that the JPEG is transcoded, not that edits are lost. With
# lossless_jpeg=False, or after `copy()`, the pixels in memory are saved.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install pillow==13.0.0 pillow-jxl-plugin==1.3.8 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import pillow_jxl  # registers the format
from PIL import Image

y, x = np.mgrid[0:96, 0:128]
scene = np.stack([x * 2, y * 2, x + y], axis=-1).astype(np.uint8)
Image.fromarray(scene).save("scene.jpg", quality=90)
stored = np.asarray(Image.open("scene.jpg")).astype(int)


def saved(picture, **options):
    picture.save("out.jxl", **options)
    with Image.open("out.jxl") as back:
        return np.asarray(back.convert("RGB")).astype(int)


def painted():
    picture = Image.open("scene.jpg")
    picture.paste((0, 0, 0), (0, 0, 64, 48))
    return picture


for options in ({}, {"quality": 20}, {"lossless": True}):
    corner = saved(painted(), **options)[:48, :64]
    print(f"painted black, saved with {options}: mean of the corner {corner.mean():.1f}")
    assert np.abs(corner - stored[:48, :64]).max() == 0, "the edit was saved"

small = Image.open("scene.jpg")
small.thumbnail((32, 32))
width = saved(small).shape[1]
print(f"thumbnail {small.width} pixels wide: saved {width} wide")
assert (small.width, width) == (32, 128)

exif = Image.Exif()
exif[0x010E] = "a new description"
saved(Image.open("scene.jpg"), exif=exif.tobytes())
found = dict(Image.open("out.jxl").getexif())
print(f"EXIF that was given to save: {found} came back")
assert found == {}

for picture, options in ((painted(), {"lossless_jpeg": False}), (painted().copy(), {})):
    corner = saved(picture, **options)[:48, :64]
    print(f"painted black, {options or 'a copy'}: mean of the corner {corner.mean():.1f}")
    assert corner.mean() < 5
PY
