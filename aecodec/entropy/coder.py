"""Integer tables and the ANS coder: symbols and table indexes in, bytes out, and back.

This module uses no tensor and no network. Its tables (`tables.py`) are integers in the weights, so
the probabilities of an encoder and a decoder are always equal. The coder is
constriction's range ANS (Bamler 2022, "Understanding Entropy Coding With Asymmetric Numeral
Systems"): a stack, so what is decoded first is encoded last.

The arrays are coded in this order: the two halves of z, then the two steps of y. The symbols of an
array are grouped by table index in ascending order, and keep their order within a group. An array
is coded as:

1. for every group of 256 symbols or more whose table gives 0 a probability of 3/4 or more: the
   positions of the other symbols, as runs of zeros;
2. the symbols, group by group; of the groups in 1 only the symbols that are not 0, with the
   probabilities of the table without its entry for 0;
3. the escapes, in the order of 2: first all their bit counts, then, for every bit count in
   ascending order, the bits below the leading one.

Runs cost as many bits as zeros coded one by one, except for half a bit at the end of a group. They
are faster: most symbols are such zeros, and constriction takes 12 to 30 ns for each.

A symbol outside its table is coded as the low or high escape entry of the table, and its excess
e >= 0 over the edge of the table (Elias gamma): the number n of bits of e + 1, uniform over 1..32,
followed by the n - 1 bits below the leading one, in uniform chunks of at most 16 bits, low chunk
first. A table without entries means that all its symbols are 0: nothing is coded.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from aecodec.arrays import Array, Ints, Longs, Places
from aecodec.entropy.backend import AnsCoder, uniform
from aecodec.entropy.models import RUNS_COUNT, Runs
from aecodec.entropy.tables import Groups, taken
from aecodec.errors import CorruptError
from aecodec.stages import stage

__all__ = ["SYMBOL_LIMIT", "Decoder", "Encoder"]

SYMBOL_LIMIT = 2**30
"""Symbols lie strictly between -SYMBOL_LIMIT and SYMBOL_LIMIT."""

_CHUNK = 16
_SHORT = 1 << 15
_ESCAPE_BITS = 32


class Encoder:
    """Collects arrays of symbols in decoding order; `finish` codes them."""

    def __init__(self) -> None:
        self._entries: list[tuple[Ints, object]] = []  # and the model that codes them

    @stage("entropy coding")
    def add(self, symbols: Ints, groups: Groups) -> None:
        """Add one array, flat, with its groups. Symbols of empty tables must be 0.

        Raises ValueError for symbols beyond SYMBOL_LIMIT.
        """
        least, most = (symbols.min(), symbols.max()) if symbols.size else (0, 0)
        if not -SYMBOL_LIMIT < least <= most < SYMBOL_LIMIT:
            raise ValueError(f"a symbol beyond {SYMBOL_LIMIT}")
        tables, parts = groups.tables, groups.parts
        if not parts:
            return
        if -_SHORT <= least <= most < _SHORT:  # `take` is faster on smaller types
            symbols = symbols.astype(np.int16)
        symbols = taken(symbols, groups.order)
        used, counts = [t for t, _ in parts], [part.stop - part.start for _, part in parts]
        models = tables.models.whole(used)
        sparse = [
            (number, runs)
            for number, count in enumerate(counts)
            if (runs := tables.models.runs(used[number], count))
        ]
        if sparse or sum(counts) < len(symbols):
            symbols = self._add_runs(symbols, groups, sparse, counts)
        entries = symbols - np.repeat(tables.first[used] - 1, counts)
        last = np.repeat(tables.lengths[used] - 1, counts)
        escaped = np.flatnonzero((entries <= 0) | (entries >= last))
        beyond, edge = entries[escaped], last[escaped]
        entries[escaped] = np.clip(beyond, 0, edge)
        ends = list(accumulate(counts))
        for number, _ in sparse:
            models[number] = tables.models.others(used[number])
            some = entries[ends[number] - counts[number] : ends[number]]
            some -= some > tables.zero(used[number])
        for model, count, end in zip(models, counts, ends, strict=True):
            if count:
                self._entries.append((entries[end - count : end], model))
        if len(escaped):
            self._add_escapes(np.where(beyond <= 0, -beyond, beyond - edge).astype(np.int64))

    def _add_runs(
        self, symbols: Ints, groups: Groups, sparse: list[tuple[int, Runs]], counts: list[int]
    ) -> Ints:
        """Add the runs of zeros of sparse groups, given by their numbers among the parts.

        Returns the symbols that are still to be coded, of `counts` symbols for each group.
        """
        nonzero = np.flatnonzero(symbols != 0)  # several times as fast on booleans
        others = taken(symbols, nonzero)
        coded = [symbols[part] for _, part in groups.parts]
        parts = [groups.parts[number][1] for number, _ in sparse]
        begins = nonzero.searchsorted([part.start for part in parts]).tolist()
        ends = nonzero.searchsorted([part.stop for part in parts]).tolist()
        found = []
        for (number, runs), part, begin, end in zip(sparse, parts, begins, ends, strict=True):
            coded[number], counts[number] = others[begin:end], end - begin
            found.append(_Sparse(nonzero[begin:end], part, runs))
        if found:
            models = [group.runs.model for group in found]
            self._entries += zip(_lengths(found), models, strict=True)
        return np.concatenate(coded)

    def _add_escapes(self, excess: Longs) -> None:
        value = excess + 1
        extra = np.frexp(value.astype(np.float64))[1] - 1  # bits below the leading one
        self._entries.append((extra.astype(np.int32), uniform(_ESCAPE_BITS)))
        for n in _distinct(extra):
            low = value[extra == n] - (1 << n)
            for shift, width in _chunks(n):
                chunk = (low >> shift) & ((1 << width) - 1)
                self._entries.append((chunk.astype(np.int32), uniform(1 << width)))

    @stage("entropy coding")
    def finish(self) -> bytes:
        """The words of the coder, little-endian."""
        coder = AnsCoder()
        for entries, model in reversed(self._entries):
            coder.encode_reverse(entries, model)
        words: bytes = coder.get_compressed().astype("<u4").tobytes()
        return words


class Decoder:
    """Returns arrays in the order in which they were added.

    Raises CorruptError for words that no encoder wrote. Most damage decodes silently to wrong
    symbols, so callers check a checksum before and a hash of the symbols after.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise CorruptError("the coded latents are not whole words")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        try:
            self._coder = AnsCoder(words)
        except ValueError as error:
            raise CorruptError("the coded latents do not end as any encoder ends them") from error

    @stage("entropy coding")
    def take(self, groups: Groups) -> Ints:
        """The symbols of one array, flat, by its groups."""
        tables, parts = groups.tables, groups.parts
        symbols = np.zeros(len(groups.indexes), np.int32)
        if not parts:
            return symbols
        # The counts come from the dimensions; constriction aborts on an absurd one.
        used, counts = [t for t, _ in parts], [part.stop - part.start for _, part in parts]
        models, sparse = tables.models.whole(used), []
        order = groups.order
        if sum(counts) < len(order) or max(counts) >= RUNS_COUNT:
            coded = [order[part] for _, part in parts]
            for number, some in enumerate(coded):
                if runs := tables.models.runs(used[number], len(some)):
                    coded[number] = some[self._take_places(len(some), runs)]
                    models[number] = tables.models.others(used[number])
                    sparse.append(number)
            counts, order = [len(some) for some in coded], np.concatenate(coded)
        found = [self._coder.decode(model, n) for model, n in zip(models, counts, strict=True)]
        for number in sparse:
            found[number] += found[number] >= tables.zero(used[number])
        entries = np.concatenate(found)
        last = np.repeat(tables.lengths[used] - 1, counts)
        escaped = np.flatnonzero((entries == 0) | (entries == last))
        low = entries[escaped] == 0
        entries += np.repeat(tables.first[used] - 1, counts)
        symbols[order] = entries
        if len(escaped):
            excess = self._take_escapes(len(escaped))
            values = entries[escaped] + np.where(low, -excess, excess)
            if int(np.abs(values).max()) >= SYMBOL_LIMIT:
                raise CorruptError("a symbol beyond every limit")
            symbols[order[escaped]] = values
        return symbols

    def _take_places(self, count: int, runs: Runs) -> Places:
        """The positions of symbols other than 0 among `count` symbols."""
        found: list[Places] = []
        end = 0
        while end < count:
            # The number of runs is not coded. Surplus entries are pushed back: for ANS, which is a
            # stack, encoding is exactly the inverse of decoding.
            likely = (count - end) / runs.mean
            entries = self._coder.decode(runs.model, int(likely + 3.0 * likely**0.5) + 2)
            ends = np.minimum(entries + 1, runs.longest).cumsum() + end
            used = int(ends.searchsorted(count)) + 1
            if used < len(entries):
                self._coder.encode_reverse(entries[used:], runs.model)
            found.append(ends[:used][entries[:used] < runs.longest] - 1)
            end = int(ends[:used][-1])
        places = found[0] if len(found) == 1 else np.concatenate(found)
        if len(places) and places[-1] >= count:
            raise CorruptError("a symbol after the last")
        return places

    def _take_escapes(self, count: int) -> Longs:
        extra = self._coder.decode(uniform(_ESCAPE_BITS), count)
        value = np.left_shift(np.int64(1), extra.astype(np.int64))
        for n in _distinct(extra):
            where = np.flatnonzero(extra == n)
            for shift, width in _chunks(n):
                chunk = self._coder.decode(uniform(1 << width), len(where))
                value[where] += chunk.astype(np.int64) << shift
        excess: Longs = value - 1
        return excess

    def finish(self) -> None:
        """CorruptError unless everything was taken."""
        if not self._coder.is_empty():
            raise CorruptError("the coded latents hold more than the picture needs")


