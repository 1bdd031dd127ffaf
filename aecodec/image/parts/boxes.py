"""Reads the boxes of ISO base media files (AVIF, HEIF) and of JPEG 2000: the same in both.

::

    u32 length, type (4 bytes), content      length 1: u64 length behind the type; 0: to the end

ISO/IEC 14496-12, 4.2; ISO/IEC 15444-1, I.4. Invalid bytes never raise an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["BROKEN", "MAX_BOXES", "Box", "boxes", "named", "printable"]

BROKEN: Final = b""
"""The type of the bytes after the last complete box."""
MAX_BOXES: Final = 10_000
"""The largest number of boxes that are read on one level."""


class Box(NamedTuple):
    """One box: its type, and its content in place."""

    type: bytes
    content: memoryview
    at: int
    """The offset of the box in its container."""


def boxes(data: memoryview) -> Iterator[Box]:
    """The boxes of ``data``, one after another; other bytes at the end have the type `BROKEN`."""
    at = 0
    for _ in range(MAX_BOXES):
        if at >= len(data):
            return
        head = bytes(data[at : at + 16])
        size = int.from_bytes(head[:4], "big")
        start = at + 8
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
            start = at + 16
        elif size == 0:
            size = len(data) - at
        if len(head) < 8 or not any(head[4:8]) or size < start - at or at + size > len(data):
            break
        yield Box(head[4:8], data[start : at + size], at)
        at += size
    if at < len(data):
        yield Box(BROKEN, data[at:], at)


def named(box: Box) -> str:
    """The type of a box as text."""
    return printable(box.type)


def printable(code: bytes) -> str:
    """A code of four characters as text; in hexadecimal if it is not printable."""
    text = code.decode("latin-1").strip()
    return text if text.isascii() and text.isprintable() and text else "0x" + code.hex()
