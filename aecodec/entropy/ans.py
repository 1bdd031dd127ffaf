"""A range ANS coder in Python, for machines that constriction has no package for.

It gives and takes the words that constriction's ``AnsCoder`` does, bit for bit, and is written from
the section "TILE payload" of docs/format.md (the method: Duda 2013, "Asymmetric numeral systems";
the form with 32-bit words: Bamler 2022). With M = 2^24, a symbol whose interval of the M quantiles
begins at c and is p long, and a state x:

    take a symbol: q = x mod M; the symbol is the one with c <= q < c + p
                   x = floor(x / M) * p + q - c
                   where x < 2^32 and words are left: x = x * 2^32 + the last word
    put a symbol:  where floor(x / 2^40) >= p: x mod 2^32 becomes the last word, x = floor(x / 2^32)
                   x = floor(x / p) * M + x mod p + c

Each state depends on the one before, so NumPy can't take the symbols of a model together. It makes
the models' look-up lists, and the lists of what there is to put.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import repeat

import numpy as np
import numpy.typing as npt

from aecodec import forks
from aecodec.entropy.fixed_point import PRECISION

__all__ = ["AnsCoder", "Categorical", "Uniform"]

_MASK = (1 << PRECISION) - 1
_LOW = (1 << 32) - 1

_FEW = 192
"""So few symbols are sooner found by bisection than a list of buckets is made."""

Symbols = npt.NDArray[np.int32]
_Row = tuple[int, int, int, int]


class Categorical:
    """Integer probabilities of the symbols 0, 1, ..., which sum to 2^24."""

    def __init__(self, probabilities: npt.NDArray[np.uint32]) -> None:
        p = probabilities.astype(np.int64)
        self.p, self.c = p, p.cumsum() - p

    @forks.cached_property
    def starts(self) -> list[int]:
        """c of each symbol."""
        found: list[int] = self.c.tolist()
        return found

    @forks.cached_property
    def rows(self) -> list[_Row]:
        """p, c, c + p and the symbol itself, of each symbol."""
        ends: list[int] = (self.c + self.p).tolist()
        return list(zip(self.p.tolist(), self.starts, ends, range(len(ends)), strict=True))

    @forks.cached_property
    def buckets(self) -> tuple[list[_Row], int]:
        """The row of the first symbol that each value of a quantile's leading bits leaves possible,
        and how many bits follow these."""
        # Four times as many buckets as symbols: most of them leave one symbol alone.
        bits = min(max((4 * len(self.p) - 1).bit_length(), 6), 12)
        least = np.arange(1 << bits) << PRECISION - bits
        rows = self.rows
        first = self.c.searchsorted(least, side="right") - 1
        return [rows[s] for s in first.tolist()], PRECISION - bits


class Uniform:
    """The symbols 0 to size - 1, all of one probability. The size is a power of two."""

    def __init__(self, size: int) -> None:
        bits = size.bit_length() - 1
        if not 1 <= bits <= PRECISION or size != 1 << bits:
            raise ValueError(f"a uniform model of {size} symbols")
        self.shift = PRECISION - bits
        """The logarithm of a symbol's p."""


class AnsCoder:
    """A stack of words, and a state: symbols are taken in the reverse of the order of putting."""

    def __init__(self, words: npt.NDArray[np.uint32] | None = None) -> None:
        """Raises ValueError for words the last of which is 0: no coder gives such."""
        self._words: list[int] = [] if words is None else words.tolist()
        self._state = 0
        if self._words:
            self._state = self._words.pop()
            if not self._state:
                raise ValueError("the last word is 0")
            if self._words:
                self._state = self._state << 32 | self._words.pop()

    def is_empty(self) -> bool:
        """Whether everything was taken."""
        return not self._state and not self._words

    def get_compressed(self) -> npt.NDArray[np.uint32]:
        """All words, those of the state as well."""
        words, state = list(self._words), self._state
        while state:
            words.append(state & _LOW)
            state >>= 32
        return np.array(words, np.uint32)

    def decode(self, model: Categorical | Uniform, count: int) -> Symbols:
        """Take `count` symbols."""
        found: list[int] = []
        if isinstance(model, Uniform):
            self._take_uniform(model.shift, count, found)
        elif count <= _FEW:
            self._take_few(model, count, found)
        else:
            self._take_many(model, count, found)
        if len(found) < count:  # the words ended on the way
            self._take_last(model, count - len(found), found)
        if not found or max(found) > 255:
            return np.array(found, np.int32)
        return np.frombuffer(bytes(found), np.uint8).astype(np.int32)  # a quarter of the time

    # Of the next three each stops where it needs a word and there is none. That symbol is taken
    # already, and the state is right. Names of a function's own and constants in place of names
    # are what Python finds soonest.

    def _take_many(self, model: Categorical, count: int, found: list[int]) -> None:
        x, pop = self._state, self._words.pop
        rows, (buckets, shift) = model.rows, model.buckets
        try:
            for _ in repeat(None, count):
                q = x & 0xFFFFFF
                p, c, end, s = buckets[q >> shift]
                while q >= end:
                    p, c, end, s = rows[s + 1]
                x = (x >> 24) * p + (q - c)
                found.append(s)
                if x < 0x100000000:
                    x = x << 32 | pop()
        except IndexError:
            pass
        self._state = x

    def _take_few(self, model: Categorical, count: int, found: list[int]) -> None:
        x, pop = self._state, self._words.pop
        rows, starts = model.rows, model.starts
        try:
            for _ in repeat(None, count):
                q = x & 0xFFFFFF
                p, c, _end, s = rows[bisect_right(starts, q) - 1]
                x = (x >> 24) * p + (q - c)
                found.append(s)
                if x < 0x100000000:
                    x = x << 32 | pop()
        except IndexError:
            pass
        self._state = x

    def _take_uniform(self, shift: int, count: int, found: list[int]) -> None:
        x, pop, rest = self._state, self._words.pop, (1 << shift) - 1
        try:
            for _ in repeat(None, count):
                q = x & 0xFFFFFF
                x = (x >> 24 << shift) + (q & rest)
                found.append(q >> shift)
                if x < 0x100000000:
                    x = x << 32 | pop()
        except IndexError:
            pass
        self._state = x

    def _take_last(self, model: Categorical | Uniform, count: int, found: list[int]) -> None:
        """Where no words are left, a state below 2^32 stays as it is."""
        x = self._state
        for _ in repeat(None, count):
            q = x & _MASK
            if isinstance(model, Uniform):
                s, p = q >> model.shift, 1 << model.shift
                c = s << model.shift
            else:
                p, c, _, s = model.rows[bisect_right(model.starts, q) - 1]
            x = (x >> PRECISION) * p + (q - c)
            found.append(s)
        self._state = x

    def encode_reverse(self, symbols: Symbols, model: Categorical | Uniform) -> None:
        """Put symbols, the last of them first, so that they are taken in their order."""
        symbols = symbols[::-1]
        if isinstance(model, Uniform):
            p = np.full(len(symbols), 1 << model.shift, np.int64)
            c = symbols.astype(np.int64) << model.shift
        else:
            p, c = model.p[symbols], model.c[symbols]
        x, push = self._state, self._words.append
        # floor(x / p) * M + x mod p is x + floor(x / p) * (M - p).
        rest = (1 << PRECISION) - p
        for k, more, start in zip(p.tolist(), rest.tolist(), c.tolist(), strict=True):
            if x >> 40 >= k:
                push(x & 0xFFFFFFFF)
                x >>= 32
            x += x // k * more + start
        self._state = x
