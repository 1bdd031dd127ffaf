"""PNG: its chunks, those of APNG, and what follows IEND (PNG specification, third edition)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
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
)

__all__ = ["PARTS", "TIME", "walk"]

TIME: Final = "tIME"
"""The keyword of the text that holds the time of the last change."""

_COLOURS = "ICC"
_FRAME: Final = Part("chunks fcTL and fdAT of APNG", LOST, FRAMES)
_MASTERING = "HDR mastering data"

_CHUNKS: Final = {
    b"IHDR": Part("chunk IHDR", KEPT, "picture"),
    b"PLTE": Part("chunk PLTE", KEPT, "picture"),
    b"IDAT": Part("chunk IDAT", KEPT, "picture"),
    b"IEND": Part("chunk IEND", KEPT, "picture"),
    b"tRNS": Part("chunk tRNS", KEPT, "transparency"),
    b"iCCP": Part("chunk iCCP", KEPT, _COLOURS),
    b"sRGB": Part("chunk sRGB", KEPT, "sRGB, which is assumed without a profile"),
    b"gAMA": Part("chunk gAMA", KEPT, _COLOURS),
    b"cHRM": Part("chunk cHRM", KEPT, _COLOURS),
    b"cICP": Part("chunk cICP", KEPT, _COLOURS),
    b"mDCV": Part("chunk mDCV", LOST, _MASTERING),
    b"mDCv": Part("chunk mDCV", LOST, _MASTERING),
    b"cLLI": Part("chunk cLLI", LOST, _MASTERING),
    b"cLLi": Part("chunk cLLI", LOST, _MASTERING),
    b"eXIf": Part("chunk eXIf", KEPT, "EXIF"),
    b"pHYs": Part("chunk pHYs", KEPT, "resolution"),
    b"tEXt": Part("chunk tEXt", KEPT, "texts"),
    b"zTXt": Part("chunk zTXt", KEPT, "texts"),
    b"iTXt": Part("chunk iTXt", KEPT, "texts"),
    b"tIME": Part("chunk tIME", KEPT, "text tIME"),
    b"sBIT": Part("chunk sBIT", HARMLESS, "how many bits were significant in an earlier form"),
    b"bKGD": Part("chunk bKGD", HARMLESS, "a colour that viewers may show around the picture"),
    b"hIST": Part("chunk hIST", HARMLESS, "how often the palette's colours occur"),
    b"sPLT": Part("chunk sPLT", HARMLESS, "a palette for screens of few colours"),
    b"iDOT": Part("chunk iDOT", HARMLESS, "where Apple's decoder may start a second thread"),
    b"gIFg": Part("chunk gIFg", HARMLESS, "the timing of a GIF that has one frame here"),
    b"acTL": Part("chunk acTL of APNG", HARMLESS, "how many frames there are: each is told"),
    b"fcTL": _FRAME,
    b"fdAT": _FRAME,
    b"gIFx": Part("chunk gIFx", LOST, "extension of a GIF"),
    b"gIFt": Part("chunk gIFt", LOST, "text drawn over a GIF"),
    b"oFFs": Part("chunk oFFs", LOST, "position on a page (oFFs)"),
    b"pCAL": Part("chunk pCAL", LOST, "calibration of the values (pCAL)"),
    b"sCAL": Part("chunk sCAL", LOST, "physical size of what is shown (sCAL)"),
    b"sTER": Part("chunk sTER", LOST, "stereo layout (sTER)"),
    b"dSIG": Part("chunk dSIG", LOST, "digital signature"),
    b"caBX": Part("chunk caBX", LOST, "content credentials"),
    b"prVW": Part("chunk prVW", LOST, "Fireworks layers"),
    b"mkBF": Part("chunk mkBF", LOST, "Fireworks layers"),
    b"mkBS": Part("chunk mkBS", LOST, "Fireworks layers"),
    b"mkBT": Part("chunk mkBT", LOST, "Fireworks layers"),
    b"mkTS": Part("chunk mkTS", LOST, "Fireworks layers"),
}
_FIRST_FRAME: Final = Part("chunk fcTL of the picture itself", HARMLESS, "how long it is shown")
_ASPECT: Final = Part("chunk pHYs of an aspect ratio", LOST, "pixels that are not square")
_XMP: Final = Part("chunk iTXt XML:com.adobe.xmp", KEPT, "XMP")
_RAW_EXIF: Final = Part("text 'Raw profile type exif', or 'APP1'", KEPT, "EXIF")
_RAW_XMP: Final = Part("text 'Raw profile type xmp'", KEPT, "XMP")
_RAW_IPTC: Final = Part("text 'Raw profile type iptc' or '8bim'", KEPT, "IPTC")
_RAW_ICC: Final = Part("text 'Raw profile type icc'", KEPT, "ICC")
_RAW: Final = Part(
    "text 'Raw profile type' of another kind", LOST, "ImageMagick's raw profile NAME"
)
_BROKEN_PROFILE: Final = Part(
    "chunk iCCP that cannot be unpacked", LOST, "ICC profile that cannot be read"
)
_BAD_TIME: Final = Part("chunk tIME of another length", LOST, "a time that cannot be read")
_HDR: Final = Part("chunk cICP of PQ or HLG", LOST, "HDR colour (cICP, PQ)")
_DEPTH: Final = Part("16 bits a channel", LOST, "16 bits a channel reduced to 8")
_UNKNOWN: Final = Part("any other chunk", LOST, "unknown chunk NAME")
_BROKEN_TEXT: Final = Part("a text that cannot be read", LOST, "a text that cannot be read")
_CHECKSUM: Final = Part("a wrong checksum", LOST, f"{DAMAGED}: the checksum of chunk NAME is wrong")
_SHORT: Final = Part("a chunk beyond the end", LOST, f"{DAMAGED}: the end of the file is missing")
_MANY: Final = Part("more than 1,000,000 chunks", LOST, "more chunks than any program writes")
_PADDING: Final = Part("zeros behind IEND", HARMLESS, "padding")
_ZIP: Final = Part("a ZIP archive behind IEND", LOST, "archive (ZIP) behind the picture")
_TAIL: Final = Part("other bytes behind IEND", LOST, "unknown data behind the picture")

PARTS: Final = (
    *dict.fromkeys(_CHUNKS.values()),
    _FIRST_FRAME,
    _ASPECT,
    _XMP,
    _RAW_EXIF,
    _RAW_XMP,
    _RAW_IPTC,
    _RAW_ICC,
    _RAW,
    *SECOND.values(),
    _BROKEN_PROFILE,
    _BAD_TIME,
    _HDR,
    _DEPTH,
    _UNKNOWN,
    _BROKEN_TEXT,
    _CHECKSUM,
    _SHORT,
    _MANY,
    _PADDING,
    _ZIP,
    _TAIL,
)

_SIGNATURE: Final = 8
_MAX_CHUNKS: Final = 1_000_000
_MAX_TEXT: Final = 2**20
"""The longest text in bytes, unpacked; Pillow refuses files with longer ones."""
_MAX_TEXTS: Final = 2**24


class _Chunk(NamedTuple):
    kind: bytes
    content: memoryview


def _chunks(data: memoryview, account: Account) -> Iterator[_Chunk]:
    """Every chunk up to IEND, and then the bytes after it, with the name b""."""
    at = _SIGNATURE
    for _ in range(_MAX_CHUNKS):
        if at + 12 > len(data):
            account.add(_SHORT)
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            account.add(_SHORT)
            return
        # Damage to IDAT shows when it is decoded. Its checksum would take as long.
        if kind != b"IDAT":
            crc = int.from_bytes(data[end - 4 : end], "big")
            if zlib.crc32(data[at + 4 : end - 4]) != crc:
                what = f"{DAMAGED}: the checksum of chunk {_shown(kind)} is wrong"
                account.lost(f"the checksum of chunk {_shown(kind)}", what)
        yield _Chunk(kind, data[at + 8 : end - 4])
        at = end
        if kind == b"IEND":
            yield _Chunk(b"", data[at:])
            return
    account.add(_MANY)


def _shown(kind: bytes) -> str:
    return kind.decode("latin-1") if kind.isalpha() else kind.hex()


def walk(data: memoryview, account: Account) -> None:
    """Account for a PNG or an APNG."""
    colours: dict[bytes, bytes] = {}
    grey = False
    texts = 0
    raws: list[Text] = []
    pixels_seen = False
    unknown: set[bytes] = set()
    for kind, content in _chunks(data, account):
        if kind == b"":
            _behind(content, account)
            continue
        part = _CHUNKS.get(kind)
        if part is None:
            if kind not in unknown:
                unknown.add(kind)
                name = _shown(kind)
                account.lost(f"chunk {name}", f"unknown chunk {name}")
            continue
        pixels_seen = pixels_seen or kind == b"IDAT"
        if kind in (b"gAMA", b"cHRM", b"cICP", b"sRGB"):
            colours[kind] = bytes(content) if len(content) <= 64 else b""
        elif kind in _METADATA:
            part = _METADATA[kind](bytes(content), account) or part
        elif kind == b"IHDR" and len(content) >= 10:
            grey = content[9] in (0, 4)
            if content[8] == 16:
                account.bits = 16
        elif kind == b"fcTL" and not pixels_seen:
            part = _FIRST_FRAME
        elif kind in _TEXT_READERS:
            texts += len(content)
            if texts <= _MAX_TEXTS:
                _text(kind, bytes(content), account, raws)
            else:
                account.add(_BROKEN_TEXT)
            continue
        account.add(part)
    for raw in raws:  # what the chunks of the format say counts before
        _raw_profile(raw, account)
    _colours(colours, grey, account)


def _exif(content: bytes, account: Account) -> None:
    account.take("exif", content.removeprefix(_EXIF_PREFIX))


def _profile(content: bytes, account: Account) -> Part | None:
    """The profile that Pillow reads, which is the last one. The first counts."""
    try:
        _, packed = content.split(b"\0", 1)
        account.take("icc", _inflated(packed[1:]))
    except (ValueError, zlib.error):
        return _BROKEN_PROFILE
    return None


def _time(content: bytes, account: Account) -> Part | None:
    if len(content) != 7:
        return _BAD_TIME
    moment = "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}Z"
    account.texts.append(Text(TIME, moment.format(*struct.unpack(">HBBBBB", content))))
    return None


def _resolution(content: bytes, account: Account) -> None:
    if len(content) != 9:
        return
    across, down, unit = struct.unpack(">IIB", content)
    if unit == 1 and across and down:  # pixels a metre
        account.resolution = across * 0.0254, down * 0.0254
    elif unit == 0 and across != down:
        account.add(_ASPECT)


_METADATA: Final[dict[bytes, Callable[[bytes, Account], Part | None]]] = {
    b"eXIf": _exif,
    b"iCCP": _profile,
    b"pHYs": _resolution,
    b"tIME": _time,
}
"""Readers of chunks; a result is the part that the chunk is in place of the usual one."""


def _colours(chunks: dict[bytes, bytes], grey: bool, account: Account) -> None:
    signal = signalling.from_png(
        cicp=chunks.get(b"cICP"),
        gama=chunks.get(b"gAMA"),
        chrm=chunks.get(b"cHRM"),
        srgb=chunks.get(b"sRGB"),
        has_iccp=account.icc is not None,
        grey=grey,
    )
    if signal.icc is not None:
        account.icc = signal.icc
    if signal.note:
        account.lost("signalled colours", signal.note)


# --- Texts --------------------------------------------------------------------------------------

_EXIF_PREFIX: Final = b"Exif\0\0"
_XMP_PREFIX: Final = b"http://ns.adobe.com/xap/1.0/\0"
_RAW_PROFILE: Final = re.compile(r"Raw profile type (\w+)$", re.IGNORECASE)


def _text(kind: bytes, content: bytes, account: Account, raws: list[Text]) -> None:
    """Take a text; those that hold metadata of another format are added to `raws`."""
    try:
        text = _TEXT_READERS[kind](content)
    except (ValueError, zlib.error):
        account.add(_BROKEN_TEXT)
        return
    if text.keyword == "XML:com.adobe.xmp":
        account.add(_XMP)
        account.take("xmp", text.text.encode("utf-8" if kind == b"iTXt" else "latin-1"))
    elif _RAW_PROFILE.match(text.keyword):
        raws.append(text)
    else:
        account.add(_CHUNKS[kind])
        account.texts.append(text)


def _plain(content: bytes) -> Text:
    keyword, _, text = content.partition(b"\0")
    return Text(keyword.decode("latin-1"), text.decode("latin-1"))


def _compressed(content: bytes) -> Text:
    keyword, _, rest = content.partition(b"\0")
    if rest[:1] != b"\0":
        raise ValueError("an unknown compression")
    return Text(keyword.decode("latin-1"), _inflated(rest[1:]).decode("latin-1"))


def _international(content: bytes) -> Text:
    keyword, _, rest = content.partition(b"\0")
    language, translated, text = rest[2:].split(b"\0", 2)
    if rest[0] == 1 and rest[1] == 0:
        text = _inflated(text)
    elif rest[0] != 0:
        raise ValueError("an unknown compression")
    return Text(
        keyword.decode("latin-1"), text.decode(), language.decode("latin-1"), translated.decode()
    )


_TEXT_READERS: Final[dict[bytes, Callable[[bytes], Text]]] = {
    b"tEXt": _plain,
    b"zTXt": _compressed,
    b"iTXt": _international,
}


def _inflated(content: bytes) -> bytes:
    """Raises ValueError for longer texts than Pillow reads, zlib.error for broken ones."""
    inflater = zlib.decompressobj()
    text = inflater.decompress(content, _MAX_TEXT + 1)
    if len(text) > _MAX_TEXT or not inflater.eof:
        raise ValueError("too long, or incomplete")
    return text


def _raw_profile(raw: Text, account: Account) -> None:
    """Metadata as ImageMagick and ExifTool store it: a name, a length, and hexadecimal digits."""
    kind = raw.keyword.split()[-1].lower()
    try:
        _, length, *lines = raw.text.strip("\n").split("\n")
        content = bytes.fromhex("".join(lines))
        if len(content) != int(length):
            raise ValueError("another length")
    except ValueError:
        account.add(_BROKEN_TEXT)
        return
    if kind == "exif" or (kind == "app1" and content.startswith(_EXIF_PREFIX)):
        account.add(_RAW_EXIF)
        account.take("exif", content.removeprefix(_EXIF_PREFIX))
    elif kind in ("iptc", "8bim") and content.startswith(b"8BIM"):
        account.add(_RAW_IPTC)
        photoshop.walk(content, account)
    elif kind == "iptc" and content.startswith(b"\x1c"):
        account.add(_RAW_IPTC)
        account.take("iptc", content)
    elif kind == "xmp" or (kind == "app1" and content.startswith(_XMP_PREFIX)):
        account.add(_RAW_XMP)
        account.take("xmp", content.removeprefix(_XMP_PREFIX))
    elif kind in ("icc", "icm"):
        account.add(_RAW_ICC)
        account.take("icc", content)
    else:
        account.lost(f"text 'Raw profile type {kind}'", f"ImageMagick's raw profile {kind}")


# --- Behind the picture -------------------------------------------------------------------------

_NOT_ZERO: Final = re.compile(rb"[^\0]")


def _behind(tail: memoryview, account: Account) -> None:
    if not len(tail):
        return
    if _NOT_ZERO.search(tail) is None:
        account.add(_PADDING)
    else:
        account.add(_ZIP if bytes(tail[:4]) == b"PK\3\4" else _TAIL)
