"""Feature maps of a whole picture, computed cell by cell, for views that look across cells."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aecodec.coding.cells import CellCache
from aecodec.geometry import Box, Grid

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
        Box(x, y, min(side, WIDTH - x), min(side, HEIGHT - y)).grown(margin, (HEIGHT, WIDTH))
        for y in range(0, HEIGHT, side)
        for x in range(0, WIDTH, side)
    ]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("unit", [8, 16])
def test_a_view_shows_what_the_cells_hold(unit: int, channels_last: bool) -> None:
    boxes = [*views(16), *views(32), Box(64, 64, 64, 64), Box(0, 0, WIDTH, HEIGHT)]
    source = Source(unit, channels_last=channels_last)
    cache = CellCache(GRID, unit, source, boxes, channels_last=channels_last)
    for box in boxes:
        seen = cache.read(box)
        np.testing.assert_array_equal(seen.transpose(2, 0, 1) if channels_last else seen,
                                      source.cut(box))  # fmt: skip
    assert sorted(source.computed) == list(range(len(GRID)))  # each once


def test_cells_are_freed_after_their_last_reader() -> None:
    boxes = views(16)
    cache = CellCache(GRID, 8, Source(), boxes)
    left = cache.count
    assert left == len(GRID) and not cache._found
    most = 0
    for box in boxes:
        cache.read(box)
        most = max(most, len(cache._found))
        assert cache.count <= left
        left = cache.count
    assert not cache._found and left == 0
    assert most < len(GRID)


def test_what_nobody_is_to_read_is_not_computed() -> None:
    view = Box(64, 64, 64, 64)
    source = Source()
    cache = CellCache(GRID, 8, source, [view])
    (cell,) = GRID.touching(view)
    for number in range(len(GRID)):
        cache.prepare(number)
    assert source.computed == [cell]
    cache.read(view)
    cache.prepare(cell)  # late, by a thread that had no time before
    assert source.computed == [cell] and not cache._found


def test_nothing_beyond_the_bounds_is_computed() -> None:
    boxes = [Box(80, 48, 96, 48), Box(128, 80, 64, 32)]
    bounds = Box.around(boxes)
    assert bounds == (80, 48, 112, 64)
    found: list[Box] = []
    source = Source()

    def compute(number: int, box: Box) -> np.ndarray:
        found.append(box)
        return source(number, box)

    cache = CellCache(GRID, 8, compute, boxes, bounds=bounds)
    for box in boxes:
        np.testing.assert_array_equal(cache.read(box), source.cut(box))
    assert sum(w * h for _, _, w, h in found) == bounds[2] * bounds[3]
    assert all(box.common(bounds) == box for box in found)


def test_threads_share_cells() -> None:
    """Each is computed once, though eight threads want them at once; none waits for ever."""
    boxes = views(48, 64)
    source, gate = Source(), threading.Event()

    def slow(number: int, box: Box) -> np.ndarray:
        gate.wait(10)
        return source(number, box)

    cache = CellCache(GRID, 8, slow, boxes)
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(cache.read, box) for box in boxes]
        gate.set()
        for box, one in zip(boxes, reads, strict=True):
            np.testing.assert_array_equal(one.result(30), source.cut(box))
    assert sorted(source.computed) == list(range(len(GRID))) and not cache._found


def test_computing_a_cell_may_read_another_cache() -> None:
    """Two stages, of other cells, by threads: as the synthesis looks at the tiles' latents."""
    first, last = Source(16), views(8, 64)
    coarse = Grid(WIDTH, HEIGHT, 128, 128)

    def seen(box: Box) -> Box:
        return box.grown(32, (HEIGHT, WIDTH))

    inner = [seen(coarse.box(number)) for number in range(len(coarse))]
    below = CellCache(GRID, 16, first, inner)

    def compute(_: int, box: Box) -> np.ndarray:
        view = seen(box)
        x, y, w, h = (n // 16 for n in box.within(view))
        part = below.read(view)[:, y : y + h, x : x + w]
        return part.repeat(2, axis=1).repeat(2, axis=2)

    above = CellCache(coarse, 8, compute, last)
    whole = first.whole.repeat(2, axis=1).repeat(2, axis=2)
    with ThreadPoolExecutor(4) as pool:
        for box in last:
            above.begin(box, pool.submit)
        for box, found in zip(last, pool.map(above.read, last), strict=True):
            x, y, w, h = (n // 8 for n in box)
            np.testing.assert_array_equal(found, whole[:, y : y + h, x : x + w])
    assert sorted(first.computed) == list(range(len(GRID)))
    assert not above._found and not below._found


def test_begin_hands_out_each_cell_once() -> None:
    cache = CellCache(GRID, 8, Source(), views(16))
    handed: list[int] = []
    for box in views(16):
        cache.begin(box, lambda _, number: handed.append(number))
    assert sorted(handed) == list(range(len(GRID)))


def test_a_fault_reaches_all_who_wait() -> None:
    started, go = threading.Event(), threading.Event()

    def broken(number: int, box: Box) -> np.ndarray:
        started.set()
        go.wait(10)
        raise ValueError("damaged")

    view = Box(0, 0, 64, 64)
    cache = CellCache(GRID, 8, broken, [view, view])
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(cache.read, view)
        assert started.wait(10)
        other = pool.submit(cache.read, view)
        go.set()
        for reader in (one, other):
            with pytest.raises(ValueError, match="damaged"):
                reader.result(10)
