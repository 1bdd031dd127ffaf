"""The tiles of a picture: encoding, refinement and decoding.

Tiles that are stored exactly have no latents. Their neighbours are coded as if they were grey.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aecodec.coding.analysis import GREY, Analysis
from aecodec.coding.efforts import EFFORTS, Effort
from aecodec.coding.exact import ExactTiles
from aecodec.coding.refinement import Refinement
from aecodec.coding.synthesis import Synthesis, stacked
from aecodec.coding.workers import Workers, per_thread_pays, workers_for
from aecodec.entropy.padding import Sides, TileShape
from aecodec.geometry import TILE_UNIT, Box, Grid, ceil_div
from aecodec.image import vp8l

if TYPE_CHECKING:
    from aecodec.arrays import Bools, Floats, Pixels
    from aecodec.coding.tile import Latents, TileCodec
    from aecodec.networks.weights import OperatingPoint

__all__ = ["QUICK", "CodedTiles", "PictureDecoder", "PictureEncoder", "draw_exact"]

QUICK = 16
"""From this scale on a preview is drawn from half of the latents."""
QUICK_PIXELS = 2**22
"""Of smaller pictures all latents are decoded: each shows much there, and it takes little time."""


def no_latents(box: Box, codec: TileCodec) -> Floats:
    """v_hat of an exact tile, which has no latents: zeros."""
    shape = codec.weights.config.latents, ceil_div(box.h, 16), ceil_div(box.w, 16)
    return np.zeros(shape, np.float32)


def has_latents(hidden: Sequence[Box], part: Box) -> bool:
    """Whether these tiles leave a pixel of a part uncovered."""
    covered = [both for tile in hidden if (both := tile.common(part))]
    return sum(both.w * both.h for both in covered) < part.w * part.h


def put_exact(payload: bytes, box: Box, rgb: Pixels, wanted: Box) -> None:
    """Write a tile's pixels into rgb (h,w,3), which shows the part `wanted` of the picture."""
    both = box.common(wanted) or box
    pixels = vp8l.unpack(payload, box.w, box.h)
    rgb[both.within(wanted).slices()] = pixels[both.within(box).slices()]


def draw_exact(payloads: Sequence[bytes], tiles: Grid, wanted: Box) -> Pixels:
    """The pixels (h,w,3) of a part whose tiles are all stored exactly: no weights are needed."""
    rgb = np.empty((wanted.h, wanted.w, 3), np.uint8)
    for number in tiles.touching(wanted):
        put_exact(payloads[number], tiles.box(number), rgb, wanted)
    return rgb


class CodedTiles(NamedTuple):
    """The payloads of all tiles in raster order."""

    payloads: list[bytes]
    exact: frozenset[int] = frozenset()
    """The numbers of the exact tiles."""
    step_maps: bool = False
    """Whether the others have maps of steps."""


