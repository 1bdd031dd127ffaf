#!/usr/bin/env bash
# h5py 3.16.0 (HDF5) stores NaN as the smallest number of its chunk when floats are kept to some decimal digits.
#
# The documentation of `scaleoffset` says that for floating-point data it is the number of digits after the decimal
# point to retain. It says nothing of NaN, the usual mark of a missing value, which the type can hold.
# Seen: [-1.55, 0.25, NaN, 3.14159] with scaleoffset=1 is read as [-1.55, 0.25, -1.55, 3.15], without an error or a
# warning. Without the filter NaN comes back. For integers a number of bits that is too small wraps: 300 becomes 44.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install h5py==3.16.0 numpy==2.4.6
env/bin/python - <<'PY'
import h5py
import numpy as np


def stored(values, **options):
    with h5py.File("values.h5", "w") as file:
        file.create_dataset("values", data=values, chunks=values.shape, **options)
    with h5py.File("values.h5") as file:  # Opened again, since the filter is applied on the way to the file.
        return file["values"][:]


values = np.array([-1.55, 0.25, np.nan, 3.14159], np.float32)
found = stored(values, scaleoffset=1)
bits = stored(np.array([0, 5, 300], np.uint16), scaleoffset=8)
print(f"HDF5 {h5py.version.hdf5_version}: {values.tolist()} is read as {found.tolist()}; 300 in 8 bits as {bits[2]}")
assert np.isnan(stored(values)[2]) and np.isnan(stored(values, compression="gzip")[2])
assert np.allclose(found, [-1.55, 0.25, -1.55, 3.15], atol=0.01) and bits.tolist() == [0, 5, 44], "this has changed"
PY
