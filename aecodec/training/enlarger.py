"""Training and export of the network that draws a decoded picture at twice its size.

::

    python -m aecodec.training.enlarger FOLDER RUN --minutes 25 --export weights/enlarger

Photographs are made half as large by several filters, coded at random qualities by several weights,
and decoded. The network learns to come from there to the photographs. There is one schedule, and no
checkpoint to go on from: the whole takes half an hour.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from aecodec.arrays import Pixels
from aecodec.codec import Codec
from aecodec.image.rgb import FILTERS, doubled, halve, read, resized
from aecodec.model.enlarger import CELL, Enlarger
from aecodec.networks import weights
from aecodec.networks.runtime import Options
from aecodec.training import short
from aecodec.training.data import find_photographs, split_validation
from aecodec.training.graphs import PIXELS, drawn, write_graph
from aecodec.training.loss import Eye

__all__ = ["EnlargerSettings", "Pair", "export_enlarger", "pairs", "train_enlarger"]

WEIGHTS = "enlarger.safetensors"
"""What a run leaves: the averaged weights."""
CODERS = {"small-eye": 0.6, "small": 0.3, "base": 0.1}
"""The weights that code the small pictures, and their shares."""
LOWEST = 20
"""The lowest quality of the pairs."""
EXACT = 0.08
"""Share of the small pictures that are not coded: tiles can be exact."""
SIDE = 896
"""Of a photograph at most: it is cut to that."""
SHARP = 1100
"""Photographs of this side are halved first, most of them: so their finest detail is sharp."""
SMALLEST = 160
"""The least side of a photograph, in pixels."""
LEAST = 1e-5
"""The squared error below which what is left of it hardly counts."""
WARM = 100
"""Steps in which the learning rate rises."""


class Pair(NamedTuple):
    """A decoded picture, and what it shows at twice the size."""

    small: Pixels  # (h,w,3)
    whole: Pixels  # (2h,2w,3)
    quality: int


@dataclasses.dataclass(frozen=True)
class EnlargerSettings(short.ShortSettings):
    """How to train. The side of the crops is that of the small pictures."""

    minutes: float = 25.0
    lr: float = 2e-3
    ema: float = 0.998
    report_minutes: float = 3.0
    megapixels: float = 300.0  # of whole pictures that are held in memory
    eye_from: float = 1.0  # share of the schedule after which the loss is for the eye, too
    eye_share: float = 0.5


def pairs(paths: Sequence[pathlib.Path], rng: np.random.Generator, megapixels: float) -> list[Pair]:
    """A pair of each photograph of SMALLEST pixels a side or more, up to so many megapixels."""
    coders = {
        name: Codec(weights.by_name(name), Options(threads=1, device="cpu")) for name in CODERS
    }
    found: list[Pair] = []
    pixels = 0.0
    for path in paths:
        whole = read(path)
        if whole is None or min(whole.shape[:2]) < SMALLEST:
            continue
        found.append(_pair(whole, rng, coders))
        pixels += found[-1].whole[..., 0].size
        if pixels >= 1e6 * megapixels:
            break
    if not found:
        raise ValueError(f"no picture of at least {SMALLEST} pixels a side could be read")
    return found


def _pair(whole: Pixels, rng: np.random.Generator, coders: dict[str, Codec]) -> Pair:
    if min(whole.shape[:2]) >= SHARP and rng.random() < 0.6:
        whole = halve(whole)
    height, width = (min(side, SIDE) // (2 * CELL) * (2 * CELL) for side in whole.shape[:2])
    top, left = (
        int(rng.integers(side - kept + 1))
        for side, kept in zip(whole.shape, (height, width), strict=False)
    )
    whole = np.ascontiguousarray(whole[top : top + height, left : left + width])
    # Nobody knows what made a user's picture.
    small = resized(whole, height // 2, width // 2, FILTERS[rng.integers(len(FILTERS))])
    quality = int(rng.integers(LOWEST, 101))
    name = list(CODERS)[rng.choice(len(CODERS), p=list(CODERS.values()))]
    if rng.random() < EXACT:
        return Pair(small, whole, 100)
    coder = coders[name]
    return Pair(decoded(coder, small, quality), whole, quality)


def decoded(coder: Codec, rgb: Pixels, quality: int) -> Pixels:
    """What a file of these pixels (H,W,3) gives."""
    from aecodec import bitstream

    return coder.decode_rgb(bitstream.parse(coder.compress(rgb, quality)))


class _Training:
    """The network, its average, and the optimiser."""

    def __init__(self, found: Sequence[Pair], settings: EnlargerSettings) -> None:
        self.settings, self._pairs = settings, found
        areas = np.sqrt([pair.small.size for pair in found])
        self._chances = areas / areas.sum()
        self.net, self.average = Enlarger(), Enlarger()
        if settings.start_from is not None:
            self.net.load_state_dict(load_file(settings.start_from / WEIGHTS))
        self.average.load_state_dict(self.net.state_dict())
        for net in (self.net, self.average):
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net.bf16 = True
        self._eye = Eye(0.0)
        self._optimiser = torch.optim.Adam(self.net.parameters(), settings.lr, betas=(0.9, 0.99))
        self.step, self.pixels, self.loss = 0, 0, 0.0

    def take_step(self, done: float) -> None:
        """One step; `done` is the share of the schedule before it."""
        settings = self.settings
        short.set_rate(self._optimiser, settings.lr, self.step, done, WARM)
        eye = done >= settings.eye_from
        x, target, level = self._draw(large=eye)
        made = self.net(x, level)
        # The logarithm of each crop's error: what PSNR is averaged over pictures.
        loss = torch.log((made - target).square().mean((1, 2, 3)) + LEAST).mean()
        if eye:
            _, raw = self._eye(target, made, loss.new_zeros(len(x)))
            seen = torch.log(raw.clamp(min=0.0, max=Eye.LIMIT) + 1.0).mean()
            loss = (1.0 - settings.eye_share) * loss + settings.eye_share * seen
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self._optimiser.step()
        self.step += 1
        self.pixels += target[:, 0].numel()
        short.follow(self.average, self.net, self.step, settings.ema)
        self.loss += (loss.item() - self.loss) * max(0.005, 1.0 / self.step)

    def _draw(self, *, large: bool) -> tuple[Tensor, Tensor, Tensor]:
        """The crops of this step, which depend on the seed and the step: small, whole, levels.

        With `large` a quarter as many of twice the side: the eye's measure has six scales.
        """
        settings = self.settings
        rng = np.random.default_rng([settings.seed, self.step])
        count, side = settings.batch, settings.crop
        if large:
            count, side = max(1, count // 4), 2 * side
        small, whole, levels = [], [], []
        for index in rng.choice(len(self._pairs), count, p=self._chances):
            pair, turn = self._pairs[index], int(rng.integers(8))
            top, left = (int(rng.integers(max(1, n - side + 1))) for n in pair.small.shape[:2])
            small.append(_turned(_cut(pair.small, top, left, side), turn))
            whole.append(_turned(_cut(pair.whole, 2 * top, 2 * left, 2 * side), turn))
            levels.append(pair.quality / 100.0)
        return _planes(small), _planes(whole), torch.tensor(levels, dtype=torch.float32)


def _cut(rgb: Pixels, top: int, left: int, side: int) -> Pixels:
    """(side,side,3) of a picture, mirrored where the picture ends."""
    part = rgb[top : top + side, left : left + side]
    missing = (0, side - part.shape[0]), (0, side - part.shape[1]), (0, 0)
    return np.pad(part, missing, mode="symmetric") if any(b for _, b in missing) else part


def _turned(rgb: Pixels, turn: int) -> Pixels:
    """One of the eight ways to turn and mirror a square."""
    rgb = rgb[:, ::-1] if turn & 1 else rgb
    rgb = rgb[::-1] if turn & 2 else rgb
    return rgb.transpose(1, 0, 2) if turn & 4 else rgb


def _planes(crops: Sequence[Pixels]) -> Tensor:
    """(B,3,H,W) in [0,1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255.0


def train_enlarger(
    photographs: pathlib.Path, out: pathlib.Path, settings: EnlargerSettings
) -> None:
    """Train the network, and write its average to `out`.

    `log.jsonl` in `out` has a line for every report. Raises ValueError for an unusable folder.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    out.mkdir(parents=True, exist_ok=True)
    paths, held_out = split_validation(find_photographs(photographs), 24)
    rng = np.random.default_rng(settings.seed)
    proof = pairs(held_out or paths[:4], np.random.default_rng(0), 20.0)
    order = [paths[index] for index in rng.permutation(len(paths))]
    training = _Training(pairs(order, rng, settings.megapixels), settings)
    report = functools.partial(_report, out, training, proof)
    short.train(training.take_step, report, settings)


@torch.no_grad()
def _report(out: pathlib.Path, training: _Training, proof: Sequence[Pair], done: float) -> None:
    """Save the average, and write a line: the gain over Lanczos on held-out pictures, in dB."""
    short.save(training.average, out / WEIGHTS)
    gains = []
    for pair in proof:
        small, whole = _cut(pair.small, 0, 0, 256), _cut(pair.whole, 0, 0, 512)
        target, base = _planes([whole]), _planes([doubled(small)])
        level = torch.tensor([pair.quality / 100.0])
        made = training.average(_planes([small]), level).clamp(0.0, 1.0)
        errors = [(x - target).square().mean().item() + 1e-9 for x in (base, made)]
        gains.append((pair.quality, 10.0 * math.log10(errors[0] / errors[1])))
    high = [gain for quality, gain in gains if quality >= 75]
    line: dict[str, Any] = {
        "step": training.step,
        "megapixels": training.pixels / 1e6,
        "done": round(done, 4),
        "loss": round(training.loss, 4),
        "cpu_seconds": time.process_time(),
        "gain": round(float(np.mean([gain for _, gain in gains])), 3),
        "gain_from_75": round(float(np.mean(high)), 3) if high else None,
    }
    short.log(out, line)


# --- Export ---------------------------------------------------------------------------------------


class EnlargeGraph(nn.Module):
    """x (1,H,W,3) uint8, level (1,) -> (1,2H,2W,3) uint8; H and W are even.

    As in the synthesis' graph, the pixels become bytes before they are shuffled.
    """

    dynamic: ClassVar = {"x": PIXELS, "pixels": {1: "H2", 2: "W2"}}

    def __init__(self, net: Enlarger) -> None:
        super().__init__()
        self.net = net
        self.last = net.merged()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        planes = x.permute(0, 3, 1, 2).float() * (1.0 / 255.0) - 0.5
        cells = nn.functional.pixel_unshuffle(planes, CELL)
        return drawn(self.net.features(cells, level), self.last, 2 * CELL)


def export_enlarger(run: pathlib.Path, folder: pathlib.Path) -> None:
    """Write the graph of a run's average, `enlarge.onnx`, to a folder."""
    net = Enlarger()
    net.load_state_dict(load_file(run / WEIGHTS))
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {"x": torch.zeros(1, 64, 96, 3, dtype=torch.uint8), "level": torch.tensor([0.75])}
    with torch.no_grad():
        graph = EnlargeGraph(net)
        write_graph(graph, folder / "enlarge.onnx", inputs, ["pixels"], graph.dynamic, fold=False)


def _main() -> None:
    defaults = EnlargerSettings()
    parser = short.parser("Train the network that enlarges pictures.", defaults)
    for name in ("eye_from", "eye_share", "megapixels"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=float, default=getattr(defaults, name))
    options = parser.parse_args()
    train_enlarger(options.photographs, options.run, short.settings_of(options, EnlargerSettings))
    if options.export is not None:
        export_enlarger(options.run, options.export)


if __name__ == "__main__":
    _main()
