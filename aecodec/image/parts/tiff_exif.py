"""EXIF from a TIFF: copies the entries that describe the picture into their own structure.

Every value is copied unchanged, with its type.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import numpy as np

from aecodec.image.parts.account import LOST, Account, Part
from aecodec.image.parts.directories import SIZES, Directory, Tiff

__all__ = [
    "EXIF",
    "EXIF_TAGS",
    "GPS",
    "INTEROP",
    "KEPT_IN_EXIF",
    "MAX_VALUE",
    "OTHER_TYPE",
    "TOO_LARGE",
    "Value",
    "copied_exif",
    "directory_bytes",
    "main_values",
    "subdirectories",
]

KEPT_IN_EXIF: Final = {
    269: "DocumentName",
    270: "ImageDescription",
    271: "Make",
    272: "Model",
    282: "XResolution",
    283: "YResolution",
    285: "PageName",
    286: "XPosition",
    287: "YPosition",
    296: "ResolutionUnit",
    297: "PageNumber",
    305: "Software",
    306: "DateTime",
    315: "Artist",
    316: "HostComputer",
    337: "TargetPrinter",
    18246: "Rating",
    18249: "RatingPercent",
    33432: "Copyright",
    40091: "XPTitle",
    40092: "XPComment",
    40093: "XPAuthor",
    40094: "XPKeywords",
    40095: "XPSubject",
}
"""Tags of the picture's directory that describe the picture."""

EXIF, GPS, INTEROP = 34665, 34853, 40965

# TIFF/EP has Exif's tags in the directory of the picture.
EXIF_TAGS: Final = frozenset(
    {33434, 33437, 34850, 34852, 34855, 34856, 36867, 36868, 37510, 37520, 37521, 37522}
    | set(range(34858, 34861))
    | set(range(37377, 37398))
)

MAX_VALUE: Final = 2**23
"""Bytes of a value that is kept, and of all values together that EXIF keeps."""
TOO_LARGE: Final = Part("any tag of more than 8 MiB", LOST, "a tag that is too large to keep")


OTHER_TYPE: Final = Part("a tag of a type that EXIF has not", LOST, "tag N of another type")


class Value(NamedTuple):
    """One entry to write: a value, or a directory that it points to."""

    tag: int
    type: int
    length: int
    content: bytes
    directory: list[Value] | None = None


def copied_exif(tiff: Tiff, first: Directory, account: Account) -> bytes | None:
    """A TIFF structure with the entries that describe the picture; None if there are none."""
    copy = _Copy(tiff, account)
    values = copy.values(first, KEPT_IN_EXIF.keys() | EXIF_TAGS)
    for pointer, inner in copy.subdirectories(first).items():
        values.append(Value(pointer, 4, 1, b"", inner))
    if not values:
        return None
    header = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[tiff.order]
    return header + directory_bytes(values, 8, tiff.order)


def main_values(tiff: Tiff, first: Directory, order: str, left_out: Collection[int]) -> list[Value]:
    """The entries of the main directory, but those of some tags, in a byte order."""
    copy = _Copy(tiff, Account(), swapped=tiff.order != order)
    return copy.values(first, first.entries.keys() - left_out)


def subdirectories(
    tiff: Tiff, first: Directory, order: str, account: Account
) -> dict[int, list[Value]]:
    """The entries of the Exif and the GPS directory by the tag of each, in a byte order."""
    copy = _Copy(tiff, account, swapped=tiff.order != order)
    return copy.subdirectories(first)


class _Copy:
    """Copies entries unchanged, up to a limit of bytes for all together."""

    def __init__(self, tiff: Tiff, account: Account, *, swapped: bool = False) -> None:
        self.tiff = tiff
        self.account = account
        self.swapped = swapped
        self.left = MAX_VALUE

    def directory(self, directory: Directory, pointer: int) -> Directory | None:
        entry = directory.entries.get(pointer)
        return None if entry is None else self.tiff.directory(self.tiff.number(entry))

    def subdirectories(self, first: Directory) -> dict[int, list[Value]]:
        found = {}
        for pointer in (EXIF, GPS):
            directory = self.directory(first, pointer)
            if directory is None:
                continue
            inner = self.values(directory)
            interop = self.directory(directory, INTEROP) if pointer == EXIF else None
            if interop is not None:
                inner.append(Value(INTEROP, 4, 1, b"", self.values(interop)))
            if inner:
                found[pointer] = inner
        return found

    def values(self, directory: Directory, tags: Collection[int] | None = None) -> list[Value]:
        """The entries of a directory that have one of these tags; None: all but pointers."""
        return list(self._values(directory, tags))

    def _values(self, directory: Directory, tags: Collection[int] | None) -> Iterator[Value]:
        for entry in directory.entries.values():
            if tags is not None and entry.tag not in tags:
                continue
            if entry.tag in (EXIF, GPS, INTEROP) or entry.type in (13, 18):
                continue  # directories
            if entry.at < 0 or not entry.count:
                continue
            if entry.type not in SIZES or entry.type in (16, 17):
                self.account.lost(f"tag {entry.tag}", OTHER_TYPE.text.replace("N", str(entry.tag)))
                continue
            if entry.size > self.left:
                self.account.lost(f"tag {entry.tag}", TOO_LARGE.text)
                continue
            self.left -= entry.size
            content = bytes(self.tiff.bytes_of(entry))
            if self.swapped:
                width = min(SIZES[entry.type], _WIDTHS.get(entry.type, 8))
                content = np.frombuffer(content, f"u{width}").byteswap().tobytes()
                if entry.tag == _USER_COMMENT and content.startswith(_UNICODE):
                    content = _UNICODE + _swapped(content[len(_UNICODE) :])
            yield Value(entry.tag, entry.type, entry.count, content)


_USER_COMMENT: Final = 37510
_UNICODE: Final = b"UNICODE\0"
"""The code of a comment in UTF-16, whose byte order is that of the file."""


def _swapped(text: bytes) -> bytes:
    """UTF-16 in the other byte order; text with a byte order mark says its own."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return text
    whole = len(text) // 2 * 2
    turned: bytes = np.frombuffer(text[:whole], "u2").byteswap().tobytes()
    return turned + text[whole:]


_WIDTHS: Final = {5: 4, 10: 4}
"""Bytes of the integers of a fraction."""


def directory_bytes(values: list[Value], at: int, order: str) -> bytes:
    """A directory that begins at an offset, with the values and directories behind it."""
    table = struct.pack(order + "H", len(values))
    behind = bytearray()
    start = at + 2 + 12 * len(values) + 4
    for value in sorted(values, key=lambda value: value.tag):
        place = struct.pack(order + "I", start + len(behind))
        if value.directory is not None:
            behind += directory_bytes(value.directory, start + len(behind), order)
        elif len(value.content) <= 4:
            place = value.content.ljust(4, b"\0")
        else:
            behind += value.content + b"\0" * (len(value.content) % 2)
        table += struct.pack(order + "HHI", value.tag, value.type, value.length) + place
    return table + bytes(4) + bytes(behind)
