"""The network that draws a decoded picture at twice its size.

    pixels (H,W,3), quality --enlarge--> pixels (2H,2W,3)

`model/enlarger.py` defines it. It is independent of the codec's weights, so files of all weights,
and tiles that are stored exactly, can be enlarged.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.geometry import Box, padded
from aecodec.networks import weights
from aecodec.networks.runtime import Options, Runtime

if TYPE_CHECKING:
    from aecodec.arrays import Pixels

__all__ = ["Enlarger", "enlarger", "seen_by"]

CELL: Final = 2
"""The side, in pixels, of the areas that the network maps to areas of twice the side."""
MARGIN: Final = 8
"""Pixels around a window that its pixels depend on: a cell for each of the network's layers."""


def seen_by(box: Box, shape: tuple[int, ...]) -> Box:
    """What the pixels of `box` depend on, of a picture (H,W,...): whole cells, some beyond it."""
    return box.aligned(CELL).grown(MARGIN, padded(shape, CELL))


class Enlarger:
    """The network. Safe to share between threads."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def enlarge(self, rgb: Pixels, box: Box, quality: int) -> Pixels:
        """The pixels (2h,2w,3) of `box` of a decoded picture rgb (H,W,3).

        The quality, 1 to 100, is that of the file: at low ones edges are ringing and not detail.
        """
        seen = seen_by(box, rgb.shape)  # whole cells, the last of which may be beyond the picture
        part = rgb[seen.slices()]
        missing = (0, seen.h - part.shape[0]), (0, seen.w - part.shape[1]), (0, 0)
        if any(after for _, after in missing):
            part = np.pad(part, missing, mode="edge")
        level = np.array([quality / 100.0], np.float32)
        (pixels,) = self.runtime.run("enlarge", x=np.ascontiguousarray(part)[None], level=level)
        near = box.within(seen)
        inner = Box(2 * near.x, 2 * near.y, 2 * near.w, 2 * near.h)
        found: Pixels = pixels[0][inner.slices()]
        return found


@functools.lru_cache(maxsize=2)
def enlarger(options: Options) -> Enlarger:
    """The network that runs so. Raises WeightsError where it is not installed."""
    return Enlarger(Runtime(weights.enlarger(), options))
