"""z_hat in the order in which it is coded, and from what its second half is predicted.

The positions (i, j) of z_hat (N,h,w) are parted like the squares of a chess-board, in every channel
alike. Those with i + j even are coded first and as they are, channel c with table c. Each of the
others then has all its neighbours known, left, right, above and below, and what is coded is how far
it lies from

    floor((slope[c] * sum * 12 / n + 6 * 2^8) / (12 * 2^8))

where `sum` is that of its n neighbours within the tile, with table N + c. (An image's hyperprior is
smooth: the factorized prior of Balle et al. 2018 pays for it again at every place.) All of it is
done in integers, so that every machine has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.entropy.coder import SYMBOL_LIMIT, Indexes, Symbols, TableSet
from aecodec.errors import CorruptError

__all__ = ["PARTS", "SLOPE_BITS", "HyperTables", "neighbours", "second_half"]

SLOPE_BITS = 8
PARTS = 12
"""Divisible by every number of neighbours."""

Long = npt.NDArray[np.int64]


def second_half(h: int, w: int) -> npt.NDArray[np.bool_]:
    """(h,w): the positions that are coded second."""
    odd: npt.NDArray[np.bool_] = np.add.outer(np.arange(h), np.arange(w)) % 2 == 1
    return odd


def neighbours(z_hat: npt.NDArray[np.integer]) -> Long:
    """Twelve times the mean of the neighbours of each element of z_hat (N,h,w) that has any."""
    n, h, w = z_hat.shape
    padded = np.zeros((n + 1, h + 2, w + 2), np.int64)
    padded[:n, 1:-1, 1:-1] = z_hat
    padded[n, 1:-1, 1:-1] = 1  # to be counted
    near = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    mean: Long = near[:n] * (PARTS // np.maximum(near[n], 1))
    return mean


class HyperTables(NamedTuple):
    """The tables of z_hat at some quality: of the first half's channels, then of the second's."""

    tables: TableSet
    slope: npt.NDArray[np.int32]  # (N,), with SLOPE_BITS fractional bits

    def predictions(self, z_hat: Symbols) -> Long:
        """(N,...) of the second half, from z_hat (N,h,w), where only the first need be known."""
        _, h, w = z_hat.shape
        scaled = neighbours(z_hat)[:, second_half(h, w)] * self.slope.astype(np.int64)[:, None]
        unit = PARTS << SLOPE_BITS
        found: Long = (scaled + unit // 2) // unit
        return found

    def rows(self, z_hat: Symbols) -> Iterator[tuple[Symbols, Indexes]]:
        """What is coded of z_hat (N,h,w): both halves' symbols, flat, and their tables."""
        second = second_half(*z_hat.shape[1:])
        first = z_hat[:, ~second]
        yield first.ravel(), self._indexes(0, first.shape)
        apart = (z_hat[:, second] - self.predictions(z_hat)).astype(np.int32)
        yield apart.ravel(), self._indexes(1, apart.shape)

    def restore(self, take: Callable[[Indexes, TableSet], Symbols], h: int, w: int) -> Symbols:
        """z_hat (N,h,w), where `take` gives the next symbols. Raises CorruptError."""
        n, second = len(self.slope), second_half(h, w)
        z_hat = np.zeros((n, h, w), np.int32)
        known, rest = int(np.count_nonzero(~second)), int(np.count_nonzero(second))
        z_hat[:, ~second] = take(self._indexes(0, (n, known)), self.tables).reshape(n, known)
        apart = take(self._indexes(1, (n, rest)), self.tables).reshape(n, rest)
        values = self.predictions(z_hat) + apart
        if values.size and int(np.abs(values).max()) >= SYMBOL_LIMIT:
            raise CorruptError("a symbol beyond every limit")
        z_hat[:, second] = values
        return z_hat

    def bits(self, z_hat: Symbols) -> float:
        """The ideal length of z_hat (N,h,w) in bits."""
        rows = self.rows(z_hat)
        return sum(self.tables.bits(symbols, self.tables.groups(at)) for symbols, at in rows)

    def costs(self, z_hat: Symbols) -> npt.NDArray[np.float32]:
        """Bits of every element of z_hat (N,h,w); an escape without excess."""
        second = second_half(*z_hat.shape[1:])
        made = np.empty(z_hat.shape, np.float32)
        for half, (symbols, at) in zip((~second, second), self.rows(z_hat), strict=True):
            made[:, half] = self.tables.costs(symbols, at).reshape(len(z_hat), -1)
        return made

    def _indexes(self, half: int, shape: tuple[int, ...]) -> Indexes:
        n, count = shape
        return np.repeat(np.arange(half * n, (half + 1) * n, dtype=np.uint8), count)
