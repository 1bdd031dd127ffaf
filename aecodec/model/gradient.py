"""The synthesis and its gradient in one forward pass, for encoders that refine latents.

The same for the context. ONNX Runtime has no automatic differentiation, so the backward pass is
written out: every step of `Synthesis.forward`, `Context.forward` and `Block.forward` has its
counterpart here, in reverse. A test compares it with torch's autograd.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.model.hyperprior import Context
from aecodec.model.layers import Block
from aecodec.model.transforms import Synthesis

__all__ = ["Distortion", "context_gradient", "error_and_gradient", "squared_error"]

Saved = tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]
"""What a block's first branch activates, and what it clamps; its second one's two factors."""


Distortion = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""x, x_hat, mask -> a distortion (1,), and its gradient by x_hat."""


def squared_error(x: Tensor, x_hat: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over the mask of (x_hat - x)^2, (1,), and its gradient by x_hat."""
    error = (x_hat - x) * mask
    return (error * error).sum().reshape(1), 2.0 * error


def error_and_gradient(
    net: Synthesis,
    y_hat: Tensor,
    level: Tensor,
    x: Tensor,
    mask: Tensor,
    distortion: Distortion = squared_error,
) -> tuple[Tensor, Tensor]:
    """The distortion of the picture made from latents, and its gradient by the latents.

    Args: y_hat (B,M,H/16,W/16), level (B,), x (B,3,H,W) in [0,1], mask (B,1,H,W) of 0 and 1.
    Returns: the distortion of clamp(x_hat) within the mask, (1,), and its gradient by y_hat. A
    value beyond black or white gets a gradient only where it points inwards.
    """
    scale16, shift16 = net.film16(level).chunk(2, dim=1)
    saved16, a = _forward(net.blocks16, y_hat * (1.0 + scale16) + shift16)
    a = F.pixel_shuffle(net.up(a), 2)
    scale8, shift8 = net.film8(level).chunk(2, dim=1)
    saved8, a = _forward(net.blocks8, a * (1.0 + scale8) + shift8)
    x_hat = F.pixel_shuffle(net.output(a), 8) + 0.5

    shown = x_hat.clamp(0.0, 1.0)
    value, by_shown = distortion(x, shown, mask)
    inner = (shown == x_hat) | (by_shown * (x_hat - shown) > 0)
    felt = by_shown * inner.to(by_shown.dtype)

    g = _back(F.pixel_unshuffle(felt, 8), net.output)
    g = _backward(net.blocks8, saved8, g) * (1.0 + scale8)
    g = _back(F.pixel_unshuffle(g, 2), net.up)
    g = _backward(net.blocks16, saved16, g) * (1.0 + scale16)
    return value, g


def context_gradient(
    net: Context, features: Tensor, known: Tensor, parity: Tensor, by_mu: Tensor
) -> Tensor:
    """The gradient by the known latents (B,M,h,w), from the gradient by the means.

    Args: features, known and parity as for the context, by_mu (B,M,h,w).
    """
    x = net.known(known[:, : net.reads]) + net.features(features) + net.parity(parity)
    saved, _ = _forward(net.blocks, F.leaky_relu(x, 0.01))
    g = _backward(net.blocks, saved, _back(by_mu, net.output))
    g = _back(g * torch.where(x > 0, 1.0, 0.01), net.known)
    direct = net.neighbours
    near = F.conv2d(by_mu, direct.weight.flip(2, 3), padding=1, groups=direct.groups)
    return torch.cat([near[:, : net.reads] + g, near[:, net.reads :]], dim=1)


def _back(g: Tensor, layer: nn.Conv2d) -> Tensor:
    """The gradient by the input of a 1x1 convolution."""
    return F.conv2d(g, layer.weight.transpose(0, 1))


def _within(x: Tensor, limit: float) -> Tensor:
    """1 where x is not clamped, 0 where it is."""
    return (torch.abs(x) <= limit).to(x.dtype)


def _forward(blocks: nn.Sequential, x: Tensor) -> tuple[list[Saved], Tensor]:
    saved = []
    for block in blocks:
        assert isinstance(block, Block)
        inner = block.w1(x)
        middle = block.dw(F.leaky_relu(inner, 0.01))
        x = x + block.w2(middle.clamp(-block.limit, block.limit))
        product = None
        if block.gated:
            value, gate = block.v1a(x), torch.sigmoid(block.v1b(x))
            x = x + block.v2(value.clamp(-block.limit, block.limit) * gate)
            product = value, gate
        saved.append((inner, middle, product))
    return saved, x


def _backward(blocks: nn.Sequential, saved: list[Saved], g: Tensor) -> Tensor:
    for block, (inner, middle, product) in reversed(list(zip(blocks, saved, strict=True))):
        assert isinstance(block, Block)
        if product is not None:
            value, gate = product
            back = _back(g, block.v2) * gate
            g_gate = back * value.clamp(-block.limit, block.limit) * (1.0 - gate)
            back = back * _within(value, block.limit)
            g = g + _back(back, block.v1a) + _back(g_gate, block.v1b)
        flipped = block.dw.weight.flip(2, 3)
        back = _back(g, block.w2) * _within(middle, block.limit)
        through = F.conv2d(back, flipped, padding=1, groups=block.dw.groups)
        g = g + _back(through * torch.where(inner > 0, 1.0, 0.01), block.w1)
    return g
