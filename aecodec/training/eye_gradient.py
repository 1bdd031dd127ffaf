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
from aecodec.training.ssimulacra2 import (
    ABSORBANCE,
    BIAS,
    C2,
    DARKEST,
    EPSILON,
    KNEE,
    halved,
    kernel,
)

__all__ = ["EyeDistortion"]

BLURRED = 12
"""Planes that are blurred at once. ONNX Runtime computes 16 in the time of three."""


class _Maps(NamedTuple):
    """One scale's maps of errors (B,3,H,W), and what their gradient by the second picture needs."""

    maps: tuple[Tensor, Tensor, Tensor]  # dissimilarity, added edges, lost edges
    b: Tensor
    a: Tensor
    mean_b: Tensor
    mean_a: Tensor
    spread: Tensor
    shared: Tensor
    near: Tensor
    like: Tensor
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
        self.rows = taps.repeat(BLURRED, 1, 1, 1)
        self.absorbance = torch.tensor(ABSORBANCE)
        # (S,2,3,3,1,1): by scale, norm and map, then as a map has it.
        weights = torch.tensor(FLAT_WEIGHTS).reshape(3, SCALES, 2, 3).permute(1, 2, 3, 0)
        self.weights = weights.reshape(SCALES, 2, 3, 3, 1, 1)

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
        base = (b.clamp(min=KNEE) + 0.055) / 1.055
        power = _power(base, 2.4)
        light_a, light_b = [_linear(a)], [torch.where(b <= KNEE, b / 12.92, power)]
        for _ in range(SCALES - 1):
            light_a.append(halved(light_a[-1]))
            light_b.append(halved(light_b[-1]))
        every: list[tuple[_Maps, list[Tensor], Tensor]] = []
        total = torch.zeros(())
        for scale in range(SCALES):
            roots = self._roots(light_b[scale])
            found = self._maps(_xyb(self._roots(light_a[scale])), _xyb(roots))
            count = pixels / 4.0**scale
            steep = []  # of the total by each map
            for m, first, fourth in zip(found.maps, *self.weights[scale], strict=True):
                cube = m * m * m
                ones = m.sum((0, 2, 3), keepdim=True) / count
                fourths = (cube * m).sum((0, 2, 3), keepdim=True) / count + EPSILON
                root = fourths.sqrt().sqrt()
                total = total + (first * ones + fourth * (root - EPSILON**0.25)).sum()
                steep.append(first / count + fourth / count * root / fourths * cube)
            every.append((found, steep, roots))
        t = SLOPE * total
        raw = CUBIC[0] * t + CUBIC[1] * t * t + CUBIC[2] * t * t * t
        slope = SLOPE * (CUBIC[0] + 2.0 * CUBIC[1] * t + 3.0 * CUBIC[2] * t * t)
        back = torch.zeros(())
        for scale in reversed(range(SCALES)):
            found, steep, roots = every[scale]
            own = self._by_light(self._by_picture(found, steep), roots)
            back = own if scale == SCALES - 1 else own + _spread(back, light_b[scale])
        curve = torch.where(b <= KNEE, 1.0 / 12.92, (2.4 / 1.055) * power / base)
        return raw, slope * back * curve

    def _blur(self, *planes: Tensor) -> tuple[Tensor, ...]:
        """Each (B,3,H,W) as `Ssimulacra2.blur` has it, four at most."""
        x, half = torch.cat(planes, 1), self.rows.shape[-1] // 2
        groups = x.shape[1]
        rows = self.rows[:groups]
        x = F.conv2d(x, rows, padding=(0, half), groups=groups)
        x = F.conv2d(x, rows.transpose(2, 3), padding=(half, 0), groups=groups)
        return x.chunk(len(planes), 1)

    def _roots(self, light: Tensor) -> Tensor:
        """The cube roots of what the cones absorb of linear light (B,3,H,W)."""
        mixed = torch.matmul(self.absorbance, light.flatten(2)).reshape(light.shape) + BIAS
        return _power(mixed.clamp(min=DARKEST), 1.0 / 3.0)

    def _maps(self, a: Tensor, b: Tensor) -> _Maps:
        mean_a, mean_b, squares, products = self._blur(a, b, a * a + b * b, a * b)
        spread = squares - mean_a * mean_a - mean_b * mean_b + C2
        shared = 2.0 * (products - mean_a * mean_b) + C2
        distance = mean_a - mean_b
        near = 1.0 - distance * distance
        like = near * shared / spread
        away = 1.0 + (a - mean_a).abs()
        off = b - mean_b
        edges = (1.0 + off.abs()) / away - 1.0
        maps = F.relu(1.0 - like), F.relu(edges), F.relu(-edges)
        edge = torch.sign(off) / away
        return _Maps(maps, b, a, mean_b, mean_a, spread, shared, near, like, edge)

    def _by_picture(self, found: _Maps, steep: list[Tensor]) -> Tensor:
        """From the gradient by each map to that by the second picture in XYB."""
        unlike, added, lost = (
            g * (m > 0).to(g.dtype) for g, m in zip(steep, found.maps, strict=True)
        )
        by_edge = (added - lost) * found.edge
        by_like = -unlike / found.spread
        by_square = -by_like * found.like
        by_product = 2.0 * by_like * found.near
        by_mean = 2.0 * by_like * (found.mean_a - found.mean_b) * found.shared
        by_mean = by_mean - by_product * found.mean_a - 2.0 * by_square * found.mean_b
        means, squares, products = self._blur(by_mean - by_edge, by_square, by_product)
        return by_edge + means + 2.0 * found.b * squares + found.a * products

    def _by_light(self, g: Tensor, roots: Tensor) -> Tensor:
        """From the gradient by XYB to that by linear light."""
        x, y, b = g[:, :1], g[:, 1:2], g[:, 2:]
        half = 0.5 * (y - b)
        by_cones = torch.cat([7.0 * x + half, half - 7.0 * x, b], 1) / (3.0 * roots * roots)
        return torch.matmul(self.absorbance.t(), by_cones.flatten(2)).reshape(g.shape)


def _xyb(roots: Tensor) -> Tensor:
    """XYB as `Ssimulacra2.xyb` has it."""
    cones = roots - BIAS ** (1.0 / 3.0)
    long, medium, short = cones[:, :1], cones[:, 1:2], cones[:, 2:]
    x, y = 0.5 * (long - medium), 0.5 * (long + medium)
    return torch.cat([14.0 * x + 0.42, y + 0.01, short - y + 0.55], 1)


def _linear(x: Tensor) -> Tensor:
    """sRGB in [0,1] -> linear light."""
    return torch.where(x <= KNEE, x / 12.92, _power((x.clamp(min=KNEE) + 0.055) / 1.055, 2.4))


def _power(x: Tensor, exponent: float) -> Tensor:
    """x above 0 to a power. ONNX Runtime's own Pow takes ten times as long as these two."""
    return torch.exp(exponent * torch.log(x))


def _spread(g: Tensor, light: Tensor) -> Tensor:
    """From the gradient by `halved(light)` to that by light."""
    ones = F.pad(torch.ones_like(light[:, :1]), (0, 1, 0, 1))
    pixels = F.conv2d(ones, torch.ones(1, 1, 2, 2, dtype=g.dtype), stride=2)
    doubled = F.interpolate(g / pixels, scale_factor=2.0, mode="nearest")
    return doubled[:, :, : light.shape[2], : light.shape[3]]
