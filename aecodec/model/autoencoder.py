"""The whole model for training: rate and distortion of a batch, and its integer counterparts."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.entropy.padding import Sides
from aecodec.model.hyperprior import (
    Context,
    FactorizedPrior,
    HyperAnalysis,
    MeanFeatures,
    ScaleNetwork,
)
from aecodec.model.layers import (
    LevelTable,
    lambda_of,
    lower_bound,
    reflected,
    repeated,
    replaced,
    round_ste,
    within,
)
from aecodec.model.transforms import Analysis, Synthesis
from aecodec.networks.config import ModelConfig

__all__ = ["Autoencoder", "Output"]

WORTH_OF_A_BIT = {"psnr": 0.02, "eye": 0.01}
"""By how much every bit that +-1 costs more than 0 raises the magnitude from which a symbol is
coded, by the objective of the training. At high rates 6 dB a bit would make it 0.058 for squared
error, but means and pictures are made of what is coded. BD-rate of base on 12 held-out pictures
against 0.0087: +0.3, +0.1 and +0.9 % with 0, 0.02 and 0.04. Of small nearly finished against small
before, with 0.0087: -0.46, -0.45 and -0.17 % with 0.02, 0.03 and 0.04. Of small-eye on 10 held-out
pictures by SSIMULACRA 2, against 0.02: +0.2, -0.3, -0.4 and +0.7 % with 0, 0.01, 0.012 and 0.03."""
DEAREST = 17.5
"""More bits than these do not count: so no threshold for squared error is above 0.85. A tile's
borders have what the scales did not foresee, and with 0.04 a bit, where it counts more, files were
no larger for it: -50.79 and -50.80 % of JPEG's."""


@dataclasses.dataclass
class Output:
    """The result of one forward pass. Bits are sums over a picture."""

    x_hat: Tensor  # (B,3,H,W), not clamped
    y_bits: Tensor  # (B,)
    z_bits: Tensor  # (B,)
    symbols: Tensor  # (B,M,h,w), y's symbols before rounding
    coded: Tensor  # (B,M,h,w), the whole numbers for them
    index: Tensor  # (B,M,h,w), y's table indexes, real-valued
    z: Tensor  # (B,N,h/4,w/4), before rounding
    norm: Tensor | None = None  # (B,), the sum of |v|, where it stands for the rate of v


@dataclasses.dataclass
class _Coded:
    """The result of coding a tile, as in `Output`; and y_hat (B,M,h,w)."""

    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor
    symbols: Tensor
    coded: Tensor
    index: Tensor
    z: Tensor


