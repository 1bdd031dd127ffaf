"""What each choice of the recipe is worth: short trainings that differ in one thing.

    python benchmarks/trials.py whole FOLDER [--steps 300] [--only NAME ...]
    python benchmarks/trials.py prior FOLDER --weights weights/small [--steps 600] [--only ...]
    python benchmarks/trials.py capacity FOLDER --weights weights/small [--steps 600] [--only ...]
    python benchmarks/trials.py family FOLDER [--minutes 10] [--only ...]
    python benchmarks/trials.py draw

FOLDER holds the photographs of the training. The figure is the BD-rate against JPEG on those that
the training holds out.

- `whole` trains everything from the KLT start, with the loop of `aecodec train`.
- `prior` keeps the transforms and gains of trained weights. It trains a hyperprior and a context
  from nothing on cached latents. Without the noise of the transforms, differences of some tenths of
  a percent show.
- `capacity` does the same with priors of other widths.
- `family` trains other kinds of autoencoder for an equal processor time, from the KLT start:
  linear, sparse, denoising, and with attention. It also measures what each makes of noisy pictures.
- `draw` draws `trials.svg`.

All trials of a part see the same crops in the same order. The results are written to
`benchmarks/training/trials-PART.json`, one by one. docs/experiments.md has the conclusions.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecodec.model import Autoencoder, transforms
from aecodec.model.autoencoder import Output
from aecodec.model.hyperprior import Context
from aecodec.model.layers import Block, LevelTable, Spine, lambda_of, pointwise, round_ste
from aecodec.networks.config import SIZES, ModelConfig
from aecodec.training import loss, trainer
from aecodec.training.checkpoint import CHECKPOINT, Settings, load_ema
from aecodec.training.data import Batches, Photographs, find_photographs, split_validation
from aecodec.training.optim import SoapAdam, parameter_groups
from aecodec.training.validation import Validation

ROOT = Path(__file__).parent / "training"
SMALL = SIZES["small"]
HELD_OUT = 24

# --- Whole trainings ------------------------------------------------------------------------------


class Silu(Block):
    """A block with SiLU in its depthwise branch."""

    def activate(self, x: Tensor) -> Tensor:
        """x * sigmoid(x)."""
        return F.silu(x)


def haar(size: int) -> Tensor:
    """(size,size): the orthonormal Haar basis, size a power of two."""
    basis = torch.ones(1, 1)
    while len(basis) < size:
        low = torch.kron(basis, torch.tensor([[1.0, 1.0]]))
        high = torch.kron(torch.eye(len(basis)), torch.tensor([[1.0, -1.0]]))
        basis = torch.cat([low, high]) / math.sqrt(2.0)
    return basis


class Turned(Spine):
    """A spine layer after (or before) a fixed orthonormal Haar transform of each channel's block.

    The function class is that of the plain shuffle. Only the basis that learns is another.
    """

    basis: Tensor

    def __init__(self, inputs: int, outputs: int, *, size: int, after: bool) -> None:
        super().__init__(inputs, outputs)
        one = haar(size)
        self.after = after
        channels = (outputs if after else inputs) // size**2
        self.register_buffer("basis", torch.kron(torch.eye(channels), torch.kron(one, one)))

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,outputs,H,W)."""
        basis = self.basis[:, :, None, None]
        if self.after:
            return F.conv2d(super().forward(x), basis.transpose(0, 1))
        return super().forward(F.conv2d(x, basis))


