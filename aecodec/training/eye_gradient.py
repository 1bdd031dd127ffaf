"""The distortion for the eye and its gradient by the picture, in one forward pass.

ONNX Runtime has no automatic differentiation, so the backward pass of `Ssimulacra2` is written out,
as that of the synthesis is in `model/gradient.py`: each step forward has its counterpart in
reverse. A test holds it against torch's autograd. Encoders that refine latents run it, with weights
that were trained for the eye.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.networks.ssimulacra2_score import CUBIC, FLAT_WEIGHTS, SCALES, SLOPE
from aecodec.training.loss import Eye
from aecodec.training.ssimulacra2 import ABSORBANCE, BIAS, C2, EPSILON, halved, kernel, linear

__all__ = ["EyeDistortion"]

PLANES = 3
KNEE = 0.04045
"""Where sRGB's line becomes its power."""


class _Maps(NamedTuple):
    """One scale's maps of errors, and what their gradient by the second picture needs."""

    maps: Tensor  # (3,B,3,H,W): dissimilarity, added edges, lost edges
    b: Tensor
    a: Tensor
    by_mean: Tensor  # of the likeness by the second picture's blur
    by_square: Tensor
    by_product: Tensor
    edge: Tensor  # sign(b - mean) / (1 + |a - mean|)


