"""Targets: bytes, bits per pixel, PSNR."""

from __future__ import annotations

import json
import math
from pathlib import Path

import command
import pytest
import samples
from PIL import Image

import aecodec
from aecodec.rate_control import DEAD_ZONE_LIMIT, largest_within, smallest_reaching


def encode(quality: int, dead_zone: float) -> bytes:
    """Sizes that rise by 6 % a quality, and fall by 20 % in the widest dead zone."""
    size = 1000 * 1.06**quality * (1.0 - 0.5 * dead_zone)
    return bytes([quality]) + bytes(int(size) - 1)


@pytest.mark.parametrize("limit", [1061, 1500, 4321, 77777, 300000])
def test_never_above_and_hardly_below(limit: int) -> None:
    assert DEAD_ZONE_LIMIT >= 0.15
    assert 0.98 * limit <= len(largest_within(encode, limit)) <= limit


def test_more_room_than_the_best_needs() -> None:
    assert largest_within(encode, 10**9) == encode(100, 0.0)


def test_less_room_than_the_least_needs() -> None:
    with pytest.raises(aecodec.RequestError, match="quality 1 needs 1060"):
        largest_within(encode, 1059)


@pytest.mark.parametrize("target", [1, 17, 18, 99, 100])
def test_the_lowest_quality_that_reaches_it(target: int) -> None:
    assert smallest_reaching(encode, lambda data: float(data[0]), target)[0] == target
    assert smallest_reaching(encode, lambda data: float(data[0]), target - 0.5)[0] == target


def test_a_psnr_out_of_reach() -> None:
    with pytest.raises(aecodec.RequestError, match="101 dB"):
        smallest_reaching(encode, lambda data: float(data[0]), 101)


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("size", [3000, 8000])
def test_a_photograph_in_so_many_bytes(size: int, effort: int) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 360, 280))
    data = aecodec.compress(picture, target_size=size, effort=effort)
    assert 0.98 * size <= len(data) <= size
    # As good as the quality below, which takes fewer bytes.
    quality = aecodec.read_info(data).quality
    below = aecodec.compress(picture, quality - 1, effort=effort)
    assert len(below) <= size
    assert (
        samples.psnr(picture, aecodec.decompress(data))
        > samples.psnr(picture, aecodec.decompress(below)) - 0.05
    )


def test_a_photograph_with_so_many_db() -> None:
    picture = samples.photograph("coffee.png", (40, 40, 360, 280))
    data = aecodec.compress(picture, target_psnr=36.0)
    assert samples.psnr(picture, aecodec.decompress(data)) >= 36.0
    lower = aecodec.compress(picture, aecodec.read_info(data).quality - 1)
    assert samples.psnr(picture, aecodec.decompress(lower)) < 36.0


def test_two_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="one target"):
        aecodec.compress(samples.photograph(), target_size=1000, target_psnr=30.0)


def test_on_the_command_line(tmp_path: Path) -> None:
    samples.photograph("coffee.png", (40, 40, 360, 280)).save(tmp_path / "a.png")

    def out(*arguments: str) -> int:
        done = command.run("compress", tmp_path / "a.png", "-f", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["bytes_out"])

    assert 4900 <= out("--target-size", "5k") <= 5000
    limit = math.floor(0.5 * 320 * 240 / 8)
    assert 0.98 * limit <= out("--target-bpp", "0.5") <= limit
    assert out("--target-psnr", "30") < out("--target-psnr", "35")
    assert out("-q", "60", "--effort", "3") < 1.05 * out("-q", "60")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--target-size", "5x"), b"number of bytes"),
        (("--target-size", "0"), b"number of bytes"),
        (("--target-size", "5k", "-q", "50"), b"give one of them"),
        (("--target-psnr", "35", "--target-bpp", "1"), b"give one of them"),
        (("--effort", "10"), b"effort"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], fault: bytes) -> None:
    samples.photograph().save(tmp_path / "a.png")
    done = command.run("compress", tmp_path / "a.png", *arguments)
    assert done.returncode == 2
    assert fault in done.stderr
    assert not (tmp_path / "a.aec").exists()


def test_a_target_out_of_reach_fails_by_name(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "a.png")
    done = command.run("compress", tmp_path / "a.png", "--target-size", "100")
    assert done.returncode == 1
    assert b"a.png" in done.stderr
    assert b"100 bytes are not enough" in done.stderr
    assert not (tmp_path / "a.aec").exists()


def test_region_on_the_command_line(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "a.png")
    assert command.run("compress", tmp_path / "a.png").returncode == 0
    done = command.run(
        "decompress", tmp_path / "a.aec", "-o", tmp_path / "b.png", "--region", "5,6,20,10"
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "b.png") as part:
        assert part.size == (20, 10)
    wrong = command.run("decompress", tmp_path / "a.aec", "-o", tmp_path / "c.png", "--region", "5")
    assert wrong.returncode == 2
    outside = command.run(
        "decompress", tmp_path / "a.aec", "-o", tmp_path / "c.png", "--region", "5,6,9999,10"
    )
    assert outside.returncode == 1
    assert b"does not lie" in outside.stderr
    assert not (tmp_path / "c.png").exists()
