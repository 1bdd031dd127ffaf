"""The types of arrays, and what works on arrays of any kind."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aecodec.arrays import edge_padded


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 64), st.integers(0, 64))
def test_padding_repeats_the_edge(height: int, width: int, down: int, right: int) -> None:
    rgb = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    padded = edge_padded(rgb, height + down, width + right, 0)
    assert padded.shape == (height + down, width + right, 3)
    np.testing.assert_array_equal(padded[:height, :width], rgb)
    rows = np.minimum(np.arange(height + down), height - 1)
    columns = np.minimum(np.arange(width + right), width - 1)
    np.testing.assert_array_equal(padded, rgb[rows][:, columns])


def test_padding_copies_nothing_where_nothing_is_added() -> None:
    rgb = np.zeros((16, 32, 3), np.uint8)
    assert edge_padded(rgb, 16, 32, 0) is rgb
    assert edge_padded(rgb[..., 0], 64, 64, 0).shape == (64, 64)
