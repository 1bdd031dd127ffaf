"""The two steps in which the symbols of a tile are coded, each as one row of elements.

Element (c,i,j) of (M,h,w) belongs to step (c + i + j) mod 2: a checkerboard (He 2021, "Checkerboard
Context Model for Efficient Learned Image Compression"), inverted in every second channel. The row
of a step holds its elements of the even channels, channel by channel in raster order, then those of
the odd channels. Code that works on one step alone works on its row: half of the numbers, next to
each other, without masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STEPS", "Checkerboard"]

STEPS = 2

Array = npt.NDArray[Any]


class Checkerboard:
    """The steps of arrays of one shape (M,h,w)."""

    def __init__(self, m: int, h: int, w: int) -> None:
        self.shape = m, h, w
        self._places = -(-h * w // 2), h * w // 2  # of each parity (i + j) mod 2
        even, odd = -(-m // 2), m // 2
        self.sizes = tuple(
            even * self._places[step] + odd * self._places[1 - step] for step in range(STEPS)
        )
        """The lengths of the steps' rows."""

    def parity(self) -> npt.NDArray[np.uint8]:
        """(h,w): (i + j) mod 2."""
        i, j = np.ogrid[: self.shape[1], : self.shape[2]]
        return ((i + j) % 2).astype(np.uint8)

    def blocks(self, row: Array, step: int) -> Iterator[tuple[slice, int, Array]]:
        """A step's row in two parts: which channels, the parity of their positions, and a view
        (channels,positions) of the row.
        """
        start = 0
        for odd in (0, 1):
            channels, parity = (self.shape[0] + 1 - odd) // 2, (step + odd) % 2
            places = self._places[parity]
            end = start + channels * places
            yield slice(odd, None, 2), parity, row[start:end].reshape(channels, places)
            start = end

    def _views(self, row: Array, array: Array, step: int) -> Iterator[tuple[Array, Array]]:
        """Pairs of views: of a step's row, and of the same elements of an array (M,h,w).

        Only the views of a contiguous array share its memory; of another they may be a copy.
        """
        _, h, w = self.shape
        for channels, parity, block in self.blocks(row, step):
            some = array[channels]
            if w % 2:  # then a place's number has the parity of the place
                yield block, some.reshape(len(some), h * w)[:, parity::2]
                continue
            block = block.reshape(len(some), h, w // 2)
            yield block[:, 0::2], some[:, 0::2, parity::2]
            yield block[:, 1::2], some[:, 1::2, 1 - parity :: 2]

    def row(self, array: Array, step: int) -> Array:
        """The step's elements of an array (M,h,w)."""
        row = np.empty(self.sizes[step], array.dtype)
        for ours, theirs in self._views(row, array, step):
            ours[:] = theirs
        return row

    def put(self, row: Array, array: Array, step: int) -> None:
        """Write the row of a step into an array (M,h,w), which is contiguous."""
        assert array.flags.c_contiguous
        for ours, theirs in self._views(row, array, step):
            theirs[:] = ours

    def first(self, row: Array, step: int, channels: int) -> Array:
        """Of a step's row the part of the first channels: their own row."""
        if channels == self.shape[0]:
            return row
        blocks = self.blocks(row, step)
        parts = [block[: (channels + 1 - odd) // 2] for odd, (_, _, block) in enumerate(blocks)]
        return np.concatenate([part.ravel() for part in parts])

    def whole(self, *rows: Array) -> Array:
        """The array (M,h,w) of the rows of step 0 and step 1; zero without a row."""
        array = np.zeros(self.shape, rows[0].dtype)
        for step, row in enumerate(rows):
            self.put(row, array, step)
        return array
