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

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aecodec.arrays import Array, Bools, Floats, Indexes, Ints, Longs
from aecodec.entropy.coder import SYMBOL_LIMIT, Decoder, Encoder
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError

__all__ = ["PARTS", "SLOPE_BITS", "HyperTables", "neighbours", "second_half"]

SLOPE_BITS = 8
PARTS = 12
"""Divisible by every number of neighbours."""


def second_half(h: int, w: int) -> Bools:
    """(h,w): the positions that are coded second."""
    odd: Bools = np.add.outer(np.arange(h), np.arange(w)) % 2 == 1
    return odd


def neighbours(z_hat: Array) -> Longs:
    """Twelve times the mean of the neighbours of each element of z_hat (N,h,w) that has any."""
    n, h, w = z_hat.shape
    padded = np.zeros((n + 1, h + 2, w + 2), np.int64)
    padded[:n, 1:-1, 1:-1] = z_hat
    padded[n, 1:-1, 1:-1] = 1  # to be counted
    near = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    mean: Longs = near[:n] * (PARTS // np.maximum(near[n], 1))
    return mean


class HyperTables(NamedTuple):
    """The tables of z_hat at some quality: of the first half's channels, then of the second's."""

    tables: TableSet
    slope: Ints  # (N,), with SLOPE_BITS fractional bits

    def predictions(self, z_hat: Ints) -> Longs:
        """(N,...) of the second half, from z_hat (N,h,w), where only the first need be known."""
        _, h, w = z_hat.shape
        scaled = neighbours(z_hat)[:, second_half(h, w)] * self.slope.astype(np.int64)[:, None]
        unit = PARTS << SLOPE_BITS
        found: Longs = (scaled + unit // 2) // unit
        return found

    def rows(self, z_hat: Ints) -> Iterator[tuple[Ints, Indexes]]:
        """What is coded of z_hat (N,h,w): both halves' symbols, flat, and their tables."""
        second = second_half(*z_hat.shape[1:])
        first = z_hat[:, ~second]
        yield first.ravel(), self._indexes(0, first.shape)
        apart = (z_hat[:, second] - self.predictions(z_hat)).astype(np.int32)
        yield apart.ravel(), self._indexes(1, apart.shape)

    def encode(self, encoder: Encoder, z_hat: Ints) -> None:
        """Add z_hat (N,h,w) to what is coded."""
        for symbols, indexes in self.rows(z_hat):
            encoder.add(symbols, self.tables.groups(indexes))

    def decode(self, decoder: Decoder, h: int, w: int) -> Ints:
        """z_hat (N,h,w), which is coded next. Raises CorruptError."""
        n, second = len(self.slope), second_half(h, w)
        z_hat = np.zeros((n, h, w), np.int32)
        z_hat[:, ~second] = self._take(decoder, 0, h * w - int(np.count_nonzero(second)))
        apart = self._take(decoder, 1, int(np.count_nonzero(second)))
        values = self.predictions(z_hat) + apart
        if values.size and int(np.abs(values).max()) >= SYMBOL_LIMIT:
            raise CorruptError("a symbol beyond every limit")
        z_hat[:, second] = values
        return z_hat

    def _take(self, decoder: Decoder, half: int, count: int) -> Ints:
        n = len(self.slope)
        groups = self.tables.groups(self._indexes(half, (n, count)))
        return decoder.take(groups).reshape(n, count)

    def bits(self, z_hat: Ints) -> float:
        """The ideal length of z_hat (N,h,w) in bits."""
        rows = self.rows(z_hat)
        return sum(self.tables.costs.total(symbols, self.tables.groups(at)) for symbols, at in rows)

    def costs(self, z_hat: Ints) -> Floats:
        """Bits of every element of z_hat (N,h,w); an escape without excess."""
        second = second_half(*z_hat.shape[1:])
        made = np.empty(z_hat.shape, np.float32)
        for half, (symbols, at) in zip((~second, second), self.rows(z_hat), strict=True):
            made[:, half] = self.tables.costs.each(symbols, at).reshape(len(z_hat), -1)
        return made

    def _indexes(self, half: int, shape: tuple[int, ...]) -> Indexes:
        n, count = shape
        return np.repeat(np.arange(half * n, (half + 1) * n, dtype=np.uint8), count)
