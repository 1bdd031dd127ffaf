"""The directories of EXIF in a TIFF: copied entry by entry, which Pillow does not do.

::

    header  picture  directory of Pillow  |  that directory once more, with two entries  Exif  GPS

Pillow guesses the type of a value from its Python type: a date becomes a list of bytes. libtiff,
which compresses, writes no directory within another one. So Pillow writes the directory of the
picture alone. A copy of it with the entries for Exif and GPS follows the file, and the header
points to the copy. Every value keeps its type.
"""

from __future__ import annotations

import struct

from aecodec.image.parts.account import Account
from aecodec.image.parts.directories import Tiff
from aecodec.image.parts.tiff_exif import EXIF, directory_bytes, subdirectories

__all__ = ["MAKER_NOTES", "has_maker_notes", "with_directories"]

_MAKER_NOTE = 37500
MAKER_NOTES = "TIFF moves the maker notes, whose inner offsets may be wrong then"


def has_maker_notes(exif: bytes) -> bool:
    tiff = Tiff(memoryview(exif))
    main = tiff.directory(tiff.first) if tiff.order else None
    inner = None if main is None else tiff.directory(tiff.number(main.entries.get(EXIF)))
    return inner is not None and _MAKER_NOTE in inner.entries


def with_directories(written: bytes, exif: bytes) -> bytes:
    """A classic TIFF that Pillow has written, with the Exif and GPS directories of this EXIF.

    Both are unchanged where the EXIF, a TIFF structure without prefix, has neither.
    """
    tiff, source = Tiff(memoryview(written)), Tiff(memoryview(exif))
    main = tiff.directory(tiff.first)
    first = source.directory(source.first) if source.order else None
    if main is None or tiff.big or first is None:
        return written
    inner = subdirectories(source, first, tiff.order, Account())
    if not inner:
        return written
    count = len(main.entries)
    start = len(written) + len(written) % 2
    behind = start + 2 + 12 * (count + len(inner)) + 4
    entries = {
        tag: written[main.at + 2 + 12 * number :][:12] for number, tag in enumerate(main.entries)
    }
    tail = b""
    for tag, values in inner.items():
        place = behind + len(tail)
        entries[tag] = struct.pack(tiff.order + "HHII", tag, 4, 1, place)
        tail += directory_bytes(values, place, tiff.order)
    table = struct.pack(tiff.order + "H", len(entries))
    table += b"".join(entries[tag] for tag in sorted(entries))
    table += struct.pack(tiff.order + "I", main.next)
    header = written[:4] + struct.pack(tiff.order + "I", start)
    return header + written[8:] + bytes(start - len(written)) + table + tail
