"""The items of an AVIF or HEIF file, as its meta box lists them.

ISO/IEC 23008-12 (HEIF), 14496-12 (ISOBMFF).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aecodec.image.parts.boxes import MAX_BOXES, Box, boxes

__all__ = ["ItemReader", "Items", "number", "string"]


def number(content: memoryview, at: int, size: int) -> int:
    """An integer; 0 where the bytes end before it."""
    return int.from_bytes(content[at : at + size], "big")


def string(content: memoryview, at: int = 0) -> tuple[str, int]:
    """A text that ends with a zero byte, and the offset after it."""
    raw = bytes(content[at : at + 65536])
    text = raw.split(b"\0")[0]
    return text.decode("utf-8", "surrogateescape"), at + len(text) + 1


@dataclass
class Items:
    """The items of a meta box."""

    primary: int = 0
    kinds: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    """The type of each item, and the content type of mime and uri items."""
    referred: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    """By type of reference and item: the items to which it refers."""
    referring: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    """By type of reference and item: the items that refer to it."""
    properties: list[Box] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    """By item: the numbers of its properties, which begin at 1."""
    extents: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    """By item: construction method, and offset and length of each extent."""
    idat: memoryview | None = None

    def properties_of(self, item: int) -> Iterator[Box]:
        for number in self.associations.get(item, ()):
            if 0 < number <= len(self.properties):
                yield self.properties[number - 1]

    def content(self, item: int, data: memoryview, limit: int) -> bytes:
        """The first `limit` bytes of an item in the file `data`; empty if they are elsewhere."""
        method, extents = self.extents.get(item, (0, []))
        source = {0: data, 1: self.idat}.get(method)
        if source is None:
            return b""
        found, left = [], limit
        for offset, length in extents:
            # A length of 0 stands for all that follows.
            found.append(bytes(source[offset : offset + min(length or left, left)]))
            left -= len(found[-1])
        return b"".join(found)


class ItemReader:
    """Reads the boxes that describe items, up to a number of entries."""

    def __init__(self) -> None:
        self.items = Items()
        self._left = MAX_BOXES

    @property
    def is_exhausted(self) -> bool:
        """Whether there were more entries than are read."""
        return self._left <= 0

    def primary(self, content: memoryview) -> None:
        """The number of the primary item (pitm)."""
        self.items.primary = number(content, 4, 4 if number(content, 0, 1) else 2)

    def _take(self) -> bool:
        self._left -= 1
        return self._left > 0

    def item_infos(self, content: memoryview) -> None:
        """Type of each item (iinf)."""
        start = 8 if number(content, 0, 1) else 6
        for box in boxes(content[start:]):
            version = number(box.content, 0, 1)
            if box.type != b"infe" or version not in (2, 3) or not self._take():
                continue
            wide = 4 if version == 3 else 2
            item = number(box.content, 4, wide)
            kind = bytes(box.content[6 + wide : 10 + wide])
            what = ""
            if kind in (b"mime", b"uri "):
                _, after = string(box.content, 10 + wide)
                what, _ = string(box.content, after)
            self.items.kinds[item] = kind, what

    def references(self, content: memoryview) -> None:
        """Which items refer to which (iref)."""
        wide = 4 if number(content, 0, 1) else 2
        for box in boxes(content[4:]):
            count = number(box.content, wide, 2)
            start = wide + 2
            source = number(box.content, 0, wide)
            for at in range(start, min(start + count * wide, len(box.content)), wide):
                if not self._take():
                    return
                target = number(box.content, at, wide)
                self.items.referred.setdefault((box.type, source), []).append(target)
                self.items.referring.setdefault((box.type, target), []).append(source)

    def property_boxes(self, content: memoryview) -> None:
        """The properties, and the items that have them (iprp)."""
        for box in boxes(content):
            if box.type == b"ipco":
                for inner in boxes(box.content):
                    if not self._take():
                        return
                    self.items.properties.append(inner)
            elif box.type == b"ipma":
                self._associations(box.content)

    def _associations(self, content: memoryview) -> None:
        wide_item = 4 if number(content, 0, 1) else 2
        wide_index = 2 if content[3:4] and content[3] & 1 else 1
        at = 8
        for _ in range(number(content, 4, 4)):
            if at >= len(content):
                return
            item = number(content, at, wide_item)
            count = number(content, at + wide_item, 1)
            at += wide_item + 1
            for _ in range(count):
                if not self._take():
                    return
                index = number(content, at, wide_index) & (0x7FFF if wide_index == 2 else 0x7F)
                self.items.associations.setdefault(item, []).append(index)
                at += wide_index

    def locations(self, content: memoryview) -> None:
        """Offset and length of each item's extents (iloc)."""
        version = number(content, 0, 1)
        sizes = [number(content, 4, 1) >> 4, number(content, 4, 1) & 15]
        sizes += [number(content, 5, 1) >> 4, number(content, 5, 1) & 15]
        offset_size, length_size, base_size, index_size = sizes
        index_size = index_size if version in (1, 2) else 0
        wide = 4 if version == 2 else 2
        count = number(content, 6, wide)
        at = 6 + wide
        for _ in range(count):
            if at >= len(content) or not self._take():
                return
            item = number(content, at, wide)
            at += wide
            method = 0
            if version in (1, 2):
                method = number(content, at, 2) & 15
                at += 2
            base = number(content, at + 2, base_size)
            count_here = number(content, at + 2 + base_size, 2)
            at += 4 + base_size
            extents: list[tuple[int, int]] = []
            for _ in range(count_here):
                if at >= len(content) or (extents and not self._take()):
                    return
                offset = base + number(content, at + index_size, offset_size)
                extents.append(
                    (offset, number(content, at + index_size + offset_size, length_size))
                )
                at += index_size + offset_size + length_size
            self.items.extents[item] = method, extents
