"""Synthetic noise, the training of the denoiser, and `aecodec train --noise`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import samples
import torch
from command import run
from PIL import Image
from safetensors.torch import load_file

from aecodec.geometry import Box
from aecodec.networks.config import SIZES
from aecodec.networks.denoiser import Denoiser as Runs
from aecodec.networks.runtime import Options, Runtime
from aecodec.training import trainer
from aecodec.training.checkpoint import Run, Settings, read_facts
from aecodec.training.denoiser import (
    WEIGHTS,
    DenoiserSettings,
    export_denoiser,
    train_denoiser,
)
from aecodec.training.noise import add_noise, demosaic_noise
from aecodec.training.validation import Validation


@pytest.mark.parametrize("camera", [0.0, 1.0])
def test_noise_has_the_deviation_that_is_said(camera: float) -> None:
    torch.manual_seed(1)
    clean = torch.full((8, 3, 48, 48), 0.5)
    made = add_noise(clean, torch.full((8,), 10.0 / 255.0), camera, 0.0)
    found = (made.noisy - made.clean).square().mean(dim=(1, 2, 3)).sqrt()
    said = made.deviation.square().mean(dim=(1, 2, 3)).sqrt()
    assert torch.allclose(found, said, rtol=0.2)
    # 8 bits, and within the range.
    assert torch.equal(made.noisy, (made.noisy * 255.0).round() / 255.0)
    assert made.noisy.min() >= 0.0 and made.noisy.max() <= 1.0


@pytest.mark.parametrize("malvar", [False, True])
def test_a_cameras_noise_is_correlated_and_that_of_green_is_the_finest(malvar: bool) -> None:
    torch.manual_seed(1)
    noise = demosaic_noise(torch.randn(1, 1, 128, 128), malvar=malvar, shift=(0, 0))[0]
    assert torch.allclose(noise.square().mean(dim=(1, 2)), torch.ones(3), atol=1e-4)
    beside = (noise[:, :, 1:] * noise[:, :, :-1]).mean(dim=(1, 2))
    assert (beside > 0.2).all()
    assert beside[1] < beside[0]
    assert 0.0 < (noise[0] * noise[1]).mean() < 0.8


def test_grey_crops_have_the_same_noise_in_all_channels() -> None:
    torch.manual_seed(1)
    made = add_noise(torch.rand(4, 3, 32, 32), torch.full((4,), 0.1), camera=1.0, grey=1.0)
    for pixels in (made.clean, made.noisy):
        assert torch.equal(pixels[:, 0], pixels[:, 1])


def test_the_encoder_sees_the_noise_and_the_loss_the_clean_crop(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen, wanted = [], []
    measure, forward = trainer.rate_distortion, trainer.Autoencoder.forward

    def measured(output, x, lam, eye):  # type: ignore[no-untyped-def]
        wanted.append(x.detach())
        return measure(output, x, lam, eye)

    def run_forward(self, x, *args, **options):  # type: ignore[no-untyped-def]
        if self.training:
            seen.append(x.detach())
        return forward(self, x, *args, **options)

    monkeypatch.setattr(trainer, "rate_distortion", measured)
    monkeypatch.setattr(trainer.Autoencoder, "forward", run_forward)
    settings = Settings(
        size="tiny", steps=2, batch=2, crop=64, start="random", validation=1, noise=(25.0, 25.0)
    )
    trainer.train(photographs, tmp_path / "run", settings, device="cpu")
    for x, clean in zip(seen, wanted, strict=True):
        assert 15.0 < 255.0 * float((x - clean).square().mean().sqrt()) < 30.0
    # The run says what it was trained for.
    facts = read_facts(tmp_path / "run" / "checkpoint.safetensors")
    assert facts["settings"]["noise"] == [25.0, 25.0]
    said = re.escape("the run was begun for --objective psnr --noise 25:25; choose another --out")
    with pytest.raises(ValueError, match=said):
        Run(tmp_path / "run", replace(settings, noise=None), SIZES["tiny"]).load()


def test_validation_gives_the_model_the_same_noise_each_time(photographs: Path) -> None:
    held_out = sorted(photographs.glob("*.png"))[:2]
    validation = Validation(held_out, noise=(20.0, 30.0))
    pixels = validation.pictures[0]
    torch.manual_seed(3)
    first = validation._with_noise(pixels, 0)
    after = torch.rand(1)
    torch.manual_seed(4)
    assert torch.equal(validation._with_noise(pixels, 0), first)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), after)  # the training's own noise does not depend on it
    clean = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255.0
    assert 15.0 < 255.0 * float((first - clean).square().mean().sqrt()) < 30.0


def test_validation_leaves_out_what_has_no_psnr(photographs: Path, tmp_path: Path) -> None:
    """A blank page counted as 138 dB in the curve of JPEG."""
    Image.new("RGB", (128, 128), "white").save(tmp_path / "blank.png")
    (photograph,) = sorted(photographs.glob("*.png"))[:1]
    alone, both = Validation([photograph]), Validation([photograph, tmp_path / "blank.png"])
    assert both.jpeg == alone.jpeg
    assert len(both.sizes) == 2
    assert len(Validation([tmp_path / "blank.png"]).pictures) == 1


@pytest.mark.parametrize("wrong", ["5", "30:5", "0:256"])
def test_what_is_no_range_is_refused_in_one_line(photographs: Path, here: Path, wrong: str) -> None:
    done = run("train", photographs, "--out", "run", "--steps", "1", "--noise", wrong)
    assert done.returncode == 2
    assert f"{wrong!r} is no range of noise: give LOW:HIGH".encode() in done.stderr
    assert not Path("run").exists()


def test_the_denoiser_learns_and_its_export_computes_the_same(
    photographs: Path, tmp_path: Path
) -> None:
    settings = DenoiserSettings(steps=8, batch=4, crop=32)
    train_denoiser(photographs, tmp_path / "run", settings)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["done"] < lines[-1]["done"] == 1.0
    assert lines[-1]["step"] == 8
    assert lines[-1]["white 50"]["psnr"] > lines[0]["white 50"]["psnr"]
    export_denoiser(tmp_path / "run", tmp_path / "denoiser")
    network = Runs(Runtime(tmp_path / "denoiser", Options(threads=1, device="cpu")))
    rgb = np.asarray(samples.photograph("astronaut.png", (0, 0, 96, 64)))
    deviation, certainty = network.estimate(rgb)
    assert deviation.shape == certainty.shape == (8, 12)
    made = network.denoise(rgb, Box(8, 8, 40, 30), np.zeros(9, np.float32))
    assert np.array_equal(made, rgb[8:38, 8:48])  # no noise: the picture stays what it is
    # A later training goes on from what was exported: weights of 16 bits.
    again = DenoiserSettings(steps=1, batch=2, crop=32, start_from=tmp_path / "denoiser", lr=0.0)
    train_denoiser(photographs, tmp_path / "again", again)
    old, new = (load_file(tmp_path / name / WEIGHTS) for name in ("run", "again"))
    assert old.keys() == new.keys()
    for name, value in old.items():
        assert torch.allclose(new[name], value, rtol=1e-3, atol=1e-6)
