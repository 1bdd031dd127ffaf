"""A linear map from latents to a small picture, for decoders that need no more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aecodec.arrays import Pixels
from aecodec.codec import Codec
from aecodec.geometry import Box

__all__ = ["fit_preview"]

QUALITIES = (25, 60, 85)
RIDGE = 1e-4


def fit_preview(codec: Codec, pictures: list[Pixels]) -> npt.NDArray[np.float16]:
    """(M + 1, 192): the mean of every 2x2 pixels under a latent, in [0,1], from its y_hat and 1.

    The 192 are rows, columns and colours (8,8,3). Ridge regression over the latents that the
    encoder really makes, at three qualities: one map serves them all.

    Args: pictures (h,w,3), h and w multiples of 16.
    """
    size = codec.weights.config.latents + 1
    left, right = np.zeros((size, size)), np.zeros((size, 192))
    for rgb in pictures:
        height, width = rgb.shape[:2]
        y = codec.tiles.analyse(rgb, Box.of(rgb.shape))
        means = rgb.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)) / 255.0
        blocks = means.reshape(height // 16, 8, width // 16, 8, 3).transpose(0, 2, 1, 3, 4)
        wanted = blocks.reshape(-1, 192)
        for quality in QUALITIES:
            point = codec.weights.at(quality)
            y_hat = (codec.tiles.quantise(y, point).v_hat / point.gain).astype(np.float64)
            seen = np.concatenate([y_hat.reshape(size - 1, -1), np.ones((1, len(wanted)))])
            left += seen @ seen.T
            right += seen @ wanted
    penalty = RIDGE * np.diag(left) * np.eye(size)
    return np.linalg.solve(left + penalty, right).astype(np.float16)
