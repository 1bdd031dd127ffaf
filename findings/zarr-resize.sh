#!/usr/bin/env bash
# zarr 3.1.6 brings back values that an array was shrunk to be rid of, where new room should hold the fill value.
#
# The documentation of Array.resize says that chunks outside of the new shape are deleted, and a fill value is what
# positions hold that were never written. A chunk that the new edge cuts is left as it was.
# Seen, for both formats: 10 values in one chunk, shrunk to 4 and grown to 10, are the 10 old values again.
# HDF5, by h5py 3.16.0, gives the fill value there. Growing without shrinking before gives it in zarr as well.
# Values that were cut off also stay in the store, readable, until their chunk is written anew.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install zarr==3.1.6 h5py==3.16.0 numpy==2.4.6
env/bin/python - <<'PY'
import h5py
import numpy as np
import zarr

values = np.arange(100, 110, dtype=np.uint8)
filled = [100, 101, 102, 103, 0, 0, 0, 0, 0, 0]


def shrunk_and_grown(array):
    array[:] = values
    array.resize((4,))
    array.resize((10,))
    return array[:].tolist()


for version in (2, 3):
    zarr.create_array(
        f"{version}.zarr", shape=10, chunks=10, dtype="uint8", fill_value=0, zarr_format=version
    )
    found = shrunk_and_grown(zarr.open_array(f"{version}.zarr"))
    stored = zarr.open_array(f"{version}.zarr", mode="r")[:].tolist()
    print(f"zarr, format {version}: {found}")
    assert found == stored == values.tolist(), "this has changed"
with h5py.File("values.h5", "w") as file:
    array = file.create_dataset("values", shape=(10,), chunks=(10,), maxshape=(None,), dtype="uint8")
    found = shrunk_and_grown(array)
print(f"h5py: {found}")
assert found == filled
PY
