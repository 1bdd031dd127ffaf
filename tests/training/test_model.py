"""The torch definition: what must hold before any training, and by construction."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import samples
import torch
import torch.nn.functional as F
from PIL import Image

from aecodec.model import Autoencoder
from aecodec.model.autoencoder import Output
from aecodec.model.layers import Block, LevelTable, lambda_of, lower_bound, round_ste
from aecodec.model.transforms import clamp_pixels
from aecodec.networks.config import SIZES, Blocks, ModelConfig
from aecodec.training.data import Photographs
from aecodec.training.klt import initialise_klt
from aecodec.training.loss import draw_levels

TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        paths.append(folder / name)
        samples.photograph(name, (0, 0, 400, 300)).save(paths[-1])
    return Photographs(paths, smallest=64)


@pytest.fixture(scope="module")
def klt(photographs: Photographs) -> Autoencoder:
    model = Autoencoder(dataclasses.replace(TINY, latents=128))
    initialise_klt(model, photographs, crops=64, seed=0)
    return model.eval()


def picture() -> torch.Tensor:
    part = np.asarray(samples.photograph("astronaut.png", (128, 0, 384, 192)))
    return torch.from_numpy(part.copy()).permute(2, 0, 1)[None] / 255.0


def test_config_survives_json_and_refuses_strangers() -> None:
    import json

    values = json.loads(TINY.to_json())
    assert ModelConfig.from_dict(values) == TINY
    with pytest.raises(ValueError, match="surprise"):
        ModelConfig.from_dict({**values, "surprise": 1})
    with pytest.raises(ValueError, match="pairs of widths"):
        ModelConfig.from_dict({**values, "analysis8": [32, 32]})
    del values["latents"]
    with pytest.raises(ValueError, match="latents"):
        ModelConfig.from_dict(values)


def test_base_has_more_than_twice_the_multiplications() -> None:
    def per_pixel(config: ModelConfig) -> float:
        def hidden(blocks: Blocks) -> int:
            return sum(2 * depthwise + 3 * gated for depthwise, gated in blocks)

        at8 = config.stream8 * (hidden(config.analysis8 + config.synthesis8) + 2 * 192)
        at16 = config.latents * hidden(config.analysis16 + config.synthesis16)
        at16 += 2 * 4 * config.stream8 * config.latents
        return at8 / 64 + at16 / 256

    assert 2.0 < per_pixel(SIZES["base"]) / per_pixel(SIZES["small"]) < 3.0
    parameters = sum(p.numel() for p in Autoencoder(SIZES["base"]).parameters())
    assert 2 * parameters < 16e6


def test_rounding_passes_gradients_straight_through() -> None:
    x = torch.tensor([0.2, 1.7, -2.5], requires_grad=True)
    rounded = round_ste(x)
    rounded.sum().backward()
    assert torch.equal(rounded.detach(), torch.tensor([0.0, 2.0, -2.0]))
    assert torch.equal(x.grad, torch.ones(3))


def test_lower_bound_lets_only_lifting_gradients_through() -> None:
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    lower_bound(x, 0.0).sum().backward()
    assert torch.equal(x.grad, torch.tensor([0.0, 1.0]))
    x.grad = None
    (-lower_bound(x, 0.0)).sum().backward()
    assert torch.equal(x.grad, torch.tensor([-1.0, -1.0]))


def test_a_new_block_is_the_identity() -> None:
    x = torch.randn(2, 16, 5, 6)
    assert torch.equal(Block(16, 24, 20, 1.0)(x), x)


@pytest.mark.parametrize("branch", ["w2", "v2"])
def test_no_branch_answers_beyond_its_limit(branch: str) -> None:
    """However far x lies from everything in training, a block's part stays bounded."""
    torch.manual_seed(1)
    block = Block(16, 24, 20, 0.5)
    last = getattr(block, branch)
    torch.nn.init.normal_(last.weight)
    x = 1e6 * torch.randn(1, 16, 5, 5)
    with torch.no_grad():
        most = 0.5 * last.weight.abs().sum(dim=(1, 2, 3)).reshape(1, -1, 1, 1)
        assert bool(((block(x) - x).abs() <= most * 1.1 + 0.5).all())
        block.limit = float("inf")
        assert float((block(x) - x).abs().max()) > 1e5


