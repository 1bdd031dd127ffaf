"""Training and export of the networks that remove noise, and that estimate it.

::

    python -m aecodec.training.denoiser FOLDER RUN --minutes 67 --export weights/denoiser

Both networks learn from the same crops. There is one schedule, and no checkpoint to go on from: the
whole takes little more than an hour.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import pathlib
import time
from typing import Any, ClassVar

import numpy as np
import onnx
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from aecodec.model.denoiser import Denoiser, NoiseEstimator
from aecodec.training import short
from aecodec.training.data import Batches, Photographs, find_photographs, split_validation
from aecodec.training.graphs import PIXELS, write_graph
from aecodec.training.noise import Noisy, add_noise

__all__ = ["DenoiserSettings", "export_denoiser", "train_denoiser"]

WEIGHTS = "denoiser.safetensors"
"""What a run leaves: the averaged weights of both networks."""
DENOISE, NOISE = "denoise.onnx", "noise.onnx"
ZEROS = 0.125
"""Share of the crops without noise: the estimator learns from them that texture is no noise."""
STRONGEST = 60.0
"""The strongest noise, in 8-bit levels."""
SENSOR = 0.4
"""Share of the crops that a camera develops from its sensor."""
JPEG = 0.08
"""Share of the noisy crops that went through JPEG, which takes some of the noise away."""
ERROR = 0.1
"""The deviation of the logarithm of the level that is given: an estimate is not exact either."""
LEAST = 0.002
"""The share of the noise's variance below which what is left of it hardly counts."""
LARGE_FROM = 0.55
"""Share of the schedule after which a quarter as many crops of twice the side are drawn."""
_KINDS = (
    ("white", 0.0, 0.0, (0.0, 5.0, 10.0, 25.0, 50.0)),
    ("camera", 1.0, 0.0, (10.0, 25.0)),
    ("sensor", 0.0, 1.0, (0.0, 5.0, 12.0, 25.0)),
)
"""What is measured: a name, the shares of both kinds of a camera's crops, and levels."""
WARM = 200
"""Steps in which the learning rate rises."""


@dataclasses.dataclass(frozen=True)
class DenoiserSettings(short.ShortSettings):
    """How to train."""

    minutes: float = 60.0


def _levels(uniform: Tensor) -> Tensor:
    """Levels of noise (B,) from 0 to 60, in units of 255, from uniform numbers (B,)."""
    part = ((uniform - ZEROS) / (1.0 - ZEROS)).clamp(min=0.0)
    levels = 1.0 + (STRONGEST - 1.0) * part**1.4
    return torch.where(uniform < ZEROS, torch.zeros_like(part), levels) / 255.0


def _through_jpeg(crops: Noisy, rng: np.random.Generator) -> Noisy:
    """The crops, some of them after JPEG of a high quality."""
    noisy, deviation = crops.noisy.clone(), crops.deviation.clone()
    for i in np.flatnonzero(rng.random(len(noisy)) < JPEG):
        pixels = (noisy[i].permute(1, 2, 0) * 255.0).round().byte().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(85, 99)))
        stored = np.array(Image.open(file).convert("RGB"), np.float32) / 255.0
        after = torch.from_numpy(stored).permute(2, 0, 1)
        before = (noisy[i] - crops.clean[i]).square().mean()
        left = (after - crops.clean[i]).square().mean() / before.clamp(min=1e-9)
        noisy[i] = after
        deviation[i] *= float(left.clamp(max=1.0)) ** 0.5
    return Noisy(crops.clean, noisy, deviation)


def _denoising_loss(net: Denoiser, crops: Noisy) -> Tensor:
    """The logarithm of each crop's squared error: what PSNR is averaged over pictures.

    So smooth crops, of which little error is left, count like others. The level is given with an
    error.
    """
    given = crops.deviation * torch.exp(ERROR * torch.randn(len(crops.clean), 1, 1, 1))
    target = (crops.noisy - crops.clean) / given.clamp(min=1e-4)
    error = (net.noise(crops.noisy, given) - target.clamp(-4.0, 4.0)).square()
    result: Tensor = torch.log(error.mean(dim=(1, 2, 3)) + LEAST).mean()
    return result


