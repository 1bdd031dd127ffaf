"""The coder's models of integer tables, each built at its first use.

The models are those of `backend.py`, constriction's or our own. They compute exactly with integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aecodec.entropy.backend import categorical
from aecodec.entropy.fixed_point import PRECISION

if TYPE_CHECKING:
    from aecodec.arrays import Probabilities
    from aecodec.entropy.tables import TableSet

__all__ = ["LONGEST_RUN", "RUNS_COUNT", "RUNS_FROM", "Models", "Runs"]

RUNS_FROM = 3 << PRECISION - 2
"""The least probability of 0, of 2 ** PRECISION, for which zeros are coded as runs: a run and the
symbol after it take longer to decode than a few zeros."""
RUNS_COUNT = 256
"""The least number of symbols for runs: fewer save no time, and a run costs half a bit."""
LONGEST_RUN = 64
"""The longest run of one entry; the coder finds entries of up to 6 bits fast."""


class Runs(NamedTuple):
    """The model of run lengths, which code the positions of symbols other than 0."""

    model: object
    longest: int  # the last entry: this many zeros, without a symbol after them
    mean: float  # the mean number of symbols for each entry


class Models:
    """The models of a set of tables."""

    def __init__(self, tables: TableSet) -> None:
        self._tables = tables
        self._whole: list[object] = [None] * len(tables)
        self._others: dict[int, object] = {}
        self._runs: dict[int, Runs | None] = {}

    def whole(self, used: list[int]) -> list[object]:
        """The models of tables."""
        known = self._whole
        for t in used:
            if known[t] is None:
                known[t] = categorical(self._tables.table(t))
        return [known[t] for t in used]

    def others(self, t: int) -> object:
        """Table t without its entry for 0."""
        if t not in self._others:
            rest = np.delete(self._tables.table(t), self._tables.zero(t))
            self._others[t] = categorical(_scaled(rest))
        return self._others[t]

    def runs(self, t: int, count: int) -> Runs | None:
        """The model of runs for `count` symbols of table t; None if zeros are coded singly."""
        if count < RUNS_COUNT:
            return None
        if t not in self._runs:
            table, zero = self._tables.table(t), self._tables.zero(t)
            p = int(table[zero]) if 0 < zero < len(table) - 1 else 0
            self._runs[t] = None if p < RUNS_FROM else _runs(p)
        return self._runs[t]


def _runs(p: int) -> Runs:
    """Runs of zeros, each of which has probability p / 2^PRECISION: geometric, cut at one half."""
    left = [1 << 40]  # of 2^40: what remains after so many zeros
    while len(left) <= LONGEST_RUN and left[-1] > 1 << 39:
        left.append(left[-1] * p >> PRECISION)
    still = np.array(left) >> 40 - PRECISION
    entries = np.append(still[:-1] - still[1:], still[-1])
    mean = float(still[:-1].sum()) / (1 << PRECISION)
    return Runs(categorical(entries.astype(np.uint32)), len(left) - 1, mean)


def _scaled(weights: Probabilities) -> Probabilities:
    """Integers in proportion to `weights` that sum to 2^PRECISION; the largest gets the
    remainder.
    """
    scaled = (weights.astype(np.uint64) << np.uint64(PRECISION)) // weights.sum(dtype=np.uint64)
    scaled[np.argmax(weights)] += (1 << PRECISION) - int(scaled.sum())
    made: Probabilities = scaled.astype(np.uint32)
    return made
