"""Which sections of a damaged .aec file are whole, and which tiles these are.

Each section has a checksum over its type, its ordinal and its payload. So where the file is whole
again is known even if bytes are missing, and so is which section it is: the ordinal is not stored,
but the checksum tells it. A CRC is linear, so that of the payload can be taken out of a stored one.
What remains is the CRC of type and ordinal, and a table of these says which. Wrong matches are as
rare as one in 2**32 for each ordinal, and the symbols of a tile have a checksum of their own.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from typing import Final

from aecodec import bitstream
from aecodec.bitstream import DEFAULT_MAX_PIXELS, Container, Header, Section, SectionType
from aecodec.errors import CorruptError, LimitError

__all__ = ["Salvaged", "salvage"]

_TILES: Final = (SectionType.TILE, SectionType.EXACT)
_BEGINNINGS: Final = bytes(SectionType)
_BEGINNING: Final = re.compile(b"[" + re.escape(_BEGINNINGS) + b"]")
_POLYNOMIAL: Final = 0xEDB88320
_MOST_SCANNED: Final = 2**31
"""Bytes under the checksums of what might be a section. A forged file has no more looked at."""


@dataclass(frozen=True)
class Salvaged:
    """What is whole of a damaged file."""

    header: Header
    tiles: dict[int, Section]
    """The whole tiles, by their numbers."""
    front: tuple[Section, ...]
    """Whole sections before the tiles."""
    lost: tuple[str, ...]
    """The names of sections before the tiles that are damaged, as far as these can be read."""
    data: bytes

    @property
    def container(self) -> Container:
        """The whole sections before the tiles, to be asked for alpha and metadata."""
        return Container(self.header, (bitstream.MAJOR, bitstream.MINOR), self.front, self.data)

    def payload(self, number: int) -> bytes:
        """The payload of a whole tile."""
        section = self.tiles[number]
        return self.data[section.start : section.end]


def salvage(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Salvaged:
    """Find the whole sections of a file, damaged or not.

    Raises FormatError if the header is damaged or no tile is whole, and LimitError for more pixels.
    """
    try:
        header, size, file_size, _ = bitstream.parse_header(data)
    except CorruptError as error:
        raise CorruptError(f"{error}: without its header no tile can be drawn") from None
    if header.pixels > max_pixels:
        raise LimitError(
            f"{header.width}x{header.height} is {header.pixels} pixels, and the limit is"
            f" {max_pixels} (--max-pixels)"
        )
    found, claimed = _walk(data, size, header.tile_count)
    tiles = {n: section for n, section in found.items() if section.type in _TILES}
    if not tiles:
        raise CorruptError(f"none of its {header.tile_count} tiles is whole")
    first = _first_tile(found, claimed, header.tile_count, file_size)
    inside = {n - first: s for n, s in tiles.items() if 0 <= n - first < header.tile_count}
    front = tuple(section for n, section in sorted(found.items()) if section.type not in _TILES)
    kinds = {int(kind): kind.name for kind in SectionType}
    lost = tuple(
        kinds.get(claimed.get(n, 0), f"section {n}") for n in range(first) if n not in found
    )
    return Salvaged(header, inside, front, lost, data)


def _walk(data: bytes, offset: int, tile_count: int) -> tuple[dict[int, Section], dict[int, int]]:
    """The whole sections by their ordinals, and the types that damaged ones state."""
    found: dict[int, Section] = {}
    claimed: dict[int, int] = {}
    scan = _Scan(data, tile_count)
    ordinal = 0
    while offset < len(data):
        section = _whole_at(data, offset, ordinal)
        if section is not None:
            found[ordinal] = section
            offset, ordinal = section.end, ordinal + 1
            continue
        later = scan.ordinal_at(offset)
        if later is not None and later > ordinal:  # what stood between is gone without a trace
            ordinal = later
            continue
        stated = _follow(data, offset, ordinal)
        if stated is not None:
            types, offset = stated
            claimed.update(enumerate(types, ordinal))
            ordinal += len(types)
            continue
        again = scan.next(offset + 1, ordinal)
        if again is None:
            break
        offset, ordinal = again
    return found, claimed


def _whole_at(data: bytes, offset: int, ordinal: int) -> Section | None:
    """The section with this ordinal, if it stands at an offset and its checksum is right."""
    at = bitstream.section_at(data, offset)
    if at is None:
        return None
    section, stored = at
    payload = memoryview(data)[section.start : section.end]
    checked = zlib.crc32(payload, _beginning(section.type, ordinal)) == stored
    # Of a newer writer there may be sections that a reader does not know and skips.
    usable = not section.critical or section.type in _BEGINNINGS
    return section if checked and usable else None


def _follow(data: bytes, offset: int, ordinal: int) -> tuple[list[int], int] | None:
    """The types of damaged sections whose lengths lead to a whole one or to the end, and where."""
    types: list[int] = []
    while offset < len(data):
        if types and _whole_at(data, offset, ordinal + len(types)) is not None:
            return types, offset
        at = bitstream.section_at(data, offset)
        if at is None or at[0].type not in _BEGINNINGS or len(types) == 64:
            return None
        types.append(at[0].type)
        offset = at[0].end
    return types, offset


class _Scan:
    """A search for the next whole section behind bytes that say nothing."""

    def __init__(self, data: bytes, tile_count: int) -> None:
        self._data, self._tile_count = data, tile_count
        self._left = _MOST_SCANNED

    @functools.cached_property
    def _ordinals(self) -> dict[tuple[int, int], int]:
        """The ordinal by type and CRC of type and ordinal."""
        most = self._tile_count + len(SectionType)
        found: dict[tuple[int, int], int] = {}
        for kind in map(int, SectionType):
            for n in range(most if kind in _TILES else len(SectionType)):
                found[kind, _beginning(kind, n)] = n
        return found

    def next(self, offset: int, least: int) -> tuple[int, int] | None:
        """Where the next whole section begins, and its ordinal, which is `least` at least."""
        for match in _BEGINNING.finditer(self._data, offset):
            ordinal = self.ordinal_at(match.start())
            if ordinal is not None and ordinal >= least:
                return match.start(), ordinal
            if self._left < 0:
                return None
        return None

    def ordinal_at(self, offset: int) -> int | None:
        """The ordinal of the whole section that begins at an offset; None if there is none."""
        data = self._data
        at = bitstream.section_at(data, offset)
        if at is None or at[0].type not in _BEGINNINGS:
            return None
        section, stored = at
        # Behind a section another one begins, or the file ends.
        if section.end < len(data) and data[section.end] not in _BEGINNINGS:
            return None
        self._left -= section.length
        if self._left < 0:
            return None
        crc = zlib.crc32(memoryview(data)[section.start : section.end])
        beginning = _moved_back(stored ^ crc, section.length)
        return self._ordinals.get((section.type, beginning))


def _first_tile(
    found: dict[int, Section], claimed: dict[int, int], tile_count: int, end: int
) -> int:
    """The ordinal of the first tile, by which ordinals become numbers of tiles."""
    last = max(found)
    # The last section of a file that is as long as it says is its last tile.
    at_end = last + 1 - tile_count if found[last].end == end else -1
    low = 1 + max((n for n, s in found.items() if s.type not in _TILES), default=-1)
    high = min(n for n, s in found.items() if s.type in _TILES)
    if low == high:
        return low
    if low <= at_end <= high:
        return at_end
    tiles = [n for n, kind in claimed.items() if low <= n < high and kind in _TILES]
    if all(n in claimed for n in range(low, high)):
        return min(tiles, default=high)
    raise CorruptError("damaged where its tiles begin: which of them are whole cannot be told")


# --- CRC-32 ---------------------------------------------------------------------------------------


def _beginning(kind: int, ordinal: int) -> int:
    """The CRC-32 of what precedes a payload under its checksum."""
    return zlib.crc32(bytes([kind]) + ordinal.to_bytes(4, "little"))


def _times(a: int, b: int) -> int:
    """The product of two polynomials modulo that of CRC-32; bit 31 is the coefficient of x**0."""
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@functools.cache
def _squares() -> tuple[int, ...]:
    """x**(2**k) for k = 0 to 31."""
    powers = [0x40000000]
    for _ in range(31):
        powers.append(_times(powers[-1], powers[-1]))
    return tuple(powers)


def _moved_back(crc: int, length: int) -> int:
    """The CRC that becomes `crc` when so many bytes follow of which nothing is added."""
    # The powers of x repeat after 2**32 - 1, for the polynomial is primitive.
    exponent = -8 * length % (2**32 - 1)
    for power in _squares():
        if exponent & 1:
            crc = _times(crc, power)
        exponent >>= 1
    return crc
