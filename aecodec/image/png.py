"""A fast writer of PNG files: one filter for each strip, and strips compressed in parallel.

Pillow tries five filters on every row and compresses in one thread, which takes as long as the
networks take to decode the picture. Here a strip of rows gets one filter. Photographs get Average:
its residuals are nearly as small as with the best filter for each row. A strip with many equal
neighbours, as in a drawing, gets the filter that compresses a sample of the strip best. Strips
are deflated independently, so threads share the work, and are joined as the blocks of one stream.
Photographs are deflated by ISA-L where the package `isal` is installed (the extra `fast`), which
takes a fifth of zlib's time.

The format is that of the PNG specification (W3C, third edition); metadata is written by Pillow.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Bands", "write"]

Rows = npt.NDArray[np.uint8]

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES: Final = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
NONE, SUB, UP, AVERAGE, PAETH = range(5)

STRIP: Final = 2**19
"""Bytes of a strip, about: its arrays stay in a core's cache."""
SAMPLE: Final = 2**15
"""Bytes of a strip on which filters are compared."""
FLAT: Final = 0.5
"""A strip in which more neighbours than this share are equal is taken for a drawing."""
PHOTOGRAPH_LEVEL, DRAWING_LEVEL = 1, 6
"""zlib's levels. Noise costs a high level much time for little; repetitions are found quickly."""
ISAL_LEVEL: Final = 3
"""ISA-L's highest level, and no slower than its lowest."""


