"""Reads TIFF's directories: classic TIFF and BigTIFF, either byte order, in place and bounded.

::

    header   "II" or "MM", 42 or 43, offset of the first directory
    directory   count, entries (tag u16, type u16, count, value or its offset), offset of the next

TIFF 6.0, section 2; BigTIFF has 8-byte counts and offsets. Invalid bytes never raise an exception:
values outside the file count as missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["SIZES", "Directory", "Entry", "Tiff"]

SIZES: Final = {
    1: 1,  # BYTE
    2: 1,  # ASCII
    3: 2,  # SHORT
    4: 4,  # LONG
    5: 8,  # RATIONAL
    6: 1,  # SBYTE
    7: 1,  # UNDEFINED
    8: 2,  # SSHORT
    9: 4,  # SLONG
    10: 8,  # SRATIONAL
    11: 4,  # FLOAT
    12: 8,  # DOUBLE
    13: 4,  # IFD
    16: 8,  # LONG8
    17: 8,  # SLONG8
    18: 8,  # IFD8
}
"""Bytes of one value, by the type's number."""

_INTEGERS: Final = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_RATIONALS: Final = {5: "II", 10: "ii"}
_MAX_ENTRIES: Final = 4096
"""The largest number of entries of a directory. Real files have less than a hundred."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory."""

    tag: int
    type: int
    count: int
    at: int
    """The offset of its value; -1 if it is outside the file."""
    size: int
    """Of the value in bytes."""


@dataclass(frozen=True)
class Directory:
    """One directory. If a tag is repeated, its first entry counts."""

    at: int
    end: int
    entries: dict[int, Entry]
    next: int
    """Offset of the next directory of the chain; 0: none."""
    broken: bool
    """It goes beyond the end of the file, or has more entries than are read."""
    repeated: tuple[Entry, ...] = ()
    """The later entries of repeated tags."""


class Tiff:
    """The directories of a TIFF structure, which begins at the first byte of ``data``."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        start = bytes(data[:16])
        # Like Pillow, accept a number 42 whose byte order contradicts the first two bytes.
        self.order = {b"II": "<", b"MM": ">"}.get(start[:2], "")
        self.big = start[2:4] in (b"+\0", b"\0+")
        if start[2:4] not in (b"*\0", b"\0*", b"+\0", b"\0+"):
            self.order = ""
        self.first = 0
        if self.order:
            self.first = self._number(8, 8) if self.big else self._number(4, 4)

    def _number(self, at: int, size: int) -> int:
        byteorder = "little" if self.order == "<" else "big"
        return int.from_bytes(self.data[at : at + size], byteorder)  # type: ignore[arg-type]

    def directory(self, at: int) -> Directory | None:
        """Read the directory at an offset; None if the offset is invalid."""
        counter, entry, link = (8, 20, 8) if self.big else (2, 12, 4)
        if not 8 <= at <= len(self.data) - counter:
            return None
        count = self._number(at, counter)
        start = at + counter
        within = min(count, _MAX_ENTRIES, (len(self.data) - start) // entry)
        entries: dict[int, Entry] = {}
        repeated: list[Entry] = []
        for position in range(start, start + within * entry, entry):
            found = self._entry(position)
            if entries.setdefault(found.tag, found) is not found:
                repeated.append(found)
        end = start + count * entry + link
        whole = within == count and end <= len(self.data)
        following = self._number(end - link, link) if whole else 0
        stop = min(end, len(self.data))
        return Directory(at, stop, entries, following, not whole, tuple(repeated))

    def _entry(self, at: int) -> Entry:
        order = self.order
        if self.big:
            tag, kind, count = struct.unpack_from(order + "HHQ", self.data, at)
            inline, place = 8, at + 12
        else:
            tag, kind, count = struct.unpack_from(order + "HHI", self.data, at)
            inline, place = 4, at + 8
        size = SIZES.get(kind, 1) * count
        if size > inline:
            place = self._number(place, inline)
        if place + size > len(self.data):
            place = -1
        return Entry(tag, kind, count, place, size)

    def bytes_of(self, entry: Entry | None) -> memoryview:
        """The bytes of a value; none if it lies outside of the file."""
        if entry is None or entry.at < 0:
            return self.data[:0]
        return self.data[entry.at : entry.at + entry.size]

    def numbers(self, entry: Entry | None, limit: int = 16) -> tuple[int, ...]:
        """The first ``limit`` integers of a value; none if it has another type."""
        if entry is None or entry.at < 0 or entry.type not in _INTEGERS:
            return ()
        form = f"{self.order}{min(entry.count, limit)}{_INTEGERS[entry.type]}"
        return struct.unpack_from(form, self.data, entry.at)

    def number(self, entry: Entry | None, default: int = 0) -> int:
        """The first integer of a value."""
        found = self.numbers(entry, 1)
        return found[0] if found else default

    def ratios(self, entry: Entry | None, limit: int = 16) -> tuple[float, ...]:
        """The first ``limit`` numbers of a value of fractions or floats; 0 for n/0."""
        if entry is None or entry.at < 0:
            return ()
        count = min(entry.count, limit)
        if entry.type in _RATIONALS:
            form = self.order + _RATIONALS[entry.type] * count
            pairs = iter(struct.unpack_from(form, self.data, entry.at))
            return tuple(a / b if b else 0.0 for a, b in zip(pairs, pairs, strict=True))
        if entry.type in (11, 12):
            form = f"{self.order}{count}{'f' if entry.type == 11 else 'd'}"
            return struct.unpack_from(form, self.data, entry.at)
        return tuple(float(value) for value in self.numbers(entry, limit))

    def text(self, entry: Entry | None, limit: int = 256) -> str:
        """The first ``limit`` bytes of a text."""
        return bytes(self.bytes_of(entry)[:limit]).split(b"\0")[0].decode("latin-1").strip()

    def chain(self, at: int, limit: int) -> Iterator[Directory]:
        """The directory at an offset and those that follow it, each once, at most ``limit``."""
        seen: set[int] = set()
        while at and at not in seen and len(seen) < limit:
            seen.add(at)
            found = self.directory(at)
            if found is None:
                return
            yield found
            at = found.next