def _estimation_loss(estimator: NoiseEstimator, crops: Noisy) -> Tensor:
    """Negative log-likelihood of a Laplace distribution of the deviation, in 8-bit levels."""
    found = estimator(crops.noisy)
    truth = 255.0 * F.avg_pool2d(crops.deviation, 8)
    # Errors count relative to the level: a third of 3 like a third of 30.
    unit = 1.0 + 0.2 * truth
    error = (found[:, :1] - truth).abs() / unit
    result: Tensor = (error * torch.exp(-found[:, 1:]) + found[:, 1:]).mean()
    return result


class _Both(nn.Module):
    """The networks that are trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = Denoiser()
        self.estimator = NoiseEstimator()


def _weights(folder: pathlib.Path) -> dict[str, Tensor]:
    """The weights of a run, or of what one exported."""
    if (folder / WEIGHTS).exists():
        return load_file(folder / WEIGHTS)
    stored = [
        tensor for name in (DENOISE, NOISE) for tensor in onnx.load(folder / name).graph.initializer
    ]
    return {
        tensor.name.removesuffix(".half"): torch.from_numpy(
            onnx.numpy_helper.to_array(tensor).astype(np.float32)
        )
        for tensor in stored
    }


class _Training:
    """Both networks, their averages, and the optimiser."""

    def __init__(self, pictures: Photographs, settings: DenoiserSettings) -> None:
        self.settings, self._pictures = settings, pictures
        self.both, self.average = _Both(), _Both()
        if settings.start_from is not None:
            self.both.load_state_dict(_weights(settings.start_from))
        self.average.load_state_dict(self.both.state_dict())
        for networks in (self.both, self.average):
            networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.both.denoiser.bf16 = True
        self._optimiser = torch.optim.Adam(self.both.parameters(), settings.lr, betas=(0.9, 0.99))
        self.step, self.pixels, self.losses = 0, 0, np.zeros(2)

    def take_step(self, done: float) -> None:
        """One step; `done` is the share of the schedule before it."""
        settings = self.settings
        short.set_rate(self._optimiser, settings.lr, self.step, done, WARM)
        crops = self._draw(large=done >= LARGE_FROM)
        denoising = _denoising_loss(self.both.denoiser, crops)
        estimation = _estimation_loss(self.both.estimator, crops)
        self._optimiser.zero_grad(set_to_none=True)
        (denoising + 0.02 * estimation).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.both.denoiser.parameters(), 0.5)
        nn.utils.clip_grad_norm_(self.both.estimator.parameters(), 0.1)
        self._optimiser.step()
        self.step += 1
        self.pixels += crops.clean[:, 0].numel()
        short.follow(self.average, self.both, self.step, settings.ema)
        now = np.array([denoising.item(), estimation.item()])
        self.losses += (now - self.losses) * max(0.005, 1.0 / self.step)

    def _draw(self, *, large: bool) -> Noisy:
        """The crops of this step, which depend on the seed and the step."""
        settings = self.settings
        count, side = settings.batch, settings.crop
        if large:
            count, side = max(1, count // 4), 2 * side
        torch.manual_seed(1_000_003 * settings.seed + self.step)
        drawn, _ = Batches(self._pictures, count, side, settings.seed).at(self.step)
        clean = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255.0
        level = _levels(torch.rand(len(clean)))
        rng = np.random.default_rng([settings.seed, self.step, 7])
        return _through_jpeg(add_noise(clean, level, sensor=SENSOR), rng)


def train_denoiser(
    photographs: pathlib.Path, out: pathlib.Path, settings: DenoiserSettings
) -> None:
    """Train both networks, and write their averages to `out`.

    Crops come as for the autoencoder. `log.jsonl` in `out` has a line for every report.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    out.mkdir(parents=True, exist_ok=True)
    paths, held_out = split_validation(find_photographs(photographs), 24)
    smallest = 3 * settings.crop
    pictures = Photographs(paths, smallest=smallest, workers=settings.threads)
    proof = Photographs(held_out or paths, smallest=smallest, workers=settings.threads)
    training = _Training(pictures, settings)
    report = functools.partial(_report, out, training, proof)
    short.train(training.take_step, report, settings)


