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

__all__ = ["Ssimulacra2", "score_of"]

SCALES = 6
SMALLEST = 8
"""A scale is the last one if the picture is smaller than this on a side."""
C2 = 0.0009
SIGMA = 1.5
EPSILON = 1e-20
"""Keeps the gradient of a fourth root finite where an error map is zero."""

# Opsin absorbance of JPEG XL, whose cube root is XYB, and its bias.
ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
BIAS = 0.0037930732552754493

# Of the authors: by channel (X, Y, B - Y), scale, and norm (1, 4), the weights of the three maps.
# Numbers that are not listed are 0.
WEIGHTS = {
    "X": (
        ((0.0, 0.0007376606707406586, 0.0), (0.0, 0.0007793481682867309, 0.0)),
        (
            (0.0, 0.0004371155730107379, 0.0),
            (1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        ),
        ((0.0, 0.0016406437456599754, 0.0), (1.8422455520539298, 11.441172603757666, 0.0)),
        (
            (0.0007989109436015163, 0.000176816438078653, 0.0),
            (1.8787594979546387, 10.94906990605142, 0.0),
        ),
        (
            (0.0007289346991508072, 0.9677937080626833, 0.0),
            (0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053),
        ),
        ((0.0004550992113792063, 0.0, 0.0), (0.0013648766163243398, 0.0, 0.0)),
    ),
    "Y": (
        ((0.0, 0.0, 0.0), (7.466890328078848, 0.0, 17.445833984131262)),
        (
            (0.0006235601634041466, 0.0, 0.0),
            (6.683678146179332, 0.00037724407979611296, 1.027889937768264),
        ),
        (
            (225.20515300849274, 0.0, 0.0),
            (19.213238186143016, 0.0011401524586618361, 0.001237755635509985),
        ),
        (
            (176.39317598450694, 0.0, 0.0),
            (24.43300999870476, 0.28520802612117757, 0.0004485436923833408),
        ),
        ((0.0, 0.0, 0.0), (34.77906344483772, 44.835625328877896, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ),
    "B": (
        ((0.0, 0.0008680556573291698, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0005313191874358747, 0.0), (0.00016533814161379112, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0004179171803251336, 0.0017290828234722833, 0.0)),
        ((0.0020827005846636437, 0.0, 0.0), (8.826982764996862, 23.19243343998926, 0.0)),
        (
            (95.1080498811086, 0.9863978034400682, 0.9834382792465353),
            (0.0012286405048278493, 171.2667255897307, 0.9807858872435379),
        ),
        ((0.0, 0.0, 0.0), (0.0005130064588990679, 0.0, 0.00010854057858411537)),
    ),
}


def score_of(raw: Tensor) -> Tensor:
    """The score of a raw distortion: 100 where it is 0 or less."""
    return 100.0 - 10.0 * raw.clamp(min=0.0) ** 0.6276336467831387


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
        flat = [
            w for channel in WEIGHTS.values() for scale in channel for norm in scale for w in norm
        ]
        self.weights = flat

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        numbers: list[list[Tensor]] = [[], [], []]
        a, b = _linear(x), _linear(x_hat)
        for scale in range(SCALES):
            if min(a.shape[2:]) < SMALLEST:
                break
            if scale:
                a, b = _halved(a), _halved(b)
            for c, found in enumerate(self._scale(self._xyb(a), self._xyb(b))):
                numbers[c] += found
        total = torch.zeros_like(numbers[0][0])
        # Where scales are missing the tool takes the weights in order all the same.
        for weight, number in zip(self.weights, [n for c in numbers for n in c], strict=False):
            if weight:
                total = total + weight * number
        total = total * 0.9562382616834844
        return (
            2.326765642916932 * total
            - 0.020884521182843837 * total**2
            + 6.248496625763138e-05 * total**3
        )

    def _xyb(self, linear: Tensor) -> Tensor:
        mixed = torch.einsum("oc,bchw->bohw", self.absorbance, linear) + BIAS
        mixed = mixed.clamp(min=1e-9) ** (1.0 / 3.0) - BIAS ** (1.0 / 3.0)
        l, m, s = mixed.unbind(1)
        x, y = 0.5 * (l - m), 0.5 * (l + m)
        return torch.stack([14.0 * x + 0.42, y + 0.01, s - y + 0.55], 1)

    def _blur(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        taps, half = self.taps.expand(b * c, 1, 1, -1), len(self.taps) // 2
        x = x.reshape(1, b * c, h, w)
        x = F.conv2d(x, taps, padding=(0, half), groups=b * c)
        x = F.conv2d(x, taps.transpose(2, 3), padding=(half, 0), groups=b * c)
        return x.reshape(b, c, h, w)

    def _scale(self, a: Tensor, b: Tensor) -> list[list[Tensor]]:
        """By channel the six numbers of a scale, each (B,): for each norm those of the maps."""
        mu_a, mu_b = self._blur(a), self._blur(b)
        var_a = self._blur(a * a) - mu_a * mu_a
        var_b = self._blur(b * b) - mu_b * mu_b
        cov = self._blur(a * b) - mu_a * mu_b
        like = (1.0 - (mu_a - mu_b) ** 2) * (2.0 * cov + C2) / (var_a + var_b + C2)
        edges = (1.0 + (b - mu_b).abs()) / (1.0 + (a - mu_a).abs()) - 1.0
        maps = (F.relu(1.0 - like), F.relu(edges), F.relu(-edges))
        ones = [m.mean(dim=(2, 3)) for m in maps]
        fours = [((m * m) ** 2).mean(dim=(2, 3)).add(EPSILON) ** 0.25 for m in maps]
        fours = [f - EPSILON**0.25 for f in fours]
        return [[n[:, c] for n in (*ones, *fours)] for c in range(3)]


def _linear(x: Tensor) -> Tensor:
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def _halved(x: Tensor) -> Tensor:
    """Means of 2x2 pixels; a last row or column that has no other counts twice."""
    h, w = x.shape[2:]
    if h % 2 or w % 2:
        x = F.pad(x, (0, w % 2, 0, h % 2), "replicate")
    return F.avg_pool2d(x, 2)
