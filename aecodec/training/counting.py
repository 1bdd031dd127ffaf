"""Tables counted, and the quality calibrated, with the codec that users run.

What the tables must describe are the symbols that the encoder really writes: those of the exported
graphs, the integer network and the quantiser. So both passes use `Codec`.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from aecodec.codec import Codec
from aecodec.entropy.borders import ALONE, Sides
from aecodec.entropy.checkerboard import STEPS
from aecodec.entropy.coder import TableSet
from aecodec.entropy.hyperlatents import PARTS, SLOPE_BITS, HyperTables, neighbours, second_half
from aecodec.metrics import psnr
from aecodec.model import Autoencoder
from aecodec.networks.config import QUALITIES, ModelConfig
from aecodec.networks.ssimulacra2 import ssimulacra2
from aecodec.training.data import Pixels
from aecodec.training.tables import Histogram

__all__ = ["Counts", "calibrate", "count"]

Arrays = dict[str, npt.NDArray[Any]]
Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
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


class Counts:
    """Histograms of y's symbols by step and table, and z_hat by band of quality, as it was seen."""

    def __init__(self, config: ModelConfig) -> None:
        self.y = [Histogram(config.tables, 2048) for _ in range(STEPS)]
        self.z: list[list[Ints]] = [[] for _ in range(config.z_bands)]  # each (N,h,w)

    def arrays(self, model: Autoencoder) -> Arrays:
        """Tables by these counts, smoothed by the model's own distributions."""
        return _y_tables(model, self.y) | _z_tables(model, self.z)


def count(codec: Codec, pictures: list[Pixels]) -> Counts:
    """Quantise every picture at one quality in each band, a different one for each picture.

    Of every third picture two halves, as tiles: their border is not as a picture's, which is seen
    more often than in large pictures.
    """
    config = codec.weights.config
    band_of = codec.weights.arrays["z_band"]
    counts = Counts(config)
    for k, rgb in enumerate(pictures):
        y = codec.analyse(rgb, (0, 0, rgb.shape[1], rgb.shape[0]))
        for band in range(config.z_bands):
            qualities = np.flatnonzero(band_of[1:] == band) + 1
            if not len(qualities):
                continue
            quality = int(qualities[int(k * 0.618034 * len(qualities)) % len(qualities)])
            for tile, sides in _halves(y) if k % 3 == 2 else [(y, ALONE)]:
                latents = codec.quantise(tile, quality, sides=sides)
                for step, rows in enumerate(zip(latents.indexes, latents.symbols, strict=True)):
                    counts.y[step].add(*rows)
                counts.z[band].append(latents.z_hat)
    return counts


def _halves(y: Floats) -> list[tuple[Floats, Sides]]:
    """Two tiles of y (M,h,w), parted across its longer side; one where z_hat is too short."""
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
    """A set for each step: means that know more neighbours leave errors of another shape."""
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
    """(N,): how far an element of z_hat follows the mean of its neighbours; least squares."""
    products, squares = np.zeros(n), np.full(n, 1e-9)
    for band in counts:
        if not band:
            continue
        seen = [second_half(*z_hat.shape[1:]) for z_hat in band]
        mean = np.hstack([neighbours(z)[:, at] / PARTS for z, at in zip(band, seen, strict=True)])
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
        for symbols, tables in HyperTables(none, slope).rows(z_hat):
            histogram.add(tables, symbols)
    return histogram


def _jpeg(rgb: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, optimize=True)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _score(rgb: Pixels, decoded: Pixels) -> float:
    found = ssimulacra2(rgb, decoded)
    if found is None:
        raise ValueError("a picture is too small to calibrate on: SSIMULACRA 2 needs 8 pixels")
    return found


def calibrate(codec: Codec, pictures: list[Pixels]) -> npt.NDArray[np.float32]:
    """Levels (101,) such that quality q is as good as JPEG 4:2:0 at quality q in the mean.

    By PSNR, or by SSIMULACRA 2 for weights that were trained for the eye. Below 5 and above 92 the
    levels go on evenly to the ends of the trained range, so that 1 is the smallest and 100 the
    best that the weights can do. `codec` may have any rising levels.
    """
    eye = codec.weights.config.objective == "eye"
    measure = _score if eye else psnr
    anchors = list(range(5, 93, 3))
    targets = [float(np.mean([measure(rgb, _jpeg(rgb, q)) for rgb in pictures])) for q in anchors]
    grid = list(range(1, QUALITIES + 1, 3 if eye else 9))  # scores are no straight lines
    reached = np.zeros(len(grid))
    for rgb in pictures:
        box = (0, 0, rgb.shape[1], rgb.shape[0])
        y = codec.analyse(rgb, box)
        for i, q in enumerate(grid):
            decoded = codec.synthesise(codec.quantise(y, q).v_hat, box, q)
            reached[i] += measure(rgb, decoded) / len(pictures)
    # A model without enough latents gains nothing at the highest levels: those don't count.
    best = np.maximum.accumulate(reached)
    rising = np.concatenate([[True], best[1:] > best[:-1]])
    if best[-1] - best[0] < 1.0:
        what = "score" if eye else "PSNR"
        raise ValueError(f"the model's {what} does not rise with the level: train longer")
    fitted = np.interp(targets, best[rising], codec.weights.arrays["level"][grid][rising])
    levels = np.interp(
        np.arange(QUALITIES + 1), [1, *anchors, QUALITIES], [0.0, *fitted.tolist(), 1.0]
    )
    # Strictly rising even where JPEG's curve leaves the trained range.
    levels = np.maximum.accumulate(levels) + 1e-4 * np.arange(QUALITIES + 1)
    scaled: npt.NDArray[np.float32] = (levels / float(levels.max())).astype(np.float32)
    return scaled
