"""Padding: the values beyond the edges of a tile for the networks of the entropy model.

Outside a picture the networks see zeros, as in training. At an inner edge the picture continues,
but a tile has no values of other tiles. Zeros there would mean the end of the picture, and make
means and scales wrong along every inner edge in flat areas, where the model is nearly certain. So
z_hat is repeated, and arrays with a value for every latent are reflected, x[-1] = x[1], which keeps
the colours of the checkerboard. Encoder and decoder pad in the same way, with known values.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from aecodec import forks
from aecodec.geometry import Box, ceil_div

if TYPE_CHECKING:
    from aecodec.arrays import Array
    from aecodec.entropy.checkerboard import Checkerboard

__all__ = ["ALONE", "Sides", "TileShape", "reflected", "repeated"]


class Sides(NamedTuple):
    """The sides on which a tile has neighbours."""

    top: bool = False
    bottom: bool = False
    left: bool = False
    right: bool = False

    @classmethod
    def of(cls, box: Box, shape: tuple[int, ...]) -> Sides:
        """The sides of the tile `box` of a picture (H,W,...)."""
        return cls(box.y > 0, box.y + box.h < shape[0], box.x > 0, box.x + box.w < shape[1])

    def margins(self, n: int) -> tuple[int, int, int, int]:
        """n on sides with a neighbour, else 0; top, bottom, left and right."""
        top, bottom, left, right = (n * side for side in self)
        return top, bottom, left, right


ALONE = Sides()


@dataclasses.dataclass(frozen=True)
class TileShape:
    """The shape of a tile's latents, (channels,rows,columns), and the sides with neighbours."""

    channels: int
    rows: int
    columns: int
    sides: Sides = ALONE

    @classmethod
    def of(cls, latents: Array, sides: Sides = ALONE) -> TileShape:
        """The shape of latents (channels,rows,columns)."""
        channels, rows, columns = latents.shape
        return cls(channels, rows, columns, sides)

    @classmethod
    def at(cls, box: Box, shape: tuple[int, ...], channels: int) -> TileShape:
        """The shape of the tile `box` of a picture (H,W,...)."""
        sides = Sides.of(box, shape)
        return cls(channels, ceil_div(box.h, 16), ceil_div(box.w, 16), sides)

    @forks.cached_property
    def board(self) -> Checkerboard:
        """The two steps in which the latents are coded."""
        from aecodec.entropy.checkerboard import Checkerboard

        return Checkerboard(self.channels, self.rows, self.columns)

    def of_channels(self, channels: int) -> TileShape:
        """The same tile with the first channels alone."""
        return dataclasses.replace(self, channels=channels)

    @property
    def z_rows(self) -> int:
        """The rows of z_hat; one element describes 4x4 latents."""
        return ceil_div(self.rows, 4)

    @property
    def z_columns(self) -> int:
        """The columns of z_hat."""
        return ceil_div(self.columns, 4)

    def inside(self, array: Array, margin: int) -> Array:
        """The view (...,rows,columns) of an array that has a margin `margin` on sides with
        neighbours.
        """
        top, _, left, _ = self.sides.margins(margin)
        return array[..., top : top + self.rows, left : left + self.columns]


def repeated(a: Array, sides: Sides) -> Array:
    """a (C,h,w) with its outermost elements repeated once on sides with neighbours."""
    import numpy as np

    top, bottom, left, right = sides.margins(1)
    return np.pad(a, ((0, 0), (top, bottom), (left, right)), "edge") if any(sides) else a


def reflected(a: Array, sides: Sides, n: int, axis: int = 1) -> Array:
    """a with n more rows and columns on sides with neighbours: x[-1] = x[1], x[-2] = x[2], ...

    Rows are the axis `axis`, columns the next one. If there are too few, they are reflected again;
    a single one is repeated.
    """
    import numpy as np

    if not any(sides):
        return a
    top, bottom, left, right = sides.margins(n)
    rows, columns = a.shape[axis : axis + 2]
    before, after = a.shape[:axis], a.shape[axis + 2 :]
    whole = np.empty((*before, top + rows + bottom, left + columns + right, *after), a.dtype)
    place: list[slice] = [slice(None)] * a.ndim
    place[axis : axis + 2] = slice(top, top + rows), slice(left, left + columns)
    whole[tuple(place)] = a
    # Columns first: the rows beyond the tile are then reflected with their columns.
    place[axis + 1] = slice(None)
    _reflect(whole[tuple(place)], axis + 1, left, right)
    _reflect(whole, axis, top, bottom)
    return whole


def _reflect(whole: Array, axis: int, before: int, after: int) -> None:
    """Fill the first and the last places of an axis by reflecting those between them."""
    size = whole.shape[axis] - before - after
    period = max(1, 2 * (size - 1))
    for at in (*range(-before, 0), *range(size, size + after)):
        source = min(at % period, period - at % period)
        here: list[slice | int] = [slice(None)] * whole.ndim
        there = here.copy()
        here[axis], there[axis] = before + at, before + source
        whole[tuple(here)] = whole[tuple(there)]