def test_level_tables_are_linear_between_anchors() -> None:
    table = LevelTable(5, 2)
    with torch.no_grad():
        table.table.copy_(torch.arange(10.0).reshape(5, 2))
    got = table(torch.tensor([0.0, 0.125, 0.5, 1.0]))[:, :, 0, 0]
    assert torch.allclose(got, torch.tensor([[0.0, 1.0], [1.0, 2.0], [4.0, 5.0], [8.0, 9.0]]))


def test_levels_are_positions_in_log_lambda() -> None:
    levels = torch.linspace(0, 1, 7)
    found = torch.log(lambda_of(levels, 4e-4, 0.5))
    even = torch.linspace(math.log(4e-4), math.log(0.5), 7)
    assert torch.allclose(found, even, atol=1e-5)
    drawn = draw_levels(torch.rand(1000, 2), TINY)
    assert 0 <= drawn.min() < 0.1 < 0.9 < drawn.max() <= 1


def test_klt_start_is_already_a_codec(klt: Autoencoder) -> None:
    x = picture()
    with torch.no_grad():
        previous = None
        for level in (0.2, 0.5, 0.8):
            output = klt(x, torch.tensor([level]), noise=False)
            mse = F.mse_loss(output.x_hat, x)
            psnr = float(-10 * torch.log10(mse))
            bpp = float(output.y_bits + output.z_bits) / (x.shape[2] * x.shape[3])
            if previous:
                assert psnr > previous[0] + 1
                assert bpp > previous[1]
            previous = (psnr, bpp)
    assert previous[0] > 30


def test_klt_transform_keeps_lengths(klt: Autoencoder) -> None:
    x = picture()
    with torch.no_grad():
        y = klt.analysis(x)
        back = klt.synthesis(y, torch.tensor([0.5]))
    lost = ((x - back) ** 2).sum()
    energy = ((x - 0.5) ** 2).sum()
    assert torch.allclose(energy, (y**2).sum() + lost, rtol=1e-3)
    assert lost < 0.01 * energy


@torch.no_grad()
def test_the_likelihood_is_a_distribution() -> None:
    model = Autoencoder(TINY)
    symbols = torch.arange(-3000, 3001, dtype=torch.float64)
    for index in (0, 20, 45, 60):
        scale = torch.tensor(TINY.scale_log2_min + TINY.scale_log2_step * index)
        assert float(model.mass(symbols, scale).sum()) == pytest.approx(1.0, abs=1e-4)
    z = torch.arange(-400.0, 401.0).reshape(1, 1, 1, -1).expand(1, TINY.hyper_latents, 1, -1)
    bits = model.z_prior(z, torch.tensor([0.3]))
    assert float(torch.exp2(-bits).sum(dim=3).mean()) == pytest.approx(1.0, abs=1e-3)


def test_rate_with_rounded_symbols_is_what_the_scales_say(klt: Autoencoder) -> None:
    with torch.no_grad():
        output = klt(picture(), torch.tensor([0.6]), noise=False)
        bits = klt.y_bits_of(torch.round(output.symbols), output.index)
    assert float(bits.sum()) == pytest.approx(float(output.y_bits), rel=1e-5)


def test_gradients_reach_every_parameter(klt: Autoencoder) -> None:
    model = Autoencoder(klt.config)
    model.load_state_dict(klt.state_dict())
    with torch.no_grad():  # leave the identity, where half of the branches have no gradient yet
        for p in model.parameters():
            p.add_(0.01 * torch.randn_like(p))
    output = model(picture(), torch.tensor([0.45]))
    (
        output.y_bits.sum() + output.z_bits.sum() + 1e5 * F.mse_loss(output.x_hat, picture())
    ).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_finishing_reaches_what_a_decoder_has_and_nothing_else(klt: Autoencoder) -> None:
    output = klt(torch.rand(1, 3, 64, 64), torch.tensor([0.5]), finish=True)
    (output.x_hat.square().mean() + output.y_bits.sum() + output.z_bits.sum()).backward()
    encoder = ("analysis.", "hyper_analysis.", "log_gain.", "log_std")
    for name, p in klt.named_parameters():
        assert (p.grad is None) == name.startswith(encoder), name
    klt.zero_grad()


