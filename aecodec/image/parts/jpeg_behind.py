"""The bytes behind a JPEG's EOI: further pictures, a gain map, a video, an archive, padding.

::

    EOI  (JPEG)*  (MP4 | Samsung's trailer)?  anything

The primary picture's MPF (CIPA DC-007) may list further JPEGs. One of them may be a gain map. This
is stated by the XMP of the primary picture (Adobe's hdrgm, Google's Container:Directory), by an
APP2 of ISO 21496-1, or by segments of the gain map. Motion photos have an MP4 at the end of the
file. Those of Samsung have it in a trailer with a directory (SEF) whose offsets count from its end.
Both kinds are kept unchanged, because they stay valid at the end of another JPEG.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from aecodec.image import xmp
from aecodec.image.parts.account import (
    FRAMES,
    GAIN_MAP,
    HARMLESS,
    KEPT,
    LOST,
    VIDEO,
    Account,
    Attachment,
    Part,
)
from aecodec.image.parts.jpeg_stream import SOI, Jpeg, read

__all__ = ["ISO_GAIN_MAP", "PARTS", "XMP", "GainMap", "Signals", "is_trailer", "walk"]

XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
ISO_GAIN_MAP: Final = b"urn:iso:std:iso:ts:21496:-1\0"
MAX_ATTACHMENT: Final = 2**28
"""The largest gain map or video in bytes that a reader of .aec accepts."""

_PADDING: Final = Part("zeros behind EOI", HARMLESS, "padding")
_PREVIEW: Final = Part("large thumbnail (MPF)", HARMLESS, "a smaller copy of the picture")
_GAIN_MAP: Final = Part("gain map behind EOI", KEPT, "gain map")
_SECOND_MAP: Final = Part("second gain map", LOST, "second gain map")
_VIDEO: Final = Part("MP4 behind EOI (motion photo)", KEPT, "video")
_TRAILER: Final = Part("Samsung trailer (SEF)", KEPT, "video")
_SECOND_VIDEO: Final = Part("second video", LOST, "second video behind the picture")
_LARGE: Final = Part(
    "attachment of more than 256 MiB", LOST, "video behind the picture (motion photo), too large"
)
_PICTURES: Final = Part("further pictures (MPO)", LOST, FRAMES)
_BEHIND: Final = Part("a JPEG behind EOI without MPF", LOST, "second picture behind the picture")
_ZIP: Final = Part("a ZIP archive behind EOI", LOST, "archive (ZIP) behind the picture")
_TAIL: Final = Part("other bytes behind EOI", LOST, "unknown data behind the picture")

PARTS: Final = (
    _PADDING,
    _PREVIEW,
    _GAIN_MAP,
    _SECOND_MAP,
    _VIDEO,
    _TRAILER,
    _SECOND_VIDEO,
    _LARGE,
    _PICTURES,
    _BEHIND,
    _ZIP,
    _TAIL,
)

_MAX_PICTURES: Final = 100
_NOT_ZERO: Final = re.compile(rb"[^\0]")


class GainMap(NamedTuple):
    """The data to write a gain map back: `Attachment.detail`, as 12 bytes and a payload.

    ::

        u8 orientation of the JPEG (EXIF's, 1 to 8)     u8 1: MPF points to it, 0: nothing does
        u16 0                                           u32 MPF's attributes of the picture
        u32 MPF's attributes of the gain map            payload of the APP2 of ISO 21496-1, or none

    Numbers are big-endian.
    """

    orientation: int = 1
    listed: bool = True
    attributes: tuple[int, int] = (0x20030000, 0)
    iso: bytes = b""

    def pack(self) -> bytes:
        return struct.pack(">BBHII", self.orientation, self.listed, 0, *self.attributes) + self.iso

    @classmethod
    def unpack(cls, detail: bytes) -> GainMap | None:
        """The detail in these bytes; None if they are not valid."""
        if len(detail) < 12:
            return None
        orientation, listed, _, first, second = struct.unpack_from(">BBHII", detail)
        if orientation not in range(1, 9) or listed > 1:
            return None
        return cls(orientation, bool(listed), (first, second), bytes(detail[12:]))


class Signals(NamedTuple):
    """The statements of the primary picture on the bytes behind it."""

    mpf: memoryview | None
    mpf_at: int
    """The position of MPF's header in the file, from which its offsets count."""
    iso: bytes
    """The payload of the APP2 of ISO 21496-1."""
    packet: bytes
    """The XMP."""


def walk(jpeg: Jpeg, data: memoryview, account: Account, signals: Signals) -> None:
    """Account for all bytes from the picture's EOI to the end of the file."""
    pictures: list[Jpeg] = []
    at, size = jpeg.end, len(data)
    while (match := _NOT_ZERO.search(data, at)) is not None:
        begun, at = at, match.start()
        # An MP4 begins with the length of its first box, whose first bytes are 0.
        boxes = [
            at - k for k in range(4) if at - k >= begun and bytes(data[at - k + 4 :][:4]) == b"ftyp"
        ]
        start = boxes[0] if boxes else at
        if bytes(data[at : at + 3]) == SOI and len(pictures) < _MAX_PICTURES:
            pictures.append(read(data, at))
            at = pictures[-1].end
        elif is_trailer(data):
            start, at = begun, size  # its first block begins with zeros
            _attach(_TRAILER, Attachment(VIDEO, bytes(data[start:])), account)
        elif boxes:
            at = _boxes_end(data, start)
            _attach(_VIDEO, Attachment(VIDEO, bytes(data[start:at])), account)
        else:
            account.add(_ZIP if bytes(data[at : at + 4]) == b"PK\3\4" else _TAIL)
            at = size
        if begun < start:
            account.add(_PADDING)
    if at < size:
        account.add(_PADDING)
    _pictures(jpeg, pictures, data, account, signals)


def _attach(part: Part, attachment: Attachment, account: Account) -> None:
    if any(other.kind == attachment.kind for other in account.attachments):
        account.add(_SECOND_MAP if attachment.kind == GAIN_MAP else _SECOND_VIDEO)
    elif len(attachment.data) > MAX_ATTACHMENT:
        account.add(_LARGE)
    else:
        account.add(part)
        account.attachments.append(attachment)


# --- Pictures -----------------------------------------------------------------------------------

_LARGE_THUMBNAILS: Final = range(0x010000, 0x020000)
_OWN_MARKS: Final = (b"hdr-gain-map", b"urn:com:apple:photo:2020:aux:hdrgainmap")
_UNLISTED: Final = -1


def _pictures(
    jpeg: Jpeg, pictures: list[Jpeg], data: memoryview, account: Account, signals: Signals
) -> None:
    """Distinguish gain maps and previews from further pictures."""
    listed = dict(_mpf_entries(signals.mpf, signals.mpf_at)) if signals.mpf is not None else {}
    others: list[Jpeg] = []
    for picture in pictures:
        kind = listed.get(picture.start, _UNLISTED) & 0xFFFFFF
        smaller = all(a < b for a, b in zip(picture.size, jpeg.size, strict=True))
        if kind in _LARGE_THUMBNAILS and smaller:
            account.add(_PREVIEW)
        else:
            others.append(picture)
    maps = [picture for picture in others if _is_marked(picture, data)]
    claims = xmp.semantics(signals.packet)
    if not maps and (signals.iso or "hdrgm" in claims or "GainMap" in claims):
        maps = others[:1]
    for picture in others:
        attribute = listed.get(picture.start, _UNLISTED)
        if picture in maps and not picture.faults:
            first = listed.get(0, 0)
            is_listed = attribute != _UNLISTED
            attributes = (first, attribute) if is_listed else (0, 0)
            detail = GainMap(1, is_listed, attributes, signals.iso).pack()
            content = bytes(data[picture.start : picture.end])
            _attach(_GAIN_MAP, Attachment(GAIN_MAP, content, detail), account)
        else:
            account.add(_BEHIND if attribute == _UNLISTED else _PICTURES)


def _is_marked(picture: Jpeg, data: memoryview) -> bool:
    """Whether the segments of a picture declare it a gain map."""
    for marker, start, end in picture.segments:
        content = bytes(data[start:end])
        if marker == 0xE1 and any(mark in content for mark in _OWN_MARKS):
            return True
        if marker == 0xE2 and content.startswith(ISO_GAIN_MAP):
            return True
    return False


def _mpf_entries(mpf: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """Offset and attributes of each picture that MPF lists.

    MPF is a TIFF structure. Its tag B002 has 16 bytes a picture: attributes, size, offset, and the
    numbers of two pictures that it depends on. The first picture has the offset 0.
    """
    order = "<" if bytes(mpf[:2]) == b"II" else ">"
    if len(mpf) < 8:
        return
    (directory,) = struct.unpack_from(order + "I", mpf, 4)
    if directory + 2 > len(mpf):
        return
    (count,) = struct.unpack_from(order + "H", mpf, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(mpf) - 11), 12):
        tag, _, size, offset = struct.unpack_from(order + "HHII", mpf, entry)
        if tag != 0xB002:
            continue
        for place in range(offset, min(offset + size, len(mpf) - 15), 16):
            attributes, _, relative = struct.unpack_from(order + "III", mpf, place)
            yield relative and at + relative, attributes


# --- Videos -------------------------------------------------------------------------------------

_MAX_BOXES: Final = 10_000


def _boxes_end(data: memoryview, at: int) -> int:
    """The end of the boxes of an MP4 (ISO 14496-12)."""
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            break
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        elif size == 0:
            return len(data)
        if size < 8 or not kind.isalnum():
            break
        if at + size > len(data):
            return len(data)
        at += size
    return at


def is_trailer(data: memoryview | bytes) -> bool:
    """Whether a file ends with Samsung's directory of the blocks before it."""
    return bytes(data[-4:]) == b"SEFT" and b"SEFH" in bytes(data[-65536:])
