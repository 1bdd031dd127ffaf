"""Grain: noise of the kind that was removed from a picture, added to what a decoder shows.

    noisy, denoised --grain_of--> Grain: deviations by brightness, coarseness, likeness of channels
    pixels, Grain --with_grain--> pixels

The file holds 15 bytes of it (section GRAIN of the container), as AV1 does (Norkin & Birkbeck 2018,
"Film Grain Synthesis for AV1 Video Codec"). The noise of a pixel depends on its place and the seed
alone. So a region has the grain of the whole picture, and every run gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.bitstream import GRAIN_LEVELS, Grain

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from aecodec.arrays import Bools, Floats, Pixels
    from aecodec.geometry import Box

    Words = npt.NDArray[np.uint64]

__all__ = ["grain_of", "with_grain"]

AT_ONCE: Final = 2**18
"""Pixels, about, whose noise is computed at once."""
ROW: Final = 21
"""The bits of a column's number: a side has 2^20 pixels at most."""
GOLDEN, FIRST, SECOND = (
    np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
UNIT: Final = float(np.sqrt(4 * (2**16 - 1) / 12))
"""The standard deviation of the sum of four bytes."""
BINOMIAL: Final = np.array([1.0, 2.0, 1.0]) / 4.0
SURE: Final = 1000
"""Pixels, at least, that the correlations are measured on."""


def with_grain(
    rgb: Pixels, box: Box, grain: Grain, *, alike: bool = False, exact: Iterable[Box] = ()
) -> Pixels:
    """The pixels rgb (h,w,3) of `box` of a picture, with its grain.

    With `alike` the channels get the same noise, as black and white needs. The pixels of the boxes
    in `exact` stay what they are.
    """
    out = np.empty_like(rgb)
    rows = max(1, AT_ONCE // box.w)
    for top in range(0, box.h, rows):
        part = rgb[top : top + rows]
        noise = _noise(box.x, box.y + top, part.shape[1], part.shape[0], grain, alike=alike)
        bright = part.mean(axis=2, dtype=np.float32)
        at = np.linspace(0.0, 256.0, GRAIN_LEVELS, dtype=np.float32)
        deviation = np.interp(bright, at, np.array(grain.levels)).astype(np.float32)
        made = np.rint(part + deviation[..., None] * noise)
        out[top : top + rows] = made.clip(0.0, 255.0).astype(np.uint8)
    for tile in exact:
        common = tile.common(box)
        if common is not None:
            where = common.within(box).slices()
            out[where] = rgb[where]
    return out


def _noise(x: int, y: int, width: int, height: int, grain: Grain, *, alike: bool) -> Floats:
    """(height,width,3) of deviation 1, or (height,width,1) where the channels are alike."""
    planes = _white(x, y, width, height, grain.seed, planes=1 if alike else 4)
    kernel = (1.0 - grain.coarse) * _IDENTITY + grain.coarse * BINOMIAL[:, None] * BINOMIAL
    planes = (1.0 - grain.coarse) * planes[:, 1:-1, 1:-1] + grain.coarse * _blurred(planes)
    planes /= np.float32(UNIT * np.sqrt(np.square(kernel).sum()))
    if alike:
        return np.moveaxis(planes, 0, -1)
    common, own = np.float32(grain.common), np.float32(np.sqrt(1.0 - grain.common**2))
    found: Floats = common * planes[0][..., None] + own * np.moveaxis(planes[1:], 0, -1)
    return found


_IDENTITY: Final = np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])


def _blurred(planes: Floats) -> Floats:
    """(P,h,w) from (P,h+2,w+2): by 1 2 1 down and across."""
    down = planes[:, :-2] + 2.0 * planes[:, 1:-1] + planes[:, 2:]
    found: Floats = (down[..., :-2] + 2.0 * down[..., 1:-1] + down[..., 2:]) / np.float32(16.0)
    return found


