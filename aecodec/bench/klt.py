"""A block-PCA codec with aecodec's entropy coder: the baseline of the learned transform.

    rgb -> 8x8x3 blocks -> principal components (KLT) -> one uniform quantiser -> ANS

Everything is linear except the rounding. The 192 axes and the scales of the coefficients were
fitted once to photographs (`benchmarks/fit_klt.py`). They are shipped with the package, like the
weights of the networks.

Like JPEG, it codes the mean of a block as the difference from the block on the left. Unlike JPEG,
its axes are fitted to photographs across the colours, and each area of 16x16 pixels chooses a class
of scales. The scale of a coefficient selects its probability table. The tables are those of a
Laplacian, the coder is `entropy.Encoder`, as in the codec.

The bytes: magic "aKLT", width and height (uint16 each), quality (uint8), CRC-32 of what follows,
the words of the coder.
"""

from __future__ import annotations

import functools
import struct
import zlib
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Floats, Pixels
from aecodec.entropy.coder import Decoder, Encoder
from aecodec.entropy.fixed_point import PRECISION
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError
from aecodec.geometry import ceil_div

__all__ = ["BLOCK", "QUALITIES", "decode", "encode", "patches"]


BLOCK = 8
QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_HEADER = struct.Struct("<4sHHBI")
_MAGIC = b"aKLT"

# A Laplacian's tail is worth fewer bits than the error of rounding down: the quantiser rounds up
# from here only, and the decoder puts values that are not zero a little nearer to it.
ROUND_UP_FROM = 0.54
TOWARDS_ZERO = 0.03

_TABLES = 64
_SCALE_MIN, _SCALE_STEP = -4.0, 0.1875  # log2 of the mean magnitude, in quantiser steps
_LONGEST = 4096


class Fit(NamedTuple):
    """What was fitted to photographs; K classes, 192 components."""

    axes: Floats  # (192,192), one component a row
    scales: Floats  # (K,192): mean magnitude of each component in each class, in grey levels
    predicted: npt.NDArray[np.bool_]  # (192,): coded as the difference from the block on the left
    classes: TableSet  # one table: of the class less the class on the left, modulo K


@functools.cache
def fit() -> Fit:
    """Read the fit that is shipped with the package."""
    from safetensors.numpy import load

    data = load((resources.files("aecodec.bench") / "klt.safetensors").read_bytes())
    counts = data["class_counts"].astype(np.float64)
    return Fit(
        data["axes"].astype(np.float32),
        np.exp2(data["log2_scales"].astype(np.float32) / 16),
        data["predicted"].astype(np.bool_),
        _table_set([(counts / counts.sum(), 0)]),
    )


