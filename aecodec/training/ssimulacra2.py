"""SSIMULACRA 2.1 as a differentiable torch module.

The measure is that of Sneyers (Cloudinary, 2023), https://github.com/cloudinary/ssimulacra2:
pictures in XYB at six scales, three error maps a channel and scale (structural dissimilarity,
added edges, lost edges), the 1-norm and the 4-norm of each, and a weighted sum of these 108 numbers
which a polynomial and a power map to a score: 100 is identical, 90 is hard to tell apart, 70 is
high, 50 medium and 30 low quality.

::

    sRGB --> linear --> XYB ----------------> maps, norms --\\
               | mean of 2x2                                 +--> sum --> polynomial s --> score
               +--> XYB ----------------> maps, norms ------/
               ... six scales

As a loss, `raw_distortion` is the number before the last power. It grows about linearly with the
squared error, where the score itself has the slope of a root.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.networks.ssimulacra2_score import CUBIC, FLAT_WEIGHTS, POWER, SCALES, SLOPE, SMALLEST

__all__ = ["Ssimulacra2", "halved", "kernel", "linear", "raw_of", "score_of"]

C2 = 0.0009
SIGMA = 1.5
KNEE = 0.04045
"""Where sRGB's line becomes its power."""
DARKEST = 1e-9
"""The least that a cone absorbs: a cube root has no slope at 0."""
EPSILON = 1e-28
"""Keeps the gradient of a fourth root finite where a map of errors is zero. Its own fourth root
must be small beside a norm: with 1e-5 there, scores were 0.06 points too high."""

# Opsin absorbance of JPEG XL, whose cube root is XYB, and its bias.
ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
BIAS = 0.0037930732552754493


def score_of(raw: Tensor) -> Tensor:
    """The score of a raw distortion: 100 where it is 0 or less."""
    return 100.0 - 10.0 * raw.clamp(min=0.0) ** POWER


def kernel() -> list[float]:
    """The impulse response of JPEG XL's recursive Gaussian of sigma 1.5: nine taps.

    Charalampidis 2016, "Recursive Implementation of the Gaussian Filter Using Truncated Cosine
    Functions", with three cosines; the numbers in brackets are its equations.
    """
    radius = round(3.2795 * SIGMA + 0.2546)  # (57)
    omega = [k * math.pi / (2.0 * radius) for k in (1, 3, 5)]
    p = [s / math.tan(0.5 * w) for s, w in zip((1, -1, 1), omega, strict=True)]  # (37)
    r = [s * a * a / math.sin(w) for s, a, w in zip((1, -1, 1), p, omega, strict=True)]  # (44)
    rho = [math.exp(-0.5 * SIGMA**2 * w * w) / radius for w in omega]  # (50)
    d13, d35, d51 = (p[i] * r[j] - r[i] * p[j] for i, j in ((0, 1), (1, 2), (2, 0)))
    zeta15, zeta35 = d35 / d13, d51 / d13  # (52)
    matrix = torch.tensor([p, r, [zeta15, zeta35, 1.0]], dtype=torch.float64)
    right = [1.0, radius**2 - SIGMA**2, zeta15 * rho[0] + zeta35 * rho[1] + rho[2]]
    beta = torch.linalg.solve(matrix, torch.tensor(right, dtype=torch.float64)).tolist()
    taps = []
    before, last = [0.0] * 3, [0.0] * 3
    for n in range(-radius + 1, radius):
        hit = 1.0 if n == -radius + 1 else 0.0  # (33): the impulse enters radius - 1 places early
        now = [
            -b * math.cos(w * (radius + 1.0)) * hit + 2.0 * math.cos(w) * y1 - y2
            for b, w, y1, y2 in zip(beta, omega, last, before, strict=True)
        ]
        before, last = last, now
        taps.append(sum(now))
    return taps


