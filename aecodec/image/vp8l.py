"""Lossless coding of pixels by VP8L, the lossless part of WebP, with Pillow.

::

    rgb (h,w,3) --pack--> a VP8L stream (RFC 9649, section 3) --unpack--> the same rgb

A stream is the content of the chunk VP8L of a WebP file. Its first five bytes state width and
height, so a reader can refuse it before the decoder allocates memory.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from aecodec.errors import CorruptError, InputError, one_line
from aecodec.image import formats, limits

if TYPE_CHECKING:
    from aecodec.arrays import Pixels

__all__ = ["MAX_SIDE", "pack", "quick_size", "reduced", "unpack"]

MAX_SIDE: Final = 2**14
"""The largest side in pixels: a stream has 14 bits for each."""
_TRIALS: Final = (
    (1, {"method": 4}),
    (2, {"method": 2}),
    (2, {"method": 6}),
    (4, {"method": 4, "quality": 100}),
    (4, {"method": 5, "quality": 100}),
    (6, {"method": 6, "quality": 100}),
)
"""The least effort, and what WebP's encoder is told then. The smallest stream is taken: the highest
methods make grainy photographs up to 4 % larger."""
FEW_PIXELS: Final = 2**10
"""Of pictures up to this size the smaller of two efforts is taken: the higher one makes some half
as large, and takes 80 ms for so many pixels."""

_SIGNATURE: Final = 0x2F
_HEAD: Final = struct.Struct("<BI")
_ALPHA: Final = 1 << 28
_BYTES_A_PIXEL: Final = 16
"""What decoding takes, in libwebp and in Pillow."""


def pack(rgb: Pixels, effort: int = 1) -> bytes:
    """The stream of rgb (h,w,3) uint8, of at most MAX_SIDE pixels a side.

    Efforts from 2 to 9 take longer for a smaller stream.
    """
    trials = [how for least, how in _TRIALS if effort >= least]
    if rgb.shape[0] * rgb.shape[1] <= FEW_PIXELS and effort < _TRIALS[-1][0]:
        trials.append(_TRIALS[-1][1])
    image = _checked(rgb)
    return min((_stream(image, how) for how in trials), key=len)


def quick_size(rgb: Pixels) -> int:
    """The bytes of a stream made with the least effort, in a twentieth of the time of `pack`."""
    return len(_stream(_checked(rgb), {"method": 0, "quality": 0}))


def _checked(rgb: Pixels) -> Image.Image:
    if max(rgb.shape[:2]) > MAX_SIDE:
        raise ValueError(f"at most {MAX_SIDE} pixels a side, not {rgb.shape[1]}x{rgb.shape[0]}")
    return Image.fromarray(np.ascontiguousarray(rgb))


def _stream(image: Image.Image, how: dict[str, int]) -> bytes:
    file = io.BytesIO()
    formats.import_plugin("WEBP")
    try:
        image.save(file, "WEBP", lossless=True, exact=True, **how)
    except (OSError, KeyError) as error:  # Pillow was built without WebP
        raise InputError(f"exact tiles need Pillow's WebP: {one_line(error)}") from error
    data = file.getvalue()
    (length,) = struct.unpack_from("<I", data, 16)
    return data[20 : 20 + length]


def unpack(stream: bytes, width: int, height: int) -> Pixels:
    """The pixels (height,width,3) of a stream. Raises CorruptError for one of another size."""
    if len(stream) < _HEAD.size:
        raise CorruptError(f"an exact tile has only {len(stream)} bytes")
    signature, bits = _HEAD.unpack_from(stream)
    side = MAX_SIDE - 1
    found = (bits & side) + 1, (bits >> 14 & side) + 1
    if signature != _SIGNATURE or bits >> 29:
        raise CorruptError("an exact tile is not a VP8L stream of version 0")
    if found != (width, height) or bits & _ALPHA:
        raise CorruptError(
            f"an exact tile of {found[0]}x{found[1]} pixels where {width}x{height} belong"
            if found != (width, height)
            else "an exact tile with transparency"
        )
    padding = b"\0" * (len(stream) % 2)
    body = b"WEBPVP8L" + struct.pack("<I", len(stream)) + stream + padding
    # libwebp says only that it failed, so that too little memory would look like damage.
    np.empty(_BYTES_A_PIXEL * width * height, np.uint8)
    formats.import_plugin("WEBP")
    try:
        with limits.at_least(width * height):
            image = Image.open(io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body))
        with image:
            pixels = np.asarray(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises errors of many types for a damaged stream
        raise CorruptError(f"an exact tile cannot be decoded: {one_line(error)}") from error
    if pixels.shape != (height, width, 3):
        raise CorruptError("an exact tile decodes to another size than it names")
    return pixels


def reduced(rgb: Pixels, scale: int) -> Pixels:
    """rgb (h,w,3) at 1/scale of its height and width, rounded up: the means of its squares."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).reduce(scale))
