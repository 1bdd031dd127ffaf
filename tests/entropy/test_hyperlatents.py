"""The order of z_hat, and what its second half is predicted from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.entropy.coder import SYMBOL_LIMIT, Decoder, Encoder
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.hyperlatents import SLOPE_BITS, HyperTables, neighbours, second_half
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError

CHANNELS = 3


def hyper_tables(slope: list[int]) -> HyperTables:
    """Narrow tables of two halves, each of another shape: most symbols escape."""
    parts = [np.array([1, 10 + t, 200, 10, 5], float) for t in range(2 * CHANNELS)]
    made = [np.floor(p / p.sum() * 2**PRECISION).astype(np.int64) for p in parts]
    for part in made:
        part[2] += 2**PRECISION - part.sum()
    tables = TableSet(
        np.concatenate(made).astype(np.uint32),
        np.full(2 * CHANNELS, 5, np.int32),
        np.array([-1, 0, -2, -1, 1, 0], np.int32),
    )
    return HyperTables(tables, np.array(slope, np.int32))


def predicted(z_hat: np.ndarray, slope: list[int], c: int, i: int, j: int) -> int:
    """By the letter of docs/format.md, with Python's integers."""
    _, h, w = z_hat.shape
    near = [(i, j - 1), (i, j + 1), (i - 1, j), (i + 1, j)]
    known = [int(z_hat[c, a, b]) for a, b in near if 0 <= a < h and 0 <= b < w]
    return (slope[c] * sum(known) * 12 // len(known) + 6 * 2**SLOPE_BITS) // (12 * 2**SLOPE_BITS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 5), (3, 3), (4, 7), (6, 4)])
def test_the_second_half_is_predicted_as_the_format_says(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    slope = [180, -77, 0]
    z_hat = np.rint(rng.normal(0, 9, (CHANNELS, *shape))).astype(np.int32)
    (first, groups0), (second, groups1) = hyper_tables(slope).rows(z_hat)
    places = [(c, i, j) for c in range(CHANNELS) for i in range(shape[0]) for j in range(shape[1])]
    even = [p for p in places if (p[1] + p[2]) % 2 == 0]
    odd = [p for p in places if (p[1] + p[2]) % 2 == 1]
    assert first.tolist() == [z_hat[p] for p in even]
    assert groups0.indexes.tolist() == [c for c, _, _ in even]
    # The tables ascend: what stands channel after channel is grouped already.
    for groups in (groups0, groups1):
        expected = groups.tables.groups(groups.indexes)
        assert groups.order.tolist() == expected.order.tolist()
        assert groups.parts == expected.parts
    assert second.tolist() == [z_hat[p] - predicted(z_hat, slope, *p) for p in odd]
    assert groups1.indexes.tolist() == [CHANNELS + c for c, _, _ in odd]


def test_neighbours_outside_do_not_count() -> None:
    z_hat = np.array([[[5, 0, 7], [0, -1, 0], [2, 0, 8]]])
    assert neighbours(z_hat).tolist() == [[44, 24, 56, 36]]
    assert neighbours(np.array([[[3], [0], [4], [0]]])).tolist() == [[42, 48]]
    assert neighbours(np.array([[[3]]])).tolist() == [[]]
    assert second_half(2, 3).tolist() == [[False, True, False], [True, False, True]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.integers(-256, 256), min_size=CHANNELS, max_size=CHANNELS),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.4, 3.0, 1e4, 1e8]),
)
def test_what_is_coded_comes_back(h: int, w: int, slope: list[int], seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    z_hat = np.rint(rng.normal(0, size, (CHANNELS, h, w))).astype(np.int32)
    made = hyper_tables(slope)
    encoder = Encoder()
    made.encode(encoder, z_hat)
    decoder = Decoder(encoder.finish())
    assert np.array_equal(made.decode(decoder, h, w), z_hat)
    decoder.finish()


def test_costs_stand_where_their_elements_do() -> None:
    made = hyper_tables([0, 0, 0])
    zeros = np.zeros((CHANNELS, 4, 5), np.int32)
    costs, second = made.costs(zeros), second_half(4, 5)
    for t in (0, 2, 3, 5):  # the other tables begin above 0
        share = made.tables.table(t)[1 - made.tables.first[t]] / 2**PRECISION
        found = costs[t % CHANNELS][second if t >= CHANNELS else ~second]
        assert np.allclose(found, -np.log2(share), atol=1e-4)
    alone = HyperTables(made.tables, np.array([256], np.int32))
    z_hat = np.array([[[1, 1], [1, 1]]], np.int32)  # predicted without an error: no escapes
    assert alone.costs(z_hat).sum() == pytest.approx(alone.bits(z_hat), rel=1e-5)


def test_values_beyond_the_limit_are_damage() -> None:
    """Residuals within the limit whose sum with their prediction is beyond it."""
    made = hyper_tables([256, 256, 256])
    large = SYMBOL_LIMIT - 1
    encoder = Encoder()
    for count, half in ((2, 0), (2, 1)):
        symbols = np.full(CHANNELS * count, large, np.int32)
        encoder.add(symbols, made._groups(half, count))
    with pytest.raises(CorruptError, match="beyond"):
        made.decode(Decoder(encoder.finish()), 2, 2)
