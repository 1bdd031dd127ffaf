"""Integer tables and the ANS coder: symbols and table indexes in, bytes out, and back.

This module never sees a tensor or a network. Its tables are integers that travel with the
weights, so an encoder and a decoder can't disagree about a probability. The coder is
constriction's range ANS (Bamler 2022, "Understanding Entropy Coding With Asymmetric Numeral
Systems"): a stack, so what is decoded first is encoded last.

Order of what is coded, for every array (z's two halves, then the two steps of y):

1. the symbols, grouped by table index in ascending order, in their own order within a group;
2. the escapes of that array, in the order of 1: first all their bit counts, then, for every bit
   count in ascending order, the bits below the leading one.

A symbol outside its table is coded as the table's escape entry, low or high, and its excess
e >= 0 over the table's edge as the number n of bits of e + 1, uniform over 1..32, followed by the
n - 1 bits below the leading one (Elias gamma), in uniform chunks of at most 16 bits, low chunk
first. A table without entries says "zero, with certainty": nothing is coded.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import constriction
import numpy as np
import numpy.typing as npt

from aecodec.errors import CorruptError
from aecodec.stages import stage

__all__ = ["PRECISION", "SYMBOL_LIMIT", "Decoder", "Encoder", "Groups", "TableSet"]

PRECISION = 24
"""Probabilities are integers that sum to 2 ** PRECISION."""
SYMBOL_LIMIT = 2**30
"""Symbols lie strictly between -SYMBOL_LIMIT and SYMBOL_LIMIT."""

WORTH_OF_A_BIT = 0.0087
"""By how much a bit more raises the threshold. At high rates 6 dB a bit would make it 0.058; but
the networks were trained with plain rounding, and on pictures held out this is the best."""

_CHUNK = 16
_ESCAPE_BITS = 32

Symbols = npt.NDArray[np.int32]
Indexes = npt.NDArray[np.uint8]


def _model(probabilities: npt.NDArray[np.uint32]) -> object:
    # constriction adds 1 to every scaled probability, so P - 1 gives exactly the CDF of P;
    # `perfect=True` would fit its own rounding instead.
    return constriction.stream.model.Categorical(
        probabilities.astype(np.float64) - 1.0, lazy=False, perfect=False
    )


def _uniform(size: int) -> object:
    return constriction.stream.model.Uniform(size)


class Groups(NamedTuple):
    """How the symbols of one array are coded: table by table."""

    order: npt.NDArray[np.intp]  # positions of symbols, table after table; not of all empty tables
    parts: list[tuple[int, slice]]  # (t, its slice of that order), without the empty tables


@dataclasses.dataclass(frozen=True, eq=False)
class TableSet:
    """Up to 256 tables of probabilities.

    Table t has `lengths[t]` entries, stored one table after another in `probabilities`: the low
    escape, the symbols `first[t]`, `first[t] + 1`, ..., the high escape. A length of 0 stands
    for "certainly zero". Raises ValueError where the numbers can't be that.
    """

    probabilities: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]

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
            part = self._part(t)
            if len(part) and int(part.sum(dtype=np.uint64)) != 1 << PRECISION:
                raise ValueError(f"tables: table {t} does not sum to 2^{PRECISION}")
        object.__setattr__(self, "_models", {})

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def empty(self) -> npt.NDArray[np.bool_]:
        """Which tables say "certainly zero"."""
        empty: npt.NDArray[np.bool_] = self.lengths == 0
        return empty

    @functools.cached_property
    def thresholds(self) -> npt.NDArray[np.float32]:
        """(tables,): the least magnitude that is worth a symbol other than 0, for an encoder.

        A symbol of +-1 costs so many bits more than one of 0, and must save that much error
        (Sullivan 1996, "Efficient scalar quantization of exponential and Laplacian random
        variables"). Infinite for an empty table.
        """
        least = np.full(len(self), np.inf, np.float32)
        for t in np.flatnonzero(~self.empty):
            bits = PRECISION - np.log2(self._part(int(t)).astype(np.float64))
            zero = 1 - int(self.first[t])
            if 1 < zero < len(bits) - 2:
                one = 0.5 * (bits[zero - 1] + bits[zero + 1])
                least[t] = 0.5 + WORTH_OF_A_BIT * max(0.0, one - bits[zero])
            else:
                least[t] = 0.5
        return least

    def _part(self, t: int) -> npt.NDArray[np.uint32]:
        end = int(self.lengths[: t + 1].sum(dtype=np.int64))
        return self.probabilities[end - int(self.lengths[t]) : end]

    def model(self, t: int) -> object:
        """Constriction's model of table t, built at first use."""
        models: dict[int, object] = self.__dict__["_models"]
        if t not in models:
            models[t] = _model(self._part(t))
        return models[t]

    @functools.cached_property
    def _leading(self) -> int:
        """How many tables are empty before the first that is not."""
        return int(np.argmin(np.append(self.empty, False)))

    def groups(self, indexes: Indexes) -> Groups:
        """The order in which the symbols with these table indexes are coded."""
        # Most have one of the first tables, which are empty: what is not sorted costs little.
        chosen = np.flatnonzero(indexes >= self._leading) if self._leading else None
        if chosen is not None:
            indexes = indexes[chosen]
        counts = np.bincount(indexes, minlength=len(self))
        if len(counts) > len(self):
            raise ValueError("a table index beyond the last table")
        ends = np.cumsum(counts)
        parts = [
            (int(t), slice(int(ends[t] - counts[t]), int(ends[t])))
            for t in np.flatnonzero((counts > 0) & ~self.empty)
        ]
        order = np.argsort(indexes, kind="stable")  # a radix sort for uint8
        return Groups(order if chosen is None else chosen[order], parts)

    def bits(self, symbols: Symbols, groups: Groups) -> float:
        """The ideal length in bits of `symbols`, escapes included."""
        total = 0.0
        order, parts = groups
        symbols = symbols[order]
        for t, part in parts:
            cost = PRECISION - np.log2(self._part(t).astype(np.float64))
            entries, excess = self._entries(t, symbols[part])
            total += float(cost[entries].sum())
            if len(excess):
                total += float((5 + np.floor(np.log2(excess + 1.0))).sum())
        return total

    @functools.cached_property
    def _costs(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """Bits of every entry of all tables, and where each table's low escape stands."""
        starts = np.cumsum(self.lengths) - self.lengths
        bits = PRECISION - np.log2(self.probabilities.astype(np.float32))
        return bits, starts.astype(np.intp)

    def costs(self, symbols: Symbols, indexes: Indexes) -> npt.NDArray[np.float32]:
        """Bits of every symbol under its table (none of them empty); an escape without excess."""
        bits, starts = self._costs
        entries = symbols - (self.first[indexes] - 1)
        cost: npt.NDArray[np.float32] = bits[
            starts[indexes] + np.clip(entries, 0, self.lengths[indexes] - 1)
        ]
        return cost

    def slopes(self, symbols: Symbols, indexes: Indexes) -> npt.NDArray[np.float32]:
        """How many bits one more unit costs at every symbol: the slope of `costs`, 0 at 0."""
        slope = np.zeros(symbols.shape, np.float32)
        where = np.flatnonzero((symbols != 0) & ~self.empty[indexes])
        near, table = symbols[where], indexes[where]
        slope[where] = 0.5 * (self.costs(near + 1, table) - self.costs(near - 1, table))
        return slope

    def rises(self, symbols: Symbols, indexes: Indexes) -> npt.NDArray[np.float32]:
        """How many bits the next higher symbol costs more than each symbol; 0 in empty tables."""
        rise = np.zeros(symbols.shape, np.float32)
        where = np.flatnonzero(~self.empty[indexes])
        near, table = symbols[where], indexes[where]
        rise[where] = self.costs(near + 1, table) - self.costs(near, table)
        return rise

    def _entries(self, t: int, symbols: Symbols) -> tuple[Symbols, npt.NDArray[np.int64]]:
        """Entries of table t for `symbols`, and the excess of those that escape, in order."""
        last = int(self.lengths[t]) - 1
        shifted = symbols - (self.first[t] - 1)
        if shifted.min() > 0 and shifted.max() < last:
            return shifted, np.empty(0, np.int64)
        entries = np.clip(shifted, 0, last)
        low, high = entries == 0, entries == last
        escaped = low | high
        distance = np.where(low, -shifted, shifted - last).astype(np.int64)
        return entries, distance[escaped]


class Encoder:
    """Collects arrays of symbols in decoding order; `finish` codes them."""

    def __init__(self) -> None:
        self._runs: list[tuple[Symbols, object]] = []

    def add(self, symbols: Symbols, groups: Groups, tables: TableSet) -> None:
        """One array, flat, and its groups in these tables. Symbols of empty tables must be 0.

        Raises ValueError for symbols beyond SYMBOL_LIMIT.
        """
        if symbols.size and not -SYMBOL_LIMIT < symbols.min() <= symbols.max() < SYMBOL_LIMIT:
            raise ValueError(f"a symbol beyond {SYMBOL_LIMIT}")
        excesses = []
        order, parts = groups
        symbols = symbols[order]
        for t, part in parts:
            entries, excess = tables._entries(t, symbols[part])
            self._runs.append((entries, tables.model(t)))
            if len(excess):
                excesses.append(excess)
        if excesses:
            self._add_escapes(np.concatenate(excesses))

    def _add_escapes(self, excess: npt.NDArray[np.int64]) -> None:
        value = excess + 1
        extra = np.frexp(value.astype(np.float64))[1] - 1  # bits below the leading one
        self._runs.append((extra.astype(np.int32), _uniform(_ESCAPE_BITS)))
        for n in np.unique(extra[extra > 0]):
            low = value[extra == n] - (1 << int(n))
            for shift, width in _chunks(int(n)):
                chunk = (low >> shift) & ((1 << width) - 1)
                self._runs.append((chunk.astype(np.int32), _uniform(1 << width)))

    @stage("entropy coding")
    def finish(self) -> bytes:
        """The words of the coder, little-endian."""
        coder = constriction.stream.stack.AnsCoder()
        for entries, model in reversed(self._runs):
            coder.encode_reverse(entries, model)
        words: bytes = coder.get_compressed().astype("<u4").tobytes()
        return words


class Decoder:
    """Gives back arrays in the order in which they were added.

    Raises CorruptError for words that no encoder wrote; but most damage decodes silently to
    wrong symbols, so callers compare a checksum before and a hash of the symbols after.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise CorruptError("the coded latents are not whole words")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        try:
            self._coder = constriction.stream.stack.AnsCoder(words)
        except ValueError as error:
            raise CorruptError("the coded latents do not end as any encoder ends them") from error

    @stage("entropy coding")
    def take(self, indexes: Indexes, tables: TableSet) -> Symbols:
        """Symbols (len(indexes),) for their table indexes."""
        order, parts = tables.groups(indexes)
        ordered = np.zeros(len(order), np.int32)
        escaped: list[npt.NDArray[np.intp]] = []
        for t, part in parts:
            # The count comes from the dimensions; constriction aborts on an absurd one.
            entries = self._coder.decode(tables.model(t), part.stop - part.start)
            np.add(entries, tables.first[t] - 1, out=ordered[part])
            edge = (entries == 0) | (entries == tables.lengths[t] - 1)
            if edge.any():
                escaped.append(order[part][edge])
        symbols = np.zeros(len(indexes), np.int32)
        symbols[order] = ordered
        if escaped:
            positions = np.concatenate(escaped)
            excess = self._take_escapes(len(positions))
            low = symbols[positions] < tables.first[indexes[positions]]
            values = symbols[positions] + np.where(low, -excess, excess)
            if int(np.abs(values).max()) >= SYMBOL_LIMIT:
                raise CorruptError("a symbol beyond every limit")
            symbols[positions] = values
        return symbols

    def _take_escapes(self, count: int) -> npt.NDArray[np.int64]:
        extra = self._coder.decode(_uniform(_ESCAPE_BITS), count)
        value = np.left_shift(np.int64(1), extra.astype(np.int64))
        for n in np.unique(extra[extra > 0]):
            where = np.flatnonzero(extra == n)
            for shift, width in _chunks(int(n)):
                chunk = self._coder.decode(_uniform(1 << width), len(where))
                value[where] += chunk.astype(np.int64) << shift
        excess: npt.NDArray[np.int64] = value - 1
        return excess

    def finish(self) -> None:
        """CorruptError unless everything was taken."""
        if not self._coder.is_empty():
            raise CorruptError("the coded latents hold more than the picture needs")


def _chunks(bits: int) -> list[tuple[int, int]]:
    """(shift, width) of the uniform chunks that `bits` bits are coded in, low first."""
    return [(at, min(_CHUNK, bits - at)) for at in range(0, bits, _CHUNK)]
