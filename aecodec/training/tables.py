"""The coding tables: counted on training pictures, and smoothed by the trained model.

The tables must describe the symbols that the encoder really writes: those of the exported graphs,
the integer network and the quantiser. So they are counted with the codec that users run.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aecodec.arrays import Floats, Ints, Pixels
from aecodec.codec import Codec
from aecodec.entropy.checkerboard import STEPS
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.hyperlatents import PARTS, SLOPE_BITS, HyperTables, neighbours, second_half
from aecodec.entropy.padding import ALONE, Sides
from aecodec.entropy.tables import TableSet
from aecodec.geometry import Box
from aecodec.model import Autoencoder
from aecodec.networks.config import ModelConfig

__all__ = ["RARE", "Counts", "Histogram", "count", "integers"]

Arrays = dict[str, npt.NDArray[Any]]
Doubles = npt.NDArray[np.float64]
Z_SEEN = 256
Z_REACH = 48
"""z's tables hold -Z_REACH..Z_REACH at most; beyond, escapes, which are told apart up to Z_SEEN."""
CERTAIN = 2e-5
"""A table is left empty (its symbols are 0 and not coded) if fewer of them are anything else.

With 5e-3 a quarter fewer symbols are sorted and coded than with 2e-4, and files are but 0.1 %
larger; but what is rare cannot be coded any more, and errors along the tiles' borders grow from 4
to 17 % above those of the same places in a single tile. Finished models foresee zeros more surely:
with 2e-5 in place of 2e-4 5 % more symbols are coded, files are as large, and errors along the
borders of tiles of 64 pixels fell from 5.8, 5.3 and 6.1 levels to 5.4, 4.5 and 6.1 on three
pictures."""
RARE = 3e-5
"""A table ends on either side where less than half of this lies beyond: the rest escapes.

A decoder finds each symbol by bisection, so entries that next to never occur cost all others time:
with this the tables are a tenth as long, entropy decoding takes a quarter less time, and files are
0.01 % larger."""


class Counts:
    """Histograms of the symbols of y by step and table, and of z_hat by band of quality."""

    def __init__(self, config: ModelConfig) -> None:
        self.y = [Histogram(config.tables, 2048) for _ in range(STEPS)]
        self.z: list[list[Ints]] = [[] for _ in range(config.z_bands)]  # each (N,h,w)

    def arrays(self, model: Autoencoder) -> Arrays:
        """Tables from these counts, smoothed by the distributions of the model."""
        return _y_tables(model, self.y) | _z_tables(model, self.z)


def count(codec: Codec, pictures: list[Pixels]) -> Counts:
    """Quantise every picture at one quality in each band, a different quality for each picture.

    Every third picture is coded as two tiles, because large pictures have inner edges of tiles.
    Edges of pictures are more frequent here than in large pictures.
    """
    config = codec.weights.config
    band_of = codec.weights.z_band
    counts = Counts(config)
    for k, rgb in enumerate(pictures):
        y = codec.tiles.analyse(rgb, Box.of(rgb.shape))
        for band in range(config.z_bands):
            qualities = np.flatnonzero(band_of[1:] == band) + 1
            if not len(qualities):
                continue
            quality = int(qualities[int(k * 0.618034 * len(qualities)) % len(qualities)])
            point = codec.weights.at(quality)
            for tile, sides in _halves(y) if k % 3 == 2 else [(y, ALONE)]:
                latents = codec.tiles.quantise(tile, point, sides)
                for step, symbols in enumerate(latents.symbols):
                    counts.y[step].add(latents.groups[step].indexes, symbols)
                counts.z[band].append(latents.z_hat)
    return counts


def _halves(y: Floats) -> list[tuple[Floats, Sides]]:
    """Two tiles of y (M,h,w), split across its longer side; one if z_hat is too short."""
    tall = y.shape[1] > y.shape[2]
    axis = 1 if tall else 2
    middle = y.shape[axis] // 8 * 4
    if not middle:
        return [(y, ALONE)]
    first, second = np.split(y, [middle], axis)
    sides = (Sides(bottom=True), Sides(top=True)) if tall else (Sides(right=True), Sides(left=True))
    return [(first, sides[0]), (second, sides[1])]


