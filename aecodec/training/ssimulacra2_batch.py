"""SSIMULACRA 2's raw distortion of a batch of crops, and its gradient, in half the time.

The values are those of `Ssimulacra2`, which is the measure as its authors state it. Three things
make training by it quicker on a CPU:

- The pictures of a batch lie beside each other as channels, (1,3B,H,W) in the order of memory
  "channels last". A blur of each channel by itself then reads whole vectors.
- The backward pass of the maps and their norms is written out, as in `eye_gradient.py`. It needs a
  third of the passes through memory that autograd takes.
- No gradient by the original is computed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.networks.ssimulacra2_score import SCALES, SMALLEST
from aecodec.training.ssimulacra2 import (
    BIAS,
    C2,
    DARKEST,
    EPSILON,
    KNEE,
    Ssimulacra2,
    halved,
    raw_of,
)

__all__ = ["Ssimulacra2OfBatch"]


class Ssimulacra2OfBatch(Ssimulacra2):
    """The raw distortion of x and x_hat (B,3,H,W), sRGB in [0,1], -> (B,), by x_hat alone."""

    def forward(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """As `Ssimulacra2`'s; x gets no gradient."""
        a, b = _applied(_Light, _folded(x.detach())), _applied(_Light, _folded(x_hat))
        norms: list[Tensor] = []
        for scale in range(SCALES):
            if min(a.shape[2:]) < SMALLEST:
                break
            if scale:
                a, b = halved(a), halved(b)
            found = _applied(_Norms, self._xyb(a), self._xyb(b), self.taps)
            # (norm,map,3B), by channel and picture, -> (B,3,norm,map)
            norms.append(found.reshape(2, 3, 3, len(x)).permute(3, 2, 0, 1))
        return raw_of(torch.stack(norms, 1))

    def _xyb(self, light: Tensor) -> Tensor:
        """Linear light (1,3B,H,W) -> XYB, each channel in about 0..1."""
        rgb = light.chunk(3, 1)
        rows = self.absorbance.tolist()
        bias = torch.full_like(rgb[0], BIAS)
        mixed = [sum((k * c for k, c in zip(row, rgb, strict=True)), bias) for row in rows]
        long, medium, short = (_applied(_Root, cone) - BIAS ** (1.0 / 3.0) for cone in mixed)
        x, y = 0.5 * (long - medium), 0.5 * (long + medium)
        return torch.cat([14.0 * x + 0.42, y + 0.01, short - y + 0.55], 1)


def _applied(function: type[torch.autograd.Function], *tensors: Tensor) -> Tensor:
    """`apply`, which torch has not typed."""
    found: Tensor = function.apply(*tensors)  # type: ignore[no-untyped-call]
    return found


def _folded(x: Tensor) -> Tensor:
    """(B,3,H,W) -> (1,3B,H,W), by channel and then by picture."""
    height, width = x.shape[2:]
    planes = x.transpose(0, 1).reshape(1, -1, height, width)
    return planes.contiguous(memory_format=torch.channels_last)


def _blur(x: Tensor, taps: Tensor) -> Tensor:
    """`Ssimulacra2.blur`. The taps are symmetric, so it is its own transpose."""
    channels, half = x.shape[1], len(taps) // 2
    rows = taps.expand(channels, 1, 1, -1)
    x = F.conv2d(x, rows, padding=(0, half), groups=channels)
    return F.conv2d(x, rows.transpose(2, 3), padding=(half, 0), groups=channels)


class _Light(torch.autograd.Function):
    """sRGB in [0,1] -> linear light, with one power for value and gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        base = (x.clamp(min=KNEE) + 0.055) / 1.055
        power = base**2.4
        is_low = x <= KNEE
        ctx.save_for_backward(base, power, is_low)
        return torch.where(is_low, x / 12.92, power)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        base, power, is_low = ctx.saved_tensors
        slope = torch.where(is_low, 1.0 / 12.92, (2.4 / 1.055) * power / base)
        return g * slope


class _Root(torch.autograd.Function):
    """The cube root of what is above 0, with one power for value and gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.clamp(min=DARKEST) ** (1.0 / 3.0)
        ctx.save_for_backward(root, x > DARKEST)
        return root

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        root, is_light = ctx.saved_tensors
        by_cone: Tensor = g * is_light / (3.0 * root * root)
        return by_cone


class _Norms(torch.autograd.Function):
    """XYB of both pictures (1,C,H,W) -> the norms (2,3,C), by norm and map, of one scale.

    The maps are those of `Ssimulacra2.maps`. Added edges are where `edges` is positive, lost edges
    where it is negative.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, taps: Tensor) -> Tensor:
        mean_a, mean_b = _blur(a, taps), _blur(b, taps)
        spread = _blur((a * a).addcmul_(b, b), taps)
        spread.addcmul_(mean_a, mean_a, value=-1.0).addcmul_(mean_b, mean_b, value=-1.0).add_(C2)
        shared = _blur(a * b, taps)
        shared.addcmul_(mean_a, mean_b, value=-1.0).mul_(2.0).add_(C2)
        away = (a - mean_a).abs_().add_(1.0)
        off = b - mean_b
        distance = mean_a - mean_b
        near = 1.0 - distance * distance
        like = (near * shared).div_(spread)
        unlike = (1.0 - like).relu_()
        edges = off.abs().add_(1.0).div_(away).sub_(1.0)
        # Not as a difference of sums: its fourth root would be far off where edges are not lost.
        maps = unlike, edges.relu(), (-edges).relu_()
        ones = torch.stack([_mean(m) for m in maps])
        fourth = torch.stack([_fourth(m) for m in maps]) + EPSILON
        structure = mean_a, mean_b, spread, shared, near, like, unlike
        ctx.save_for_backward(a, b, taps, fourth, edges, off, away, *structure)
        return torch.stack([ones, fourth**0.25 - EPSILON**0.25])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor, None]:
        a, b, taps, fourth, edges, off, away, *structure = ctx.saved_tensors
        mean_a, mean_b, spread, shared, near, like, unlike = structure
        pixels = a.shape[2] * a.shape[3]
        # By a map's value m: first + cubed * m^3.
        first = (g[0] / pixels)[:, None, :, None, None]
        cubed = (g[1] * fourth**-0.75 / pixels)[:, None, :, None, None]
        by_like = unlike.pow(3).mul_(cubed[0]).add_(first[0]).mul_(unlike > 0).neg_()
        up, down = edges > 0, edges < 0
        by_edge = edges.pow(3).mul_(torch.where(up, cubed[1], cubed[2]))
        by_edge.add_(up * first[1]).sub_(down * first[2])
        by_edge.mul_(off.sign()).div_(away)
        by_like.div_(spread)
        by_square = by_like * like  # of the other sign
        by_product = (by_like * near).mul_(2.0)
        by_mean = (mean_a - mean_b).mul_(shared).mul_(by_like).addcmul_(by_square, mean_b).mul_(2.0)
        by_mean.addcmul_(by_product, mean_a, value=-1.0).sub_(by_edge)
        by_edge.add_(_blur(by_mean, taps))
        by_edge.addcmul_(b, _blur(by_square, taps), value=-2.0)
        return None, by_edge.addcmul_(a, _blur(by_product, taps)), None


def _mean(x: Tensor) -> Tensor:
    """(1,C,H,W) -> (C,). The sum by rows of pixels reads the memory in its order."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).mean(0)


def _fourth(x: Tensor) -> Tensor:
    square = x * x
    return _mean(square.mul_(square))
