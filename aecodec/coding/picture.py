"""The tiles of a picture: coded, refined, and made into pixels again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.analysis import Analysis
from aecodec.coding.efforts import EFFORTS, Effort
from aecodec.coding.refinement import Refinement
from aecodec.coding.synthesis import Synthesis
from aecodec.coding.workers import Workers, per_thread_pays, workers_for
from aecodec.entropy.padding import Sides, TileShape
from aecodec.geometry import Box, Grid, ceil_div

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels
    from aecodec.coding.tile import TileCodec
    from aecodec.networks.weights import OperatingPoint

__all__ = ["PictureDecoder", "PictureEncoder"]


class PictureEncoder:
    """Codes the tiles of one picture rgb (H,W,3); with `keep`, as often as one likes."""

    def __init__(self, codec: TileCodec, rgb: Pixels, tiles: Grid, *, keep: bool = False) -> None:
        self._codec, self._rgb, self._tiles = codec, rgb, tiles
        self._analysis = Analysis(codec.transforms, rgb, tiles, keep=keep)

    @property
    def threads(self) -> int:
        """How many may be used."""
        return self._codec.runtime.threads

    def encode(self, quality: int, effort: int, dead_zone: float = 0.0) -> list[bytes]:
        """The tiles' payloads."""
        point = self._codec.weights.at(quality, dead_zone)
        if effort == 1:
            return self._encode(point)
        return self._refine(point, EFFORTS[effort])[0]

    def encode_and_draw(
        self, quality: int, effort: int, dead_zone: float = 0.0
    ) -> tuple[list[bytes], Pixels]:
        """The tiles' payloads, and the pixels that a decoder makes of them."""
        point, transforms = self._codec.weights.at(quality, dead_zone), self._codec.transforms
        if effort > 1:
            payloads, v_hat = self._refine(point, EFFORTS[effort])

            def refined(number: int) -> Floats:
                return v_hat[self._tiles.box(number).latents]

            return payloads, Synthesis(transforms, self._tiles, point, refined).draw()
        payloads = [b""] * len(self._tiles)
        if not per_thread_pays(self._codec.runtime, len(payloads)):
            for box in self._tiles:  # all threads together, each time
                self._analysis(box)

        def latents(number: int) -> Floats:
            box = self._tiles.box(number)
            found, payloads[number] = self._codec.encode(
                self._analysis(box), point, self._sides(box)
            )
            return found.v_hat

        return payloads, Synthesis(transforms, self._tiles, point, latents).draw()

    def _encode(self, point: OperatingPoint) -> list[bytes]:
        """The tiles' payloads, of one pass each."""
        runtime, count = self._codec.runtime, len(self._tiles)
        per_thread = per_thread_pays(runtime, count)
        with workers_for(runtime, count, per_thread=per_thread) as workers:
            return list(workers.in_order(self._jobs(workers, point)))

    def _jobs(self, workers: Workers, point: OperatingPoint) -> Iterator[Callable[[], bytes]]:
        """Each tile's coding. Where threads share sessions, all of them analyse it before."""
        boxes = list(self._tiles)
        for number, box in enumerate(boxes):
            if workers.threaded and workers.per_thread:
                for near in boxes[number : number + 1 + workers.ahead]:
                    self._analysis.begin(near, workers.submit)
            y = None if workers.per_thread else self._analysis(box)
            yield functools.partial(self._encode_tile, box, y, point)

    def _encode_tile(self, box: Box, y: Floats | None, point: OperatingPoint) -> bytes:
        y = self._analysis(box) if y is None else y
        return self._codec.encode(y, point, self._sides(box))[1]

    def _refine(self, point: OperatingPoint, effort: Effort) -> tuple[list[bytes], Floats]:
        """The payloads of refined tiles, and the picture's v_hat (M,H/16,W/16)."""
        # A tile is refined with its neighbours in sight: pixels near a border depend on both. Those
        # that are still to come stand as one pass makes them, and their y waits for their turn.
        codec, tiles = self._codec, self._tiles
        rows, columns = ceil_div(tiles.height, 16), ceil_div(tiles.width, 16)
        v_hat = np.empty((codec.weights.config.latents, rows, columns), np.float32)
        ys: dict[int, Floats] = {}
        payloads: list[bytes] = []
        begun = 0
        for number, box in enumerate(tiles):
            seen = box.grown(32 * codec.transforms.margin, tiles.shape)
            for other in range(begun, 1 + max(tiles.touching(seen))):
                place = tiles.box(other)
                ys[other] = self._analysis(place)
                one_pass = codec.quantise(ys[other], point, self._sides(place))
                v_hat[place.latents] = one_pass.v_hat
                begun = other + 1
            refinement = Refinement(codec, self._rgb, box, ys.pop(number), v_hat, point)
            latents = refinement.run(effort)
            v_hat[box.latents] = latents.v_hat
            payloads.append(codec.encode_latents(latents, point))
        return payloads, v_hat

    def _sides(self, box: Box) -> Sides:
        return Sides.of(box, self._tiles.shape)


class PictureDecoder:
    """Makes pixels of the tiles' payloads."""

    def __init__(
        self, codec: TileCodec, payloads: Sequence[bytes], tiles: Grid, quality: int
    ) -> None:
        self._codec, self._payloads, self._tiles = codec, payloads, tiles
        self._point = codec.weights.at(quality)

    def draw(self, region: Box | None = None) -> Pixels:
        """The pixels (H,W,3) of the picture, or of a region: only the tiles that it needs."""
        transforms = self._codec.transforms
        return Synthesis(transforms, self._tiles, self._point, self._latents, region).draw()

    def draw_preview(self, scale: int) -> Pixels:
        """The picture at 1/scale of its width and height, rounded up."""
        runtime, (height, width) = self._codec.runtime, self._tiles.shape
        rgb = np.empty((ceil_div(height, scale), ceil_div(width, scale), 3), np.uint8)
        count = len(self._tiles)
        per_thread = per_thread_pays(runtime, count)
        with workers_for(runtime, count, per_thread=per_thread) as workers:
            jobs = (
                functools.partial(self._draw_small, rgb, number, scale) for number in range(count)
            )
            for _ in workers.in_order(jobs):
                pass
        return rgb

    def _draw_small(self, rgb: Pixels, number: int, scale: int) -> None:
        small = self._codec.transforms.preview(self._latents(number), self._point, scale)
        box = self._tiles.box(number)
        place = rgb[box.slices(scale)]
        place[:] = small[: place.shape[0], : place.shape[1]]

    def _latents(self, number: int) -> Floats:
        channels = self._codec.weights.config.latents
        tile = TileShape.at(self._tiles.box(number), self._tiles.shape, channels)
        return self._codec.decode(self._payloads[number], self._point, tile).v_hat
