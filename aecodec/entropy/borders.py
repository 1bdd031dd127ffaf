"""What the networks of the prior see beyond a tile's borders.

Beyond a picture's border there is nothing: zeros, as in training. Beyond a border between two tiles
the picture goes on, but no tile knows anything of another. Zeros there would say that a picture
ends: means and scales of what is nearly certain would be wrong, along every border of every sky. So
z_hat goes on as it ends, and what has a value for every latent is reflected, x[-1] = x[1], which
keeps the checkerboard's colours. Both halves of a codec do the same with what both of them know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ALONE", "Sides", "reflected", "repeated", "sides_of"]


class Sides(NamedTuple):
    """On which sides of a tile the picture goes on."""

    top: bool = False
    bottom: bool = False
    left: bool = False
    right: bool = False

    def margins(self, n: int) -> tuple[int, int, int, int]:
        """n where the picture goes on, else 0; top, bottom, left and right."""
        top, bottom, left, right = (n * side for side in self)
        return top, bottom, left, right


ALONE = Sides()


def sides_of(box: tuple[int, int, int, int], width: int, height: int) -> Sides:
    """Those of the tile `box` = (x, y, w, h) of a picture."""
    x, y, w, h = box
    return Sides(y > 0, y + h < height, x > 0, x + w < width)


def repeated(a: npt.NDArray[Any], sides: Sides) -> npt.NDArray[Any]:
    """a (C,h,w) with its outermost elements once more where the picture goes on."""
    import numpy as np

    top, bottom, left, right = sides.margins(1)
    return np.pad(a, ((0, 0), (top, bottom), (left, right)), "edge") if any(sides) else a


def reflected(a: npt.NDArray[Any], sides: Sides, n: int, axis: int = 1) -> npt.NDArray[Any]:
    """a with n more rows and columns where the picture goes on: x[-1] = x[1], x[-2] = x[2], ...

    Rows are the axis `axis`, columns the next one. Where there are too few, they are reflected once
    more; where there is but one, it is repeated.
    """
    if any(sides[:2]):
        a = _reflected_along(a, axis, *sides.margins(n)[:2])
    if any(sides[2:]):
        a = _reflected_along(a, axis + 1, *sides.margins(n)[2:])
    return a


def _reflected_along(a: npt.NDArray[Any], axis: int, before: int, after: int) -> npt.NDArray[Any]:
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
