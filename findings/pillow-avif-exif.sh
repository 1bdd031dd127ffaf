#!/usr/bin/env bash
# Pillow 13.0.0 does not give the EXIF of a turned AVIF as it is stored: it writes it anew, and moves the
# camera's maker note.
#
# An AVIF says by its property irot how it is to be turned (HEIF, ISO/IEC 23008-12). Its EXIF is an item of its
# own, whose orientation readers ignore. Where the two differ, Pillow puts the orientation of irot into the EXIF.
# It does so by writing all of it anew.
# Seen: with irot, info["exif"] has 140 bytes for 172, and the maker note begins at byte 76 in place of 80. Without
# irot the same EXIF is given byte for byte. Maker notes hold offsets that count from the beginning of the EXIF, so a
# moved one cannot be read. A program that copies info["exif"] into its output damages it without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0
env/bin/python - <<'PY'
import io
import struct

from PIL import Image

NOTE = b"a camera's maker note".ljust(64, b".")


def entry(tag, kind, count, value):
    return struct.pack(">HHII", tag, kind, count, value)


def camera_exif():
    """IFD0 with the maker's name, and an Exif IFD with a maker note, as cameras write them."""
    first, second, text, note = 8, 50, 70, 80
    head = b"MM\0*" + struct.pack(">I", first)
    ifd0 = struct.pack(">H", 3) + entry(0x010F, 2, 7, text) + entry(0x0112, 3, 1, 1 << 16)
    ifd0 += entry(0x8769, 4, 1, second) + bytes(4)
    exif_ifd = struct.pack(">H", 1) + entry(0x927C, 7, len(NOTE), note) + bytes(4)
    content = (head + ifd0).ljust(second, b"\0") + exif_ifd
    content = content.ljust(text, b"\0") + b"Camera\0"
    return content.ljust(note, b"\0") + NOTE


def avif(orientation):
    """An AVIF with irot for this orientation, whose EXIF states that nothing is to be turned."""
    exif = camera_exif()
    room = Image.Exif()
    room[0x0112] = orientation
    room[0x010E] = "x" * len(exif)
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(file, "AVIF", exif=room)
    data = file.getvalue()
    at = data.index(b"MM\0*")
    size = data.index(b"x" * len(exif)) + len(exif) - at
    return data[:at] + exif.ljust(size, b"\0") + data[at + size :]


stored = camera_exif()
for orientation, expected in ((1, (172, 80)), (6, (140, 76))):
    with Image.open(io.BytesIO(avif(orientation))) as image:
        found = image.info["exif"].removeprefix(b"Exif\0\0")
        image.load()
    seen = len(found), found.find(NOTE)
    print(f"irot for orientation {orientation}: {image.size}, {seen[0]} bytes of EXIF, maker note at {seen[1]}")
    assert seen == expected, "this has changed"
    assert (found.rstrip(b"\0") == stored.rstrip(b"\0")) == (orientation == 1), "this has changed"
PY
