"""JPEG: the segments of the picture, and the bytes behind its end.

::

    FFD8  segments  FFDA entropy-coded data  ...  FFD9   further JPEGs, a video, an archive, padding

Segments are those of ITU-T T.81, told apart by the identifiers that their formats begin with:
JFIF, Exif, XMP and extended XMP (Adobe XMP Part 3), ICC, MPF (CIPA DC-007), gain maps (ISO 21496-1;
Adobe's hdrgm), Photoshop's image resources, JUMBF (ISO 19566-5), which holds content credentials.
`jpeg_stream.py` has the syntax, `jpeg_behind.py` the parts behind EOI.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aecodec.image import xmp
from aecodec.image.parts import jpeg_behind, jpeg_stream, photoshop
from aecodec.image.parts.account import HARMLESS, KEPT, LOST, SECOND, Account, Part, Text
from aecodec.image.parts.jpeg_behind import ISO_GAIN_MAP, XMP

__all__ = ["PARTS", "XMP_EXTENSION", "walk"]

XMP_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF_PREFIX: Final = b"Exif\0\0"
MAX_PACKET: Final = 2**24
"""Bytes of XMP, joined."""

# --- The parts ----------------------------------------------------------------------------------

_JFIF: Final = Part("APP0 JFIF", KEPT, "resolution")
_EXIF: Final = Part("APP1 Exif", KEPT, "EXIF")
_XMP: Final = Part("APP1 XMP", KEPT, "XMP")
_EXTENDED: Final = Part("APP1 extended XMP", KEPT, "XMP, joined")
_ICC: Final = Part("APP2 ICC_PROFILE", KEPT, "ICC")
_MPF: Final = Part("APP2 MPF", HARMLESS, "a directory of further pictures, each told for itself")
_ISO: Final = Part("APP2 ISO 21496-1", HARMLESS, "says that a gain map follows")
_PHOTOSHOP: Final = Part("APP13 Photoshop", HARMLESS, "image resources, each told for itself")
_DUCKY: Final = Part("APP12 Ducky", HARMLESS, "the settings of the former coding")
_COMMENT: Final = Part("COM", KEPT, "comment")

_APPLICATIONS: Final = (
    # marker, what the segment begins with, part
    (0xE0, b"JFIF\0", _JFIF),
    (0xE0, b"JFXX\0", Part("APP0 JFXX", HARMLESS, "a small copy of the picture")),
    (0xE0, b"AMPF\0", Part("APP0 AMPF", HARMLESS, "says that MPF follows")),
    (0xE0, b"CIFF", Part("APP0 CIFF", LOST, "camera settings (CIFF)")),
    (0xE0, b"II", Part("APP0 CIFF", LOST, "camera settings (CIFF)")),
    (0xE1, _EXIF_PREFIX, _EXIF),
    (0xE1, XMP, _XMP),
    (0xE1, XMP_EXTENSION, _EXTENDED),
    (0xE1, b"FLIR\0", Part("APP1 FLIR", LOST, "thermal data (FLIR)")),
    (0xE2, b"ICC_PROFILE\0", _ICC),
    (0xE2, b"MPF\0", _MPF),
    (0xE2, ISO_GAIN_MAP, _ISO),
    (0xE2, b"FPXR\0", Part("APP2 FPXR", LOST, "FlashPix data")),
    (0xE3, b"Meta\0", Part("APP3 Meta", LOST, "camera settings (Kodak's Meta)")),
    (0xE3, b"META\0", Part("APP3 Meta", LOST, "camera settings (Kodak's Meta)")),
    (0xE3, b"_JPSJPS_", Part("APP3 JPS", LOST, "stereo layout (JPS)")),
    (0xE5, b"RMETA\0", Part("APP5 RMETA", LOST, "Ricoh's metadata (RMETA)")),
    (0xE6, b"EPPIM\0", Part("APP6 EPPIM", LOST, "Toshiba's print settings (EPPIM)")),
    (0xE6, b"GoPro\0", Part("APP6 GoPro", LOST, "GoPro's sensor data")),
    (0xE8, b"SPIFF\0", Part("APP8 SPIFF", LOST, "SPIFF directory")),
    (0xEA, b"AROT", Part("APP10 AROT", LOST, "HDR gain curve (AROT)")),
    (0xEA, b"UNICODE\0", Part("APP10 comment", LOST, "PhotoStudio's comment")),
    (0xEB, b"JP", Part("APP11 JUMBF or JPEG XT", LOST, "JPEG extension data (APP11)")),
    (0xEB, b"HDR_RI", Part("APP11 HDR_RI", LOST, "HDR data (JPEG-HDR)")),
    (0xEC, b"Ducky", _DUCKY),
    (0xEC, b"", Part("APP12 Picture Info", LOST, "camera settings (APP12)")),
    (0xED, b"Photoshop 3.0\0", _PHOTOSHOP),
    (0xED, b"Adobe_CM", Part("APP13 Adobe_CM", HARMLESS, "a mark of Adobe's colour management")),
    (0xEE, b"Adobe", Part("APP14 Adobe", HARMLESS, "how the colours are coded, for the decoder")),
)
_C2PA: Final = Part("APP11 C2PA", LOST, "content credentials")
_DUCKY_TEXT: Final = Part("APP12 Ducky with a text", LOST, "comment (APP12)")
_UNKNOWN_APP: Final = Part("any other APPn", LOST, "unknown segment APPn")
_XMP_LOST: Final = Part("APP1 extended XMP that cannot be joined", LOST, "extended XMP")
_ICC_LOST: Final = Part("APP2 ICC_PROFILE of which a part is missing", LOST, "ICC profile")
_ASPECT: Final = Part("APP0 JFIF, an aspect ratio other than 1", LOST, "pixels that are not square")
_LATE: Final = Part("APPn after the first scan", LOST, "metadata behind the picture's first scan")


PARTS: Final = (
    *jpeg_stream.PARTS,
    *dict.fromkeys(part for _, _, part in _APPLICATIONS),
    _COMMENT,
    _C2PA,
    _DUCKY_TEXT,
    _UNKNOWN_APP,
    _LATE,
    SECOND["exif"],
    SECOND["xmp"],
    _XMP_LOST,
    _ICC_LOST,
    _ASPECT,
    *jpeg_behind.PARTS,
)


# --- The account --------------------------------------------------------------------------------


def walk(data: memoryview, account: Account) -> None:
    """Account for a JPEG file, be it one picture or several (MPO)."""
    jpeg = jpeg_stream.read(data, 0)
    account.add(jpeg_stream.PICTURE)
    for fault in jpeg.faults:
        account.add(fault)
    jpeg_stream.check_scans(jpeg, data, account)
    found = _Found()
    for segment in jpeg.segments:
        _segment(segment, data, account, found)
    if jpeg.late:
        account.add(_LATE)  # Pillow has not read it
    _exif(found.exif, account)
    _photoshop(found, account)
    _xmp(found, account)
    _icc(found, account)
    if jpeg.end < len(data):
        packet = account.xmp or (found.packets[-1] if found.packets else b"")
        signals = jpeg_behind.Signals(found.mpf, found.mpf_at, found.iso, packet)
        jpeg_behind.walk(jpeg, data, account, signals)


@dataclass
class _Found:
    """Content that several segments share."""

    exif: list[bytes] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    extensions: dict[bytes, dict[int, memoryview]] = field(default_factory=dict)
    """The pieces of extended XMP by digest and offset."""
    full: dict[bytes, int] = field(default_factory=dict)
    """Its length by digest."""
    profile: list[tuple[int, int]] = field(default_factory=list)
    """Number and count of each part of the ICC profile."""
    resources: list[memoryview] = field(default_factory=list)
    mpf: memoryview | None = None
    mpf_at: int = 0
    iso: bytes = b""


def _segment(
    segment: jpeg_stream.Segment, data: memoryview, account: Account, found: _Found
) -> None:
    marker, start, end = segment
    content = data[start:end]
    if marker == 0xFE:
        account.add(_COMMENT)
        account.texts.append(Text("", bytes(content).decode("utf-8", "surrogateescape")))
        return
    head = bytes(content[:64])
    known = (part for m, prefix, part in _APPLICATIONS if m == marker and head.startswith(prefix))
    part = next(known, None)
    if part is None:
        name = f"APP{marker - 0xE0}"
        account.lost(name, f"unknown segment {name}")
        return
    if part.name.startswith("APP11 JUMBF") and b"c2pa" in bytes(content[:4096]):
        part = _C2PA
    elif part is _DUCKY and not _is_plain_ducky(bytes(content)):
        part = _DUCKY_TEXT
    account.add(part)
    if take := _TAKES.get(part):
        take(content, start, account, found)


def _take_jfif(content: memoryview, at: int, account: Account, found: _Found) -> None:
    if len(content) < 12:
        return
    unit, across, down = struct.unpack_from(">BHH", content, 7)
    if across and down and unit in (1, 2):
        inch = 1.0 if unit == 1 else 2.54
        account.resolution = across * inch, down * inch
    elif across != down and across and down:
        account.add(_ASPECT)


def _take_exif(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.exif.append(bytes(content[len(_EXIF_PREFIX) :]))


def _take_xmp(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.packets.append(bytes(content[len(XMP) :]))


def _take_extension(content: memoryview, at: int, account: Account, found: _Found) -> None:
    """A digest of 32 letters, the whole length, the offset of this piece, the piece."""
    content = content[len(XMP_EXTENSION) :]
    if len(content) < 40:
        account.add(_XMP_LOST)
        return
    digest = bytes(content[:32])
    full, offset = struct.unpack_from(">II", content, 32)
    found.full[digest] = full
    found.extensions.setdefault(digest, {})[offset] = content[40:]


def _take_profile(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.profile.append((content[12], content[13]) if len(content) > 13 else (0, 0))


def _take_mpf(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.mpf, found.mpf_at = content[4:], at + 4


def _take_iso(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.iso = bytes(content)


def _take_resources(content: memoryview, at: int, account: Account, found: _Found) -> None:
    found.resources.append(content[14:])


_TAKES: Final[dict[Part, Callable[[memoryview, int, Account, _Found], None]]] = {
    _JFIF: _take_jfif,
    _EXIF: _take_exif,
    _XMP: _take_xmp,
    _EXTENDED: _take_extension,
    _ICC: _take_profile,
    _MPF: _take_mpf,
    _ISO: _take_iso,
    _PHOTOSHOP: _take_resources,
}


def _is_plain_ducky(content: bytes) -> bool:
    """Whether there is a quality alone, and neither comment (2) nor copyright (3)."""
    at = 5
    while at + 4 <= len(content):
        kind, size = struct.unpack_from(">HH", content, at)
        if kind == 0:
            break
        if kind != 1:
            return False
        at += 4 + size
    return True


def _exif(segments: list[bytes], account: Account) -> None:
    """EXIF of one segment or, like Pillow's, continued in the next; another one is lost."""
    whole: list[bytes] = []
    for content in segments:
        if whole and content[:4] not in (b"II*\0", b"MM\0*"):
            whole[-1] += content
        else:
            whole.append(content)
    for content in whole:
        account.take("exif", content)


