"""Effort: the written-out gradient, the descent, and what more effort buys."""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import bitstream, codec
from aecodec.codec import EFFORTS, Codec
from aecodec.coding import refinement
from aecodec.coding.refinement import Refinement, Soft, anneal, descend
from aecodec.entropy.padding import TileShape
from aecodec.geometry import Box
from aecodec.image.load import load
from aecodec.networks import weights
from aecodec.networks.config import SIZES


@pytest.fixture(scope="module")
def coder() -> Codec:
    """With weights for squared error: `test_refinement_eye.py` is about those for the eye."""
    return Codec(weights.by_name("small"))


def j_of(coder: Codec, picture: Image.Image, data: bytes, quality: int) -> float:
    """What the encoder minimises, from the file itself: bits + lambda 255^2 error."""
    restored = np.asarray(coder.decode(bitstream.parse(data)), np.float64)
    error = ((restored - np.asarray(picture)) / 255.0) ** 2
    return 8.0 * len(data) + coder.weights.at(quality).bits_per_error * float(error.sum())


@pytest.mark.parametrize("quality", [20, 50, 85])
def test_more_effort_makes_better_files(coder: Codec, quality: int) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 280, 232))
    found = [
        j_of(coder, picture, coder.compress(picture, quality, effort=effort), quality)
        for effort in (1, 2, 4, 6)
    ]
    assert all(later <= earlier * 1.001 for earlier, later in itertools.pairwise(found))
    assert found[-1] < 0.99 * found[0]


@pytest.mark.parametrize("effort", [4, 6])
def test_tiles_are_refined_with_their_neighbours_in_sight(coder: Codec, effort: int) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 296, 200))
    plain, refined = (coder.compress(picture, 60, effort=e, tile_size=64) for e in (1, effort))
    assert len(bitstream.parse(refined).tiles) == 12
    assert j_of(coder, picture, refined, 60) < 0.99 * j_of(coder, picture, plain, 60)
    restored = np.asarray(coder.decode(bitstream.parse(refined)), int)
    error = np.abs(restored - np.asarray(picture)).mean(axis=2)
    at_borders = error[:, [63, 64, 127, 128, 191, 192]].mean()
    assert at_borders < 1.3 * error.mean() + 0.2


@pytest.mark.parametrize("box", [Box(128, 64, 128, 128), Box(0, 192, 128, 138)])
def test_errors_are_the_same_by_strips(
    coder: Codec, monkeypatch: pytest.MonkeyPatch, box: Box
) -> None:
    """Memory is bounded by taking a tile's errors strip by strip; nothing else may change."""
    rgb = load(samples.photograph(box=(0, 0, 400, 330))).rgb
    tiles, point = coder.tiles, coder.weights.at(60)
    v_hat = tiles.quantise(tiles.analyse(rgb, Box.of(rgb.shape)), point).v_hat
    found = []
    for height in (640, 64):
        monkeypatch.setattr(refinement, "STRIP", height)
        refined = Refinement(tiles, rgb, box, tiles.analyse(rgb, box), v_hat, point)
        found.append(refined.run(EFFORTS[3]).symbols)
    for whole, strips in zip(*found, strict=True):
        assert np.count_nonzero(whole) > 100
        assert np.mean(whole != strips) < 1e-3  # gradients are sums of floats


def test_a_size_that_is_no_multiple_of_anything(coder: Codec) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 123, 91))
    plain, refined = (coder.compress(picture, 60, effort=e) for e in (1, 4))
    assert j_of(coder, picture, refined, 60) < j_of(coder, picture, plain, 60)


@pytest.mark.parametrize("effort", [0, 10, -1])
def test_impossible_effort_is_refused(effort: int) -> None:
    with pytest.raises(ValueError, match="1 to 9"):
        aecodec.compress(samples.photograph(), effort=effort)


def test_efforts_rise() -> None:
    assert list(EFFORTS) == list(range(1, 10))
    assert EFFORTS[1] == (0, 0)  # one pass
    steps = [sum(effort) for effort in EFFORTS.values()]
    assert sorted(set(steps)) == steps
    assert codec.DEFAULT_EFFORT in EFFORTS


