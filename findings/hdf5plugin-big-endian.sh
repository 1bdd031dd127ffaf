#!/usr/bin/env bash
# hdf5plugin 7.1.0: big-endian floating-point pictures are destroyed by ZFP and by SZ3.
#
# HDF5 keeps the byte order of an array, as astropy gives it for FITS. Expected: the filter swaps the bytes, or
# refuses. Seen: the dataset is written without an error, and read back wrong: values of some hundreds come back
# as up to 1e29 or NaN. Before the file is closed they look right, since HDF5 gives out its cache. gzip is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install h5py==3.16.0 hdf5plugin==7.1.0 numpy==2.4.6
env/bin/python - <<'PY'
import h5py
import hdf5plugin
import numpy as np

y, x = np.mgrid[0:96, 0:128]
picture = (x * 1.1 + y + np.random.default_rng(0).normal(size=(96, 128))).astype(np.float32)


def error(array, **filter):
    with h5py.File("a.h5", "w") as file:
        dataset = file.create_dataset("a", data=array, chunks=(48, 64), **filter)
        assert np.array_equal(dataset[()], array)
    with h5py.File("a.h5") as file, np.errstate(all="ignore"):
        return float(np.abs(file["a"][()].astype(float) - picture).max())


def shown(name, **filter):
    little, big = error(picture, **filter), error(picture.astype(">f4"), **filter)
    print(f"{name}: largest error {little:.3g}, of a big-endian array {big:.3g}")
    return little, big


little, big = shown("ZFP by default", **hdf5plugin.Zfp())
assert little < 0.001 and not big < 1e6
little, big = shown("ZFP, 8 bits a value", **hdf5plugin.Zfp(rate=8))
assert little < 1 and not big < 100
little, big = shown("SZ3, within 0.01", **hdf5plugin.SZ3(absolute=0.01))
assert little <= 0.01 and not big < 100
assert shown("gzip", compression="gzip") == (0, 0)
PY
