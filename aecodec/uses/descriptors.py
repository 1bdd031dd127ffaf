"""A descriptor of a picture: 64 numbers that are alike where pictures look alike.

.aec     --z_hat, linear map--> thumbnail --+
                                            +--cosine moments--> 112 --LDA--> 64, of length 1
picture  --mean colours of areas----------> thumbnail --+

An .aec file is read without a network and without its latents: the entropy coder gives out z_hat
first, and a linear map that was fitted once estimates from each element of z_hat and its eight
neighbours the mean luma of 16 x 16 pixels and the mean colour of 64 x 64. Half a picture has half
as many elements, and the thumbnail is the same.

The moments are the lowest coefficients of a cosine transform, without the mean and divided by the
contrast, so that brightness and contrast do not count. The projection is Fisher's linear
discriminant analysis (Fisher 1936, "The Use of Multiple Measurements in Taxonomic Problems"): it
weighs directions in which copies of one picture differ (cut, turned, framed, written upon, coded)
against those in which pictures differ. `benchmarks/fit_descriptors.py` fits both maps.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import numpy as np

from aecodec import bitstream
from aecodec.bitstream import DEFAULT_MAX_PIXELS, MAGIC
from aecodec.geometry import ceil_div

if TYPE_CHECKING:
    from os import PathLike

    import PIL.Image

    from aecodec.arrays import Array, Floats, Ints, Pixels

__all__ = [
    "LENGTH",
    "Thumbnail",
    "describe",
    "features",
    "moments",
    "of_container",
    "of_file",
    "of_pixels",
    "variants",
]

LENGTH: Final = 64
"""Numbers of a descriptor."""
VERSION: Final = 1
"""Of the descriptors: those of another version are not compared."""

_LUMA, _CHROMA = 32, 8
"""The sides of a thumbnail's planes."""
_LUMA_MOMENTS, _CHROMA_MOMENTS = 9, 4
MOMENTS: Final = _LUMA_MOMENTS**2 - 1 + 2 * _CHROMA_MOMENTS**2
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST_CONTRAST = 0.02
"""Added to the contrast, so that noise on a blank page does not become a picture."""


def level_of(quality: int) -> float:
    """The quality as the map of z_hat takes it: -1 to 1."""
    return quality / 50.0 - 1.0