def test_the_written_out_gradient_is_autograds(coder: Codec) -> None:
    torch = pytest.importorskip("torch")
    from aecodec.model.gradient import error_and_gradient
    from aecodec.training.checkpoint import load_ema

    model, _ = load_ema(coder.weights.folder)
    rgb = np.asarray(samples.photograph(box=(100, 20, 260, 148)))
    tiles, point = coder.tiles, coder.weights.at(70)
    latents = tiles.quantise(tiles.analyse(rgb, Box.of(rgb.shape)), point)
    y_hat = torch.from_numpy(latents.v_hat / point.gain)[None].requires_grad_(True)
    level = torch.from_numpy(point.level)
    x = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].float() / 255.0
    # Pixels that are black or white may be drawn beyond; a band of the rest is not counted.
    x = x.clamp(0.2, 0.8)
    mask = torch.ones(1, 1, 128, 160)
    mask[..., 100:] = 0.0

    x_hat = model.synthesis(y_hat, level)
    assert bool((x_hat < 0.0).any())
    inside = (x_hat.clamp(0.0, 1.0) - x) * mask
    expected = (inside**2).sum()
    # x lies inside, so beyond black or white the error pulls back as it does at the edge.
    pulling = inside.detach() * x_hat
    (wanted,) = torch.autograd.grad(2.0 * pulling.sum(), y_hat)
    with torch.no_grad():
        error, gradient = error_and_gradient(model.synthesis, y_hat, level, x, mask)
    assert torch.allclose(error, expected, rtol=1e-5)
    assert float((gradient - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())

    graph = tiles.transforms.error_gradient(latents.v_hat, rgb, mask.numpy(), point)
    x = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].float() / 255.0
    with torch.no_grad():
        error, gradient = error_and_gradient(model.synthesis, y_hat, level, x, mask)
    assert np.allclose(graph[0], error.numpy(), rtol=1e-3)
    assert np.abs(graph[1] - gradient.numpy()).max() < 1e-3 * float(gradient.abs().max())


def test_the_written_out_gradient_stops_at_the_limits() -> None:
    torch = pytest.importorskip("torch")
    from aecodec.model.gradient import error_and_gradient
    from aecodec.model.layers import Block
    from aecodec.model.transforms import Synthesis

    torch.manual_seed(0)
    net = Synthesis(dataclasses.replace(SIZES["tiny"], synthesis8=((32, 24), (16, 0))))
    for name, weight in net.named_parameters():
        if name.endswith(("w2.weight", "v2.weight")):
            torch.nn.init.normal_(weight, std=0.05)
    y_hat = torch.randn(1, SIZES["tiny"].latents, 2, 2, requires_grad=True)
    level, x = torch.tensor([0.5]), torch.full((1, 3, 32, 32), 0.5)
    mask = torch.ones(1, 1, 32, 32)
    found = []
    for limit in (100.0, 0.1):
        for block in net.modules():
            if isinstance(block, Block):
                block.limit = limit
        x_hat = net(y_hat, level)
        shown = x_hat.clamp(0.0, 1.0)
        pulling = (shown - x).detach() * x_hat
        (wanted,) = torch.autograd.grad(2.0 * pulling.sum(), y_hat)
        with torch.no_grad():
            _, gradient = error_and_gradient(net, y_hat, level, x, mask)
        assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-5)
        found.append(gradient)
    assert not torch.allclose(found[0], found[1], rtol=1e-2)


def test_the_contexts_written_out_gradient_is_autograds(coder: Codec) -> None:
    torch = pytest.importorskip("torch")
    from aecodec.training.checkpoint import load_ema

    model, _ = load_ema(coder.weights.folder)
    rgb, quality = np.asarray(samples.photograph(box=(100, 20, 260, 148))), 70
    tiles, point = coder.tiles, coder.weights.at(quality)
    v = tiles.analyse(rgb, Box.of(rgb.shape)) * point.gain
    tile, (m, h, w) = TileShape.of(v), v.shape
    board = tile.board
    features = tiles.means.features(tiles.transforms.hyper_analyse(v, tile), point, tile)
    by_mu = np.random.default_rng(3).normal(size=v.shape).astype(np.float32)
    found = tiles.means.second_gradient(features, v, board.row(by_mu, 1))

    ones = np.ones(board.sizes[0], np.float32)
    first = torch.from_numpy(board.whole(ones))
    deviation, gain = coder.weights.deviation, coder.weights.gain[quality]
    unit = torch.from_numpy((deviation * gain).reshape(1, m, 1, 1))
    known = torch.from_numpy(v).requires_grad_(True)
    parity = (torch.arange(h)[:, None] + torch.arange(w)[None]).remainder(2).float()[None, None]
    seen = torch.from_numpy(features.features[:, :, :h, :w].copy())
    mu = model.context(seen, (known * first)[None] / unit, parity) * unit
    pulled = (mu[0] * (1.0 - first) * torch.from_numpy(by_mu)).sum()
    (wanted,) = torch.autograd.grad(pulled, known)
    assert float(wanted.abs().max()) > 0.1
    assert not (wanted * (1.0 - first)).any()
    assert np.abs(board.whole(found) - wanted.numpy()).max() < 1e-3 * float(wanted.abs().max())


