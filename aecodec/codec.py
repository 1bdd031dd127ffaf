"""Picture -> bytes -> picture: the only place where image, networks, coder and container meet.

compress                                     decompress
picture --image.load--> rgb                  data --bitstream.parse--> header, payloads
rgb --tile by tile--> payloads               payloads --tile by tile--> rgb
payloads --bitstream.pack--> data            rgb --image.to_pil--> picture

A tile's own way, from pixels to its payload and back, stands in coding/tile.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import operator
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aecodec import bitstream
from aecodec.bitstream import DEFAULT_MAX_PIXELS, DEFAULT_TILE_SIZE, ColourMode, Header
from aecodec.coding.efforts import DEFAULT_EFFORT, EFFORTS
from aecodec.coding.strength import Strength
from aecodec.coding.target import Target
from aecodec.errors import LimitError, RequestError, UnknownModelError
from aecodec.geometry import TILE_UNIT, Box, ceil_div

if TYPE_CHECKING:  # numpy, Pillow and ONNX Runtime load when a picture is really coded
    from os import PathLike
    from typing import BinaryIO

    import PIL.Image

    from aecodec.arrays import Bools, Floats, Pixels
    from aecodec.coding.picture import CodedTiles, PictureDecoder, PictureEncoder
    from aecodec.image.picture import Picture
    from aecodec.networks.runtime import Options
    from aecodec.networks.weights import Weights

__all__ = [
    "DEFAULT_EFFORT",
    "DEFAULT_QUALITY",
    "EFFORTS",
    "PREVIEWS",
    "Codec",
    "Info",
    "compress",
    "decompress",
    "read_info",
    "verify",
    "weights_for",
    "weights_of",
]

DEFAULT_QUALITY = 75
PREVIEWS = (2, 4, 8, 16)
"""What a preview may divide the width and the height by."""
SCALES = (2,)
"""What the width and the height can be multiplied by."""
FEW_PIXELS = 2**12
"""On pictures of no more than this PSNR rises and falls with the quality; to try all is quick."""
MOST_BYTES = 2**62
"""A target size above this is one that every file is within, and too large for arithmetic."""
MAX_TILE_SIZE = 1024
"""A forged tile is found out only when its symbols are decoded: this bounds what that costs."""
MAX_EXACT_PIXELS = 2**24
"""The same for a tile that is stored exactly. A decoder takes some 8 bytes for each pixel."""
EXACT_TILE_SIZE = 4096
"""Of a lossless picture that has more pixels."""


@dataclasses.dataclass(frozen=True)
class Info:
    """What a file says of itself, without decoding it."""

    width: int
    height: int
    mode: str
    quality: int
    model: str
    nbytes: int
    bpp: float
    tiles: int
    tile_size: int
    exact: int
    """How many of the tiles are stored exactly."""
    step_maps: bool
    """Whether the others are finer in some parts and coarser in others."""
    version: str
    sections: tuple[tuple[str, int], ...]
    resolution: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    texts: tuple[tuple[str, str], ...] = ()
    """Keyword and text; a comment has no keyword."""


def read_info(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Info:
    """Check a file's checksums and describe it. Raises FormatError, LimitError."""
    container = bitstream.parse(data, max_pixels=max_pixels)
    header = container.header
    return Info(
        width=header.width,
        height=header.height,
        mode=header.mode.name,
        quality=header.quality,
        model=header.model_id.hex(),
        nbytes=len(data),
        bpp=8.0 * len(data) / header.pixels,
        tiles=header.tile_count,
        tile_size=header.tile_size,
        exact=len(container.exact),
        step_maps=header.step_maps,
        version=".".join(map(str, container.version)),
        sections=tuple((s.name, s.length) for s in container.sections),
        resolution=container.resolution,
        texts=tuple((text.keyword, text.text) for text in container.texts),
    )


