"""ICO, CUR and ICNS: sizes that are not read, and the parts of a PNG inside.

::

    ICO, CUR   0, 1 or 2, count   entries of 16 bytes: size, place   bitmaps or PNGs
    ICNS       "icns", length     blocks: type, length, picture

Windows: icons and cursors; Apple's ICNS as Pillow reads it: the largest size.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.image.parts import png
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part, reduced
from aecodec.image.parts.boxes import printable
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("header, directory", HARMLESS, "the structure of the file")
_PICTURE: Final = Part("the largest picture", KEPT, "the picture")
_SIZES: Final = Part("further pictures", LOST, "further sizes of the icon")
_HOT_SPOT: Final = Part("hot spot", LOST, "hot spot of the cursor")
_INSIDE: Final = Part("metadata of the PNG inside", LOST, "metadata of the picture in the icon")
_DEPTH: Final = Part("16 bits a channel of the PNG inside", LOST, reduced(16))
_MASK: Final = Part("block of a mask", KEPT, "transparency")
_CONTENTS: Final = Part("blocks TOC, icnV", HARMLESS, "the structure of the file")
_OTHER: Final = Part("any other block", LOST, "block N of the icon")
_BEHIND: Final = Part("bytes behind the last picture", LOST, "data behind the picture")
_CUT: Final = Part("picture that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (
    _HEADER,
    _PICTURE,
    _SIZES,
    _HOT_SPOT,
    _INSIDE,
    _DEPTH,
    _MASK,
    _CONTENTS,
    _OTHER,
    _BEHIND,
    _CUT,
)

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MASKS: Final = frozenset({b"t8mk", b"h8mk", b"l8mk", b"s8mk"})
_PICTURES: Final = frozenset(
    {b"ic04", b"ic05", b"ic07", b"ic08", b"ic09", b"ic10", b"ic11", b"ic12", b"ic13", b"ic14"}
    | {b"icp4", b"icp5", b"icp6", b"it32", b"ih32", b"il32", b"is32", b"ich#", b"ICN#", b"icl8"}
)
_MAX_BLOCKS: Final = 1000


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of an icon or cursor."""
    account.add(_HEADER)
    account.add(_PICTURE)
    if bytes(data[:4]) == b"icns":
        _icns(data, account)
    else:
        _ico(data, account)


def _ico(data: memoryview, account: Account) -> None:
    if len(data) < 6:
        account.add(_CUT)
        return
    kind, count = struct.unpack_from("<HH", data, 2)
    if len(data) < 6 + 16 * count:
        account.add(_CUT)
        return
    if count > 1:
        account.add(_SIZES)
    end = 6 + 16 * count
    for at in range(6, end, 16):
        across, down, size, place = struct.unpack_from("<HHII", data, at + 4)
        if kind == 2 and (across or down):
            account.add(_HOT_SPOT)
        end = max(end, place + size)
        if count == 1:
            _inside(data[place : place + size], account)
    if end > len(data):
        account.add(_CUT)
    elif not is_blank(data[end:]):
        account.add(_BEHIND)


def _icns(data: memoryview, account: Account) -> None:
    pictures = 0
    total = int.from_bytes(data[4:8], "big")
    at = 8
    for _ in range(_MAX_BLOCKS):
        if at + 8 > min(total, len(data)):
            break
        kind = bytes(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        if size < 8 or at + size > len(data):
            account.add(_CUT)
            return
        if kind in (b"TOC ", b"icnV"):
            account.add(_CONTENTS)
        elif kind in _MASKS:
            account.add(_MASK)
        elif kind in _PICTURES:
            pictures += 1
            _inside(data[at + 8 : at + size], account)
        else:
            name = printable(kind)
            account.lost(f"block {name}", _OTHER.text.replace("N", name))
        at += size
    if pictures > 1:
        account.add(_SIZES)
    if not is_blank(data[at:]):
        account.add(_BEHIND)


def _inside(picture: memoryview, account: Account) -> None:
    """Account for a PNG inside an icon."""
    if bytes(picture[:8]) != _PNG:
        return
    inner = Account()
    png.walk(picture, inner)
    account.bits = inner.bits or account.bits
    for part in inner.parts:
        if part.fate is LOST:
            account.add(part)
    if inner.texts or inner.xmp or inner.exif or inner.iptc or inner.icc or inner.attachments:
        account.add(_INSIDE)
    if any(part.fate is KEPT and part.name.split()[-1] in _METADATA for part in inner.parts):
        account.add(_INSIDE)


_METADATA: Final = ("iCCP", "eXIf", "pHYs")
