"""Tables and the ANS coder: every symbol comes back, at the price that the tables say."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.entropy.coder import SYMBOL_LIMIT, Decoder, Encoder
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError


def gaussian_tables(scales: list[float], *, empty_first: bool = False) -> TableSet:
    """Integer tables of zero-mean Gaussians, as an exporter would make them."""
    parts, lengths, first = [], [], []
    if empty_first:
        lengths.append(0)
        first.append(0)
    for scale in scales:
        reach = math.ceil(6 * scale) + 1
        edges = (np.arange(-reach, reach + 2) - 0.5) / (scale * math.sqrt(2.0))
        mass = 0.5 * np.diff([math.erf(e) for e in edges])
        shape = np.concatenate([[1e-6], mass + 1e-9, [1e-6]])
        counts = np.floor(shape / shape.sum() * ((1 << PRECISION) - len(shape))).astype(int) + 1
        counts[np.argmax(counts)] += (1 << PRECISION) - counts.sum()
        parts.append(counts.astype(np.uint32))
        lengths.append(len(shape))
        first.append(-reach)
    return TableSet(np.concatenate(parts), np.array(lengths, np.int32), np.array(first, np.int32))


SCALES = [0.15, 0.5, 1.7, 6.0, 40.0]
TABLES = gaussian_tables(SCALES, empty_first=True)


def drawn(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(TABLES), count).astype(np.uint8)
    scale = np.array([0.0, *SCALES])[indexes]
    return np.rint(rng.normal(0.0, 1.0, count) * scale).astype(np.int32), indexes


def coded(*arrays: tuple[np.ndarray, np.ndarray]) -> bytes:
    encoder = Encoder()
    for symbols, indexes in arrays:
        encoder.add(symbols, TABLES.groups(indexes))
    return encoder.finish()


def test_several_arrays_come_back_in_order() -> None:
    one, two = drawn(5000, 1), drawn(777, 2)
    decoder = Decoder(coded(one, two))
    assert np.array_equal(decoder.take(TABLES.groups(one[1])), one[0])
    assert np.array_equal(decoder.take(TABLES.groups(two[1])), two[0])
    decoder.finish()


def test_an_empty_table_between_others_codes_nothing() -> None:
    """Wherever it stands: those that come first are left out early, the others late."""
    half = np.array([1, 1 << 23, (1 << 23) - 2, 1], np.uint32)
    lengths, first = np.array([0, 4, 0, 4], np.int32), np.array([0, 0, 0, 5], np.int32)
    tables = TableSet(np.concatenate([half, half]), lengths, first)
    indexes = np.arange(4000, dtype=np.uint8) % 4
    symbols = np.array([0, 1, 0, 5], np.int32)[indexes]
    symbols[1::8] = 0
    groups = tables.groups(indexes)
    assert [t for t, _ in groups.parts] == [1, 3]
    assert tables.costs.total(symbols, groups) == pytest.approx(2000.0, rel=1e-3)
    encoder = Encoder()
    encoder.add(symbols, groups)
    decoder = Decoder(encoder.finish())
    assert np.array_equal(decoder.take(tables.groups(indexes)), symbols)
    decoder.finish()


def test_real_bytes_are_what_the_tables_promise() -> None:
    for count in (10, 1000, 200_000):
        symbols, indexes = drawn(count)
        estimate = TABLES.costs.total(symbols, TABLES.groups(indexes)) / 8.0
        assert abs(len(coded((symbols, indexes))) - estimate) <= 0.01 * estimate + 64


def test_the_estimate_is_the_entropy_of_the_table() -> None:
    tables = TableSet(
        np.array([1 << 22, 1 << 23, 1 << 22], np.uint32),
        np.array([3], np.int32),
        np.array([7], np.int32),
    )
    zeros = np.zeros(100, np.uint8)
    assert tables.costs.total(np.full(100, 7, np.int32), tables.groups(zeros)) == pytest.approx(
        100.0
    )
    # An escape by one: two bits for the escape, five for a bit count of 0.
    assert tables.costs.total(np.full(100, 8, np.int32), tables.groups(zeros)) == pytest.approx(
        700.0
    )


@pytest.mark.parametrize(
    "value", [41, 2**15 - 1, 2**15, 2**15 + 1, 100_000, 2**16, 2**20 - 1, SYMBOL_LIMIT - 1]
)
@pytest.mark.parametrize("table", range(1, len(TABLES)))
def test_escapes_hold_any_magnitude(value: int, table: int) -> None:
    symbols = np.array([0, value, -value, 1, -1, value], np.int32)
    indexes = np.full(6, table, np.uint8)
    decoder = Decoder(coded((symbols, indexes)))
    assert np.array_equal(decoder.take(TABLES.groups(indexes)), symbols)
    decoder.finish()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**30) + 1, 2**30 - 1), st.integers(1, len(TABLES) - 1)),
        max_size=60,
    )
)
def test_any_symbols_come_back(pairs: list[tuple[int, int]]) -> None:
    symbols = np.array([s for s, _ in pairs], np.int32)
    indexes = np.array([t for _, t in pairs], np.uint8)
    decoder = Decoder(coded((symbols, indexes)))
    assert np.array_equal(decoder.take(TABLES.groups(indexes)), symbols)
    decoder.finish()


def test_an_empty_table_costs_nothing() -> None:
    zeros = np.zeros(10_000, np.int32)
    data = coded((zeros, np.zeros(10_000, np.uint8)))
    assert data == b""
    assert not Decoder(data).take(TABLES.groups(np.zeros(10_000, np.uint8))).any()


def test_a_symbol_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        coded((np.array([SYMBOL_LIMIT], np.int32), np.array([1], np.uint8)))


def test_the_bytes_stay_the_same() -> None:
    """Golden bytes: a change here is a change of the format."""
    symbols = np.array([0, 1, -1, 2, 0, 300, -5, 0], np.int32)
    indexes = np.array([1, 2, 2, 3, 0, 4, 3, 5], np.uint8)
    tables = TableSet(
        np.array([1000, 2**24 - 2000, 1000] + [2**22] * 4 + [2**21] * 8, np.uint32),
        np.array([0, 3, 4, 8, 0, 0], np.int32),
        np.array([0, 0, -1, -3, 0, 0], np.int32),
    )
    indexes[indexes > 3] = 3
    encoder = Encoder()
    encoder.add(symbols, tables.groups(indexes))
    assert encoder.finish().hex() == GOLDEN


GOLDEN = "d83c91fbad281400"


# --- Runs ---------------------------------------------------------------------------------------


def mostly_zeros(*chances: float) -> TableSet:
    """Tables of the escapes, -1, 0 and 1, that give 0 these probabilities."""
    parts = []
    for chance in chances:
        zero = round(chance * 2**PRECISION)
        rest = 2**PRECISION - zero
        parts.append(np.array([1, rest // 2, zero, rest - rest // 2 - 2, 1], np.uint32))
    lengths, first = np.full(len(chances), 5, np.int32), np.full(len(chances), -1, np.int32)
    return TableSet(np.concatenate(parts), lengths, first)


RARE = mostly_zeros(0.75, 0.9, 0.97, 0.999, 0.99999)


def assert_comes_back(symbols: np.ndarray, indexes: np.ndarray, tables: TableSet) -> bytes:
    encoder = Encoder()
    encoder.add(symbols, tables.groups(indexes))
    data = encoder.finish()
    decoder = Decoder(data)
    assert np.array_equal(decoder.take(tables.groups(indexes)), symbols)
    decoder.finish()
    return data


def test_runs_cost_what_their_zeros_do() -> None:
    rng = np.random.default_rng(3)
    indexes = rng.integers(0, len(RARE), 200_000).astype(np.uint8)
    chance = np.array([0.25, 0.1, 0.03, 0.001, 0.00001])[indexes]
    symbols = (rng.choice([-1, 1], 200_000) * (rng.random(200_000) < chance)).astype(np.int32)
    assert all(RARE.models.runs(t, 40_000) for t in range(len(RARE)))
    data = assert_comes_back(symbols, indexes, RARE)
    ideal = RARE.costs.total(symbols, RARE.groups(indexes)) / 8.0
    assert ideal - 4 <= len(data) <= 1.0001 * ideal + 4 + len(RARE)


# Escapes both ways, in a process of their own; then what that has imported.
IMPORTED = """
import sys
import numpy as np
from aecodec.entropy.coder import Decoder, Encoder
from aecodec.entropy.tables import TableSet
tables = TableSet(*(np.array(a, t) for a, t in (([1 << 22, 1 << 23, 1 << 22], np.uint32),
                                                ([3], np.int32), ([0], np.int32))))
