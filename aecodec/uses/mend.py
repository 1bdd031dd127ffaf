"""A picture from a damaged .aec file: whole tiles as they are, missing ones from around them.

1. The whole tiles are found (`salvage.py`) and decoded. Their latents are exact.
2. The picture is drawn without the others. What is missing is drawn from the pixels around it.
3. The analysis of that gives latents in place of the missing ones, and the picture is drawn again.

So pixels of a whole tile near a missing one are nearly right, too. They are not exact, because the
synthesis looks as far as its receptive field; the mask says which they are. All others are those of
the undamaged file, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aecodec import bitstream
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.errors import AecodecError, CorruptError
from aecodec.geometry import Box
from aecodec.uses.salvage import Salvaged, salvage

if TYPE_CHECKING:
    import PIL.Image

    from aecodec.arrays import Floats, Pixels
    from aecodec.codec import Codec

__all__ = ["BESIDE", "DRAWN", "Mended", "mend"]

DRAWN: Final = 255
"""In a mask: the pixel was lost, and is drawn from what surrounds it."""
BESIDE: Final = 128
"""In a mask: the pixel's own tile is whole, but the pixel depends on one that is lost."""


class Mended(NamedTuple):
    """What could be made of a damaged file."""

    image: PIL.Image.Image
    mask: Pixels
    """(H,W): 0 where the picture is that of the undamaged file, bit for bit; else DRAWN or
    BESIDE."""
    missing: tuple[int, ...]
    """The numbers of the tiles that are lost, in raster order from 0."""
    boxes: tuple[Box, ...]
    """Where these lie, in pixels."""
    tiles: int
    """The number of tiles of the picture."""
    lost: tuple[str, ...]
    """What else is lost: ALPHA, or kinds of metadata."""

    @property
    def whole(self) -> bool:
        """Whether nothing is lost."""
        return not self.missing and not self.lost


def mend(
    data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS, threads: int = 0, device: str = "auto"
) -> Mended:
    """The picture of an .aec file of which parts are damaged or missing.

    Raises:
        FormatError: not an .aec file, made for a newer version, with a damaged header, or without a
            whole tile.
        LimitError: more than `max_pixels` pixels.
        UnknownModelError: the weights that the file names are not installed.
        DeviceError, ValueError, TypeError: as `decompress`.
    """
    from aecodec.codec import check_tiles, shared, weights_of
    from aecodec.coding.grain import with_grain
    from aecodec.image.picture import to_pil
    from aecodec.image.preparation import made_neutral

    found = salvage(data, max_pixels=max_pixels)
    header, grid = found.header, found.header.grid
    exact = frozenset(
        n for n, section in found.tiles.items() if section.type == bitstream.SectionType.EXACT
    )
    all_exact = len(exact) == len(found.tiles)
    check_tiles(header, all_exact=all_exact)
    coder = shared(weights_of(header, all_exact=all_exact), threads, device)
    tiles = _Tiles(coder, found, exact)
    if not tiles.pixels and not tiles.v_hat:
        raise CorruptError(f"none of its {len(grid)} tiles is whole")
    rgb, mask = tiles.draw()
    missing = tuple(n for n in range(len(grid)) if n not in tiles.pixels and n not in tiles.v_hat)

    metadata, alpha, grain, lost = _others(found)
    mode = header.mode.name
    if header.mode.has_alpha and alpha is None:
        mode = mode.removesuffix("A")
    alike = header.neutral or not header.mode.name.startswith("RGB")
    if header.neutral or (grain is not None and alike):
        rgb = made_neutral(rgb)
    if grain is not None:  # as `decompress` adds it
        kept = [grid.box(number) for number in tiles.pixels]
        rgb = with_grain(rgb, Box.of(rgb.shape), grain, alike=alike, exact=kept)
    image = to_pil(rgb, mode, alpha, **metadata)
    boxes = tuple(grid.box(number) for number in missing)
    return Mended(image, mask, missing, boxes, len(grid), lost)