class EyeDistortion:
    """The distortion that `Eye` trains for, in units of a squared error summed over pixels.

    As `squared_error` of `model/gradient.py` it takes x and x_hat (B,3,H,W) in [0,1] and a mask
    (B,1,H,W), and gives its value (1,) and its gradient by x_hat. Beyond the mask the pictures
    count as equal. All six scales count, in small pictures too. No module: its tensors must not
    look like weights of the model in a graph.
    """

    def __init__(self, mse_share: float) -> None:
        self.mse_share = mse_share
        taps = torch.tensor(kernel(), dtype=torch.float32)
        self.rows = taps.repeat(PLANES, 1, 1, 1)
        self.absorbance = torch.tensor(ABSORBANCE).reshape(3, 3, 1, 1)
        # (S,2,3,1,3,1,1): by scale, norm and map, then as a map has it.
        weights = torch.tensor(FLAT_WEIGHTS).reshape(3, SCALES, 2, 3).permute(1, 2, 3, 0)
        self.weights = weights.reshape(SCALES, 2, 3, 1, 3, 1, 1)

    def __call__(self, x: Tensor, x_hat: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        difference = (x_hat - x) * mask
        pixels = mask.sum()
        raw, by_b = self.raw_and_gradient(x, x + difference, pixels)
        # 255^2 MSE is the sum of squares over all samples, times 255^2 / 3, by the pixels.
        unit = (1.0 - self.mse_share) * Eye.UNIT * 3.0 / 255.0**2 * pixels
        seen = unit * raw.clamp(max=Eye.LIMIT)
        felt = unit * (raw < Eye.LIMIT).to(raw.dtype)
        squares = (difference * difference).sum()
        gradient = 2.0 * self.mse_share * difference + felt * by_b * mask
        return (self.mse_share * squares + seen).reshape(1), gradient

    def raw_and_gradient(self, a: Tensor, b: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The raw distortion, means being over so many pixels, and its gradient by b."""
        light_a, light_b = [linear(a)], [linear(b)]
        for _ in range(SCALES - 1):
            light_a.append(halved(light_a[-1]))
            light_b.append(halved(light_b[-1]))
        every: list[tuple[_Maps, Tensor, Tensor]] = []
        total = torch.zeros(())
        for scale in range(SCALES):
            found = self._maps(self._xyb(light_a[scale])[0], self._xyb(light_b[scale])[0])
            count = pixels / 4.0**scale
            ones = found.maps.sum((1, 3, 4), keepdim=True) / count
            fourths = ((found.maps**2) ** 2).sum((1, 3, 4), keepdim=True) / count
            first, fourth = self.weights[scale]
            total = total + (first * ones).sum()
            total = total + (fourth * ((fourths + EPSILON) ** 0.25 - EPSILON**0.25)).sum()
            steep = first + fourth * found.maps**3 * (fourths + EPSILON) ** -0.75
            every.append((found, steep, count))
        t = SLOPE * total
        raw = CUBIC[0] * t + CUBIC[1] * t**2 + CUBIC[2] * t**3
        slope = SLOPE * (CUBIC[0] + 2.0 * CUBIC[1] * t + 3.0 * CUBIC[2] * t**2)
        back = torch.zeros(())
        for scale in reversed(range(SCALES)):
            found, steep, count = every[scale]
            by_xyb = self._by_picture(found, slope / count * steep)
            own = self._by_light(by_xyb, self._xyb(light_b[scale])[1])
            back = own if scale == SCALES - 1 else own + _spread(back, light_b[scale])
        return raw, back * torch.where(
            b <= KNEE, 1.0 / 12.92, (2.4 / 1.055) * ((b.clamp(min=KNEE) + 0.055) / 1.055) ** 1.4
        )

    def _blur(self, x: Tensor) -> Tensor:
        half = self.rows.shape[-1] // 2
        x = F.conv2d(x, self.rows, padding=(0, half), groups=PLANES)
        return F.conv2d(x, self.rows.transpose(2, 3), padding=(half, 0), groups=PLANES)

    def _xyb(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """XYB as `Ssimulacra2.xyb` has it, and the cube roots of what the cones absorb."""
        roots = (F.conv2d(light, self.absorbance) + BIAS).clamp(min=1e-9) ** (1.0 / 3.0)
        cones = roots - BIAS ** (1.0 / 3.0)
        long, medium, short = cones[:, :1], cones[:, 1:2], cones[:, 2:]
        x, y = 0.5 * (long - medium), 0.5 * (long + medium)
        return torch.cat([14.0 * x + 0.42, y + 0.01, short - y + 0.55], 1), roots

    def _maps(self, a: Tensor, b: Tensor) -> _Maps:
        mean_a, mean_b = self._blur(a), self._blur(b)
        spread_a = self._blur(a * a) - mean_a * mean_a
        spread_b = self._blur(b * b) - mean_b * mean_b
        near = 1.0 - (mean_a - mean_b) ** 2
        shared = 2.0 * (self._blur(a * b) - mean_a * mean_b) + C2
        spread = spread_a + spread_b + C2
        like = near * shared / spread
        away = 1.0 + (a - mean_a).abs()
        off = b - mean_b
        edges = (1.0 + off.abs()) / away - 1.0
        return _Maps(
            torch.stack([F.relu(1.0 - like), F.relu(edges), F.relu(-edges)]),
            b,
            a,
            (2.0 * (mean_a - mean_b) * shared - 2.0 * near * mean_a + 2.0 * like * mean_b) / spread,
            -like / spread,
            2.0 * near / spread,
            torch.sign(off) / away,
        )

    def _by_picture(self, found: _Maps, g: Tensor) -> Tensor:
        """From the gradient by the maps (3,B,3,H,W) to that by the second picture in XYB."""
        felt = g * (found.maps > 0).to(g.dtype)
        by_like = -felt[0]
        by_edge = (felt[1] - felt[2]) * found.edge
        means = self._blur(by_like * found.by_mean - by_edge)
        squares = self._blur(by_like * found.by_square)
        products = self._blur(by_like * found.by_product)
        return by_edge + means + 2.0 * found.b * squares + found.a * products

    def _by_light(self, g: Tensor, roots: Tensor) -> Tensor:
        """From the gradient by XYB to that by linear light."""
        x, y, b = g[:, :1], g[:, 1:2], g[:, 2:]
        half = 0.5 * (y - b)
        by_cones = torch.cat([7.0 * x + half, half - 7.0 * x, b], 1) / (3.0 * roots * roots)
        return F.conv2d(by_cones, self.absorbance.transpose(0, 1))


def _spread(g: Tensor, light: Tensor) -> Tensor:
    """From the gradient by `halved(light)` to that by light."""
    ones = F.pad(torch.ones_like(light[:, :1]), (0, 1, 0, 1))
    pixels = F.conv2d(ones, torch.ones(1, 1, 2, 2, dtype=g.dtype), stride=2)
    doubled = F.interpolate(g / pixels, scale_factor=2.0, mode="nearest")
    return doubled[:, :, : light.shape[2], : light.shape[3]]
