"""The syntax of a JPEG: segments and entropy-coded data, from SOI to EOI (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aecodec.geometry import ceil_div
from aecodec.image.parts.account import DAMAGED, KEPT, LOST, Account, Part

__all__ = ["PARTS", "PICTURE", "SOI", "Jpeg", "Segment", "check_scans", "read"]

PICTURE: Final = Part("frame, tables and scans", KEPT, "picture")
_JUNK: Final = Part("bytes between segments", LOST, "unknown bytes between segments")
_MANY: Final = Part("more than 50,000 segments", LOST, "more segments than any camera writes")
_NO_END: Final = Part("no EOI", LOST, f"{DAMAGED}: the end of the picture is missing")
_MARKERS: Final = Part("other markers in a scan", LOST, f"{DAMAGED}: unexpected data in it")
_RESTARTS: Final = Part("wrong restart markers", LOST, f"{DAMAGED}: restart markers are wrong")
_ZEROS: Final = Part("zeros in a scan", LOST, f"{DAMAGED}: a part of it is blank")
_SHORT: Final = Part("a segment beyond the end", LOST, f"{DAMAGED}: a segment is incomplete")
PARTS: Final = (PICTURE, _JUNK, _MANY, _NO_END, _MARKERS, _RESTARTS, _ZEROS, _SHORT)

_MAX_SEGMENTS: Final = 50_000


class Segment(NamedTuple):
    marker: int
    start: int
    end: int
    """Of the payload."""


_SOI, _EOI, _SOS, _DRI, _COM, _DNL, _DHT = 0xD8, 0xD9, 0xDA, 0xDD, 0xFE, 0xDC, 0xC4
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC: Final = frozenset(range(0xC9, 0xD0)) - {0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDD, 0xDC, 0xDE, 0xDF})
_RESTARTS_IN_DATA: Final = range(0xD0, 0xD8)
_MARKER: Final = re.compile(rb"\xff[^\xff]", re.DOTALL)
# In entropy-coded data, FF 00 means the byte FF.
_MARKER_IN_DATA: Final = re.compile(rb"\xff[\x01-\xfe]")
SOI: Final = b"\xff\xd8\xff"
"""The first bytes of a JPEG."""


class Scan(NamedTuple):
    """Entropy-coded data, and the numbers of the restart markers in it."""

    start: int
    end: int
    restarts: bytes


@dataclass
class Jpeg:
    """The segments and scans between SOI and EOI of one picture."""

    start: int
    end: int = 0
    """The position after EOI, or where reading ended."""
    segments: list[Segment] = field(default_factory=list)
    """APPn and COM."""
    late: int = 0
    """The number of these segments after the first scan."""
    scans: list[Scan] = field(default_factory=list)
    frame: bytes = b""
    """SOF's payload."""
    progressive: bool = False
    arithmetic: bool = False
    """Coded arithmetically, in place of Huffman's codes."""
    zeros_are_blocks: bool = True
    """Whether a flat part of a picture can be coded as a run of bits 0."""
    interval: int = 0
    """Of restarts, in MCUs."""
    faults: list[Part] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        height, width = struct.unpack_from(">HH", self.frame, 1) if len(self.frame) > 5 else (0, 0)
        return width, height

    @property
    def mcus(self) -> int:
        """The number of units of an interleaved scan of all components; 0 if unknown."""
        components = self.frame[6:]
        if len(self.frame) < 9 or len(components) != 3 * self.frame[5]:
            return 0
        across = max(components[i + 1] >> 4 for i in range(0, len(components), 3))
        down = max(components[i + 1] & 15 for i in range(0, len(components), 3))
        if self.frame[5] == 1:  # a scan of one component is not interleaved
            across = down = 1
        if not across or not down:
            return 0
        width, height = self.size
        return ceil_div(width, 8 * across) * ceil_div(height, 8 * down)