def _flat(sets: list[list[tuple[npt.NDArray[np.uint32], int]]], kind: str) -> Arrays:
    return {
        f"{kind}_probabilities": np.concatenate([p for row in sets for p, _ in row]),
        f"{kind}_lengths": np.array([[len(p) for p, _ in row] for row in sets], np.int32),
        f"{kind}_first": np.array([[first for _, first in row] for row in sets], np.int32),
    }


@torch.no_grad()
def _y_tables(model: Autoencoder, counts: list[Histogram]) -> Arrays:
    """One set for each step: means that know more neighbours leave residuals of another shape."""
    config = model.config
    sets = []
    for histogram in counts:
        row: list[tuple[npt.NDArray[np.uint32], int]] = []
        for t in range(config.tables):
            seen = histogram.counts[t]
            other = int(seen.sum() - seen[histogram.reach])
            if seen.sum() > 0 and other < CERTAIN * seen.sum():
                row.append((np.empty(0, np.uint32), 0))
                continue
            scale_log2 = config.scale_log2_min + config.scale_log2_step * t
            reach = min(1500, math.ceil(8.0 * 2.0**scale_log2) + 2)
            symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
            mass = model.mass(symbols, torch.tensor(scale_log2)).double().clamp(min=0.0).numpy()
            tail = max(1e-7, (1.0 - float(mass.sum())) / 2.0)
            shape = np.concatenate([[tail], mass + 1e-9, [tail]])
            row.append(histogram.table(t, shape, -reach, weight=3000.0, even=True))
        sets.append(row)
    return _flat(sets, "y")


def _slopes(counts: list[list[Ints]], n: int) -> npt.NDArray[np.int32]:
    """(N,): how much an element of z_hat follows the mean of its neighbours; least squares."""
    products, squares = np.zeros(n), np.full(n, 1e-9)
    for band in counts:
        if not band:
            continue
        seen = [second_half(*z_hat.shape[1:]) for z_hat in band]
        mean = np.hstack([neighbours(z_hat) / PARTS for z_hat in band])
        value = np.hstack([z[:, at] for z, at in zip(band, seen, strict=True)]).astype(float)
        if not value.size:  # pictures of 64 pixels have no neighbours
            continue
        mean -= mean.mean(axis=1, keepdims=True)
        products += (mean * value).sum(axis=1)
        squares += (mean * mean).sum(axis=1)
    slopes = np.clip(products / squares, -1.0, 1.0) * 2.0**SLOPE_BITS
    found: npt.NDArray[np.int32] = np.rint(slopes).astype(np.int32)
    return found


@torch.no_grad()
def _z_tables(model: Autoencoder, counts: list[list[Ints]]) -> Arrays:
    n = model.config.hyper_latents
    slope = _slopes(counts, n)
    histograms = [_of_z(band, slope) for band in counts]
    every = np.sum([histogram.counts for histogram in histograms], axis=0)[n:]
    inner = slice(Z_SEEN - Z_REACH, Z_SEEN + Z_REACH + 1)
    symbols = torch.arange(-Z_REACH, Z_REACH + 1, dtype=torch.float32)
    grid = symbols.reshape(1, 1, 1, -1).expand(1, n, 1, -1)
    sets = []
    for band, histogram in enumerate(histograms):
        level = torch.tensor([(band + 0.5) / len(counts)])
        mass = torch.exp2(-model.z_prior(grid, level))[0, :, 0].double().numpy()
        mass = np.vstack([mass, mass])
        # The model knows nothing of what neighbours leave open, but the other bands do.
        mass[n:] += every[:, inner]
        shape = np.pad(mass / mass.sum(axis=1, keepdims=True) + 1e-7, ((0, 0), (1, 1)))
        shape[:, [0, -1]] = 1e-5
        tables = range(2 * n)
        sets.append(
            [histogram.table(t, shape[t], -Z_REACH, weight=100.0, even=False) for t in tables]
        )
    return _flat(sets, "z") | {"z_slope": slope}