class _Sparse(NamedTuple):
    """A group whose zeros are coded as runs."""

    places: Places  # of the symbols other than 0, among those of all groups
    part: slice  # the group's place there
    runs: Runs


def _lengths(groups: list[_Sparse]) -> list[Ints]:
    """For each group the runs of zeros before each of its places, and after the last of them.

    All groups at once: a group of a small picture has a few places.
    """
    # What ends a run is a place, or the end of the group.
    counts = np.array([len(group.places) + 1 for group in groups])
    last = counts.cumsum() - 1
    is_place = np.ones(last[-1] + 1, np.bool_)
    is_place[last] = False
    stops = np.empty(len(is_place), np.intp)
    stops[is_place] = np.concatenate([group.places for group in groups])
    stops[last] = [group.part.stop for group in groups]
    starts = np.empty_like(stops)
    starts[1:] = stops[:-1] + 1
    starts[last - counts + 1] = [group.part.start for group in groups]
    zeros = stops - starts
    limits = [group.runs.longest for group in groups]
    longest = np.repeat(limits, counts)
    full = zeros // longest
    zeros -= full * longest
    full[last] += zeros[last] > 0  # the end of the group ends the last run
    ends = (full + is_place).cumsum()
    sizes = np.diff(ends[last], prepend=0)
    entries = np.repeat(np.array(limits, np.int32), sizes)
    entries[ends[is_place] - 1] = zeros[is_place]
    stops_of = ends[last].tolist()
    return [entries[a:b] for a, b in zip([0, *stops_of], stops_of, strict=False)]


def _distinct(extra: Array) -> list[int]:
    """The bit counts above 0 among these, ascending. (For np.unique NumPy imports its masked
    arrays: 10 ms of a process that codes a small picture.)"""
    return sorted(set(extra[extra > 0].tolist()))


def _chunks(bits: int) -> list[tuple[int, int]]:
    """(shift, width) of the uniform chunks that `bits` bits are coded in, low first."""
    return [(at, min(_CHUNK, bits - at)) for at in range(0, bits, _CHUNK)]
