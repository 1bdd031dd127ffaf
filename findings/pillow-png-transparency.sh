#!/usr/bin/env bash
# Pillow 13.0.0 makes PNG pictures of 2, 4 or 16 bits opaque whose transparent colour is given by a tRNS chunk.
#
# The PNG specification (tRNS chunk) says that the chunk names one grey or one colour, in the picture's own depth,
# whose pixels are transparent. Pillow scales the samples to 8 bits and the chunk's value not, so nothing matches.
# Seen: convert("RGBA") of such pictures has alpha 255 everywhere, for grey of 2, 4 and 16 and RGB of 16 bits;
# those of 8 bits are right. libpng (by imagecodecs 2026.3.6) finds the transparent pixels at every depth.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
env/bin/python - <<'PY'
import io
import struct
import zlib

import imagecodecs
import numpy as np
from PIL import Image

GREY, RGB = 0, 2


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, colour, row, transparent):
    header = struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)
    named = struct.pack(f">{len(transparent)}H", *transparent)
    parts = [(b"IHDR", header), (b"tRNS", named), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# The first pixel has the transparent colour and the second has not.
files = {
    "grey, 2 bits": png(2, GREY, bytes([0b01100000]), (1,)),
    "grey, 4 bits": png(4, GREY, bytes([0x5A]), (5,)),
    "grey, 8 bits": png(8, GREY, bytes([5, 10]), (5,)),
    "grey, 16 bits": png(16, GREY, struct.pack(">2H", 1000, 9000), (1000,)),
    "RGB, 8 bits": png(8, RGB, bytes([1, 2, 3, 4, 5, 6]), (1, 2, 3)),
    "RGB, 16 bits": png(16, RGB, struct.pack(">6H", 1000, 2000, 3000, 9000, 9000, 9000), (1000, 2000, 3000)),
}
for name, file in files.items():
    by_pillow = np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))[0, :, 3].tolist()
    decoded = imagecodecs.png_decode(file)
    by_libpng = (decoded[0, :, -1] // (decoded.max() if decoded.dtype == np.uint8 else 65535)).tolist()
    print(f"{name}: alpha {by_pillow} by Pillow; opaque {by_libpng} by libpng")
    assert by_libpng == [0, 1]
    assert by_pillow == ([0, 255] if ", 8 bits" in name else [255, 255]), "this has changed"
PY
