"""Pictures drawn from the prior, and variations of a picture: textures, and no picture generator.

`draw` samples latents from the entropy model, as a decoder decodes them: first z_hat, then the
symbols of both steps, each drawn from the table that would code it. The model knows how latents
vary next to each other, and nothing of objects: what comes out has the texture of photographs and
shows nothing.

`augment` adds smooth noise to the latents of a picture, in units of each channel's deviation, and
turns each channel up or down. Shapes stay, and textures, colours and sharpness vary.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from aecodec.bitstream import ColourMode, Header
from aecodec.entropy.coder import Decoder

if TYPE_CHECKING:
    from os import PathLike

    import PIL.Image

    from aecodec.arrays import Floats, Ints, Pixels
    from aecodec.codec import Codec
    from aecodec.entropy.tables import Groups
    from aecodec.image.picture import Picture

__all__ = ["augment", "draw", "variation"]

_QUALITY: Final = 75
_TURN: Final = 0.3
"""How far a channel is turned up or down at strength 1, as the deviation of a logarithm."""


def draw(
    width: int,
    height: int,
    *,
    quality: int = _QUALITY,
    seed: int = 0,
    model: str | None = None,
    threads: int = 0,
) -> PIL.Image.Image:
    """A picture drawn from the prior at a quality: high ones have more detail.

    The same seed gives the same latents on every machine. Raises ValueError for a quality that is
    not from 1 to 100 and for sides below 1, InputError for sides that .aec cannot have, and
    WeightsError.
    """
    from aecodec.codec import shared
    from aecodec.image.picture import to_pil
    from aecodec.networks import weights

    coder = shared(weights.by_name(model), threads, "cpu")
    header = Header(width, height, ColourMode.RGB, quality, coder.weights.id)
    sampled = {n: _sample(coder, header, n, seed) for n in range(header.tile_count)}
    return to_pil(_synthesised(coder, header, sampled), "RGB")


class _Sampler(Decoder):
    """Gives symbols drawn from their tables, where a decoder gives those of a file."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def take(self, groups: Groups) -> Ints:
        """The symbols of one array, flat. An escape becomes the table's outermost symbol."""
        tables = groups.tables
        symbols = np.zeros(len(groups.indexes), np.int32)
        for t, part in groups.parts:
            bounds = np.cumsum(tables.table(t), dtype=np.int64)
            places = groups.order[part]
            drawn = self._rng.integers(0, int(bounds[-1]), len(places))
            entries = np.clip(np.searchsorted(bounds, drawn, side="right"), 1, len(bounds) - 2)
            symbols[places] = entries - 1 + int(tables.first[t])
        return symbols


def _sample(coder: Codec, header: Header, number: int, seed: int) -> Floats:
    """v_hat (M,h/16,w/16) of a tile, sampled from the entropy model."""
    from aecodec.entropy.padding import TileShape
    from aecodec.networks.means import completed

    point, tables, means = (
        coder.weights.at(header.quality),
        coder.weights.y_tables,
        coder.tiles.means,
    )
    channels = coder.weights.config.latents
    tile = TileShape.at(header.grid.box(number), header.grid.shape, channels)
    sampler = _Sampler(np.random.default_rng((seed, number)))
    z_hat = point.z_tables.decode(sampler, tile.z_rows, tile.z_columns)
    side = coder.tiles.side_info(z_hat, point, tile)
    features = side.features()
    s0 = sampler.take(tables[0].groups(side.scales.first))
    s1 = sampler.take(tables[1].groups(side.scales.after(s0)))
    v_hat = tile.board.whole(completed(s0.astype(np.float32), means.first(features)))
    second = completed(s1.astype(np.float32), means.second(features, v_hat))
    tile.board.put(second, v_hat, 1)
    return v_hat


