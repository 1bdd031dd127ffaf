"""JPEG 2000: the boxes of a JP2 or JPX file, and the marker segments of a codestream.

::

    jP, ftyp, jp2h: ihdr, bpcc, colr, pclr, cmap, cdef, res   the picture's header
    jp2c                                                      the codestream, also a file by itself
    xml, uuid: XMP, Exif, IPTC, GeoJP2, ...                   metadata
    SOC, SIZ, COD, QCD, COM, ... tile-parts, EOC              of the codestream

ISO/IEC 15444-1 (JP2: annex I; codestream: annex A), 15444-2 (JPX), 15444-12. Pillow reads the first
codestream, the palette and the number of the colour space, but no profile and no metadata.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aecodec.image import signalling
from aecodec.image.parts import photoshop
from aecodec.image.parts.account import (
    DAMAGED,
    FRAMES,
    HARMLESS,
    KEPT,
    LOST,
    SECOND,
    Account,
    Part,
    Text,
    reduced,
)
from aecodec.image.parts.boxes import BROKEN, Box, boxes, named
from aecodec.image.parts.tiff import is_blank

__all__ = [
    "PARTS",
    "Codestream",
    "Component",
    "channel_order",
    "codestream",
    "colour_boxes",
    "walk",
]

_STRUCTURE: Final = "the structure of the file"
_HOW: Final = "says how the pixels are stored"
_GML: Final = "labelled or linked data (JPX)"
_CREDENTIALS: Final = "content credentials"

_TOP: Final = {
    b"jP  ": Part("box jP", HARMLESS, "the signature"),
    b"ftyp": Part("box ftyp", HARMLESS, "the kind of the file"),
    b"rreq": Part("box rreq", HARMLESS, "what a reader must be able to"),
    b"jp2h": Part("box jp2h", HARMLESS, _HOW),
    b"free": Part("box free", HARMLESS, "is unused"),
    b"jpch": Part("box jpch", HARMLESS, "a header for a codestream of JPX"),
    b"jplh": Part("box jplh", LOST, "compositing layers (JPX)"),
    b"comp": Part("box comp", LOST, "composition of pictures (JPX)"),
    b"copt": Part("box copt", LOST, "composition of pictures (JPX)"),
    b"ftbl": Part("box ftbl", LOST, "fragments in other files (JPX)"),
    b"cref": Part("box cref", LOST, "fragments in other files (JPX)"),
    b"asoc": Part("box asoc", LOST, _GML),
    b"lbl ": Part("box lbl", LOST, _GML),
    b"nlst": Part("box nlst", LOST, _GML),
    b"roid": Part("box roid", LOST, "region of interest (JPX)"),
    b"xml ": Part("box xml", LOST, "XML metadata"),
    b"jp2i": Part("box jp2i", LOST, "intellectual property rights"),
    b"uinf": Part("box uinf", LOST, "links to descriptions of private data"),
    b"jumb": Part("box jumb", LOST, _CREDENTIALS),
    b"mdat": Part("box mdat", LOST, "media data (JPX)"),
    b"drep": Part("box drep", HARMLESS, _STRUCTURE),
    b"gtso": Part("box gtso", LOST, "graphics technology standard output (JPX)"),
    b"chck": Part("box chck", HARMLESS, "a checksum of the file"),
}
_XMP: Final = Part("uuid XMP", KEPT, "XMP")
_EXIF: Final = Part("uuid Exif", KEPT, "EXIF")
_IPTC: Final = Part("uuid IPTC", KEPT, "IPTC")
_PHOTOSHOP: Final = Part("uuid Photoshop resources", KEPT, "see Photoshop")
_UUIDS: Final = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): _XMP,
    b"JpgTiffExif->JP2": _EXIF,
    bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"): _EXIF,
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): _IPTC,
    bytes.fromhex("09a14e97c0b442e0bebf36df6f0ce36f"): _IPTC,
    bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb"): _PHOTOSHOP,
    bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"): Part(
        "uuid GeoJP2", LOST, "GeoTIFF tags (GeoJP2)"
    ),
    bytes.fromhex("96a9f1f1dc98402da7aed68e34451809"): Part(
        "uuid MSIG worldfile", LOST, "geographic position (world file)"
    ),
    bytes.fromhex("d8fec3d61b0e483c92975828877ec481"): Part("uuid C2PA", LOST, _CREDENTIALS),
}

_HEADER: Final = {
    b"ihdr": Part("box ihdr", HARMLESS, _HOW),
    b"bpcc": Part("box bpcc", HARMLESS, _HOW),
    b"pclr": Part("box pclr", HARMLESS, _HOW),
    b"cmap": Part("box cmap", HARMLESS, _HOW),
    b"cdef": Part("box cdef", HARMLESS, "says which channel is transparency"),
    b"res ": Part("box res", KEPT, "resolution"),
    b"colr": Part("box colr", KEPT, "ICC"),
}
_ENUMERATED: Final = Part("box colr, sRGB, grey, sYCC, CMYK", HARMLESS, "brought to sRGB or grey")
_OTHER_COLOURS: Final = Part("box colr, another kind", LOST, "colours of an unknown kind (colr N)")
_BAD_PROFILE: Final = Part("box colr, broken profile", LOST, "ICC profile that cannot be read")
_CHANNELS: Final = Part(
    "a channel that cdef does not name", LOST, "a further channel, taken for transparency"
)
_SAID_TWICE: Final = Part("box colr, a second one", HARMLESS, "the first says the same")
_DEPTH: Final = Part("components of more than 8 bits", LOST, reduced(16))
_SIGNED: Final = Part("signed components", LOST, "signed values: brought to 0 and above")
_FURTHER: Final = Part("box jp2c, a second one", LOST, FRAMES)
_CODESTREAM: Final = Part("box jp2c", KEPT, "the picture")
_OTHER: Final = Part("any other box", LOST, "box N")
_OTHER_UUID: Final = Part("any other uuid", LOST, "box of private data N")

_CODER: Final = Part("segment COM of the coder", HARMLESS, "the name of the program")
_COMMENT: Final = Part("segment COM, text", KEPT, "comment")
_BINARY: Final = Part("segment COM, binary", LOST, "binary comment")
_SEGMENTS: Final = Part("other segments of the codestream", HARMLESS, _HOW)
_CUT: Final = Part("codestream that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")
_BROKEN: Final = Part("header that cannot be read", LOST, f"{DAMAGED}: JPEG 2000 header")
_BEHIND: Final = Part(
    "bytes behind the codestream or the last box", LOST, "data behind the picture"
)

PARTS: Final = (
    *_TOP.values(),
    *dict.fromkeys(_UUIDS.values()),
    _OTHER_UUID,
    *(SECOND[kind] for kind in ("exif", "xmp", "iptc")),
    *_HEADER.values(),
    _ENUMERATED,
    _OTHER_COLOURS,
    _BAD_PROFILE,
    _SAID_TWICE,
    _CHANNELS,
    _DEPTH,
    _SIGNED,
    _CODESTREAM,
    _FURTHER,
    _OTHER,
    _CODER,
    _COMMENT,
    _BINARY,
    _SEGMENTS,
    _CUT,
    _BROKEN,
    _BEHIND,
)

_MAX_VALUE: Final = 2**23
_MAX_SEGMENTS: Final = 10_000
_RAW: Final = b"\xff\x4f\xff\x51"


def walk(data: memoryview, account: Account) -> None:
    """Account for every box of a JP2 file, or every segment of a codestream."""
    if bytes(data[:4]) == _RAW:
        stream = codestream(data)
        _codestream(stream, account)
        _opacity([], len(stream.components), account)
        if stream.end is not None and not is_blank(data[stream.end :]):
            account.add(_BEHIND)
        return
    seen: set[bytes] = set()
    header: list[Box] = []
    channels = 0
    for box in boxes(data):
        if box.type == b"jp2c":
            account.add(_FURTHER if b"jp2c" in seen else _CODESTREAM)
            if b"jp2c" not in seen:
                stream = codestream(box.content)
                _codestream(stream, account)
                channels = len(stream.components)
        elif box.type == b"jp2h" and b"jp2h" not in seen:
            account.add(_TOP[b"jp2h"])
            header = list(boxes(box.content))
            _header(header, account)
        elif box.type == b"uuid":
            _uuid(box.content, account)
        elif box.type == BROKEN:
            if not is_blank(box.content):
                kind = bytes(box.content[4:8])
                account.add(_CUT if kind in _TOP or kind == b"jp2c" else _BEHIND)
        elif box.type == b"xml " and _is_xmp(box.content):
            account.add(_XMP)
            account.take("xmp", bytes(box.content))
        elif box.type in _TOP:
            account.add(_TOP[box.type])
        else:
            account.lost(f"box {named(box)}", f"box {named(box)}")
        seen.add(box.type)
    if not {b"jp2h", b"jp2c"} <= seen:
        account.add(_BROKEN)
    _opacity(header, channels, account)


def _is_xmp(content: memoryview) -> bool:
    return b"<x:xmpmeta" in bytes(content[:1024]) and len(content) <= _MAX_VALUE


# --- Boxes --------------------------------------------------------------------------------------


def _header(header: list[Box], account: Account) -> None:
    capture = False
    for box in header:
        if box.type == b"colr":
            continue
        if box.type == b"res ":
            for inner in boxes(box.content):
                # That of capture before that for display, as Pillow has it.
                if inner.type in (b"resc", b"resd") and not capture:
                    account.resolution = _resolution(inner.content) or account.resolution
                    capture = inner.type == b"resc"
            account.add(_HEADER[b"res "])
        elif box.type in _HEADER:
            account.add(_HEADER[box.type])
        elif box.type == BROKEN:
            account.add(_BROKEN)
        else:
            account.lost(f"box jp2h/{named(box)}", f"box {named(box)}")
    for number, box in enumerate(box for box in header if box.type == b"colr"):
        if number:
            account.add(_SAID_TWICE)
        else:
            _colours(box.content, account)


def _resolution(content: memoryview) -> tuple[float, float] | None:
    """Pixels an inch, from fractions with decimal exponents in pixels a metre."""
    if len(content) < 10:
        return None
    down, down_by, across, across_by, down_exponent, across_exponent = struct.unpack_from(
        ">4H2b", content
    )
    if not (down and down_by and across and across_by):
        return None
    horizontal = across / across_by * 10.0**across_exponent * 0.0254
    return horizontal, down / down_by * 10.0**down_exponent * 0.0254


class _Colours(NamedTuple):
    """A colr box: its method, and a number or a profile."""

    method: int
    number: int
    profile: bytes


def _colr(content: memoryview) -> _Colours:
    method = content[0] if len(content) else 0
    number = int.from_bytes(content[3:7], "big") if method == 1 else 0
    profile = bytes(content[3:]) if method in (2, 3) and len(content) <= _MAX_VALUE else b""
    return _Colours(method, number, profile)


def colour_boxes(data: memoryview) -> list[_Colours]:
    """The colr boxes of a JP2 file; none of a codestream."""
    if bytes(data[:4]) == _RAW:
        return []
    header = next((box.content for box in boxes(data) if box.type == b"jp2h"), data[:0])
    return [_colr(box.content) for box in boxes(header) if box.type == b"colr"]


def channel_order(data: memoryview) -> tuple[int, ...]:
    """The numbers of the channels that are red, green, blue and transparency (cdef).

    Empty where the channels are in that order, or nothing says so: Pillow takes them in theirs.
    """
    if bytes(data[:4]) == _RAW:
        return ()
    header = next((box.content for box in boxes(data) if box.type == b"jp2h"), data[:0])
    content = next((box.content for box in boxes(header) if box.type == b"cdef"), header[:0])
    places: dict[int, int] = {}
    for at in range(2, min(len(content) - 5, 2 + 6 * 16), 6):
        channel, kind, colour = struct.unpack_from(">3H", content, at)
        if kind == 0 and 1 <= colour <= 3:
            places[colour - 1] = channel
        elif kind in (1, 2) and colour == 0:
            places[3] = channel
    if len(places) < 3:
        return ()
    order = tuple(places[place] for place in sorted(places))
    return () if order == tuple(range(len(order))) else order


def _colours(content: memoryview, account: Account) -> None:
    colours = _colr(content)
    if colours.method == 1 and colours.number in (0, 12, 15, 16, 17, 18):
        account.add(_ENUMERATED)
    elif colours.profile and signalling.colour_space(colours.profile) is not None:
        account.add(_HEADER[b"colr"])
        account.icc = colours.profile
    elif colours.method in (2, 3):
        account.add(_BAD_PROFILE)
    elif colours.method == 5 and len(content) >= 10:
        primaries, transfer = struct.unpack_from(">HH", content, 3)
        signal = signalling.from_code_points(primaries, transfer, said_by="colr")
        if signal.note:
            account.lost("box colr, code points", signal.note)
        else:
            account.add(_HEADER[b"colr"])
            account.icc = signal.icc
    else:
        what = f"colr {colours.number}" if colours.method == 1 else f"colr method {colours.method}"
        account.lost(f"box {what}", f"colours of an unknown kind ({what})")


def _opacity(header: list[Box], channels: int, account: Account) -> None:
    """Pillow reads a second or fourth channel as transparency, with or without cdef."""
    if channels not in (2, 4) or any(box.type == b"pclr" for box in header):
        return
    colours = [_colr(box.content) for box in header if box.type == b"colr"]
    if channels == 4 and any(c.number == 12 or c.profile[16:20] == b"CMYK" for c in colours):
        return
    for box in header:
        if box.type == b"cdef":
            kinds = {
                struct.unpack_from(">HH", box.content, at)
                for at in range(2, min(len(box.content) - 5, 2 + 6 * 16), 6)
            }
            if any(kind in (1, 2) for _, kind in kinds):
                return
    account.add(_CHANNELS)


def _uuid(content: memoryview, account: Account) -> None:
    identity = bytes(content[:16])
    part = _UUIDS.get(identity)
    if part is None:
        account.lost(f"uuid {identity.hex()}", f"box of private data {identity.hex()[:8]}")
        return
    value = content[16:]
    if part.fate is KEPT and len(value) > _MAX_VALUE:
        account.lost(part.name, f"{part.text} that is too large to keep")
        return
    account.add(part)
    if part is _XMP:
        account.take("xmp", bytes(value))
    elif part is _EXIF:
        account.take("exif", bytes(value).removeprefix(b"Exif\0\0"))
    elif part is _IPTC:
        account.take("iptc", bytes(value))
    elif part is _PHOTOSHOP:
        photoshop.walk(value, account)


# --- The codestream -----------------------------------------------------------------------------


class Component(NamedTuple):
    """One component of a codestream."""

    bits: int
    signed: bool
    across: int
    """Samples of the picture to one of the component, horizontally."""
    down: int


@dataclass
class Codestream:
    """The headers of a codestream."""

    components: list[Component] = field(default_factory=list)
    segments: list[tuple[int, int, int]] = field(default_factory=list)
    """The main header: marker, start and end of the content."""
    comments: list[tuple[int, bytes]] = field(default_factory=list)
    """Registration (0: binary, 1: Latin-1 text) and content."""
    tile_markers: set[int] = field(default_factory=set)
    """Markers of the headers of tile-parts."""
    end: int | None = None
    """The position after EOC; None without EOC."""
    broken: bool = False
    """The header cannot be read."""


_SOT, _SOD, _EOC, _SIZ, _COM = 0xFF90, 0xFF93, 0xFFD9, 0xFF51, 0xFF64


def codestream(data: memoryview) -> Codestream:
    """Read the main header, and the lengths of all tile-parts."""
    found = Codestream()
    at = 2
    for marker, start, end in _segments(data, at):
        found.segments.append((marker, start, end))
        if marker == _SIZ:
            content = data[start:end]
            count = int.from_bytes(content[34:36], "big")
            for place in range(36, min(36 + 3 * count, len(content) - 2), 3):
                kind, across, down = bytes(content[place : place + 3])
                found.components.append(Component((kind & 127) + 1, bool(kind & 128), across, down))
        elif marker == _COM and len(found.comments) < 100:
            kind = int.from_bytes(data[start : start + 2], "big")
            found.comments.append((kind, bytes(data[start + 2 : end])))
        at = end
    found.broken = not found.components
    for _ in range(_MAX_SEGMENTS * 10):
        marker = int.from_bytes(data[at : at + 2], "big")
        if marker == _EOC and at + 2 <= len(data):
            found.end = at + 2
        if marker != _SOT or at + 12 > len(data):
            break
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if not length:  # the last one, up to EOC
            found.end = len(data) if bytes(data[-2:]) == b"\xff\xd9" else None
            break
        if len(found.tile_markers) < 100:
            inner = _segments(data[: at + length], at + 12)
            found.tile_markers.update(marker for marker, _, _ in inner)
        if length < 14 or at + length > len(data):
            break
        at += length
    return found


def _segments(data: memoryview, at: int) -> Iterator[tuple[int, int, int]]:
    """The marker segments up to SOT, SOD or EOC: marker, start and end of the content."""
    for _ in range(_MAX_SEGMENTS):
        marker = int.from_bytes(data[at : at + 2], "big")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (_SOT, _SOD, _EOC) or marker < 0xFF00:
            return
        if length < 2 or at + 2 + length > len(data):
            return
        yield marker, at + 4, at + 2 + length
        at += 2 + length


_CODERS: Final = ("created by openjpeg", "kakadu", "jasper", "creator: ", "kdu", "grok", "aware")


def _codestream(stream: Codestream, account: Account) -> None:
    if stream.broken:
        account.add(_BROKEN)
    elif stream.end is None:
        account.add(_CUT)
    account.add(_SEGMENTS)
    bits = max((component.bits for component in stream.components), default=8)
    if bits > 8:
        account.bits = bits
        account.lost(_DEPTH.name, reduced(bits))
    if any(component.signed for component in stream.components):
        account.add(_SIGNED)
    for kind, content in stream.comments:
        text = content.decode("latin-1").strip("\0 ")
        if kind != 1:
            account.add(_BINARY)
        elif text.lower().startswith(_CODERS):
            account.add(_CODER)
        else:
            account.add(_COMMENT)
            account.texts.append(Text("", text))
