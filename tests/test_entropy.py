"""Tables and the ANS coder: every symbol comes back, at the price that the tables say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.entropy import PRECISION, SYMBOL_LIMIT, Decoder, Encoder, TableSet
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
        encoder.add(symbols, TABLES.groups(indexes), TABLES)
    return encoder.finish()


def test_several_arrays_come_back_in_order() -> None:
    one, two = drawn(5000, 1), drawn(777, 2)
    decoder = Decoder(coded(one, two))
    assert np.array_equal(decoder.take(one[1], TABLES), one[0])
    assert np.array_equal(decoder.take(two[1], TABLES), two[0])
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
    assert tables.bits(symbols, groups) == pytest.approx(2000.0, rel=1e-3)
    encoder = Encoder()
    encoder.add(symbols, groups, tables)
    decoder = Decoder(encoder.finish())
    assert np.array_equal(decoder.take(indexes, tables), symbols)
    decoder.finish()


def test_real_bytes_are_what_the_tables_promise() -> None:
    for count in (10, 1000, 200_000):
        symbols, indexes = drawn(count)
        estimate = TABLES.bits(symbols, TABLES.groups(indexes)) / 8.0
        assert abs(len(coded((symbols, indexes))) - estimate) <= 0.01 * estimate + 64


def test_the_estimate_is_the_entropy_of_the_table() -> None:
    tables = TableSet(
        np.array([1 << 22, 1 << 23, 1 << 22], np.uint32),
        np.array([3], np.int32),
        np.array([7], np.int32),
    )
    zeros = np.zeros(100, np.uint8)
    assert tables.bits(np.full(100, 7, np.int32), tables.groups(zeros)) == pytest.approx(100.0)
    # An escape by one: two bits for the escape, five for a bit count of 0.
    assert tables.bits(np.full(100, 8, np.int32), tables.groups(zeros)) == pytest.approx(700.0)


@pytest.mark.parametrize("value", [41, 100_000, 2**16, 2**20 - 1, SYMBOL_LIMIT - 1])
@pytest.mark.parametrize("table", range(1, len(TABLES)))
def test_escapes_hold_any_magnitude(value: int, table: int) -> None:
    symbols = np.array([0, value, -value, 1, -1, value], np.int32)
    indexes = np.full(6, table, np.uint8)
    decoder = Decoder(coded((symbols, indexes)))
    assert np.array_equal(decoder.take(indexes, TABLES), symbols)
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
    assert np.array_equal(decoder.take(indexes, TABLES), symbols)
    decoder.finish()


def test_an_empty_table_costs_nothing() -> None:
    zeros = np.zeros(10_000, np.int32)
    data = coded((zeros, np.zeros(10_000, np.uint8)))
    assert data == b""
    assert not Decoder(data).take(np.zeros(10_000, np.uint8), TABLES).any()


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
    encoder.add(symbols, tables.groups(indexes), tables)
    assert encoder.finish().hex() == GOLDEN


GOLDEN = "d83c91fbad281400"


def test_what_is_left_over_is_an_error() -> None:
    symbols, indexes = drawn(2000)
    decoder = Decoder(coded((symbols, indexes)))
    decoder.take(indexes[:1000], TABLES)
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
                symbols = decoder.take(indexes, TABLES)
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


def test_thresholds_rise_with_what_a_symbol_costs() -> None:
    least = TABLES.thresholds
    assert np.isinf(least[0])  # the empty table: nothing may be coded
    assert 0.55 < least[1] < 0.8  # nearly always zero: anything else is dear
    assert (np.diff(least[1:]) <= 0).all()
    assert least[-1] == pytest.approx(0.5, abs=1e-3)  # as good as uniform around zero
