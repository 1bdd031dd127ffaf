"""Places in metadata other than EXIF and XMP, and the free text that may name one: `--strip-gps`.

::

    IPTC --iptc_without_places--> records without those that state a place by their number
    texts --texts_without_places--> without those that are a position, or hold one
    what is kept --unread--> a note that names the free text in it

A field that a standard gives to a place is taken out. So is a text that has the form of
coordinates: of ISO 6709, of RFC 5870 (``geo:``), in degrees with a letter (``51.5N 7E``), or two
numbers with four decimals and more. Other text is kept: a program cannot tell a place from a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aecodec.image import metadata, xmp
from aecodec.image.parts import Text

__all__ = ["UNREAD", "iptc_without_places", "texts_without_places", "unread"]

UNREAD: Final = "free text that is kept was not searched for places"

# --- IPTC ---------------------------------------------------------------------------------------

_PLACES: Final = frozenset({(2, n) for n in (26, 27, 90, 92, 95, 100, 101)})
"""IPTC-IIM 4.2: content location code and name, city, sublocation, province or state, country code
and name."""
_DESCRIPTIONS: Final = frozenset({(2, n) for n in (5, 25, 40, 105, 120, 230, 231)})
"""Title, keywords, instructions, headline, caption; and notes and history, as iView writes them."""
_IPTC: Final = "IPTC that cannot be read, and may hold a place"


def _records(iptc: bytes) -> Iterator[tuple[tuple[int, int], bytes, bytes]]:
    """Each record's number, its bytes and its value. Raises ValueError."""
    at, end = 0, len(iptc.rstrip(b"\0"))  # a TIFF pads it
    while at < end:
        if iptc[at] != 0x1C or at + 5 > len(iptc):
            raise ValueError("no record begins here")
        start, size = at + 5, int.from_bytes(iptc[at + 3 : at + 5], "big")
        if size & 0x8000:  # so many bytes of a size follow
            start += size & 0x7FFF
            size = int.from_bytes(iptc[at + 5 : start], "big")
        if start + size > len(iptc):
            raise ValueError("a record goes beyond the end")
        yield (iptc[at + 1], iptc[at + 2]), iptc[at : start + size], iptc[start : start + size]
        at = start + size


def iptc_without_places(iptc: bytes, notes: list[str]) -> bytes | None:
    """The records but those of places; None if none is left, or with a note if one is damaged."""
    try:
        kept = b"".join(record for number, record, _ in _records(iptc) if number not in _PLACES)
    except ValueError:
        notes.append(_IPTC)
        return None
    return kept or None


# --- Texts --------------------------------------------------------------------------------------

_KEYWORD: Final = re.compile(
    r"gps|latitude|longitude|altitude|coordinates|(?:^|\W)(?:city|(?:sub-?)?location|geo|place)$",
    re.IGNORECASE,
)
_NUMBER: Final = r"[0-9]{1,3}(?:[.,][0-9]{1,20})?"
_DEGREES: Final = (
    rf"{_NUMBER}\s?(?:[°º*:d]|deg)?\s?"
    rf"(?:{_NUMBER}\s?['′’m:]?\s?(?:{_NUMBER}\s?(?:[\"″”s]|'')?\s?)?)?"
)
_COORDINATES: Final = re.compile(
    rf"(?<![\w.,]){_DEGREES}[NS](?!\w)[\s,;/]{{0,4}}{_DEGREES}[EWO](?!\w)"
    rf"|(?<!\w)[NS][ .:]{{0,2}}{_DEGREES}[\s,;/]{{0,4}}(?<!\w)[EWO][ .:]{{0,2}}{_DEGREES}"
    r"|(?<![\w.])[+-][0-9]{2,6}(?:\.[0-9]{1,9})?[+-][0-9]{3,7}(?:\.[0-9]{1,9})?"
    r"(?:[+-][0-9]{1,6}(?:\.[0-9]{1,9})?)?(?:CRS\w{1,20})?/"
    r"|\bgeo:-?[0-9]{1,2}(?:\.[0-9]{1,20})?,-?[0-9]{1,3}(?:\.[0-9]{1,20})?(?:;[\w=.-]{1,40}){0,8}"
    r"|(?<![\w.])[+-]?[0-9]{1,2}\.[0-9]{4,20}°?\s{0,3}[,;/\s]\s{0,3}"
    r"[+-]?[0-9]{1,3}\.[0-9]{4,20}(?![\w.])",
)
_TECHNICAL: Final = re.compile(
    r"software|creation time|author|artist|copyright|source|url|date:\w+|"
    r"(?:exif|tiff|png|jpeg|icc|dng|photoshop|signature).*",
    re.IGNORECASE,
)
"""Keywords of texts that describe no picture."""


def _is_position(text: Text) -> bool:
    """Whether a text is a position, as its keyword or its whole form says."""
    if any(_KEYWORD.search(keyword) for keyword in (text.keyword, text.translated)):
        return True
    found = _COORDINATES.search(text.text)
    return found is not None and not re.search(r"\w", _COORDINATES.sub("", text.text))


def texts_without_places(texts: tuple[Text, ...], notes: list[str]) -> tuple[Text, ...]:
    """The texts but those that are positions, and with a note, those that hold one."""
    kept = []
    for text in texts:
        if _is_position(text):
            continue
        if "gps" in text.text.lower() or _COORDINATES.search(text.text):
            notes.append(f"text '{text.keyword or 'comment'}', which holds a position")
            continue
        kept.append(text)
    return tuple(kept)


# --- Free text ----------------------------------------------------------------------------------


def unread(
    exif: bytes | None, packet: bytes | None, iptc: bytes | None, texts: tuple[Text, ...]
) -> list[str]:
    """A note that names the free text which is kept and may name a place; none if there is none."""
    found = [f"EXIF {name}" for name in (metadata.descriptions(exif) if exif else ())]
    found += [f"XMP {name}" for name in (xmp.descriptions(packet) if packet else ())]
    try:
        records = list(_records(iptc or b""))
    except ValueError:  # those before were without places
        records = []
    found += [
        f"IPTC {record}:{number}"
        for (record, number), _, value in records
        if (record, number) in _DESCRIPTIONS and value.strip(b" \0")
    ]
    found += [
        f"text '{text.keyword}'" if text.keyword else "a comment"
        for text in texts
        if text.text.strip() and not _TECHNICAL.fullmatch(text.keyword)
    ]
    names = list(dict.fromkeys(found))
    more = [f"{len(names) - 8} more"] if len(names) > 8 else []
    return [f"{UNREAD}: {', '.join([*names[:8], *more])}"] if names else []
