"""How strongly each latent channel changes the picture, for encoders that refine latents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.codec import Codec
from aecodec.geometry import Box
from aecodec.model import Autoencoder
from aecodec.networks.config import QUALITIES
from aecodec.training.data import Pixels

__all__ = ["measure_curvature"]

STEP = 1e-3


def measure_curvature(
    model: Autoencoder, codec: Codec, pictures: list[Pixels], seed: int = 11
) -> npt.NDArray[np.float32]:
    """(101, M): half the second derivative of the picture's squared error by an element of y_hat.

    That is the diagonal of J^T J, J the synthesis' Jacobian, by Hutchinson's estimator (Bekas et
    al. 2007): the mean of d * (J^T J d) over random signs d; averaged over places and pictures.
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
            estimates.append(_products(model, y_hat, level, signs).mean(dim=(0, 2, 3)))
        rows.append(torch.stack(estimates).mean(dim=0).clamp(min=0.0).numpy())
    table = np.stack(rows)
    every = np.arange(QUALITIES + 1)
    columns = [np.interp(every, list(measured), column) for column in table.T]
    result: npt.NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return result


def _products(model: Autoencoder, y_hat: Tensor, level: Tensor, signs: Tensor) -> Tensor:
    """signs * (J^T J signs)."""
    with torch.no_grad():
        ahead = model.synthesis(y_hat + STEP * signs, level)
        moved = (ahead - model.synthesis(y_hat - STEP * signs, level)) / (2.0 * STEP)
    y_hat = y_hat.clone().requires_grad_(True)
    (back,) = torch.autograd.grad((model.synthesis(y_hat, level) * moved).sum(), y_hat)
    return signs * back