def _photoshop(found: _Found, account: Account) -> None:
    if not found.resources:
        return
    resolution, account.resolution = account.resolution, None
    photoshop.walk(b"".join(found.resources), account)
    account.resolution = resolution or account.resolution
    if account.xmp is not None:  # the segment of its own counts
        packet, account.xmp = account.xmp, None
        if not found.packets:
            found.packets.append(packet)
            account.xmp = packet
        elif found.packets[-1] != packet:
            account.add(SECOND["xmp"])


def _xmp(found: _Found, account: Account) -> None:
    """Join the extended XMP to the packet that refers to it."""
    if not found.packets:
        if found.extensions:
            account.add(_XMP_LOST)
        return
    packet = found.packets[-1]  # Pillow's choice
    if any(other != packet for other in found.packets):
        account.add(SECOND["xmp"])
    digest = xmp.extended_digest(packet).encode("utf-8", "replace")
    if digest and digest in found.extensions:
        try:
            account.xmp = xmp.joined(packet, _whole(found.extensions[digest], found.full[digest]))
        except xmp.Unreadable:
            account.add(_XMP_LOST)
    if (bool(digest) and digest not in found.extensions) or set(found.extensions) - {digest}:
        account.add(_XMP_LOST)


def _whole(pieces: dict[int, memoryview], full: int) -> bytes:
    """The extended packet that the pieces make. Raises Unreadable where one is missing."""
    parts, at = [], 0
    for offset, piece in sorted(pieces.items()):
        if offset != at:
            break
        parts.append(piece)
        at += len(piece)
    if at != full or at > MAX_PACKET or len(parts) != len(pieces):
        raise xmp.Unreadable("a piece is missing")
    return b"".join(parts)


def _icc(found: _Found, account: Account) -> None:
    """A profile in several segments, of which Pillow takes all or none."""
    numbers = sorted(number for number, _ in found.profile)
    if found.profile and (
        numbers != list(range(1, len(numbers) + 1))
        or any(count != len(numbers) for _, count in found.profile)
    ):
        account.add(_ICC_LOST)
