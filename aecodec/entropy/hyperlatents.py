"""The order in which z_hat is coded, and the prediction of its second half.

The positions (i, j) of z_hat (N,h,w) are split like the squares of a chess-board, in the same way
in every channel. Elements with i + j even are coded first, without prediction, those of channel c
with table c. Then all neighbours of the other elements are known: left, right, above and below. The
coder codes the difference of each of these elements from

    floor((slope[c] * sum * 12 / n + 6 * 2^8) / (12 * 2^8))

where `sum` is the sum of its n neighbours within the tile, with table N + c. (The hyperlatents of a
picture are smooth, which the factorized prior of Balle et al. 2018 does not use.) All computations
are in integers, so every machine gets the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aecodec.arrays import Array, Bools, Floats, Ints, Longs
from aecodec.entropy.coder import SYMBOL_LIMIT, Decoder, Encoder
from aecodec.entropy.tables import Groups, TableSet
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
    """Twelve times the mean of the neighbours of each element of z_hat (N,h,w), if it has any."""
    n, h, w = z_hat.shape
    padded = np.zeros((n + 1, h + 2, w + 2), np.int64)
    padded[:n, 1:-1, 1:-1] = z_hat
    padded[n, 1:-1, 1:-1] = 1  # to be counted
    near = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    mean: Longs = near[:n] * (PARTS // np.maximum(near[n], 1))
    return mean


class HyperTables(NamedTuple):
    """The tables of z_hat at one quality: of the channels of the first half, then of the second."""

    tables: TableSet
    slope: Ints  # (N,), with SLOPE_BITS fractional bits

    def predictions(self, z_hat: Ints) -> Longs:
        """(N,...) of the second half, from the first half of z_hat (N,h,w)."""
        _, h, w = z_hat.shape
        scaled = neighbours(z_hat)[:, second_half(h, w)] * self.slope.astype(np.int64)[:, None]
        unit = PARTS << SLOPE_BITS
        found: Longs = (scaled + unit // 2) // unit
        return found

    def halves(self, z_hat: Ints) -> Iterator[Ints]:
        """The coded symbols of z_hat (N,h,w): those of the first half (N,...), of the second."""
        second = second_half(*z_hat.shape[1:])
        yield z_hat[:, ~second]
        yield (z_hat[:, second] - self.predictions(z_hat)).astype(np.int32)

    def rows(self, z_hat: Ints) -> Iterator[tuple[Ints, Groups]]:
        """The symbols of both halves of z_hat (N,h,w), flat, and their groups."""
        for half, symbols in enumerate(self.halves(z_hat)):
            yield symbols.ravel(), self._groups(half, symbols.shape[1])

    def encode(self, encoder: Encoder, z_hat: Ints) -> None:
        """Add z_hat (N,h,w) to the encoder."""
        for symbols, groups in self.rows(z_hat):
            encoder.add(symbols, groups)

    def decode(self, decoder: Decoder, h: int, w: int) -> Ints:
        """Decode z_hat (N,h,w). Raises CorruptError."""
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
        return decoder.take(self._groups(half, count)).reshape(n, count)

    def bits(self, z_hat: Ints) -> float:
        """The ideal length of z_hat (N,h,w) in bits."""
        rows = self.rows(z_hat)
        return sum(self.tables.costs.total(symbols, groups) for symbols, groups in rows)

    def costs(self, z_hat: Ints) -> Floats:
        """Bits of every element of z_hat (N,h,w); an escape without excess."""
        second = second_half(*z_hat.shape[1:])
        made = np.empty(z_hat.shape, np.float32)
        for half, (symbols, groups) in zip((~second, second), self.rows(z_hat), strict=True):
            bits = self.tables.costs.each(symbols, groups.indexes)
            made[:, half] = bits.reshape(len(z_hat), -1)
        return made

    def _groups(self, half: int, count: int) -> Groups:
        """The groups of a half: channel after channel, `count` symbols each, as they stand."""
        n = len(self.slope)
        first, empty = half * n, self.tables.empty
        indexes = np.repeat(np.arange(first, first + n, dtype=np.uint8), count)
        parts = [
            (first + c, slice(c * count, (c + 1) * count))
            for c in range(n if count else 0)
            if not empty[first + c]
        ]
        return Groups(self.tables, indexes, np.arange(n * count), parts)
