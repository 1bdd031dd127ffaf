#!/usr/bin/env bash
# OpenEXR's Python module 3.5.3 writes mirrored, transposed and BGR-to-RGB arrays with their pixels mixed up.
#
# OpenEXR.File takes NumPy arrays, and its documentation asks only for the shape and the type (issue 1929 of the project
# is open since 2024). A NumPy array is its values, whatever their order in memory: x[:, :, ::-1] is how a picture from
# OpenCV becomes RGB, and .transpose(1, 2, 0) how one from PyTorch becomes (height, width, 3).
# Seen, without an error: such arrays, and those of Fortran order or with a step, give files with other pixels, in each
# of half, float and uint. A cut of rows, and np.ascontiguousarray of any of them, are right.
# tifffile 2026.3.3 writes all of them right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=OpenEXR \
  OpenEXR==3.5.3 tifffile==2026.3.3 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import OpenEXR
import tifffile


def by_openexr(pixels):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": pixels}).write("picture.exr")
    with OpenEXR.File("picture.exr") as file:
        return file.channels()["RGB"].pixels.copy()


def by_tifffile(pixels):
    tifffile.imwrite("picture.tif", pixels, photometric="rgb")
    return tifffile.imread("picture.tif")


rng = np.random.default_rng(0)
for kind in (np.float16, np.float32, np.uint32):
    planes = (1000 * rng.random((3, 24, 36))).astype(kind)
    frame = np.ascontiguousarray(planes.transpose(1, 2, 0))
    pixels = frame[4:20]
    right = {"whole frame": frame, "rows 4 to 20": pixels}
    wrong = {
        "planes.transpose(1, 2, 0)": planes.transpose(1, 2, 0),
        "[:, :, ::-1] (BGR to RGB)": pixels[:, :, ::-1],
        "every second column": pixels[:, ::2],
        "Fortran order": np.asfortranarray(pixels),
    }
    for name, array in (right | wrong).items():
        assert (by_tifffile(array) == array).all()
        assert (by_openexr(np.ascontiguousarray(array)) == array).all()
        equal = (by_openexr(array) == array).mean()
        print(f"{kind.__name__}, {name}: {100 * equal:.0f} % of the values are right")
        assert equal == 1 if name in right else equal < 0.6, "this has changed"
PY