before = set(sys.modules)
symbols, indexes = np.array([7, 0, -90000], np.int32), np.zeros(3, np.uint8)
encoder = Encoder()
encoder.add(symbols, tables.groups(indexes))
assert Decoder(encoder.finish()).take(tables.groups(indexes)).tolist() == symbols.tolist()
print(*sorted(set(sys.modules) - before))
"""


def test_coding_imports_nothing_more() -> None:
    """NumPy imports some of its parts at their first use: too late, and slowly."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("table", range(len(RARE)))
@pytest.mark.parametrize("count", [255, 256, 257, 320, 384, 1000])
def test_runs_end_anywhere(table: int, count: int) -> None:
    """Nothing but zeros; something else at the very first, at the last or at a seam of entries."""
    indexes = np.full(count, table, np.uint8)
    runs = RARE.models.runs(table, count)
    assert (runs is not None) == (count >= 256)
    longest = runs.longest if runs else 64
    for places in ([], [0], [count - 1], [longest - 1], [longest], [count - longest - 1], range(9)):
        symbols = np.zeros(count, np.int32)
        symbols[list(places)] = 1
        assert_comes_back(symbols, indexes, RARE)
    assert_comes_back(np.full(count, -1, np.int32), indexes, RARE)
    assert_comes_back(np.full(count, 2**30 - 1, np.int32), indexes, RARE)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_runs_come_back(data: st.DataObject) -> None:
    count = data.draw(st.integers(256, 3000))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    share = data.draw(st.sampled_from([0.0, 0.001, 0.02, 0.3, 0.9]))
    reach = data.draw(st.sampled_from([2, 5, 1000]))
    tables = data.draw(st.integers(1, len(RARE)))
    indexes = rng.integers(0, tables, count).astype(np.uint8)
    drawn = rng.integers(-reach, reach, count) * (rng.random(count) < share)
    assert_comes_back(drawn.astype(np.int32), indexes, RARE)


