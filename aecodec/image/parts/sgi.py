"""SGI: the name in the header, depth, and what is behind the planes.

::

    header (512 bytes)  planes, or starts and lengths of rows and the rows

The SGI Image File Format 1.00. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from aecodec.image.parts.account import (
    DAMAGED,
    HARMLESS,
    KEPT,
    LOST,
    Account,
    Part,
    Text,
    reduced,
)
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("header", HARMLESS, "says how the pixels are stored")
_NAME: Final = Part("name", KEPT, "text Title")
_PIXELS: Final = Part("planes", KEPT, "the picture")
_DEPTH: Final = Part("16 bits a channel", LOST, reduced(16))
_MAP: Final = Part("colour map of another kind", LOST, "colour map (SGI)")
_BEHIND: Final = Part("bytes behind the planes", LOST, "data behind the picture")
_CUT: Final = Part("planes that break off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (_HEADER, _NAME, _PIXELS, _DEPTH, _MAP, _BEHIND, _CUT)

_CHUNK: Final = 65536


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of an SGI picture."""
    if len(data) < 512:
        account.add(_CUT)
        return
    runs, bytes_each, _, width, height, planes = struct.unpack_from(">BBHHHH", data, 2)
    account.add(_HEADER)
    account.add(_PIXELS)
    name = bytes(data[24:104]).split(b"\0")[0].strip()
    if name and name != b"no name":
        account.add(_NAME)
        account.texts.append(Text("Title", name.decode("latin-1")))
    if bytes_each == 2:
        account.bits = 16
        account.add(_DEPTH)
    if any(data[104:108]):
        account.add(_MAP)
    rows = max(height, 1) * max(planes, 1)
    end = 512 + rows * width * bytes_each
    if runs:
        table = 512 + 8 * rows
        if table > len(data):
            account.add(_CUT)
            return
        end = table
        for at in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - at)
            starts = np.frombuffer(data, ">u4", count, 512 + 4 * at).astype(np.int64)
            lengths = np.frombuffer(data, ">u4", count, 512 + 4 * (rows + at))
            end = max(end, int((starts + lengths).max()))
    if end > len(data):
        account.add(_CUT)
    elif not is_blank(data[end:]):
        account.add(_BEHIND)
