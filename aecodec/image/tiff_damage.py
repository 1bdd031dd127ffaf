"""Finds damage in compressed strips and tiles of a TIFF, which libtiff does not report.

libtiff stops when a strip is full, before it reads the checksum of a deflate stream. For a damaged
JPEG strip it accepts the substitutes of libjpeg. So a bad sector gives a wrong picture silently.
This module reads each deflate stream again up to its checksum, and decodes each JPEG strip under
`watch.py`. LZW is not checked, because its decoder fails on damage. Uncompressed data, PackBits and
CCITT have no redundancy that would show damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from PIL import JpegImagePlugin, TiffImagePlugin

from aecodec.geometry import ceil_div
from aecodec.image.jpeg2000 import contents
from aecodec.image.parts import jpeg
from aecodec.image.parts.account import DAMAGED, Account
from aecodec.image.parts.directories import Directory, Tiff
from aecodec.image.watch import WatchedFile

__all__ = ["is_damaged"]

_DEFLATE: Final = (8, 32946)
_JPEG: Final = 7
_MAX_BLOCKS: Final = 1_000_000
_PIECE: Final = 65536


def is_damaged(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether a strip or tile of an opened TIFF is damaged."""
    if image.fp is None or image.tag_v2.get(259) not in (*_DEFLATE, _JPEG):
        return False
    data = contents(cast(BinaryIO, image.fp))
    tiff = Tiff(data)
    directory = tiff.directory(tiff.first)
    if directory is None:
        return False
    width, height = (tiff.number(directory.entries.get(tag)) for tag in (256, 257))
    if 322 in directory.entries:
        across, down = (tiff.number(directory.entries.get(tag)) for tag in (322, 323))
    else:
        across, down = width, min(tiff.number(directory.entries.get(278), height), height)
    blocks = _blocks(tiff, directory)
    if tiff.number(directory.entries.get(259)) == _JPEG:
        tables = bytes(tiff.bytes_of(directory.entries.get(347)))[:_PIECE]
        return any(_is_jpeg_damaged(block, tables, across, down) for block in blocks)
    samples = max(tiff.number(directory.entries.get(277), 1), 1)
    bits = max(tiff.numbers(directory.entries.get(258)), default=1)
    # The size of the whole picture, with its blocks filled up to their full size.
    left = 2 * (width + across) * (height + down) * samples * ceil_div(bits, 8)
    turned = tiff.number(directory.entries.get(266), 1) == 2
    for block in blocks:
        given = _inflated(block, left, turned=turned)
        if given is None:
            return True
        left -= given
    return False


def _blocks(tiff: Tiff, directory: Directory) -> Iterator[memoryview]:
    """The strips or tiles of a directory."""
    entries = directory.entries
    starts, lengths = (324, 325) if 324 in entries else (273, 279)
    offsets = tiff.numbers(entries.get(starts), _MAX_BLOCKS)
    for offset, length in zip(
        offsets, tiff.numbers(entries.get(lengths), _MAX_BLOCKS), strict=False
    ):
        yield tiff.data[offset : offset + length]


_TURNED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""


def _inflated(block: memoryview, limit: int, *, turned: bool) -> int | None:
    """The bytes that a deflate stream expands to; None if it is damaged.

    ``turned``: the bits of its bytes are in reverse order (FillOrder).
    """
    stream = zlib.decompressobj()
    given, rest = 0, block[:0].tobytes()
    for at in range(0, len(block), _PIECE):
        rest = block[at : at + _PIECE].tobytes()
        rest = rest.translate(_TURNED) if turned else rest
        while rest and not stream.eof:
            try:
                given += len(stream.decompress(rest, _PIECE))
            except zlib.error:
                return None
            rest = stream.unconsumed_tail
            if given > limit:
                return None
    return given if stream.eof else None


def _is_jpeg_damaged(block: memoryview, tables: bytes, across: int, down: int) -> bool:
    """Whether the decoder of a JPEG had to substitute pixels. Its tables may be in a tag."""
    if len(block) < 4:
        return False  # a tile that was left out
    data = b"\xff\xd8" + tables[2:-2] + bytes(block[2:])
    account = Account()
    jpeg.walk(memoryview(data), account)
    if any(note.startswith(DAMAGED) for note in account.notes):
        return True
    if account.scan is None:
        return False  # several scans, or none: libtiff says what it cannot read
    file = WatchedFile(data)
    try:
        image = JpegImagePlugin.JpegImageFile(file)
        if image.width > across or image.height > down:
            return True
        file.watch(account.scan)
        image.load()
    except Exception:  # Pillow's errors have many kinds
        return True
    return file.is_damaged
