"""Photoshop's image resources: the blocks "8BIM" of a JPEG's APP13, a TIFF's tag 34377, a PSD.

::

    "8BIM"  u16 number  name (u8 length, padded to even)  u32 length  data (padded to even)

All numbers are big-endian (Adobe Photoshop File Formats Specification, "Image Resource Blocks").
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from aecodec.image.parts.account import HARMLESS, KEPT, LOST, SECOND, Account, Part, Text

__all__ = ["PARTS", "iptc_block", "walk"]

_PRINTING = "settings for printing from Photoshop"
_EDITOR = "a state of the editor, not of the picture"
_CHANNELS = "names of further channels, of which this kind of file has none"

_RESOURCES: Final = {
    0x03ED: Part("resource 1005 ResolutionInfo", KEPT, "resolution"),
    0x03EE: Part("resource 1006 AlphaChannelNames", HARMLESS, _CHANNELS),
    0x03F3: Part("resource 1011 PrintFlags", HARMLESS, _PRINTING),
    0x03F5: Part("resource 1013 ColorHalftoning", HARMLESS, _PRINTING),
    0x03F8: Part("resource 1016 ColorTransferFunctions", HARMLESS, _PRINTING),
    0x0400: Part("resource 1024 LayerState", HARMLESS, _EDITOR),
    0x0402: Part("resource 1026 LayersGroup", HARMLESS, _EDITOR),
    0x0404: Part("resource 1028 IPTC", KEPT, "IPTC"),
    0x0406: Part("resource 1030 JPEGQuality", HARMLESS, "the settings of the former coding"),
    0x0409: Part("resource 1033 Thumbnail (old)", HARMLESS, "a small copy of the picture"),
    0x040B: Part("resource 1035 URL", KEPT, "text URL"),
    0x040C: Part("resource 1036 Thumbnail", HARMLESS, "a small copy of the picture"),
    0x040D: Part("resource 1037 GlobalAngle", HARMLESS, _EDITOR),
    0x0411: Part("resource 1041 ICCUntagged", HARMLESS, "says that there is no profile"),
    0x0412: Part("resource 1042 EffectsVisible", HARMLESS, _EDITOR),
    0x0414: Part("resource 1044 DocumentSpecificIDs", HARMLESS, _EDITOR),
    0x0415: Part("resource 1045 UnicodeAlphaNames", HARMLESS, _CHANNELS),
    0x0419: Part("resource 1049 GlobalAltitude", HARMLESS, _EDITOR),
    0x041D: Part("resource 1053 AlphaIdentifiers", HARMLESS, _CHANNELS),
    0x0421: Part("resource 1057 VersionInfo", HARMLESS, "the version of the program"),
    0x0424: Part("resource 1060 XMP", KEPT, "XMP"),
    0x0425: Part("resource 1061 CaptionDigest", HARMLESS, "a checksum of the IPTC"),
    0x0426: Part("resource 1062 PrintScale", HARMLESS, _PRINTING),
    0x042D: Part("resource 1069 LayerSelectionIDs", HARMLESS, _EDITOR),
    0x0430: Part("resource 1072 LayerGroupsEnabledID", HARMLESS, _EDITOR),
    0x0435: Part("resource 1077 DisplayInfo", HARMLESS, _CHANNELS),
    0x043A: Part("resource 1082 PrintInformation", HARMLESS, _PRINTING),
    0x043B: Part("resource 1083 PrintStyle", HARMLESS, _PRINTING),
    0x0BB7: Part("resource 2999 ClippingPathName", LOST, "clipping path"),
    0x2710: Part("resource 10000 PrintFlagsInformation", HARMLESS, _PRINTING),
}
_EMPTY: Final[dict[int, tuple[Part, Part, Callable[[bytes], bool]]]] = {
    # Nearly every file has these resources. They count only if they differ from the default.
    0x0408: (
        Part("resource 1032 GridAndGuides without guides", HARMLESS, _EDITOR),
        Part("resource 1032 GridAndGuides", LOST, "Photoshop guides"),
        lambda data: data[12:16] == bytes(4),
    ),
    0x040A: (
        Part("resource 1034 CopyrightFlag, not set", HARMLESS, "says nothing"),
        Part("resource 1034 CopyrightFlag", LOST, "Photoshop's copyright mark"),
        lambda data: not any(data),
    ),
    0x0410: (
        Part("resource 1040 Watermark, not set", HARMLESS, "says nothing"),
        Part("resource 1040 Watermark", LOST, "Photoshop's watermark mark"),
        lambda data: not any(data),
    ),
    0x041A: (
        Part("resource 1050 Slices, one", HARMLESS, "the whole picture as one slice"),
        Part("resource 1050 Slices", LOST, "slices for the web"),
        lambda data: _slices(data) <= 1,
    ),
    0x041E: (
        Part("resource 1054 URLList, empty", HARMLESS, "says nothing"),
        Part("resource 1054 URLList", LOST, "links"),
        lambda data: not any(data[:4]),
    ),
    0x0428: (
        Part("resource 1064 PixelAspectRatio of 1", HARMLESS, "pixels are square"),
        Part("resource 1064 PixelAspectRatio", LOST, "pixels that are not square"),
        lambda data: data[4:12] == struct.pack(">d", 1.0),
    ),
}
_PATH: Final = Part("resources 2000 to 2997", LOST, "Photoshop path")
_PATHS: Final = range(2000, 2998)
_UNKNOWN: Final = Part("any other resource", LOST, "Photoshop resource N")
_BROKEN: Final = Part("resources that break off", LOST, "Photoshop resources that cannot be read")
_MAX_BLOCKS: Final = 10_000

PARTS: Final = (
    *_RESOURCES.values(),
    *(part for default, other, _ in _EMPTY.values() for part in (default, other)),
    _PATH,
    _UNKNOWN,
    SECOND["iptc"],
    SECOND["xmp"],
    _BROKEN,
)


def walk(data: bytes | memoryview, account: Account) -> None:
    """Account for every resource; take IPTC, resolution, XMP and URL."""
    at = 0
    for _ in range(_MAX_BLOCKS):
        if not any(data[at : at + 12]):  # the end, or padding
            break
        head = bytes(data[at : at + 7])
        if len(head) < 7 or head[:4] not in (b"8BIM", b"8B64", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            account.add(_BROKEN)
            return
        number = int.from_bytes(head[4:6], "big")
        at += 6 + (head[6] + 2 & ~1)
        size = int.from_bytes(data[at : at + 4], "big")
        content = data[at + 4 : at + 4 + size]
        if at + 4 > len(data) or len(content) < size:
            account.add(_BROKEN)
            return
        _resource(number, bytes(content), account)
        at += 4 + size + size % 2
    if any(data[at:]):
        account.add(_BROKEN)


def _resource(number: int, content: bytes, account: Account) -> None:
    if number in _EMPTY:
        default, other, is_default = _EMPTY[number]
        account.add(default if is_default(content) else other)
    elif number in _PATHS:
        account.add(_PATH)
    elif (part := _RESOURCES.get(number)) is None:
        account.lost(f"resource {number}", f"Photoshop resource {number}")
    else:
        account.add(part)
    if number == 0x0404:
        # No program writes a second one on purpose. It is not joined, because IIM has an order.
        account.take("iptc", content)
    elif number == 0x03ED and len(content) >= 12 and account.resolution is None:
        across, down = struct.unpack_from(">I4xI", content)
        if across and down:
            account.resolution = across / 65536, down / 65536
    elif number == 0x0424:
        account.take("xmp", content)
    elif number == 0x040B and content:
        account.texts.append(Text("URL", content.decode("utf-8", "surrogateescape")))


def _slices(data: bytes) -> int:
    """The number of slices in a resource of version 6; more than one if unknown."""
    if data[:4] != (6).to_bytes(4, "big"):
        return 2
    at = 24 + 2 * int.from_bytes(data[20:24], "big")
    return int.from_bytes(data[at : at + 4], "big") if at + 4 <= len(data) else 2


def iptc_block(records: bytes) -> bytes:
    """A resource with these IPTC records."""
    padded = records + b"\0" * (len(records) % 2)
    return b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(records)) + padded
