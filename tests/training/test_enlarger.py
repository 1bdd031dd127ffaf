"""The training of the network that enlarges pictures, and its export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import samples
import torch
from safetensors.torch import load_file

from aecodec.geometry import Box
from aecodec.image.rgb import doubled
from aecodec.model.enlarger import Enlarger
from aecodec.networks.enlarger import Enlarger as Runs
from aecodec.networks.runtime import Options, Runtime
from aecodec.training.enlarger import (
    EnlargerSettings,
    Pair,
    _planes,
    _Training,
    export_enlarger,
    pairs,
    train_enlarger,
)


def test_it_starts_as_lanczos() -> None:
    rgb = np.asarray(samples.photograph())
    with torch.no_grad():
        made = Enlarger()(_planes([rgb]), torch.tensor([0.5])).clamp(0.0, 1.0)
    apart = 255.0 * (made - _planes([doubled(rgb)])).abs()[:, :, 8:-8, 8:-8]
    assert apart.mean() < 0.6 and apart.max() < 12.0  # the outermost of six taps is left out


def test_pairs_fit_each_other(photographs: Path) -> None:
    found = pairs(sorted(photographs.iterdir()), np.random.default_rng(1), 0.5)
    for small, whole, quality in found:
        assert whole.shape == (2 * small.shape[0], 2 * small.shape[1], 3)
        assert 20 <= quality <= 100
        apart = doubled(small).astype(float) - whole
        assert 10.0 * np.log10(255.0**2 / np.square(apart).mean()) > 20.0


def test_it_learns_what_interpolation_misses() -> None:
    small = np.asarray(samples.photograph())
    darker = (doubled(small) * 0.8).astype(np.uint8)
    settings = EnlargerSettings(batch=4, crop=16, ema=0.5)
    training = _Training([Pair(small, darker, 70)], settings)
    losses = []
    for _ in range(30):
        training.take_step(0.0)
        losses.append(training.loss)
    assert losses[-1] < losses[0] - 0.5  # the logarithm of the squared error


def test_a_run_and_its_export(photographs: Path, tmp_path: Path) -> None:
    settings = EnlargerSettings(steps=6, batch=4, crop=24, megapixels=0.1, eye_from=0.5)
    train_enlarger(photographs, tmp_path / "run", settings)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["done"] < lines[-1]["done"] == 1.0
    assert lines[-1]["step"] == 6
    export_enlarger(tmp_path / "run", tmp_path / "enlarger")
    network = Runs(Runtime(tmp_path / "enlarger", Options(threads=1, device="cpu")))
    rgb = np.asarray(samples.photograph("astronaut.png", (0, 0, 96, 64)))
    made = network.enlarge(rgb, Box.of(rgb.shape), 75)
    net = Enlarger()
    net.load_state_dict(load_file(tmp_path / "run" / "enlarger.safetensors"))
    with torch.no_grad():
        expected = 255.0 * net(_planes([rgb]), torch.tensor([0.75])).clamp(0.0, 1.0)
    apart = (torch.from_numpy(made).permute(2, 0, 1) - expected[0]).abs()
    assert apart.max() < 1.5  # rounding, and weights in float16
