"""The directories of EXIF in a TIFF: copied entry by entry, which Pillow does not do.

::

    header  picture  directory of Pillow  |  that directory once more, with more entries  Exif  GPS

Pillow guesses the type of a value from its Python type: a date becomes a list of bytes. libtiff,
which compresses, writes no directory within another one. So Pillow writes the directory of the
picture alone: of a pair of numbers such as PageNumber it makes another one. A copy of it with the
entries of EXIF, and for Exif and GPS, follows the file, and the header points to the copy. Every
value keeps its type.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.image.parts.account import Account
from aecodec.image.parts.directories import Tiff
from aecodec.image.parts.tiff import LAYOUT
from aecodec.image.parts.tiff_exif import (
    EXIF,
    GPS,
    INTEROP,
    KEPT_IN_EXIF,
    directory_bytes,
    main_values,
    subdirectories,
)

__all__ = ["MAKER_NOTES", "has_maker_notes", "lost_of", "tags_of", "with_directories"]

_MAKER_NOTE = 37500
MAKER_NOTES = "TIFF moves the maker notes, whose inner offsets may be wrong then"


def has_maker_notes(exif: bytes) -> bool:
    tiff = Tiff(memoryview(exif))
    main = tiff.directory(tiff.first) if tiff.order else None
    inner = None if main is None else tiff.directory(tiff.number(main.entries.get(EXIF)))
    return inner is not None and _MAKER_NOTE in inner.entries


def tags_of(exif: bytes) -> frozenset[int]:
    """The tags of the main directory of EXIF that a TIFF gets, too."""
    source = Tiff(memoryview(exif))
    first = source.directory(source.first) if source.order else None
    return frozenset() if first is None else frozenset(first.entries) - _LEFT_OUT


def lost_of(exif: bytes, *, has_profile: bool) -> str:
    """A note on the tags of EXIF's main directory that a TIFF does not get; empty: none is lost.

    In a TIFF they would state the colours of its pixels, as its profile does, or make it a raw.
    """
    source = Tiff(memoryview(exif))
    first = source.directory(source.first) if source.order else None
    tags = _RAW if has_profile else _RAW | _COLOURS
    lost = tags & first.entries.keys() if first is not None else ()
    if not lost:
        return ""
    numbers = ", ".join(map(str, sorted(lost)))
    return f"TIFF is written without tags of EXIF that would be those of its pixels: {numbers}"


_COLOURS: Final = frozenset({301, 318, 319})
"""TransferFunction, WhitePoint, PrimaryChromaticities."""
_RAW: Final = frozenset({33421, 33422, 50706, 50707, 50740})
"""The pattern of a sensor's colours (two), the versions of DNG (two), DNGPrivateData."""
_LEFT_OUT: Final = frozenset(
    {
        *(tag for tag in LAYOUT if tag not in KEPT_IN_EXIF),
        *_COLOURS,
        *_RAW,
        *(274, 330, 529, 532),  # Orientation, SubIFDs, YCbCrCoefficients, ReferenceBlackWhite
        *(34675, 37724),  # ICC profile, layers
        *(59932, 59933),  # padding
        *(EXIF, GPS, INTEROP),
    }
)


def with_directories(written: bytes, exif: bytes) -> bytes:
    """A classic TIFF that Pillow has written, with the entries and directories of this EXIF.

    The main directory gets those that Pillow has not written, and are true of this file. It is
    unchanged where the EXIF, a TIFF structure without prefix, has none of them.
    """
    tiff, source = Tiff(memoryview(written)), Tiff(memoryview(exif))
    main = tiff.directory(tiff.first)
    first = source.directory(source.first) if source.order else None
    if main is None or tiff.big or first is None:
        return written
    inner = subdirectories(source, first, tiff.order, Account())
    own = main_values(source, first, tiff.order, _LEFT_OUT | main.entries.keys())
    if not inner and not own:
        return written
    start = len(written) + len(written) % 2
    behind = start + 2 + 12 * (len(main.entries) + len(inner) + len(own)) + 4
    entries = {
        tag: written[main.at + 2 + 12 * number :][:12] for number, tag in enumerate(main.entries)
    }
    tail = b""
    for value in own:
        content = value.content.ljust(4, b"\0")
        if len(content) > 4:
            content = struct.pack(tiff.order + "I", behind + len(tail))
            tail += value.content + bytes(len(value.content) % 2)
        head = struct.pack(tiff.order + "HHI", value.tag, value.type, value.length)
        entries[value.tag] = head + content
    for tag, values in inner.items():
        place = behind + len(tail)
        entries[tag] = struct.pack(tiff.order + "HHII", tag, 4, 1, place)
        tail += directory_bytes(values, place, tiff.order)
    table = struct.pack(tiff.order + "H", len(entries))
    table += b"".join(entries[tag] for tag in sorted(entries))
    table += struct.pack(tiff.order + "I", main.next)
    header = written[:4] + struct.pack(tiff.order + "I", start)
    return header + written[8:] + bytes(start - len(written)) + table + tail