def _of_z(seen: list[Ints], slope: npt.NDArray[np.int32]) -> Histogram:
    """What was coded of these z_hat, by table."""
    none = TableSet(np.empty(0, np.uint32), np.empty(0, np.int32), np.empty(0, np.int32))
    histogram = Histogram(2 * len(slope), Z_SEEN)
    for z_hat in seen:
        for half, symbols in enumerate(HyperTables(none, slope).halves(z_hat)):
            tables = np.arange(half * len(slope), (half + 1) * len(slope), dtype=np.uint8)
            histogram.add(np.repeat(tables, symbols.shape[1]), symbols.ravel())
    return histogram


# --- One table -----------------------------------------------------------------------------------


def integers(probabilities: Doubles) -> npt.NDArray[np.uint32]:
    """Integers, each at least 1, that sum to 2 ** PRECISION, close to `probabilities`.

    The remainder of the rounding goes to the largest entries, which it changes least.
    """
    total = 1 << PRECISION
    scaled = np.maximum(probabilities, 0.0) / probabilities.sum() * (total - len(probabilities))
    counts = np.floor(scaled).astype(np.int64) + 1
    counts[np.argmax(counts)] += total - int(counts.sum())
    if counts.min() < 1:
        raise ValueError("too many entries for the tables' precision")
    table: npt.NDArray[np.uint32] = counts.astype(np.uint32)
    return table


def _shortened(probabilities: Doubles) -> tuple[Doubles, int]:
    """`probabilities` without rare symbols at the ends, which become escapes; how many low ones
    went.

    The first and the last entry are the escapes. At least one other entry stays.
    """
    limit = 0.5 * RARE * probabilities.sum()
    most = len(probabilities) - 3
    low = int(np.searchsorted(np.cumsum(probabilities[1:-1]) + probabilities[0], limit))
    low = min(low, most)
    high = int(np.searchsorted(np.cumsum(probabilities[-2:0:-1]) + probabilities[-1], limit))
    high = min(high, most - low)
    kept = probabilities[low : len(probabilities) - high].copy()
    kept[0] = probabilities[: low + 1].sum()
    kept[-1] = probabilities[len(probabilities) - high - 1 :].sum()
    return kept, low


class Histogram:
    """Counts of symbols in -reach..reach for each of several tables; others count at the ends."""

    def __init__(self, tables: int, reach: int) -> None:
        self.reach = reach
        self.counts = np.zeros((tables, 2 * reach + 1), np.int64)

    def add(self, tables: npt.NDArray[np.integer], symbols: npt.NDArray[np.integer]) -> None:
        """Count `symbols` (n,) of `tables` (n,)."""
        width = self.counts.shape[1]
        column = np.clip(symbols.astype(np.int64), -self.reach, self.reach) + self.reach
        flat = tables.astype(np.int64) * width + column
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    def table(
        self, t: int, model: Doubles, first: int, *, weight: float, even: bool
    ) -> tuple[npt.NDArray[np.uint32], int]:
        """The integer table t, with an escape at each end, and its first symbol.

        It holds the symbols first, first + 1, ..., without rare ones at the ends. `model` holds the
        probabilities of the same entries by the trained model. It counts as much as `weight`
        symbols: with more symbols the counts decide. `even` tables are made symmetric.
        """
        last = first + len(model) - 3
        symbols = np.arange(-self.reach, self.reach + 1)
        entries = np.clip(symbols, first - 1, last + 1) - (first - 1)
        seen = np.bincount(entries, weights=self.counts[t], minlength=len(model)).astype(float)
        if even:
            seen = (seen + seen[::-1]) / 2.0
        kept, low = _shortened(seen + weight * model / model.sum())
        return integers(kept), first + low
