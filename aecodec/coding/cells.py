"""A feature map of a whole picture, computed lazily in cells that threads share.

A network that runs on a part of a picture needs a margin, because its layers have a receptive
field. The next part would compute the margin again. So the transforms run in two stages: the output
of the first stage is shared by all parts of the second stage, and each stage needs the margin of
its own layers alone. A cell is computed by the thread that first reads it, and freed after its last
reader, so a few rows of a large picture are in memory.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aecodec.geometry import Box, Grid, ceil_div

if TYPE_CHECKING:
    from concurrent.futures import Future

    from aecodec.arrays import Floats

__all__ = ["CellCache"]


class CellCache:
    """The output of `compute(number, box)` for each cell of a grid. Safe to share between threads.

    It is an array (C,h/unit,w/unit), or (h/unit,w/unit,C) with `channels_last`, for the box. Boxes
    begin at multiples of `unit` pixels. `views` are the boxes that will be read, each of them once.
    Nothing outside `bounds`, which contains all of them, is computed.

    A thread that waits for a cell of another thread waits for nothing else. Computing a cell may
    read another cache, if that one never reads this one.
    """

    def __init__(
        self,
        grid: Grid,
        unit: int,
        compute: Callable[[int, Box], Floats],
        views: Iterable[Box],
        *,
        bounds: Box | None = None,
        channels_last: bool = False,
    ) -> None:
        self.grid = grid
        self._unit = unit
        self._compute = compute
        self._bounds = bounds
        self._last = channels_last
        self._lock = threading.Lock()
        self._readers = Counter(number for view in views for number in grid.touching(view))
        self._found: dict[int, Future[Floats]] = {}
        self._begun: set[int] = set()

    @property
    def count(self) -> int:
        """The number of cells that are still to be read."""
        return len(+self._readers)

    def box(self, number: int) -> Box:
        """The pixels of a cell that are computed."""
        box = self.grid.box(number)
        return box if self._bounds is None else box.common(self._bounds) or box

    def begin(self, view: Box, submit: Callable[..., object]) -> None:
        """Have threads compute the cells of a view: `submit(prepare, number)`, once a cell.

        Only the thread that plans the work calls this.
        """
        for number in self.grid.touching(view):
            if number not in self._begun:
                self._begun.add(number)
                submit(self.prepare, number)

    def prepare(self, number: int) -> None:
        """Compute a cell, unless it is done or begun, or no reader is left."""
        from concurrent.futures import Future

        with self._lock:
            if number in self._found or not self._readers[number]:
                return
            found = self._found[number] = Future()
        try:
            found.set_result(self._compute(number, self.box(number)))
        except BaseException as error:
            found.set_exception(error)  # else others would wait for it for ever
            raise

    def forget(self) -> None:
        """Free all cells after a fault.

        Their exceptions and their results refer to each other, so they would stay in memory until
        Python collects cycles.
        """
        with self._lock:
            self._found.clear()

    def read(self, view: Box) -> Floats:
        """The array of the pixels `view`, which is one of the views. Do not write to it."""
        import numpy as np

        numbers = self.grid.touching(view)
        # Cells that other threads compute come last: they may be done by then.
        for number in numbers:
            self.prepare(number)
        cells = [self._found[number].result() for number in numbers]
        if len(cells) == 1 and self.box(numbers[0]) == view:
            found = cells[0]
        else:
            rows, columns = ceil_div(view.h, self._unit), ceil_div(view.w, self._unit)
            shape = list(cells[0].shape)
            shape[slice(0, 2) if self._last else slice(1, 3)] = rows, columns
            found = np.empty(shape, np.float32)
            for number, cell in zip(numbers, cells, strict=True):
                box = self.box(number)
                both = box.common(view) or box
                here, there = self._places(both.within(view)), self._places(both.within(box))
                found[here] = cell[there]
        with self._lock:
            for number in numbers:
                self._readers[number] -= 1
                if not self._readers[number]:
                    del self._found[number]
        return found

    def _places(self, box: Box) -> tuple[slice, ...]:
        places = box.slices(self._unit)
        return places if self._last else (slice(None), *places)
