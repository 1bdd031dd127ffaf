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

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aecodec.arrays import Array, Bools, Floats, Ints, Longs, Places
from aecodec.entropy.coder import SYMBOL_LIMIT, Decoder, Encoder
from aecodec.entropy.tables import Groups, TableSet
from aecodec.errors import CorruptError

__all__ = ["PARTS", "SLOPE_BITS", "HyperTables", "neighbours", "second_half"]

SLOPE_BITS = 8
PARTS = 12
"""Divisible by every number of neighbours."""
_SMALL = 1024
"""Halves of up to so many elements are prepared once: tiles of writers have a quarter of it."""


def second_half(h: int, w: int) -> Bools:
    """(h,w): the positions that are coded second."""
    odd: Bools = np.add.outer(np.arange(h), np.arange(w)) % 2 == 1
    return odd


class _Halves(NamedTuple):
    """Where the elements of both halves stand, of one channel of (h,w), flat."""

    first: Places
    second: Places
    padded: Places  # those of the second half in (h+2,w+2)
    shares: Longs  # PARTS by the number of neighbours of each of the second half


def _halves(h: int, w: int) -> _Halves:
    second = second_half(h, w)
    rows, columns = np.nonzero(second)
    inside = np.pad(np.ones((h, w), np.int64), 1)
    count = inside[rows, columns + 1] + inside[rows + 2, columns + 1]
    count += inside[rows + 1, columns] + inside[rows + 1, columns + 2]
    return _Halves(
        np.flatnonzero(~second),
        np.flatnonzero(second),
        (rows + 1) * (w + 2) + columns + 1,
        PARTS // np.maximum(count, 1),
    )


_known_halves = functools.lru_cache(maxsize=32)(_halves)


def _halves_of(h: int, w: int) -> _Halves:
    return (_known_halves if h * w <= 2 * _SMALL else _halves)(h, w)


def neighbours(z_hat: Array) -> Longs:
    """(N,...): twelve times the mean of the neighbours of each element of the second half of z_hat
    (N,h,w); 0 where there are none."""
    n, h, w = z_hat.shape
    halves = _halves_of(h, w)
    padded = np.zeros((n, h + 2, w + 2), np.int64)
    padded[:, 1:-1, 1:-1] = z_hat
    flat, at = padded.reshape(n, -1), halves.padded
    near: Longs = flat.take(at - 1, axis=1)
    for step in (1, -w - 2, w + 2):
        near += flat.take(at + step, axis=1)
    near *= halves.shares
    return near


def _groups(tables: TableSet, n: int, half: int, count: int) -> Groups:
    """The groups of a half: N channels one after another, `count` symbols each, as they stand."""
    first, empty = half * n, tables.empty
    indexes = np.repeat(np.arange(first, first + n, dtype=np.uint8), count)
    parts = [
        (first + c, slice(c * count, (c + 1) * count))
        for c in range(n if count else 0)
        if not empty[first + c]
    ]
    return Groups(tables, indexes, np.arange(n * count), parts)


_known_groups = functools.lru_cache(maxsize=16)(_groups)


class HyperTables(NamedTuple):
    """The tables of z_hat at one quality: of the channels of the first half, then of the second."""

    tables: TableSet
    slope: Ints  # (N,), with SLOPE_BITS fractional bits

    def predictions(self, z_hat: Ints) -> Longs:
        """(N,...) of the second half, from the first half of z_hat (N,h,w)."""
        scaled = neighbours(z_hat) * self.slope.astype(np.int64)[:, None]
        unit = PARTS << SLOPE_BITS
        found: Longs = (scaled + unit // 2) // unit
        return found

    def halves(self, z_hat: Ints) -> Iterator[Ints]:
        """The coded symbols of z_hat (N,h,w): those of the first half (N,...), of the second."""
        at, flat = _halves_of(*z_hat.shape[1:]), z_hat.reshape(len(z_hat), -1)
        yield flat[:, at.first]
        yield (flat[:, at.second] - self.predictions(z_hat)).astype(np.int32)

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
        at, n = _halves_of(h, w), len(self.slope)
        flat = np.zeros((n, h * w), np.int32)
        z_hat = flat.reshape(n, h, w)
        flat[:, at.first] = self._take(decoder, 0, len(at.first))
        values = self._take(decoder, 1, len(at.second)) + self.predictions(z_hat)
        if values.size and int(np.abs(values).max()) >= SYMBOL_LIMIT:
            raise CorruptError("a symbol beyond every limit")
        flat[:, at.second] = values
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
        made = _known_groups if count <= _SMALL else _groups
        return made(self.tables, len(self.slope), half, count)
