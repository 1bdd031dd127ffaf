"""The rate-distortion loss over all qualities at once."""

from __future__ import annotations

import torch
from torch import Tensor

from aecodec.model import Output
from aecodec.networks.config import ModelConfig

__all__ = ["draw_levels", "rate_distortion"]

CENTRE = 0.0125
"""The lambda whose loss has weight 1."""


def draw_levels(uniform: Tensor, config: ModelConfig) -> Tensor:
    """Levels (B,) from uniform numbers (B,2): log-uniform lambda, denser where people work.

    85 % of the samples lie between lambda 0.0012 and 0.2 (about 27 to 39 dB), the rest anywhere.
    """
    bounds = torch.tensor([0.0012, 0.2]) / config.lambda_min
    low, high = torch.log(bounds) / torch.log(torch.tensor(config.lambda_max / config.lambda_min))
    inner = low + (high - low) * uniform[:, 0]
    return torch.where(uniform[:, 1] < 0.85, inner, uniform[:, 0])


def rate_distortion(output: Output, x: Tensor, lam: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over the batch of w(lambda) * (bpp + lambda * 255^2 * MSE), and its parts.

    BD-rate averages the logarithm of the rate evenly over PSNR, so a picture's loss is divided by
    about the rate that goes with its lambda: bpp grows like lambda to the 0.5.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = (output.y_bits + output.z_bits) / pixels
    mse = ((output.x_hat - x) ** 2).mean(dim=(1, 2, 3))
    each = bpp + lam * 255.0**2 * mse
    loss = (each * (lam / CENTRE) ** -0.5).mean()
    return loss, {"bpp": bpp, "mse": mse, "z_bpp": output.z_bits / pixels}