def _others(
    found: Salvaged,
) -> tuple[dict[str, Any], Pixels | None, bitstream.Grain | None, tuple[str, ...]]:
    """Metadata, alpha, grain, and the names of what is lost of them."""
    container, lost = found.container, list(found.lost)
    metadata: dict[str, Any] = {}
    for name in bitstream.METADATA:
        try:
            metadata[name] = getattr(container, name)
        except AecodecError:  # a frame that is broken under a right checksum
            metadata[name] = () if name == "texts" else None
            lost.append(name.replace("_", "").upper())
    alpha = None
    if found.header.mode.has_alpha:
        try:
            alpha = container.alpha
        except AecodecError:
            alpha = None
        if alpha is None and "ALPHA" not in lost:
            lost.append("ALPHA")
    grain = None
    try:
        grain = container.grain
    except AecodecError:
        lost.append("GRAIN")
    return metadata, alpha, grain, tuple(lost)


class _Tiles:
    """The whole tiles of a file, decoded: what was found but does not decode is missing."""

    def __init__(self, coder: Codec, found: Salvaged, exact: frozenset[int]) -> None:
        from aecodec.entropy.padding import TileShape
        from aecodec.image import vp8l

        self._coder, self._grid = coder, found.header.grid
        header = found.header
        self._point = coder.weights.at(header.quality, step_maps=header.step_maps)
        self.v_hat: dict[int, Floats] = {}
        self.pixels: dict[int, Pixels] = {}
        channels = coder.weights.config.latents
        for number in sorted(found.tiles):
            box = self._grid.box(number)
            try:
                if number in exact:
                    self.pixels[number] = vp8l.unpack(found.payload(number), box.w, box.h)
                else:
                    tile = TileShape.at(box, self._grid.shape, channels)
                    latents = coder.tiles.decode(found.payload(number), self._point, tile)
                    self.v_hat[number] = latents.v_hat
            except CorruptError:
                continue

    def draw(self) -> tuple[Pixels, Pixels]:
        """The pixels (H,W,3) and the mask (H,W)."""
        from aecodec.coding.analysis import Analysis
        from aecodec.image.masks import filled, grown

        height, width = self._grid.shape
        mask = np.zeros((height, width), np.uint8)
        missing = [n for n in range(len(self._grid)) if n not in self.v_hat | self.pixels]
        boxes = [self._grid.box(number) for number in missing]
        for box in boxes:
            mask[box.slices()] = DRAWN
        rgb = self._drawn({})
        if not missing:
            return rgb, mask
        drawn = mask == DRAWN
        if not self.v_hat:  # exact tiles alone: there are no latents that pixels depend on
            return filled(rgb, drawn), mask
        config = self._coder.weights.config
        beside = grown(drawn, config.synthesis_reach + 16) & ~drawn
        for number in self.pixels:
            beside[self._grid.box(number).slices()] = False
        mask[beside] = BESIDE
        # Right beside a gap, pixels that were drawn without its latents are no guide.
        whole = filled(rgb, drawn | (grown(drawn, 16) & beside))
        analysis = Analysis(self._coder.tiles.transforms, whole, boxes)
        instead = {
            number: np.rint(self._point.gain * analysis(box))
            for number, box in zip(missing, boxes, strict=True)
        }
        out = self._drawn(instead)
        kept = mask == 0
        out[kept] = rgb[kept]
        return out, mask

    def _drawn(self, instead: dict[int, Floats]) -> Pixels:
        """The pixels (H,W,3), with latents in place of those that are missing."""
        from aecodec.coding.picture import no_latents
        from aecodec.coding.synthesis import Synthesis

        height, width = self._grid.shape
        if self.v_hat:

            def latents(number: int) -> Floats:
                found = self.v_hat.get(number, instead.get(number))
                return (
                    no_latents(self._grid.box(number), self._coder.tiles)
                    if found is None
                    else found
                )

            transforms = self._coder.tiles.transforms
            rgb = Synthesis(transforms, self._grid, self._point, latents).draw()
        else:
            rgb = np.zeros((height, width, 3), np.uint8)
        for number, pixels in self.pixels.items():
            rgb[self._grid.box(number).slices()] = pixels
        return rgb
