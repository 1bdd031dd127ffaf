"""Writes TIFF files of any kind, for the tests: every tag, type, byte order, BigTIFF."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Ifd", "picture", "tiff"]

_FORMS = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}


@dataclass
class Ifd:
    """One directory. A value is bytes, text, or numbers (pairs for fractions)."""

    tags: Mapping[int, tuple[int, object]]
    blocks: Sequence[bytes] = ()
    """Strips or tiles; their offsets and lengths are added to the tags."""
    tiled: bool = False
    subs: Mapping[int, Sequence[Ifd]] = field(default_factory=dict)
    """Directories that a tag points to."""


def tiff(*ifds: Ifd, order: str = "<", big: bool = False, behind: bytes = b"") -> bytes:
    """A TIFF of a chain of directories."""
    out = bytearray(b"II" if order == "<" else b"MM")
    if big:
        out += struct.pack(order + "HHH", 43, 8, 0)
    else:
        out += struct.pack(order + "H", 42)
    link = len(out)
    word = "Q" if big else "I"
    out += bytes(struct.calcsize(word))
    for ifd in ifds:
        at, following = _directory(out, ifd, order, big)
        struct.pack_into(order + word, out, link, at)
        link = following
    return bytes(out) + behind


def _directory(out: bytearray, ifd: Ifd, order: str, big: bool) -> tuple[int, int]:
    """Append a directory and what belongs to it; return where it and its link stand."""
    word, counter, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    tags = {tag: (kind, _packed(kind, value, order)) for tag, (kind, value) in ifd.tags.items()}
    if ifd.blocks:
        places = []
        for block in ifd.blocks:
            places.append(len(out))
            out += block + b"\0" * (len(block) % 2)
        starts, lengths = (324, 325) if ifd.tiled else (273, 279)
        tags.setdefault(starts, (4, _packed(4, places, order)))
        tags.setdefault(lengths, (4, _packed(4, [len(block) for block in ifd.blocks], order)))
    for tag, subs in ifd.subs.items():
        tags[tag] = (4, _packed(4, [_directory(out, sub, order, big)[0] for sub in subs], order))
    entries = []
    for tag in sorted(tags):
        kind, (count, content) = tags[tag]
        place = content.ljust(inline, b"\0")
        if len(content) > inline:
            out += b"\0" * (len(out) % 2)
            place = struct.pack(order + word, len(out))
            out += content
        entries.append(struct.pack(order + "HH" + word, tag, kind, count) + place)
    out += b"\0" * (len(out) % 2)
    at = len(out)
    out += struct.pack(order + counter, len(entries)) + b"".join(entries)
    link = len(out)
    out += bytes(struct.calcsize(word))
    return at, link


def _packed(kind: int, value: object, order: str) -> tuple[int, bytes]:
    if isinstance(value, str):
        value = value.encode() + b"\0"
    if isinstance(value, bytes):
        size = {1: 1, 2: 1, 7: 1, 4: 4}.get(kind, 1)
        return len(value) // size, value
    values = list(value) if isinstance(value, Sequence) else [value]
    if kind in (5, 10):
        form = "II" if kind == 5 else "ii"
        pairs = [pair if isinstance(pair, tuple) else (pair, 1) for pair in values]
        return len(pairs), b"".join(struct.pack(order + form, *pair) for pair in pairs)
    return len(values), struct.pack(f"{order}{len(values)}{_FORMS[kind]}", *values)


def picture(
    blocks: Sequence[bytes],
    width: int,
    height: int,
    *,
    photometric: int = 2,
    bits: Sequence[int] = (8, 8, 8),
    compression: int = 1,
    planar: int = 1,
    rows: int | None = None,
    extra: Sequence[int] = (),
    sample_format: int | None = None,
    tags: Mapping[int, tuple[int, object]] | None = None,
    subs: Mapping[int, Sequence[Ifd]] | None = None,
) -> Ifd:
    """The directory of a picture of strips."""
    common: dict[int, tuple[int, object]] = {
        256: (4, width),
        257: (4, height),
        258: (3, list(bits)),
        259: (3, compression),
        262: (3, photometric),
        277: (3, len(bits)),
        278: (4, rows or height),
        284: (3, planar),
    }
    if extra:
        common[338] = (3, list(extra))
    if sample_format is not None:
        common[339] = (3, [sample_format] * len(bits))
    return Ifd({**common, **(tags or {})}, blocks, subs=subs or {})


def packed_bits(values: np.ndarray, bits: int) -> bytes:
    """Rows of values of a few bits, the first in the highest bits; each row ends at a byte."""
    unpacked = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(unpacked.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()
