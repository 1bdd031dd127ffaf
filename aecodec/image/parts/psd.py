"""PSD: header, colour mode data, image resources, layers, and the merged picture.

::

    header  channels, height, width, depth, mode
    colour mode data      palette, or the inks of a duotone
    image resources       see photoshop.py; ICC, EXIF and XMP among them
    layers and masks      lost
    merged picture        what Pillow reads: raw or run-length coded planes

Adobe Photoshop File Formats Specification. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from aecodec.geometry import ceil_div
from aecodec.image.parts import photoshop
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, SECOND, Account, Part
from aecodec.image.parts.boxes import printable
from aecodec.image.parts.tiff import is_blank

__all__ = ["MODES", "PARTS", "Header", "header_of", "walk"]

MODES: Final = {
    0: "bitmap",
    1: "greyscale",
    2: "palette",
    3: "RGB",
    4: "CMYK",
    7: "multichannel",
    8: "duotone",
    9: "Lab",
}
_HEADER: Final = Part("header", HARMLESS, "says how the pixels are stored")
_PALETTE: Final = Part("colour mode data: palette", HARMLESS, "the colours of the pixels")
_INKS: Final = Part("colour mode data: duotone", LOST, "inks of a duotone")
_OTHER_COLOURS: Final = Part("colour mode data, other", LOST, "colour settings (Photoshop)")
_ICC: Final = Part("resource 1039 ICC profile", KEPT, "ICC")
_EXIF: Final = Part("resource 1058 EXIF", KEPT, "EXIF")
_EXIF_3: Final = Part("resource 1059 EXIF 3", HARMLESS, "a copy of the EXIF")
_LAYERS: Final = Part("layers", LOST, "layers")
_MASK: Final = Part("global layer mask", HARMLESS, "how masks are shown in the editor")
_CHANNELS: Final = Part("channels beyond colour and alpha", LOST, "further channels")
_MERGED: Final = Part("merged picture", KEPT, "the picture")
_BROKEN: Final = Part("section that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")
_BEHIND: Final = Part("bytes behind the merged picture", LOST, "data behind the picture")
_OTHER_BLOCK: Final = Part("any other block of the layer section", LOST, "Photoshop data N")

_EDITOR: Final = "a state of the editor, not of the picture"
_BLOCKS: Final = {
    b"Layr": _LAYERS,
    b"Lr16": _LAYERS,
    b"Lr32": _LAYERS,
    b"Patt": Part("block Patt", LOST, "patterns of layers"),
    b"Pat2": Part("block Pat2", LOST, "patterns of layers"),
    b"Pat3": Part("block Pat3", LOST, "patterns of layers"),
    b"lnkD": Part("block lnkD", LOST, "embedded files"),
    b"lnk2": Part("block lnk2", LOST, "embedded files"),
    b"lnk3": Part("block lnk3", LOST, "embedded files"),
    b"lnkE": Part("block lnkE", LOST, "links to files"),
    b"Anno": Part("block Anno", LOST, "annotations"),
    b"FEid": Part("block FEid", LOST, "filter effects"),
    b"FXid": Part("block FXid", LOST, "filter effects"),
    b"Txt2": Part("block Txt2", LOST, "text layers"),
    b"LMsk": Part("block LMsk", HARMLESS, _EDITOR),
    b"FMsk": Part("block FMsk", HARMLESS, _EDITOR),
    b"cinf": Part("block cinf", HARMLESS, _EDITOR),
    b"Mtrn": Part("block Mtrn", HARMLESS, _EDITOR),
    b"MTrn": Part("block MTrn", HARMLESS, _EDITOR),
    b"Mt16": Part("block Mt16", HARMLESS, _EDITOR),
    b"Mt32": Part("block Mt32", HARMLESS, _EDITOR),
}
"""Blocks behind the layers, for the whole document."""

PARTS: Final = (
    _HEADER,
    _PALETTE,
    _INKS,
    _OTHER_COLOURS,
    _ICC,
    _EXIF,
    _EXIF_3,
    SECOND["exif"],
    SECOND["icc"],
    _LAYERS,
    _MASK,
    *(part for part in _BLOCKS.values() if part is not _LAYERS),
    _OTHER_BLOCK,
    _CHANNELS,
    _MERGED,
    _BROKEN,
    _BEHIND,
)

_MAX_BLOCKS: Final = 10_000
_MAX_VALUE: Final = 2**23
_COLOUR_CHANNELS: Final = {0: 1, 1: 1, 2: 1, 3: 3, 4: 4, 7: 1, 8: 1, 9: 3}


class Header(NamedTuple):
    """The header of a PSD."""

    version: int
    channels: int
    height: int
    width: int
    depth: int
    mode: int
    merged: int
    """The offset of the merged picture; -1 without one."""
    compression: int
    """0 raw, 1 run lengths, 2 and 3 deflate."""
    transparent: bool
    """The first channel behind the colours is the transparency of the merged picture."""


def header_of(data: memoryview) -> Header | None:
    """Read the header and find the merged picture; None if this is not a PSD."""
    if bytes(data[:4]) != b"8BPS" or len(data) < 26:
        return None
    version, channels, height, width, depth, mode = struct.unpack_from(">H6xHIIHH", data, 4)
    sections = list(_sections(data, version))
    merged, compression, transparent = -1, 0, False
    if len(sections) == 3:
        merged = sections[2][1]
        compression = int.from_bytes(data[merged : merged + 2], "big")
        start, end = sections[2]
        wide = 8 if version == 2 else 4
        if end - start > wide + 2:
            inner = start + wide
            if any(data[start:inner]):
                count = int.from_bytes(data[inner : inner + 2], "big", signed=True)
                transparent = count < 0
            else:  # layers of 16 bits, in a block of their own
                transparent = any(
                    key in (b"Mtrn", b"MTrn", b"Mt16", b"Mt32")
                    for key, _ in _blocks(data, start, end, wide)
                )
    return Header(version, channels, height, width, depth, mode, merged, compression, transparent)


def _sections(data: memoryview, version: int) -> Iterator[tuple[int, int]]:
    """Start and end of the three sections that begin with their length."""
    at = 26
    for number in range(3):
        wide = 8 if version == 2 and number == 2 else 4
        size = int.from_bytes(data[at : at + wide], "big")
        start, end = at + wide, at + wide + size
        if end > len(data):
            return
        yield start, end
        at = end


def _blocks(data: memoryview, start: int, end: int, wide: int) -> Iterator[tuple[bytes, int]]:
    """Keys and lengths of the blocks behind the layers and the global mask."""
    at = start
    for _ in range(2):
        length = wide if at == start else 4
        at += length + int.from_bytes(data[at : at + length], "big")
    for _ in range(_MAX_BLOCKS):
        head = bytes(data[at : min(at + 12, end)])
        if len(head) < 12 or head[:4] not in (b"8BIM", b"8B64"):
            return
        long = wide == 8 and head[4:8] in _LONG
        size = int.from_bytes(data[at + 8 : at + (16 if long else 12)], "big")
        yield head[4:8], size
        at += (16 if long else 12) + ceil_div(size, 4) * 4


_LONG: Final = frozenset(
    {b"LMsk", b"Lr16", b"Lr32", b"Layr", b"Mt16", b"Mt32", b"Mtrn", b"Alph", b"FMsk", b"lnk2"}
    | {b"FEid", b"FXid", b"PxSD"}
)
"""Blocks whose length has 8 bytes in a PSB."""


def walk(data: memoryview, account: Account) -> None:
    """Account for every section of a PSD."""
    header = header_of(data)
    if header is None:
        account.add(_BROKEN)
        return
    account.add(_HEADER)
    sections = list(_sections(data, header.version))
    if len(sections) < 3:
        account.add(_BROKEN)
    for number, (start, end) in enumerate(sections):
        if number == 0 and end > start:
            palette = header.mode == 2 and end - start == 768
            other = _INKS if header.mode == 8 else _OTHER_COLOURS
            account.add(_PALETTE if palette else other)
        elif number == 1:
            _resources(data[start:end], account)
        elif number == 2 and end > start:
            _layers(data, header, start, end, account)
    colours = _COLOUR_CHANNELS.get(header.mode, 0)
    kept = colours + (header.transparent and header.mode == 3)
    if header.channels > kept:
        account.add(_CHANNELS)
    if header.depth > 8:
        account.bits = header.depth
    if header.merged >= 0:
        account.add(_MERGED)
        _behind(data, header, account)


def _resources(data: memoryview, account: Account) -> None:
    """Three resources that only a PSD has, then all others, as in a JPEG or TIFF."""
    others = bytearray()
    at = 0
    for _ in range(_MAX_BLOCKS):
        head = bytes(data[at : at + 7])
        if len(head) < 7:
            break
        named = at + 6 + (head[6] + 2 & ~1)
        size = int.from_bytes(data[named : named + 4], "big")
        end = named + 4 + size + size % 2
        number = int.from_bytes(head[4:6], "big")
        content = data[named + 4 : named + 4 + size]
        if number in (1039, 1058, 1059) and len(content) == size <= _MAX_VALUE:
            account.add({1039: _ICC, 1058: _EXIF, 1059: _EXIF_3}[number])
            if number == 1058:
                account.take("exif", bytes(content).removeprefix(b"Exif\0\0"))
            elif number == 1039:
                account.take("icc", bytes(content))
        elif size > _MAX_VALUE:
            account.lost(f"resource {number}", f"Photoshop resource {number}")
        elif len(others) + size > 2 * _MAX_VALUE:
            account.lost("further resources", "further Photoshop resources")
        else:
            others += data[at:end]
        at = end
    photoshop.walk(bytes(others), account)


def _layers(data: memoryview, header: Header, start: int, end: int, account: Account) -> None:
    wide = 8 if header.version == 2 else 4
    size = int.from_bytes(data[start : start + wide], "big")
    count = int.from_bytes(data[start + wide : start + wide + 2], "big", signed=True)
    if size and count:
        account.add(_LAYERS)
    mask = start + wide + size
    if any(data[mask : mask + 4]):
        account.add(_MASK)
    for key, length in _blocks(data, start, end, wide):
        if length:
            name = printable(key)
            other = Part(f"block {name}", LOST, _OTHER_BLOCK.text.replace("N", name))
            account.add(_BLOCKS.get(key, other))


def _behind(data: memoryview, header: Header, account: Account) -> None:
    """Bytes behind the merged picture."""
    start = header.merged + 2
    rows = header.channels * header.height
    if header.compression == 0:
        end = start + rows * ceil_div(header.width * header.depth, 8)
    elif header.compression == 1:
        wide = 4 if header.version == 2 else 2
        end = start + rows * wide
        if end > len(data):
            account.add(_BROKEN)
            return
        for at in range(start, start + rows * wide, 2**16):
            piece = data[at : min(at + 2**16, start + rows * wide)]
            end += sum(struct.unpack(f">{len(piece) // wide}{'I' if wide == 4 else 'H'}", piece))
    else:
        return  # Pillow does not read it
    if end > len(data):
        account.add(_BROKEN)
    elif not is_blank(data[end:]):
        account.add(_BEHIND)