def _white(x: int, y: int, width: int, height: int, seed: int, *, planes: int) -> Floats:
    """(planes,height+2,width+2): white noise of deviation UNIT, with a pixel around the part."""
    down = np.arange(y, y + height + 2, dtype=np.uint64)[:, None] << np.uint64(ROW)
    places = (down + np.arange(x, x + width + 2, dtype=np.uint64)) * np.uint64(2)
    found = np.empty((planes, height + 2, width + 2), np.float32)
    for number in range((planes + 1) // 2):
        words = _hashed(places + np.uint64(number), seed)
        lanes = words[..., None].view(np.uint8)
        if not _LITTLE:
            lanes = lanes[..., ::-1]
        for half in range(min(2, planes - 2 * number)):
            sums = lanes[..., 4 * half : 4 * half + 4].sum(axis=-1, dtype=np.int32)
            found[2 * number + half] = sums - 510
    return found


_LITTLE: Final = bool(np.array([1], np.uint16).view(np.uint8)[0])


def _hashed(counters: Words, seed: int) -> Words:
    """SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators")."""
    with np.errstate(over="ignore"):
        z = counters * GOLDEN + np.uint64(seed) * FIRST
        z = (z ^ (z >> np.uint64(30))) * FIRST
        z = (z ^ (z >> np.uint64(27))) * SECOND
    found: Words = z ^ (z >> np.uint64(31))
    return found


# --- Measuring --------------------------------------------------------------------------------


def grain_of(noisy: Pixels, clean: Pixels, levels: Floats, visible: Bools | None = None) -> Grain:
    """The grain of a picture (H,W,3), from what a denoiser took from it.

    levels (9,) are the noise's deviations by brightness. What was taken tells how coarse it is, by
    the correlation of neighbours, and how alike the channels are. It counts where it is no larger
    than noise is, and where the picture is not clipped. The seed is made from the pixels.
    """
    taken = noisy.astype(np.int16) - clean
    bright = clean.mean(axis=2, dtype=np.float32)
    most = 3.0 * np.interp(bright, np.linspace(0.0, 256.0, len(levels)), levels)
    counts = (np.abs(taken).max(axis=2) <= most) & (bright > 8.0) & (bright < 247.0)
    if visible is not None:
        counts &= visible
    seed = int(np.bitwise_xor.reduce(_hashed(noisy[::7, ::5].astype(np.uint64).ravel(), 1)))
    common = coarse = 0.0
    if np.count_nonzero(counts) >= SURE:
        channels = taken[counts].astype(np.float64)
        likeness = np.corrcoef(channels.T) if channels.std(axis=0).all() else np.eye(3)
        common = float(np.sqrt(max(0.0, (likeness.sum() - 3.0) / 6.0)))
        coarse = _coarseness(taken.astype(np.float32), counts)
    return Grain(tuple(map(float, levels)), min(common, 1.0), coarse, seed & 0xFFFFFFFF)


def _coarseness(taken: Floats, counts: Bools) -> float:
    """The share of blurred noise that has the correlation of neighbours of `taken` (H,W,3)."""
    products, squares = 0.0, 0.0
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        both = (counts[here] & counts[there])[..., None]
        products += float((taken[here] * taken[there] * both).sum())
        squares += float(((taken[here] ** 2 + taken[there] ** 2) * both).sum()) / 2.0
    wanted = products / max(squares, 1e-9)
    shares = np.linspace(0.0, 1.0, 256)
    return float(
        shares[np.searchsorted([_correlation(share) for share in shares], wanted).clip(0, 255)]
    )


def _correlation(share: float) -> float:
    """Of neighbours, in noise with this share of blurred noise."""
    kernel = (1.0 - share) * _IDENTITY + share * BINOMIAL[:, None] * BINOMIAL
    return float((kernel[:, :-1] * kernel[:, 1:]).sum() / np.square(kernel).sum())
