"""The networks that remove noise from a picture before it is coded, and that estimate the noise.

    pixels (H,W,3) --noise--> per 8x8 pixels: the noise's deviation, and how sure that is
    pixels (H,W,3), deviations (H/4,W/4) --denoise--> pixels (H,W,3)

`model/denoiser.py` defines them. They are independent of the codec's weights, so files of all
weights can be made from denoised pictures, and every decoder reads them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from aecodec.geometry import Box, padded
from aecodec.networks import weights
from aecodec.networks.runtime import Options, Runtime

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels

__all__ = ["CELL", "DETAIL", "Denoiser", "denoiser"]

CELL = 8
"""The side of the areas, in pixels, for which the noise is estimated."""
PASSES = np.float32(1.0), np.float32(0.25)
"""The deviation that each pass removes, as a share of the noise's. What the first pass leaves in
smooth areas is white noise again. A second pass of a quarter brings 0.6 dB at 25 levels on held-out
photographs, and 1.8 dB on the smoothest of them."""
DETAIL = 4
"""The side of the areas, in pixels, that have one deviation."""


class Denoiser:
    """Both networks. Safe to share between threads."""

    margin = 40
    """Pixels around a window that its pixels depend on. The whole receptive field is 68 pixels, and
    what lies further away than 40 changes no pixel of a photograph by more than a level."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def estimate(self, rgb: Pixels) -> tuple[Floats, Floats]:
        """The noise's standard deviation, and the certainty, each (H/8,W/8), of rgb (H,W,3).

        H and W are multiples of 8. Deviations are in 8-bit levels. The certainty is the inverse of
        the variance that the network expects of its error.
        """
        (found,) = self.runtime.run("noise", x=np.ascontiguousarray(rgb)[None])
        certainty: Floats = np.exp(-2.0 * found[0, 1])
        return found[0, 0], certainty

    def denoise(self, rgb: Pixels, box: Box, levels: Floats) -> Pixels:
        """The pixels (h,w,3) of `box` of a picture rgb (H,W,3) without the noise.

        levels (K,) are the noise's deviations in 8-bit levels for brightnesses from 0 to 255.
        """
        seen = box.aligned(CELL).grown(self.margin, padded(rgb.shape, CELL))
        part = rgb[seen.slices()]
        missing = (0, seen.h - part.shape[0]), (0, seen.w - part.shape[1]), (0, 0)
        if any(after for _, after in missing):
            part = np.pad(part, missing, mode="symmetric")
        deviations = of_brightness(part, levels)[None, None] / np.float32(255.0)
        clean = np.ascontiguousarray(part)[None]
        for share in PASSES:
            (clean,) = self.runtime.run("denoise", x=clean, deviation=share * deviations)
        found: Pixels = clean[0][box.within(seen).slices()]
        return found


def of_brightness(rgb: Pixels, levels: Floats) -> Floats:
    """The deviations (H/4,W/4) that belong to the brightness of rgb (H,W,3)."""
    h, w = rgb.shape[0] // DETAIL, rgb.shape[1] // DETAIL
    if np.all(levels == levels[0]):
        return np.full((h, w), levels[0], np.float32)
    means = rgb.reshape(h, DETAIL, w, DETAIL * 3).sum(axis=(1, 3), dtype=np.int32)
    at = np.linspace(0.0, 255.0, len(levels))
    found: Floats = np.interp(means / (3.0 * DETAIL**2), at, levels).astype(np.float32)
    return found


@functools.lru_cache(maxsize=2)
def denoiser(options: Options) -> Denoiser:
    """The denoiser that runs so. Raises WeightsError where it is not installed."""
    return Denoiser(Runtime(weights.denoiser(), options))
