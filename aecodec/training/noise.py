"""Synthetic noise on clean crops: Gaussian, and like a camera's.

A camera's noise depends on the brightness: the light itself comes in photons, and the amplifier
adds its own (Foi et al. 2008). A Bayer sensor sees one colour at each pixel, so the demosaicing
spreads the noise of one pixel over its neighbours and over the colours (Park et al. 2009). Here
white noise goes through a linear demosaicing, bilinear or like that of Malvar, He and Cutler
(2004). Then it gets the deviation that belongs to the brightness. The picture itself is not
demosaiced: it stays as sharp as it was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from aecodec.training.sensor import draw_sensor, sites_of

__all__ = ["Noisy", "add_noise"]

CAMERA = 0.5
"""Share of the crops whose noise is like a camera's."""
GREY = 0.08
"""Share of the crops that are made grey, with the same noise in all three channels."""
COARSE = 0.3
"""Share of the camera's crops whose noise has a coarse part, as of a picture that was enlarged."""


class Noisy(NamedTuple):
    """Crops with noise; all values in units of 255."""

    clean: Tensor
    """(B,3,H,W), the pictures without the noise; some are made grey."""
    noisy: Tensor
    """(B,3,H,W), clipped to [0,1] and rounded to 8 bits."""
    deviation: Tensor
    """(B,1,H,W), the root mean square over the channels of the noise's standard deviation."""


def _bilinear() -> Tensor:
    """Kernels (2,1,5,5) that interpolate green, and red or blue, between their sites."""
    green = torch.zeros(5, 5)
    green[1:4, 1:4] = torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 4.0
    other = torch.zeros(5, 5)
    other[1:4, 1:4] = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 4.0
    return torch.stack([green, other])[:, None]


def demosaic_noise(white: Tensor, *, malvar: bool, shift: tuple[int, int]) -> Tensor:
    """The noise (B,3,H,W) that white noise (B,1,H,W) of a Bayer sensor becomes in each colour.

    Its mean variance over a cell of 2x2 pixels is 1 in each colour.
    """
    height, width = white.shape[2:]
    sites = sites_of(height, width, shift)
    padded = F.pad(white * sites, (2, 2, 2, 2), mode="reflect")
    kernels = _bilinear().to(white)
    red, green, blue = (
        F.conv2d(padded[:, c : c + 1], kernels[0 if c == 1 else 1 : 1 if c == 1 else 2])
        for c in range(3)
    )
    if malvar:
        # The gradient correction: half (green), 5/8 or 3/4 of the Laplacian of the colour that is
        # there. One factor for all sites keeps it simple.
        laplacian = torch.zeros(1, 1, 5, 5)
        laplacian[0, 0, 2, 2] = 1.0
        for y, x in ((0, 2), (4, 2), (2, 0), (2, 4)):
            laplacian[0, 0, y, x] = -0.25
        detail = F.conv2d(F.pad(white, (2, 2, 2, 2), mode="reflect"), laplacian)
        red, green, blue = (
            plane + detail * (1.0 - sites[c]) * (0.5 if c == 1 else 0.625)
            for c, plane in enumerate((red, green, blue))
        )
    noise = torch.cat([red, green, blue], 1)
    deviation = noise.square().mean(dim=(0, 2, 3), keepdim=True).sqrt()
    return noise / deviation


def _curve(brightness: Tensor, kind: Tensor, read: Tensor) -> Tensor:
    """A deviation by brightness (B,3,H,W), whose mean over all brightnesses is about 1.

    Where `kind` (B,1,1,1) is below 0.6: shot and read noise, seen through a gamma curve of 2.2.
    Elsewhere: shot and read noise as they are. `read` (B,1,1,1) is the share of the latter.
    """

    def seen(v: Tensor) -> Tensor:
        return torch.sqrt(v.clamp(min=0.0) ** 2.2 + read) / (v + 0.1) ** 1.2

    def linear(v: Tensor) -> Tensor:
        return torch.sqrt(v + 10.0 * read)

    grid = torch.linspace(0.0, 1.0, 33).view(1, 1, 1, -1)
    gamma = seen(brightness) / seen(grid).mean(3, keepdim=True)
    plain = linear(brightness) / linear(grid).mean(3, keepdim=True)
    return torch.where(kind < 0.6, gamma, plain)


def _camera(clean: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """Noise (B,3,H,W) of mean level 1, and its deviation (B,3,H,W); `draw` (B,4) is uniform."""
    batch, _, height, width = clean.shape
    parts = []
    for i in range(batch):
        white = torch.randn(1, 1, height, width)
        shift = (int(draw[i, 0] * 4) % 2, int(draw[i, 0] * 4) // 2)
        noise = demosaic_noise(white, malvar=bool(draw[i, 1] < 0.5), shift=shift)
        if draw[i, 2] < COARSE:
            weight = float(draw[i, 2]) / COARSE
            few = torch.randn(1, 3, height // 2 + 1, width // 2 + 1)
            coarse = F.interpolate(few, scale_factor=2.0, mode="bilinear", align_corners=False)
            # Bilinear interpolation by 2 leaves (5/8)^2 of the variance.
            noise = noise * (1.0 - weight) ** 0.5 + 1.6 * coarse[..., :height, :width] * weight**0.5
        parts.append(noise)
    read = 1e-4 * 300.0 ** draw[:, 3].view(-1, 1, 1, 1)
    deviation = _curve(clean, (draw[:, 1] * 7.0 % 1.0).view(-1, 1, 1, 1), read)
    return torch.cat(parts) * deviation, deviation


def add_noise(
    clean: Tensor,
    level: Tensor,
    camera: float = CAMERA,
    grey: float = GREY,
    sensor: float = 0.0,
) -> Noisy:
    """Crops with noise of mean level `level` (B,), in units of 255, from torch's generator.

    Args:
        clean: (B,3,H,W) in [0,1], H and W even.
        camera, grey: shares of the crops with a camera's noise, and of grey ones.
        sensor: share of the crops that a camera develops from its sensor, see `sensor.py`. These
            differ from `clean` without noise, too.
    """
    batch = len(clean)
    draw = torch.rand(batch, 6)
    is_grey = (draw[:, 4] < grey).view(-1, 1, 1, 1)
    clean = torch.where(is_grey, clean.mean(1, keepdim=True).expand_as(clean), clean)
    noise = torch.randn_like(clean)
    noise = torch.where(is_grey, noise[:, :1].expand_as(noise), noise)
    deviation = torch.ones_like(clean)
    chosen = torch.nonzero((draw[:, 5] < camera) & ~is_grey.flatten()).flatten()
    if len(chosen):
        noise[chosen], deviation[chosen] = _camera(clean[chosen], draw[chosen])
    scale = level.view(-1, 1, 1, 1)
    noisy = (clean + noise * scale).clamp(0.0, 1.0)
    noisy = torch.round(noisy * 255.0) / 255.0
    deviation = deviation * scale
    if sensor:
        seen = torch.nonzero((torch.rand(batch) < sensor) & ~is_grey.flatten()).flatten()
        if len(seen):
            clean = clean.clone()
            clean[seen], noisy[seen], deviation[seen] = draw_sensor(clean[seen], level[seen])
    return Noisy(clean, noisy, deviation.square().mean(1, keepdim=True).sqrt())
