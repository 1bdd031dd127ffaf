"""What the networks of the prior see beyond a tile's borders.

Beyond a picture's border there is nothing: zeros, as in training. Beyond a border between two tiles
the picture goes on, but no tile knows anything of another. Zeros there would say that a picture
ends: means and scales of what is nearly certain would be wrong, along every border of every sky. So
z_hat goes on as it ends, and what has a value for every latent is reflected, x[-1] = x[1], which
keeps the checkerboard's colours. Both halves of a codec do the same with what both of them know.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, NamedTuple

from aecodec.geometry import Box, ceil_div

if TYPE_CHECKING:
    import numpy as np

    from aecodec.arrays import Array
    from aecodec.entropy.checkerboard import Checkerboard

__all__ = ["ALONE", "Sides", "TileShape", "reflected", "repeated"]


class Sides(NamedTuple):
    """On which sides of a tile the picture goes on."""

    top: bool = False
    bottom: bool = False
    left: bool = False
    right: bool = False

    @classmethod
    def of(cls, box: Box, shape: tuple[int, ...]) -> Sides:
        """Those of the tile `box` of a picture (H,W,...)."""
        return cls(box.y > 0, box.y + box.h < shape[0], box.x > 0, box.x + box.w < shape[1])

    def margins(self, n: int) -> tuple[int, int, int, int]:
        """n where the picture goes on, else 0; top, bottom, left and right."""
        top, bottom, left, right = (n * side for side in self)
        return top, bottom, left, right


ALONE = Sides()


@dataclasses.dataclass(frozen=True)
class TileShape:
    """The latents of one tile: (channels,rows,columns), and on which sides it has neighbours."""

    channels: int
    rows: int
    columns: int
    sides: Sides = ALONE

    @classmethod
    def of(cls, latents: Array, sides: Sides = ALONE) -> TileShape:
        """That of latents (channels,rows,columns)."""
        channels, rows, columns = latents.shape
        return cls(channels, rows, columns, sides)

    @classmethod
    def at(cls, box: Box, shape: tuple[int, ...], channels: int) -> TileShape:
        """That of the tile `box` of a picture (H,W,...)."""
        sides = Sides.of(box, shape)
        return cls(channels, ceil_div(box.h, 16), ceil_div(box.w, 16), sides)

    @functools.cached_property
    def board(self) -> Checkerboard:
        """The two steps in which the latents are coded."""
        from aecodec.entropy.checkerboard import Checkerboard

        return Checkerboard(self.channels, self.rows, self.columns)

    @property
    def z_rows(self) -> int:
        """The rows of z_hat, an element of which describes 4x4 latents."""
        return ceil_div(self.rows, 4)

    @property
    def z_columns(self) -> int:
        """The columns of z_hat."""
        return ceil_div(self.columns, 4)

    def inside(self, array: Array, margin: int) -> Array:
        """The view (...,rows,columns) of an array that has `margin` more where neighbours are."""
        top, _, left, _ = self.sides.margins(margin)
        return array[..., top : top + self.rows, left : left + self.columns]


def repeated(a: Array, sides: Sides) -> Array:
    """a (C,h,w) with its outermost elements once more where the picture goes on."""
    import numpy as np

    top, bottom, left, right = sides.margins(1)
    return np.pad(a, ((0, 0), (top, bottom), (left, right)), "edge") if any(sides) else a


def reflected(a: Array, sides: Sides, n: int, axis: int = 1) -> Array:
    """a with n more rows and columns where the picture goes on: x[-1] = x[1], x[-2] = x[2], ...

    Rows are the axis `axis`, columns the next one. Where there are too few, they are reflected once
    more; where there is but one, it is repeated.
    """
    if any(sides[:2]):
        a = _reflected_along(a, axis, *sides.margins(n)[:2])
    if any(sides[2:]):
        a = _reflected_along(a, axis + 1, *sides.margins(n)[2:])
    return a


def _reflected_along(a: Array, axis: int, before: int, after: int) -> Array:
    import numpy as np

    size = a.shape[axis]
    whole = np.empty((*a.shape[:axis], before + size + after, *a.shape[axis + 1 :]), a.dtype)
    parts = np.split(whole, [before, before + size], axis)
    places: list[np.ndarray] = [np.arange(-before, 0), np.arange(size, size + after)]
    period = max(1, 2 * (size - 1))
    for part, place in zip((parts[0], parts[2]), places, strict=True):
        place %= period
        part[:] = a.take(np.minimum(place, period - place), axis)
    parts[1][:] = a
    return whole
