"""TGA: the image ID, and the areas of a file of version 2 behind the pixels.

::

    header  image ID  colour map  pixels  [developer area]  [extension area]  footer (26 bytes)

Truevision TGA File Format Specification 2.0. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from aecodec.geometry import ceil_div
from aecodec.image.parts.account import DAMAGED, HARMLESS, KEPT, LOST, Account, Part, Text
from aecodec.image.parts.tiff import is_blank

__all__ = ["PARTS", "walk"]

_HOW: Final = "says how the pixels are stored"
_HEADER: Final = Part("header, colour map", HARMLESS, _HOW)
_PIXELS: Final = Part("pixels", KEPT, "the picture")
_ID: Final = Part("image ID", KEPT, "comment")
_FOOTER: Final = Part("footer", HARMLESS, "the version of the format")
_EXTENSION: Final = Part("extension area", HARMLESS, _HOW)
_TEXTS: Final = Part("extension area: author, comments, job, software, date", KEPT, "texts")
_GAMMA: Final = Part("extension area: gamma", LOST, "gamma of the colours")
_CORRECTION: Final = Part("extension area: colour correction", LOST, "colour correction table")
_STAMP: Final = Part("extension area: postage stamp", HARMLESS, "a small copy of the picture")
_KEY: Final = Part("extension area: key colour", LOST, "key colour")
_ASPECT: Final = Part("extension area: pixel aspect ratio", LOST, "pixels that are not square")
_TIME: Final = Part("extension area: job time", LOST, "time spent on the picture")
_DEVELOPER: Final = Part("developer area", LOST, "developer area (TGA)")
_CHANNEL: Final = Part(
    "channel of transparency without attribute bits",
    LOST,
    "a further channel, taken for transparency",
)
_ATTRIBUTE: Final = Part(
    "sixteenth bit of the pixels, if it varies", LOST, "attribute bits of the pixels (TGA)"
)
"""`mending.py` tells it, where the pixels are decoded."""
_BEHIND: Final = Part("bytes behind the last part", LOST, "data behind the picture")
_UNKNOWN: Final = Part("run lengths of more than 20 million packets", LOST, "what is behind it")
_CUT: Final = Part("pixels that break off", LOST, f"{DAMAGED}: the end of the file is missing")

PARTS: Final = (
    _HEADER,
    _PIXELS,
    _ID,
    _FOOTER,
    _EXTENSION,
    _TEXTS,
    _GAMMA,
    _CORRECTION,
    _STAMP,
    _KEY,
    _ASPECT,
    _TIME,
    _DEVELOPER,
    _CHANNEL,
    _ATTRIBUTE,
    _BEHIND,
    _UNKNOWN,
    _CUT,
)

_SIGNATURE: Final = b"TRUEVISION-XFILE.\0"
_MAX_PACKETS: Final = 20_000_000
_TEXT_FIELDS: Final = (
    ("Author", 2, 41),
    ("Comment", 43, 324),
    ("Job", 379, 41),
    ("Software", 426, 41),
)


def walk(data: memoryview, account: Account) -> None:
    """Account for every part of a TGA."""
    if len(data) < 18:
        account.add(_CUT)
        return
    identity, mapped, kind = data[0], data[1], data[2]
    entries, entry_bits = struct.unpack_from("<HB", data, 5)
    width, height, depth, flags = struct.unpack_from("<HHBB", data, 12)
    account.add(_HEADER)
    account.add(_PIXELS)
    if text := bytes(data[18 : 18 + identity]).strip(b"\0 "):
        account.add(_ID)
        account.texts.append(Text("", text.decode("utf-8", "surrogateescape")))
    alpha = (kind & 7, entry_bits if mapped else depth) in ((1, 32), (2, 32), (3, 16))
    if alpha and not flags & 15:
        account.add(_CHANNEL)
    start = 18 + identity + (entries * ceil_div(entry_bits, 8) if mapped else 0)
    sample = ceil_div(depth, 8)
    row = ceil_div(width, 8) if depth == 1 else width * sample
    end: int | None = start + row * height
    if kind & 8:
        end = _end_of_runs(data, start, width * height, sample)
    if end is None:
        account.add(_UNKNOWN)
        return
    if end > len(data):
        account.add(_CUT)
        return
    footer = len(data) - 26
    if footer < end or bytes(data[footer + 8 :]) != _SIGNATURE:
        if not is_blank(data[end:]):
            account.add(_BEHIND)
        return
    account.add(_FOOTER)
    extension, developer = struct.unpack_from("<II", data, footer)
    if developer:
        account.add(_DEVELOPER)
    if not extension:
        if not developer and not is_blank(data[end:footer]):
            account.add(_BEHIND)
    elif end <= extension <= footer - 495:
        _extension(data[extension : extension + 495], account)
    else:
        account.add(_CUT)


def _end_of_runs(data: memoryview, at: int, pixels: int, sample: int) -> int | None:
    """The end of the run-length coded pixels; None if finding it takes too long."""
    if pixels > _MAX_PACKETS:
        return None
    length = len(data)
    while pixels > 0 and at < length:
        packet = data[at]
        count = (packet & 127) + 1
        at += 1 + (sample if packet & 128 else count * sample)
        pixels -= count
    return at if pixels <= 0 else length + 1


def _extension(area: memoryview, account: Account) -> None:
    account.add(_EXTENSION)
    for keyword, at, size in _TEXT_FIELDS:
        raw = bytes(area[at : at + size])
        lines = [raw] if size != 324 else [raw[i : i + 81] for i in range(0, 324, 81)]
        text = "\n".join(line.split(b"\0")[0].decode("latin-1").strip() for line in lines).strip()
        if text:
            account.add(_TEXTS)
            account.texts.append(Text(keyword, text))
    month, day, year, hour, minute, second = struct.unpack_from("<6H", area, 367)
    if year:
        account.add(_TEXTS)
        date = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        account.texts.append(Text("Creation Time", date))
    if any(area[420:426]):
        account.add(_TIME)
    if any(area[470:474]):
        account.add(_KEY)
    across, down, gamma, divisor = struct.unpack_from("<4H", area, 474)
    if down and across != down:
        account.add(_ASPECT)
    if divisor and gamma and abs(gamma / divisor - 2.2) > 0.05 and gamma != divisor:
        account.add(_GAMMA)
    correction, stamp = struct.unpack_from("<II", area, 482)
    if correction:
        account.add(_CORRECTION)
    if stamp:
        account.add(_STAMP)
