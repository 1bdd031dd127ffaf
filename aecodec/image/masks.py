"""Masks: which pixels of a picture are covered, and how what they hide is drawn from around them;
and which are important.

`filled` draws by ordinary kriging (Matheron 1963, "Principles of Geostatistics"): each covered
pixel is the weighted mean of the known pixels next to it whose expected squared error is the least,
given how far values of this part of the picture are alike at each distance and in each direction.
This autocovariance comes from the picture itself. Lines go on along their direction, and noise is
not continued.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from aecodec.errors import InputError, one_line
from aecodec.geometry import DEFAULT_MAX_PIXELS, TILE_UNIT
from aecodec.image import metadata
from aecodec.image.load import load
from aecodec.image.picture import Picture, grey_of, reduced

if TYPE_CHECKING:
    import numpy.typing as npt
    import PIL.Image

    from aecodec.arrays import Array, Bools, Floats, Pixels, Places

    Doubles = npt.NDArray[np.float64]

__all__ = ["filled", "grown", "read_importance", "read_mask", "without_copies"]

MORE: Final = 6.0
"""What white adds to the map of steps: it halves the quantisation step, and black doubles it."""
_REACH: Final = 14
"""How far the known pixels lie that count, in pixels."""
_NEAREST: Final = 40
"""How many of them count, the nearest ones."""
_BLOCK: Final = 96
"""The side of the blocks that have an autocovariance of their own, taken over twice the side."""
_OWN: Final = 0.7
"""The share of it; the rest is that of the whole picture."""
_NUGGET: Final = 1e-3
"""Variance, as a share of the whole, of what no neighbour can tell."""
_PART: Final = 1024
"""The side of the parts whose autocovariances are added up for that of the whole picture."""
_AT_ONCE: Final = 512
"""Pixels whose systems of equations are solved together: 7 MB."""


_PICTURES_IN_XMP: Final = (b"GImage:Data", b"GDepth:Data")


def without_copies(picture: Picture) -> Picture:
    """A picture without what else shows what a mask covers, with a note on each.

    That is its gain map, its video, and XMP that holds a picture or a depth map.
    """
    shown = [
        name
        for name, there in (("gain map", picture.gain_map), ("video", picture.video))
        if there is not None
    ]
    found = metadata.of_part(picture.metadata, (picture.width, picture.height))
    if any(mark in (found["xmp"] or b"") for mark in _PICTURES_IN_XMP):
        found["xmp"] = None
        shown.append("XMP")
    if not shown:
        return picture
    notes = (f"{name}, which may show what is covered" for name in shown)
    return dataclasses.replace(picture, **found, notes=(*picture.notes, *notes))


def read_mask(
    source: str | os.PathLike[str] | bytes | PIL.Image.Image | Bools, shape: tuple[int, ...]
) -> Bools:
    """A mask (H,W) for a picture of `shape`: True where it is lighter than middle grey, and opaque.

    An array is of bool, or of uint8 with greys, or of integers that are 0 and 1.

    Raises InputError for another size, for a mask that covers nothing or everything, and for an
    array of other numbers.
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 2:
            raise InputError(f"a mask has two dimensions, not {source.ndim}")
        mask = _covered(source)
    else:
        mask = _greys(source, shape, behind=0) > 127
    _check_size(mask, shape)
    if not mask.any():
        raise InputError("the mask covers nothing", advice="white covers, black does not")
    if mask.all():
        raise InputError("the mask covers everything", advice="white covers, black does not")
    return mask


def read_importance(
    source: str | os.PathLike[str] | bytes | PIL.Image.Image | Pixels, shape: tuple[int, ...]
) -> Floats:
    """How much finer each 64x64 pixels of a picture of `shape` are to be, (ceil(H/64),ceil(W/64)).

    In the units of `entropy/steps.py`: white is MORE, middle grey and what is transparent 0, black
    -MORE. An array is of uint8 with greys, or of bool. Raises InputError for other arrays, and for
    another size.
    """
    if isinstance(source, np.ndarray):
        if source.ndim != 2 or source.dtype not in (np.uint8, np.bool_):
            raise InputError(
                f"importance is uint8 or bool of two dimensions, not {source.dtype} of"
                f" {source.ndim}"
            )
        greys = np.where(source, 255, 0).astype(np.uint8) if source.dtype == np.bool_ else source
    else:
        greys = _greys(source, shape, behind=128)
    _check_size(greys, shape)
    finer: Floats = (reduced(greys, TILE_UNIT) / np.float32(127.5) - 1.0) * np.float32(MORE)
    return finer