class PictureEncoder:
    """Codes the tiles of one picture rgb (H,W,3); with `keep`, any number of times.

    Refinement does not count errors where `unseen` (H,W) is True. `importance` (H/64,W/64) says how
    much finer a person wants each part, in the units of `entropy/steps.py`.
    """

    def __init__(
        self,
        codec: TileCodec,
        rgb: Pixels,
        tiles: Grid,
        *,
        keep: bool = False,
        unseen: Bools | None = None,
        importance: Floats | None = None,
    ) -> None:
        self._codec, self._rgb, self._tiles, self._keep = codec, rgb, tiles, keep
        self._unseen, self._importance = unseen, importance
        self._exact = ExactTiles(codec, rgb)
        self._analyses: dict[frozenset[int], Analysis] = {}

    @property
    def threads(self) -> int:
        """The largest number of threads."""
        return self._codec.runtime.threads

    def encode(self, quality: int, effort: int, dead_zone: float = 0.0) -> CodedTiles:
        """The payloads of the tiles."""
        point = self._point(quality, effort, dead_zone)
        exact = self._choose(point)
        if len(exact) == len(self._tiles):
            return self.encode_exactly()
        if effort == 1:
            return self._encode(point, exact)
        return self._refine(point, exact, EFFORTS[effort])[0]

    def encode_exactly(self) -> CodedTiles:
        """The payloads of tiles that are all stored exactly."""
        with workers_for(self._codec.runtime, len(self._tiles), per_thread=False) as workers:
            jobs = (functools.partial(self._exact.stream, box) for box in self._tiles)
            payloads = list(workers.in_order(jobs))
        return CodedTiles(payloads, frozenset(range(len(payloads))))

    def encode_and_draw(
        self, quality: int, effort: int, dead_zone: float = 0.0
    ) -> tuple[CodedTiles, Pixels]:
        """The payloads of the tiles, and the pixels that a decoder returns."""
        point, transforms = self._point(quality, effort, dead_zone), self._codec.transforms
        exact = self._choose(point)
        if len(exact) == len(self._tiles):
            return self.encode_exactly(), self._rgb
        boxes = list(self._tiles)
        if effort > 1:
            coded, v_hat = self._refine(point, exact, EFFORTS[effort])
            payloads = coded.payloads

            def latents(number: int) -> Floats:
                return v_hat[boxes[number].latents]

        else:
            analysis = self._analysis(exact)
            payloads = [b""] * len(boxes)
            if not per_thread_pays(self._codec.runtime, len(boxes)):
                for number, box in enumerate(boxes):  # all threads together, each time
                    if number not in exact:
                        analysis(box)

            def latents(number: int) -> Floats:
                box = boxes[number]
                if number in exact:
                    payloads[number] = self._exact.stream(box)
                    return no_latents(box, self._codec)
                found, payloads[number] = self._coded(analysis(box), box, point)
                return found.v_hat

        hidden = [boxes[number] for number in exact]
        needed = functools.partial(has_latents, hidden)
        rgb = Synthesis(transforms, self._tiles, point, latents, needed=needed).draw()
        for number in exact:
            payloads[number] = self._exact.stream(boxes[number])
            rgb[boxes[number].slices()] = self._rgb[boxes[number].slices()]
        return CodedTiles(payloads, exact, point.step_maps), rgb

    def _choose(self, point: OperatingPoint) -> frozenset[int]:
        """The numbers of the tiles to store exactly."""
        chosen = (
            number
            for number, box in enumerate(self._tiles)
            if self._exact.choose(box, point, self._sides(box), self._important(box))
        )
        return frozenset(chosen)

    def _analysis(self, exact: frozenset[int]) -> Analysis:
        """The analysis of the other tiles."""
        if self._keep and exact in self._analyses:
            return self._analyses[exact]
        hidden = [self._tiles.box(number) for number in sorted(exact)]
        seen = [box for number, box in enumerate(self._tiles) if number not in exact]
        transforms = self._codec.transforms
        found = Analysis(transforms, self._rgb, seen, hidden=hidden, keep=self._keep)
        if self._keep:
            self._analyses = {exact: found}  # only one, because y takes memory
        return found

    def _encode(self, point: OperatingPoint, exact: frozenset[int]) -> CodedTiles:
        """The tiles' payloads, of one pass each."""
        runtime, count = self._codec.runtime, len(self._tiles)
        if count == 1 and (coded := self._exact.trial(self._tiles.box(0), point)):
            return CodedTiles([coded], exact, point.step_maps)
        per_thread = per_thread_pays(runtime, count)
        with workers_for(runtime, count, per_thread=per_thread) as workers:
            jobs = self._jobs(workers, point, exact)
            return CodedTiles(list(workers.in_order(jobs)), exact, point.step_maps)

    def _jobs(
        self,
        workers: Workers,
        point: OperatingPoint,
        exact: frozenset[int],
    ) -> Iterator[Callable[[], bytes]]:
        """Each tile's coding. Where threads share sessions, all of them analyse it before."""
        analysis, boxes = self._analysis(exact), list(self._tiles)
        for number, box in enumerate(boxes):
            if number in exact:
                yield functools.partial(self._exact.stream, box)
                continue
            if workers.threaded and workers.per_thread:
                for near in range(number, min(number + 1 + workers.ahead, len(boxes))):
                    if near not in exact:
                        analysis.begin(boxes[near], workers.submit)
            y = None if workers.per_thread else analysis(box)
            yield functools.partial(self._encode_tile, analysis, box, y, point)

    def _encode_tile(
        self,
        analysis: Analysis,
        box: Box,
        y: Floats | None,
        point: OperatingPoint,
    ) -> bytes:
        return self._coded(analysis(box) if y is None else y, box, point)[1]

    def _coded(self, y: Floats, box: Box, point: OperatingPoint) -> tuple[Latents, bytes]:
        return self._codec.encode(y, point, self._sides(box), self._important(box))

    def _refine(
        self, point: OperatingPoint, exact: frozenset[int], effort: Effort
    ) -> tuple[CodedTiles, Floats]:
        """The payloads of refined tiles, and the picture's v_hat (M,H/16,W/16)."""
        # Pixels near a border depend on the tiles of both sides, so the refinement of a tile reads
        # the latents of its neighbours. Later neighbours are not refined yet, but of one pass.
        codec, tiles = self._codec, self._tiles
        rows, columns = ceil_div(tiles.height, 16), ceil_div(tiles.width, 16)
        v_hat = np.zeros((codec.weights.config.latents, rows, columns), np.float32)
        analysis, rgb = self._analysis(exact), self._rgb
        if exact:  # no latents change their pixels
            rgb = rgb.copy()
            for number in exact:
                rgb[tiles.box(number).slices()] = GREY
        ys: dict[int, Floats] = {}
        payloads: list[bytes] = []
        begun = 0
        for number, box in enumerate(tiles):
            if number in exact:
                payloads.append(self._exact.stream(box))
                continue
            seen = box.grown(32 * codec.transforms.margin, tiles.shape)
            for other in range(begun, 1 + max(tiles.touching(seen))):
                begun = other + 1
                if other in exact:
                    continue
                place = tiles.box(other)
                ys[other] = analysis(place)
                sides, important = self._sides(place), self._important(place)
                one_pass = codec.quantise(ys[other], point, sides, important)
                v_hat[place.latents] = one_pass.v_hat
            y, seen_by = ys.pop(number), (self._unseen, self._important(box))
            refinement = Refinement(codec, rgb, box, y, v_hat, point, *seen_by)
            latents = refinement.run(effort)
            v_hat[box.latents] = latents.v_hat
            payloads.append(codec.encode_latents(latents, point))
        return CodedTiles(payloads, exact, point.step_maps), v_hat

    def _point(self, quality: int, effort: int, dead_zone: float) -> OperatingPoint:
        """How to quantise. Maps of steps are a person's, or come from refinement for the eye."""
        weights = self._codec.weights
        chosen = effort > 1 and weights.config.objective == "eye"
        step_maps = chosen or self._importance is not None
        return weights.at(quality, dead_zone, step_maps=step_maps)

    def _important(self, box: Box) -> Floats | None:
        return None if self._importance is None else self._importance[box.slices(TILE_UNIT)]

    def _sides(self, box: Box) -> Sides:
        return Sides.of(box, self._tiles.shape)


