"""Maps of steps: their coding, and what they change, by the words of the specification."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.entropy.coder import Decoder, Encoder
from aecodec.entropy.padding import Sides, TileShape
from aecodec.entropy.scales import Scales
from aecodec.entropy.steps import StepMap, decode_map, map_tables
from aecodec.errors import CorruptError
from aecodec.networks import weights
from aecodec.networks.weights import Weights

UNITS = {-8: 10485, -7: 9322, -6: 8289, -5: 7370, -4: 6553, -3: 5827, -2: 5181, -1: 4607, 0: 4096}
UNITS |= {1: 3642, 2: 3238, 3: 2879, 4: 2560, 5: 2276, 6: 2024, 7: 1800, 8: 1600}


@pytest.fixture(scope="module")
def small() -> Weights:
    return weights.by_name("small")


def some_map(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8, 9, (rows, columns)).astype(np.int32)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (64, 64), (17, 30)])
def test_a_map_comes_back(shape: tuple[int, int]) -> None:
    tile = TileShape(8, *shape)
    values = some_map(tile.z_rows, tile.z_columns)
    encoder = Encoder()
    map_tables().encode(encoder, values[None])
    decoder = Decoder(encoder.finish())
    assert np.array_equal(decode_map(decoder, tile).values, values)
    decoder.finish()


@pytest.mark.parametrize("value", [9, -9, 17, -200])
def test_impossible_steps_are_refused(value: int) -> None:
    tile = TileShape(8, 12, 12)
    values = np.zeros((3, 3), np.int32)
    values[1, 2] = value
    encoder = Encoder()
    map_tables().encode(encoder, values[None])
    with pytest.raises(CorruptError, match="a step beyond 8 in a map"):
        decode_map(Decoder(encoder.finish()), tile)


def test_an_even_map_costs_little() -> None:
    even = np.zeros((1, 16, 16), np.int32)
    assert map_tables().bits(even) < 1.4 * even.size
    assert map_tables().bits(even + 6) < 5.0 * even.size


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("channels", [6, 4])
def test_a_row_has_the_step_of_each_latents_place(step: int, channels: int) -> None:
    tile = TileShape(6, 7, 10)
    values = some_map(2, 3)
    few = tile.of_channels(channels)
    found = few.board.whole(np.zeros(few.board.sizes[0], np.float32))
    few.board.put(StepMap(values, tile).row(few.board, step), found, step)
    for c in range(channels):
        for i in range(7):
            for j in range(10):
                mine = (c + i + j) % 2 == step
                unit = UNITS[int(values[i // 4, j // 4])] / 4096
                assert found[c, i, j] == (np.float32(unit) if mine else 0.0)


def test_the_nearest_map_is_taken_and_limited() -> None:
    tile = TileShape(2, 4, 12)
    made = StepMap.of(np.array([[0.6, -19.0, 3.2]], np.float32), tile)
    assert made.values.tolist() == [[1, -8, 3]]


def test_units_are_a_sixth_of_an_octave() -> None:
    for m, unit in UNITS.items():
        assert unit == pytest.approx(4096 * 2 ** (-0.1695 * m), rel=2e-4)


@pytest.mark.parametrize("sides", [Sides(), Sides(True, False, True, True)])
def test_tables_move_by_one_for_each_unit(small: Weights, sides: Sides) -> None:
    """By the specification: m is added before the index is clipped."""
    from aecodec.entropy.scales import ScaleNetwork

    network = ScaleNetwork(small.scale)
    tile = TileShape(small.config.latents, 9, 11, sides)
    z_hat = np.random.default_rng(3).integers(-4, 5, (small.config.hyper_latents, 3, 3))
    z_hat = z_hat.astype(np.int32)
    values = some_map(3, 3, seed=4)
    plain = Scales(network, z_hat, 40, tile)
    moved = Scales(network, z_hat, 40, tile, StepMap(values, tile))
    wide = values.repeat(4, axis=0).repeat(4, axis=1)[:9, :11]
    every = np.broadcast_to(wide, (tile.channels, 9, 11))
    expected = tile.board.row(every, 0) + plain.first.astype(int)
    inner = (plain.first > 0) & (plain.first < 63)  # what was clipped says less
    assert np.count_nonzero(inner) > 1000
    assert np.array_equal(moved.first[inner], expected.clip(0, 63)[inner])


def test_the_second_step_sees_symbols_as_they_would_be_without_a_map(small: Weights) -> None:
    from aecodec.entropy.scales import ScaleNetwork

    network = ScaleNetwork(small.scale)
    tile = TileShape(small.config.latents, 8, 8)
    rng = np.random.default_rng(5)
    z_hat = rng.integers(-4, 5, (small.config.hyper_latents, 2, 2)).astype(np.int32)
    values = some_map(2, 2, seed=6)
    symbols = np.rint(rng.laplace(0, 3, tile.board.sizes[0])).astype(np.int32)
    symbols[::50] = 2**30 - 1
    units = np.vectorize(UNITS.get)(values).repeat(4, axis=0).repeat(4, axis=1)
    units = tile.board.row(np.broadcast_to(units, (tile.channels, 8, 8)), 0)
    as_they_were = (np.minimum(np.abs(symbols), 1023) * units + 2048) // 4096
    found = Scales(network, z_hat, 60, tile, StepMap(values, tile)).after(symbols).astype(int)
    plain = Scales(network, z_hat, 60, tile).after(as_they_were.astype(np.int32))
    wide = values.repeat(4, axis=0).repeat(4, axis=1)
    moved = tile.board.row(np.broadcast_to(wide, (tile.channels, 8, 8)), 1)
    inner = (plain > 0) & (plain < 63)
    assert np.count_nonzero(inner) > 1000
    assert np.array_equal(found[inner], (plain + moved).clip(0, 63)[inner])