class HaarAutoencoder(Autoencoder):
    """Every shuffle of the transforms is followed, or preceded, by a Haar transform."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c8, m = config.stream8, config.latents
        self.before = [
            Turned(192, c8, size=8, after=False),
            Turned(4 * c8, m, size=2, after=False),
        ]
        self.after = [Turned(m, 4 * c8, size=2, after=True), Turned(c8, 192, size=8, after=True)]
        self.analysis.input, self.analysis.down = self.before
        self.synthesis.up, self.synthesis.output = self.after

    def set_latent_std(self, std: Tensor) -> None:
        """The KLT start calls it last: its axes are of plain blocks, and turn as well."""
        super().set_latent_std(std)
        with torch.no_grad():
            for layer in self.before:
                layer.weight.copy_((layer.weight[:, :, 0, 0] @ layer.basis.T)[:, :, None, None])
            for layer in self.after:
                layer.weight.copy_((layer.basis @ layer.weight[:, :, 0, 0])[:, :, None, None])


class LappedAutoencoder(Autoencoder):
    """Overlapping windows of 4x4 between 1/8 and 1/16, in place of blocks of 2x2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        c8, m = config.stream8, config.latents
        self.wide_down = nn.Conv2d(c8, m, 4, stride=2, padding=1)
        self.wide_up = nn.ConvTranspose2d(m, c8, 4, stride=2, padding=1)

    def set_latent_std(self, std: Tensor) -> None:
        """The KLT start calls it last: its axes are the windows' middle."""
        super().set_latent_std(std)
        c8, m = self.config.stream8, self.config.latents
        with torch.no_grad():
            for wide, narrow in (
                (self.wide_down, self.analysis.down.weight.reshape(m, c8, 2, 2)),
                (self.wide_up, self.synthesis.up.weight.reshape(c8, 2, 2, m).permute(3, 0, 1, 2)),
            ):
                wide.weight.zero_()
                wide.weight[:, :, 1:3, 1:3] = narrow
                assert wide.bias is not None
                wide.bias.zero_()
        # Their places in the transforms: the shuffles beside them are undone.
        down, up = self.wide_down, self.wide_up
        self.analysis.down.forward = lambda x: down(F.pixel_shuffle(x, 2))  # type: ignore[method-assign]
        self.synthesis.up.forward = lambda x: F.pixel_unshuffle(up(x), 2)  # type: ignore[method-assign]


def weighted(exponent: float) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
    """The loss of the training with another power of lambda than -0.5."""

    def rate_distortion(output: Output, x: Tensor, lam: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        _, parts = loss.rate_distortion(output, x, lam)
        each = parts["bpp"] + lam * 255.0**2 * parts["mse"]
        return (each * (lam / loss.CENTRE) ** exponent).mean(), parts

    return rate_distortion


def evenly(uniform: Tensor, config: ModelConfig) -> Tensor:
    """Levels drawn evenly over the whole range of lambda."""
    return uniform[:, 0]


@dataclasses.dataclass(frozen=True)
class Whole:
    """A training that differs from the recipe in its config, its settings, or a part of the code.

    `patches` are (module, name, value).
    """

    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    patches: tuple[tuple[Any, str, Any], ...] = ()


def _model(kind: type[Autoencoder]) -> tuple[tuple[Any, str, Any], ...]:
    from aecodec.training import checkpoint

    return ((checkpoint, "Autoencoder", kind),)


WHOLE: dict[str, Whole] = {
    "as it is": Whole(),
    "as it is, another seed": Whole(settings={"seed": 1}),
    "SiLU for leaky ReLU": Whole(patches=((transforms, "Block", Silu),)),
    "no gates, wider depthwise branches": Whole(  # of as many multiplications
        config={
            "analysis8": ((64, 0), (256, 0)),
            "analysis16": ((160, 0), (64, 0), (64, 0)),
            "synthesis16": ((128, 0), (128, 0), (320, 0)),
            "synthesis8": ((320, 0), (320, 0), (224, 0)),
        }
    ),
    "a block of each from 1/16 to 1/8": Whole(
        config={
            "analysis8": ((64, 0), (64, 128), (53, 0)),
            "analysis16": ((64, 64), (64, 0)),
            "synthesis16": ((128, 0), (128, 128)),
            "synthesis8": ((128, 128), (128, 128), (32, 128), (107, 0)),
        }
    ),
    "a block of each from 1/8 to 1/16": Whole(
        config={
            "analysis8": ((64, 128),),
            "analysis16": ((64, 64), (64, 0), (64, 0), (77, 0)),
            "synthesis16": ((128, 0), (128, 0), (128, 128), (269, 0)),
            "synthesis8": ((128, 128), (128, 128)),
        }
    ),
    "Haar transforms at the shuffles": Whole(patches=_model(HaarAutoencoder)),
    "learned windows of 4x4 at 1/16": Whole(patches=_model(LappedAutoencoder)),
    "loss times lambda^0": Whole(patches=((trainer, "rate_distortion", weighted(0.0)),)),
    "loss times lambda^-0.75": Whole(patches=((trainer, "rate_distortion", weighted(-0.75)),)),
    "qualities drawn evenly": Whole(patches=((trainer, "draw_levels", evenly),)),
}


def train_whole(trial: Whole, folder: Path, steps: int) -> dict[str, Any]:
    """Train for this many steps; the last validation."""
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory())
        for patched in trial.patches:
            stack.enter_context(patch.object(*patched))
        size = dataclasses.replace(SMALL, **trial.config)
        stack.enter_context(patch.dict(SIZES, small=size))
        settings = Settings(steps=steps, lr=0.004, **trial.settings)
        return trainer.train(folder, Path(out), settings, device="cpu")


