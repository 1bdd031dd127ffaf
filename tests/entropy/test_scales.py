"""The integer scale network: the same table indexes however and wherever they are computed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.fixed_point import WEIGHT_BITS
from aecodec.entropy.padding import ALONE, Sides, TileShape, reflected, repeated
from aecodec.entropy.scales import ScaleNetwork, ScaleParameters, Scales, bounds
from aecodec.errors import KnownAnswerError
from aecodec.model.hyperprior import companded
from aecodec.networks import transforms, weights
from aecodec.training.checkpoint import load_ema


@pytest.fixture(scope="module")
def small() -> weights.Weights:
    return weights.by_name("small")


def naive_indexes(
    net: ScaleParameters, z_hat: np.ndarray, q: int, h: int, w: int, symbols: np.ndarray
) -> np.ndarray:
    """A second evaluation by the text of `scales.py`: Python's own int64 sums, tap by tap."""

    def requantise(acc: np.ndarray, bits: int) -> np.ndarray:
        return (acc + (1 << (bits - 1))) >> bits

    def act(a: np.ndarray) -> np.ndarray:
        return np.clip(np.where(a >= 0, a, (a + 4) >> 3), -4095, 4095)

    def sums(a: np.ndarray, name: str) -> np.ndarray:
        weight = net.weight[name].astype(np.int64)
        acc = np.zeros((len(weight), *a.shape[1:]), np.int64)
        for source in range(weight.shape[1]):
            acc += weight[:, source, None, None] * a[source]
        assert np.abs(acc).max() < 2**31
        return acc

    def mix(a: np.ndarray, name: str) -> np.ndarray:
        bias = net.bias[name].astype(np.int64)[:, None, None]
        return requantise(sums(a, name) + bias, WEIGHT_BITS[name])

    def depthwise(a: np.ndarray, name: str) -> np.ndarray:
        weight = net.weight[name].astype(np.int64)
        _, rows, columns = a.shape
        acc = np.zeros_like(a)
        for i in range(rows):
            for j in range(columns):
                for di in range(3):
                    for dj in range(3):
                        y, x = i + di - 1, j + dj - 1
                        if 0 <= y < rows and 0 <= x < columns:
                            acc[:, i, j] += weight[:, di, dj] * a[:, y, x]
        bias = net.bias[name].astype(np.int64)[:, None, None]
        return requantise(acc + bias, WEIGHT_BITS[name])

    a = np.clip(z_hat.astype(np.int64) << 4, -4095, 4095)
    a = act(mix(a, "input") + net.level_bias[q].astype(np.int64)[:, None, None])
    a = act(depthwise(a, "dw64"))
    a = mix(a, "up")
    wide, rows, columns = a.shape
    a = a.reshape(wide // 16, 4, 4, rows, columns).transpose(0, 3, 1, 4, 2)
    a = act(a.reshape(wide // 16, 4 * rows, 4 * columns))
    a = act(depthwise(a[:, :h, :w], "dw16"))
    size = np.zeros(symbols.shape, np.int64)
    for c, i, j in zip(*np.nonzero(symbols), strict=True):
        if (c + i + j) % 2 == 0:  # of step 0
            size[c, i, j] = round(256 * math.log2(1 + min(abs(int(symbols[c, i, j])), 127)))
    b = depthwise(np.clip(mix(size, "magnitude"), -8191, 8191), "near")
    b = act(b + mix(a, "fine"))
    bias = net.bias["output"].astype(np.int64)[:, None, None]
    bits = WEIGHT_BITS["output"]
    first = requantise(sums(a, "output") + bias, bits)
    second = requantise(sums(a, "output") + sums(b, "correction") + bias, bits)
    offset = net.index_offset[q].astype(np.int64)
    out = np.empty(first.shape, np.int64)
    for c in range(first.shape[0]):
        for i in range(h):
            for j in range(w):
                step = (c + i + j) % 2
                out[c, i, j] = (first, second)[step][c, i, j] + offset[step, c]
    return np.clip(requantise(out, 8), 0, 63).astype(np.uint8)


def drawn(rng: np.random.Generator, shape: tuple[int, int, int], spread: float) -> np.ndarray:
    """Symbols (M,h,w), a few of them enormous."""
    symbols = np.rint(rng.laplace(0.0, spread, shape)).astype(np.int32)
    symbols[rng.random(shape) < 0.01] = -(2**30) + 1
    return symbols


def exact_indexes(
    small: weights.Weights,
    z_hat: np.ndarray,
    q: int,
    symbols: np.ndarray,
    sides: Sides = ALONE,
) -> np.ndarray:
    """Both steps' (M,h,w); those of the symbols (M,h,w) that are of step 1 are not looked at."""
    tile = TileShape.of(symbols, sides)
    scales = Scales(ScaleNetwork(small.scale), z_hat, q, tile)
    return tile.board.whole(scales.first, scales.after(tile.board.row(symbols, 0)))


@pytest.mark.parametrize(("h", "w"), [(1, 1), (4, 4), (5, 6), (5, 7), (8, 9)])
@pytest.mark.parametrize("spread", [0, 3, 100])
def test_equals_a_naive_integer_evaluation(
    small: weights.Weights, h: int, w: int, spread: int
) -> None:
    rng = np.random.default_rng([h, w, spread])
    shape = (small.config.hyper_latents, -(-h // 4), -(-w // 4))
    z_hat = rng.integers(-spread, spread + 1, shape).astype(np.int32)
    symbols = drawn(rng, (small.config.latents, h, w), spread)
    for q in (1, 37, 75, 100):
        expected = naive_indexes(small.scale, z_hat, q, h, w, symbols)
        assert np.array_equal(exact_indexes(small, z_hat, q, symbols), expected)
    assert len(np.unique(expected)) > 5


@pytest.mark.parametrize(
    "sides", [Sides(top=True), Sides(bottom=True, left=True), Sides(True, True, True, True)]
)
@pytest.mark.parametrize(("h", "w"), [(4, 4), (8, 12)])
def test_where_a_tile_has_neighbours_it_goes_on(
    small: weights.Weights, sides: Sides, h: int, w: int
) -> None:
    """As part of a larger tile: z_hat repeated, symbols reflected, and both cut off again."""
    rng = np.random.default_rng([h, w, *sides])
    shape = (small.config.hyper_latents, h // 4, w // 4)
    z_hat = rng.integers(-3, 4, shape).astype(np.int32)
    symbols = drawn(rng, (small.config.latents, h, w), 2.0)
    top, bottom, left, right = sides.margins(4)
    naive = naive_indexes(
        small.scale,
        repeated(z_hat, sides),
        60,
        h + top + bottom,
        w + left + right,
        reflected(symbols, sides, 4),
    )
    found = exact_indexes(small, z_hat, 60, symbols, sides)
    assert np.array_equal(found, naive[:, top : top + h, left : left + w])
    assert not np.array_equal(found, exact_indexes(small, z_hat, 60, symbols))


def test_step_1_sees_the_symbols_of_step_0(small: weights.Weights) -> None:
    rng = np.random.default_rng(5)
    z_hat = rng.integers(-3, 4, (small.config.hyper_latents, 2, 2)).astype(np.int32)
    tile = TileShape(small.config.latents, 8, 8)
    scales = Scales(ScaleNetwork(small.scale), z_hat, 75, tile)
    symbols = tile.board.row(drawn(rng, tile.board.shape, 1.0), 0)
    seen = scales.after(symbols)
    # A second call begins from the same place: an encoder tries many symbols.
    still = scales.after(np.zeros_like(symbols))
    assert np.array_equal(seen, scales.after(symbols))
    # Large symbols make their neighbours' scales larger.
    assert np.mean(seen.astype(int) - still) > 1.0


def test_extreme_z_saturates_without_overflow(small: weights.Weights) -> None:
    shape = (small.config.hyper_latents, 1, 1)
    for value in (2**30 - 1, -(2**30) + 1):
        z_hat = np.full(shape, value, np.int32)
        symbols = np.full((small.config.latents, 4, 4), value, np.int32)
        got = exact_indexes(small, z_hat, 50, symbols)
        limit = np.full(shape, np.sign(value) * 256, np.int32)
        assert np.array_equal(got, naive_indexes(small.scale, limit, 50, 4, 4, symbols))


def test_accumulators_are_bounded_by_the_weights(small: weights.Weights) -> None:
    found = bounds(small.scale)
    largest = {"magnitude": 7 * 256, "near": 8191}
    for name, bound in found.items():
        weight = np.abs(small.scale.weight[name].astype(np.int64))
        bias = np.abs(small.scale.bias[name].astype(np.int64))
        if name == "output":  # both add up in step 1, and the offset does
            more = np.abs(small.scale.weight["correction"].astype(np.int64))
            weight = np.concatenate([weight, more], axis=1)
            offset = np.abs(small.scale.index_offset.astype(np.int64)).max(axis=(0, 1))
            bias += (offset + 128) * 2 ** WEIGHT_BITS[name]
        reach = weight.reshape(len(weight), -1).sum(axis=1) * largest.get(name, 4095) + bias
        assert bound == reach.max() + 2 ** (WEIGHT_BITS[name] - 1) + 1 < 2**31
    assert set(small.scale.weight) == {*found, "correction"} == {*WEIGHT_BITS}


def test_a_layer_is_as_wide_as_its_sums(small: weights.Weights) -> None:
    """Float32 where it holds them exactly, and the same indexes where one layer needs more."""
    network = ScaleNetwork(small.scale)
    found = bounds(small.scale)
    for name in ("input", "dw64", "up", "dw16", "magnitude", "near", "fine"):
        kind = np.float32 if found[name] < 2**24 else np.float64
        assert getattr(network, name).weight.dtype == getattr(network, name).bias.dtype == kind
    assert {layer.dtype for layer in network.output} == {network.offset.dtype}
    rng = np.random.default_rng(11)
    z_hat = rng.integers(-5, 6, (small.config.hyper_latents, 2, 2)).astype(np.int32)
    symbols = drawn(rng, (small.config.latents, 6, 7), 3.0)
    for name in ("dw16", "near", "fine", "output"):
        large = small.scale.weight[name].copy()
        large.reshape(-1)[3] = 1 << 16
        scale = dataclasses.replace(small.scale, weight={**small.scale.weight, name: large})
        assert bounds(scale)[name] >= 2**24
        changed = dataclasses.replace(small, scale=scale)
        expected = naive_indexes(scale, z_hat, 60, 6, 7, symbols)
        assert np.array_equal(exact_indexes(changed, z_hat, 60, symbols), expected)


def test_known_answers_hold_and_refuse_a_changed_network(small: weights.Weights) -> None:
    small.checked_scale_network()
    bias = {**small.scale.bias, "output": small.scale.bias["output"] + (1 << 17)}
    changed = dataclasses.replace(small.scale, bias=bias)
    with pytest.raises(KnownAnswerError, match="arithmetic"):
        dataclasses.replace(small, scale=changed).checked_scale_network()


def test_the_training_shadow_computes_the_same_indexes(small: weights.Weights) -> None:
    """What training optimises with rounding on is what the files are coded with."""
    model, _ = load_ema(small.folder)
    model.scale_network.rounding = True
    rng = np.random.default_rng(3)
    z_hat = rng.integers(-9, 10, (small.config.hyper_latents, 3, 2)).astype(np.int32)
    for q in (5, 60, 95):
        level = torch.from_numpy(small.at(q).level)
        symbols = drawn(rng, (small.config.latents, 12, 8), 2.0)
        mask = Checkerboard(*symbols.shape).whole(np.ones(symbols.size // 2, np.bool_))
        net = model.scale_network
        with torch.no_grad():
            scales = net(torch.from_numpy(z_hat)[None].float(), level)
            first = net.alone(scales, level)[0].numpy()
            second = net.after(scales, level, torch.from_numpy(symbols * mask)[None])[0].numpy()
        shadow = np.clip(np.floor(np.where(mask, first, second) + 0.5), 0, 63)
        exact = exact_indexes(small, z_hat, q, symbols)
        # Float32 sums may differ in the last of their 18 fractional bits.
        assert np.mean(shadow != exact) < 2e-3
        assert np.abs(shadow - exact).max() <= 1


@pytest.mark.parametrize("shape", [(6, 5, 7), (3, 1, 1), (320, 64, 200)])
def test_the_hyper_analysis_reads_what_it_was_trained_on(shape: tuple[int, int, int]) -> None:
    v = np.random.default_rng(2).normal(0.0, 30.0, shape).astype(np.float32)
    v[0, 0, 0] = 0.0
    expected = companded(torch.from_numpy(v)[None])[0].numpy()
    assert np.allclose(transforms.companded(v), expected, atol=2e-6)
