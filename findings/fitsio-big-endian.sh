#!/usr/bin/env bash
# fitsio 1.4.2 writes zeros in place of some values of a big-endian floating-point picture.
#
# FITS is big-endian, and astropy gives the pixels of a FITS file as big-endian arrays. A round trip through a lossless
# format gives every value back. fitsio's write takes such arrays, without an error, and its comment says that the data
# must be "native byte order", for which it has a conversion.
# Seen: of random values between 0 and 1000, 4 of 1000 float32 ones and 5 of 10,000 float64 ones come back as about 0
# (1e-41). The same pixels in native byte order are right, and so are big-endian integers and tables.
# The conversion swaps the bytes and leaves the dtype big-endian. Then fitsio looks for values that are not finite: a
# value whose bytes, read backwards, are a NaN counts as one, and a null value is stored for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=fitsio,astropy \
  fitsio==1.4.2 astropy==8.0.2 numpy==2.4.6
env/bin/python - <<'PY'
import fitsio
import numpy as np
from astropy.io import fits

rng = np.random.default_rng(0)
for kind, low, high in (("float32", 0.003, 0.005), ("float64", 0.0003, 0.0007), ("int32", 0, 0)):
    native = (1000 * rng.random((500, 500))).astype(kind)
    fits.PrimaryHDU(native).writeto("first.fits", overwrite=True)
    pixels = fits.getdata("first.fits")
    assert pixels.dtype.byteorder == ">" and (pixels == native).all()
    for order, array in (("native", native), ("big-endian", pixels)):
        fitsio.write("second.fits", array, clobber=True)
        found = fits.getdata("second.fits")
        wrong = found != native
        print(f"{kind}, {order}: {wrong.sum()} of {wrong.size} values are wrong")
        if order == "native" or kind == "int32":
            assert not wrong.any(), "this has changed"
            continue
        for before, after in list(zip(native[wrong], found[wrong]))[:3]:
            print(f"  {before} became {after}")
        assert low < wrong.mean() < high, "this has changed"
        assert found[wrong].max() < 1e-37 and (fitsio.read("second.fits") == found).all(), "this has changed"
PY
