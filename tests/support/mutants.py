"""Files that somebody has damaged, or forged: reproducible changes to good ones."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator, Mapping

INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


def mutants(carriers: Mapping[str, bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many changed files, of all carriers in turn. PNGs get their checksums right half the time,
    or nobody would look at what is in their chunks."""
    chance = random.Random(seed)
    originals = list(carriers.values())
    for number in range(count):
        data = _changed(originals[number % len(originals)], originals, chance)
        yield _sealed(data) if data.startswith(b"\x89PNG") and chance.random() < 0.5 else data


def _sealed(png: bytes) -> bytes:
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[at + 4 : end - 4]))
        at = end
    return bytes(data)


def _changed(original: bytes, others: list[bytes], chance: random.Random) -> bytes:
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = _place(len(data), chance)
        kind = chance.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            data[at : at + 1] = bytes([chance.choice(INTERESTING)])
        elif kind == 2:  # a length
            size = chance.choice((2, 4, 8))
            data[at : at + size] = bytes([chance.choice(INTERESTING)]) * size
        elif kind == 3:
            del data[at : at + chance.choice((1, 2, 4, 100))]
        elif kind == 4:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.choice((1, 8, 64, 1000))]
        elif kind == 5:
            data[at:at] = data[at : at + chance.choice((1, 8, 64, 1000))] * chance.choice((1, 50))
        else:
            del data[chance.randrange(len(data) + 1) :]
        if not data:
            break
    return bytes(data)


def _place(size: int, chance: random.Random) -> int:
    """Anywhere, but mostly near the beginning, where the structure is."""
    if size and chance.random() < 0.6:
        return chance.randrange(min(size, 1500))
    return chance.randrange(size + 1)
