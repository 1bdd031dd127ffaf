"""PCX: what is behind the run-length coded rows, other than the palette.

::

    header (128 bytes)  rows of planes, in run lengths  [0x0C and a palette of 768 bytes]

ZSoft PCX File Format Technical Reference Manual 5.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("header, palette", HARMLESS, "says how the pixels are stored")
_PIXELS: Final = Part("rows", KEPT, "the picture")
_RESOLUTION: Final = Part("resolution in the header", KEPT, "resolution")
_BEHIND: Final = Part("bytes behind the rows", LOST, "data behind the picture")
_UNKNOWN: Final = Part("rows of more than 20 million bytes", LOST, "what is behind the picture")
_CUT: Final = Part("rows that break off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (_HEADER, _PIXELS, _RESOLUTION, _BEHIND, _UNKNOWN, _CUT)

_MAX_BYTES: Final = 20_000_000


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a PCX."""
    if len(data) < 128:
        account.add(_CUT)
        return
    bits = data[3]
    top, bottom, across, down = struct.unpack_from("<H2x3H", data, 6)
    planes, row = struct.unpack_from("<BH", data, 65)
    account.add(_HEADER)
    account.add(_PIXELS)
    if across and down:
        account.add(_RESOLUTION)
        account.resolution = float(across), float(down)
    missing = (bottom - top + 1) * planes * row
    if missing > _MAX_BYTES:
        account.add(_UNKNOWN)
        return
    at, length = 128, len(data)
    while missing > 0 and at < length:
        byte = data[at]
        count = byte & 63 if byte >= 192 else 1
        at += 2 if byte >= 192 else 1
        missing -= count
    if missing > 0 or at > length:
        account.add(_CUT)
        return
    behind = data[at:]
    if bits == 8 and planes == 1 and len(behind) >= 769 and data[length - 769] == 12:
        behind = behind[:-769]
    if not is_blank(behind):
        account.add(_BEHIND)
