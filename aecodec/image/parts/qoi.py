"""QOI: the colour space in the header, and what is behind the end mark.

::

    header (14 bytes): "qoif", width, height, channels, colour space   chunks   0 0 0 0 0 0 0 1

The Quite OK Image Format Specification 1.0.
"""

from __future__ import annotations

from typing import Final

from aecodec.image.parts.account import HARMLESS, KEPT, LOST, Account, Part

__all__ = ["PARTS", "walk"]

_HEADER: Final = Part("header", HARMLESS, "says how the pixels are stored")
_PIXELS: Final = Part("chunks", KEPT, "the picture")
_LINEAR: Final = Part(
    "colour space: linear", HARMLESS, "Pillow writes it for every picture, whatever its colours"
)
_COLOURS: Final = Part("colour space of another kind", LOST, "colours of an unknown kind (QOI)")
_BEHIND: Final = Part("bytes behind the end mark", LOST, "data behind the picture")

PARTS: Final = (_HEADER, _PIXELS, _LINEAR, _COLOURS, _BEHIND)

_END: Final = b"\0\0\0\0\0\0\0\1"


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a QOI."""
    account.add(_HEADER)
    account.add(_PIXELS)
    space = data[13] if len(data) > 13 else 0
    if space == 1:
        account.add(_LINEAR)
    elif space:
        account.add(_COLOURS)
    # Chunks may contain the bytes of the end mark. The real mark follows the last pixel, which only
    # a decoder finds. A file that ends with the mark has no bytes behind it.
    if bytes(data[-8:]) != _END:
        account.add(_BEHIND)
