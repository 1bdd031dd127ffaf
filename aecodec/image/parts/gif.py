"""GIF: its blocks, from the logical screen to the trailer, and what follows (GIF89a)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aecodec.image.parts.account import (
    DAMAGED,
    FRAMES,
    HARMLESS,
    KEPT,
    LOST,
    SECOND,
    Account,
    Part,
    Text,
)

__all__ = ["PARTS", "walk"]

_SCREEN: Final = Part("logical screen and palettes", KEPT, "picture")
_ASPECT: Final = Part("a pixel aspect ratio", LOST, "pixels that are not square")
_IMAGE: Final = Part("first image", KEPT, "picture")
_FURTHER: Final = Part("further images", LOST, FRAMES)
_CONTROL: Final = Part("graphic control extension", KEPT, "transparency")
_COMMENT: Final = Part("comment extension", KEPT, "comment")
_PLAIN: Final = Part("plain text extension", LOST, "text drawn over the picture")
_EXTENSION: Final = Part("any other extension", LOST, "unknown extension N")
_APPLICATION: Final = Part("any other application extension", LOST, "data of NAME")
_LOOP: Final = Part("application NETSCAPE2.0", HARMLESS, "how often an animation repeats")
_APPLICATIONS: Final = {
    b"NETSCAPE2.0": _LOOP,
    b"ANIMEXTS1.0": Part("application ANIMEXTS1.0", HARMLESS, "how often an animation repeats"),
    b"XMP DataXMP": Part("application XMP Data", KEPT, "XMP"),
    b"ICCRGBG1012": Part("application ICCRGBG1", KEPT, "ICC"),
    b"MGK8BIM0000": Part("application 8BIM", LOST, "Photoshop resources"),
    b"C2PA_GIF\x01\0\0": Part("application C2PA_GIF", LOST, "content credentials"),
}
_SHORT: Final = Part("no trailer", LOST, f"{DAMAGED}: the end of the file is missing")
_UNKNOWN: Final = Part("any other block", LOST, f"{DAMAGED}: unexpected data between blocks")
_MANY: Final = Part("more than 100,000 blocks", LOST, "more blocks than any program writes")
_PADDING: Final = Part("zeros behind the trailer", HARMLESS, "padding")
_TAIL: Final = Part("bytes behind the trailer", LOST, "unknown data behind the picture")

PARTS: Final = (
    _SCREEN,
    _ASPECT,
    _IMAGE,
    _FURTHER,
    _CONTROL,
    _COMMENT,
    _PLAIN,
    *_APPLICATIONS.values(),
    _APPLICATION,
    SECOND["xmp"],
    SECOND["icc"],
    _EXTENSION,
    _SHORT,
    _UNKNOWN,
    _MANY,
    _PADDING,
    _TAIL,
)

_MAX_BLOCKS: Final = 100_000
_MAX_CONTENT: Final = 2**24
_SQUARE: Final = (0, 49)
"""Values of the aspect ratio for square pixels, or for no statement."""
_NOT_ZERO: Final = re.compile(rb"[^\0]")


class _Ended(Exception):
    """The file ends within a block."""


def walk(data: memoryview, account: Account) -> None:
    """Account for a GIF file."""
    try:
        at = _blocks(data, account)
    except _Ended:
        account.add(_SHORT)
        return
    if at < len(data):
        account.add(_TAIL if _NOT_ZERO.search(data, at) is not None else _PADDING)


def _blocks(data: memoryview, account: Account) -> int:
    """Account for each block; return where the trailer ends."""
    if len(data) < 13:
        raise _Ended
    account.add(_SCREEN)
    if data[12] not in _SQUARE:
        account.add(_ASPECT)
    at, images = 13 + _palette(data[10]), 0
    for _ in range(_MAX_BLOCKS):
        kind = _byte(data, at)
        if kind == 0x3B:
            return at + 1
        if kind == 0x2C:
            account.add(_FURTHER if images else _IMAGE)
            images += 1
            at += 11 + _palette(_byte(data, at + 9))
            at = _after(data, at)
        elif kind == 0x21:
            at = _extension(data, at + 1, account)
        elif kind == 0:  # a superfluous end of a block, which decoders ignore
            at += 1
        else:
            account.add(_UNKNOWN)
            return len(data)
    account.add(_MANY)
    return len(data)


def _byte(data: memoryview, at: int) -> int:
    if at >= len(data):
        raise _Ended
    return data[at]


def _palette(flags: int) -> int:
    """Bytes of the palette that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _sub_blocks(data: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """Start and end of the content of each sub-block."""
    while size := _byte(data, at):
        yield at + 1, at + 1 + size
        at += 1 + size


def _after(data: memoryview, at: int) -> int:
    """The position after the sub-blocks at `at`, and after their terminator."""
    while size := _byte(data, at):
        at += 1 + size
    return at + 1


def _extension(data: memoryview, at: int, account: Account) -> int:
    label, at = _byte(data, at), at + 1
    end = _after(data, at)
    if label == 0xF9:
        account.add(_CONTROL)
    elif label == 0xFE:
        account.add(_COMMENT)
        text = _content(data, at)
        account.texts.append(Text("", text.decode("utf-8", "surrogateescape")))
    elif label == 0x01:
        account.add(_PLAIN)
    elif label == 0xFF:
        _application(data, at, end, account)
    else:
        account.lost(f"extension {label}", f"unknown extension {label}")
    return end


def _content(data: memoryview, at: int) -> bytes:
    content = bytearray()
    for start, end in _sub_blocks(data, at):
        content += data[start:end]
        if len(content) > _MAX_CONTENT:
            break
    return bytes(content)


def _application(data: memoryview, at: int, end: int, account: Account) -> None:
    size = data[at]
    name = bytes(data[at + 1 : at + 1 + size])
    part = _APPLICATIONS.get(name)
    if part is None:
        shown = name.decode("ascii", "replace").strip("\0 ") or "no name"
        shown = shown if shown.isprintable() else name.hex()
        account.lost(f"application {shown}", f"data of {shown}")
        return
    account.add(part)
    first = at + 1 + size
    if name == b"XMP DataXMP":
        # The packet is not divided into sub-blocks. The 258 bytes after it end it for readers that
        # expect sub-blocks.
        packet = bytes(data[first:end])
        account.take("xmp", packet[:-258] if packet[-258:-256] == b"\x01\xff" else packet)
    elif name == b"ICCRGBG1012":
        account.take("icc", _content(data, first))