class Ssimulacra2(nn.Module):
    """The raw distortion of pictures: x and x_hat (B,3,H,W), sRGB in [0,1], -> (B,).

    0 is identical. `score_of` makes the score of it. Blurs see zeros beyond the picture, as the
    authors' tool does. A picture must have 8 pixels a side at least.
    """

    taps: Tensor
    absorbance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.tensor(kernel(), dtype=torch.float32), persistent=False)
        self.register_buffer("absorbance", torch.tensor(ABSORBANCE), persistent=False)

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        norms: list[Tensor] = []
        a, b = linear(x), linear(x_hat)
        for scale in range(SCALES):
            if min(a.shape[2:]) < SMALLEST:
                break
            if scale:
                a, b = halved(a), halved(b)
            norms.append(self._norms(self.xyb(a), self.xyb(b)))
        return raw_of(torch.stack(norms, 1))

    def _norms(self, a: Tensor, b: Tensor) -> Tensor:
        """The norms (B,3,2,3) of one scale's maps, by channel, norm and map."""
        maps = torch.stack(self.maps(a, b), 2)
        ones = maps.mean(dim=(3, 4))
        fours = ((maps * maps) ** 2).mean(dim=(3, 4)).add(EPSILON) ** 0.25 - EPSILON**0.25
        return torch.stack([ones, fours], 2)

    def xyb(self, linear: Tensor) -> Tensor:
        """Linear sRGB (B,3,H,W) -> XYB, each channel in about 0..1."""
        mixed = torch.einsum("oc,bchw->bohw", self.absorbance, linear) + BIAS
        mixed = mixed.clamp(min=DARKEST) ** (1.0 / 3.0) - BIAS ** (1.0 / 3.0)
        long, medium, short = mixed.unbind(1)
        x, y = 0.5 * (long - medium), 0.5 * (long + medium)
        return torch.stack([14.0 * x + 0.42, y + 0.01, short - y + 0.55], 1)

    def blur(self, x: Tensor) -> Tensor:
        """(B,C,H,W) under the Gaussian of sigma 1.5, with zeros beyond the picture."""
        channels, half = x.shape[1], len(self.taps) // 2
        taps = self.taps.expand(channels, 1, 1, -1)
        x = F.conv2d(x, taps, padding=(0, half), groups=channels)
        return F.conv2d(x, taps.transpose(2, 3), padding=(half, 0), groups=channels)

    def maps(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The maps of errors of two pictures in XYB: dissimilarity, added edges, lost edges."""
        moments = self.blur(torch.cat([a, b, a * a, b * b, a * b], 1))
        mu_a, mu_b, square_a, square_b, product = moments.chunk(5, 1)
        variances = (square_a - mu_a * mu_a) + (square_b - mu_b * mu_b)
        like = (1.0 - (mu_a - mu_b) ** 2) * (2.0 * (product - mu_a * mu_b) + C2) / (variances + C2)
        edges = (1.0 + (b - mu_b).abs()) / (1.0 + (a - mu_a).abs()) - 1.0
        return F.relu(1.0 - like), F.relu(edges), F.relu(-edges)


def raw_of(norms: Tensor) -> Tensor:
    """(B,S,3,2,3), by scale, channel, norm and map -> (B,).

    The weights stand by channel, then by scale. Where a small picture lacks scales the authors'
    tool takes them in their order all the same.
    """
    numbers = norms.transpose(1, 2).flatten(1)
    weights = torch.tensor(FLAT_WEIGHTS[: numbers.shape[1]], dtype=norms.dtype)
    total = SLOPE * (numbers * weights.to(norms.device)).sum(1)
    return sum((c * total**power for power, c in enumerate(CUBIC, 1)), torch.zeros_like(total))


def linear(x: Tensor) -> Tensor:
    """sRGB in [0,1] -> linear light."""
    return torch.where(x <= KNEE, x / 12.92, ((x.clamp(min=KNEE) + 0.055) / 1.055) ** 2.4)


def halved(x: Tensor) -> Tensor:
    """Means of 2x2 pixels, or of what there is of them at the right and at the bottom."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
