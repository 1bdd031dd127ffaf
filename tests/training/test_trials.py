"""The trials of the recipe differ from it in what they are about, and in nothing else."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import samples
import torch
from paths import BENCHMARKS

from aecodec.model import Autoencoder
from aecodec.networks.config import SIZES
from aecodec.training.data import Photographs
from aecodec.training.klt import initialise_klt

CONFIG = dataclasses.replace(SIZES["tiny"], latents=128)


@pytest.fixture(scope="module")
def trials() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import trials

        yield trials
    finally:
        sys.path.remove(str(BENCHMARKS))


def begun(kind: type[Autoencoder], folder: Path) -> Autoencoder:
    """A model of that kind at its KLT start."""
    samples.photograph("astronaut.png", (0, 0, 400, 300)).save(folder / "a.png")
    torch.manual_seed(0)
    model = kind(CONFIG)
    initialise_klt(model, Photographs([folder / "a.png"], smallest=64), crops=32, seed=0)
    return model.eval()


def picture() -> torch.Tensor:
    part = np.asarray(samples.photograph("astronaut.png", (128, 0, 256, 128)))
    return torch.from_numpy(part.copy()).permute(2, 0, 1)[None] / 255.0


def test_haar_is_orthonormal_and_begins_with_the_mean(trials: ModuleType) -> None:
    for size in (2, 4, 8):
        basis = trials.haar(size)
        torch.testing.assert_close(basis @ basis.T, torch.eye(size))
        torch.testing.assert_close(basis[0], torch.full((size,), size**-0.5))


@pytest.mark.parametrize("name", ["HaarAutoencoder", "LappedAutoencoder"])
def test_other_shuffles_start_as_the_same_transform(
    trials: ModuleType, tmp_path: Path, name: str
) -> None:
    plain, other = begun(Autoencoder, tmp_path), begun(getattr(trials, name), tmp_path)
    x = picture()
    with torch.no_grad():
        y = plain.analysis(x)
        torch.testing.assert_close(other.analysis(x), y, atol=1e-4, rtol=1e-4)
        level = torch.tensor([0.5])
        expected = plain.synthesis(y, level)
        torch.testing.assert_close(other.synthesis(y, level), expected, atol=1e-4, rtol=1e-4)
    # Weights of their own: what is drawn from them moves with them.
    part = getattr(other, "wide_up", None) or other.synthesis.up
    with torch.no_grad():
        part.weight.mul_(2.0)
        assert not torch.allclose(other.synthesis(y, level), expected, atol=1e-3)


def test_two_steps_are_the_recipe(trials: ModuleType) -> None:
    torch.manual_seed(0)
    plain = Autoencoder(CONFIG).eval()
    torch.nn.init.normal_(plain.scale_network.correction.weight)
    prior = trials.Prior(CONFIG, 2).eval()
    state = {k.replace("context.", "contexts.0."): v for k, v in plain.state_dict().items()}
    # The recipe is told the parity as one number, the trials the position as one of two.
    weight = state["contexts.0.parity.weight"]
    state["contexts.0.parity.weight"] = torch.cat([torch.zeros_like(weight), weight], dim=1)
    prior.load_state_dict(state)
    with torch.no_grad():
        for network in (plain.context.output, prior.contexts[0].output):
            torch.nn.init.constant_(network.weight, 0.01)
        x, level = picture(), torch.tensor([0.6])
        one, other = (model(x, level, noise=False) for model in (plain, prior))
    torch.testing.assert_close(other.y_bits, one.y_bits)
    torch.testing.assert_close(other.z_bits, one.z_bits)
    torch.testing.assert_close(other.x_hat, one.x_hat)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_steps_share_the_latents_evenly(trials: ModuleType, steps: int) -> None:
    turn, place = trials.Prior(CONFIG, steps).turns(torch.zeros(1, 8, 4, 4))
    assert torch.bincount(turn.ravel()).tolist() == [8 * 16 // steps] * steps
    assert torch.equal(place.argmax(dim=1)[0], turn[0, 0])
    for channel in turn[0]:  # in any cell of 2x2, as many different steps as there can be
        assert len(channel[:2, :2].unique()) == steps


def test_the_loss_is_the_training_s_at_its_own_weight(trials: ModuleType) -> None:
    from aecodec.training.loss import rate_distortion

    x, level = picture(), torch.tensor([0.6])
    with torch.no_grad():
        output = Autoencoder(CONFIG)(x, level, noise=False)
    lam = torch.tensor([0.1])
    expected, _ = rate_distortion(output, x, lam)
    assert trials.weighted(-0.5)(output, x, lam)[0] == pytest.approx(float(expected))
    assert trials.weighted(0.0)(output, x, lam)[0] > 1.5 * expected


def test_drawn_from_what_was_recorded(
    trials: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "ROOT", tmp_path)
    rows = [
        {"name": name, "steps": 5, "bd_rate_jpeg": rate}
        for name, rate in (("the recipe", -10.0), ("one that lost", -8.5), ("no range", None))
    ]
    trials.record("whole", "what", rows)
    assert json.loads((tmp_path / "trials-whole.json").read_text())["trials"] == rows
    trials.draw()
    assert "<svg" in (tmp_path / "trials.svg").read_text()
