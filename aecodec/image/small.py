"""A picture at a few pixels a side, read as quickly as its format allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from aecodec.errors import InputError
from aecodec.image.load import open_within

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels

__all__ = ["means_of_image", "means_of_jpeg", "shrunk"]

_AREA = 8
"""Pixels a side, at least, of an area whose mean is taken."""


def means_of_image(image: Image.Image, side: int) -> Floats:
    """(side,side,3): the mean colours, 0 to 1, of areas of an upright image in mode RGB."""
    small = image.resize((side, side), Image.Resampling.BOX)
    means: Floats = np.asarray(small, np.float32) / np.float32(255.0)
    return means


def means_of_jpeg(file: BinaryIO, side: int, max_pixels: int) -> Floats | None:
    """The same of a JPEG in an open file, which is decoded at down to an eighth of its size.

    None for everything but a whole JPEG in RGB or grey of at most so many pixels: `load` reads it,
    or says what is wrong with it.
    """
    file.seek(0)
    if file.read(3) != b"\xff\xd8\xff":
        return None
    file.seek(0)
    try:
        with open_within(file, max_pixels) as image:
            if image.format != "JPEG" or image.mode not in ("L", "RGB"):
                return None
            image.draft("RGB", (_AREA * side, _AREA * side))
            return means_of_image(ImageOps.exif_transpose(image).convert("RGB"), side)
    except (InputError, OSError, ValueError, SyntaxError):
        return None


def shrunk(rgb: Pixels, longest: int) -> Pixels:
    """A picture (H,W,3) whose longer side has so many pixels at most."""
    height, width = rgb.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1.0:
        return rgb
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS)
    found: Pixels = np.asarray(small)
    return found
