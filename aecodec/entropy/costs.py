"""The cost of symbols in bits, by their tables. Encoders weigh it against errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aecodec import forks
from aecodec.arrays import Floats, Indexes, Ints, Longs, Places
from aecodec.entropy.fixed_point import PRECISION, STEP_OCTAVES, STEP_TABLES

if TYPE_CHECKING:
    from aecodec.entropy.tables import Groups, TableSet

__all__ = ["Costs"]

_AROUND = 3
"""How many tables to each side the slope of an entropy is taken over."""


class Costs:
    """Bits, by a set of tables."""

    def __init__(self, tables: TableSet) -> None:
        self._tables = tables

    def total(self, symbols: Ints, groups: Groups) -> float:
        """The ideal length of `symbols`, escapes included."""
        total = 0.0
        symbols = symbols[groups.order]
        for t, part in groups.parts:
            cost = PRECISION - np.log2(self._tables.table(t).astype(np.float64))
            entries, excess = self._entries(t, symbols[part])
            total += float(cost[entries].sum())
            if len(excess):
                total += float((5 + np.floor(np.log2(excess + 1.0))).sum())
        return total

    def each(self, symbols: Ints, indexes: Indexes) -> Floats:
        """The cost of every symbol in its table, which is not empty, without excesses."""
        tables, (bits, starts) = self._tables, self._entry_bits
        entries = symbols - (tables.first[indexes] - 1)
        cost: Floats = bits[starts[indexes] + np.clip(entries, 0, tables.lengths[indexes] - 1)]
        return cost

    def slopes(self, symbols: Ints, indexes: Indexes) -> Floats:
        """The cost of one more unit at every symbol, in bits: the slope of `each`, 0 at 0."""
        slope = np.zeros(symbols.shape, np.float32)
        where = np.flatnonzero((symbols != 0) & ~self._tables.empty[indexes])
        near, table = symbols[where], indexes[where]
        slope[where] = 0.5 * (self.each(near + 1, table) - self.each(near - 1, table))
        return slope

    def rises(self, symbols: Ints, indexes: Indexes) -> Floats:
        """The additional bits of the next higher symbol; 0 in empty tables."""
        rise = np.zeros(symbols.shape, np.float32)
        where = np.flatnonzero(~self._tables.empty[indexes])
        near, table = symbols[where], indexes[where]
        rise[where] = self.each(near + 1, table) - self.each(near, table)
        return rise

    @forks.cached_property
    def by_octave(self) -> Floats:
        """(T,): how many bits more the symbols of a table take on average with half the step.

        The slope of the entropies by the scale, over the tables around.
        """
        entropies = np.zeros(len(self._tables), np.float32)
        for t in np.flatnonzero(~self._tables.empty).tolist():
            share = self._tables.table(t) * 2.0**-PRECISION
            entropies[t] = -(share * np.log2(share)).sum()
        last = len(entropies) - 1
        around = np.clip(np.arange(last + 1)[:, None] + [-_AROUND, _AROUND], 0, last)
        octaves = 2 * _AROUND * STEP_OCTAVES / STEP_TABLES
        slope: Floats = np.diff(entropies[around], axis=1)[:, 0] / np.float32(octaves)
        return slope

    @forks.cached_property
    def _entry_bits(self) -> tuple[Floats, Places]:
        """Bits of every entry of all tables, and the position of each table's low escape."""
        lengths = self._tables.lengths
        starts = np.cumsum(lengths) - lengths
        bits = PRECISION - np.log2(self._tables.probabilities.astype(np.float32))
        return bits, starts.astype(np.intp)

    def _entries(self, t: int, symbols: Ints) -> tuple[Ints, Longs]:
        """Entries of table t for `symbols`, and the excess of those that escape, in order."""
        last = int(self._tables.lengths[t]) - 1
        shifted = symbols - (self._tables.first[t] - 1)
        if shifted.min() > 0 and shifted.max() < last:
            return shifted, np.empty(0, np.int64)
        entries = np.clip(shifted, 0, last)
        low, high = entries == 0, entries == last
        escaped = low | high
        distance = np.where(low, -shifted, shifted - last).astype(np.int64)
        return entries, distance[escaped]
