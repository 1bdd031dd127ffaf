"""Sun raster: what is behind the pixels.

::

    header (32 bytes)  colour map  rows, or run lengths

Solaris, rasterfile(4). All numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.image.parts import unused
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("header, colour map", HARMLESS, "says how the pixels are stored")
_PIXELS: Final = Part("rows", KEPT, "the picture")
_CHANNEL: Final = Part("fourth channel of 32 bits, if it varies", LOST, "further channels")
_BEHIND: Final = Part("bytes behind the rows", LOST, "data behind the picture")
_CUT: Final = Part("rows that break off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (_HEADER, _PIXELS, _CHANNEL, _BEHIND, _CUT)


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a Sun raster file."""
    if len(data) < 32:
        account.add(_CUT)
        return
    width, height, depth, length, kind, _, colours = struct.unpack_from(">7I", data, 4)
    account.add(_HEADER)
    account.add(_PIXELS)
    place = (data, 32 + colours, width * 4, width, height, 4)
    if depth == 32 and (kind == 2 or unused.varies(*place, 0xFF)):  # the first byte of a pixel
        account.add(_CHANNEL)
    end = 32 + colours + (length if kind == 2 else (width * depth + 15) // 16 * 2 * height)
    if end > len(data):
        account.add(_CUT)
    elif not is_blank(data[end:]):
        account.add(_BEHIND)
