#!/usr/bin/env bash
# imageio 2.38.1 loses three quarters of the colours when it writes with the lossless codec FFV1.
#
# FFV1 (RFC 9043) is lossless, for RGB too. FFmpeg, given RGB frames and `-c:v ffv1`, chooses an RGB format of it.
# imageio chooses yuv420p, which has a colour for each four pixels, unless it is told a pixel format.
# Seen, for frames of noise, with both of its plugins, FFMPEG (imageio-ffmpeg 0.8.1) and pyav (av 18.1.0): errors of
# more than 200 of 255. The FFmpeg of imageio-ffmpeg, called directly, gives every value back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  imageio==2.38.1 imageio-ffmpeg==0.8.1 av==18.1.0 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PY'
import subprocess

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np

frames = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def largest_error(file):
    back = iio.imread(file, plugin="pyav")
    assert back.shape == frames.shape
    return int(np.abs(back.astype(int) - frames).max())


iio.imwrite("by_ffmpeg.mkv", frames, plugin="FFMPEG", fps=5, codec="ffv1")
iio.imwrite("by_pyav.mkv", frames, plugin="pyav", fps=5, codec="ffv1")
iio.imwrite("told.mkv", frames, plugin="FFMPEG", fps=5, codec="ffv1", pixelformat="bgr0")
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
command += ["-s", "64x64", "-r", "5", "-i", "-", "-c:v", "ffv1", "direct.mkv"]
subprocess.run(command, input=frames.tobytes(), check=True)
found = {name: largest_error(f"{name}.mkv") for name in ("by_ffmpeg", "by_pyav", "told", "direct")}
print("largest errors:", found)
assert found["by_ffmpeg"] > 200 and found["by_pyav"] > 200, "this has changed"
assert found["told"] == found["direct"] == 0
PY