def test_finishing_takes_the_symbols_that_are_coded(klt: Autoencoder) -> None:
    """Of small ones those worth their bits; and the rate is theirs, without a noise."""
    x, level = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    output = klt(x, level, finish=True)
    kept, whole = output.coded, torch.round(output.symbols)
    assert ((kept == whole) | (kept == 0)).all()
    gone = (kept == 0) & (whole != 0)
    assert gone.any()
    assert output.symbols[gone].abs().max() < klt.thresholds().max()
    torch.testing.assert_close(output.y_bits, klt.y_bits_of(kept, output.index).sum(dim=(1, 2, 3)))
    plain = klt(x, level, noise=False)
    assert torch.equal(plain.coded, torch.round(plain.symbols))


@torch.no_grad()
def test_tiles_know_nothing_of_each_other(
    klt: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = torch.tensor([0.5, 0.7])
    y = klt.analysis(torch.cat([picture()[..., :128], picture()[..., 128:]]))
    other = y.clone()
    other[..., 4:] = y[..., 4:].flip(2)
    drawn: list[torch.Tensor] = []

    def coded(y: torch.Tensor, tiles: tuple[int, int]) -> Output:
        monkeypatch.setattr(klt.analysis, "forward", lambda x: y)
        monkeypatch.setattr(klt.synthesis, "forward", lambda y_hat, _: drawn.append(y_hat) or y_hat)
        return klt(torch.empty(0), level, noise=False, finish=True, tiles=tiles)

    for tiles in ((1, 2), (3, 2)):
        one, two = coded(y, tiles), coded(other, tiles)
        for name in ("symbols", "index", "coded"):
            first, second = getattr(one, name), getattr(two, name)
            assert first.shape == y.shape
            assert torch.equal(first[..., :4], second[..., :4])
            assert not torch.equal(first[..., 4:], second[..., 4:])
        assert torch.equal(one.z[..., :1], two.z[..., :1])
        one, two = drawn[-2:]
        assert one.shape == y.shape and torch.equal(one[..., :4], two[..., :4])
        assert (one[..., 4:] - y[..., 4:]).abs().max() < (one[..., 4:] - two[..., 4:]).abs().max()
    one, two = coded(y, (1, 1)), coded(other, (1, 1))
    assert not torch.equal(one.index[..., :4], two.index[..., :4])


def test_thresholds_rise_with_what_a_symbol_costs(klt: Autoencoder) -> None:
    least = klt.thresholds()
    assert 0.7 < least[0] < 0.85  # nearly always zero: anything else is dear
    assert (torch.diff(least) <= 0).all()
    assert float(least[-1]) == pytest.approx(0.5, abs=1e-3)  # as good as uniform around zero


@pytest.mark.parametrize(("objective", "dearest"), [("psnr", 0.85), ("eye", 0.675)])
def test_no_threshold_is_above_the_dearest(objective: str, dearest: float) -> None:
    model = Autoencoder(SIZES["tiny"])
    model.objective = objective
    with torch.no_grad():
        model.tail[0] -= 2.0  # so narrow that anything but 0 is next to impossible
    assert float(model.thresholds()[0]) == pytest.approx(dearest)


def test_pixels_are_rounded_and_clamped() -> None:
    x = torch.tensor([-0.3, 0.0, 0.5, 0.999, 7.0])
    assert clamp_pixels(x).tolist() == [0.0, 0.0, 128.0, 255.0, 255.0]


def test_small_pictures_are_skipped_and_counted(tmp_path) -> None:
    Image.new("RGB", (50, 300)).save(tmp_path / "narrow.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    samples.photograph().save(tmp_path / "good.png")
    found = Photographs(sorted(tmp_path.iterdir()), smallest=64)
    assert (len(found), found.skipped) == (1, 2)