class PictureDecoder:
    """Decodes the payloads of tiles to pixels; `exact` has the numbers of exact tiles, and
    `step_maps` says whether the others have maps of steps.
    """

    def __init__(
        self,
        codec: TileCodec,
        payloads: Sequence[bytes],
        tiles: Grid,
        quality: int,
        exact: frozenset[int] = frozenset(),
        *,
        step_maps: bool = False,
    ) -> None:
        self._codec, self._payloads, self._tiles, self._exact = codec, payloads, tiles, exact
        self._point = codec.weights.at(quality, step_maps=step_maps)

    def draw(self, region: Box | None = None) -> Pixels:
        """The pixels (H,W,3) of the picture, or of a region: only the tiles that it needs."""
        return stacked(self.bands(region), region or Box.of(self._tiles.shape))

    def bands(self, region: Box | None = None) -> Iterator[Pixels]:
        """The same pixels from top to bottom, in bands (rows,w,3) of any height.

        Later ones are computed while the caller works on one: it need not have the whole picture.
        """
        transforms = self._codec.transforms
        wanted = region or Box.of(self._tiles.shape)
        touched = self._tiles.touching(wanted)
        exact = {number: self._tiles.box(number) for number in touched if number in self._exact}
        if len(exact) == len(touched):
            for y in dict.fromkeys(box.y for box in exact.values()):
                row = Box(wanted.x, y, wanted.w, self._tiles.cell_height).common(wanted)
                yield draw_exact(self._payloads, self._tiles, row or wanted)
            return
        needed = functools.partial(has_latents, list(exact.values()))
        synthesis = Synthesis(transforms, self._tiles, self._point, self._latents, region, needed)
        y = wanted.y
        stored: dict[int, Pixels] = {}  # exact tiles, until the last band that shows them
        for band in synthesis.bands():
            shown = Box(wanted.x, y, wanted.w, len(band))
            y += len(band)
            for number, box in exact.items():
                if both := box.common(shown):
                    if number not in stored:
                        stored[number] = vp8l.unpack(self._payloads[number], box.w, box.h)
                    pixels = stored[number][both.within(box).slices()]
                    band[both.within(shown).slices()] = pixels
                    if box.y + box.h <= y:
                        del stored[number]
            yield band

    def draw_preview(self, scale: int) -> Pixels:
        """The picture at 1/scale of its width and height, rounded up.

        From QUICK on half of the latents are enough for a large one: each is a pixel or more.
        """
        runtime, (height, width) = self._codec.runtime, self._tiles.shape
        rgb = np.empty((ceil_div(height, scale), ceil_div(width, scale), 3), np.uint8)
        count = len(self._tiles)
        draw = functools.partial(
            self._draw_small, rgb, scale, self._codec.transforms.preview_channels(scale)
        )
        per_thread = per_thread_pays(runtime, count)
        with workers_for(runtime, count, per_thread=per_thread) as workers:
            jobs = (functools.partial(draw, number) for number in range(count))
            for _ in workers.in_order(jobs):
                pass
        return rgb

    def _draw_small(self, rgb: Pixels, scale: int, channels: int, number: int) -> None:
        box, (height, width) = self._tiles.box(number), self._tiles.shape
        if number in self._exact:
            small = vp8l.reduced(vp8l.unpack(self._payloads[number], box.w, box.h), scale)
        else:
            quick = scale >= QUICK and height * width >= QUICK_PIXELS
            v_hat = self._latents(number, channels, half=quick)
            small = self._codec.transforms.preview(v_hat, self._point, scale)
        place = rgb[box.slices(scale)]
        place[:] = small[: place.shape[0], : place.shape[1]]

    def _latents(self, number: int, channels: int | None = None, *, half: bool = False) -> Floats:
        """v_hat of a tile (M,h/16,w/16), or of its first channels alone; half of it estimated."""
        if number in self._exact:
            return no_latents(self._tiles.box(number), self._codec)
        tile = TileShape.at(
            self._tiles.box(number), self._tiles.shape, self._codec.weights.config.latents
        )
        payload = self._payloads[number]
        if half and channels is not None:
            return self._codec.decode_half(payload, self._point, tile, channels)
        return self._codec.decode(payload, self._point, tile, channels).v_hat
