#!/usr/bin/env bash
# FFmpeg's encoder libsvtav1 (PyAV 18.1.0) takes crf 0, the best quality, for crf 35, its default.
#
# FFmpeg's help says of crf of libsvtav1: "Constant Rate Factor value (from 0 to 63)". In every encoder a lower value is
# better, and with libx264 and libvpx-vp9 the frame of crf 0 is lossless.
# Seen, without an error: the file of crf 0 is, byte for byte, that of crf 35 and that without the option, and its frame
# is up to 22 of 255 levels off. With crf 1 the frame is exact and the file 15 times as large. qp does the same. So 0
# counts as no value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=av av==18.1.0 numpy==2.4.6
env/bin/python - 2> messages.txt <<'PY' || { cat messages.txt; exit 1; }
import io

import av
import numpy as np

y, x = np.mgrid[0:192, 0:192]
levels = 128 + 60 * np.sin(x / 9) * np.cos(y / 7) + np.random.default_rng(0).normal(0, 6, x.shape)
levels[128:] = 128
planes = levels.clip(16, 235).astype(np.uint8)  # the luma of 128 rows, then the chroma of 4:2:0


def encode(codec, options):
    file = io.BytesIO()
    with av.open(file, "w", format="ivf" if codec != "libx264" else "h264") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        container.mux([*stream.encode(frame), *stream.encode()])
    with av.open(io.BytesIO(file.getvalue())) as container:
        found = next(container.decode(video=0)).to_ndarray()
    error = np.abs(found.astype(int) - planes).max()
    print(f"{codec}, {options}: {len(file.getvalue())} bytes, error {error}")
    return file.getvalue(), error


for codec in ("libx264", "libvpx-vp9"):
    assert encode(codec, {"crf": "0"})[1] == 0
default, error = encode("libsvtav1", {})
assert error > 5, "this has changed"
for options in ({"crf": "0"}, {"crf": "35"}, {"qp": "0"}):
    assert encode("libsvtav1", options)[0] == default, "this has changed"
for options in ({"crf": "1"}, {"qp": "1"}):
    file, error = encode("libsvtav1", options)
    assert len(file) > 10 * len(default) and error <= 2, "this has changed"
PY
