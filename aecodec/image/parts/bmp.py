"""BMP and DIB: headers of all versions, palette, pixels, profile, and gaps between them."""

from __future__ import annotations

import re
import struct
from typing import Final

from aecodec.geometry import ceil_div
from aecodec.image import signalling
from aecodec.image.parts import unused
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part, reduced

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("headers, palette and pixels", KEPT, "picture")
_RESOLUTION: Final = Part("resolution", KEPT, "resolution")
_COLOURS: Final = Part("colours of a V4 or V5 header", KEPT, "ICC")
_INTENT: Final = Part("rendering intent of a V5 header", HARMLESS, "a suggestion for printing")
_DEPTH: Final = Part("bit fields of more than 8 bits", LOST, reduced(10))
_ALPHA: Final = Part("transparency of 16-bit pixels", LOST, "transparency")
_UNUSED: Final = Part("bits of pixels that no mask covers", LOST, "further channels")
_RESERVED: Final = Part("reserved bytes of the file header", LOST, "unknown data in the header")
_GAP: Final = Part("bytes between headers and pixels", LOST, "unknown data before the pixels")
_SHORT: Final = Part("pixels beyond the end", LOST, f"{DAMAGED}: the end of the file is missing")
_PADDING: Final = Part("zeros behind the pixels", HARMLESS, "padding")
_TAIL: Final = Part("bytes behind the pixels", LOST, "unknown data behind the picture")
_SIGNAL: Final = Part("colours that cannot be followed", LOST, "ICC profile that cannot be read")

PARTS: Final = (
    _HEADER,
    _RESOLUTION,
    _COLOURS,
    _INTENT,
    _DEPTH,
    _ALPHA,
    _UNUSED,
    _RESERVED,
    _GAP,
    _SHORT,
    _PADDING,
    _TAIL,
    _SIGNAL,
)

_FILE_HEADER: Final = 14
_NOT_ZERO: Final = re.compile(rb"[^\0]")
_RLE: Final = (1, 2)
_BIT_FIELDS: Final = (3, 6)


def walk(data: memoryview, account: Account) -> None:
    """Account for a BMP file, or for a DIB, which has no file header."""
    start = _FILE_HEADER if bytes(data[:2]) == b"BM" else 0
    account.add(_HEADER)
    size = int.from_bytes(data[start : start + 4], "little")
    if size < 12 or start + size > len(data):
        account.add(_SHORT)
        return
    if start and any(data[6:10]):
        account.add(_RESERVED)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<4H", data, start + 4)
        compression = stated = colours = 0
        entry = 3
    else:
        if size < 40:
            account.add(_SHORT)
            return
        width, height, _, bits, compression, stated = struct.unpack_from("<iiHHII", data, start + 4)
        across, down, colours = struct.unpack_from("<iiI", data, start + 24)
        entry = 4
        if across > 0 and down > 0:  # pixels a metre
            account.add(_RESOLUTION)
            account.resolution = across * 0.0254, down * 0.0254
    headers = start + size + (12 if compression in _BIT_FIELDS and size == 40 else 0)
    if bits <= 8:
        headers += entry * min(colours or 1 << bits, 2**16)
    elif size > 12:
        headers += entry * min(colours, 2**16)  # for screens of few colours
    first = int.from_bytes(data[10:14], "little") if start else headers
    if first > len(data) or first < start + size:
        account.add(_SHORT)
        return
    if _NOT_ZERO.search(data[headers:first]) is not None:
        account.add(_GAP)
    if bits in (16, 32) and compression in _BIT_FIELDS:
        _depth(data, start + 40, account)
    if bits in (16, 32) and compression in (0, *_BIT_FIELDS):
        masks = _masks(data, start + 40, size, bits) if compression else _USUAL_MASKS[bits]
        _unused(data, first, abs(width), abs(height), bits, masks, account)
    if compression in _RLE or compression > 3:
        last = first + stated
    else:
        last = first + abs(height) * (ceil_div(abs(width) * bits, 32) * 4)
    if last > len(data):
        account.add(_SHORT)
        last = len(data)
    _profile(data, start, size, last, account)


def _depth(data: memoryview, at: int, account: Account) -> None:
    """The masks of bit fields state the bits of a channel."""
    masks = struct.unpack_from("<3I", data, at) if at + 12 <= len(data) else (0,)
    bits = max(mask.bit_count() for mask in masks)
    if bits > 8:
        account.bits = bits


_USUAL_MASKS: Final = {16: (0x7FFF, 0), 32: (0xFFFFFF, 0)}


def _masks(data: memoryview, at: int, header: int, bits: int) -> tuple[int, int]:
    """The bits of the colours together, and those of transparency."""
    red, green, blue, alpha = struct.unpack_from("<4I", bytes(data[at : at + 16]).ljust(16, b"\0"))
    return red | green | blue, alpha if header >= 56 else 0


def _unused(
    data: memoryview,
    first: int,
    width: int,
    height: int,
    bits: int,
    masks: tuple[int, int],
    account: Account,
) -> None:
    """Bits that Pillow passes over: all that are no colours, and transparency of 16 bits."""
    colours, alpha = masks
    place = (data, first, ceil_div(width * bits, 32) * 4, width, height, bits // 8)
    if bits == 16 and unused.varies(*place, alpha):
        account.add(_ALPHA)
    if unused.varies(*place, ~(colours | alpha) & (2**bits - 1)):
        account.add(_UNUSED)


def _profile(data: memoryview, start: int, size: int, last: int, account: Account) -> None:
    """Colours of the newer headers, whose profile may follow the pixels."""
    signal = signalling.from_bmp(data)
    if size >= 108:
        account.add(_COLOURS)
    if size >= 124:
        account.add(_INTENT)
        kind = bytes(data[start + 56 : start + 60])
        offset, length = struct.unpack_from("<II", data, start + 112)
        profile = start + offset
        if kind in (b"DEBM", b"KNIL") and last <= profile <= profile + length <= len(data):
            if _NOT_ZERO.search(data[last:profile]) is not None:
                account.add(_TAIL)
            last = profile + length
    if signal.icc is not None:
        account.icc = signal.icc
    if signal.note:
        account.lost("colours of the header", signal.note)
    if last < len(data):
        account.add(_TAIL if _NOT_ZERO.search(data, last) is not None else _PADDING)
