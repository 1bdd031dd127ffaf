"""Pixels to and from picture files, without metadata: for training, benchmarks and web pages."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image, UnidentifiedImageError

from aecodec.arrays import Pixels

__all__ = ["FILTERS", "decode", "doubled", "encode", "halve", "jpeg", "read", "resized"]

FILTERS = ("BOX", "HAMMING", "BICUBIC", "LANCZOS")
"""Those of Pillow with which programs make pictures smaller."""


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


def doubled(pixels: Pixels) -> Pixels:
    """Pixels (H,W) or (H,W,3) at twice the height and width, by Lanczos' filter of three lobes."""
    return resized(pixels, 2 * pixels.shape[0], 2 * pixels.shape[1], "LANCZOS")


def resized(pixels: Pixels, height: int, width: int, how: str) -> Pixels:
    """Pixels (H,W) or (H,W,3) at another height and width, by one of FILTERS."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling[how]))


def halve(rgb: Pixels) -> Pixels:
    """Pixels (H,W,3) at half the height and width, rounded up: the means of squares."""
    return np.asarray(Image.fromarray(rgb).reduce(2))
