"""Changes of pixels before coding.

- Hidden colours, where alpha is 0, are replaced by smooth ones. They would cost bits, blur into
  visible pixels, and may show content that somebody meant to remove.
- Black and white pictures in three channels are made neutral, and decoded as neutral.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from aecodec.image.picture import Picture, grey_of

if TYPE_CHECKING:
    from aecodec.arrays import Pixels

__all__ = ["is_neutral", "made_neutral", "prepared", "with_hidden_filled"]

TINT: Final = 1
"""Channels of a black and white picture may differ by this, because JPEG rounds colours."""
ROWS: Final = 64
APART: Final = 16
"""Of so many rows and columns one is looked at first: most pictures show colour there."""


def prepared(picture: Picture, *, lossless: bool) -> tuple[Picture, bool]:
    """The picture to code, and whether it is neutral in three channels.

    A lossless file keeps hidden colours, and is neutral only if its channels are equal.
    """
    rgb = picture.rgb
    if picture.alpha is not None and not lossless:
        rgb = with_hidden_filled(rgb, picture.alpha)
    neutral = picture.mode in ("RGB", "RGBA") and is_neutral(rgb, 0 if lossless else TINT)
    if neutral:
        rgb = made_neutral(rgb)
    return (picture if rgb is picture.rgb else dataclasses.replace(picture, rgb=rgb)), neutral


def is_neutral(rgb: Pixels, tint: int = 0) -> bool:
    """Whether the channels of rgb (H,W,3) differ by no more than `tint`."""
    if _colour(rgb[::APART, ::APART]) > tint:
        return False
    return all(_colour(rgb[y : y + ROWS]) <= tint for y in range(0, rgb.shape[0], ROWS))


def _colour(rgb: Pixels) -> int:
    """The largest difference between the channels of a pixel of rgb (H,W,3)."""
    r, g, b = (rgb[..., channel] for channel in range(3))  # ten times as fast as along an axis of 3
    most, least = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    return int((most - least).max())


def made_neutral(rgb: Pixels) -> Pixels:
    """rgb (H,W,3) with each channel set to the mean of the three."""
    grey = grey_of(rgb)
    return np.repeat(grey[..., None], 3, axis=2)


def with_hidden_filled(rgb: Pixels, alpha: Pixels) -> Pixels:
    """rgb (H,W,3) with smooth colours where alpha (H,W) is 0.

    Each level of a pyramid holds the means of the visible pixels of the level below. On the way
    down, it fills the holes (push and pull: Gortler et al. 1996, "The Lumigraph").
    """
    visible = alpha != 0
    if visible.all():
        return rgb
    if not visible.any():
        return np.full_like(rgb, 128)
    finest = Image.fromarray(np.ascontiguousarray(rgb))
    finest.putalpha(Image.fromarray(np.where(visible, np.uint8(255), np.uint8(0))))
    levels = [finest]
    while levels[-1].getchannel("A").getextrema()[0] == 0:
        coarse = levels[-1].convert("RGBa").reduce(2).convert("RGBA")
        coarse.putalpha(coarse.getchannel("A").point(lambda value: 255 if value else 0))
        levels.append(coarse)
    filled = levels.pop().convert("RGB")
    for level in reversed(levels):
        filled = filled.resize(level.size, Image.Resampling.BILINEAR)
        filled.paste(level.convert("RGB"), mask=level.getchannel("A"))
    return np.asarray(filled)
