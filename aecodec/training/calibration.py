"""Calibration: each quality is mapped to the level that is as good as JPEG, with the real codec."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Pixels
from aecodec.codec import Codec
from aecodec.geometry import Box
from aecodec.image.rgb import decode, is_exact_as_jpeg, jpeg
from aecodec.metrics import psnr
from aecodec.networks.config import QUALITIES
from aecodec.networks.ssimulacra2 import ssimulacra2

__all__ = ["calibrate"]


ANCHORS = tuple(range(5, 93, 3))
"""The qualities at which JPEG is measured."""


def _score(rgb: Pixels, decoded: Pixels) -> float:
    found = ssimulacra2(rgb, decoded)
    if found is None:
        raise ValueError("a picture is too small to calibrate on: SSIMULACRA 2 needs 8 pixels")
    return found


def calibrate(codec: Codec, pictures: list[Pixels]) -> npt.NDArray[np.float32]:
    """Levels (101,) such that quality q is as good as JPEG 4:2:0 at quality q in the mean.

    The measure is PSNR, or SSIMULACRA 2 for weights that were trained for the eye. Below 5 and
    above 92 the levels continue evenly to the ends of the trained range, so that 1 is the smallest
    and 100 the best that the weights can do. `codec` may have any rising levels. Pictures that
    JPEG gives back exactly do not count: they have no PSNR. Raises ValueError where none is left,
    and for a model that gains nothing with the level.
    """
    pictures = [rgb for rgb in pictures if not is_exact_as_jpeg(rgb, ANCHORS)]
    if not pictures:
        raise ValueError("no picture to calibrate on: JPEG gives each of them back exactly")
    eye = codec.weights.config.objective == "eye"
    measure = _score if eye else psnr
    targets = [
        float(np.mean([measure(rgb, decode(jpeg(rgb, q))) for rgb in pictures])) for q in ANCHORS
    ]
    grid = list(range(1, QUALITIES + 1, 3 if eye else 9))  # scores are no straight lines
    reached = np.zeros(len(grid))
    for rgb in pictures:
        box = Box.of(rgb.shape)
        y = codec.tiles.analyse(rgb, box)
        for i, q in enumerate(grid):
            point = codec.weights.at(q)
            v_hat = codec.tiles.quantise(y, point).v_hat
            decoded = codec.tiles.transforms.synthesise(v_hat, box, point)
            reached[i] += measure(rgb, decoded) / len(pictures)
    # A model without enough latents gains nothing at the highest levels: those don't count.
    best = np.maximum.accumulate(reached)
    rising = np.concatenate([[True], best[1:] > best[:-1]])
    if best[-1] - best[0] < 1.0:
        what = "score" if eye else "PSNR"
        raise ValueError(f"the model's {what} does not rise with the level: train longer")
    fitted = np.interp(targets, best[rising], codec.weights.level[grid][rising])
    levels = np.interp(
        np.arange(QUALITIES + 1), [1, *ANCHORS, QUALITIES], [0.0, *fitted.tolist(), 1.0]
    )
    # Strictly rising even where JPEG's curve leaves the trained range.
    levels = np.maximum.accumulate(levels) + 1e-4 * np.arange(QUALITIES + 1)
    scaled: npt.NDArray[np.float32] = (levels / float(levels.max())).astype(np.float32)
    return scaled
