"""The network that draws a decoded picture at twice its size.

    x (B,3,H,W) in [0,1], level (B,)
     | - 0.5, unshuffle 2
     +---------------+------------------------------+
     |               | conv 3x3, FiLM(level)        |
     |               |     = h (B,20,H/2,W/2)       | pixels (B,12,H/2,W/2)
     |               |                              |
     |     h = ReLU (h + conv 3x3 (ReLU (conv 3x3 (pixels, h))))
     |               |                              |
     |               +-- conv 3x3 (pixels, h) ------+
     | Lanczos               |
     +---------- + ----------+
                 | shuffle 4, + 0.5
    (B,3,2H,2W)

All four times as many pixels come out of a coarse resolution at once (Shi et al. 2016, "Real-Time
Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network").
The network learns what Lanczos' interpolation misses. The interpolation is a fixed part of the last
layer's weights, so it costs nothing. `docs/experiments.md` has what else was tried.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.model.layers import LevelTable

__all__ = ["CELL", "Enlarger", "lanczos"]

CELL, WIDTH = 2, 32
PLANES = 3 * CELL**2
LEARNED = WIDTH - PLANES
ANCHORS = 6
LOBES = 3


class Enlarger(nn.Module):
    """x (B,3,H,W) decoded pixels in [0,1] and level (B,), the quality / 100 -> (B,3,2H,2W).

    H and W are even. With `bf16` the inner layers compute in bfloat16; the pixels never do.
    """

    bf16 = False
    interpolation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Conv2d(PLANES, LEARNED, 3, padding=1)
        self.film = LevelTable(ANCHORS, 2 * LEARNED)
        self.first = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.second = nn.Conv2d(WIDTH, LEARNED, 3, padding=1)
        self.output = nn.Conv2d(WIDTH, 4 * PLANES, 3, padding=1)
        nn.init.zeros_(self.output.weight)
        assert self.output.bias is not None
        nn.init.zeros_(self.output.bias)
        self.register_buffer("interpolation", lanczos(), persistent=False)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        cells = F.pixel_unshuffle(x - 0.5, CELL).contiguous(memory_format=torch.channels_last)
        features = self.features(cells, level)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            missed = self.output(features)
        drawn = F.conv2d(cells, self.interpolation, padding=1) + missed.float()
        return F.pixel_shuffle(drawn, 2 * CELL) + 0.5

    def features(self, cells: Tensor, level: Tensor) -> Tensor:
        """(B,32,H/2,W/2), before the last layer: the pixels (B,12,H/2,W/2), and what is learned."""
        scale, shift = self.film(level).chunk(2, dim=1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            h = self.input(cells) * (1.0 + scale) + shift
            more = self.second(F.relu(self.first(torch.cat([cells, h], 1))))
        return torch.cat([cells, F.relu(h + more).float()], 1)

    def merged(self) -> nn.Conv2d:
        """The last layer with the interpolation in its weights: it gives the pixels less 0.5."""
        layer = nn.Conv2d(WIDTH, 4 * PLANES, 3, padding=1)
        assert layer.bias is not None and self.output.bias is not None
        with torch.no_grad():
            layer.weight.copy_(self.output.weight)
            layer.weight[:, :PLANES] += self.interpolation
            layer.bias.copy_(self.output.bias)
        return layer


def lanczos() -> Tensor:
    """(48,12,3,3): a convolution of cells of 2x2 pixels that interpolates them to 4x4.

    Duchon 1979, "Lanczos Filtering in One and Two Dimensions". A filter of three lobes has six
    taps. The outermost one, of 0.7 %, lies beyond the 3x3 cells: the other five make up for it.
    """
    seen, made = 3 * CELL, 2 * CELL
    # The places of the outputs of the middle cell, in pixels of the input.
    places = CELL - 0.5 + (np.arange(made) + 0.5) / 2.0
    apart = np.arange(seen) - places[:, None]
    taps = np.sinc(apart) * np.sinc(apart / LOBES) * (np.abs(apart) < LOBES)
    taps /= taps.sum(axis=1, keepdims=True)
    both = np.einsum("oi,pj->opij", taps, taps).reshape(made**2, 3, CELL, 3, CELL)
    found = torch.from_numpy(both).permute(0, 2, 4, 1, 3).reshape(made**2, CELL**2, 3, 3)
    weight = torch.zeros(3, made**2, 3, CELL**2, 3, 3)
    for colour in range(3):
        weight[colour, :, colour] = found.float()
    return weight.reshape(4 * PLANES, PLANES, 3, 3)
