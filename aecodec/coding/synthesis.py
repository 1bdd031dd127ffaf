"""The synthesis transform of a whole picture, part by part."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.cells import CellCache
from aecodec.coding.workers import Workers, per_thread_pays, workers_for
from aecodec.geometry import Box, Grid, padded

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels
    from aecodec.networks.transforms import Transforms
    from aecodec.networks.weights import OperatingPoint

__all__ = ["Synthesis", "stacked"]


class Synthesis:
    """The pixels of a picture, or of a region, from the latents of the tiles that it needs.

    Args:
        tiles: the boxes of the picture's tiles.
        latents: the number of a tile -> its v_hat (M,h/16,w/16); each is requested once.
        region: the requested pixels; None for all.
        needed: whether a part of the picture is to be drawn; the others' pixels are undefined.
    """

    def __init__(
        self,
        transforms: Transforms,
        tiles: Grid,
        point: OperatingPoint,
        latents: Callable[[int], Floats],
        region: Box | None = None,
        needed: Callable[[Box], bool] = lambda part: True,
    ) -> None:
        self._transforms, self._tiles, self._point = transforms, tiles, point
        config, whole, shape = transforms.config, Box.of(tiles.shape), padded(tiles.shape)
        self._wanted = region or whole
        parts = whole.parts(transforms.area8, config.synthesis_reach8)
        # The parts to synthesise, the areas at 1/8 that they read, and the cells of these areas.
        wanted = [part for box in parts if (part := box.common(self._wanted))]
        self._parts = [part for part in wanted if needed(part)]
        # The heights of the rows of parts, by their upper edges, from top to bottom.
        self._heights = {part.y: part.h for part in wanted}
        self._seen = [part.aligned(8).grown(config.synthesis_reach8, shape) for part in self._parts]
        cell = Box.of(shape).parts(transforms.area16, config.synthesis_reach16)[0]
        grid, bounds = Grid(shape[1], shape[0], cell.w, cell.h), Box.around(self._seen).aligned(16)
        # The areas at 1/16 that these cells read, from the tiles.
        self._views = {
            number: cut.grown(config.synthesis_reach16, tiles.shape)
            for number in sorted({number for box in self._seen for number in grid.touching(box)})
            if (cut := grid.box(number).common(bounds))
        }
        self._v_hats = CellCache(tiles, 16, lambda number, _: latents(number), self._views.values())
        self._x8 = CellCache(
            grid,
            8,
            functools.partial(_synthesise16, transforms, point, self._v_hats, self._views),
            self._seen,
            bounds=bounds,
            channels_last=True,
        )

    def draw(self) -> Pixels:
        """The pixels (h,w,3), computed while the tiles of later parts are decoded."""
        return stacked(self.bands(), self._wanted)

    def bands(self) -> Iterator[Pixels]:
        """The same pixels from top to bottom, in bands (rows,w,3) as high as the parts.

        The next ones are computed while the caller works on one of them.
        """
        # Threads that share sessions draw one part together, requested by this thread.
        runtime = self._transforms.runtime
        per_thread = per_thread_pays(runtime, len(self._parts))
        jobs = len(self._parts) if per_thread else self._v_hats.count
        try:
            with workers_for(runtime, jobs, per_thread=per_thread) as workers:
                begun: dict[int, Pixels] = {}
                drawn = workers.in_order(self._jobs(begun, workers), here=not per_thread)
                for y, height in self._heights.items():
                    for _ in range(sum(part.y == y for part in self._parts)):
                        next(drawn)
                    band = begun.pop(y, None)
                    yield self._empty(height) if band is None else band
        except BaseException:
            self._v_hats.forget()
            self._x8.forget()
            raise

    def _empty(self, height: int) -> Pixels:
        return np.empty((height, self._wanted.w, 3), np.uint8)

    def _jobs(self, begun: dict[int, Pixels], workers: Workers) -> Iterator[Callable[[], None]]:
        """The computation of each part. Its input and that of the next parts is begun before.

        `begun` gets the bands that they are drawn into, by their upper edges.
        """
        ahead = workers.ahead if workers.per_thread else 1
        for k in range(len(self._parts)):
            if workers.threaded:
                # Cells that are begun early are done when they are read.
                for near in self._seen[k : k + 1 + 2 * ahead]:
                    for number in self._x8.grid.touching(near):
                        self._v_hats.begin(self._views[number], workers.submit)
                for near in self._seen[k : k + 1 + ahead] if workers.per_thread else ():
                    self._x8.begin(near, workers.submit)
            part = self._parts[k]
            if part.y not in begun:
                begun[part.y] = self._empty(part.h)
            yield functools.partial(self._draw_part, begun[part.y], part, self._seen[k])

    def _draw_part(self, band: Pixels, part: Box, seen: Box) -> None:
        x8 = self._x8.read(seen)
        pixels = self._transforms.synthesise8(x8, part.within(seen), self._point)
        left = part.x - self._wanted.x
        band[:, left : left + part.w] = pixels


def stacked(bands: Iterator[Pixels], box: Box) -> Pixels:
    """The pixels (h,w,3) of a box from its bands."""
    rgb = first = next(bands)
    if len(first) < box.h:
        rgb = np.empty((box.h, box.w, 3), np.uint8)
        rgb[: len(first)] = first
    y = len(first)
    for band in bands:
        rgb[y : y + len(band)] = band
        y += len(band)
    return rgb


def _synthesise16(
    transforms: Transforms,
    point: OperatingPoint,
    v_hats: CellCache,
    views: dict[int, Box],
    number: int,
    box: Box,
) -> Floats:
    view = views[number]
    return transforms.synthesise16(v_hats.read(view), box.within(view), point)
