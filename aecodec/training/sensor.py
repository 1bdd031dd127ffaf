"""Pictures as a camera develops them from its sensor, with and without noise.

::

    clean crop --to linear light, through a Bayer pattern--> what the sensor sees
     + shot and read noise (Foi et al. 2008)
     --edge-aware or bilinear demosaicing, white balance, sRGB curve--> the noisy crop

The same without the noise is what a denoiser is to find. So the traces that a demosaicing leaves in
fine detail belong to the picture: an estimator must not take them for noise. The edge-aware
demosaicing is that of Hamilton and Adams (1997): green is interpolated along the direction of the
smaller gradient, and the differences to green are interpolated for the other colours. It decides by
noisy values, so the noise of its result is no longer that of a linear filter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aecodec.training.ssimulacra2 import linear

__all__ = ["demosaiced", "developed", "draw_sensor", "sites_of"]

BILINEAR, DIRECTED, ADAMS = range(3)
"""Kinds of demosaicing. DIRECTED takes green from its two neighbours along the smaller gradient,
and red and blue bilinearly."""
SHARES = (0.25, 0.5)
"""The shares of crops of the first kind, and of the first two kinds."""
STRONGEST_GAIN = 2.2
"""The largest factor of the white balance for red and blue."""
READ = (0.004, 0.06)
"""The least and the largest variance of the read noise, in shares of the shot noise's factor."""
LEFT = 0.85
"""The share of the noise's deviation that a demosaicing leaves, about."""


def sites_of(height: int, width: int, shift: tuple[int, int]) -> Tensor:
    """(3,H,W): 1 where a Bayer sensor sees red, green, blue."""
    y = (torch.arange(height)[:, None] + shift[0]) % 2
    x = (torch.arange(width)[None, :] + shift[1]) % 2
    return torch.stack([(y == 0) & (x == 0), y != x, (y == 1) & (x == 1)]).float()


def to_srgb(light: Tensor) -> Tensor:
    """Linear light, clipped to [0,1] -> values of sRGB."""
    light = light.clamp(0.0, 1.0)
    high = 1.055 * light.clamp(min=0.0031308) ** (1.0 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, high)


def slope_of_srgb(light: Tensor) -> Tensor:
    """The derivative of `to_srgb`."""
    high = (1.055 / 2.4) * light.clamp(0.0031308, 1.0) ** (1.0 / 2.4 - 1.0)
    return torch.where(light <= 0.0031308, 12.92, high)


def _moved(x: Tensor, y: int, across: int) -> Tensor:
    """x (B,1,H+4,W+4) without its margin, seen from so many rows and columns further on."""
    height, width = x.shape[2] - 4, x.shape[3] - 4
    return x[..., 2 + y : 2 + y + height, 2 + across : 2 + across + width]


def _green(mosaic: Tensor, is_green: Tensor, kind: Tensor) -> Tensor:
    """Green (B,1,H,W) at all sites, by the kind (B,1,1,1) of demosaicing."""
    curved = (kind == ADAMS).to(mosaic)
    wide = F.pad(mosaic, (2, 2, 2, 2), mode="reflect")
    means, gradients, plain = [], [], torch.zeros_like(mosaic)
    for y, x in ((0, 1), (1, 0)):
        near = _moved(wide, -y, -x), _moved(wide, y, x)
        bend = 2.0 * mosaic - _moved(wide, -2 * y, -2 * x) - _moved(wide, 2 * y, 2 * x)
        means.append(0.5 * (near[0] + near[1]) + 0.25 * curved * bend)
        gradients.append((near[0] - near[1]).abs() + curved * bend.abs())
        plain = plain + 0.25 * (near[0] + near[1])
    across, down = means
    found = torch.where(gradients[0] < gradients[1], across, down)
    found = torch.where(gradients[0] == gradients[1], 0.5 * (across + down), found)
    return torch.where(is_green > 0, mosaic, torch.where(kind == BILINEAR, plain, found))


def demosaiced(mosaic: Tensor, sites: Tensor, kind: Tensor) -> Tensor:
    """The colours (B,3,H,W) of a sensor's values (B,1,H,W).

    Args:
        sites: (B,3,H,W), 1 where a site sees a colour.
        kind: (B,1,1,1), BILINEAR, DIRECTED or ADAMS.
    """
    green = _green(mosaic, sites[:, 1:2], kind)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]).to(mosaic) / 4.0
    base = torch.where(kind == ADAMS, green, torch.zeros_like(green))
    others = []
    for colour in (0, 2):
        seen = F.pad((mosaic - base) * sites[:, colour : colour + 1], (1, 1, 1, 1), mode="reflect")
        others.append(base + F.conv2d(seen, kernel[None, None]))
    return torch.cat([others[0], green, others[1]], 1)


def developed(mosaic: Tensor, sites: Tensor, gains: Tensor, kind: Tensor) -> Tensor:
    """What a camera makes of a sensor's values (B,1,H,W): (B,3,H,W) in sRGB, in 8 bits."""
    light = demosaiced(mosaic.clamp(0.0, 1.0), sites, kind) * gains
    return torch.round(to_srgb(light) * 255.0) / 255.0


def draw_sensor(clean: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Crops as a camera gives them: without noise, with it, and the noise's deviation (B,3,H,W).

    Args:
        clean: (B,3,H,W) in [0,1], H and W even.
        level: (B,), the mean deviation, about, in units of 255; 0 is no noise.
    """
    batch, _, height, width = clean.shape
    draw = torch.rand(batch, 5)
    sites = torch.stack(
        [sites_of(height, width, (int(4 * d) % 2, int(4 * d) // 2)) for d in draw[:, 0]]
    ).to(clean)
    kind = torch.bucketize(draw[:, 1].contiguous(), torch.tensor(SHARES)).view(-1, 1, 1, 1)
    gains = torch.ones(batch, 3, 1, 1)
    gains[:, 0, 0, 0] += (STRONGEST_GAIN - 1.0) * draw[:, 2]
    gains[:, 2, 0, 0] += (STRONGEST_GAIN - 1.0) * draw[:, 3]
    light = linear(clean)
    mosaic = (light / gains * sites).sum(1, keepdim=True)
    read = READ[0] * (READ[1] / READ[0]) ** draw[:, 4].view(-1, 1, 1, 1)
    # The deviation that noise of a shot factor of 1 has after the development.
    usual = torch.sqrt(light / gains + read) * gains * slope_of_srgb(light)
    strength = level.view(-1, 1, 1, 1) / (
        LEFT * usual.square().mean((1, 2, 3), keepdim=True).sqrt()
    )
    shot, usual = strength.square(), usual * strength
    noise = torch.randn_like(mosaic) * torch.sqrt(shot * (mosaic + read))
    without = developed(mosaic, sites, gains, kind)
    noisy = developed(mosaic + noise, sites, gains, kind)
    # A demosaicing takes a part of the noise away, and clipping another.
    expected = usual.square().mean(dim=(1, 2, 3), keepdim=True)
    left = (noisy - without).square().mean(dim=(1, 2, 3), keepdim=True)
    share = torch.sqrt(left / expected.clamp(min=1e-12)).clamp(max=2.0)
    return without, noisy, usual * share
