#!/usr/bin/env bash
# mozjpeg-lossless-optimization 1.3.2 turns photographs: its lossless result has no orientation and no ICC profile.
#
# `optimize(data)` keeps the stored pixels, and drops all markers unless told otherwise. Seen: a picture that
# was shown upright by its orientation tag lies on its side afterwards, and one in another colour space is
# shown in sRGB. `copy=COPY_MARKERS.ALL` keeps both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install mozjpeg-lossless-optimization==1.3.2 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import io

import numpy as np
from mozjpeg_lossless_optimization import COPY_MARKERS, optimize
from PIL import Image, ImageCms, ImageOps

y, x = np.mgrid[0:64, 0:96]
picture = Image.fromarray(np.stack([2 * x, 3 * y, x + y], axis=-1).astype(np.uint8))
exif = Image.Exif()
exif[0x0112] = 6  # to be shown turned by 90 degrees
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
file = io.BytesIO()
picture.save(file, "jpeg", exif=exif, icc_profile=profile)


def seen(data):
    image = Image.open(io.BytesIO(data))
    return np.asarray(image), ImageOps.exif_transpose(image).size, "icc_profile" in image.info


before, after = seen(file.getvalue()), seen(optimize(file.getvalue()))
kept = seen(optimize(file.getvalue(), copy=COPY_MARKERS.ALL))
for name, (_, size, has_profile) in (("before", before), ("after", after), ("ALL", kept)):
    print(f"{name}: shown as {size[0]}x{size[1]}, ICC profile: {has_profile}")
assert np.array_equal(before[0], after[0])
assert before[1:] == kept[1:] == ((64, 96), True)
assert after[1:] == ((96, 64), False)
PY
