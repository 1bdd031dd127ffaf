"""Whether a picture's colours are in the order of its channels.

Skies are blue and faces are not: how often colours occur together with a brightness, in the upper
and in the lower half, tells a photograph from the same one with its channels exchanged. The shares
of 10 x 10 colours at 4 brightnesses in 2 halves are weighed by a linear model of the six orders
(softmax regression on photographs; `benchmarks/fit_colours.py`).
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.uses.descriptors import LUMA

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels

__all__ = ["LONGEST", "ORDERS", "exchanged", "shares"]

LONGEST: Final = 96
"""Pixels a side of the pictures that the model was fitted to."""
ORDERS: Final = tuple(itertools.permutations(range(3)))
"""The orders of three channels; the first one is theirs."""
_COLOURS, _BRIGHTNESSES, _PARTS = 10, 4, 2
_WIDEST = 0.85
"""The root of the largest difference of a channel and the luma that has a cell of its own."""


def exchanged(small: Pixels) -> float:
    """How much likelier another order of the channels of a picture (H,W,3) is, as a logarithm.

    The picture is at most LONGEST pixels a side.
    """
    found = np.stack([shares(small[..., order]) for order in ORDERS]) @ _weights()
    return float(found[1:].max() - found[0])


def shares(small: Pixels) -> Floats:
    """(800,): the roots of the shares of a picture's (H,W,3) pixels in each cell."""
    height, width = small.shape[:2]
    colours = small.reshape(-1, 3).astype(np.float32) / np.float32(255.0)
    luma = colours @ LUMA
    cell = np.repeat(np.arange(height) * _PARTS // height, width) * _BRIGHTNESSES
    cell += np.minimum((luma * _BRIGHTNESSES).astype(np.intp), _BRIGHTNESSES - 1)
    for channel in (2, 0):  # blue and red, finer where colours are faint
        apart = np.float32(0.9) * (colours[:, channel] - luma)
        place = np.sign(apart) * np.sqrt(np.abs(apart)) / np.float32(2.0 * _WIDEST) + 0.5
        place = np.clip((place * _COLOURS).astype(np.intp), 0, _COLOURS - 1)
        cell = cell * _COLOURS + place
    count = np.bincount(cell, minlength=_PARTS * _BRIGHTNESSES * _COLOURS**2)
    found: Floats = np.sqrt(count.astype(np.float32) / np.float32(len(cell)))
    return found


@functools.cache
def _weights() -> Floats:
    """(800,): what each share says for the order that the channels have."""
    from safetensors.numpy import load_file

    loaded = load_file(Path(__file__).with_suffix(".safetensors"))
    weights: Floats = loaded["weights"].astype(np.float32)
    return weights
