"""Boxes of pixels, grids of them, and how both are cut. All in integers, without numpy.

`x` and `y` are those of the upper left pixel, `shape` is that of an array (H,W,...).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

__all__ = ["DEFAULT_MAX_PIXELS", "TILE_UNIT", "Box", "Grid", "ceil_div", "even_part", "padded"]

DEFAULT_MAX_PIXELS: Final = 2**28
"""The largest picture that is read or written unless the caller allows more."""
TILE_UNIT: Final = 64
"""Tiles and parts begin at multiples of so many pixels: one element of z_hat."""


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def padded(shape: tuple[int, ...], unit: int = 16) -> tuple[int, int]:
    """The height and the width of a picture (H,W,...), each rounded up to a multiple of `unit`."""
    return ceil_div(shape[0], unit) * unit, ceil_div(shape[1], unit) * unit


def even_part(side: int, count: int) -> int:
    """The smallest multiple of TILE_UNIT of which this many cover `side`."""
    return ceil_div(ceil_div(side, TILE_UNIT), count) * TILE_UNIT


class Box(NamedTuple):
    """A rectangle of pixels."""

    x: int
    y: int
    w: int
    h: int

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Box:
        """The whole of a picture (H,W,...)."""
        return cls(0, 0, shape[1], shape[0])

    @classmethod
    def around(cls, boxes: Iterable[Box]) -> Box:
        """The smallest box that contains some boxes."""
        corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
        lefts, tops, rights, bottoms = zip(*corners, strict=True)
        left, top = min(lefts), min(tops)
        return cls(left, top, max(rights) - left, max(bottoms) - top)

    def common(self, other: Box) -> Box | None:
        """The pixels that two boxes share, or None."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.w, other.x + other.w)
        bottom = min(self.y + self.h, other.y + other.h)
        return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None

    def within(self, other: Box) -> Box:
        """This box relative to the upper left corner of another."""
        return Box(self.x - other.x, self.y - other.y, self.w, self.h)

    def moved(self, x: int, y: int) -> Box:
        """This box, x pixels further right and y further down."""
        return Box(self.x + x, self.y + y, self.w, self.h)

    def grown(self, margin: int, shape: tuple[int, ...]) -> Box:
        """This box with a margin on each side, cut to the picture (H,W,...)."""
        left, top = max(0, self.x - margin), max(0, self.y - margin)
        right = min(shape[1], self.x + self.w + margin)
        bottom = min(shape[0], self.y + self.h + margin)
        return Box(left, top, right - left, bottom - top)

    def aligned(self, unit: int) -> Box:
        """This box extended to multiples of `unit` pixels."""
        left, top = self.x - self.x % unit, self.y - self.y % unit
        right = ceil_div(self.x + self.w, unit) * unit
        bottom = ceil_div(self.y + self.h, unit) * unit
        return Box(left, top, right - left, bottom - top)

    def slices(self, unit: int = 1) -> tuple[slice, slice]:
        """Its rows and columns in an array (H/unit,W/unit). The box begins at multiples of
        `unit`.
        """
        rows = slice(self.y // unit, ceil_div(self.y + self.h, unit))
        return rows, slice(self.x // unit, ceil_div(self.x + self.w, unit))

    @property
    def latents(self) -> tuple[slice, slice, slice]:
        """The slices of its latents (from multiples of 16 pixels) in (M,H/16,W/16)."""
        return slice(None), *self.slices(16)

    def parts(self, pixels: int, margin: int) -> list[Box]:
        """Even parts, row by row, of at most this many pixels: a multiple of 64x64.

        Of all ways to cut the box, the one that computes the least if parts have a margin to each
        other.
        """
        x, y, w, h = self

        def computed(columns: int) -> tuple[int, int, int]:
            width = min(w, even_part(w, columns))
            high = pixels // width // TILE_UNIT * TILE_UNIT
            rows = 1 if width * h <= pixels else ceil_div(h, high)
            height = min(h, even_part(h, rows))
            more_columns, more_rows = ceil_div(w, width) - 1, ceil_div(h, height) - 1
            area = (w + 2 * margin * more_columns) * (h + 2 * margin * more_rows)
            return area, -width, height

        fewest, most = ceil_div(w * TILE_UNIT, pixels), ceil_div(w, TILE_UNIT)
        _, width, height = min(computed(columns) for columns in range(fewest, most + 1))
        width = -width
        return [
            Box(left, top, min(width, x + w - left), min(height, y + h - top))
            for top in range(y, y + h, height)
            for left in range(x, x + w, width)
        ]

    def strips(self, height: int) -> list[Box]:
        """Even parts, one above the other, of at most `height` pixels."""
        x, y, w, h = self
        part = even_part(h, ceil_div(h, height))
        return [Box(x, top, w, min(part, y + h - top)) for top in range(y, y + h, part)]


@dataclasses.dataclass(frozen=True)
class Grid:
    """The cells of a picture, row by row. All have one size, except at the right and lower end."""

    width: int
    height: int
    cell_width: int
    cell_height: int

    @property
    def shape(self) -> tuple[int, int]:
        """The picture's height and width."""
        return self.height, self.width

    @property
    def columns(self) -> int:
        """The number of cells side by side."""
        return ceil_div(self.width, self.cell_width)

    def __len__(self) -> int:
        return self.columns * ceil_div(self.height, self.cell_height)

    def __iter__(self) -> Iterator[Box]:
        """The boxes of the cells."""
        return map(self.box, range(len(self)))

    def box(self, number: int) -> Box:
        """The pixels of a cell."""
        row, column = divmod(number, self.columns)
        x, y = column * self.cell_width, row * self.cell_height
        return Box(
            x, y, min(self.cell_width, self.width - x), min(self.cell_height, self.height - y)
        )

    def touching(self, box: Box) -> list[int]:
        """The numbers of the cells that overlap `box`, row by row."""
        x, y, w, h = box
        return [
            row * self.columns + column
            for row in range(y // self.cell_height, ceil_div(y + h, self.cell_height))
            for column in range(x // self.cell_width, ceil_div(x + w, self.cell_width))
        ]
