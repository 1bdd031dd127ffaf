"""FITS: the cards of the header, further planes, and extensions.

::

    cards of 80 bytes up to END, in blocks of 2880   data, in blocks   [extensions, alike]

Definition of the Flexible Image Transport System 4.0.
"""

from __future__ import annotations

from typing import Final

from aecodec.geometry import ceil_div
from aecodec.image.parts.account import (
    DAMAGED,
    FRAMES,
    HARMLESS,
    KEPT,
    LOST,
    Account,
    Part,
    reduced,
)
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "cards", "walk"]

_HEADER: Final = Part("cards of structure", HARMLESS, "say how the pixels are stored")
_PIXELS: Final = Part("the primary array", KEPT, "the picture")
_CARDS: Final = Part("any other card", LOST, "FITS header")
_DEPTH: Final = Part("values of 16 bits", LOST, reduced(16))
_PLANES: Final = Part("NAXIS3 and above", LOST, FRAMES)
_EXTENSIONS: Final = Part("extensions", LOST, "FITS extensions")
_CUT: Final = Part("array that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")
_BROKEN: Final = Part("header without END", LOST, f"{DAMAGED}: FITS header")

PARTS: Final = (_HEADER, _PIXELS, _CARDS, _DEPTH, _PLANES, _EXTENSIONS, _CUT, _BROKEN)

_BLOCK: Final = 2880
_MAX_CARDS: Final = 36 * 1000
_STRUCTURE: Final = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "BSCALE", "BZERO", "END", "")
_STANDARD: Final = (
    "FITS (Flexible Image Transport System) format",
    "and Astrophysics', volume 376, page 359",
)
"""Comments that programs write into every file."""


def cards(data: memoryview) -> tuple[dict[str, str], list[tuple[str, str]], int | None]:
    """Keywords with their values, all other cards, and the end of the header."""
    values: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for number in range(min(_MAX_CARDS, len(data) // 80)):
        card = bytes(data[80 * number : 80 * number + 80]).decode("latin-1")
        keyword, rest = card[:8].rstrip(), card[8:]
        if keyword == "END":
            return values, others, ceil_div(80 * number + 80, _BLOCK) * _BLOCK
        if rest.startswith("= "):
            values.setdefault(keyword, rest[2:].split("/")[0].strip())
        if not keyword.startswith(_STRUCTURE[:-2]) and card.strip():
            others.append((keyword, rest.strip()))
    return values, others, None


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a FITS file."""
    values, others, end = cards(data)
    account.add(_HEADER)
    account.add(_PIXELS)
    if any(keyword != "COMMENT" or not rest.startswith(_STANDARD) for keyword, rest in others):
        account.add(_CARDS)
    if end is None:
        account.add(_BROKEN)
        return
    size = abs(_integer(values.get("BITPIX"))) // 8
    axes = _integer(values.get("NAXIS"))
    for axis in range(1, min(axes, 999) + 1):
        length = _integer(values.get(f"NAXIS{axis}"))
        size = min(size * length, 2**62)
        if axis > 2 and length > 1:
            account.add(_PLANES)
    if values.get("BITPIX") == "16":
        account.bits = 16
        account.add(_DEPTH)
    behind = end + ceil_div(size, _BLOCK) * _BLOCK if axes > 0 else end
    if end + size > len(data):
        account.add(_CUT)
    elif not is_blank(data[behind:]):
        account.add(_EXTENSIONS)


def _integer(text: str | None) -> int:
    text = (text or "").strip()
    return int(text) if text.lstrip("+-").isdigit() and len(text) < 20 and text.isascii() else 0
