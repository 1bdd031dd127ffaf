"""Refinement with the weights for the eye: better by the measure that they were trained for."""

from __future__ import annotations

import numpy as np
import pytest
import samples

import aecodec
from aecodec.networks import weights
from aecodec.networks.ssimulacra2 import ssimulacra2


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(samples.photograph(box=(60, 20, 316, 276)))


def coded(picture: np.ndarray, quality: int, effort: int) -> tuple[int, float]:
    """Bytes, and the SSIMULACRA 2 score."""
    data = aecodec.compress(picture, quality, tune="eye", effort=effort)
    score = ssimulacra2(picture, np.asarray(aecodec.decompress(data)))
    assert score is not None
    return len(data), score


def test_the_weights_were_trained_for_the_eye() -> None:
    assert weights.by_name("small-eye").config.objective == "eye"
    assert weights.by_name("small").config.objective == "psnr"


@pytest.mark.parametrize("quality", [30, 60])
def test_more_effort_looks_better_for_the_bytes(picture: np.ndarray, quality: int) -> None:
    """Per cent of bytes at an equal score, by the slope between two qualities."""
    (size, score), (more, better) = (coded(picture, q, 1) for q in (quality, quality + 8))
    per_point = np.log(more / size) / (better - score)
    gains = []
    for effort in (2, 4):
        nbytes, reached = coded(picture, quality, effort)
        gains.append((reached - score) * per_point - np.log(nbytes / size))
    assert gains[0] > 0.02
    assert gains[1] >= gains[0]
    assert gains[1] > 0.04


def test_a_bounded_step_is_less_than_a_quantisation_step(picture: np.ndarray) -> None:
    from aecodec.codec import Codec
    from aecodec.coding.refinement import SLIGHT, Refinement
    from aecodec.geometry import Box

    chosen = weights.by_name("small-eye")
    tiles = Codec(chosen).tiles
    rgb, box = np.ascontiguousarray(picture[:128, :128]), Box(0, 0, 128, 128)
    point, y = chosen.at(50), tiles.analyse(rgb, box)
    refinement = Refinement(tiles, rgb, box, y, tiles.quantise(y, point).v_hat, point)
    slight = np.full_like(y, SLIGHT / point.bits_per_error) * point.gain
    for times, part in ((1.0, 0.5), (-1.0, -0.5), (0.0, 0.0), (1e6, 1.0)):
        moved = refinement.bounded(times * slight) * point.gain
        assert np.allclose(moved, part, atol=1e-3)