@pytest.mark.parametrize("step", [0, 1])
def test_slopes_are_those_of_the_costs(coder: Codec, step: int) -> None:
    tables = coder.weights.y_tables[step]
    indexes = np.full(7, 40, np.uint8)
    symbols = np.array([-3, -2, -1, 0, 1, 2, 3], np.int32)
    slopes = tables.costs.slopes(symbols, indexes)
    assert slopes[3] == 0.0
    assert np.all(slopes[:3] < 0.0)
    assert np.all(slopes[4:] > 0.0)
    costs = tables.costs.each(symbols, indexes)
    assert slopes[5] == pytest.approx(0.5 * (costs[6] - costs[4]))
    rises = tables.costs.rises(symbols, indexes)
    assert np.allclose(rises[:-1], np.diff(costs))
    empty = int(np.flatnonzero(tables.empty)[0])
    assert not tables.costs.rises(symbols, np.full(7, empty, np.uint8)).any()


def test_descent_finds_what_rounding_misses() -> None:
    """Two latents whose errors add up: rounding both the same way is twice as wrong."""
    mix = np.array([[1.0, 0.9], [0.9, 1.0]])
    y = np.array([0.45, 0.49], np.float32).reshape(2, 1, 1)  # one is nearer to flipping

    def quantise(moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.rint(moved), np.rint(moved)

    def error(y_hat: np.ndarray) -> float:
        off = (y_hat - y).ravel()
        return float(off @ mix @ off)

    def cost(y_hat: np.ndarray) -> tuple[float, np.ndarray]:
        return error(y_hat), 2.0 * (mix @ (y_hat - y).ravel()).reshape(2, 1, 1)

    best, least = descend(y, np.ones((2, 1, 1), np.float32), 20, quantise, cost)
    assert least == error(best) < error(np.rint(y))
    best, _ = descend(y, np.ones((2, 1, 1), np.float32), 0, quantise, cost)
    assert np.array_equal(best, np.rint(y))


def test_annealing_finds_which_roundings_suit_each_other() -> None:
    """Many pairs of latents whose errors add up."""
    mix = np.array([[1.0, 0.9], [0.9, 1.0]], np.float32)
    y = np.random.default_rng(5).normal(0.0, 3.0, (2, 20, 20)).astype(np.float32)

    def error(y_hat: np.ndarray) -> float:
        return float(np.einsum("ihw,ij,jhw->", y_hat - y, mix, y_hat - y))

    def gradient(v: np.ndarray, soften: Callable[[np.ndarray], Soft]) -> np.ndarray:
        soft = soften(v)
        assert np.all((soft.share >= 0.0) & (soft.share <= 1.0) & (soft.slope >= 0.0))
        off = soft.low + soft.share - y
        found: np.ndarray = 20.0 * np.einsum("ij,jhw->ihw", mix, off) * soft.slope
        return found

    found = anneal(y, 60, gradient)
    corners = [
        np.stack([np.floor(y[0]) + i, np.floor(y[1]) + j])
        for i, j in itertools.product((-1, 0, 1, 2), repeat=2)
    ]
    each = [np.einsum("ihw,ij,jhw->hw", c - y, mix, c - y) for c in corners]
    least = float(np.min(each, axis=0).sum())
    assert error(np.rint(found)) - least < 0.6 * (error(np.rint(y)) - least)
    assert np.array_equal(found, anneal(y, 60, gradient))
    assert not np.array_equal(found, anneal(y, 60, gradient, seed=1))
    assert np.array_equal(y, anneal(y, 0, gradient))


def test_an_annealed_picture_is_the_same_each_time_and_better(coder: Codec) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 200, 168))
    plain, descended = (coder.compress(picture, 60, effort=e) for e in (1, 4))
    annealed = coder.compress(picture, 60, effort=7)
    assert annealed == coder.compress(picture, 60, effort=7)
    j = [j_of(coder, picture, data, 60) for data in (plain, descended, annealed)]
    assert j[2] < j[1] < j[0]


def test_decoders_know_nothing_of_effort(coder: Codec) -> None:
    picture = samples.photograph(box=(0, 0, 160, 120))
    file = io.BytesIO(coder.compress(picture, 50, effort=3))
    assert aecodec.decompress(file.getvalue()).size == picture.size
