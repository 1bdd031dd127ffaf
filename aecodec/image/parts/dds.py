"""DDS: mipmaps, faces, slices, and the depth of the values.

::

    "DDS "  header (124 bytes)  [header of DX10 (20 bytes)]  surfaces

Microsoft, Programming Guide for DDS. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.geometry import ceil_div
from aecodec.image.parts import unused
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part, reduced
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("headers", HARMLESS, "say how the pixels are stored")
_RESERVED: Final = Part("reserved words of the header", HARMLESS, "the mark of the program")
_PIXELS: Final = Part("first surface", KEPT, "the picture")
_MIPMAPS: Final = Part("mipmaps", LOST, "reduced-resolution images (mipmaps)")
_CUBE: Final = Part("faces of a cube map", LOST, "faces of a cube map")
_VOLUME: Final = Part("slices of a volume", LOST, "slices of a volume")
_ARRAY: Final = Part("elements of an array", LOST, "further pictures")
_HDR: Final = Part("format BC6H", LOST, "HDR values (BC6H) reduced to 8 bits")
_DEPTH: Final = Part("masks of more than 8 bits", LOST, reduced(10))
_UNUSED: Final = Part("bits of pixels that no mask covers", LOST, "further channels")
_NORMALS: Final = Part("format BC5", LOST, "a texture of two channels, not a picture")
_BEHIND: Final = Part("bytes behind the first surface", LOST, "data behind the picture")
_CUT: Final = Part("surface that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (
    _HEADER,
    _RESERVED,
    _PIXELS,
    _MIPMAPS,
    _CUBE,
    _VOLUME,
    _ARRAY,
    _HDR,
    _DEPTH,
    _UNUSED,
    _NORMALS,
    _BEHIND,
    _CUT,
)

_BLOCKS: Final = {b"DXT1": 8, b"DXT3": 16, b"DXT5": 16, b"ATI1": 8, b"BC4U": 8, b"ATI2": 16}
_BLOCKS_DX10: Final = dict.fromkeys((70, 71, 72, 79, 80, 81), 8) | dict.fromkeys(
    (73, 74, 75, 76, 77, 78, 82, 83, 84, 94, 95, 96, 97, 98, 99), 16
)
"""Bytes of a block of 4 x 4 pixels, by the number of the format (DXGI)."""


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a DDS."""
    if len(data) < 128:
        account.add(_CUT)
        return
    flags, height, width, _, depth, mipmaps = struct.unpack_from("<6I", data, 8)
    pixel_flags, code, bits = struct.unpack_from("<I4sI", data, 80)
    masks = struct.unpack_from("<4I", data, 92)
    (caps,) = struct.unpack_from("<I", data, 112)
    account.add(_HEADER)
    account.add(_PIXELS)
    if any(data[32:76]):
        account.add(_RESERVED)
    if flags & 0x20000 and mipmaps > 1:
        account.add(_MIPMAPS)
    if caps & 0x200:
        account.add(_CUBE)
    if caps & 0x200000 and depth > 1:
        account.add(_VOLUME)
    start, size = 128, width * height * bits // 8
    if pixel_flags & 4:
        block = _BLOCKS.get(code, 16)
        if code == b"DX10" and len(data) >= 148:
            start = 148
            form, dimension, misc, elements = struct.unpack_from("<4I", data, 128)
            block = _BLOCKS_DX10.get(form, 0)
            if form in (94, 95, 96):
                account.add(_HDR)
            if misc & 4:
                account.add(_CUBE)
            if dimension == 4 and depth > 1:
                account.add(_VOLUME)
            if elements > 1:
                account.add(_ARRAY)
        if code in (b"ATI2", b"BC5U", b"BC5S"):
            account.add(_NORMALS)
        size = ceil_div(width, 4) * ceil_div(height, 4) * block if block else 4 * width * height
    elif pixel_flags & 0x40 and any(mask.bit_count() > 8 for mask in masks[:3]):
        account.bits = max(mask.bit_count() for mask in masks[:3])
        account.lost(_DEPTH.name, reduced(account.bits))
    if pixel_flags & 0x40 and bits in (16, 32):
        covered = masks[0] | masks[1] | masks[2] | (masks[3] if pixel_flags & 1 else 0)
        rest = ~covered & (2**bits - 1)
        if unused.varies(data, start, width * bits // 8, width, height, bits // 8, rest):
            account.add(_UNUSED)
    if pixel_flags & 0x20:
        start += 1024
    further = {_MIPMAPS, _CUBE, _VOLUME, _ARRAY} & set(account.parts)
    if start + size > len(data):
        account.add(_CUT)
    elif not further and not is_blank(data[start + size :]):
        account.add(_BEHIND)