def patches(rgb: Pixels) -> Floats:
    """(H,W,3) with sides that are multiples of 8 -> (192,H/8,W/8), relative to middle grey."""
    h, w, _ = rgb.shape
    cut = rgb.reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK, 3).transpose(1, 3, 4, 0, 2)
    made: Floats = cut.reshape(-1, h // BLOCK, w // BLOCK).astype(np.float32) - 128
    return made


def _pixels(blocks: Floats) -> Pixels:
    _, h, w = blocks.shape
    cut = blocks.reshape(BLOCK, BLOCK, 3, h, w).transpose(3, 0, 4, 1, 2)
    grey = np.rint(cut.reshape(h * BLOCK, w * BLOCK, 3) + 128)
    made: Pixels = np.clip(grey, 0, 255).astype(np.uint8)
    return made


def _step(quality: int) -> float:
    """The step of the quantiser in grey levels, for a quality from 1 to 100."""
    return float(2 ** (7.9 - 0.06 * quality))


def encode(rgb: Pixels, quality: int) -> bytes:
    """(H,W,3) -> a file. Sides up to 65535."""
    height, width, _ = rgb.shape
    known, step = fit(), _step(quality)
    padded = np.pad(rgb, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    blocks = patches(padded)
    n, h, w = blocks.shape
    values = (known.axes @ blocks.reshape(n, -1)).reshape(n, h, w) / step
    symbols = (np.sign(values) * np.floor(np.abs(values) + 1 - ROUND_UP_FROM)).astype(np.int32)
    means = symbols[known.predicted]
    means[:, :, 1:] -= means[:, :, :-1].copy()
    means[:, 1:, 0] -= means[:, :-1, 0].copy()
    symbols[known.predicted] = means

    # The class of each 16x16 pixels: the one whose Laplacians give these magnitudes fewest bits.
    magnitudes = np.abs(symbols).astype(np.float32)
    magnitudes = magnitudes.reshape(n, h // 2, 2, w // 2, 2).mean(axis=(2, 4)).reshape(n, -1)
    scale = np.maximum(known.scales / step, 0.05)
    cost = (1 / scale) @ magnitudes + np.log(scale).sum(axis=1)[:, None]
    chosen = cost.argmin(axis=0).reshape(h // 2, w // 2).astype(np.int32)

    encoder = Encoder()
    differences = np.diff(chosen, axis=1, prepend=0) % len(scale)
    nothing = np.zeros(differences.size, np.uint8)
    tables, indexes = _tables(), _indexes(known, chosen, step).ravel()
    encoder.add(differences.ravel().astype(np.int32), known.classes.groups(nothing))
    encoder.add(symbols.ravel(), tables.groups(indexes))
    words = encoder.finish()
    return _HEADER.pack(_MAGIC, width, height, quality, zlib.crc32(words)) + words


def decode(data: bytes) -> Pixels:
    """A file -> (H,W,3). Raises CorruptError for what `encode` did not write."""
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise CorruptError("not a file of the block-PCA codec")
    _, width, height, quality, checksum = _HEADER.unpack_from(data)
    if zlib.crc32(data[_HEADER.size :]) != checksum:
        raise CorruptError("the block-PCA codec's file is damaged")
    known, step = fit(), _step(quality)
    h, w = 2 * ceil_div(height, 16), 2 * ceil_div(width, 16)
    decoder = Decoder(data[_HEADER.size :])
    differences = decoder.take(known.classes.groups(np.zeros(h * w // 4, np.uint8)))
    chosen = np.cumsum(differences.reshape(h // 2, w // 2), axis=1) % len(known.scales)
    indexes = _indexes(known, chosen, step)
    symbols = decoder.take(_tables().groups(indexes.ravel())).reshape(indexes.shape)
    decoder.finish()
    means = symbols[known.predicted]
    means[:, :, 0] = np.cumsum(means[:, :, 0], axis=1)
    symbols[known.predicted] = np.cumsum(means, axis=2)
    values = (symbols - TOWARDS_ZERO * np.sign(symbols)).astype(np.float32) * np.float32(step)
    blocks = (known.axes.T @ values.reshape(len(values), -1)).reshape(values.shape)
    return _pixels(blocks)[:height, :width]


def _indexes(known: Fit, chosen: npt.NDArray[Any], step: float) -> npt.NDArray[np.uint8]:
    """Table indexes (192,2h,2w) from the classes (h,w)."""
    place = (np.log2(known.scales / step) - _SCALE_MIN) / _SCALE_STEP
    index = np.clip(np.rint(place), 0, _TABLES - 1).astype(np.uint8)  # (K,192)
    return np.ascontiguousarray(index[chosen].repeat(2, 0).repeat(2, 1).transpose(2, 0, 1))


@functools.cache
def _tables() -> TableSet:
    """Table t: a Laplacian of mean magnitude 2^(min + t * step), quantised as `encode` does."""
    made = []
    for t in range(_TABLES):
        mean = 2.0 ** (_SCALE_MIN + t * _SCALE_STEP)
        reach = min(_LONGEST, max(1, int(np.ceil(12 * mean))))
        edges = np.arange(reach + 1) + ROUND_UP_FROM
        above = np.exp(-edges / mean)  # of a magnitude, beyond each edge
        side = -np.diff(above) / 2
        made.append((np.concatenate([side[::-1], [1 - above[0]], side]), -reach))
    return _table_set(made)


def _table_set(made: list[tuple[npt.NDArray[np.float64], int]]) -> TableSet:
    """A TableSet from probabilities and each table's first symbol: integers, each at least 1."""
    parts, total = [], 1 << PRECISION
    for probabilities, _ in made:
        padded = np.concatenate([[0.0], probabilities, [0.0]])  # the two escapes
        counts = np.maximum(np.rint(padded * (total - 2 * len(padded))), 1).astype(np.int64)
        counts[counts.argmax()] += total - counts.sum()
        parts.append(counts.astype(np.uint32))
    return TableSet(
        np.concatenate(parts),
        np.array([len(part) for part in parts], np.int32),
        np.array([first for _, first in made], np.int32),
    )
