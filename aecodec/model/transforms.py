"""The analysis and synthesis transforms: picture -> latents -> picture.

    x (B,3,H,W) in [0,1]                    y_hat (B,M,H/16,W/16)
     | - 0.5, unshuffle 8, 1x1               | FiLM(level)
     | blocks at 1/8                         | blocks at 1/16
     | unshuffle 2, 1x1                      | 1x1, shuffle 2, FiLM(level)
     | blocks at 1/16                        | blocks at 1/8
    y (B,M,H/16,W/16)                       1x1, shuffle 8, + 0.5 -> x_hat (B,3,H,W)

The unshuffle directly to 1/8 is that of DCVC-RT (Jia et al. 2025): the cheap resolutions do the
work. With all residual branches at zero the two are a two-stage block KLT and its inverse.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.model.layers import Block, LevelTable, Spine
from aecodec.networks.config import Blocks, ModelConfig

__all__ = ["Analysis", "Synthesis"]


def _blocks(channels: int, widths: Blocks, limit: float) -> nn.Sequential:
    return nn.Sequential(*[Block(channels, inner, gated, limit) for inner, gated in widths])


class Analysis(nn.Module):
    """x (B,3,H,W) in [0,1], H and W multiples of 16 -> y (B,M,H/16,W/16). Does not know the
    quality.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c8, m = config.stream8, config.latents
        self.input = Spine(3 * 64, c8)
        self.blocks8 = _blocks(c8, config.analysis8, config.gate_limit8)
        self.down = Spine(4 * c8, m)
        self.blocks16 = _blocks(m, config.analysis16, config.gate_limit16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks8(self.input(F.pixel_unshuffle(x - 0.5, 8)))
        y: Tensor = self.blocks16(self.down(F.pixel_unshuffle(x, 2)))
        return y


class Synthesis(nn.Module):
    """y_hat (B,M,H/16,W/16) and level (B,) -> x_hat (B,3,H,W), not clamped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c8, m = config.stream8, config.latents
        self.film16 = LevelTable(config.anchors, 2 * m)
        self.blocks16 = _blocks(m, config.synthesis16, config.gate_limit16)
        self.up = Spine(m, 4 * c8)
        self.film8 = LevelTable(config.anchors, 2 * c8)
        self.blocks8 = _blocks(c8, config.synthesis8, config.gate_limit8)
        self.output = Spine(c8, 3 * 64)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        scale, shift = self.film16(level).chunk(2, dim=1)
        x = self.blocks16(y_hat * (1.0 + scale) + shift)
        x = F.pixel_shuffle(self.up(x), 2)
        scale, shift = self.film8(level).chunk(2, dim=1)
        x = self.blocks8(x * (1.0 + scale) + shift)
        return F.pixel_shuffle(self.output(x), 8) + 0.5

    def extra_repr(self) -> str:
        return "receptive field: 1 at 1/16 and 1 at 1/8 a block"


def clamp_pixels(x_hat: Tensor) -> Tensor:
    """x_hat -> integers 0..255 as float: the pixels of the decoder."""
    return torch.round(x_hat.clamp(0.0, 1.0) * 255.0)