def _greys(
    source: str | os.PathLike[str] | bytes | PIL.Image.Image, shape: tuple[int, ...], behind: int
) -> Pixels:
    """A mask's greys (H,W), with this grey where it is transparent. Raises InputError.

    Who paints on an empty layer leaves the rest transparent, of any colour.
    """
    limit = max(DEFAULT_MAX_PIXELS, shape[0] * shape[1])
    try:
        mask = load(source, max_pixels=limit, keep=())
    except (InputError, OSError) as error:
        name = f" {os.fspath(source)}" if isinstance(source, str | os.PathLike) else ""
        why = one_line(error).removeprefix("cannot read the picture: ")
        raise InputError(f"the mask{name} cannot be read: {why}") from None
    greys = grey_of(mask.rgb)
    if mask.alpha is None:
        return greys
    painted, opaque = Image.fromarray(greys), Image.fromarray(mask.alpha)
    empty = Image.new("L", painted.size, behind)
    return np.asarray(Image.composite(painted, empty, opaque))


def _check_size(mask: Array, shape: tuple[int, ...]) -> None:
    if mask.shape != shape[:2]:
        (h, w), (height, width) = mask.shape, shape[:2]
        raise InputError(f"the mask has {w} x {h} pixels, and the picture {width} x {height}")


