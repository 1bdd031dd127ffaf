"""Noise: estimated from a picture, and removed from it before it is coded.

    picture --estimate--> deviations of the noise by brightness
    picture, deviations --denoise, window by window--> picture

The encoder alone does this. A file of a denoised picture is like any other.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.grain import grain_of
from aecodec.coding.strength import AUTO, Strength, checked
from aecodec.coding.workers import workers_for
from aecodec.geometry import Box, Grid
from aecodec.image.preparation import TINT, is_neutral, made_neutral, with_hidden_filled
from aecodec.networks.denoiser import CELL, Denoiser, denoiser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aecodec.arrays import Bools, Floats, Pixels
    from aecodec.image.picture import Picture
    from aecodec.networks.runtime import Options

__all__ = ["Noise", "denoised", "estimate"]

LEAST = 2.0
"""Weaker noise, as estimated, is left in the picture: photographs without noise get up to this."""
AREA = 512 * 512
"""Pixels of a window, without its margin."""
SAMPLE, SAMPLES = 256, 32
"""The side of the windows that are looked at to estimate the noise, and their largest number."""
BRIGHTNESSES = 9
"""From 0 to 255: for each the noise has a deviation."""
DARKEST, LIGHTEST = 4, 251
"""Cells beyond these means are clipped: their noise says little."""
USUAL = 20.0
"""So many cells of a brightness must be sure of its noise; fewer count together with all others."""


@dataclasses.dataclass(frozen=True, eq=False)
class Noise:
    """The noise of a picture."""

    levels: Floats
    """(K,): its standard deviations in 8-bit levels, for brightnesses from 0 to 255."""
    mean: float
    """The deviation over the whole picture."""

    @classmethod
    def of(cls, deviation: float) -> Noise:
        """Noise that is the same at every brightness."""
        return cls(np.full(BRIGHTNESSES, deviation, np.float32), deviation)


def denoised(
    picture: Picture, strength: Strength, options: Options, *, grain: bool = False
) -> Picture:
    """The picture without its noise, and with a note that says how strong it was.

    With `grain` it gets a description of the noise, which decoders add again. With "auto", a
    picture with next to no noise is returned as it is. Colours under full transparency are replaced
    by smooth ones. Raises ValueError for another strength, WeightsError where the networks are not
    installed.
    """
    strength = checked(strength)
    network = denoiser(options)
    rgb = picture.rgb
    if picture.alpha is not None:
        rgb = with_hidden_filled(rgb, picture.alpha)
    grey = is_neutral(rgb, TINT)
    noise = estimate(rgb, network, picture.visible) if strength == AUTO else Noise.of(strength)
    if noise.mean < LEAST and strength == AUTO:
        return picture
    rgb = _without(noise, rgb, network)
    if grey:
        rgb = made_neutral(rgb)
    amount = f"{noise.mean:.1f}" if noise.mean < 0.95 else f"{noise.mean:.0f}"
    note = f"noise of about {amount} levels was removed, as asked for"
    found = None
    if grain:
        found = grain_of(picture.rgb, rgb, noise.levels, picture.visible).pack()
        note += "; the file describes it, and decoders add such noise"
    return dataclasses.replace(picture, rgb=rgb, grain=found, notes=(*picture.notes, note))


def estimate(rgb: Pixels, network: Denoiser, visible: Bools | None = None) -> Noise:
    """The noise of a picture rgb (H,W,3), from up to 32 windows spread over it.

    Each 8x8 pixels have an estimate and a certainty. The weighted median is the noise's level. The
    weighted means of each brightness tell how the noise depends on it, where there are enough.
    Hidden pixels (`visible` (H,W) is False) do not count.
    """
    values, weights, bright = [], [], []
    for box in _samples(rgb.shape):
        part = rgb[box.slices()]
        deviation, certainty = network.estimate(part)
        mean = _cells(part).mean(axis=(1, 3, 4))
        counts = (mean > DARKEST) & (mean < LIGHTEST)
        if visible is not None:
            shown = visible[box.slices()]
            h, w = counts.shape
            counts &= shown.reshape(h, CELL, w, CELL).all(axis=(1, 3))
        values.append(deviation[counts])
        weights.append(certainty[counts])
        bright.append(mean[counts])
    if not sum(map(len, values)):
        return Noise.of(0.0)
    value, weight = np.concatenate(values), np.concatenate(weights)
    middle = weighted_median(value, weight)
    # Each cell shares itself between the two brightnesses that it lies between.
    at = np.concatenate(bright) * ((BRIGHTNESSES - 1) / 255.0)
    below = at.astype(np.intp)
    sums, totals = np.zeros(BRIGHTNESSES), np.zeros(BRIGHTNESSES)
    for index, share in ((below, 1.0 + below - at), (below + 1, at - below)):
        sums += np.bincount(index, weight * share * value, BRIGHTNESSES)
        totals += np.bincount(index, weight * share, BRIGHTNESSES)
    few = USUAL * float(np.median(weight))
    levels = (sums + few * middle) / (totals + few)
    return Noise(levels.astype(np.float32), middle)


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(sums, 0.5 * sums[-1])])


def _cells(rgb: Pixels) -> Pixels:
    """rgb (H,W,3), of multiples of 8, as its cells (H/8,8,W/8,8,3)."""
    return rgb.reshape(rgb.shape[0] // CELL, CELL, rgb.shape[1] // CELL, CELL, 3)


def _samples(shape: tuple[int, ...]) -> Iterator[Box]:
    """Windows of a picture (H,W,3), evenly spread, of multiples of 8 pixels."""
    height, width = shape[0] // CELL * CELL, shape[1] // CELL * CELL
    if not height or not width:
        return
    grid = Grid(width, height, SAMPLE, SAMPLE)
    step = max(1.0, len(grid) / SAMPLES)
    for k in range(min(len(grid), SAMPLES)):
        yield grid.box(int((k + 0.5) * step))


def _without(noise: Noise, rgb: Pixels, network: Denoiser) -> Pixels:
    """The pixels (H,W,3) without the noise, window by window, by as many threads as there are."""
    out = np.empty_like(rgb)
    boxes = Box.of(rgb.shape).parts(AREA, network.margin)

    def work(box: Box) -> None:
        out[box.slices()] = network.denoise(rgb, box, noise.levels)

    runtime = network.runtime
    # A window is computed by one thread, and so the same whatever the number of threads.
    with workers_for(runtime, len(boxes), per_thread=runtime.workers > 0) as workers:
        for _ in workers.in_order(functools.partial(work, box) for box in boxes):
            pass
    return out
