"""Fields: what a stage makes of a whole picture, cell by cell, for views that look across cells."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aecodec.coding.fields import Box, Field, Grid, around, common, grown, within

WIDTH, HEIGHT = 336, 208
GRID = Grid(WIDTH, HEIGHT, 64, 64)


def picture(unit: int) -> np.ndarray:
    """(2,h,w): a value of its own for every element."""
    return np.arange(2 * (HEIGHT // unit) * (WIDTH // unit), dtype=np.float32).reshape(
        2, HEIGHT // unit, WIDTH // unit
    )


class Source:
    """Computes cells by cutting them out, and counts how often."""

    def __init__(self, unit: int = 8, *, channels_last: bool = False) -> None:
        self.whole, self.unit, self.last = picture(unit), unit, channels_last
        self.computed: list[int] = []

    def __call__(self, number: int, box: Box) -> np.ndarray:
        self.computed.append(number)
        cell = self.cut(box)
        return cell.transpose(1, 2, 0) if self.last else cell

    def cut(self, box: Box) -> np.ndarray:
        x, y, w, h = (n // self.unit for n in box)
        return self.whole[:, y : y + h, x : x + w]


def views(margin: int, side: int = 96) -> list[Box]:
    """Boxes that cover the picture, and overlap."""
    return [
        grown((x, y, min(side, WIDTH - x), min(side, HEIGHT - y)), margin, (HEIGHT, WIDTH))
        for y in range(0, HEIGHT, side)
        for x in range(0, WIDTH, side)
    ]


def test_cells_cover_the_picture_once() -> None:
    covered = np.zeros((HEIGHT, WIDTH), int)
    for number in range(len(GRID)):
        x, y, w, h = GRID.box(number)
        covered[y : y + h, x : x + w] += 1
    assert (covered == 1).all() and len(GRID) == 6 * 4


def test_touching_names_the_cells_that_share_pixels_with_a_box() -> None:
    for box in (*views(0), *views(24), (63, 64, 2, 1), (335, 207, 1, 1), (64, 0, 64, 64)):
        shared = [n for n in range(len(GRID)) if common(GRID.box(n), box)]
        assert GRID.touching(box) == shared


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("unit", [8, 16])
def test_a_view_shows_what_the_cells_hold(unit: int, channels_last: bool) -> None:
    boxes = [*views(16), *views(32), (64, 64, 64, 64), (0, 0, WIDTH, HEIGHT)]
    source = Source(unit, channels_last=channels_last)
    field = Field(GRID, unit, source, boxes, channels_last=channels_last)
    for box in boxes:
        seen = field.look(box)
        np.testing.assert_array_equal(seen.transpose(2, 0, 1) if channels_last else seen,
                                      source.cut(box))  # fmt: skip
    assert sorted(source.computed) == list(range(len(GRID)))  # each once


def test_cells_are_forgotten_after_the_last_look() -> None:
    boxes = views(16)
    field = Field(GRID, 8, Source(), boxes)
    left = field.count
    assert left == len(GRID) and not field._found
    most = 0
    for box in boxes:
        field.look(box)
        most = max(most, len(field._found))
        assert field.count <= left
        left = field.count
    assert not field._found and left == 0
    assert most < len(GRID)


def test_what_nobody_is_to_look_at_is_not_computed() -> None:
    view = (64, 64, 64, 64)
    source = Source()
    field = Field(GRID, 8, source, [view])
    (cell,) = GRID.touching(view)
    for number in range(len(GRID)):
        field.prepare(number)
    assert source.computed == [cell]
    field.look(view)
    field.prepare(cell)  # late, by a thread that had no time before
    assert source.computed == [cell] and not field._found


def test_nothing_beyond_the_bounds_is_computed() -> None:
    boxes = [(80, 48, 96, 48), (128, 80, 64, 32)]
    bounds = around(boxes)
    assert bounds == (80, 48, 112, 64)
    found: list[Box] = []
    source = Source()

    def compute(number: int, box: Box) -> np.ndarray:
        found.append(box)
        return source(number, box)

    field = Field(GRID, 8, compute, boxes, bounds=bounds)
    for box in boxes:
        np.testing.assert_array_equal(field.look(box), source.cut(box))
    assert sum(w * h for _, _, w, h in found) == bounds[2] * bounds[3]
    assert all(common(box, bounds) == box for box in found)


def test_threads_share_cells() -> None:
    """Each is computed once, though eight threads want them at once; none waits for ever."""
    boxes = views(48, 64)
    source, gate = Source(), threading.Event()

    def slow(number: int, box: Box) -> np.ndarray:
        gate.wait(10)
        return source(number, box)

    field = Field(GRID, 8, slow, boxes)
    with ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(field.look, box) for box in boxes]
        gate.set()
        for box, look in zip(boxes, looks, strict=True):
            np.testing.assert_array_equal(look.result(30), source.cut(box))
    assert sorted(source.computed) == list(range(len(GRID))) and not field._found


def test_a_field_may_look_at_another() -> None:
    """Two stages, of other cells, by threads: as the synthesis looks at the tiles' latents."""
    first, last = Source(16), views(8, 64)
    coarse = Grid(WIDTH, HEIGHT, 128, 128)

    def seen(box: Box) -> Box:
        return grown(box, 32, (HEIGHT, WIDTH))

    inner = [seen(coarse.box(number)) for number in range(len(coarse))]
    below = Field(GRID, 16, first, inner)

    def compute(_: int, box: Box) -> np.ndarray:
        view = seen(box)
        x, y, w, h = (n // 16 for n in within(box, view))
        part = below.look(view)[:, y : y + h, x : x + w]
        return part.repeat(2, axis=1).repeat(2, axis=2)

    above = Field(coarse, 8, compute, last)
    whole = first.whole.repeat(2, axis=1).repeat(2, axis=2)
    with ThreadPoolExecutor(4) as pool:
        for box in last:
            above.begin(box, pool.submit)
        for box, found in zip(last, pool.map(above.look, last), strict=True):
            x, y, w, h = (n // 8 for n in box)
            np.testing.assert_array_equal(found, whole[:, y : y + h, x : x + w])
    assert sorted(first.computed) == list(range(len(GRID)))
    assert not above._found and not below._found


def test_begin_hands_out_each_cell_once() -> None:
    field = Field(GRID, 8, Source(), views(16))
    handed: list[int] = []
    for box in views(16):
        field.begin(box, lambda _, number: handed.append(number))
    assert sorted(handed) == list(range(len(GRID)))


def test_a_fault_reaches_all_who_wait() -> None:
    started, go = threading.Event(), threading.Event()

    def broken(number: int, box: Box) -> np.ndarray:
        started.set()
        go.wait(10)
        raise ValueError("damaged")

    view = (0, 0, 64, 64)
    field = Field(GRID, 8, broken, [view, view])
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(field.look, view)
        assert started.wait(10)
        other = pool.submit(field.look, view)
        go.set()
        for look in (one, other):
            with pytest.raises(ValueError, match="damaged"):
                look.result(10)
