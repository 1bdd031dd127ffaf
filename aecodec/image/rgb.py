"""Pixels to and from picture files, without metadata: for training, benchmarks and web pages."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable

import numpy as np
from PIL import Image, UnidentifiedImageError

from aecodec.arrays import Pixels
from aecodec.geometry import Box

__all__ = [
    "FILTERS",
    "decode",
    "doubled",
    "encode",
    "halve",
    "is_exact_as_jpeg",
    "jpeg",
    "read",
    "resized",
]

FILTERS = ("BOX", "HAMMING", "BICUBIC", "LANCZOS")
"""Those of Pillow with which programs make pictures smaller."""
_LANCZOS_REACH = 3
"""Pixels on each side that one of an enlarged picture depends on."""


def encode(pixels: Pixels, format: str, **options: object) -> bytes:
    """A picture file of pixels (H,W) or (H,W,3); format and options are those of Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def decode(data: bytes, mode: str = "RGB") -> Pixels:
    """The pixels of a picture file, (H,W,3) or, in the mode L, (H,W)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def read(path: str | os.PathLike[str]) -> Pixels | None:
    """(H,W,3), writable; None for a file that Pillow cannot read."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """A JPEG, 4:2:0 as is Pillow's default, with optimised Huffman tables; (H,W) becomes grey."""
    return encode(pixels, "JPEG", quality=quality, optimize=True)


def is_exact_as_jpeg(pixels: Pixels, qualities: Iterable[int]) -> bool:
    """Whether JPEG gives pixels (H,W,3) back exactly at one of the qualities, as of a single grey.

    They have no PSNR then.
    """
    return any(np.array_equal(decode(jpeg(pixels, quality)), pixels) for quality in qualities)


def doubled(pixels: Pixels, part: Box | None = None) -> Pixels:
    """Pixels (H,W) or (H,W,3) at twice the height and width, by Lanczos' filter of three lobes.

    With `part` that part alone, as it is in the whole.
    """
    part = Box.of(pixels.shape) if part is None else part
    seen = part.grown(_LANCZOS_REACH, pixels.shape)
    found = resized(np.ascontiguousarray(pixels[seen.slices()]), 2 * seen.h, 2 * seen.w, "LANCZOS")
    inner = part.within(seen)
    return found[2 * inner.y : 2 * (inner.y + inner.h), 2 * inner.x : 2 * (inner.x + inner.w)]


def resized(pixels: Pixels, height: int, width: int, how: str) -> Pixels:
    """Pixels (H,W) or (H,W,3) at another height and width, by one of FILTERS."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling[how]))


def halve(rgb: Pixels) -> Pixels:
    """Pixels (H,W,3) at half the height and width, rounded up: the means of squares."""
    return np.asarray(Image.fromarray(rgb).reduce(2))
