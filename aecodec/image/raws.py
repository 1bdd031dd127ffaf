"""Detects camera raws, whose thumbnail must not be taken for the photograph.

::

    first bytes, or TIFF directories --kind_of--> "DNG", "Nikon NEF", ... or None: no raw

Most raws are TIFF files whose first directory is a thumbnail or a preview, which a TIFF reader
returns as the picture. A raw has one of these: tags of DNG, a colour filter array, a compression
that only cameras use, or a camera's first directory that is marked as a reduced copy of a larger
picture. A developed picture has none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aecodec.image.parts.directories import Directory, Tiff

__all__ = ["kind_of"]

_STARTS: Final = (
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (0, b"ARRI", "Arriraw"),
)
"""Bytes at an offset of the file, and the kind of raw that has them."""

_MAKERS: Final = (
    ("NIKON", "Nikon NEF"),
    ("SONY", "Sony ARW"),
    ("CANON", "Canon CR2"),
    ("PENTAX", "Pentax PEF"),
    ("RICOH", "Pentax PEF"),
    ("SAMSUNG", "Samsung SRW"),
    ("HASSELBLAD", "Hasselblad 3FR"),
    ("IMACON", "Hasselblad FFF"),
    ("PHASE ONE", "Phase One IIQ"),
    ("SEIKO EPSON", "Epson ERF"),
    ("OLYMPUS", "Olympus ORF"),
    ("OM DIGITAL", "Olympus ORF"),
    ("PANASONIC", "Panasonic RW2"),
    ("LEICA", "Leica RWL"),
    ("LEAF", "Leaf MOS"),
    ("MAMIYA", "Mamiya MEF"),
    ("KODAK", "Kodak DCR"),
    ("EASTMAN KODAK", "Kodak DCR"),
    ("FUJIFILM", "Fujifilm RAF"),
    ("KONICA", "Minolta MRW"),
    ("MINOLTA", "Minolta MRW"),
    ("SIGMA", "Sigma X3F"),
    ("CASIO", "Casio raw"),
    ("DJI", "DJI raw"),
    ("GOPRO", "GoPro raw"),
    ("SINAR", "Sinar raw"),
)
"""The beginning of the tag Make, in capitals, and the kind of raw of this maker."""

_DNG_VERSION: Final = 50706
_CFA_TAGS: Final = frozenset({33421, 33422})  # CFARepeatPatternDim, CFAPattern (TIFF/EP)
_PHOTOMETRICS: Final = frozenset({32803, 34892})  # colour filter array, LinearRaw
_COMPRESSIONS: Final = frozenset({32767, 32769, 32770, 32772, 32867, 34713, 65000, 65535})
"""Those of Sony, Epson and Nikon (packed), Samsung, Samsung, Kodak, Nikon, Kodak, Pentax."""
_SR2_PRIVATE: Final = 50740  # in DNG, and before it in Sony's files
_MAX_DIRECTORIES: Final = 32
"""Directories that are read. Cameras write about six."""


def kind_of(data: memoryview) -> str | None:
    """Return the kind of camera raw, such as "Nikon NEF"; None if the file is not a raw."""
    start = bytes(data[:16])
    for at, mark, kind in _STARTS:
        if start[at : at + len(mark)] == mark:
            return kind
    tiff = Tiff(data)
    if not tiff.order:
        return None
    if start[:4] == b"II*\0" and start[8:10] == b"CR":
        return "Canon CR2"
    directories = list(_directories(tiff))
    if any(_DNG_VERSION in directory.entries for directory in directories):
        return "DNG"
    if not directories:
        return None
    make = tiff.text(directories[0].entries.get(271)).upper()
    by_maker = next((kind for begins, kind in _MAKERS if make.startswith(begins)), None)
    if start[8:12] in (b"IIII", b"MMMM") and make.startswith(("PHASE", "LEAF")):
        return by_maker
    if any(_has_sensor_values(tiff, directory) for directory in directories):
        return by_maker or "unknown camera"
    if by_maker and (_SR2_PRIVATE in directories[0].entries or _is_preview(tiff, directories)):
        return by_maker
    return None


def _directories(tiff: Tiff) -> Iterator[Directory]:
    """The chain of directories and their SubIFDs."""
    found = 0
    for directory in tiff.chain(tiff.first, _MAX_DIRECTORIES):
        yield directory
        for offset in tiff.numbers(directory.entries.get(330)):
            inner = tiff.directory(offset)
            found += 1
            if found > _MAX_DIRECTORIES:
                return
            if inner is not None:
                yield inner


def _has_sensor_values(tiff: Tiff, directory: Directory) -> bool:
    entries = directory.entries
    return (
        tiff.number(entries.get(262)) in _PHOTOMETRICS
        or tiff.number(entries.get(259)) in _COMPRESSIONS
        or not _CFA_TAGS.isdisjoint(entries)
    )


def _is_preview(tiff: Tiff, directories: list[Directory]) -> bool:
    """Whether the first picture is marked as a reduced copy, and a larger one exists."""
    first, *others = directories
    if not tiff.number(first.entries.get(254)) & 1 and tiff.number(first.entries.get(255)) != 2:
        return False
    width = tiff.number(first.entries.get(256))
    return any(tiff.number(other.entries.get(256)) > width for other in others)
