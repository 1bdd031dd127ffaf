#!/usr/bin/env bash
# zfpy's tolerance does not hold for whole numbers, NaN and 0: the largest integer comes back as the smallest.
#
# zfpy is the compressor zfp for NumPy arrays, and a filter of Zarr and HDF5. tolerance=t is the largest error that is
# allowed; without options it is lossless. Its manual says, at other places, that integers should have two bits to
# spare and that NaN has no meaning in the lossy modes. There is no check and no error.
# Seen with zfpy 1.0.1.post0:
# - int32 with tolerance 1: 2147483647 becomes -2147483648. Lossless it comes back right.
# - a NaN in float64 with a tolerance becomes 4.0, an infinity -2.0: nothing says that they were missing. Their
#   neighbours are within the tolerance.
# - tolerance=0 is not lossless for float64 (values near 0 change), and its result is larger than the lossless one.
# - precision=16 of int32 with values up to 2000 gives zeros alone: leading zeros of the 32 bits count as precision.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile zfpy==1.0.1.post0 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import zfpy


def back(array, **options):
    packed = zfpy.compress_numpy(array, **options)
    return zfpy.decompress_numpy(packed), len(packed)


limits = np.array([[2**31 - 1, -(2**31), 0, 5]] * 4, np.int32)
lossless, _ = back(limits)
assert (lossless == limits).all()
found, _ = back(limits, tolerance=1)
print("int32, tolerance 1:", limits[0], "becomes", found[0])
assert found[0, 0] == -(2**31) and found[0, 1] == -(2**31), "this has changed"

smooth = np.add.outer(np.sin(np.arange(24) / 5), np.cos(np.arange(36) / 7))
missing = smooth.copy()
missing[3, 4], missing[10, 10] = np.nan, np.inf
assert np.array_equal(back(missing)[0], missing, equal_nan=True)
found, _ = back(missing, tolerance=1e-3)
print(f"float64, tolerance 0.001: NaN becomes {found[3, 4]:.4f}, infinity {found[10, 10]:.4f}")
assert np.isfinite(found).all(), "this has changed"
there = np.isfinite(missing)
assert np.abs(found - missing)[there].max() <= 1e-3

exact, size = back(smooth)
zero, larger = back(smooth, tolerance=0)
error = np.abs(zero - smooth).max()
print(f"float64: lossless {size} bytes; tolerance 0 {larger} bytes, and values are off by up to {error:.1e}")
assert (exact == smooth).all() and error > 0 and larger > size, "this has changed"

counts = (1000 * smooth).astype(np.int32)
found, _ = back(counts, precision=16)
print(f"int32 up to {np.abs(counts).max()}, precision 16: up to {np.abs(found).max()}")
assert not found.any(), "this has changed"
PY
