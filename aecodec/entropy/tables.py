"""Tables of integer probabilities, as weights store them, and the symbols that each table codes."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from aecodec import forks
from aecodec.arrays import Array, Bools, Indexes, Ints, Places, Probabilities
from aecodec.entropy.costs import Costs
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.models import Models
from aecodec.stages import stage

__all__ = ["Groups", "TableSet", "taken"]


class Groups(NamedTuple):
    """The symbols of one array, grouped by table."""

    tables: TableSet
    indexes: Indexes  # of each symbol's table
    order: Places  # positions of symbols, table after table
    parts: list[tuple[int, slice]]  # (t, its slice of that order), without the empty tables


@dataclasses.dataclass(frozen=True, eq=False)
class TableSet:
    """Up to 256 tables of probabilities.

    Table t has `lengths[t]` entries, stored one table after another in `probabilities`: the low
    escape, the symbols `first[t]`, `first[t] + 1`, ..., the high escape. A length of 0 means
    "certainly zero". Raises ValueError for impossible numbers.
    """

    probabilities: Probabilities
    lengths: Ints
    first: Ints

    def __post_init__(self) -> None:
        lengths, total = self.lengths.astype(np.int64), int(self.lengths.sum())
        if len(lengths) > 256 or len(self.first) != len(lengths):
            raise ValueError("tables: at most 256, each with its first symbol")
        if total != len(self.probabilities) or bool(np.any((lengths < 3) & (lengths != 0))):
            raise ValueError("tables: lengths don't fit the probabilities")
        # constriction takes a zero or a negative probability without a word.
        if bool(np.any(self.probabilities < 1)):
            raise ValueError("tables: a probability below 1")
        for t in range(len(lengths)):
            table = self.table(t)
            if len(table) and int(table.sum(dtype=np.uint64)) != 1 << PRECISION:
                raise ValueError(f"tables: table {t} does not sum to 2^{PRECISION}")

    def __len__(self) -> int:
        return len(self.lengths)

    @forks.cached_property
    def empty(self) -> Bools:
        """Which tables mean "certainly zero"."""
        empty: Bools = self.lengths == 0
        return empty

    @forks.cached_property
    def models(self) -> Models:
        """The coder's models of these tables."""
        return Models(self)

    @forks.cached_property
    def costs(self) -> Costs:
        """The costs of symbols by these tables."""
        return Costs(self)

    def table(self, t: int) -> Probabilities:
        """The entries of table t."""
        end = int(self.lengths[: t + 1].sum(dtype=np.int64))
        return self.probabilities[end - int(self.lengths[t]) : end]

    def zero(self, t: int) -> int:
        """The entry of the symbol 0 in table t, if it has one."""
        return 1 - int(self.first[t])

    @forks.cached_property
    def _leading(self) -> int:
        """The number of empty tables before the first one that is not empty."""
        return int(np.argmin(np.append(self.empty, False)))

    @stage("entropy coding")
    def groups(self, indexes: Indexes) -> Groups:
        """The order in which the symbols with these table indexes are coded."""
        # Where most have one of the first tables, which are empty, the others alone are sorted.
        coded = indexes >= self._leading
        few = 2 * np.count_nonzero(coded) < len(indexes)
        chosen = np.flatnonzero(coded) if few else None
        sorted_ones = indexes if chosen is None else taken(indexes, chosen)
        order = np.argsort(sorted_ones, kind="stable")  # a radix sort for uint8
        if order.size and int(sorted_ones[order[-1]]) >= len(self):
            raise ValueError("a table index beyond the last table")
        # Of the indexes' own type: else all of them would be converted first.
        numbers = np.arange(len(self), dtype=np.uint8)
        ends = sorted_ones.searchsorted(numbers, side="right", sorter=order).tolist()
        starts, empty = [0, *ends[:-1]], self.empty
        parts = [
            (t, slice(start, end))
            for t, (start, end) in enumerate(zip(starts, ends, strict=True))
            if end > start and not empty[t]
        ]
        return Groups(self, indexes, order if chosen is None else taken(chosen, order), parts)


def taken(array: Array, places: Places) -> Array:
    """array[places], without a check of the bounds: the check would take three quarters of the
    time.
    """
    return array.take(places, mode="wrap")
