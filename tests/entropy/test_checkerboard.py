"""A step's elements in one row: the same ones, in the same order, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aecodec.entropy.checkerboard import Checkerboard
from aecodec.model.autoencoder import step_masks

SHAPES = [(6, 5, 4), (6, 4, 5), (6, 5, 5), (5, 4, 6), (5, 3, 3), (1, 1, 1), (2, 1, 1), (3, 1, 6)]


def naive_order(m: int, h: int, w: int, step: int) -> list[tuple[int, int, int]]:
    """The elements of a step, one by one, by the text of `checkerboard.py`."""
    return [
        (c, i, j)
        for start in (0, 1)
        for c in range(start, m, 2)
        for i in range(h)
        for j in range(w)
        if (c + i + j) % 2 == step
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_hold_the_elements_in_the_order_of_the_format(shape: tuple[int, int, int]) -> None:
    board = Checkerboard(*shape)
    array = np.arange(np.prod(shape)).reshape(shape)
    for step in (0, 1):
        expected = [array[place] for place in naive_order(*shape, step)]
        assert board.sizes[step] == len(expected)
        assert board.row(array, step).tolist() == expected
        # Of a part of a larger array as well.
        wide = np.pad(array, ((0, 0), (0, 2), (0, 3)))
        assert board.row(wide[:, : shape[1], : shape[2]], step).tolist() == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_give_the_array_back(shape: tuple[int, int, int]) -> None:
    board = Checkerboard(*shape)
    array = np.random.default_rng(1).normal(size=shape)
    rows = [board.row(array, step) for step in (0, 1)]
    assert np.array_equal(board.whole(*rows), array)
    alone = board.whole(rows[0])
    for place in np.ndindex(shape):
        assert alone[place] == (array[place] if sum(place) % 2 == 0 else 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_are_views_of_one_parity(shape: tuple[int, int, int]) -> None:
    _, h, w = shape
    board = Checkerboard(*shape)
    parity = board.parity()
    assert parity.tolist() == [[(i + j) % 2 for j in range(w)] for i in range(h)]
    array = np.arange(np.prod(shape)).reshape(shape)
    for step in (0, 1):
        row = board.row(array, step)
        for channels, places, block in board.blocks(row, step):
            assert np.array_equal(block, array[channels][:, parity == places])
            block[:] = -1
        assert (row == -1).all()


def test_training_has_the_same_steps() -> None:
    shape = (6, 5, 4)
    first, parity = step_masks(torch.zeros(1, *shape))
    board = Checkerboard(*shape)
    ones = board.whole(np.ones(board.sizes[0], np.bool_))
    assert np.array_equal(first[0].numpy(), ones)
    assert np.array_equal(parity[0, 0].numpy(), board.parity())
    # Every element of step 1 has its channel's four neighbours in step 0.
    inner = ones[:, 1:-1, 1:-1]
    for neighbour in (ones[:, :-2, 1:-1], ones[:, 2:, 1:-1], ones[:, 1:-1, :-2], ones[:, 1:-1, 2:]):
        assert np.array_equal(neighbour, ~inner)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_row_of_the_first_channels_is_a_part_of_the_row(shape: tuple[int, int, int]) -> None:
    board = Checkerboard(*shape)
    array = np.random.default_rng(2).normal(size=shape)
    for channels in range(1, shape[0] + 1):
        few = Checkerboard(channels, *shape[1:])
        for step in (0, 1):
            expected = few.row(array[:channels], step)
            assert np.array_equal(board.first(board.row(array, step), step, channels), expected)
