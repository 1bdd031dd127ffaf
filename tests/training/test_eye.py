"""The objective for the eye: its loss, its gradient, a run, its finishing, its export."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import samples
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from aecodec.codec import Codec
from aecodec.coding.efforts import Effort
from aecodec.coding.refinement import Refinement
from aecodec.geometry import Box
from aecodec.model import Autoencoder, Output
from aecodec.model.gradient import error_and_gradient, squared_error
from aecodec.model.layers import lambda_of
from aecodec.networks import weights
from aecodec.networks.config import SIZES, ModelConfig
from aecodec.training import export as exporter
from aecodec.training.calibration import calibrate
from aecodec.training.checkpoint import load_ema
from aecodec.training.curvature import measure_curvature
from aecodec.training.data import Photographs, find_photographs
from aecodec.training.eye_gradient import EyeDistortion
from aecodec.training.klt import initialise_klt
from aecodec.training.loss import Eye, rate_distortion
from aecodec.training.ssimulacra2 import Ssimulacra2
from aecodec.training.ssimulacra2_batch import Ssimulacra2OfBatch
from aecodec.training.trainer import Settings, train

SETTINGS = Settings(
    size="tiny", steps=4, batch=2, crop=64, warmup=2, lr=2e-3, objective="eye", mse_share=0.5
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        for i in range(2):
            part = samples.photograph(name, (i * 130, 60, i * 130 + 192, 252))
            part.save(folder / f"{Path(name).stem}{i}.png")
    return folder


@pytest.fixture(scope="module")
def finished(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    train(photographs, run, SETTINGS, device="cpu")
    return run


@pytest.fixture(scope="module")
def exported(finished: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "mine-eye"
    exporter.export(finished, folder, photographs=photographs, pictures=6)
    return folder


def pair(h: int, w: int, noise: float = 0.02) -> tuple[Tensor, Tensor]:
    """A part of a photograph in [0,1], and the same with noise."""
    torch.manual_seed(h * 1000 + w)
    pixels = np.asarray(samples.photograph("coffee.png", (20, 20, 20 + w, 20 + h)))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255.0
    return x, (x + noise * torch.randn_like(x)).clamp(0.0, 1.0)


# --- The loss -------------------------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    x, x_hat = (torch.cat(both) for both in zip(pair(64, 80), pair(64, 80, 0.05), strict=True))
    none = torch.zeros(0)
    bits = torch.tensor([3000.0, 900.0]), torch.tensor([100.0, 50.0])
    output = Output(x_hat, *bits, none, none, none, none)
    lam = torch.tensor([0.01, 0.05])
    loss, parts = rate_distortion(output, x, lam, Eye(0.3))
    raw = [float(Ssimulacra2()(x[i : i + 1], x_hat[i : i + 1])) for i in range(2)]
    assert parts["raw"].tolist() == pytest.approx(raw, rel=1e-4)
    expected = 0.0
    for i in range(2):
        mse = float(((x[i] - x_hat[i]) ** 2).mean())
        distortion = 0.3 * 255**2 * mse + 0.7 * 2.43 * raw[i]
        bpp = float(bits[0][i] + bits[1][i]) / (64 * 80)
        expected += 0.5 * (bpp + float(lam[i]) * distortion) * (float(lam[i]) / 0.0125) ** -0.5
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_a_share_of_one_is_squared_error_and_garbage_counts_to_a_limit() -> None:
    x, x_hat = pair(64, 64)
    mse = ((x - x_hat) ** 2).mean(dim=(1, 2, 3))
    assert float(Eye(1.0)(x, x_hat, mse)[0]) == pytest.approx(255**2 * float(mse), rel=1e-6)
    found, raw = Eye(0.0)(x, torch.rand_like(x), mse)
    assert float(raw) > Eye.LIMIT
    assert float(found) == pytest.approx(2.43 * Eye.LIMIT)


@pytest.mark.parametrize("shape", [(64, 64), (96, 41), (17, 30), (8, 9)])
def test_the_quicker_measure_is_the_measure(shape: tuple[int, int]) -> None:
    """In value and gradient, at every size, where pictures are equal, and where they are black."""
    torch.manual_seed(2)
    x = torch.rand(3, 3, *shape, dtype=torch.float64)
    x[:, :, :5] = 0.0
    x_hat = (x + 0.1 * torch.randn_like(x)).clamp(0.0, 1.0)
    x_hat[1, :, :, 6:] = x[1, :, :, 6:]
    found = []
    for measure in (Ssimulacra2(), Ssimulacra2OfBatch()):
        input = x_hat.clone().requires_grad_()
        raw = measure.double()(x, input)
        (gradient,) = torch.autograd.grad((raw * torch.tensor([1.0, 2.0, 3.0])).sum(), input)
        found.append((raw.detach(), gradient))
    (raw, gradient), (same_raw, same_gradient) = found
    torch.testing.assert_close(same_raw, raw, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(same_gradient, gradient, rtol=1e-7, atol=1e-9)
    assert gradient.abs().max() > 1e-3


def test_a_few_steps_lower_the_raw_distortion(photographs: Path) -> None:
    torch.manual_seed(5)
    model = Autoencoder(SIZES["tiny"])
    source = Photographs(find_photographs(photographs), smallest=128)
    initialise_klt(model, source, crops=64, seed=0)
    rng = np.random.default_rng(1)
    crops = np.stack([source.crop(rng, 128) for _ in range(2)])
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255.0
    level = torch.full((2,), 0.6)
    lam = lambda_of(level, model.config.lambda_min, model.config.lambda_max)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    eye, seen = Eye(0.0), []
    for _ in range(12):
        loss, parts = rate_distortion(model(x, level), x, lam, eye)
        seen.append((float(loss.detach()), float(parts["raw"].detach().mean())))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    (loss_before, raw_before), (loss_after, raw_after) = np.mean(seen[:2], 0), np.mean(seen[-2:], 0)
    assert loss_after < loss_before
    assert raw_after < 0.95 * raw_before


@pytest.mark.parametrize(("name", "value"), [("objective", "ear"), ("mse_share", 1.5)])
def test_settings_that_are_none(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"objective is psnr or eye|share of squared error"):
        dataclasses.replace(SETTINGS, **{name: value})


# --- The gradient for encoders --------------------------------------------------------------------


def in_double(share: float) -> EyeDistortion:
    distortion = EyeDistortion(share)
    for name in ("rows", "absorbance", "weights"):
        setattr(distortion, name, getattr(distortion, name).double())
    return distortion


@pytest.mark.parametrize("shape", [(256, 256), (272, 304), (48, 80), (16, 16)])
def test_the_gradient_is_autograds(shape: tuple[int, int]) -> None:
    x, x_hat = (n.double() for n in pair(*shape))
    mask = torch.ones_like(x[:, :1])
    mask[:, :, : shape[0] // 3] = 0.0
    distortion = in_double(0.25)
    value, gradient = distortion(x, x_hat, mask)
    x_hat.requires_grad_()
    again, _ = distortion(x, x_hat, mask)
    (expected,) = torch.autograd.grad(again.sum(), x_hat)
    assert float(value) == float(again.detach())
    assert torch.allclose(gradient, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    assert float(gradient[:, :, : shape[0] // 3].abs().max()) == 0.0


def test_its_value_is_what_was_trained_for() -> None:
    """Where all six scales count, and nothing is masked."""
    x, x_hat = (n.double() for n in pair(256, 272))
    value, _ = in_double(0.25)(x, x_hat, torch.ones_like(x[:, :1]))
    mse = ((x - x_hat) ** 2).mean(dim=(1, 2, 3))
    eye = Eye(0.25)
    eye.measure.double()
    expected = float(eye(x, x_hat, mse)[0]) * 3 * 256 * 272 / 255**2
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_garbage_has_no_gradient_but_squared_errors() -> None:
    x, _ = pair(64, 64)
    _, gradient = EyeDistortion(0.0)(x, torch.rand_like(x), torch.ones_like(x[:, :1]))
    assert float(gradient.abs().max()) == 0.0


def test_the_gradient_by_latents_is_autograds(exported: Path) -> None:
    model, _ = load_ema(exported)
    x, _ = pair(64, 96)
    torch.manual_seed(3)
    y_hat = 0.3 * torch.randn(1, model.config.latents, 4, 6)
    level, mask, distortion = torch.tensor([0.5]), torch.ones(1, 1, 64, 96), EyeDistortion(0.25)
    _, found = error_and_gradient(model.synthesis, y_hat, level, x, mask, distortion)
    y_hat.requires_grad_()
    shown = model.synthesis(y_hat, level)
    inside = (shown > 0.0) & (shown < 1.0)
    x_hat = torch.where(inside, shown, shown.detach().clamp(0.0, 1.0))
    (expected,) = torch.autograd.grad(distortion(x, x_hat, mask)[0].sum(), y_hat)
    # Values beyond black and white are felt where that leads back: few here.
    assert torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), 0) > 0.99


def test_the_curvature_is_the_gradients_slope(exported: Path) -> None:
    """For squared error, whose gradient is nearly straight, both ways to measure it agree."""
    model, _ = load_ema(exported)
    codec = Codec(weights.load(exported))
    pictures = [np.asarray(samples.photograph("coffee.png", (0, 0, 64, 64)))]

    def same(x: Tensor, x_hat: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return squared_error(x, x_hat, mask)

    products = measure_curvature(model, codec, pictures)
    differences = measure_curvature(model, codec, pictures, same)
    assert products.shape == differences.shape == (101, model.config.latents)
    assert np.median(differences[60:] / products[60:]) == pytest.approx(1.0, abs=0.25)


# --- Runs -----------------------------------------------------------------------------------------


def test_a_stopped_run_ends_in_the_same_weights(photographs: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        train(photographs, tmp_path / "straight", SETTINGS, device="cpu", threads=1)
        for _ in range(SETTINGS.steps or 0):  # one step each
            train(photographs, tmp_path / "run", SETTINGS, device="cpu", threads=1, stop_after=0)
    finally:
        torch.set_num_threads(threads)
    straight, stopped = (
        load_file(tmp_path / name / "checkpoint.safetensors") for name in ("straight", "run")
    )
    assert straight.keys() == stopped.keys()
    for name, value in straight.items():
        assert torch.equal(value, stopped[name]), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "psnr"}, "begun for --objective eye --mse-share 0.5; choose another --out"),
        ({"mse_share": 0.25}, "begun for --objective eye --mse-share 0.5; choose another --out"),
    ],
)
def test_a_run_keeps_its_objective(
    finished: Path, photographs: Path, changes: dict[str, Any], said: str
) -> None:
    before = (finished / "checkpoint.safetensors").read_bytes()
    with pytest.raises(ValueError, match=said):
        train(photographs, finished, dataclasses.replace(SETTINGS, **changes), device="cpu")
    assert (finished / "checkpoint.safetensors").read_bytes() == before


def test_finishing_is_for_the_same_objective(
    finished: Path, photographs: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, finish=True, steps=2)
    other = dataclasses.replace(settings, objective="psnr")
    noisy = dataclasses.replace(settings, noise=(0.0, 9.0))
    for wrong in (other, noisy):
        with pytest.raises(ValueError, match=r"trained with --objective eye --mse-share 0\.5"):
            train(photographs, tmp_path, wrong, device="cpu", start_from=finished)
    result = train(photographs, tmp_path, settings, device="cpu", start_from=finished)
    assert result["finish"]
    assert all(-1000 < point["ssimulacra2"] < 100 for point in result["curve"])
    before, _ = load_ema(finished)
    after = load_file(tmp_path / "checkpoint.safetensors")
    for name, value in before.named_parameters():
        if name.startswith(("analysis.", "hyper_analysis.", "log_gain.")):
            assert torch.equal(value, after[f"model.{name}"]), name
    assert not torch.equal(
        before.state_dict()["synthesis.output.weight"], after["model.synthesis.output.weight"]
    )


# --- The export -----------------------------------------------------------------------------------


def test_an_export_says_what_it_is_for(exported: Path) -> None:
    found = weights.load(exported)
    assert found.config.objective == "eye"
    card = (exported / "README.md").read_text()
    assert "for the eye: 50% squared error" in card
    assert "the mean SSIMULACRA 2 of JPEG 4:2:0" in card
    model, facts = load_ema(exported)  # training goes on from it
    assert facts["settings"]["objective"] == "eye"
    written = load_file(exported / "tables.safetensors")["y_thresholds"]
    assert torch.equal(written, model.thresholds())
    assert 0.5 < float(written.max()) < 0.68  # for squared error some are above 0.7
    assert set(dict(model.named_parameters())) == set(
        dict(Autoencoder(model.config).named_parameters())
    )


def test_configs_from_before_were_for_squared_error() -> None:
    values = dataclasses.asdict(SIZES["tiny"])
    del values["objective"]
    assert ModelConfig.from_dict(values).objective == "psnr"
    with pytest.raises(ValueError, match="unknown or missing entries: name"):
        ModelConfig.from_dict({k: v for k, v in values.items() if k != "name"})


def test_the_graph_gives_what_torch_gives(exported: Path) -> None:
    model, facts = load_ema(exported)
    codec = Codec(weights.load(exported))
    x, _ = pair(64, 96)
    rng = np.random.default_rng(2)
    v_hat = rng.normal(0, 1, (1, model.config.latents, 4, 6)).astype(np.float32)
    point = codec.weights.at(50)
    gain, level = point.gain[None], point.level
    pixels = np.ascontiguousarray((255 * x[0].permute(1, 2, 0)).round().numpy().astype(np.uint8))
    mask = np.ones((1, 1, 64, 96), np.float32)
    value, gradient = codec.tiles.runtime.run(
        "synthesis_gradient",
        v_hat=v_hat,
        inverse_gain=1.0 / gain,
        level=level,
        x=pixels[None],
        mask=mask,
    )
    expected, slope = error_and_gradient(
        model.synthesis,
        torch.from_numpy(v_hat / gain),
        torch.from_numpy(level),
        x,
        torch.from_numpy(mask),
        EyeDistortion(facts["settings"]["mse_share"]),
    )
    assert value[0] == pytest.approx(float(expected), rel=1e-3)
    scale = float(slope.detach().abs().max())
    assert np.abs(gradient - slope.detach().numpy()).max() < 0.01 * scale


def test_effort_lowers_what_was_trained_for(exported: Path) -> None:
    codec = Codec(weights.load(exported))
    rgb = np.asarray(samples.photograph("coffee.png", (40, 40, 168, 136)))
    box = Box.of(rgb.shape)
    y = codec.tiles.analyse(rgb, box)
    point = codec.weights.at(60)
    plain = codec.tiles.quantise(y, point)
    refined = Refinement(codec.tiles, rgb, box, y, plain.v_hat.copy(), point).run(Effort(0, 6))

    def cost(latents: Any) -> float:
        shown = codec.tiles.transforms.synthesise(latents.v_hat, box, point)
        x, x_hat = (torch.from_numpy(n.copy()).permute(2, 0, 1)[None] / 255.0 for n in (rgb, shown))
        value, _ = EyeDistortion(0.5)(x, x_hat, torch.ones_like(x[:, :1]))
        return codec.tiles.rate(latents, point) / point.bits_per_error + float(value)

    assert cost(refined) < cost(plain)


def test_quality_is_calibrated_by_score_for_the_eye() -> None:
    """Of a codec that is JPEG, at another quality than it is asked for."""
    pictures = [np.asarray(samples.photograph(name)) for name in ("coffee.png", "chelsea.png")]
    level = np.linspace(0.0, 1.0, 101, dtype=np.float32)

    def synthesise(v_hat: tuple[np.ndarray, int], box: object, point: object) -> np.ndarray:
        rgb, quality = v_hat
        file = io.BytesIO()
        own = max(1.0, 100 * level[quality] ** 0.8)  # what it calls 42 is JPEG's 50
        Image.fromarray(rgb).save(file, "JPEG", quality=round(own), optimize=True)
        return np.asarray(Image.open(file).convert("RGB"))

    def jpeg(objective: str) -> Any:
        return SimpleNamespace(
            weights=SimpleNamespace(
                config=SimpleNamespace(objective=objective), level=level, at=lambda quality: quality
            ),
            tiles=SimpleNamespace(
                analyse=lambda rgb, box: rgb,
                quantise=lambda y, quality: SimpleNamespace(v_hat=(y, quality)),
                transforms=SimpleNamespace(synthesise=synthesise),
            ),
        )

    white = np.full((64, 64, 3), 255, np.uint8)  # equal pictures have no PSNR to be as good as
    with pytest.raises(ValueError, match="no picture to calibrate on"):
        calibrate(jpeg("psnr"), [white])
    for objective in ("eye", "psnr"):
        found = calibrate(jpeg(objective), [*pictures, white])
        for q in (20, 50, 80):
            assert 100 * found[q] ** 0.8 == pytest.approx(q, abs=3)
