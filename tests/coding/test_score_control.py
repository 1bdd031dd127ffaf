"""A target by SSIMULACRA 2: the search, and what `compress` makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import command
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import codec
from aecodec.coding.score_control import LOOKS, TOLERANCE, lowest_reaching
from aecodec.coding.target import Target
from aecodec.errors import RequestError
from aecodec.networks.ssimulacra2 import ssimulacra2

Curve = Callable[[float], float]


def steep(place: float) -> float:
    """A picture that is hard at low qualities."""
    return 95.0 - 130.0 * float(np.exp(-place / 30.0))


def flat(place: float) -> float:
    """A picture that is easy at every quality."""
    return 45.0 + 0.49 * place


def hard(place: float) -> float:
    """As `small` codes kodim01."""
    qualities = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
    scores = (-80, -26.1, 13.1, 29.7, 39.7, 46.0, 51.7, 58.8, 67.1, 78.6, 84.8, 88.5)
    return float(np.interp(place, qualities, scores))


def search(curve: Curve, target: float, per_quality: float) -> tuple[float, int]:
    """The score that is found, and the number of looks. A dead zone so wide costs one quality."""
    looks = []

    def encode(quality: int, dead_zone: float) -> tuple[float, float]:
        assert 1 <= quality <= 100
        assert dead_zone >= 0.0
        looks.append(curve(quality - dead_zone / per_quality))
        return looks[-1], looks[-1]

    return lowest_reaching(encode, target), len(looks)


@pytest.mark.parametrize("curve", [steep, flat, hard])
@pytest.mark.parametrize("per_quality", [0.8, 3.0, 15.0])
def test_a_smooth_picture_is_hit_in_eight_looks(curve: Curve, per_quality: float) -> None:
    counts = []
    for target in np.linspace(curve(20), curve(100), 60):
        found, looks = search(curve, float(target), per_quality)
        assert target <= found <= target + TOLERANCE
        counts.append(looks)
    assert max(counts) <= LOOKS
    assert np.mean(counts) < 6


def test_what_no_quality_reaches_is_refused_with_what_is_reached() -> None:
    with pytest.raises(
        RequestError, match=r"SSIMULACRA 2 of 94\.5 is out of reach: quality 100 has"
    ):
        search(flat, 94.5, 3.0)
    for target in (80.0, 99.0):  # even from far away, within the looks
        looks = []

        def encode(quality: int, dead_zone: float, looks: list[int] = looks) -> tuple[int, float]:
            looks.append(quality)
            return quality, quality / 5.0

        with pytest.raises(RequestError, match=r"quality 100 has 20\.00"):
            lowest_reaching(encode, target)
        assert len(looks) <= LOOKS


def test_quality_1_may_have_more_already() -> None:
    found, looks = search(flat, 12.0, 3.0)
    assert found == flat(1)
    assert looks <= LOOKS


def test_where_scores_jump_it_is_the_lowest_that_reaches_the_target() -> None:
    def jumping(place: float) -> float:
        return 5.0 * np.floor(place / 5.0)

    found, looks = search(jumping, 62.0, 3.0)
    assert found == 65.0
    assert looks <= LOOKS


BOX = (20, 20, 404, 276)


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png"])
@pytest.mark.parametrize("target", [40, 65, 82])
def test_photographs_are_hit(name: str, target: float, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = samples.photograph(name, BOX)
    looks = []
    measure = codec._ssimulacra2
    monkeypatch.setattr(codec, "_ssimulacra2", lambda *a: looks.append(measure(*a)) or looks[-1])
    data = aecodec.compress(picture, target_ssimulacra2=target)
    found = ssimulacra2(np.asarray(picture), np.asarray(aecodec.decompress(data)))
    assert target <= found <= target + TOLERANCE
    assert found in looks
    assert len(looks) <= LOOKS


def test_grey_and_alpha_are_measured_as_they_come_back() -> None:
    colour = samples.photograph("chelsea.png", BOX)
    grey = colour.convert("L")
    data = aecodec.compress(grey, target_ssimulacra2=60)
    shown = [np.asarray(p.convert("RGB")) for p in (grey, aecodec.decompress(data))]
    assert 60 <= ssimulacra2(*shown) <= 60.5
    clear = colour.copy()
    clear.putalpha(Image.linear_gradient("L").resize(colour.size))
    data = aecodec.compress(clear, target_ssimulacra2=70)
    restored = aecodec.decompress(data)
    assert 70 <= ssimulacra2(np.asarray(clear), np.asarray(restored)) <= 70.5


def test_more_effort_meets_it_in_fewer_bytes() -> None:
    picture = samples.photograph("coffee.png", (60, 60, 316, 252))
    quick, slow = (
        aecodec.compress(picture, target_ssimulacra2=70, effort=effort) for effort in (1, 3)
    )
    found = ssimulacra2(np.asarray(picture), np.asarray(aecodec.decompress(slow)))
    assert 70 <= found <= 70.5
    assert len(slow) < len(quick)


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(RequestError, match="a picture of 20x7 has no SSIMULACRA 2"):
        aecodec.compress(np.zeros((7, 20, 3), np.uint8), target_ssimulacra2=70)


@pytest.mark.parametrize("target", [True, "80", b"80", [80]])
@pytest.mark.parametrize("measure", ["size", "bpp", "psnr", "ssimulacra2"])
def test_a_target_that_is_no_number(measure: str, target: object) -> None:
    with pytest.raises(TypeError, match=f"target_{measure} must be a number, not"):
        Target.of(**{measure: target})  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [0, -3, float("nan"), float("inf")])
def test_a_target_that_is_none(target: float) -> None:
    with pytest.raises(ValueError, match="target_ssimulacra2 must be above 0"):
        aecodec.compress(np.zeros((9, 9, 3), np.uint8), target_ssimulacra2=target)


def test_the_command_and_the_plugin(here: Path) -> None:
    picture = samples.photograph("coffee.png", BOX)
    picture.save("p.png")
    done = command.run("compress", "p.png", "--target-ssimulacra2", "70", "--json")
    assert done.returncode == 0
    quality = json.loads(done.stdout)["quality"]
    assert aecodec.read_info(Path("p.aec").read_bytes()).quality == quality
    shown = json.loads(command.run("compare", "p.png", "p.aec", "--json").stdout)
    assert 70 <= shown["ssimulacra2"] <= 70.5
    aecodec.register_pillow()
    picture.save("q.aec", target_ssimulacra2=70)
    assert Path("q.aec").read_bytes() == Path("p.aec").read_bytes()
    done = command.run("compress", "p.png", "-f", "--target-ssimulacra2", "98")
    assert done.returncode == 1
    assert b"a SSIMULACRA 2 of 98 is out of reach: quality 100 has 8" in done.stderr
    assert b"Traceback" not in done.stderr
    done = command.run("compress", "p.png", "-f", "--target-ssimulacra2", "70", "-q", "50")
    assert done.returncode == 2
