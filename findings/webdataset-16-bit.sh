#!/usr/bin/env bash
# webdataset 1.0.2 decodes 16-bit grey pictures as white, and floating-point ones as black.
#
# decode("l"), decode("rgb") and the like give numbers from 0 to 1, and decode("l8") and "rgb8" from 0 to 255, so that
# pictures of all kinds fit one network. Depth maps, X-rays and microscope pictures are grey PNG and TIFF of 16 bits.
# Seen, without an error: a grey PNG with values between 14,000 and 51,400 of 65,535 is 1.0, or 255, in every pixel, by
# each of six decoders. A TIFF of float32 between 0.2 and 0.8 is 0 in every pixel. Only values below 256 would stay. A
# colour PNG of 16 bits is right.
# The writer is right: it stores the same uint16 array as a PNG of 16 bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  webdataset==1.0.2 pillow==13.0.0 imagecodecs==2026.3.6 tifffile==2026.3.3 numpy==2.4.6
env/bin/python - <<'PY'
import io

import imagecodecs
import numpy as np
import tifffile
import webdataset
from PIL import Image

y, x = np.mgrid[0:64, 0:96]
levels = 0.5 + 0.28 * np.sin(x / 9) * np.cos(y / 7)
deep = (65535 * levels).astype(np.uint16)
file = io.BytesIO()
tifffile.imwrite(file, levels.astype(np.float32))

with webdataset.TarWriter("deep.tar") as writer:
    writer.write({"__key__": "a", "png": deep})
with webdataset.TarWriter("others.tar", encoder=False) as writer:
    colours = imagecodecs.png_encode(np.stack([deep, deep, deep], -1))
    writer.write({"__key__": "a", "png": colours, "tiff": file.getvalue()})
stored = next(iter(webdataset.WebDataset("deep.tar", shardshuffle=False)))["png"]
assert (np.asarray(Image.open(io.BytesIO(stored))) == deep).all()


def decode(shard, name, how):
    found = next(iter(webdataset.WebDataset(shard, shardshuffle=False).decode(how)))[name]
    print(f"{shard}, {name}, {how}: {found.dtype}, from {found.min():.2f} to {found.max():.2f}")
    return found


for how in ("l", "l8", "rgb", "rgb8", "rgba", "rgba8"):
    found = decode("deep.tar", "png", how)
    assert (found == (255 if "8" in how else 1)).all(), "this has changed"
for how in ("l", "rgb"):
    assert (decode("others.tar", "tiff", how) == 0).all(), "this has changed"
    found = decode("others.tar", "png", how)
    assert np.abs((found if how == "l" else found[..., 0]) - levels).max() < 0.01
PY
