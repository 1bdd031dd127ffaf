"""The analysis transform of a whole picture, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from aecodec.coding.cells import CellCache
from aecodec.geometry import Box, Grid, padded

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels
    from aecodec.networks.transforms import Transforms

__all__ = ["GREY", "Analysis"]

GREY = 128
"""The grey of tiles that are stored exactly: about the synthesis of latents that are 0."""


class Analysis:
    """y (M,h/16,w/16) of tiles of a picture rgb (H,W,3), each computed when it is requested.

    All `tiles` share the output of the blocks at 1/8. Each tile may be requested once, or with
    `keep` any number of times. Safe to share between threads.

    Tiles in `hidden` are stored exactly, so a decoder has no latents of them, and its synthesis
    makes grey. The analysis sees them as grey, too.
    """

    def __init__(
        self,
        transforms: Transforms,
        rgb: Pixels,
        tiles: Iterable[Box],
        *,
        hidden: Sequence[Box] = (),
        keep: bool = False,
    ) -> None:
        config = transforms.config
        self._transforms, self._rgb, self._hidden = transforms, rgb, hidden
        self._kept: dict[Box, Floats] | None = {} if keep else None
        height, width = shape = padded(rgb.shape)
        self._seen = {
            tile: tile.aligned(16).grown(config.analysis_reach16, shape) for tile in tiles
        }
        cell = Box.of(shape).parts(transforms.area8, config.analysis_reach8)[0]
        self._x8 = CellCache(
            Grid(width, height, cell.w, cell.h),
            8,
            self._analyse8,
            self._seen.values(),
            bounds=Box.around(self._seen.values()),
        )

    def _analyse8(self, _: int, box: Box) -> Floats:
        around = box.grown(self._transforms.config.analysis_reach8, padded(self._rgb.shape))
        covered = [both for tile in self._hidden if (both := tile.common(around))]
        if not covered:
            return self._transforms.analyse8(self._rgb, box)
        part = self._rgb[around.slices()].copy()
        for both in covered:
            part[both.within(around).slices()] = GREY
        return self._transforms.analyse8(part, box.within(around))

    def begin(self, tile: Box, submit: Callable[..., object]) -> None:
        """Have threads compute the cells that a tile needs, unless they were begun before."""
        self._x8.begin(self._seen[tile], submit)

    def __call__(self, tile: Box) -> Floats:
        """y of a tile."""
        if self._kept is not None and tile in self._kept:
            return self._kept[tile]
        seen = self._seen[tile]
        y = self._transforms.analyse16(self._x8.read(seen), tile.within(seen))
        if self._kept is not None:
            self._kept[tile] = y = y.copy()  # without its margin
        return y