def by_the_letter(data: bytes, indexes: np.ndarray, tables: TableSet) -> list[int]:
    """What docs/format.md says of one array without escapes, with a coder of Python's integers."""
    words = list(np.frombuffer(data, "<u4").astype(object))
    state = 0
    while words and state < 2**32:
        state = state << 32 | words.pop()

    def entry(probabilities: list[int]) -> int:
        nonlocal state
        assert sum(probabilities) == 2**24
        rest, at = state % 2**24, 0
        while rest >= probabilities[at]:
            rest -= probabilities[at]
            at += 1
        state = (state >> 24) * probabilities[at] + rest
        if state < 2**32 and words:
            state = state << 32 | words.pop()
        return at

    found = [0] * len(indexes)
    todo: list[tuple[list[int], list[int], list[int]]] = []  # places, probabilities, symbols
    for t in sorted(set(indexes.tolist())):
        places = [i for i, index in enumerate(indexes) if index == t]
        end = int(tables.lengths[: t + 1].sum())
        table = [int(p) for p in tables.probabilities[end - int(tables.lengths[t]) : end]]
        first = int(tables.first[t])
        symbols = list(range(first - 1, first - 1 + len(table)))
        p = table[1 - first] if 0 < 1 - first < len(table) - 1 else 0
        if p < 3 * 2**22 or len(places) < 256:
            todo.append((places, table, symbols))
            continue
        s = [2**40]
        while s[-1] > 2**39 and len(s) <= 64:
            s.append(s[-1] * p // 2**24)
        c = [value // 2**16 for value in s]
        entries = [one - other for one, other in itertools.pairwise(c)] + [c[-1]]
        others, at = [], 0
        while at < len(places):
            zeros = entry(entries)
            at += zeros
            if zeros < len(entries) - 1:
                others.append(places[at])
                at += 1
        rest = table[: 1 - first] + table[2 - first :]
        scaled = [p * 2**24 // sum(rest) for p in rest]
        scaled[rest.index(max(rest))] += 2**24 - sum(scaled)
        symbols.remove(0)
        todo.append((others, scaled, symbols))
    for places, table, symbols in todo:
        for place in places:
            found[place] = symbols[entry(table)]
    assert (state, words) == (0, [])
    return found


def test_a_second_decoder_by_the_letter_agrees() -> None:
    tables = mostly_zeros(0.5, 0.8, 0.95)
    rng = np.random.default_rng(11)
    indexes = rng.integers(0, 3, 2500).astype(np.uint8)
    drawn = rng.choice([-1, 1], 2500) * (rng.random(2500) < np.array([0.5, 0.2, 0.05])[indexes])
    data = assert_comes_back(drawn.astype(np.int32), indexes, tables)
    assert by_the_letter(data, indexes, tables) == drawn.tolist()


def test_runs_beyond_the_end_are_an_error() -> None:
    """A run of zeros that reaches beyond its array cannot have another symbol after it."""
    indexes = np.full(300, 4, np.uint8)
    symbols = np.zeros(320, np.int32)
    symbols[[150, 310]] = 1
    encoder = Encoder()
    encoder.add(symbols, RARE.groups(np.full(320, 4, np.uint8)))
    with pytest.raises(CorruptError, match="after the last"):
        Decoder(encoder.finish()).take(RARE.groups(indexes))


def test_what_is_left_over_is_an_error() -> None:
    symbols, indexes = drawn(2000)
    decoder = Decoder(coded((symbols, indexes)))
    decoder.take(TABLES.groups(indexes[:1000]))
    with pytest.raises(CorruptError, match="more than"):
        decoder.finish()


def test_half_words_and_zero_ends_are_errors() -> None:
    with pytest.raises(CorruptError, match="whole words"):
        Decoder(b"\1\2\3")
    with pytest.raises(CorruptError, match="end"):
        Decoder(b"\1\0\0\0\0\0\0\0")


def test_random_words_never_crash_the_decoder() -> None:
    rng = np.random.default_rng(5)
    indexes = drawn(3000)[1]
    for length in (1, 2, 50, 500):
        for _ in range(20):
            words = rng.integers(1, 2**32, length, dtype=np.uint32).astype("<u4").tobytes()
            try:
                decoder = Decoder(words)
                symbols = decoder.take(TABLES.groups(indexes))
                decoder.finish()
            except CorruptError:
                continue
            assert symbols.shape == indexes.shape


@pytest.mark.parametrize(
    ("probabilities", "lengths", "first", "fault"),
    [
        ([2**23, 2**23], [2], [0], "lengths"),
        ([2**23, 0, 2**23], [3], [0], "below 1"),
        ([2**23, 1, 2**23], [3], [0], "sum"),
        ([2**23 - 1, 2, 2**23 - 1], [3], [0, 1], "each with its first"),
        ([2**23 - 1, 2, 2**23 - 1], [4], [0], "lengths"),
    ],
)
def test_impossible_tables_are_refused(
    probabilities: list[int], lengths: list[int], first: list[int], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        TableSet(
            np.array(probabilities, np.uint32),
            np.array(lengths, np.int32),
            np.array(first, np.int32),
        )


def test_an_index_beyond_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the last table"):
        coded((np.zeros(3, np.int32), np.array([1, 2, 77], np.uint8)))
