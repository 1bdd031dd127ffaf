"""The rate-distortion loss over all qualities at once."""

from __future__ import annotations

import torch
from torch import Tensor

from aecodec.model import Output
from aecodec.networks.config import ModelConfig
from aecodec.training.ssimulacra2_batch import Ssimulacra2OfBatch

__all__ = ["Eye", "draw_levels", "rate_distortion"]


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


class Eye:
    """The distortion for the eye: a share of squared error, the rest SSIMULACRA 2's.

    SSIMULACRA 2's raw distortion, times UNIT, is about 255^2 MSE at every rate (measured on Kodak
    with weights trained for PSNR), so lambda keeps its meaning. Very bad crops count as LIMIT.
    """

    UNIT = 2.43
    LIMIT = 120.0

    def __init__(self, mse_share: float) -> None:
        self.mse_share = mse_share
        self.measure = Ssimulacra2OfBatch()

    def __call__(self, x: Tensor, x_hat: Tensor, mse: Tensor) -> tuple[Tensor, Tensor]:
        """The distortion in units of 255^2 MSE, and the raw distortion; each (B,)."""
        self.measure.to(x.device)
        raw: Tensor = self.measure(x, x_hat.clamp(0.0, 1.0))
        seen = self.UNIT * raw.clamp(max=self.LIMIT)
        return self.mse_share * 255.0**2 * mse + (1.0 - self.mse_share) * seen, raw


def rate_distortion(
    output: Output, x: Tensor, lam: Tensor, eye: Eye | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over the batch of w(lambda) * (bpp + lambda * distortion), and its parts.

    The distortion is 255^2 * MSE, or what `eye` says. Of a sparse autoencoder the L1 norm of the
    latents, in quantisation steps a pixel, is added: its bits have no gradient by the latents.

    BD-rate averages the logarithm of the rate evenly over PSNR, so a picture's loss is divided by
    about the rate that goes with its lambda: bpp grows like lambda to the 0.5.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = (output.y_bits + output.z_bits) / pixels
    mse = ((output.x_hat - x) ** 2).mean(dim=(1, 2, 3))
    parts = {"bpp": bpp, "mse": mse, "z_bpp": output.z_bits / pixels}
    distortion = 255.0**2 * mse
    if eye is not None:
        distortion, parts["raw"] = eye(x, output.x_hat, mse)
    if output.norm is not None:
        parts["norm1"] = output.norm / pixels
        bpp = bpp + parts["norm1"]
    loss = ((bpp + lam * distortion) * (lam / CENTRE) ** -0.5).mean()
    return loss, parts
