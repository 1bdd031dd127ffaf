"""Odd pictures: how unlike usual ones a picture is, and where.

A picture is seen in ten figures. Four come from its latents y, in cells of 64 x 64 pixels of the
picture at 512 pixels a side: the Mahalanobis distances of the magnitudes of a cell's latents from
those of usual cells (their mean, and that of the oddest fifth), that of the signed means, and that
of the whole picture (Rippel, Mertens & Merhof 2021, "Modeling the Distribution of Normal Data in
Pre-Trained Deep Features for Anomaly Detection"). Six come from pixels, for faults that
photographs never have: straight steps, levels that no pixel has, rows that repeat, flatness, grain
even where a picture is smoothest, and channels in another order (`colours.py`).

Each figure is measured in units of its spread among usual pictures: 1 is what one picture in fifty
of those reaches. The score is the largest of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aecodec.arrays import edge_padded
from aecodec.errors import InputError
from aecodec.geometry import Box, ceil_div
from aecodec.uses.colours import LONGEST, exchanged
from aecodec.uses.descriptors import LUMA

if TYPE_CHECKING:
    from aecodec.arrays import Array, Floats, Pixels
    from aecodec.codec import Codec

__all__ = ["FEWEST", "FIGURES", "Judgement", "Observation", "Usual", "observe"]

FEWEST: Final = 8
"""Usual pictures that are needed to say what is usual."""
FIGURES: Final = (
    "texture",
    "texture of a part",
    "noise",
    "composition",
    "straight steps",
    "missing levels",
    "repeated rows",
    "flatness",
    "grain",
    "order of channels",
)
_LONGEST: Final = 512
_LARGEST: Final = 2048
"""Pixels a side of the middle part whose pixels are looked at."""
_RUN: Final = 32
"""Pixels of a straight step."""
_BLOCK: Final = 16
_LEAST_GRAIN: Final = 0.5
"""Levels of noise that do not count."""
_AXES: Final = 60
"""Principal axes of magnitudes that count."""
_FLOOR: Final = 0.01
"""Variance that every axis has at least, as a share of the mean one."""
_RARE: Final = 0.98
_KEPT: Final = 0.8
"""The share of a folder that counts as usual where nobody says what is."""


class Observation(NamedTuple):
    """What is kept of a picture."""

    magnitudes: Floats  # (n,M): the logarithm of the mean magnitude of each channel in each cell
    means: Floats  # (n,M): the mean of each channel in each cell
    rows: int  # of cells
    pixels: Floats  # (6,): the last of the FIGURES


class Judgement(NamedTuple):
    """How unlike usual pictures a picture is."""

    score: float
    """Above 1 is odder than all but one usual picture in fifty."""
    reason: str
    """The figure that says so, one of FIGURES."""
    figures: dict[str, float]
    heat: Floats
    """(rows,columns) of cells of 64 x 64 pixels of the picture at 512: how odd each is, 1 as
    above."""


def observe(rgb: Pixels, coder: Codec) -> Observation:
    """What is kept of a picture (H,W,3): the analysis is run on it at 512 pixels a side."""
    from aecodec.image.small import shrunk

    small = shrunk(rgb, _LONGEST)
    y = coder.tiles.analyse(small, Box.of(small.shape))
    m, h, w = y.shape
    rows, columns = ceil_div(h, 4), ceil_div(w, 4)
    cells = edge_padded(y, 4 * rows, 4 * columns, axis=1).reshape(m, rows, 4, columns, 4)
    magnitudes = np.log(np.abs(cells).mean((2, 4)) + np.float32(1e-3)).reshape(m, -1).T
    means = cells.mean((2, 4)).reshape(m, -1).T
    pixels = np.append(_pixel_figures(rgb), np.float32(exchanged(shrunk(small, LONGEST))))
    return Observation(magnitudes, means, rows, pixels)


def _pixel_figures(rgb: Pixels) -> Floats:
    height, width = rgb.shape[:2]
    top, left = max(0, height - _LARGEST) // 2, max(0, width - _LARGEST) // 2
    part = rgb[top : top + _LARGEST, left : left + _LARGEST]
    missing = []
    for channel in range(3):
        used = np.flatnonzero(np.bincount(part[..., channel].ravel(), minlength=256))
        missing.append(1.0 - len(used) / (used[-1] - used[0] + 1))
    down, across = (part[1:] == part[:-1]).all(2), (part[:, 1:] == part[:, :-1]).all(2)
    repeated = max(_mean(down.all(1)), _mean(across.all(0)))
    flat = np.log(_mean(across) + 1e-3)
    luma = part.astype(np.float32) @ LUMA
    return np.array([_steps(luma), np.mean(missing), repeated, flat, _grain(luma)], np.float32)


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else 0.0


def _grain(luma: Floats) -> float:
    """The deviation of the noise where there is least texture, as a logarithm.

    From second differences both ways, which smooth areas do not have (Immerkaer 1996, "Fast Noise
    Variance Estimation"), in blocks of 16 x 16 pixels: a fifth of them have less.
    """
    if min(luma.shape) < _BLOCK + 2:
        return float(np.log(_LEAST_GRAIN))
    second = np.abs(np.diff(np.diff(luma, 2, axis=0), 2, axis=1))
    rows, columns = second.shape[0] // _BLOCK, second.shape[1] // _BLOCK
    blocks = second[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    deviation = blocks.mean((1, 3)) * (np.sqrt(np.pi / 2.0) / 6.0)
    return float(np.log(np.quantile(deviation, 0.2) + _LEAST_GRAIN))


def _steps(luma: Floats) -> float:
    """How much the largest straight step stands out from its surroundings, as a logarithm."""
    largest = 0.0
    for plane in (luma, luma.T):
        rise = np.abs(np.diff(plane, axis=1))
        runs = len(rise) // _RUN
        if runs and rise.shape[1] > 4:
            typical = np.median(rise[: runs * _RUN].reshape(runs, _RUN, -1), axis=1)
            beside = np.max([typical[:, k : k - 4 or None] for k in (0, 1, 3, 4)], axis=0)
            largest = max(largest, float((typical[:, 2:-2] / (beside + 3.0)).max()))
    return float(np.log(largest + 0.05))


@dataclasses.dataclass(frozen=True)
class _Gaussian:
    """A normal distribution of features (n,M), in its principal axes."""

    mean: Floats
    axes: Floats  # (M,k)
    variances: Floats  # (k,)

    @classmethod
    def of(cls, features: Floats, count: int) -> _Gaussian:
        mean = features.mean(0)
        moved = (features - mean).astype(np.float64)
        values, axes = np.linalg.eigh(moved.T @ moved / max(1, len(moved) - 1))
        count = max(1, min(count, len(features) // 2))
        least = max(_FLOOR * float(values.mean()), 1e-6)
        variances = np.maximum(values[::-1][:count], 0.0) + least
        chosen = axes[:, ::-1][:, :count]
        return cls(mean, chosen.astype(np.float32), variances.astype(np.float32))

    def distances(self, features: Floats) -> Floats:
        """(n,): the logarithm of the mean squared distance along an axis."""
        moved = (features - self.mean) @ self.axes
        found: Floats = np.log(np.mean(moved * moved / self.variances, axis=1) + 1e-6)
        return found


class Usual:
    """What is usual: fitted to observations of usual pictures, or of a folder of mostly such.

    Raises InputError for fewer than 8 pictures.
    """

    def __init__(self, observations: Sequence[Observation], *, mixed: bool = False) -> None:
        if len(observations) < FEWEST:
            count = len(observations)
            raise InputError(
                f"{count} picture{'s' * (count != 1)} cannot say what is usual: {FEWEST} can"
            )
        self._fit(observations)
        if mixed:  # once more, without those that may be the odd ones
            scores = np.array([self.judge(seen).score for seen in observations])
            usual = np.argsort(scores, kind="stable")[: max(FEWEST, round(_KEPT * len(scores)))]
            self._fit([observations[index] for index in usual])

    def _fit(self, observations: Sequence[Observation]) -> None:
        channels = observations[0].means.shape[1]
        magnitudes = np.concatenate([seen.magnitudes for seen in observations])
        self._magnitudes = _Gaussian.of(magnitudes, _AXES)
        self._means = _Gaussian.of(np.concatenate([seen.means for seen in observations]), channels)
        whole = np.stack([seen.magnitudes.mean(0) for seen in observations])
        self._pictures = _Gaussian.of(whole, _AXES)
        figures = np.stack([self._figures(seen) for seen in observations])
        self._middle, self._spread = _spread(figures)
        cells = self._magnitudes.distances(magnitudes)
        self._cell_middle, self._cell_spread = (float(part) for part in _spread(cells))

    def _figures(self, seen: Observation) -> Floats:
        cells = self._magnitudes.distances(seen.magnitudes)
        fifth = np.sort(cells)[-max(1, len(cells) // 5) :]
        whole = self._pictures.distances(seen.magnitudes.mean(0)[None])
        latents = [cells.mean(), fifth.mean(), self._means.distances(seen.means).mean(), whole[0]]
        return np.concatenate([np.array(latents, np.float32), seen.pixels])

    def judge(self, seen: Observation) -> Judgement:
        """How unlike the usual pictures one is."""
        figures = (self._figures(seen) - self._middle) / self._spread
        most = int(np.argmax(figures))
        cells = self._magnitudes.distances(seen.magnitudes)
        heat = (cells - self._cell_middle) / self._cell_spread
        named = dict(zip(FIGURES, figures.tolist(), strict=True))
        return Judgement(float(figures[most]), FIGURES[most], named, heat.reshape(seen.rows, -1))


def _spread(values: Floats) -> tuple[Floats, Floats]:
    """The median, and how far above it only one in fifty is."""
    middle = np.median(values, axis=0)
    return middle, np.quantile(values, _RARE, axis=0) - middle + np.float32(1e-3)
