#!/usr/bin/env bash
# Pillow 13.0.0 writes another AVIF, with other pixels, on a machine with one processor than on any other.
#
# `max_threads` is documented as a limit of the number of threads, and nothing says that it touches the picture.
# Without it Pillow takes the number of processors. libjxl, by imagecodecs 2026.3.6, gives one file with 1, 2 and 4.
# libavif 1.4.2 turns on libaom 3.14.1's multi-threading by rows from two threads on, and so the encoder decides
# otherwise. imagecodecs' `numthreads` does the same.
# Seen: the files of 2 and 4 threads are equal; that of 1 thread is another, and so are 38 % of its pixels, by up
# to 17 of 255. At the default speed, 6, the files differ as well.
# So a digest of a file, or a test that compares bytes or PSNR, depends on the machine's number of processors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
env/bin/python - <<'PY'
import hashlib
import io

import imagecodecs
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
y, x = np.mgrid[0:512, 0:768]
planes = [128 + 60 * np.sin(x / (9 + 3 * c)) * np.cos(y / (13 - c)) for c in range(3)]
pixels = (np.stack(planes, -1) + rng.normal(0, 6, (512, 768, 3))).clip(0, 255).astype(np.uint8)


def by_pillow(threads):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "AVIF", speed=8, max_threads=threads)
    return file.getvalue()


def by_imagecodecs(threads):
    return imagecodecs.avif_encode(pixels, level=75, speed=8, numthreads=threads)


for code in (by_pillow, by_imagecodecs):
    files = {threads: code(threads) for threads in (1, 2, 4)}
    for threads, file in files.items():
        print(f"{code.__name__}, {threads} threads: {len(file)} bytes, {hashlib.sha256(file).hexdigest()[:12]}")
    assert files[2] == files[4] != files[1] == code(1), "this has changed"
    one, two = (np.asarray(Image.open(io.BytesIO(files[threads]))).astype(int) for threads in (1, 2))
    print(f"  pixels that differ: {(one != two).any(-1).mean():.1%}, by up to {np.abs(one - two).max()}")
    assert (one != two).any(), "this has changed"
assert len({imagecodecs.jpegxl_encode(pixels, level=80, effort=3, numthreads=n) for n in (1, 2, 4)}) == 1
PY
