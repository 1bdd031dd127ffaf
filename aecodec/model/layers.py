"""Building blocks shared by the transforms and the hyperprior."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.entropy import padding
from aecodec.entropy.padding import Sides

__all__ = [
    "Block",
    "LevelTable",
    "Spine",
    "cut",
    "lower_bound",
    "pointwise",
    "reflected",
    "repeated",
    "replaced",
    "round_ste",
    "within",
]


def round_ste(x: Tensor) -> Tensor:
    """Round to integers; the gradient passes straight through (Theis et al. 2017)."""
    return replaced(x, torch.round(x))


def replaced(x: Tensor, value: Tensor) -> Tensor:
    """`value`, with the gradient of x."""
    return x + (value - x).detach()


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        # Below the bound let only those gradients pass that would bring x back above it.
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """max(x, bound), with a gradient that can still raise x (Balle et al. 2018)."""
    return _LowerBound.apply(x, bound)  # type: ignore[no-untyped-call, no-any-return]


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(inputs, outputs, 1)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def repeated(x: Tensor, sides: Sides) -> Tensor:
    """As `padding.repeated`, of x (B,C,h,w)."""
    return _padded(x, sides, 1, "replicate")


def reflected(x: Tensor, sides: Sides, n: int) -> Tensor:
    """As `padding.reflected`, of x (B,C,h,w)."""
    if n < min(x.shape[2:]):
        return _padded(x, sides, n, "reflect")
    for axis, ends in ((2, Sides(*sides[:2])), (3, Sides(*sides[2:]))):  # torch reflects but once
        places = padding.reflected(np.arange(x.shape[axis])[:, None], ends, n, axis=0)
        x = x.index_select(axis, torch.from_numpy(places[:, 0]).to(x.device))
    return x


def _padded(x: Tensor, sides: Sides, n: int, mode: str) -> Tensor:
    if not any(sides):
        return x
    top, bottom, left, right = sides.margins(n)
    return F.pad(x, (left, right, top, bottom), mode)


def cut(x: Tensor, size: tuple[int, int] | None) -> Tensor:
    """The first rows and columns of x (B,C,h,w); all of them without a size."""
    return x if size is None else x[:, :, : size[0], : size[1]]


def within(x: Tensor, sides: Sides, n: int) -> Tensor:
    """x (B,C,h,w) without n rows and columns on these sides."""
    top, bottom, left, right = sides.margins(n)
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


class Spine(nn.Conv2d):
    """A 1x1 convolution on the linear path from picture to picture, always in float32.

    Rounding to bfloat16 here would add noise to every pixel. Inside the residual branches it does
    no harm.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class Block(nn.Module):
    """Depthwise residual block: `x + W2(dw3x3(act(W1 x)))`, then `x + V2(V1a x * sigmoid(V1b x))`.

    (B,C,H,W) -> (B,C,H,W). 1x1 convolutions do most of the work (as in DCVC-RT, Jia et al. 2025).
    The outputs of dw and of V1a are clamped to [-limit, limit]: an odd patch could open a gate that
    is normally shut, and drive the latents beyond all bounds.

    The gate is two convolutions and not one that is split: ONNX Runtime then keeps its blocked
    layout throughout and fuses the sigmoid. The last convolution of each branch starts at zero, so
    the block starts as the identity. `inner` and `gated` are the hidden widths of the branches; a
    `gated` of 0 leaves the second branch out.
    """

    def __init__(self, channels: int, inner: int, gated: int, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.gated = gated
        self.w1 = pointwise(channels, inner)
        self.dw = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.w2 = _zeroed(pointwise(inner, channels))
        if gated:
            self.v1a = pointwise(channels, gated)
            self.v1b = pointwise(channels, gated)
            self.v2 = _zeroed(pointwise(gated, channels))

    def activate(self, x: Tensor) -> Tensor:
        """The activation of the depthwise branch."""
        return F.leaky_relu(x, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dw(self.activate(self.w1(x)))
        x = x + self.w2(inner.clamp(-self.limit, self.limit))
        if not self.gated:
            return x
        gated = self.v1a(x).clamp(-self.limit, self.limit) * torch.sigmoid(self.v1b(x))
        out: Tensor = x + self.v2(gated)
        return out


class LevelTable(nn.Module):
    """A learned vector for each quality, linear between `anchors` anchors.

    `level` (B,) in [0, 1] is the position in log lambda; returns (B,width,1,1). Written as a matrix
    product with hat functions, so that it can be exported to ONNX.
    """

    knots: Tensor

    def __init__(self, anchors: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(anchors, width))
        self.register_buffer("knots", torch.arange(anchors, dtype=torch.float32), persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        position = level.float().reshape(-1, 1) * (self.table.shape[0] - 1)
        hats = torch.relu(1.0 - torch.abs(position - self.knots))
        with torch.autocast(level.device.type, enabled=False):
            return (hats @ self.table)[:, :, None, None]


def lambda_of(level: Tensor | float, lambda_min: float, lambda_max: float) -> Tensor:
    """The lambda of a level in [0, 1], which is its position in log lambda."""
    level = torch.as_tensor(level, dtype=torch.float32)
    return lambda_min * torch.exp(level * math.log(lambda_max / lambda_min))