class Thumbnail(NamedTuple):
    """What a descriptor is computed from. Both planes cover the whole picture."""

    luma: Floats  # (32,32), 0 to 1
    chroma: Floats  # (8,8,2): blue minus luma, red minus luma

    def to_bytes(self) -> bytes:
        """1152 bytes: both planes in 8 bits."""
        luma = np.clip(np.rint(255.0 * self.luma), 0, 255).astype(np.uint8)
        chroma = np.clip(np.rint(127.0 * self.chroma) + 128, 0, 255).astype(np.uint8)
        return bytes(luma.tobytes() + chroma.tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Thumbnail:
        """The inverse of `to_bytes`. ValueError for another number of bytes."""
        values = np.frombuffer(data, np.uint8).astype(np.float32)
        if len(values) != _LUMA**2 + 2 * _CHROMA**2:
            raise ValueError(f"a thumbnail has {_LUMA**2 + 2 * _CHROMA**2} bytes, not {len(data)}")
        luma, chroma = values[: _LUMA**2], values[_LUMA**2 :]
        return cls(
            (luma / 255.0).reshape(_LUMA, _LUMA),
            ((chroma - 128.0) / 127.0).reshape(_CHROMA, _CHROMA, 2),
        )


# --- Thumbnails -----------------------------------------------------------------------------------


def of_pixels(rgb: Pixels) -> Thumbnail:
    """The thumbnail of a picture (H,W,3)."""
    height, width = rgb.shape[:2]
    rows, columns = _areas(_LUMA, height, height), _areas(_LUMA, width, width)
    # Rows first, and in one multiplication: the picture becomes 32 rows of floats.
    narrow = (rows @ rgb.reshape(height, -1).astype(np.float32)).reshape(_LUMA, width, 3)
    small = np.einsum("iwc,jw->ijc", narrow, columns, optimize=True) / np.float32(255.0)
    return _of_colours(small)


def _of_colours(small: Floats) -> Thumbnail:
    """The thumbnail of mean colours (32,32,3), 0 to 1."""
    luma = small @ LUMA
    apart = small[..., [2, 0]] - luma[..., None]
    part = _LUMA // _CHROMA
    chroma = apart.reshape(_CHROMA, part, _CHROMA, part, 2).mean(axis=(1, 3))
    return Thumbnail(luma.astype(np.float32), chroma.astype(np.float32))


def of_image(image: PIL.Image.Image) -> Thumbnail:
    """The thumbnail of an upright Pillow image in mode RGB."""
    from aecodec.image.small import means_of_image

    return _of_colours(means_of_image(image, _LUMA))


def of_container(container: bitstream.Container) -> Thumbnail | None:
    """The thumbnail of a parsed .aec file, from z_hat alone.

    None where z_hat does not say it: a tile is stored exactly, or no map was fitted to the weights
    that the file names. Raises WeightsError, CorruptError.
    """
    if container.exact:
        return None
    header = container.header
    if f"z_hat.{header.model_id.hex()}" not in _maps():
        return None
    return of_z_hat(_z_hat(container), header)


def of_z_hat(z_hat: Ints, header: bitstream.Header) -> Thumbnail:
    """The thumbnail of a picture's z_hat (N,ceil(H/64),ceil(W/64)). KeyError without a map."""
    n, h, w = z_hat.shape
    to_colours = _to_colours(header.model_id.hex(), header.quality, n)
    around = np.pad(z_hat, ((0, 0), (1, 1), (1, 1)), mode="edge").astype(np.float32)
    # Each element by the maps of all nine places in one multiplication, then moved there and added.
    parts = (around.reshape(n, -1).T @ to_colours.by_place).reshape(h + 2, w + 2, 9, -1)
    colours = np.broadcast_to(to_colours.constant, (h, w, parts.shape[-1])).copy()
    for place in range(9):
        row, column = divmod(place, 3)
        colours += parts[row : row + h, column : column + w, place]
    luma = colours[..., :16].reshape(h, w, 4, 4).swapaxes(1, 2).reshape(4 * h, 4 * w)
    luma = luma[: ceil_div(header.height, 16), : ceil_div(header.width, 16)]
    down, across = header.height / 16, header.width / 16
    rows, columns = _areas(_LUMA, down, luma.shape[0]), _areas(_LUMA, across, luma.shape[1])
    chroma_rows, chroma_columns = _areas(_CHROMA, down / 4, h), _areas(_CHROMA, across / 4, w)
    chroma = chroma_rows @ colours[..., 16:].transpose(2, 0, 1) @ chroma_columns.T
    return Thumbnail(rows @ luma @ columns.T, chroma.transpose(1, 2, 0))


class _ToColours(NamedTuple):
    """The map from z_hat to colours at one quality, of N hyperlatents to K numbers."""

    by_place: Floats  # (N,9*K): for each of the nine places around an element
    constant: Floats  # (K,)


@functools.lru_cache(maxsize=32)
def _to_colours(model_id: str, quality: int, n: int) -> _ToColours:
    constant, slope = _maps()[f"z_hat.{model_id}"]
    whole = constant + np.float32(level_of(quality)) * slope
    by_place = whole[:-1].reshape(9, n, -1).swapaxes(0, 1).reshape(n, -1)
    return _ToColours(np.ascontiguousarray(by_place), whole[-1])


def _z_hat(container: bitstream.Container) -> Ints:
    """z_hat (N,ceil(H/64),ceil(W/64)) of a whole picture; no latent is decoded."""
    from aecodec.codec import weights_for
    from aecodec.entropy.coder import Decoder
    from aecodec.entropy.padding import TileShape

    header = container.header
    weights = weights_for(container)
    tables = weights.at(header.quality).z_tables
    n = weights.config.hyper_latents
    whole = np.empty((n, ceil_div(header.height, 64), ceil_div(header.width, 64)), np.int32)
    grid = header.grid
    for box, payload in zip(grid, container.tiles, strict=True):
        tile = TileShape.at(box, grid.shape, weights.config.latents)
        decoder = Decoder(payload[4:])  # after the checksum of the symbols
        rows, columns = box.slices(64)
        whole[:, rows, columns] = tables.decode(decoder, tile.z_rows, tile.z_columns)
    return whole


def of_file(
    source: str | PathLike[str] | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS, threads: int = 0
) -> Thumbnail:
    """The thumbnail of a picture file or of an .aec file, given by its path or its bytes.

    A JPEG is decoded at an eighth of its size where that is enough. An .aec file whose z_hat does
    not say what it looks like (see `of_container`) is decoded. Raises InputError, FormatError,
    LimitError, WeightsError.
    """
    from aecodec.files import read_compressed
    from aecodec.image.load import load
    from aecodec.image.small import means_of_jpeg

    with _opened(source) as file:
        if file.read(len(MAGIC)) != MAGIC:
            means = means_of_jpeg(file, _LUMA, max_pixels)
            if means is not None:
                return _of_colours(means)
            return of_pixels(load(file, max_pixels=max_pixels).rgb)
    data = source if isinstance(source, bytes) else read_compressed(os.fspath(source))
    container = bitstream.parse(data, max_pixels=max_pixels)
    thumbnail = of_container(container)
    return _decoded(data, max_pixels, threads) if thumbnail is None else thumbnail


@contextlib.contextmanager
def _opened(source: str | PathLike[str] | bytes) -> Iterator[BinaryIO]:
    """A file that can be read from any place: a pipe is read into memory."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    from aecodec.files import reading

    with reading():
        file = open(source, "rb")  # noqa: SIM115 (closed below; only opening is translated)
    with file:
        yield file if file.seekable() else io.BytesIO(file.read())


def _decoded(data: bytes, max_pixels: int, threads: int) -> Thumbnail:
    from aecodec.codec import decompress
    from aecodec.image.load import load

    image = decompress(data, max_pixels=max_pixels, threads=threads)
    return of_pixels(load(image, max_pixels=max_pixels).rgb)


def _areas(count: int, length: float, cells: int) -> Floats:
    """(count,cells): the means over `count` even parts of `length` cells of size 1."""
    edges = np.linspace(0.0, length, count + 1)
    lefts = np.arange(cells)
    ends = np.minimum(lefts + 1.0, length)
    shared = np.minimum(edges[1:, None], ends) - np.maximum(edges[:-1, None], lefts)
    found: Floats = (np.maximum(shared, 0.0) * (count / length)).astype(np.float32)
    return found


# --- Descriptors ----------------------------------------------------------------------------------


class View(NamedTuple):
    """A part of a picture, as shares of its width and height; mirrored or not."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    mirrored: bool = False


WHOLE: Final = View()
VIEWS: Final = (
    WHOLE,
    View(mirrored=True),
    View(0.05, 0.05, 0.95, 0.95),
    View(0.1, 0.1, 0.9, 0.9),
    View(0.0, 0.0, 0.9, 0.9),
    View(0.1, 0.0, 1.0, 0.9),
    View(0.0, 0.1, 0.9, 1.0),
    View(0.1, 0.1, 1.0, 1.0),
)
"""What a copy may show of a picture."""


@functools.cache
def _cosines(count: int, cells: int, begin: float, end: float) -> Floats:
    """(count,cells): the first coefficients of a cosine transform of the part from `begin` to
    `end` of an interval 0..1 that is cut in `cells` even cells."""
    edges = np.clip((np.arange(cells + 1) / cells - begin) / (end - begin), 0.0, 1.0)
    order = np.arange(1, count)[:, None] * np.pi
    waves = np.sqrt(2.0) * np.diff(np.sin(order * edges), axis=1) / order
    return np.concatenate([np.diff(edges)[None], waves]).astype(np.float32)


def moments(thumbnails: Sequence[Thumbnail], view: View = WHOLE) -> Floats:
    """(n,112): the cosine moments of a view of each thumbnail, without the mean luma, in units of
    the contrast."""
    luma = np.stack([thumbnail.luma for thumbnail in thumbnails])[:, None]
    chroma = np.stack([thumbnail.chroma for thumbnail in thumbnails]).transpose(0, 3, 1, 2)
    parts = []
    for planes, count in ((luma, _LUMA_MOMENTS), (chroma, _CHROMA_MOMENTS)):
        side = planes.shape[-1]
        rows = _cosines(count, side, view.top, view.bottom)
        columns = _cosines(count, side, view.left, view.right)
        found = rows @ planes @ columns.T
        if view.mirrored:
            found[..., 1::2] *= -1.0
        parts.append(found.reshape(len(found), -1))
    parts[0] = parts[0][:, 1:]
    contrast = np.linalg.norm(parts[0], axis=1, keepdims=True) + np.float32(_LEAST_CONTRAST)
    divided: Floats = np.concatenate(parts, axis=1) / contrast
    return divided


def describe(thumbnails: Sequence[Thumbnail], view: View = WHOLE) -> Floats:
    """(n,64): the descriptors of a view of thumbnails, each of length 1."""
    maps = _maps()
    projected = (moments(thumbnails, view) - maps["mean"]) @ maps["projection"]
    lengths = np.linalg.norm(projected, axis=1, keepdims=True)
    found: Floats = projected / np.maximum(lengths, np.float32(1e-6))
    return found


def variants(thumbnails: Sequence[Thumbnail]) -> Floats:
    """(n,8,64): the descriptors of what a copy of each picture may show: all `VIEWS`."""
    return np.stack([describe(thumbnails, view) for view in VIEWS], axis=1)


def features(
    image: str | PathLike[str] | bytes | PIL.Image.Image | Pixels,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    threads: int = 0,
) -> Floats:
    """The descriptor of a picture: 64 numbers (float32) of length 1.

    The dot product of two of them says how alike the pictures look: 1 is the same. An .aec file is
    read without a network and without its latents.

    Args:
        image: an .aec file or another picture file, by its path or its bytes; a PIL image; or an
            array of uint8, (H,W), (H,W,3), or (H,W,4) with alpha, which does not count.
        max_pixels: refuse larger pictures.
        threads: to decode an .aec file with whose weights the descriptor does not know.
    Raises:
        InputError: the picture can't be read or is too large.
        FormatError: the .aec file is damaged, truncated, or made for a newer version.
        LimitError: an .aec file of more than `max_pixels` pixels.
        WeightsError: the weights that the file names are not installed.
    """
    from os import PathLike

    from aecodec.image.load import load

    if isinstance(image, str | bytes | PathLike):
        thumbnail = of_file(image, max_pixels=max_pixels, threads=threads)
    else:
        thumbnail = of_pixels(load(image, max_pixels=max_pixels).rgb)
    found: Floats = describe([thumbnail])[0]
    return found


@functools.cache
def _maps() -> dict[str, Array]:
    """The fitted maps: `mean` (112,), `projection` (112,64), and for each of the weights
    `z_hat.ID` (2,9N+1,18): a constant map, and what is added to it for each step of the level."""
    from safetensors.numpy import load_file

    loaded = load_file(Path(__file__).with_suffix(".safetensors"))
    return {name: array.astype(np.float32) for name, array in loaded.items()}
