"""What one stage of the codec makes of a whole picture, cell by cell, for the next one to look at.

A network's layers look around. Whoever runs it on a part of a picture must give it a margin, and
what is computed there is computed again for the next part. So the transforms are run in two
halves: what the first one made is shared by all parts of the second one that look at it, and each
half needs a margin for its own layers alone. A cell is computed when it is first looked at, by the
thread that does so, and forgotten after the last look: of a large picture a few rows are there.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Box", "Field", "Grid", "around", "common", "grown", "padded", "within"]

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A picture's cells, row by row: of one size, but for those at its right and lower end."""

    width: int
    height: int
    cell_width: int
    cell_height: int

    @property
    def columns(self) -> int:
        """Cells side by side."""
        return -(-self.width // self.cell_width)

    def __len__(self) -> int:
        return self.columns * -(-self.height // self.cell_height)

    def box(self, number: int) -> Box:
        """The pixels of a cell."""
        row, column = divmod(number, self.columns)
        x, y = column * self.cell_width, row * self.cell_height
        return x, y, min(self.cell_width, self.width - x), min(self.cell_height, self.height - y)

    def touching(self, box: Box) -> list[int]:
        """The numbers of the cells that have a share in `box`, row by row."""
        x, y, w, h = box
        return [
            row * self.columns + column
            for row in range(y // self.cell_height, -(-(y + h) // self.cell_height))
            for column in range(x // self.cell_width, -(-(x + w) // self.cell_width))
        ]


class Field:
    """What `compute(number, box)` makes of a grid's cells. Safe to share between threads.

    It returns an array (C,h/unit,w/unit), or (h/unit,w/unit,C) with `channels_last`, of the box.
    Boxes begin at multiples of `unit` pixels. `views` are the boxes that will be looked at, each of
    them once; nothing beyond `bounds` is computed, which holds all of them.

    A thread that waits for another one's cell waits for nothing but that: a cell may look at a
    field, if that one never looks back.
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
        self._looks = Counter(number for view in views for number in grid.touching(view))
        self._found: dict[int, Future[Floats]] = {}
        self._begun: set[int] = set()

    @property
    def count(self) -> int:
        """How many cells somebody is still to look at."""
        return len(+self._looks)

    def box(self, number: int) -> Box:
        """The pixels of a cell that are computed."""
        box = self.grid.box(number)
        return box if self._bounds is None else common(box, self._bounds) or box

    def begin(self, view: Box, submit: Callable[..., object]) -> None:
        """Have threads compute what a view will look at: `submit(prepare, number)`, once a cell.

        For one thread, which plans the others' work.
        """
        for number in self.grid.touching(view):
            if number not in self._begun:
                self._begun.add(number)
                submit(self.prepare, number)

    def prepare(self, number: int) -> None:
        """Compute a cell, unless that is done or begun, or nobody is to look at it any more."""
        from concurrent.futures import Future

        with self._lock:
            if number in self._found or not self._looks[number]:
                return
            found = self._found[number] = Future()
        try:
            found.set_result(self._compute(number, self.box(number)))
        except BaseException as error:
            found.set_exception(error)  # else others would wait for it for ever
            raise

    def look(self, view: Box) -> Floats:
        """The array of the pixels `view`, which is one of the views. Not to be written to."""
        import numpy as np

        numbers = self.grid.touching(view)
        # What others are at may be done when the rest is.
        for number in numbers:
            self.prepare(number)
        cells = [self._found[number].result() for number in numbers]
        if len(cells) == 1 and self.box(numbers[0]) == view:
            found = cells[0]
        else:
            rows, columns = -(-view[3] // self._unit), -(-view[2] // self._unit)
            shape = list(cells[0].shape)
            shape[slice(0, 2) if self._last else slice(1, 3)] = rows, columns
            found = np.empty(shape, np.float32)
            for number, cell in zip(numbers, cells, strict=True):
                box = self.box(number)
                both = common(box, view) or box
                here, there = self._places(within(both, view)), self._places(within(both, box))
                found[here] = cell[there]
        with self._lock:
            for number in numbers:
                self._looks[number] -= 1
                if not self._looks[number]:
                    del self._found[number]
        return found

    def _places(self, box: Box) -> tuple[slice, ...]:
        x, y, w, h = box
        unit = self._unit
        places = slice(y // unit, -(-(y + h) // unit)), slice(x // unit, -(-(x + w) // unit))
        return places if self._last else (slice(None), *places)


def common(one: Box, other: Box) -> Box | None:
    """The pixels that two boxes share, or None."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of some boxes."""
    lefts, tops, rights, bottoms = zip(*((x, y, x + w, y + h) for x, y, w, h in boxes), strict=True)
    left, top = min(lefts), min(tops)
    return left, top, max(rights) - left, max(bottoms) - top


def padded(shape: tuple[int, ...]) -> tuple[int, int]:
    """The height and the width of what the networks see of a picture (H,W,...)."""
    return -(-shape[0] // 16) * 16, -(-shape[1] // 16) * 16


def within(box: Box, other: Box) -> Box:
    """`box` as seen from the upper left corner of another."""
    return box[0] - other[0], box[1] - other[1], box[2], box[3]


def grown(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """`box` with a margin on each side, as far as the picture (H,W,...) goes."""
    x, y, w, h = box
    left, top = max(0, x - margin), max(0, y - margin)
    right, bottom = min(shape[1], x + w + margin), min(shape[0], y + h + margin)
    return left, top, right - left, bottom - top
