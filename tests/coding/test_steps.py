"""Maps of steps that an encoder chooses for the eye."""

from __future__ import annotations

import numpy as np
import pytest
import samples

import aecodec
from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.coding.efforts import EFFORTS
from aecodec.coding.refinement import Refinement
from aecodec.coding.steps import SHARE, wanted_steps
from aecodec.entropy.padding import TileShape
from aecodec.geometry import Box
from aecodec.networks import weights


@pytest.fixture(scope="module")
def eye() -> Codec:
    return Codec(weights.by_name("small-eye"))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(samples.photograph("coffee.png", (40, 40, 360, 296)))


def refinement(eye: Codec, rgb: np.ndarray, quality: int) -> Refinement:
    box, point = Box.of(rgb.shape), eye.weights.at(quality, step_maps=True)
    y = eye.tiles.analyse(rgb, box)
    return Refinement(eye.tiles, rgb, box, y, eye.tiles.quantise(y, point).v_hat, point)


@pytest.mark.parametrize("effort", [1, 2, 6])
@pytest.mark.parametrize("tune", ["eye", "psnr"])
def test_files_for_the_eye_have_maps_where_there_is_time(
    picture: np.ndarray, tune: str, effort: int
) -> None:
    data = aecodec.compress(picture, 50, tune=tune, effort=effort)
    assert bitstream.parse(data).header.step_maps == (tune == "eye" and effort > 1)


def test_the_slopes_are_those_of_a_step(eye: Codec, picture: np.ndarray) -> None:
    """The derivative of the rate by the octaves of a place's step, against finite differences."""
    rgb = np.ascontiguousarray(picture[:128, :128])
    box, point = Box.of(rgb.shape), eye.weights.at(60, step_maps=True)
    y = eye.tiles.analyse(rgb, box)
    latents = eye.tiles.quantise(y, point)
    tile = TileShape.of(y)
    rows = (part.tables.costs.by_octave[part.indexes] for part in latents.groups)
    slopes = tile.board.whole(*rows).sum(axis=0)
    slopes = slopes.reshape(2, 4, 2, 4).sum(axis=(1, 3))
    for place in np.ndindex(2, 2):
        rates = []
        for m in (-4.0, 4.0):
            wanted = np.zeros((2, 2), np.float32)
            wanted[place] = m
            rates.append(eye.tiles.rate(eye.tiles.quantise(y, point, importance=wanted), point))
        assert (rates[1] - rates[0]) / (8 * 0.1695) == pytest.approx(slopes[place], rel=0.25)


def test_where_errors_are_seen_the_step_is_finer(eye: Codec, picture: np.ndarray) -> None:
    rgb = np.ascontiguousarray(picture[:128, :192])
    box, point = Box.of(rgb.shape), eye.weights.at(60, step_maps=True)
    y = eye.tiles.analyse(rgb, box)
    latents, tile = eye.tiles.quantise(y, point), TileShape.of(y)
    error = latents.v_hat / point.gain - y
    by_y_hat = 1e3 * error
    even = wanted_steps(latents, y, by_y_hat, point, tile)
    by_y_hat[:, :4, 4:8] *= 8.0  # three octaves more
    wanted = wanted_steps(latents, y, by_y_hat, point, tile)
    more = wanted - even
    assert more[0, 1] - more[1, 0] == pytest.approx(3 * SHARE / 0.1695, rel=0.05)
    others = np.ones((2, 3), bool)
    others[0, 1] = False
    assert np.ptp(more[others]) < 1e-3
    assert (more[others] < 0).all()  # the quality stays, in all


def test_nothing_is_to_choose_where_nothing_is_coded(eye: Codec) -> None:
    rgb = np.full((128, 128, 3), 90, np.uint8)
    box, point = Box.of(rgb.shape), eye.weights.at(30, step_maps=True)
    y = eye.tiles.analyse(rgb, box)
    latents = eye.tiles.quantise(y, point)
    wanted = wanted_steps(latents, y, np.zeros_like(y), point, TileShape.of(y))
    assert np.array_equal(np.rint(wanted), np.zeros((2, 2)))


@pytest.mark.parametrize("effort", [2, 6])
def test_the_best_latents_are_no_worse_than_those_of_one_pass(
    eye: Codec, picture: np.ndarray, effort: int
) -> None:
    refined = refinement(eye, picture, 30)
    plain, _ = refined.quantise(eye.tiles.analyse(picture, Box.of(picture.shape)))
    best = refinement(eye, picture, 30).run(EFFORTS[effort])
    assert refined.cost(best)[0] <= refined.cost(plain)[0]
    assert best.steps is not None
    assert np.abs(best.steps.values).max() > 0


def test_a_persons_map_stays_as_it_is(eye: Codec, picture: np.ndarray) -> None:
    mask = np.full(picture.shape[:2], 255, np.uint8)
    for effort in (2, 6):
        data = eye.compress(picture, 50, effort=effort, importance=mask)
        container = bitstream.parse(data)
        tile = TileShape.at(Box.of(picture.shape), picture.shape, eye.weights.config.latents)
        point = eye.weights.at(50, step_maps=True)
        latents = eye.tiles.decode(container.tiles[0], point, tile)
        assert latents.steps is not None
        assert (latents.steps.values == 6).all()


def test_a_map_pays_by_the_measure_it_is_made_for(eye: Codec, picture: np.ndarray) -> None:
    """The same descent without maps has a larger J."""
    costs = []
    for chooses in (True, False):
        refined = refinement(eye, picture, 30)
        refined._chooses = chooses
        costs.append(refined.cost(refined.run(EFFORTS[4]))[0])
    assert costs[0] < 0.995 * costs[1]