class Autoencoder(nn.Module):
    """Transforms, hyperprior and gain vectors (Cui et al. 2021).

    The gain of each latent channel is a `LevelTable` in log space. y_hat is divided by the same
    gain, so one set of weights serves every quality.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        # A sparse autoencoder: what shrinks the latents is their L1 norm, not their rate.
        self.sparse = False
        # What it is trained for: "psnr" or "eye".
        self.objective = "psnr"
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.hyper_analysis = HyperAnalysis(config)
        self.z_prior = FactorizedPrior(config)
        self.scale_network = ScaleNetwork(config)
        self.mean_features = MeanFeatures(config)
        self.context = Context(config)
        self.log_gain = LevelTable(config.anchors, config.latents)
        # Standard deviation of every latent channel, set by the KLT and then learned: the mean
        # networks work in these units.
        self.log_std = nn.Parameter(torch.zeros(config.latents))
        # y's distribution given its scale: a mixture of two Gaussians, (log width ratio, logit).
        # Scales know nothing of the context, so what is coded has heavier tails than one Gaussian.
        self.tail = nn.Parameter(torch.tensor([[-0.3, 0.5], [1.1, 0.0]]))
        with torch.no_grad():
            levels = torch.linspace(0.0, 1.0, config.anchors)
            steps = torch.sqrt(4e-4 / lambda_of(levels, config.lambda_min, config.lambda_max))
            self.log_gain.table.copy_(-torch.log(steps)[:, None].expand_as(self.log_gain.table))

    def set_latent_std(self, std: Tensor) -> None:
        """Set scales and mean units from the measured standard deviation (M,) of the latents."""
        c = self.config
        with torch.no_grad():
            self.log_std.copy_(torch.log(std))
            scale_log2 = (self.log_gain.table + self.log_std) / math.log(2.0)
            # Pictures are mostly flat: the typical local scale is well below the global one.
            index = (scale_log2 - 1.0 - c.scale_log2_min) / c.scale_log2_step
            self.scale_network.offset.table.copy_(index.repeat(1, self.scale_network.steps))

    def gain(self, level: Tensor) -> Tensor:
        """The gain vectors (B,M,1,1) at levels (B,)."""
        return torch.exp(self.log_gain(level))

    def y_bits_of(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Bits of every symbol (at integers or with noise) given its table index."""
        c = self.config
        top = c.tables - 1.0
        index = top - lower_bound(top - lower_bound(index, 0.0), 0.0)
        if self.scale_network.rounding:
            index = round_ste(index)
        scale_log2 = c.scale_log2_min + c.scale_log2_step * index
        return -torch.log2(self.mass(symbols, scale_log2).clamp(min=1e-9))

    def mass(self, symbols: Tensor, scale_log2: Tensor) -> Tensor:
        """The training distribution's probability of [symbol - 1/2, symbol + 1/2]."""
        inverse = torch.exp2(-scale_log2)
        magnitude = torch.abs(symbols)
        weights = torch.softmax(self.tail[1], dim=0)
        total = torch.zeros_like(symbols)
        for k in range(2):
            a = inverse * torch.exp(-self.tail[0, k]) * math.sqrt(0.5)
            total = total + weights[k] * 0.5 * (
                torch.erf((magnitude + 0.5) * a) - torch.erf((magnitude - 0.5) * a)
            )
        return total

    @torch.no_grad()
    def thresholds(self) -> Tensor:
        """(tables,): the least magnitude that an encoder codes as a symbol other than 0.

        A symbol of +-1 costs more bits than one of 0, and must save that much error (Sullivan 1996,
        "Efficient scalar quantization of exponential and Laplacian random variables").
        """
        c = self.config
        scale_log2 = c.scale_log2_min + c.scale_log2_step * torch.arange(
            c.tables, device=self.tail.device
        )
        zero = self.mass(torch.zeros_like(scale_log2), scale_log2)
        one = self.mass(torch.ones_like(scale_log2), scale_log2).clamp(min=1e-9)
        bits = torch.log2(zero / one).clamp(0.0, DEAREST)
        return 0.5 + WORTH_OF_A_BIT[self.objective] * bits

    def _least(self, index: Tensor, finish: bool) -> Tensor | None:
        """The threshold of every symbol, by its table index; None if it is plainly rounded."""
        if not finish:
            return None
        table = torch.round(index.detach()).clamp(0, self.config.tables - 1).long()
        return self.thresholds()[table]

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        *,
        noise: bool = True,
        finish: bool = False,
        tiles: tuple[int, int] = (1, 1),
    ) -> Output:
        """x (B,3,H,W) in [0,1], H and W multiples of 16; level (B,) in [0,1].

        With `noise` the rate is that of symbols with added uniform noise (Balle et al. 2017), else
        that of the rounded symbols. Synthesis and context always see rounded symbols
        (straight-through; Minnen & Singh 2020).

        With `finish` the encoder is frozen. Then the symbols can be those that encoders code,
        thresholds included, and the rate is theirs. Only the means learn from noise, because
        integers have no gradient.

        The latents are coded in the given rows and columns of independent tiles, as large pictures
        are. The transforms see the whole picture. The sides of all tiles but the last must be
        multiples of 64 pixels.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not finish):
            y = self.analysis(x)
            with torch.autocast(x.device.type, enabled=False):
                gain = self.gain(level)
                v = y.float() * gain
        grid = _parted(v, *tiles)
        coded = [[self._code(*tile, level, gain, noise, finish) for tile in row] for row in grid]
        each = [tile for row in coded for tile in row]

        def whole(name: str) -> Tensor:
            rows = [torch.cat([getattr(tile, name) for tile in row], dim=3) for row in coded]
            return torch.cat(rows, dim=2)

        return Output(
            x_hat=self.synthesis(whole("y_hat"), level).float(),
            y_bits=torch.stack([tile.y_bits for tile in each]).sum(dim=0),
            z_bits=torch.stack([tile.z_bits for tile in each]).sum(dim=0),
            symbols=whole("symbols"),
            coded=whole("coded"),
            index=whole("index"),
            z=whole("z"),
            norm=v.abs().sum(dim=(1, 2, 3)) if self.sparse else None,
        )

    def _code(
        self, v: Tensor, sides: Sides, level: Tensor, gain: Tensor, noise: bool, finish: bool
    ) -> _Coded:
        """Code the tile v (B,M,h,w), which has neighbours on those sides."""
        seen = v.detach() if self.sparse else v  # by what is to learn the rate
        with torch.set_grad_enabled(torch.is_grad_enabled() and not finish):
            full = F.pad(seen, (0, -v.shape[3] % 4, 0, -v.shape[2] % 4), "replicate")
            z = within(self.hyper_analysis(reflected(full, sides, 4)).float(), sides, 1)
            std = torch.exp(self.log_std)[None, :, None, None]
        z_hat = round_ste(z)
        z_rate_at = z + torch.rand_like(z) - 0.5 if noise and not finish else z_hat
        around = repeated(z_hat, sides)
        top, bottom, left, right = sides.margins(4)
        size = top + v.shape[2] + bottom, left + v.shape[3] + right
        features, mu0 = self.mean_features(around, level, size)
        scales = within(self.scale_network(around, level, size), sides, 4)
        first, parity = step_masks(v)
        mu = within(mu0, sides, 4) * std * gain
        alone = self.scale_network.alone(scales, level)
        # What step 1's scales see is no way to teach step 0's symbols: they are as they are.
        coded = _whole(v - mu, self._least(alone, finish))
        known = (replaced(seen - mu, coded) + mu) / (std * gain) * first
        mu1 = within(
            self._second_means(features, known, parity, sides), sides, self.config.context_reach
        )
        after = self.scale_network.after(scales, level, coded * first, sides)
        index = torch.where(first, alone, after)
        mu = torch.where(first, mu, mu1 * std * gain)
        symbols = v - mu
        least = self._least(index, finish)
        coded = _whole(symbols, least)
        if noise:
            y_bits = self._bits_with_noise(seen - mu, coded, index, least)
        else:
            y_bits = self.y_bits_of(coded, index)
        return _Coded(
            y_hat=(replaced(symbols, coded) + mu) / gain,
            y_bits=y_bits.sum(dim=(1, 2, 3)),
            z_bits=self.z_prior(z_rate_at, level).sum(dim=(1, 2, 3)),
            symbols=symbols,
            coded=coded,
            index=index,
            z=z,
        )

    def _second_means(
        self, features: Tensor, known: Tensor, parity: Tensor, sides: Sides
    ) -> Tensor:
        """The means of step 1 for a tile, from its features and step 0's symbols with a margin."""
        margin = 4 - self.config.context_reach
        colours = reflected(parity.to(known.dtype), sides, self.config.context_reach)
        seen = reflected(known, sides, self.config.context_reach)
        found: Tensor = self.context(within(features, sides, margin), seen, colours)
        return found

    def _bits_with_noise(
        self, symbols: Tensor, coded: Tensor, index: Tensor, least: Tensor | None
    ) -> Tensor:
        """Bits of every symbol, for training; with `least` those of `coded`.

        With `least` the noise changes the gradient alone, which the means learn from, and not the
        value.
        """
        if least is not None:  # what becomes 0 lies, for the noise, within half of it
            symbols = torch.where(symbols.abs() < least, symbols * (0.5 / least), symbols)
        noisy = symbols + torch.rand_like(symbols) - 0.5
        if least is None:
            return self.y_bits_of(noisy, index)
        of_means = self.y_bits_of(noisy, index.detach())
        return self.y_bits_of(coded, index) + (of_means - of_means.detach())