def _covered(values: Array) -> Bools:
    """Where an array (H,W) covers. A float may be a probability: its threshold is the caller's."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) > 0  # Pillow's own arrays of bool hold 255
    if values.dtype.kind in "iu" and values.size:
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high <= 1:
            return values > 0
        if values.dtype == np.uint8:
            return values > 127
    raise InputError(
        f"a mask of {values.dtype} is not clear: give bool, uint8 from 0 to 255, or 0 and 1"
    )


def grown(mask: Bools, radius: int) -> Bools:
    """A mask (H,W) that covers a square of 2 * radius + 1 pixels around each covered pixel."""
    found = mask
    for axis in (0, 1):
        counted = np.cumsum(found, axis=axis, dtype=np.int32)
        size = mask.shape[axis]
        last = np.minimum(np.arange(size) + radius, size - 1)
        before = np.arange(size) - radius - 1
        total = counted.take(last, axis)
        less = counted.take(np.maximum(before, 0), axis)
        gone = (before >= 0).reshape((-1, 1) if axis == 0 else (1, -1))
        found = total - less * gone > 0
    return found


def filled(rgb: Pixels, mask: Bools) -> Pixels:
    """A picture (H,W,3) with what the mask (H,W) covers drawn from around it.

    Where no known pixel is within 14 pixels, means of ever larger areas are taken.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    # What lies farther away says nothing, and costs.
    top, left = max(0, rows[0] - 2 * _BLOCK), max(0, columns[0] - 2 * _BLOCK)
    part = np.s_[top : rows[-1] + 2 * _BLOCK, left : columns[-1] + 2 * _BLOCK]
    mask_part = mask[part]
    field = _pulled(rgb[part].astype(np.float32), ~mask_part)
    near = grown(~mask_part, _REACH * 2 // 3) & mask_part
    whole = _autocovariance(field)
    h, w = mask_part.shape
    values = field.copy()
    for y in range(0, h, _BLOCK):
        for x in range(0, w, _BLOCK):
            covered = np.argwhere(near[y : y + _BLOCK, x : x + _BLOCK]) + np.array([y, x])
            if len(covered):
                margin = _BLOCK // 2
                around = np.s_[
                    max(0, y - margin) : y + _BLOCK + margin,
                    max(0, x - margin) : x + _BLOCK + margin,
                ]
                alike = _OWN * _autocovariance(field[around]) + (1.0 - _OWN) * whole
                for first in range(0, len(covered), _AT_ONCE):
                    places = covered[first : first + _AT_ONCE]
                    values[places[:, 0], places[:, 1]] = _kriged(field, mask_part, places, alike)
    out: Pixels = rgb.copy()
    out[part][mask_part] = np.rint(np.clip(values[mask_part], 0, 255)).astype(np.uint8)
    return out


def _autocovariance(field: Floats) -> Doubles:
    """(4R+1,4R+1): how alike the values of a field (h,w,3) are at each shift of up to 2R pixels
    down and across, 1 at none."""
    apart = field - field.mean((0, 1))
    shifts = np.arange(-2 * _REACH, 2 * _REACH + 1)
    table: Doubles = np.zeros((len(shifts), len(shifts)))
    # In parts, for a transform of the whole would take ten times the picture's memory.
    for y in range(0, len(apart), _PART):
        for x in range(0, apart.shape[1], _PART):
            part = apart[y : y + _PART, x : x + _PART]
            # Zeros beyond the edge keep every system of equations solvable.
            size = [max(side, 4 * _REACH + 1) + 2 * _REACH for side in part.shape[:2]]
            power = np.square(np.abs(np.fft.rfft2(part, s=size, axes=(0, 1)))).sum(2)
            table += np.fft.irfft2(power, s=size)[np.ix_(shifts, shifts)]
    none = table[2 * _REACH, 2 * _REACH]
    return table / none if none > 1e-3 else np.ones_like(table)


@functools.cache
def _offsets() -> Places:
    """(n,2): the shifts of up to R pixels, the nearest first."""
    side = np.arange(-_REACH, _REACH + 1)
    every = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    far = np.square(every).sum(1)
    every, far = every[(far > 0) & (far <= _REACH**2)], far[(far > 0) & (far <= _REACH**2)]
    ordered: Places = every[np.argsort(far, kind="stable")]
    return ordered


def _kriged(field: Floats, mask: Bools, places: Places, alike: Doubles) -> Floats:
    """(n,3): the values of covered places (n,2) of a field (h,w,3), from the known ones nearby."""
    h, w = mask.shape
    y, x = (places[:, axis, None] + _offsets()[:, axis] for axis in (0, 1))
    known = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    known[known] = ~mask[y[known], x[known]]
    chosen = np.argsort(~known, axis=1, kind="stable")[:, :_NEAREST]
    known = np.take_along_axis(known, chosen, axis=1)
    down, across = _offsets()[chosen, 0], _offsets()[chosen, 1]
    zero = 2 * _REACH
    between = alike[
        zero + down[:, :, None] - down[:, None, :], zero + across[:, :, None] - across[:, None, :]
    ]
    between = between * (known[:, :, None] & known[:, None, :])
    diagonal = np.arange(between.shape[1])
    between[:, diagonal, diagonal] = 1.0 + _NUGGET
    to_place = alike[zero + down, zero + across] * known
    solved = np.linalg.solve(between, np.stack([to_place, known.astype(np.float64)], axis=2))
    simple, ones = solved[..., 0], solved[..., 1]
    # Weights that sum to 1: then the mean of the picture need not be known.
    missing = (1.0 - simple.sum(1)) / np.maximum(ones.sum(1), 1e-9)
    weights = (simple + ones * missing[:, None]) * known
    y = np.clip(places[:, :1] + down, 0, h - 1)
    x = np.clip(places[:, 1:] + across, 0, w - 1)
    values: Floats = np.einsum("nk,nkc->nc", weights, field[y, x]).astype(np.float32)
    alone = ~known.any(1)
    values[alone] = field[places[alone, 0], places[alone, 1]]
    return values


def _pulled(field: Floats, known: Bools) -> Floats:
    """A field (h,w,3) whose unknown places have the means of the known ones around them: halved
    again and again until all is known, and then brought back (Gortler et al. 1996, "The
    Lumigraph")."""
    h, w = known.shape
    if known.all() or min(h, w) < 2:
        mean = field[known].mean(0) if known.any() else np.float32(128.0)
        return np.where(known[..., None], field, mean).astype(np.float32)
    more = (0, h % 2), (0, w % 2)
    weight = np.pad(known, more).astype(np.float32)[..., None]
    sums = np.pad(field * known[..., None], (*more, (0, 0)))
    half = (len(weight) // 2, 2, weight.shape[1] // 2, 2)
    counts = weight.reshape(*half, 1).sum((1, 3))
    means = sums.reshape(*half, 3).sum((1, 3)) / np.maximum(counts, 1.0)
    coarse = _pulled(means, counts[..., 0] > 0)
    fine = _doubled(coarse)[:h, :w]
    return np.where(known[..., None], field, fine)


def _doubled(field: Floats) -> Floats:
    """A field (h,w,3) of twice the size, with values between those of the neighbours."""
    for axis in (0, 1):
        last = field.shape[axis] - 1
        places = np.arange(last + 1)
        before, after = (
            field.take(np.maximum(places - 1, 0), axis),
            field.take(np.minimum(places + 1, last), axis),
        )
        pair = np.stack([0.75 * field + 0.25 * before, 0.75 * field + 0.25 * after], axis + 1)
        shape = list(field.shape)
        shape[axis] *= 2
        field = pair.reshape(shape)
    return field
