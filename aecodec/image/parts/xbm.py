"""XBM: comments and hot spot of a C source.

::

    #define name_width 16 ... [#define name_x_hot 1] ... static char name_bits[] = { 0x00, ... };

X Window System Protocol, X11R6, "Bitmap".
"""

from __future__ import annotations

import re
from typing import Final

from aecodec.image.parts.account import HARMLESS, KEPT, LOST, Account, Part

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("definitions of width and height", HARMLESS, "the size of the picture")
_PIXELS: Final = Part("array of bits", KEPT, "the picture")
_HOT_SPOT: Final = Part("definitions of the hot spot", LOST, "hot spot of the cursor")
_COMMENT: Final = Part("comment", LOST, "comments")
_BEHIND: Final = Part("text behind the array", LOST, "text behind the picture")
_BEFORE: Final = Part("other text before the array", LOST, "other text of the source")

PARTS: Final = (_HEADER, _PIXELS, _HOT_SPOT, _COMMENT, _BEHIND, _BEFORE)

_MAX_HEADER: Final = 65536
_DEFINITION: Final = re.compile(rb"#define\s+\S*(width|height|x_hot|y_hot)\s+-?\d+")
_ARRAY: Final = re.compile(
    rb"(?:static\s+)?(?:const\s+)?(?:unsigned\s+)?char\s+\S*bits\[\]\s*=\s*\{"
)
_COMMENTS: Final = re.compile(rb"/\*.*?\*/", re.DOTALL)


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of an XBM."""
    head = bytes(data[:_MAX_HEADER])
    start = head.find(b"{") + 1
    account.add(_HEADER)
    account.add(_PIXELS)
    before = head[:start]
    plain = _COMMENTS.sub(b"", before)
    if plain != before:
        account.add(_COMMENT)
    if b"_hot" in plain:
        account.add(_HOT_SPOT)
    if _ARRAY.sub(b"", _DEFINITION.sub(b"", plain)).strip():
        account.add(_BEFORE)
    end = bytes(data[-_MAX_HEADER:])
    if end[end.rfind(b"}") + 1 :].strip(b"; \t\r\n\0\x1a"):
        account.add(_BEHIND)
    pieces = (bytes(data[at : at + _MAX_HEADER]) for at in range(start, len(data), _MAX_HEADER))
    closed = 0
    for piece in pieces:
        closed += piece.count(b"}")
        if b"/" in piece:  # among numbers, only a comment has one
            account.add(_COMMENT)
    if closed > 1:
        account.add(_BEHIND)