def _whole(symbols: Tensor, least: Tensor | None) -> Tensor:
    """Integers for `symbols`, 0 below `least`; without a gradient."""
    symbols = symbols.detach()
    rounded = torch.round(symbols)
    return rounded if least is None else rounded * (symbols.abs() >= least)


def _parted(v: Tensor, rows: int, columns: int) -> list[list[tuple[Tensor, Sides]]]:
    """v (B,M,h,w) in the given rows and columns of tiles, and the sides where each has
    neighbours.
    """
    return [
        [
            (part, Sides(i > 0, i < rows - 1, j > 0, j < columns - 1))
            for j, part in enumerate(row.chunk(columns, dim=3))
        ]
        for i, row in enumerate(v.chunk(rows, dim=2))
    ]


def step_masks(y: Tensor) -> tuple[Tensor, Tensor]:
    """Which elements of y (B,M,h,w) step 0 codes (1,M,h,w), and each position's parity (1,1,h,w).

    Element (c, i, j) belongs to step (c + i + j) mod 2: at every position half of the channels
    come first, and every element of step 1 has its channel's four neighbours known.
    """
    _, m, h, w = y.shape
    rows = torch.arange(h, device=y.device)[:, None]
    columns = torch.arange(w, device=y.device)[None, :]
    channels = torch.arange(m, device=y.device)[:, None, None]
    parity = (rows + columns) % 2
    first = (channels + parity) % 2 == 0
    return first[None], parity[None, None]
