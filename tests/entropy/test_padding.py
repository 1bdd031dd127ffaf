"""What stands beyond a tile's borders, held against the definition, element by element."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aecodec.entropy.padding import ALONE, Sides, reflected, repeated
from aecodec.geometry import Box

EVERY = [Sides(*some) for some in itertools.product((False, True), repeat=4)]


def test_tiles_of_a_picture_have_neighbours_inside() -> None:
    assert Sides.of(Box(0, 0, 100, 80), (80, 100, 3)) == ALONE
    assert Sides.of(Box(0, 0, 64, 80), (80, 100)) == Sides(right=True)
    assert Sides.of(Box(64, 0, 36, 64), (80, 100)) == Sides(bottom=True, left=True)
    assert Sides.of(Box(64, 64, 64, 64), (192, 192)) == Sides(True, True, True, True)


@pytest.mark.parametrize("sides", EVERY)
@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 2, 5), (3, 4, 2)])
def test_the_outermost_elements_are_repeated(sides: Sides, shape: tuple[int, int, int]) -> None:
    a = np.random.default_rng(0).integers(0, 100, shape)
    found = repeated(a, sides)
    _, h, w = shape
    rows = [min(max(i, 0), h - 1) for i in range(-sides.top, h + sides.bottom)]
    columns = [min(max(j, 0), w - 1) for j in range(-sides.left, w + sides.right)]
    assert np.array_equal(found, a[:, rows][:, :, columns])


def mirrored(i: int, size: int) -> int:
    """The place inside that stands for place i."""
    while size > 1 and not 0 <= i < size:
        i = -i if i < 0 else 2 * (size - 1) - i
    return i if size > 1 else 0


@pytest.mark.parametrize("sides", EVERY)
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (4, 8)])
def test_rows_and_columns_are_reflected(
    sides: Sides, n: int, axis: int, size: tuple[int, int]
) -> None:
    shape = (*size, 2) if axis == 0 else (2, *size)
    a = np.random.default_rng(1).integers(0, 100, shape)
    rows, columns = (
        [mirrored(i, length) for i in range(-n * before, length + n * after)]
        for length, before, after in ((size[0], *sides[:2]), (size[1], *sides[2:]))
    )
    expected = a.take(rows, axis).take(columns, axis + 1)
    assert np.array_equal(reflected(a, sides, n, axis), expected)


def test_what_is_reflected_keeps_the_checkerboard() -> None:
    i, j = np.ogrid[:6, :7]
    board = ((i + j) % 2)[None]
    i, j = np.ogrid[-2:8, -2:9]
    assert np.array_equal(reflected(board, Sides(True, True, True, True), 2), ((i + j) % 2)[None])


@pytest.mark.parametrize("sides", EVERY)
def test_training_does_the_same(sides: Sides) -> None:
    torch = pytest.importorskip("torch")
    from aecodec.model import layers

    a = np.random.default_rng(2).normal(size=(3, 8, 12)).astype(np.float32)
    x = torch.from_numpy(a)[None]
    assert np.array_equal(layers.repeated(x, sides)[0].numpy(), repeated(a, sides))
    for n in (1, 2, 4, 8):
        longer = layers.reflected(x, sides, n)
        assert np.array_equal(longer[0].numpy(), reflected(a, sides, n))
        assert torch.equal(layers.within(longer, sides, n), x)