def read(data: memoryview, start: int) -> Jpeg:
    """Read the segments of the picture that begins at `start` with SOI."""
    jpeg = Jpeg(start)
    at, size = start + 2, len(data)
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, at)  # like Pillow, ignore bytes between segments
        if found is None:
            jpeg.faults.append(_NO_END)
            jpeg.end = size
            return jpeg
        if data[at] != 0xFF:
            jpeg.faults.append(_MARKERS if jpeg.scans else _JUNK)
        marker, at = data[found.end() - 1], found.end()
        if marker == _EOI:
            jpeg.end = at
            return jpeg
        if marker in (0x00, 0x01, _SOI) or marker in _RESTARTS_IN_DATA:
            jpeg.faults.append(_MARKERS if jpeg.scans else _JUNK)
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if end < at + 2 or end > size:
            jpeg.faults.append(_SHORT)
            jpeg.end = size
            return jpeg
        segment, at = Segment(marker, at + 2, end), end
        _take(jpeg, segment, data)
        if marker == _SOS:
            jpeg.scans.append(_scan(data, at, with_restarts=bool(jpeg.interval)))
            at = jpeg.scans[-1].end
    jpeg.faults.append(_MANY)
    jpeg.end = size
    return jpeg


def _scan(data: memoryview, start: int, *, with_restarts: bool) -> Scan:
    """The entropy-coded data from `start` to the next marker other than a restart."""
    restarts = bytearray()
    for match in _MARKER_IN_DATA.finditer(data, start):
        marker = data[match.start() + 1]
        if not with_restarts or marker not in _RESTARTS_IN_DATA:
            return Scan(start, match.start(), bytes(restarts))
        restarts.append(marker & 7)
    return Scan(start, len(data), bytes(restarts))


def _take(jpeg: Jpeg, segment: Segment, data: memoryview) -> None:
    marker, start, end = segment
    if 0xE0 <= marker <= 0xEF or marker == _COM:
        jpeg.segments.append(segment)
        jpeg.late += bool(jpeg.scans)
    elif marker in _FRAMES:
        jpeg.frame = bytes(data[start:end])
        jpeg.progressive = marker in _PROGRESSIVE
        jpeg.arithmetic = marker in _ARITHMETIC
    elif marker == _DHT:
        jpeg.zeros_are_blocks &= _zeros_end_blocks(bytes(data[start:end]))
    elif marker == _DRI:
        jpeg.interval = int.from_bytes(data[start : start + 2], "big")
    elif marker not in _TABLES and marker != _SOS:
        jpeg.faults.append(_MARKERS if jpeg.scans else _JUNK)


def _zeros_end_blocks(tables: bytes) -> bool:
    """Whether the code of zero bits means "end of block" in all these Huffman tables for AC.

    That is the code of the first symbol. If it means something else, it never repeats often.
    """
    at = 0
    while at + 17 < len(tables):
        if tables[at] >> 4 == 1 and tables[at + 17] != 0:
            return False
        at += 17 + sum(tables[at + 1 : at + 17])
    return True


_BLANK: Final = bytes(256)


def check_scans(jpeg: Jpeg, data: memoryview, account: Account) -> None:
    """Look for damage that markers in the entropy-coded data show.

    Other damage shows only when the data is decoded. `account.scan` is its range, if the picture
    has a single, sequential scan.
    """
    alone = len(jpeg.scans) == 1
    for scan in jpeg.scans:
        count = len(scan.restarts)
        if jpeg.interval and jpeg.mcus and alone:
            count = ceil_div(jpeg.mcus, jpeg.interval) - 1
        if scan.restarts != (bytes(range(8)) * (count // 8 + 1))[:count]:
            account.add(_RESTARTS)
    if alone and not jpeg.progressive:
        scan = jpeg.scans[0]
        if not jpeg.zeros_are_blocks and _BLANK in bytes(data[scan.start : scan.end]):
            account.add(_ZEROS)
        following = data[scan.end + 1 : scan.end + 2]
        if following == bytes([_EOI]):
            # An arithmetic decoder needs no byte of the end: it goes on with zeros.
            if not jpeg.arithmetic:
                account.scan = scan.start, scan.end
        elif following and following[0] != _DNL:
            account.add(_MARKERS)
