"""WebP: the chunks of its RIFF container, and what follows it (RFC 9649)."""

from __future__ import annotations

import re
import struct
from typing import Final

from aecodec.image.parts.account import DAMAGED, FRAMES, HARMLESS, KEPT, LOST, Account, Part

__all__ = ["PARTS", "walk"]

_CHUNKS: Final = {
    b"VP8 ": Part("chunk 'VP8 '", KEPT, "picture"),
    b"VP8L": Part("chunk VP8L", KEPT, "picture"),
    b"VP8X": Part("chunk VP8X", KEPT, "picture"),
    b"ALPH": Part("chunk ALPH", KEPT, "transparency"),
    b"ICCP": Part("chunk ICCP", KEPT, "ICC"),
    b"EXIF": Part("chunk EXIF", KEPT, "EXIF"),
    b"XMP ": Part("chunk 'XMP '", KEPT, "XMP"),
    b"ANIM": Part("chunk ANIM", HARMLESS, "how an animation repeats: its frames are told"),
    b"ANMF": Part("chunk ANMF", KEPT, "picture"),
    b"C2PA": Part("chunk C2PA", LOST, "content credentials"),
}
_FRAMES: Final = Part("further chunks ANMF", LOST, FRAMES)
_UNSAID: Final = {
    kind: Part(
        f"{part.name}, which VP8X does not announce", LOST, f"{part.text} that is not announced"
    )
    for kind, part in _CHUNKS.items()
    if kind in (b"ICCP", b"EXIF", b"XMP ")
}
"""libwebp passes over them, and so do viewers."""
_FLAGS: Final = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_SECOND: Final = Part("a second ICCP, EXIF or 'XMP '", LOST, "second chunk NAME")
_UNKNOWN: Final = Part("any other chunk", LOST, "unknown chunk NAME")
_SHORT: Final = Part("a chunk beyond the end", LOST, f"{DAMAGED}: the end of the file is missing")
_MANY: Final = Part("more than 100,000 chunks", LOST, "more chunks than any program writes")
_PADDING: Final = Part("zeros behind the container", HARMLESS, "padding")
_TAIL: Final = Part("bytes behind the container", LOST, "unknown data behind the picture")

PARTS: Final = (
    *_CHUNKS.values(),
    _FRAMES,
    *_UNSAID.values(),
    _SECOND,
    _UNKNOWN,
    _SHORT,
    _MANY,
    _PADDING,
    _TAIL,
)

_MAX_CHUNKS: Final = 100_000
_NOT_ZERO: Final = re.compile(rb"[^\0]")


def walk(data: memoryview, account: Account) -> None:
    """Account for a WebP file."""
    if len(data) < 12:
        account.add(_SHORT)
        return
    stated = 8 + int.from_bytes(data[4:8], "little")
    if stated > len(data):
        account.add(_SHORT)
    end = min(stated, len(data))
    at, flags = 12, 0
    seen: set[bytes] = set()
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            break
        kind, size = struct.unpack_from("<4sI", data, at)
        start = at + 8
        at = start + size + size % 2
        if kind == b"VP8X" and not seen:
            flags = int.from_bytes(data[start : start + 1], "little")  # 0 where the file ends
        _chunk(kind, kind in seen, flags, account)
        seen.add(kind)
        if at > end + size % 2:
            account.add(_SHORT)
    else:
        account.add(_MANY)
    if at < end and _NOT_ZERO.search(data[at:end]) is not None:
        account.add(_TAIL)
    if end < len(data):
        account.add(_TAIL if _NOT_ZERO.search(data, end) is not None else _PADDING)


def _chunk(kind: bytes, again: bool, flags: int, account: Account) -> None:
    part = _CHUNKS.get(kind)
    name = kind.decode("latin-1").strip() if kind.strip().isalnum() else kind.hex()
    if part is None:
        account.lost(f"chunk {name}", f"unknown chunk {name}")
    elif kind in _FLAGS and not flags & _FLAGS[kind]:
        account.add(_UNSAID[kind])
    elif again and kind in _FLAGS:
        account.lost(f"second chunk {name}", f"second chunk {name}")
    elif again and kind == b"ANMF":
        account.add(_FRAMES)
    else:
        account.add(part)
