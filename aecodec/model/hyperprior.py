"""The hyperprior: what the entropy model knows about the latents.

    y * gain(level) = v (B,M,H/16,W/16)
     |  HyperAnalysis
    z (B,N,H/64,W/64) -> z_hat = round(z), coded with one integer table per (band of q, channel)
     |                  \\
     | ScaleNetwork      MeanFeatures --> features, mu of step 0
     | (integers)         |
    table indexes        Context(features, y_hat of step 0) --> mu of step 1

Scales depend on z_hat, q and the symbols of step 0 alone, through integers, so they are identical
on every machine. The magnitudes of step 0's symbols predict the scales of step 1 better than z_hat
could at the same rate. They predict them as well as a float context that sees y_hat, with which
files would decode on one machine alone (`benchmarks/trials.py prior`).

Means may be floats, because no probability depends on them (the "one-shot context" of PICO, 2026).
The two-step checkerboard is that of He et al. 2021, with channels alternating as in DCVC-DC.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.entropy.fixed_point import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    LEAK_SHIFT,
    MIXED_LIMIT,
    WEIGHT_BITS,
    Z_SHIFT,
)
from aecodec.entropy.padding import ALONE, Sides
from aecodec.model.layers import Block, LevelTable, Spine, cut, pointwise, reflected, within
from aecodec.networks.config import ModelConfig

__all__ = [
    "Context",
    "FactorizedPrior",
    "HyperAnalysis",
    "MeanFeatures",
    "ScaleNetwork",
    "companded",
]

SYMBOL_BITS = 7.0
"""The largest log2(1 + magnitude) of a symbol that step 1's scales tell from larger ones."""


def companded(v: Tensor) -> Tensor:
    """v (B,M,h,w) -> (B,2M,h,w): its magnitude in the log domain, and its soft sign."""
    magnitude = torch.abs(v)
    return torch.cat([torch.log1p(magnitude), v / (1.0 + magnitude)], dim=1)


class HyperAnalysis(nn.Module):
    """v = gain * y (B,M,h,w), h and w multiples of 4 -> z (B,N,h/4,w/4).

    Sees magnitudes in the log domain, because z mostly codes log(scale). v is scaled by the
    quality, so low qualities send less through z.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, limit = config.hyper_width, config.gate_limit_prior
        self.input = pointwise(2 * config.latents, width)
        self.block16 = Block(width, width, width, limit)
        self.down32 = pointwise(4 * width, width)
        self.block32 = Block(width, width, width, limit)
        self.down64 = pointwise(4 * width, width)
        self.block64 = Block(width, width, width, limit)
        self.output = Spine(width, config.hyper_latents)
        with torch.no_grad():  # start with a few levels of z in use, not with z_hat = 0
            self.output.weight.mul_(8.0)

    def forward(self, v: Tensor) -> Tensor:
        x = self.block16(self.input(companded(v)))
        x = self.block32(self.down32(F.pixel_unshuffle(x, 2)))
        x = self.block64(self.down64(F.pixel_unshuffle(x, 2)))
        z: Tensor = self.output(x)
        return z


class FactorizedPrior(nn.Module):
    """Discretised logistic for every channel of z and every quality, for training.

    The export replaces it by integer tables that are counted on the training pictures.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.parameters_of_level = LevelTable(config.anchors, 2 * config.hyper_latents)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        """Bits of every element of z (B,N,h,w), at integers or with noise."""
        mean, log_scale = self.parameters_of_level(level).chunk(2, dim=1)
        inverse = torch.exp(-log_scale)
        distance = torch.abs(z - mean)
        upper = torch.sigmoid((0.5 - distance) * inverse)
        lower = torch.sigmoid((-0.5 - distance) * inverse)
        return -torch.log2((upper - lower).clamp(min=1e-9))