def verify(
    data: bytes,
    *,
    full: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> None:
    """Check every checksum; with `full` decode as well. Raises an AecodecError for damage."""
    if full:
        decompress(data, max_pixels=max_pixels, threads=threads, device=device)
        return
    container = bitstream.parse(data, max_pixels=max_pixels)
    for part in ("alpha", *bitstream.METADATA):  # decompressed, and so checked, when asked for
        getattr(container, part)


def compress(
    image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture | Pixels,
    quality: int = DEFAULT_QUALITY,
    *,
    model: str | None = None,
    tune: str | None = None,
    effort: int = DEFAULT_EFFORT,
    target_size: int | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    target_ssimulacra2: float | None = None,
    lossless: bool = False,
    without: str | PathLike[str] | bytes | PIL.Image.Image | Bools | None = None,
    importance: str | PathLike[str] | bytes | PIL.Image.Image | Pixels | None = None,
    denoise: Strength | None = None,
    grain: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> bytes:
    """A picture as the bytes of an .aec file.

    Args:
        image: a PIL image, path, file, picture file's bytes, Picture, or uint8 (H,W), (H,W,3 or 4).
        quality: 1 to 100; 75 has about the SSIMULACRA 2 of JPEG at 75, or by weights for PSNR that.
        model: the name of the weights; None takes those of `tune`.
        tune: "eye" or "psnr": weights for what people see, for PSNR; None: as the target, or "eye".
        effort: 1 to 9; more makes smaller files in more time, and costs decoders nothing.
        target_size, target_bpp: in place of a quality: the best file of at most this size or bpp.
        target_psnr, target_ssimulacra2: the same: so many dB at least, or this score (70: high).
        lossless: store every tile exactly and ignore the quality.
        without: a mask (H,W); covered pixels (white, or True) are drawn from their surroundings.
        importance: greys (H,W): what is white gets more bits, what is black fewer; uint8 or bool.
        denoise: remove noise of this standard deviation in 8-bit levels; "auto" estimates it.
        grain: describe that noise in the file, so that decoders add such noise again.
        max_pixels: refuse larger pictures, but not a Picture, which is loaded already.
        threads, device: the most threads (0: one a core); "cpu", "cuda", "auto": a GPU, if any.
    Raises:
        InputError: the picture or a mask can't be read or used, or the picture is too large.
        RequestError, WeightsError, DeviceError: no quality meets the target; no weights; no GPU.
        ValueError, TypeError: an unknown option, a number out of range or not whole (75.0, True).
    """
    from aecodec.networks import weights

    target = Target.of(
        size=target_size, bpp=target_bpp, psnr=target_psnr, ssimulacra2=target_ssimulacra2
    )
    chosen = weights.chosen(model, tune, for_psnr=target_psnr is not None)
    return shared(weights.by_name(chosen), threads, device).compress(
        image,
        quality,
        effort=effort,
        target=target,
        lossless=lossless,
        without=without,
        importance=importance,
        denoise=denoise,
        grain=grain,
        max_pixels=max_pixels,
    )


def decompress(
    data: bytes,
    *,
    region: Sequence[int] | None = None,
    preview: int | None = None,
    scale: int = 1,
    grain: bool = True,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str = "auto",
) -> PIL.Image.Image:
    """The picture in an .aec file, with its metadata in `info`.

    Args:
        region: x, y, width, height in pixels: this part alone, decoded from the tiles it needs.
        preview: 2, 4, 8 or 16: a picture of 1/2 to 1/16 of the width and height, coarse and fast.
        scale: 2 draws the picture, or the region, at twice the width and height. A network
            estimates the finer detail, which the file does not hold.
        grain: add the noise that the file describes, if it does; previews and scale 2 have none.
        threads: how many to use at most, of those that the cores allow; 0: one for every core.
        device: "cpu", "cuda", or "auto": a GPU where onnxruntime-gpu is installed and finds one.
    Raises:
        DeviceError: no GPU that can be used.
        ValueError: another preview or scale, a preview of a region or with a scale, a region that
            is not four whole numbers, threads below 0, or an unknown device.
        TypeError: a preview, scale or threads that are no whole numbers, as 2.0 and True are not.
        RequestError: the region does not lie in the picture.
        FormatError: not an .aec file, truncated, damaged, or made for a newer version.
        LimitError: more than `max_pixels` pixels in the file, or in the enlarged picture.
        UnknownModelError: the weights that the file names are not installed.
    """
    scale = _whole_number("scale", scale)
    container = bitstream.parse(data, max_pixels=max_pixels)
    coder = shared(weights_for(container), threads, device)
    if preview is None:
        return coder.decode(container, region, scale, grain=grain, max_pixels=max_pixels)
    if region is not None:
        raise ValueError("a region or a preview, not both")
    if scale != 1:
        raise ValueError("a preview or a scale, not both")
    return coder.decode_preview(container, preview)


def _grained(
    bands: Iterator[Pixels], part: Box, container: bitstream.Container, grain: bitstream.Grain
) -> Generator[Pixels, None, None]:
    """The bands of a part with the noise that the file describes."""
    from aecodec.coding.grain import with_grain
    from aecodec.image.preparation import made_neutral

    header, top = container.header, part.y
    alike = header.neutral or header.mode in (ColourMode.L, ColourMode.LA)
    exact = [header.grid.box(number) for number in container.exact]
    for band in bands:
        box = Box(part.x, top, part.w, len(band))
        grey = made_neutral(band) if alike else band
        yield with_grain(grey, box, grain, alike=alike, exact=exact)
        top += len(band)


def _gathered(bands: Iterator[Pixels], part: Box) -> Pixels:
    """The pixels (h,w,3) of a part from its bands. A forged header takes no memory."""
    import numpy as np

    whole, top = next(bands), 0
    if len(whole) == part.h:
        return whole
    first, whole = whole, np.empty((part.h, part.w, 3), np.uint8)
    for band in itertools.chain([first], bands):
        whole[top : top + len(band)] = band
        top += len(band)
    return whole


def shown(rgb: Pixels, header: Header) -> Pixels:
    """Decoded pixels (H,W,3) as the file says that they are shown."""
    from aecodec.image.preparation import made_neutral

    return made_neutral(rgb) if header.neutral else rgb


def weights_for(container: bitstream.Container) -> Weights:
    """The weights that a file names; any that there are, if none of its tiles needs them."""
    all_exact = len(container.exact) == len(container.tiles)
    return weights_of(container.header, all_exact=all_exact)


def weights_of(header: Header, *, all_exact: bool) -> Weights:
    """The weights that a header names; any that there are, if every tile is stored exactly.

    Raises UnknownModelError.
    """
    from aecodec.networks import weights

    try:
        return weights.by_id(header.model_id)
    except UnknownModelError:
        if not all_exact:
            raise
        return weights.by_name(None)


def shared(weights: Weights, threads: int, device: str) -> Codec:
    """The codec of these weights that calls with the same options share."""
    from aecodec.networks.runtime import cores

    # More threads than cores bring nothing; 0 is one for every core, and no other codec.
    wanted = _whole_number("threads", threads)
    return _codec(weights, min(wanted or cores(), cores()), device)


def _whole_number(name: str, value: object) -> int:
    """A whole number of any type, numpy's too, as an int. A bool is none: it is a slip."""
    # Before NumPy 2.3 `operator.index` takes numpy's True for a 1.
    kind = "b" if isinstance(value, bool) else getattr(getattr(value, "dtype", None), "kind", "")
    try:
        if kind != "b":
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise TypeError(f"{name} must be a whole number, not {value!r}")


@functools.lru_cache(maxsize=4)
def _codec(weights: Weights, threads: int, device: str) -> Codec:
    from aecodec.networks.runtime import Options

    return Codec(weights, Options(threads=threads, device=device))


class Codec:
    """One set of weights, ready to code pictures. Safe to share between threads."""

    def __init__(self, weights: Weights, options: Options | None = None) -> None:
        from aecodec.coding.tile import TileCodec
        from aecodec.networks.runtime import Runtime

        self.weights = weights
        self.tiles = TileCodec(weights, Runtime(weights.folder, options))

    def compress(
        self,
        image: str | PathLike[str] | bytes | BinaryIO | PIL.Image.Image | Picture | Pixels,
        quality: int = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
        target: Target | None = None,
        lossless: bool = False,
        without: str | PathLike[str] | bytes | PIL.Image.Image | Bools | None = None,
        importance: str | PathLike[str] | bytes | PIL.Image.Image | Pixels | None = None,
        denoise: Strength | None = None,
        grain: bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        tile_size: int = DEFAULT_TILE_SIZE,
    ) -> bytes:
        """See the module's `compress`."""
        from aecodec.coding.picture import CodedTiles, PictureEncoder
        from aecodec.image.load import load
        from aecodec.image.picture import Picture
        from aecodec.image.preparation import prepared

        quality, effort = _whole_number("quality", quality), _whole_number("effort", effort)
        if not 1 <= quality <= 100:
            raise ValueError(f"quality must be 1 to 100, not {quality}")
        if effort not in EFFORTS:
            raise ValueError(f"effort must be 1 to {max(EFFORTS)}, not {effort}")
        _refuse_contradictions(target, denoise, importance, lossless=lossless, grain=grain)
        picture = image if isinstance(image, Picture) else load(image, max_pixels=max_pixels)
        if denoise is not None:
            picture = self.denoised(picture, denoise, grain=grain)
        covered = None
        if without is not None:
            picture, covered = _uncovered(picture, without)
        picture, neutral = prepared(picture, lossless=lossless)
        height, width = picture.rgb.shape[:2]
        header = Header(
            width=width,
            height=height,
            mode=ColourMode[picture.mode],
            quality=100 if lossless else quality,
            model_id=self.weights.id,
            tile_size=tile_size,
            neutral=neutral,
        )
        if lossless:
            tiles = CodedTiles([], frozenset(range(header.tile_count)))
            return _file(picture, header, tiles, effort)
        encoder = PictureEncoder(
            self.tiles,
            picture.rgb,
            header.grid,
            keep=target is not None,
            unseen=covered,
            importance=_finer(importance, picture),
        )
        if target is not None:
            return _Search(encoder, picture, header, effort).best(target)
        return _file(picture, header, encoder.encode(quality, effort), effort)

    def denoised(self, picture: Picture, strength: Strength, *, grain: bool = False) -> Picture:
        """The picture without its noise, and with a note on it: see `coding.denoising.denoised`."""
        from aecodec.coding.denoising import denoised

        return denoised(picture, strength, self.tiles.runtime.options, grain=grain)

    def decode(
        self,
        container: bitstream.Container,
        region: Sequence[int] | None = None,
        scale: int = 1,
        *,
        grain: bool = True,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> PIL.Image.Image:
        """The picture of a parsed file, or the part of it in `region`, 1 or 2 times as large."""
        from aecodec.image.picture import from_bands

        part = _part(container, region, scale, max_pixels)
        mode, alpha, travelling = _beside(container, region, scale)
        bands = self._bands(container, part, scale, grain=grain)
        return from_bands(bands, (scale * part.h, scale * part.w), mode, alpha, **travelling)

    def decode_to_png(
        self,
        container: bitstream.Container,
        file: BinaryIO,
        region: Sequence[int] | None = None,
        scale: int = 1,
        *,
        grain: bool = True,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> tuple[str, ...]:
        """Write the picture of a parsed file as a PNG while later tiles are decoded.

        What is written is never in memory as a whole. After a fault the file is incomplete. Returns
        notes on what a PNG cannot hold.
        """
        from aecodec.image.save import save_bands

        part = _part(container, region, scale, max_pixels)
        mode, alpha, travelling = _beside(container, region, scale)
        size = scale * part.h, scale * part.w
        threads = self.tiles.runtime.threads
        with contextlib.closing(self._bands(container, part, scale, grain=grain)) as bands:
            return save_bands(bands, size, file, mode, alpha, threads=threads, **travelling)

    def decode_rgb(
        self, container: bitstream.Container, region: Sequence[int] | None = None
    ) -> Pixels:
        """The pixels (H,W,3) of a parsed file, or of `region`: only the tiles that it needs."""
        return self._decoder(container).draw(_part(container, region))

    def _bands(
        self, container: bitstream.Container, part: Box, scale: int = 1, *, grain: bool = True
    ) -> Generator[Pixels, None, None]:
        """The pixels of a part as the file says that they are shown, from top to bottom."""
        header = container.header
        if scale == 1:
            bands = self._decoder(container).bands(part)
            if grain and container.grain is not None:
                bands = _grained(bands, part, container, container.grain)
        else:
            from aecodec.coding.enlarging import enlarged_bands, seen_by

            whole = Box.of(header.grid.shape)
            seen = seen_by(part, header.grid.shape).common(whole) or whole
            rgb = shown(_gathered(self._decoder(container).bands(seen), seen), header)
            options = self.tiles.runtime.options
            bands = enlarged_bands(rgb, part.within(seen), header.quality, options)
        for band in bands:
            yield shown(band, header)

    def decode_preview(self, container: bitstream.Container, scale: int) -> PIL.Image.Image:
        """The picture of a parsed file at 1/scale of its width and height, rounded up."""
        from aecodec.image import metadata
        from aecodec.image.picture import reduced, to_pil

        scale = _whole_number("preview", scale)
        if scale not in PREVIEWS:
            raise ValueError(f"a preview's scale is 2, 4, 8 or 16, not {scale}")
        rgb = shown(self._decoder(container).draw_preview(scale), container.header)
        alpha = None if container.alpha is None else reduced(container.alpha, scale)
        travelling = metadata.of_part(container.metadata, (rgb.shape[1], rgb.shape[0]))
        return to_pil(rgb, container.header.mode.name, alpha, **travelling)

    def _decoder(self, container: bitstream.Container) -> PictureDecoder:
        from aecodec.coding.picture import PictureDecoder

        header = container.header
        check_tiles(header, all_exact=len(container.exact) == header.tile_count)
        return PictureDecoder(
            self.tiles,
            container.tiles,
            header.grid,
            header.quality,
            container.exact,
            step_maps=header.step_maps,
        )


def check_tiles(header: Header, *, all_exact: bool) -> None:
    """LimitError for tiles that are larger than this decoder takes."""
    if all_exact:
        box = header.grid.box(0)
        if box.w * box.h > MAX_EXACT_PIXELS:
            raise LimitError(
                f"exact tiles of {box.w}x{box.h} pixels: this decoder takes {MAX_EXACT_PIXELS}"
            )
    elif header.tile_size > MAX_TILE_SIZE:
        raise LimitError(
            f"tiles of {header.tile_size} pixels: this decoder takes {MAX_TILE_SIZE} at most"
        )


# --- Searches -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Coded:
    """The tiles of a file, and the bytes that it will have."""

    header: Header
    tiles: CodedTiles
    size: int

    def __len__(self) -> int:
        return self.size


@dataclasses.dataclass(frozen=True)
class _Search:
    """The search for the quality whose file meets a target."""

    encoder: PictureEncoder
    picture: Picture
    header: Header
    effort: int

    def best(self, target: Target) -> bytes:
        """The bytes of the file. Raises RequestError where no quality meets the target."""
        if target.measure == "psnr":
            return self._of_psnr(target.value)
        if target.measure == "ssimulacra2":
            return self._of_ssimulacra2(target.value)
        if target.measure == "bpp":
            return self._of_size(int(min(target.value * self.header.pixels / 8, MOST_BYTES)))
        return self._of_size(int(min(target.value, MOST_BYTES)))

    def _of_size(self, limit: int) -> bytes:
        """The best file of at most so many bytes."""
        from aecodec.coding.rate_control import largest_refined, largest_within

        kept = _kept(self.picture, self.header)

        def encode(effort: int, quality: int, dead_zone: float) -> _Coded:
            chosen = dataclasses.replace(self.header, quality=quality)
            tiles = self.encoder.encode(quality, effort, dead_zone)
            return _Coded(chosen, tiles, _size(chosen, tiles, sum(kept.values())))

        one_pass = functools.partial(encode, 1)
        if self.effort == 1:
            best = largest_within(one_pass, limit, kept)
        else:
            refine = functools.partial(encode, self.effort)
            best = largest_refined(refine, lambda *setting: len(one_pass(*setting)), limit, kept)
        return _file(self.picture, best.header, best.tiles, self.effort)

    def _of_psnr(self, target: float) -> bytes:
        """The file of the lowest quality with so many dB at least."""
        from aecodec.coding.rate_control import smallest_reaching

        def encode(effort: int, quality: int) -> tuple[tuple[Header, CodedTiles], float]:
            chosen = dataclasses.replace(self.header, quality=quality)
            tiles, rgb = self.encoder.encode_and_draw(quality, effort)
            return (chosen, tiles), _psnr(self.picture, shown(rgb, self.header))

        foretold = functools.cache(lambda quality: encode(1, quality)[1])
        try:
            best = smallest_reaching(
                functools.partial(encode, self.effort),
                target,
                foretold=foretold if self.effort > 1 else None,
                thorough=self.header.pixels <= FEW_PIXELS,
            )
        except RequestError:  # out of the networks' reach
            best = dataclasses.replace(self.header, quality=100), self.encoder.encode_exactly()
        return _file(self.picture, *best, self.effort)

    def _of_ssimulacra2(self, target: float) -> bytes:
        """The file with this score at least."""
        from aecodec.coding.score_control import lowest_reaching
        from aecodec.networks.runtime import Options
        from aecodec.networks.ssimulacra2 import SMALLEST_SIDE

        header, options = self.header, Options(threads=self.encoder.threads)
        if min(header.width, header.height) < SMALLEST_SIDE:
            raise RequestError(
                f"a picture of {header.width}x{header.height} has no SSIMULACRA 2: it needs"
                f" {SMALLEST_SIDE} pixels a side"
            )

        def encode(quality: int, dead_zone: float) -> tuple[tuple[Header, CodedTiles], float]:
            chosen = dataclasses.replace(header, quality=quality)
            tiles, rgb = self.encoder.encode_and_draw(quality, self.effort, dead_zone)
            score = _ssimulacra2(self.picture, shown(rgb, header), options)
            return (chosen, tiles), score

        return _file(self.picture, *lowest_reaching(encode, target), self.effort)


def _uncovered(
    picture: Picture, without: str | PathLike[str] | bytes | PIL.Image.Image | Bools
) -> tuple[Picture, Bools]:
    """The picture with what a mask covers drawn from its surroundings, and the mask (H,W)."""
    from aecodec.image.masks import filled, read_mask, without_copies

    covered = read_mask(without, picture.rgb.shape)
    picture = without_copies(picture)
    return dataclasses.replace(picture, rgb=filled(picture.rgb, covered)), covered


def _finer(
    importance: str | PathLike[str] | bytes | PIL.Image.Image | Pixels | None, picture: Picture
) -> Floats | None:
    """What a person adds to the map of steps (H/64,W/64), if anything."""
    if importance is None:
        return None
    from aecodec.image.masks import read_importance

    return read_importance(importance, picture.rgb.shape)


def _refuse_contradictions(
    target: Target | None,
    denoise: Strength | None,
    importance: object,
    *,
    lossless: bool,
    grain: bool,
) -> None:
    if lossless and target is not None:
        raise ValueError("a lossless file or a target, not both")
    if lossless and denoise is not None:
        raise ValueError("a lossless file keeps the noise: lossless or denoise, not both")
    if lossless and importance is not None:
        raise ValueError("a lossless file keeps every part: lossless or importance, not both")
    if grain and denoise is None:
        raise ValueError("grain describes the noise that denoise removes: it needs denoise")


def _file(picture: Picture, header: Header, tiles: CodedTiles, effort: int = 1) -> bytes:
    if len(tiles.exact) == header.tile_count:
        header, tiles = _in_large_tiles(picture, header, tiles, effort)
    return bitstream.pack(
        dataclasses.replace(header, step_maps=tiles.step_maps),
        tiles.payloads,
        exact=tiles.exact,
        alpha=picture.alpha,
        grain=None if picture.grain is None else bitstream.Grain.unpack(picture.grain),
        **picture.metadata,
    )


def _in_large_tiles(
    picture: Picture, header: Header, tiles: CodedTiles, effort: int
) -> tuple[Header, CodedTiles]:
    """Exact tiles as large as readers take: what repeats in a picture is stored once."""
    from aecodec.coding.picture import CodedTiles
    from aecodec.image import vp8l

    longest = ceil_div(max(header.width, header.height), TILE_UNIT) * TILE_UNIT
    single = header.pixels <= MAX_EXACT_PIXELS and longest <= bitstream.MAX_TILE_SIZE
    large = dataclasses.replace(header, tile_size=longest if single else EXACT_TILE_SIZE)
    if tiles.payloads and len(large.grid) == len(header.grid) and effort == 1:
        return header, tiles
    payloads = [vp8l.pack(picture.rgb[box.slices()], effort) for box in large.grid]
    if tiles.payloads and sum(map(len, payloads)) >= sum(map(len, tiles.payloads)):
        return header, tiles
    return large, CodedTiles(payloads, frozenset(range(len(payloads))))


def _kept(picture: Picture, header: Header) -> dict[str, int]:
    """The bytes in a file of what is coded losslessly, by what it is."""
    if picture.alpha is None and picture.grain is None and not any(picture.metadata.values()):
        return {}
    from aecodec.coding.picture import CodedTiles

    data = _file(picture, header, CodedTiles([bytes(4)] * header.tile_count))
    kept: dict[str, int] = {}
    for section in bitstream.parse(data, max_pixels=header.pixels).sections:
        if section.type != bitstream.SectionType.TILE:
            names = {"ALPHA": "transparency", "GRAIN": "grain"}
            name = names.get(section.name, "metadata")
            kept[name] = kept.get(name, 0) + section.end - section.offset
    return kept


def _size(header: Header, tiles: CodedTiles, kept: int) -> int:
    """The bytes of a file, of which so many are not tiles: those need not be packed each time."""
    bare = bitstream.pack(dataclasses.replace(header, mode=ColourMode.RGB), tiles.payloads)
    if not kept:
        return len(bare)
    body = len(bare) - bitstream.parse_header(bare).size
    # The header states the body's length, seven bits a byte.
    more = ceil_div((body + kept).bit_length(), 7) - ceil_div(body.bit_length(), 7)
    return len(bare) + kept + more


def _psnr(picture: Picture, rgb: Pixels) -> float:
    """The PSNR in dB of what a decoder shows of its pixels (H,W,3)."""
    import numpy as np

    from aecodec.image.picture import to_pil
    from aecodec.metrics import psnr

    if picture.mode in ("L", "LA"):
        return psnr(picture.rgb[..., 0], np.asarray(to_pil(rgb, "L")), picture.visible)
    return psnr(picture.rgb, rgb, picture.visible)


def _part(
    container: bitstream.Container,
    region: Sequence[int] | None,
    scale: int = 1,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Box:
    """The pixels of a region; all of them without one.

    Raises RequestError, ValueError, and LimitError if it would be too large at this scale.
    """
    if scale not in (1, *SCALES):
        raise ValueError(f"a scale is 1 or 2, not {scale}")
    shape = container.header.grid.shape
    whole = Box.of(shape)
    part = whole if region is None else _box(region)
    if part.common(whole) != part:
        raise RequestError(
            "the region {},{},{},{} does not lie".format(*part)
            + f" in the picture's {shape[1]} x {shape[0]} pixels"
        )
    width, height = scale * part.w, scale * part.h
    if scale > 1 and width * height > max_pixels:
        raise LimitError(
            f"twice as large the picture would have {width} x {height} pixels;"
            f" the limit is {max_pixels} (--max-pixels)"
        )
    return part


def _beside(
    container: bitstream.Container, region: Sequence[int] | None, scale: int
) -> tuple[str, Pixels | None, dict[str, Any]]:
    """What a picture, or a part of it, has beside its colours: mode, alpha, metadata."""
    from aecodec.image import metadata
    from aecodec.image.rgb import doubled

    alpha, travelling = container.alpha, container.metadata
    part = Box.of(container.header.grid.shape) if region is None else _box(region)
    if region is not None or scale > 1:
        size = scale * part.w, scale * part.h
        travelling = metadata.of_part(travelling, size, is_cut=region is not None)
    if alpha is not None and scale > 1:
        alpha = doubled(alpha, part)
    elif alpha is not None and region is not None:
        alpha = alpha[part.slices()]
    return container.header.mode.name, alpha, travelling


def _box(region: Sequence[int]) -> Box:
    try:
        return Box(*map(operator.index, region))
    except (TypeError, ValueError):
        raise ValueError(f"a region is x, y, width and height in pixels, not {region!r}") from None


def _ssimulacra2(picture: Picture, rgb: Pixels, options: Options) -> float:
    """The SSIMULACRA 2 score of what a decoder shows of its pixels (H,W,3)."""
    import numpy as np

    from aecodec.image.picture import to_pil
    from aecodec.networks.ssimulacra2 import ssimulacra2, with_alpha

    if picture.mode in ("L", "LA"):
        rgb = np.asarray(to_pil(rgb, "L").convert("RGB"))
    found = ssimulacra2(*with_alpha(picture.alpha, picture.rgb, rgb), options=options)
    assert found is not None  # smaller pictures are refused
    return found