def write(
    image: Image.Image,
    file: BinaryIO,
    *,
    bands: Bands | None = None,
    threads: int = 1,
    **options: Any,
) -> None:
    """Write a picture of mode L, LA, RGB or RGBA as a PNG.

    Args:
        image: the picture; with `bands` its mode and metadata alone count.
        bands: its pixels from top to bottom, which need not be there at once.
        file: open for writing; it need not be seekable.
        threads: how many compress at once.
        options: those of Pillow for metadata: exif, icc_profile, pnginfo, dpi.
    Raises ValueError for another mode, and what writing to the file raises.
    """
    if image.mode not in COLOUR_TYPES:
        raise ValueError(f"mode must be one of {', '.join(COLOUR_TYPES)}, not {image.mode!r}")
    if bands is None:
        bands = Bands(image.size, _bands_of(image))
    before, after = _metadata(image, options)
    width, height = bands.size
    if height <= _rows_of_a_strip(width, len(image.getbands())):
        threads = 1  # a single strip
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[image.mode], 0, 0, 0)
    file.write(SIGNATURE + _chunk(b"IHDR", header) + before)
    checksum = zlib.adler32(b"")
    data = b"\x78\x01"  # a zlib stream's head: window of 32 KiB, quick
    for strip in _compressed(_strips(bands, image.getbands()), threads):
        data += strip.deflated
        file.write(_chunk(b"IDAT", data))
        data = b""
        checksum = zlib.adler32(strip.filtered.data, checksum)
    # An empty last block ends the stream, so that every strip can be treated alike.
    file.write(_chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", checksum)))
    file.write(after + _chunk(b"IEND", b""))


class Bands(NamedTuple):
    """The pixels of a picture, piece by piece."""

    size: tuple[int, int]
    """Width and height."""
    rows: Iterator[Rows]
    """(rows,width) or (rows,width,channels), from top to bottom."""


class _Strip(NamedTuple):
    filtered: Rows
    deflated: bytes


def _bands_of(image: Image.Image) -> Iterator[Rows]:
    """The rows of a picture, in strips."""
    width, height = image.size
    rows = _rows_of_a_strip(width, len(image.getbands()))
    for y in range(0, height, rows):
        yield np.asarray(image.crop((0, y, width, min(y + rows, height))))


def _rows_of_a_strip(width: int, channels: int) -> int:
    return max(1, STRIP // (width * channels))


def _strips(bands: Bands, channels: tuple[str, ...]) -> Iterator[tuple[Rows, int]]:
    """The bytes (rows + 1,bytes) of each strip, with the row above in front, and the channels."""
    row_bytes, count = bands.size[0] * len(channels), len(channels)
    height = _rows_of_a_strip(bands.size[0], count)
    above = np.zeros((1, row_bytes), np.uint8)
    for band in bands.rows:
        pixels = band.reshape(len(band), row_bytes)
        for y in range(0, len(pixels), height):
            current = pixels[y : y + height]
            yield np.concatenate([above, current]), count
            above = current[-1:]


def _compressed(strips: Iterator[tuple[Rows, int]], threads: int) -> Iterator[_Strip]:
    """The strips from top to bottom, a few of them ahead."""
    if threads <= 1:
        yield from (_strip(*strip) for strip in strips)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[_Strip]] = deque()
        for strip in strips:
            ahead.append(pool.submit(_strip, *strip))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _strip(pixels: Rows, channels: int) -> _Strip:
    """Filter and deflate rows; the first one is that above them."""
    above, current = pixels[:-1], pixels[1:]
    kind, drawing = AVERAGE, False
    sampled = _sample(*current.shape)
    if np.mean(_filtered(SUB, above[sampled], current[sampled], channels)[:, 1:] == 0) > FLAT:
        drawing = True
        sizes = {
            k: len(_deflated(_filtered(k, above[sampled], current[sampled], channels), True))
            for k in (NONE, SUB, UP, AVERAGE, PAETH)
        }
        kind = min(sizes, key=lambda k: sizes[k])
    filtered = _filtered(kind, above, current, channels)
    return _Strip(filtered, _deflated(filtered, drawing))


def _deflated(filtered: Rows, drawing: bool) -> bytes:
    """Whole deflate blocks, none of them marked as the last."""
    isal = None if drawing else _isal()
    if isal is not None:
        deflater = isal.compressobj(ISAL_LEVEL, zlib.DEFLATED, -15)
    else:
        level = DRAWING_LEVEL if drawing else PHOTOGRAPH_LEVEL
        deflater = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    blocks: bytes = deflater.compress(filtered.data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return blocks


@functools.cache
def _isal() -> Any:
    """The module isal.isal_zlib, or None where it is not installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return None
    return isal_zlib


def _sample(rows: int, row_bytes: int) -> slice:
    """Neighbouring rows in the middle of a strip, of about SAMPLE bytes."""
    count = max(1, min(rows, SAMPLE // row_bytes))
    start = (rows - count) // 2
    return slice(start, start + count)


def _filtered(kind: int, above: Rows, current: Rows, channels: int) -> Rows:
    """The rows (n, 1 + bytes) with their filter's number in front."""
    out = np.empty((current.shape[0], 1 + current.shape[1]), np.uint8)
    out[:, 0] = kind
    result = out[:, 1:]
    if kind == NONE:
        result[:] = current
        return out
    if kind == UP:
        np.subtract(current, above, out=result)
        return out
    left = np.zeros_like(current)
    left[:, channels:] = current[:, :-channels]
    if kind == SUB:
        np.subtract(current, left, out=result)
    elif kind == AVERAGE:  # floor((left + above) / 2) without a ninth bit
        mean = left ^ above
        mean >>= 1
        mean += left & above
        np.subtract(current, mean, out=result)
    else:
        corner = np.zeros_like(current)
        corner[:, channels:] = above[:, :-channels]
        np.subtract(current, _paeth(left, above, corner), out=result)
    return out


def _paeth(left: Rows, above: Rows, corner: Rows) -> Rows:
    a, b, c = (plane.astype(np.int16) for plane in (left, above, corner))
    by_a, by_b, by_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where(by_b <= by_c, above, corner)
    return np.where((by_a <= by_b) & (by_a <= by_c), left, nearest)


def _metadata(image: Image.Image, options: dict[str, Any]) -> tuple[bytes, bytes]:
    """The chunks that Pillow writes in front of the pixels and behind them, but IHDR and IEND."""
    tiny = Image.new(image.mode, (1, 1))
    tiny.info = dict(image.info)
    buffer = io.BytesIO()
    tiny.save(buffer, "PNG", **options)
    parts = [b"", b""]
    data, at, seen = buffer.getvalue(), len(SIGNATURE), 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        if name == b"IDAT":
            seen = 1
        elif name not in (b"IHDR", b"IEND"):
            parts[seen] += data[at:end]
        at = end
    return parts[0], parts[1]


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