class ScaleNetwork(nn.Module):
    """From z_hat, the level and the symbols of step 0 to the table indexes of y, real-valued.

    The training shadow of the integer network in `entropy/scales.py`: same layers, float
    arithmetic. With `rounding` on, every intermediate is rounded to the integer network's grid
    (straight-through). Indexes (B,M,4h,4w) are in units of tables.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, fine = config.scale_width, config.scale_width * 2 // 3
        self.steps = 2
        self.input = pointwise(config.hyper_latents, width)
        self.level_bias = LevelTable(config.anchors, width)
        self.dw64 = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.up = pointwise(width, 16 * fine)
        self.dw16 = nn.Conv2d(fine, fine, 3, padding=1, groups=fine)
        self.output = pointwise(fine, config.latents)
        self.offset = LevelTable(config.anchors, self.steps * config.latents)
        # What the symbols of step 0 add in step 1; nothing, at first.
        self.magnitude = pointwise(config.latents, config.symbol_width)
        self.near = nn.Conv2d(
            config.symbol_width, config.symbol_width, 3, padding=1, groups=config.symbol_width
        )
        self.fine = pointwise(fine, config.symbol_width)
        self.correction = nn.Conv2d(config.symbol_width, config.latents, 1, bias=False)
        nn.init.zeros_(self.correction.weight)
        self.rounding = False

    def _grid(self, x: Tensor, bits: int) -> Tensor:
        if not self.rounding:
            return x
        unit = float(2**bits)
        return x + (torch.floor(x * unit + 0.5) / unit - x).detach()

    def _sums(self, name: str, x: Tensor) -> Tensor:
        """The layer with rounded weights; its sums are not rounded yet."""
        layer, bits = getattr(self, name), WEIGHT_BITS[name]
        weight, bias = self._grid(layer.weight, bits), layer.bias
        if bias is not None:
            bias = self._grid(bias, bits + ACTIVATION_BITS)
        return F.conv2d(x, weight, bias, padding=layer.padding, groups=layer.groups)

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        return self._grid(self._sums(name, x), ACTIVATION_BITS)

    def _activate(self, x: Tensor) -> Tensor:
        limit = ACTIVATION_LIMIT / 2**ACTIVATION_BITS
        leaky = F.leaky_relu(x, 2.0**-LEAK_SHIFT)
        return self._grid(leaky, ACTIVATION_BITS).clamp(-limit, limit)

    def forward(self, z_hat: Tensor, level: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """z_hat (B,N,h,w) integers, level (B,) -> the input of both steps (B,F,4h,4w).

        `size` (rows, columns) where there are fewer latents than that.
        """
        with torch.autocast(z_hat.device.type, enabled=False):
            limit = ACTIVATION_LIMIT / 2**ACTIVATION_BITS
            x = (z_hat.float() * 2.0 ** (Z_SHIFT - ACTIVATION_BITS)).clamp(-limit, limit)
            x = self._convolve("input", x)
            x = self._activate(x + self._grid(self.level_bias(level), ACTIVATION_BITS))
            x = self._activate(self._convolve("dw64", x))
            x = cut(self._activate(F.pixel_shuffle(self._convolve("up", x), 4)), size)
            return self._activate(self._convolve("dw16", x))

    def alone(self, x: Tensor, level: Tensor, step: int = 0) -> Tensor:
        """The indexes of a step (B,M,h,w) from z_hat alone, given the output of `forward`."""
        with torch.autocast(x.device.type, enabled=False):
            return self._indexes(self._sums("output", x), level, step)

    def after(self, x: Tensor, level: Tensor, symbols: Tensor, sides: Sides = ALONE) -> Tensor:
        """The indexes of step 1 (B,M,h,w) of a tile with neighbours on those sides.

        symbols (B,M,h,w) are the integers of step 0, and 0 elsewhere.
        """
        with torch.autocast(x.device.type, enabled=False):
            size = torch.log2(1.0 + torch.abs(symbols.float())).clamp(max=SYMBOL_BITS)
            size = torch.floor(size * 2.0**ACTIVATION_BITS + 0.5) * 2.0**-ACTIVATION_BITS
            limit = MIXED_LIMIT / 2**ACTIVATION_BITS
            seen = self._convolve("magnitude", size).clamp(-limit, limit)
            seen = within(self._convolve("near", reflected(seen, sides, 1)), sides, 1)
            seen = self._activate(seen + self._convolve("fine", x))
            sums = self._sums("output", x) + self._sums("correction", seen)
            return self._indexes(sums, level, 1)

    def _indexes(self, sums: Tensor, level: Tensor, step: int) -> Tensor:
        offset = self._grid(self.offset(level), ACTIVATION_BITS)
        return self._grid(sums, ACTIVATION_BITS) + offset.chunk(self.steps, dim=1)[step]


class MeanFeatures(nn.Module):
    """z_hat (B,N,h,w) and level (B,) -> features (B,F,4h,4w) and mu of step 0 (B,M,4h,4w).

    mu is in units of each latent channel's standard deviation.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, features = config.hyper_width, config.mean_features
        limit = config.gate_limit_prior
        self.input = pointwise(config.hyper_latents, width)
        self.level_bias = LevelTable(config.anchors, width)
        self.block64 = Block(width, width, width, limit)
        self.up = pointwise(width, 16 * (features // 2))
        self.input16 = pointwise(features // 2, features)
        self.block16 = Block(features, config.mean_hidden, config.mean_hidden, limit)
        self.mean = Spine(features, config.latents)
        nn.init.zeros_(self.mean.weight)

    def forward(
        self, z_hat: Tensor, level: Tensor, size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """`size` (rows, columns) where there are fewer latents than 4 h x 4 w."""
        return self.fine(cut(self.coarse(z_hat, level), size))

    def coarse(self, z_hat: Tensor, level: Tensor) -> Tensor:
        """The part computed at 1/64: (B,F/2,4h,4w)."""
        x = self.input(z_hat * 0.125) + self.level_bias(level)
        x = self.block64(F.leaky_relu(x, 0.01))
        return F.leaky_relu(F.pixel_shuffle(self.up(x), 4), 0.01)

    def fine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The part computed at 1/16, from the output of `coarse` or a part of it."""
        features = self.block16(self.input16(x))
        return features, self.mean(features)


class Context(nn.Module):
    """One step of the mean context, in units of each latent channel's standard deviation.

    features (B,F,h,w), y_hat known so far and zero elsewhere (B,M,h,w), parity of the position
    (B,1,h,w) in {0,1} -> mu (B,M,h,w). Every channel of mu sees its own channel of y_hat, and all
    see the first `context_known` channels: the others carry almost no information.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        m, width = config.latents, config.context_width
        self.reads = config.context_known
        self.known = pointwise(self.reads, width)
        self.features = pointwise(config.mean_features, width)
        self.parity = pointwise(1, width)
        self.blocks = nn.Sequential(
            *[
                Block(width, width, width, config.gate_limit_prior)
                for _ in range(config.context_blocks)
            ]
        )
        self.output = Spine(width, m)
        # A direct path from each channel's own neighbours: the low frequencies learn at once.
        self.neighbours = nn.Conv2d(m, m, 3, padding=1, groups=m)
        for layer in (self.output, self.neighbours):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, known: Tensor, parity: Tensor) -> Tensor:
        x = self.known(known[:, : self.reads]) + self.features(features) + self.parity(parity)
        x = self.output(self.blocks(F.leaky_relu(x, 0.01)))
        with torch.autocast(known.device.type, enabled=False):
            mu: Tensor = x + self.neighbours(known.float())
        return mu
