"""A decoded picture at twice its size, window by window.

The network sees a margin around each window, so a picture has no seams. A window is computed by one
thread, and so the same whatever the number of threads.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.coding.workers import workers_for
from aecodec.geometry import Box, Grid
from aecodec.networks.enlarger import enlarger, seen_by

if TYPE_CHECKING:
    from collections.abc import Generator

    from aecodec.arrays import Pixels
    from aecodec.networks.runtime import Options

__all__ = ["enlarged_bands", "seen_by"]

SIDE: Final = 384
"""The side of a window in pixels of the decoded picture, without its margin."""


def enlarged_bands(
    rgb: Pixels, box: Box, quality: int, options: Options
) -> Generator[Pixels, None, None]:
    """A part of the picture rgb (H,W,3) at twice its size: bands (rows,2w,3), from top to bottom.

    The quality is that of the file. Raises WeightsError where the network is not installed.
    """
    network = enlarger(options)
    runtime = network.runtime
    grid = Grid(box.w, box.h, SIDE, SIDE)
    row: list[Pixels] = []
    with workers_for(runtime, len(grid), per_thread=runtime.workers > 0) as workers:
        windows = (part.moved(box.x, box.y) for part in grid)
        jobs = (functools.partial(network.enlarge, rgb, part, quality) for part in windows)
        for pixels in workers.in_order(jobs):
            row.append(pixels)
            if len(row) == grid.columns:
                yield np.concatenate(row, axis=1)
                row = []
