"""PBM, PGM, PPM, PAM and PFM: the header with its comments, the samples, and what follows."""

from __future__ import annotations

import re
from typing import Final

from aecodec.geometry import ceil_div
from aecodec.image.parts.account import DAMAGED, FRAMES, HARMLESS, KEPT, LOST, Account, Part, Text

__all__ = ["PARTS", "walk"]

_PICTURE: Final = Part("header and samples", KEPT, "picture")
_COMMENT: Final = Part("comments in the header", KEPT, "comment")
_DEPTH: Final = Part("a maxval above 255", LOST, "16 bits a channel reduced to 8")
_SCALE: Final = Part("a maxval below 255 that is no 1, 3, 15 or 255", KEPT, "picture, scaled")
_FACTOR: Final = Part("PFM's scale other than 1", LOST, "scale of the values")
_FURTHER: Final = Part("further images", LOST, FRAMES)
_PLAIN_TAIL: Final = Part("white space behind plain samples", HARMLESS, "the end of a line")
_PLAIN_COMMENT: Final = Part("comments between plain samples", LOST, "comments between the samples")
_SHORT: Final = Part("samples beyond the end", LOST, f"{DAMAGED}: the end of the file is missing")
_PADDING: Final = Part("zeros behind the samples", HARMLESS, "padding")
_TAIL: Final = Part("bytes behind the samples", LOST, "unknown data behind the picture")

PARTS: Final = (
    _PICTURE,
    _COMMENT,
    _DEPTH,
    _SCALE,
    _FACTOR,
    _FURTHER,
    _PLAIN_TAIL,
    _PLAIN_COMMENT,
    _SHORT,
    _PADDING,
    _TAIL,
)

_SAMPLES: Final = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3, b"P0CMYK": 4, b"Pf": 1}
"""Samples of a pixel; P1 and P4 have bits, and others are for Pillow's own tests."""
_MAX_HEADER: Final = 2**20
"""Bytes of header that are read: comments may be long."""
_TOKEN: Final = re.compile(rb"[^\s#]+")
_SPACE: Final = re.compile(rb"\s*")
_LINE: Final = re.compile(rb"#[^\r\n]*")
_NOT_ZERO: Final = re.compile(rb"[^\0]")
_MAGIC: Final = re.compile(rb"\s*P[1-7fF]\s")
_CHUNK: Final = 2**16
_AS_LETTERS: Final = bytes(32 if chr(i) in " \t\n\v\f\r" else 120 for i in range(256))
"""Turns white space to blanks, and all else to letters."""


def walk(data: memoryview, account: Account) -> None:
    """Account for a file of the PNM family that Pillow reads."""
    account.add(_PICTURE)
    try:
        magic, width, height, maxval, at = _header(bytes(data[:_MAX_HEADER]), account)
    except (ValueError, IndexError):
        account.add(_SHORT)
        return
    if magic in (b"P1", b"P2", b"P3"):
        _plain(data, at, width * height * _SAMPLES.get(magic, 1), magic == b"P1", account)
        return
    if magic == b"P4":
        size = ceil_div(width, 8) * height
    else:
        sample = 4 if magic == b"Pf" else 2 if maxval > 255 else 1
        size = width * height * _SAMPLES.get(magic, 4 if magic != b"PyP" else 1) * sample
    _behind(data, at + size, account)


def _header(head: bytes, account: Account) -> tuple[bytes, int, int, int, int]:
    """Magic, width, height, maxval, and where the samples begin. Raises ValueError, IndexError."""
    tokens: list[bytes] = []
    at, count = 0, 4
    while len(tokens) < count:
        at = _after_space(head, at)
        if head[at : at + 1] == b"#":
            match = _LINE.match(head, at)
            at = match.end() if match else len(head)
            _comment(head[match.start() : at] if match else b"", account)
            continue
        found = _TOKEN.match(head, at)
        if found is None:
            raise ValueError("the header ends early")
        tokens.append(found[0])
        at = found.end()
        if tokens[0] in (b"P1", b"P4"):
            count = 3
    at += 1  # a single white space
    if tokens[0] == b"Pf":
        if abs(float(tokens[3])) != 1.0:
            account.add(_FACTOR)
        return tokens[0], int(tokens[1]), int(tokens[2]), 255, at
    maxval = int(tokens[3]) if count == 4 else 1
    if maxval > 255:
        account.bits = maxval.bit_length()
    elif maxval not in (1, 3, 15, 255):
        account.add(_SCALE)
    return tokens[0], int(tokens[1]), int(tokens[2]), maxval, at


def _after_space(head: bytes, at: int) -> int:
    match = _SPACE.match(head, at)
    return match.end() if match else at


def _comment(line: bytes, account: Account) -> None:
    account.add(_COMMENT)
    text = line[1:].strip()
    if text:
        account.texts.append(Text("", text.decode("utf-8", "surrogateescape")))


def _behind(data: memoryview, end: int, account: Account) -> None:
    if end > len(data):
        account.add(_SHORT)
    elif _MAGIC.match(bytes(data[end : end + 64])):
        account.add(_FURTHER)
    elif end < len(data):
        account.add(_TAIL if _NOT_ZERO.search(data, end) is not None else _PADDING)


def _plain(data: memoryview, at: int, samples: int, bits: bool, account: Account) -> None:
    """Count the numbers in pieces, without storing them."""
    count, spaced = 0, True
    while at < len(data):
        piece = bytes(data[at : at + _CHUNK])
        at += len(piece)
        if b"#" in piece:
            account.add(_PLAIN_COMMENT)
            piece = _LINE.sub(b"", piece)
        if bits:
            count += piece.count(b"0") + piece.count(b"1")
            continue
        letters = piece.translate(_AS_LETTERS)
        count += letters.count(b" x") + (spaced and letters.startswith(b"x"))
        spaced = letters.endswith(b" ")
    if count < samples:
        account.add(_SHORT)
    elif count > samples:
        account.add(_TAIL)
    else:
        account.add(_PLAIN_TAIL)