@torch.no_grad()
def _report(out: pathlib.Path, training: _Training, proof: Photographs, done: float) -> None:
    """Save the averages, and write a line: PSNR and estimates on held-out crops by level."""
    both = training.average
    short.save(both, out / WEIGHTS)
    rng = np.random.default_rng(3)
    crops = np.stack([proof.crop(rng, 3 * training.settings.crop) for _ in range(4)])
    clean = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255.0
    line: dict[str, Any] = {
        "step": training.step,
        "megapixels": training.pixels / 1e6,
        "done": round(done, 4),
        "losses": [round(float(loss), 4) for loss in training.losses],
        "cpu_seconds": time.process_time(),
    }
    for kind, camera, sensor, levels in _KINDS:
        for level in levels:
            torch.manual_seed(5)
            noisy = add_noise(clean, torch.full((4,), level / 255.0), camera, 0.0, sensor)
            made = both.denoiser(noisy.noisy, noisy.deviation)
            error = (made - noisy.clean).square().mean(dim=(1, 2, 3)) + 1e-9
            found = both.estimator(noisy.noisy)
            weight = torch.exp(-2.0 * found[:, 1:])
            mean = (found[:, :1] * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
            line[f"{kind} {level:g}"] = {
                "psnr": round(float((-10.0 * torch.log10(error)).mean()), 3),
                "true": [round(255.0 * float(d.mean()), 1) for d in noisy.deviation],
                "found": [round(float(v), 1) for v in mean],
            }
    short.log(out, line)


# --- Export ---------------------------------------------------------------------------------------


class DenoiseGraph(nn.Module):
    """x (1,H,W,3) uint8, deviation (1,1,H/4,W/4) in units of 255 -> (1,H,W,3) uint8."""

    dynamic: ClassVar = {"x": PIXELS, "deviation": {2: "H4", 3: "W4"}, "clean": PIXELS}

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, deviation: Tensor) -> Tensor:
        pixels = x.permute(0, 3, 1, 2).float() * (1.0 / 255.0)
        fine = F.interpolate(deviation, scale_factor=4.0, mode="bilinear", align_corners=False)
        clean: Tensor = self.denoiser(pixels, fine).clamp(0.0, 1.0) * 255.0 + 0.5
        return clean.permute(0, 2, 3, 1).to(torch.uint8)


class NoiseGraph(nn.Module):
    """x (1,H,W,3) uint8 -> (1,2,H/8,W/8): see `NoiseEstimator`."""

    dynamic: ClassVar = {"x": PIXELS, "found": {2: "H8", 3: "W8"}}

    def __init__(self, estimator: NoiseEstimator) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.estimator(x.permute(0, 3, 1, 2).float() * (1.0 / 255.0))
        return found


def export_denoiser(run: pathlib.Path, folder: pathlib.Path) -> None:
    """Write the graphs of a run's averages, `denoise.onnx` and `noise.onnx`, to a folder."""
    both = _Both()
    both.load_state_dict(load_file(run / WEIGHTS))
    folder.mkdir(parents=True, exist_ok=True)
    x, deviation = torch.zeros(1, 64, 96, 3, dtype=torch.uint8), torch.ones(1, 1, 16, 24)
    with torch.no_grad():
        denoise, noise = DenoiseGraph(both.denoiser), NoiseGraph(both.estimator)
        write_graph(
            denoise,
            folder / DENOISE,
            {"x": x, "deviation": deviation},
            ["clean"],
            denoise.dynamic,
        )
        write_graph(noise, folder / NOISE, {"x": x}, ["found"], noise.dynamic)


def _main() -> None:
    text = "Train the networks that remove noise."
    options = short.parser(text, DenoiserSettings()).parse_args()
    train_denoiser(options.photographs, options.run, short.settings_of(options, DenoiserSettings))
    if options.export is not None:
        export_denoiser(options.run, options.export)


if __name__ == "__main__":
    _main()
