"""Quantisation: the latents v = gain * y, minus their means, are rounded to integer symbols.

A dead zone makes symbols 0 that are not worth their bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aecodec.arrays import AT_ONCE

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Indexes, Ints

__all__ = ["Quantiser"]

_SHARE = 0.2
"""A `dead_zone` of 1 moves a symbol by this share of the part of its threshold above 1/2."""
_FURTHEST = 0.3
"""The largest move of a symbol away from zero, before it is rounded."""


class Quantiser:
    """Rounds v - mu to integer symbols.

    Args:
        thresholds: (T,) of each step: by table, the magnitude below which a symbol becomes 0.
        dead_zone: above 0 it widens the dead zone of every level, for fewer bits. At 5 the rounding
            point of every symbol is moved as far as the threshold of 0 is above 1/2. Below 0 it
            narrows the dead zone of 0, down to plain rounding at -5, and moves larger symbols
            outwards.
    """

    def __init__(self, thresholds: tuple[Floats, ...], dead_zone: float = 0.0) -> None:
        self._dead_zone = dead_zone
        self._thresholds = thresholds
        self._moves = thresholds  # not used without a dead zone of its own
        if dead_zone:
            above = [np.nan_to_num(t - np.float32(0.5), posinf=0.0) for t in thresholds]
            share = np.float32(dead_zone * _SHARE)
            self._moves = tuple(np.maximum(share * more, -_FURTHEST) for more in above)
            less = np.clip(-share, 0.0, 1.0)
            pairs = zip(thresholds, above, strict=True)
            self._thresholds = tuple(t - less * more for t, more in pairs)

    def __call__(
        self, step: int, row: Floats, mu: Floats, indexes: Indexes, bin_width: Floats | None = None
    ) -> Ints:
        """The symbols of a step's row of v. `row` then also holds them, as float32.

        `bin_width` is the row of quantisation steps, if they are not all 1.
        """
        symbols = np.empty(row.shape, np.int32)
        for first in range(0, len(row), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            s = row[part]
            s -= mu[part]
            if bin_width is not None:
                s /= bin_width[part]
            if self._dead_zone:
                move = self._moves[step].take(indexes[part])
                if self._dead_zone > 0.0:
                    s -= np.clip(s, -move, move)
                else:
                    s += np.copysign(move, s) * (np.abs(s) >= 1.0)
            worth = np.abs(s) >= self._thresholds[step].take(indexes[part])
            np.rint(s, out=s)
            s *= worth  # several times as fast as an assignment under a condition
            symbols[part] = s
        return symbols