# --- The family -----------------------------------------------------------------------------------


class Attention(nn.Module):
    """Attention of every latent to the 5x5 latents around it, as a residual branch.

    (B,C,h,w) -> (B,C,h,w). Neighbours at fixed distances (Ramachandran et al. 2019, "Stand-Alone
    Self-Attention in Vision Models") rather than fixed windows, so that a tile needs a margin and
    no grid. A learned bias for each distance stands for the position. The last layer starts at
    zero.
    """

    def __init__(self, channels: int, heads: int = 4, width: int = 64, reach: int = 2) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query, self.key, self.value = (pointwise(channels, width) for _ in range(3))
        self.out = pointwise(width, channels)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)
        self.place = nn.Parameter(torch.zeros(1, heads, 1, (2 * reach + 1) ** 2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,h,w) -> the same."""
        b, _, h, w = x.shape

        def around(layer: nn.Conv2d) -> Tensor:  # (B,heads,width,places,h,w)
            side = 2 * self.reach + 1
            found = F.unfold(layer(x).float(), side, padding=self.reach)
            return found.reshape(b, self.heads, -1, side * side, h, w)

        query = self.query(x).float().reshape(b, self.heads, -1, 1, h, w)
        likeness = (query * around(self.key)).sum(2, keepdim=True) / math.sqrt(query.shape[2])
        share = torch.softmax(likeness + self.place, dim=3)
        found = (share * around(self.value)).sum(3).reshape(b, -1, h, w)
        out: Tensor = x + self.out(found)
        return out


class AttentiveAutoencoder(Autoencoder):
    """Attention at 1/16: after the blocks of the analysis, before those of the synthesis."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.analysis.blocks16 = nn.Sequential(self.analysis.blocks16, Attention(config.latents))
        self.synthesis.blocks16 = nn.Sequential(Attention(config.latents), self.synthesis.blocks16)


FAMILY: dict[str, Whole] = {
    "rate and distortion (as it is)": Whole(),
    "linear (KLT)": Whole(config=dataclasses.asdict(SIZES["linear"])),
    "sparse (L1)": Whole(settings={"sparse": True}),
    "denoising, of 0 to 50 levels": Whole(settings={"noise": (0.0, 50.0)}),
    "attention at 1/16": Whole(patches=_model(AttentiveAutoencoder)),
}
NOISE = 25.0
"""Standard deviation of the noise that the family is tried with, in levels of 255."""


def train_family(trial: Whole, folder: Path, minutes: float) -> dict[str, Any]:
    """Train for so many minutes of processor time; the last validation, and of noisy pictures."""
    torch.set_num_threads(1)
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for patched in trial.patches:
            stack.enter_context(patch.object(*patched))
        # On a busy machine a minute of the clock is no measure.
        clock = types.SimpleNamespace(monotonic=time.process_time)
        stack.enter_context(patch.object(trainer, "time", clock))
        size = dataclasses.replace(SMALL, **{**trial.config, "name": "small"})
        stack.enter_context(patch.dict(SIZES, small=size))
        settings = Settings(minutes=minutes, lr=0.004, validate_minutes=1e9, **trial.settings)
        found = trainer.train(folder, out, settings, device="cpu", threads=1)
        model, _ = load_ema(out / CHECKPOINT)
    _, held_out = split_validation(find_photographs(folder), HELD_OUT)
    validation = Validation(held_out)
    if settings.noise is not None:  # what was measured by the trainer were noisy pictures
        model.eval()
        found |= validation.measure(model, torch.device("cpu"))
    return found | {"noisy_psnr": cleaned(model, validation)}


@torch.no_grad()
def cleaned(model: Autoencoder, validation: Validation) -> dict[str, float]:
    """Of pictures with Gaussian noise, the mean PSNR of what comes back, against the clean ones.

    By level of quality, and of the noisy pictures themselves.
    """
    model.eval()
    drawn = torch.Generator().manual_seed(0)
    sums: dict[str, list[float]] = {}
    for pixels in validation.pictures:
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255.0
        noisy = x + NOISE / 255.0 * torch.randn(x.shape, generator=drawn)
        shown = {"noisy": noisy.clamp(0.0, 1.0)}
        for level in (0.2, 0.35, 0.5, 0.65):
            output = model(shown["noisy"], torch.tensor([level]), noise=False)
            shown[f"{level}"] = output.x_hat.clamp(0.0, 1.0)
        for name, picture in shown.items():
            error = float((picture - x).square().mean())
            sums.setdefault(name, []).append(-10.0 * math.log10(error))
    return {name: round(float(np.mean(values)), 2) for name, values in sums.items()}


# --- The prior alone ------------------------------------------------------------------------------


class Place(Context):
    """A context that knows which step a position belongs to."""

    def __init__(self, config: ModelConfig, positions: int) -> None:
        super().__init__(config)
        self.parity = pointwise(positions, config.context_width)


class Prior(Autoencoder):
    """An autoencoder whose latents come in any number of steps, and whose scales see more, or less.

    `steps`: 1, 2 (checkerboard) or 4 (2x2 cells, He et al. 2022's order; channels take turns).
    `seeing`: besides z_hat the scales of later steps see nothing ("z"), the symbols of step 0
    through integers ("symbols", of two steps alone), or what the context knows, in floating point
    ("context": files of such a model decode where the rounding is the encoder's alone).
    """

    def __init__(self, config: ModelConfig, steps: int = 2, seeing: str = "symbols") -> None:
        super().__init__(config)
        self.count = steps
        self.seeing = seeing
        self.scale_network.steps = steps
        self.scale_network.offset = LevelTable(config.anchors, steps * config.latents)
        self.contexts = nn.ModuleList(Place(config, steps) for _ in range(steps - 1))
        del self.context
        self.corrections = nn.ModuleList()
        if seeing == "context":
            for _ in range(steps - 1):
                correction = pointwise(config.context_width, config.latents)
                nn.init.zeros_(correction.weight)
                self.corrections.append(correction)

    def turns(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The step of every element (1,M,h,w); that of channel 0, one-hot (1,steps,h,w)."""
        _, m, h, w = y.shape
        i, j = torch.arange(h)[:, None], torch.arange(w)[None, :]
        if self.count == 4:  # the diagonals first
            place = 2 * (j % 2) + (i + j) % 2
            place = torch.tensor([0, 2, 1, 3])[place]
        else:
            place = (i + j) % max(1, self.count)
        turn = (torch.arange(m)[:, None, None] + place) % self.count
        hot = F.one_hot(place, self.count).permute(2, 0, 1)
        return turn[None], hot[None].float()

    def code(self, y: Tensor, level: Tensor, *, noise: bool) -> tuple[Tensor, Tensor, Tensor]:
        """y (B,M,h,w) -> y_hat, the bits of y's symbols and those of z, each (B,)."""
        gain = self.gain(level)
        v = y * gain
        z = self.hyper_analysis(v).float()
        z_hat = round_ste(z)
        features, mean = self.mean_features(z_hat, level)
        net = self.scale_network
        scales = net(z_hat, level)
        unit = torch.exp(self.log_std)[None, :, None, None] * gain
        turn, hot = self.turns(v)
        mu, index = mean * unit, net.alone(scales, level)
        for k, context in enumerate(self.contexts):
            assert isinstance(context, Place)
            known = (round_ste(v - mu) + mu) / unit * (turn <= k)
            seen: list[Tensor] = []
            handle = context.blocks.register_forward_hook(lambda _, __, out, s=seen: s.append(out))
            found = context(features, known, hot.expand(len(v), -1, -1, -1)) * unit
            handle.remove()
            if self.seeing == "symbols":
                coded = torch.round((v - mu).detach()) * (turn <= k)
                scale = net.after(scales, level, coded)
            else:
                scale = net.alone(scales, level, k + 1)
            if self.corrections:
                scale = scale + self.corrections[k](seen[0]).float()
            mu = torch.where(turn == k + 1, found, mu)
            index = torch.where(turn == k + 1, scale, index)
        symbols = v - mu
        at = symbols + torch.rand_like(v) - 0.5 if noise else torch.round(symbols)
        z_at = z + torch.rand_like(z) - 0.5 if noise else z_hat
        bits = self.y_bits_of(at, index).sum(dim=(1, 2, 3))
        z_bits = self.z_prior(z_at, level).sum(dim=(1, 2, 3))
        return (round_ste(symbols) + mu) / gain, bits, z_bits

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        *,
        noise: bool = True,
        finish: bool = False,
        tiles: tuple[int, int] = (1, 1),
    ) -> Output:
        """As the autoencoder's, never to finish it, in one tile; its other tensors stay empty."""
        y_hat, y_bits, z_bits = self.code(self.analysis(x).float(), level, noise=noise)
        none = torch.empty(0)
        return Output(self.synthesis(y_hat, level).float(), y_bits, z_bits, none, none, none, none)


@dataclasses.dataclass(frozen=True)
class OfPrior:
    """A prior that differs in its config, its steps, or what its scales see."""

    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 2
    seeing: str = "z"
    one_z: bool = False
    seed: int = 0


PRIOR: dict[str, OfPrior] = {
    "scales of z alone, 2 steps, N = 64": OfPrior(),
    "the same, another seed": OfPrior(seed=1),
    "no context": OfPrior(steps=1),
    "4 steps": OfPrior(steps=4),
    "scales see the float context": OfPrior(seeing="context"),
    "scales see step 0's symbols, 32 wide": OfPrior({"symbol_width": 32}, seeing="symbols"),
    "scales see step 0's symbols, 48 wide": OfPrior(seeing="symbols"),
    "scales see step 0's symbols, 64 wide": OfPrior({"symbol_width": 64}, seeing="symbols"),
    "one prior of z for all qualities": OfPrior(one_z=True),
    "N = 32": OfPrior({"hyper_latents": 32}),
    "N = 128": OfPrior({"hyper_latents": 128}),
}
CAPACITY: dict[str, OfPrior] = {
    name: OfPrior(config, seeing="symbols")
    for name, config in {
        "as it is": {},
        "two blocks in the context": {"context_blocks": 2},
        "context 256 wide": {"context_width": 256},
        "hyperprior 192 wide": {"hyper_width": 192},
        "features 192 wide": {"mean_features": 192, "mean_hidden": 128},
    }.items()
}


class Cached:
    """Latents of training crops, and the held-out pictures, for one set of transforms."""

    def __init__(self, weights: Path, folder: Path, count: int = 320, batch: int = 8) -> None:
        self.model, self.facts = load_ema(weights)
        self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.eval()
        paths, held_out = split_validation(find_photographs(folder), HELD_OUT)
        self.validation = Validation(held_out)
        stream = Batches(Photographs(paths, smallest=256), batch, 256, 0).stream(0)
        self.latents: list[Tensor] = []
        with torch.no_grad():
            for _ in range(count):
                pixels, _ = next(stream)
                x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
                x = x.contiguous(memory_format=torch.channels_last)
                self.latents.append(self.model.analysis(x).float())

    def batches(self, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """y (B,M,16,16) and levels (B,)."""
        drawn = torch.Generator().manual_seed(seed)
        for step in range(steps):
            if step % len(self.latents) == 0:
                order = torch.randperm(len(self.latents), generator=drawn)
            y = self.latents[int(order[step % len(self.latents)])]
            uniform = torch.rand(len(y), 2, generator=drawn)
            yield y, loss.draw_levels(uniform, self.model.config)


def train_prior(trial: OfPrior, cached: Cached, steps: int) -> dict[str, Any]:
    """Train a prior from nothing; the validation of the whole with it."""
    torch.manual_seed(trial.seed)
    config = dataclasses.replace(cached.model.config, **trial.config)
    model = Prior(config, trial.steps, trial.seeing)
    model.analysis, model.synthesis = cached.model.analysis, cached.model.synthesis
    model.log_gain = cached.model.log_gain
    some = torch.cat(cached.latents[:32])
    model.set_latent_std(some.square().mean(dim=(0, 2, 3)).sqrt())
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kept = (model.analysis, model.synthesis, model.log_gain)
    for part in kept:
        part.requires_grad_(False)
    optimiser = SoapAdam(parameter_groups(model, soap=False, lr=0.004))
    for step, (y, level) in enumerate(cached.batches(steps, trial.seed)):
        done = step / steps
        factor = min(1.0, (step + 1) / 150) * min(1.0, (1.0 - done) / 0.7)
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
        model.scale_network.rounding = done >= 0.9
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            seen = torch.zeros_like(level) + 0.5 if trial.one_z else level
            y_hat, y_bits, z_bits = _coded(model, y, level, seen)
        pixels = 256 * y.shape[2] * y.shape[3]
        lam = lambda_of(level, config.lambda_min, config.lambda_max)
        # The transforms are nearly orthonormal: the latents' error stands for the pixels'.
        error = (y_hat - y).square().sum(dim=(1, 2, 3)) / (3 * pixels)
        each = (y_bits + z_bits) / pixels + lam * 255.0**2 * error
        (each * (lam / loss.CENTRE) ** -0.5).mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
    model.eval()
    if trial.one_z:
        z_prior = model.z_prior.forward
        model.z_prior.forward = lambda z, level: z_prior(z, torch.full_like(level, 0.5))
    return cached.validation.measure(model, torch.device("cpu"))


def _coded(
    model: Prior, y: Tensor, level: Tensor, z_level: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`Prior.code`, with z's prior of another quality."""
    if z_level is level:
        return model.code(y, level, noise=True)
    with patch.object(
        model.z_prior,
        "forward",
        lambda z, _: type(model.z_prior).forward(model.z_prior, z, z_level),
    ):
        return model.code(y, level, noise=True)


# --- The table ------------------------------------------------------------------------------------


def record(part: str, what: str, results: list[dict[str, Any]]) -> None:
    """Write a part's results so far."""
    path = ROOT / f"trials-{part}.json"
    text = json.dumps({"what": what, "trials": results}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def draw() -> None:
    """Draw `trials.svg`: the BD-rate of every trial, less that of the first one of its part."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    parts = [p for p in ("whole", "prior", "capacity") if (ROOT / f"trials-{p}.json").exists()]
    figure, axes = plt.subplots(len(parts), 1, figsize=(8.0, 3.4 * len(parts)), squeeze=False)
    for part, axis in zip(parts, axes[:, 0], strict=True):
        data = json.loads((ROOT / f"trials-{part}.json").read_text(encoding="utf-8"))
        base = data["trials"][0]["bd_rate_jpeg"]
        rows = [t for t in data["trials"][1:] if t["bd_rate_jpeg"] is not None]
        rows.sort(key=lambda t: float(t["bd_rate_jpeg"]), reverse=True)
        worth = [t["bd_rate_jpeg"] - base for t in rows]
        axis.barh([t["name"] for t in rows], worth, color="#1f6f8b")
        for row, value in enumerate(worth):
            axis.annotate(f" {value:+.2f} ", (value, row), va="center", fontsize=8)
        axis.axvline(0.0, color="#555555", lw=1)
        axis.margins(x=0.15)
        steps = data["trials"][0]["steps"]
        axis.set_xlabel(f"{part}, {steps} steps: BD-rate less that of the first ({base:.2f} %), %")
    figure.tight_layout()
    figure.savefig(ROOT / "trials.svg", metadata={"Date": None})


def main() -> None:
    """Train, print, record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("whole", "prior", "capacity", "family", "draw"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    options = parser.parse_args()
    if options.part == "draw":
        draw()
        return
    family = options.part == "family"
    whole = options.part == "whole" or family
    if options.folder is None or (not whole and options.weights is None):
        parser.error("which photographs, and but for `whole` and `family`, which weights?")
    steps = options.steps or (300 if whole else 600)
    parts: dict[str, dict[str, Any]] = {
        "whole": WHOLE,
        "prior": PRIOR,
        "capacity": CAPACITY,
        "family": FAMILY,
    }
    trials = parts[options.part]
    cached = None if whole else Cached(options.weights, options.folder)
    results: list[dict[str, Any]] = []
    for name in options.only or trials:
        begun = time.monotonic()
        if family:
            found = train_family(trials[name], options.folder, options.minutes)
        elif cached is None:
            found = train_whole(trials[name], options.folder, steps)
        else:
            found = train_prior(trials[name], cached, steps)
        count = found["step"] if family else steps
        result = {
            "name": name,
            "steps": count,
            "megapixels": round(count * 8 * 256**2 / 1e6),
            "minutes": round((time.monotonic() - begun) / 60.0, 2),
            "bd_rate_jpeg": found["bd_rate_jpeg"] and round(found["bd_rate_jpeg"], 2),
            "curve": [[round(p["bpp"], 4), round(p["psnr"], 3)] for p in found["curve"]],
        }
        if family:
            result["minutes"] = options.minutes  # of processor time
            result["zeros"] = [round(p["zeros"], 4) for p in found["curve"]]
            result["noisy_psnr"] = found["noisy_psnr"]
        results.append(result)
        print(f"{name}: {result['bd_rate_jpeg']} % ({result['minutes']} min)", flush=True)
        if not options.only:
            record(options.part, (__doc__ or "").splitlines()[0], results)


if __name__ == "__main__":
    main()
