"""How strongly each latent channel changes the picture, for encoders that refine latents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.arrays import Pixels, edge_padded
from aecodec.codec import Codec
from aecodec.geometry import Box, padded
from aecodec.model import Autoencoder
from aecodec.model.gradient import Distortion, error_and_gradient, squared_error
from aecodec.networks.config import QUALITIES

__all__ = ["measure_curvature"]

STEP = 1e-3


APART = 0.5
"""In quantisation steps: how far to either side the gradient of another distortion is taken."""


def measure_curvature(
    model: Autoencoder,
    codec: Codec,
    pictures: list[Pixels],
    distortion: Distortion = squared_error,
    seed: int = 11,
) -> npt.NDArray[np.float32]:
    """(101, M): half the second derivative of a picture's distortion by an element of y_hat.

    By Hutchinson's estimator (Bekas et al. 2007): the mean of d * (H d) over random signs d;
    averaged over places and pictures. For squared error H is 2 J^T J, J the synthesis' Jacobian;
    for another distortion H d is the difference of two gradients, as far apart as roundings are.
    Measured at every ninth quality, linear between.
    """
    generator = torch.Generator().manual_seed(seed)
    measured = range(1, QUALITIES + 1, 9)
    rows = []
    for quality in measured:
        point = codec.weights.at(quality)
        level = torch.from_numpy(point.level)
        estimates = []
        for rgb in pictures:
            y = codec.tiles.analyse(rgb, Box.of(rgb.shape))
            y_hat = torch.from_numpy(codec.tiles.quantise(y, point).v_hat / point.gain)[None]
            signs = torch.randint(0, 2, y_hat.shape, generator=generator).float() * 2.0 - 1.0
            if distortion is squared_error:
                found = _products(model, y_hat, level, signs)
            else:
                x = torch.from_numpy(edge_padded(rgb, *padded(rgb.shape), 0))
                x = x.permute(2, 0, 1)[None] / 255.0
                step = torch.from_numpy(APART / point.gain)[None]
                found = _differences(model, y_hat, level, signs, x, step, distortion)
            estimates.append(found.mean(dim=(0, 2, 3)))
        rows.append(torch.stack(estimates).mean(dim=0).clamp(min=0.0).numpy())
    table = np.stack(rows)
    every = np.arange(QUALITIES + 1)
    columns = [np.interp(every, list(measured), column) for column in table.T]
    result: npt.NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return result


@torch.no_grad()
def _differences(
    model: Autoencoder,
    y_hat: Tensor,
    level: Tensor,
    signs: Tensor,
    x: Tensor,
    step: Tensor,
    distortion: Distortion,
) -> Tensor:
    """signs * (H signs) / 2, H between y_hat + step * signs and y_hat - step * signs."""
    mask = torch.ones_like(x[:, :1])
    ahead, behind = (
        error_and_gradient(model.synthesis, y_hat + k * step * signs, level, x, mask, distortion)[1]
        for k in (1.0, -1.0)
    )
    return signs * (ahead - behind) / (4.0 * step)


def _products(model: Autoencoder, y_hat: Tensor, level: Tensor, signs: Tensor) -> Tensor:
    """signs * (J^T J signs)."""
    with torch.no_grad():
        ahead = model.synthesis(y_hat + STEP * signs, level)
        moved = (ahead - model.synthesis(y_hat - STEP * signs, level)) / (2.0 * STEP)
    y_hat = y_hat.clone().requires_grad_(True)
    (back,) = torch.autograd.grad((model.synthesis(y_hat, level) * moved).sum(), y_hat)
    return signs * back