@overload
def augment(
    image: Pixels,
    strength: float = ...,
    seed: int = ...,
    *,
    model: str | None = ...,
    threads: int = ...,
) -> Pixels: ...
@overload
def augment(
    image: str | PathLike[str] | bytes | PIL.Image.Image,
    strength: float = ...,
    seed: int = ...,
    *,
    model: str | None = ...,
    threads: int = ...,
) -> PIL.Image.Image: ...
def augment(
    image: str | PathLike[str] | bytes | PIL.Image.Image | Pixels,
    strength: float = 0.5,
    seed: int = 0,
    *,
    model: str | None = None,
    threads: int = 0,
) -> PIL.Image.Image | Pixels:
    """A variation of a picture for a training set: the same shapes, other textures and colours.

    It keeps the colour profile and the transparency of the picture, and no other metadata.

    Args:
        image: a path, the bytes of a picture file, a PIL image, or an array of uint8 (H,W,3), for
            which an array is returned.
        strength: 0 gives what a file of quality 75 nearly gives; 1 is a strong change.
        seed: the same one gives the same variation.
        model: the name of the weights.
        threads: how many to use at most; 0: one for every core.
    Raises:
        InputError: the picture can't be read or is too large.
        ValueError: a strength that is negative or not finite.
        WeightsError: no usable weights of that name.
    """
    from aecodec.image.load import load

    picture = load(image)
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3:
        return _varied_pixels(picture.rgb, strength, seed, model=model, threads=threads)
    return variation(picture, strength, seed, model=model, threads=threads)


def variation(
    picture: Picture, strength: float, seed: int, *, model: str | None = None, threads: int = 0
) -> PIL.Image.Image:
    """A variation of a picture that was read; its arguments and errors are those of `augment`."""
    from aecodec.image.picture import to_pil

    rgb = _varied_pixels(picture.rgb, strength, seed, model=model, threads=threads)
    return to_pil(rgb, picture.mode, picture.alpha, icc=picture.icc)


def _varied_pixels(
    rgb: Pixels, strength: float, seed: int, *, model: str | None, threads: int
) -> Pixels:
    """A variation of pixels (H,W,3)."""
    from aecodec.codec import shared
    from aecodec.networks import weights

    if not 0.0 <= strength < np.inf:
        raise ValueError(f"strength must be 0 or more, not {strength}")
    coder = shared(weights.by_name(model), threads, "cpu")
    height, width = rgb.shape[:2]
    header = Header(width, height, ColourMode.RGB, _QUALITY, coder.weights.id)
    return _varied(coder, header, rgb, strength, np.random.default_rng(seed))


def _varied(
    coder: Codec, header: Header, rgb: Pixels, strength: float, rng: np.random.Generator
) -> Pixels:
    from aecodec.coding.analysis import Analysis

    deviation = coder.weights.deviation[:, None, None]
    gain = coder.weights.at(header.quality).gain
    turn = np.exp(_TURN * strength * rng.standard_normal(deviation.shape, np.float32))
    boxes = list(header.grid)
    analysis = Analysis(coder.tiles.transforms, rgb, boxes)
    varied = {}
    for number, box in enumerate(boxes):
        y = analysis(box)
        noise = _smooth(rng.standard_normal(y.shape, np.float32))
        varied[number] = gain * (turn * y + 0.5 * strength * deviation * noise)
    return _synthesised(coder, header, varied)


def _smooth(noise: Floats) -> Floats:
    """Noise (M,h,w) of the same deviation that neighbours have in common: else each latent's
    pixels would be a square of their own."""
    from aecodec.entropy.scales import one_blas_thread

    _, height, width = noise.shape
    with one_blas_thread:
        smooth: Floats = _binomial(height) @ (noise @ _binomial(width))
    return smooth


@functools.lru_cache(maxsize=64)
def _binomial(size: int) -> Floats:
    """(n,n): a symmetric filter of five taps as a matrix product, which wraps around."""
    matrix = np.zeros((size, size), np.float32)
    places = np.arange(size)
    for shift, tap in zip(range(-2, 3), (1.0, 4.0, 6.0, 4.0, 1.0), strict=True):
        np.add.at(matrix, (places, (places + shift) % size), tap / np.sqrt(70.0))
    return matrix


def _synthesised(coder: Codec, header: Header, v_hat: dict[int, Floats]) -> Pixels:
    from aecodec.coding.synthesis import Synthesis

    point = coder.weights.at(header.quality)
    return Synthesis(coder.tiles.transforms, header.grid, point, v_hat.__getitem__).draw()
