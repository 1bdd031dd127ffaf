#!/usr/bin/env bash
# OpenCV 5.0's stackBlur gives wrong pictures of 16 bits.
#
# Its documentation says that it "can generate similar results as Gaussian blur", and lists CV_8U, CV_16U, CV_16S and
# CV_32F as its depths. A blur of a plain picture is that picture.
# Seen, without an error: of a plain picture of 65,535 most pixels become 43,775 with a kernel of 5, 40,959 with 7,
# 32,767 with 31 and 34 with 51. With 5, 30,000 becomes 30,116. A smooth picture of bright 16-bit values is off by more
# than 20,000 levels. A kernel of 3 is right. float32 is right, and so are 8 bits within one level, and GaussianBlur and
# blur in each type.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  opencv-python-headless==5.0.0.93 numpy==2.4.6
env/bin/python - <<'PY'
import cv2
import numpy as np

for kind, level in ((np.uint8, 255), (np.uint16, 65535), (np.uint16, 30000), (np.int16, 32767)):
    plain = np.full((200, 300), level, kind)
    for size in (3, 5, 7, 31, 51):
        kernel = (size, size)
        assert (cv2.GaussianBlur(plain, kernel, 0) == plain).all() and (cv2.blur(plain, kernel) == plain).all()
        found = cv2.stackBlur(plain, kernel)
        print(f"{kind.__name__}, all {level}, kernel {size}: from {found.min()} to {found.max()}")
        error = np.abs(found.astype(int) - level).max()
        if kind is np.uint8 or size == 3:
            assert error <= 1, "this has changed"
        elif level == 30000:
            assert (error > 50) == (size in (5, 51)), "this has changed"
        else:
            assert error > 9000, "this has changed"
y, x = np.mgrid[0:200, 0:300]
smooth = (60000 + 3000 * np.sin(x / 20) * np.cos(y / 15)).astype(np.uint16)
right = cv2.stackBlur(smooth.astype(np.float32), (7, 7))
assert np.abs(right - smooth).max() < 400
found = cv2.stackBlur(smooth, (7, 7))
error = np.abs(found - right)
print(f"a smooth picture, kernel 7: {100 * (error > 2).mean():.0f} % of the values wrong, by up to {error.max():.0f}")
assert error.max() > 10000, "this has changed"
PY
