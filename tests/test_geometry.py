"""Boxes and grids, held against the sets of pixels that they stand for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aecodec.geometry import Box, Grid, ceil_div, even_part, padded

SHAPE = (37, 53)
BOXES = [
    Box(0, 0, 53, 37),
    Box(5, 9, 16, 7),
    Box(20, 15, 33, 22),
    Box(52, 36, 1, 1),
    Box(5, 0, 1, 9),
]


def pixels(box: Box | None) -> set[tuple[int, int]]:
    """(x, y) of every pixel."""
    if box is None:
        return set()
    return {(box.x + i, box.y + j) for i in range(box.w) for j in range(box.h)}


@pytest.mark.parametrize(("one", "other"), list(itertools.product(BOXES, BOXES)))
def test_two_boxes(one: Box, other: Box) -> None:
    assert pixels(one.common(other)) == pixels(one) & pixels(other)
    around = Box.around([one, other])
    assert pixels(around) >= pixels(one) | pixels(other)
    for corner in (min, max):  # no smaller one would do
        xs, ys = zip(*(corner(pixels(box)) for box in (one, other)), strict=True)
        assert (corner(xs), corner(ys)) == corner(pixels(around))
    moved = one.within(other)
    assert {(x + other.x, y + other.y) for x, y in pixels(moved)} == pixels(one)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("margin", [0, 3, 100])
def test_a_margin_ends_with_the_picture(box: Box, margin: int) -> None:
    near = {
        (x, y)
        for x, y in pixels(Box.of(SHAPE))
        if box.x - margin <= x < box.x + box.w + margin
        and box.y - margin <= y < box.y + box.h + margin
    }
    assert pixels(box.grown(margin, SHAPE)) == near


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("unit", [1, 4, 16])
def test_aligned_boxes_are_whole_cells_and_no_more(box: Box, unit: int) -> None:
    cells = {(x // unit, y // unit) for x, y in pixels(box)}
    whole = pixels(box.aligned(unit))
    assert {(x // unit, y // unit) for x, y in whole} == cells
    assert len(whole) == len(cells) * unit**2
    array = np.zeros((64 // unit, 64 // unit), bool)
    array[box.aligned(unit).slices(unit)] = True
    assert {(int(x), int(y)) for y, x in np.argwhere(array)} == cells


def test_slices_and_latents_are_the_boxs() -> None:
    array = np.arange(37 * 53).reshape(37, 53)
    x, y, w, h = box = BOXES[2]
    assert np.array_equal(array[box.slices()], array[y : y + h, x : x + w])
    v_hat = np.arange(3 * 8 * 8).reshape(3, 8, 8)
    assert np.array_equal(v_hat[Box(32, 48, 40, 16).latents], v_hat[:, 3:4, 2:5])


def test_padded_and_even() -> None:
    assert padded((1, 16, 3)) == (16, 16) and padded((17, 33), 8) == (24, 40)
    for side, count in itertools.product(range(1, 700, 13), range(1, 6)):
        part = even_part(side, count)
        assert part % 64 == 0 and part * count >= side > (part - 64) * count - 64 * count
        assert (part - 64) * count < side
    assert [ceil_div(n, 4) for n in (0, 1, 4, 5, 8)] == [0, 1, 1, 2, 2]


def test_cells_cover_the_picture_once() -> None:
    grid = Grid(336, 208, 64, 64)
    covered = np.zeros(grid.shape, int)
    for box in grid:
        covered[box.slices()] += 1
    assert (covered == 1).all() and len(grid) == len(list(grid)) == 6 * 4
    assert list(grid) == [grid.box(number) for number in range(len(grid))]


def test_touching_names_the_cells_that_share_pixels_with_a_box() -> None:
    grid = Grid(336, 208, 64, 64)
    odd = Box(63, 64, 2, 1), Box(335, 207, 1, 1), Box(64, 0, 64, 64), Box.of(grid.shape)
    sides = itertools.product(range(0, 336, 96), range(0, 208, 96), (0, 24))
    views = [Box(x, y, 96, 96).grown(margin, grid.shape) for x, y, margin in sides]
    for box in (*views, *odd):
        shared = [n for n in range(len(grid)) if grid.box(n).common(box)]
        assert grid.touching(box) == shared


@pytest.mark.parametrize("pixels", [64 * 64, 768 * 768, 1024 * 1024])
@pytest.mark.parametrize("margin", [16, 96])
def test_parts_cover_a_box_once_and_are_small(pixels: int, margin: int) -> None:
    for w, h in itertools.product((1, 64, 65, 500, 768, 1000, 3000), repeat=2):
        parts = Box(128, 64, w, h).parts(pixels, margin)
        count = np.zeros((h, w), np.uint8)
        for x, y, width, height in parts:
            assert 0 < width * height <= pixels and (x % 64, y % 64) == (0, 0)
            count[y - 64 : y - 64 + height, x - 128 : x - 128 + width] += 1
        assert (count == 1).all()
        assert parts == sorted(parts, key=lambda part: (part.y, part.x))


def test_parts_are_few_and_square() -> None:
    """Their margins are computed twice."""
    assert Box(0, 0, 768, 768).parts(768 * 768, 64) == [(0, 0, 768, 768)]
    halves = [(0, 0, 1000, 512), (0, 512, 1000, 488)]
    assert Box(0, 0, 1000, 1000).parts(768 * 768, 64) == halves
    thousands = Box(0, 0, 12000, 9000).parts(768 * 768, 64)
    assert thousands[0] == (0, 0, 768, 768) and len(thousands) == 16 * 12
    assert len(Box(0, 0, 2**20, 16).parts(768 * 768, 64)) == 114  # a ribbon


@pytest.mark.parametrize("height", [64, 128, 512])
def test_strips_cover_a_box_from_top_to_bottom(height: int) -> None:
    for h in (1, 63, 64, 65, 500, 513):
        strips = Box(16, 32, 40, h).strips(height)
        assert Box.around(strips) == (16, 32, 40, h)
        assert sum(strip.h for strip in strips) == h and max(strip.h for strip in strips) <= height
        assert [strip.y for strip in strips] == sorted(strip.y for strip in strips)
