"""Targets: bytes, bits per pixel, PSNR."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import bitstream, codec
from aecodec.coding import exact
from aecodec.coding.picture import CodedTiles
from aecodec.coding.rate_control import (
    WIDEST,
    largest_refined,
    largest_within,
    smallest_reaching,
)
from aecodec.coding.refinement import Refinement
from aecodec.coding.target import Target
from aecodec.entropy import zstd
from aecodec.image.load import load
from aecodec.image.picture import Picture
from aecodec.networks import weights


def encode(quality: int, dead_zone: float) -> bytes:
    """Sizes that rise by 6 % a quality, and fall by 24 % with the widest dead zone."""
    size = 1000 * 1.06**quality * (1.0 - 0.2 * min(dead_zone / 20.0, 1.0 + dead_zone / 600.0))
    return bytes([quality]) + bytes(int(size) - 1)


def reaching(target: float, psnr: Callable[[int], float] = float, **options: object) -> int:
    return smallest_reaching(lambda quality: (quality, psnr(quality)), target, **options)


@pytest.mark.parametrize("limit", [1061, 1500, 4321, 77777, 300000])
def test_never_above_and_hardly_below(limit: int) -> None:
    assert 0.98 * limit <= len(largest_within(encode, limit)) <= limit


def test_more_room_than_the_best_needs() -> None:
    assert largest_within(encode, 10**9) == encode(100, 0.0)


@pytest.mark.parametrize("limit", [820, 900, 1059])
def test_less_room_than_the_lowest_quality_needs(limit: int) -> None:
    found = largest_within(encode, limit)
    assert found[0] == 1
    assert 0.98 * limit <= len(found) <= limit


def test_less_room_than_the_least_needs() -> None:
    least = len(encode(1, WIDEST))
    assert largest_within(encode, least) == encode(1, WIDEST)
    with pytest.raises(aecodec.RequestError, match=f"quality 1 needs {least}$"):
        largest_within(encode, least - 1)


def test_less_room_than_what_no_quality_changes() -> None:
    least = len(encode(1, WIDEST))
    kept = {"transparency": 500, "metadata": 70}
    said = f"quality 1 needs {least}, of which 500 are transparency and 70 are metadata"
    with pytest.raises(aecodec.RequestError, match=said):
        largest_within(encode, 100, kept)
    with pytest.raises(aecodec.RequestError, match=f"quality 1 needs {least}$"):
        largest_within(encode, 100, {"metadata": 70})


def refined(
    limit: int, share: Callable[[int, float], float], kept: dict[str, int] | None = None
) -> tuple[bytes, int]:
    """The file, and the number of refinements that take this share of the bytes of one pass."""
    asked: list[tuple[int, float]] = []

    def refine(quality: int, dead_zone: float) -> bytes:
        asked.append((quality, dead_zone))
        size = int(share(quality, dead_zone) * len(encode(quality, dead_zone)))
        return bytes([quality]) + bytes(size - 1)

    found = largest_refined(refine, lambda *setting: len(encode(*setting)), limit, kept)
    assert len(asked) == len(set(asked))
    return found, len(asked)


@pytest.mark.parametrize("limit", [1061, 1500, 4321, 77777, 290000])
@pytest.mark.parametrize("share", [1.02, 1.0, 0.98, 0.9])
def test_refined_never_above_and_hardly_below(limit: int, share: float) -> None:
    found, times = refined(limit, lambda quality, dead_zone: share)
    assert 0.99 * limit <= len(found) <= limit
    assert times <= 3


@pytest.mark.parametrize("limit", [1061, 4321, 77777])
def test_refined_by_another_share_each_time(limit: int) -> None:
    """What one pass foretells badly is found all the same, be it with more refinements."""
    found, times = refined(
        limit, lambda quality, dead_zone: 0.7 + 0.003 * quality - 0.001 * dead_zone
    )
    assert 0.98 * limit <= len(found) <= limit
    assert times <= 5
    rng = np.random.default_rng(limit)
    found, _ = refined(limit, functools.cache(lambda quality, dead_zone: rng.uniform(0.9, 1.1)))
    assert 0.98 * limit <= len(found) <= limit


def test_refined_at_the_ends() -> None:
    def share(quality: int, dead_zone: float) -> float:
        return 0.95

    assert refined(10**9, share) == (bytes([100]) + bytes(int(0.95 * len(encode(100, 0.0))) - 1), 1)
    least = int(0.95 * len(encode(1, WIDEST)))
    assert len(refined(least, share)[0]) == least
    for limit in (1, 100, least - 1):
        with pytest.raises(aecodec.RequestError, match=f"quality 1 needs {least}, of which 9999 "):
            refined(limit, share, {"transparency": 9999})


@pytest.mark.parametrize("target", [1, 17, 18, 99, 100])
@pytest.mark.parametrize("gain", [-0.7, 0.0, 0.3, 2.5])
def test_the_lowest_quality_that_reaches_it_refined(target: int, gain: float) -> None:
    asked: list[int] = []

    def refine(quality: int) -> tuple[int, float]:
        asked.append(quality)
        return quality, quality + gain + 0.1 * math.sin(quality)

    expected = next((q for q in range(1, 101) if refine(q)[1] >= target), None)
    asked.clear()
    if expected is None:
        with pytest.raises(aecodec.RequestError, match="out of reach: quality 100 has 99"):
            smallest_reaching(refine, target, foretold=float)
    else:
        assert smallest_reaching(refine, target, foretold=float) == expected
    assert len(asked) == len(set(asked)) <= 5


def test_a_foretelling_that_is_wrong_costs_time_alone() -> None:
    assert reaching(37, foretold=lambda quality: 60.0 - quality) == 37
    assert reaching(37, foretold=lambda quality: 0.0) == 37


@pytest.mark.parametrize("target", [1, 17, 18, 99, 100])
def test_the_lowest_quality_that_reaches_it(target: int) -> None:
    assert reaching(target) == reaching(target - 0.5) == target


def test_a_psnr_out_of_reach() -> None:
    with pytest.raises(aecodec.RequestError, match="101 dB"):
        reaching(101)


def test_a_psnr_that_only_a_lower_quality_has() -> None:
    def psnr(quality: int) -> float:
        return 50.0 if quality in (30, 60) else 0.4 * quality

    assert reaching(45.0, psnr, thorough=True) == 30
    with pytest.raises(aecodec.RequestError, match=r"quality 100 has 40\.00$"):
        reaching(45.0, psnr)
    with pytest.raises(aecodec.RequestError, match=r"quality 30 has 50\.00, and none has more"):
        reaching(55.0, psnr, thorough=True)


@pytest.mark.parametrize("foretold", [None, lambda quality: 0.0])
def test_a_psnr_that_the_highest_quality_lacks(foretold: Callable[[int], float] | None) -> None:
    """As on flat pictures, which the finest steps may suit less well."""

    def psnr(quality: int) -> float:
        return 0.5 * quality + (1.2 if quality in (96, 97, 98) else 0.0)

    assert reaching(50.0, psnr, foretold=foretold) == 98 or foretold is None
    assert reaching(50.1, psnr, foretold=psnr if foretold else None) == 98
    with pytest.raises(aecodec.RequestError, match=r"50\.3 dB .*: quality 98 has 50\.20$"):
        reaching(50.3, psnr, foretold=psnr if foretold else None)


def test_a_flat_picture_that_another_quality_than_100_suits_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which colour that is depends on the weights: the first of these. By the networks alone, for a
    flat picture is stored exactly else."""
    monkeypatch.setattr(exact, "may_be_exact", lambda *_: False)
    for colour in ((200, 100, 50), (50, 100, 200), (90, 90, 30), (30, 160, 90), (240, 230, 10)):
        picture = Image.new("RGB", (256, 256), colour)
        found = {
            q: samples.psnr(picture, aecodec.decompress(aecodec.compress(picture, q, tune="psnr")))
            for q in range(90, 101)
        }
        best = max(found.values())
        if found[100] + 0.1 < best < float("inf"):
            break
    else:
        pytest.fail("quality 100 suits all of them best: other colours are to be chosen here")
    target = 0.5 * (best + found[100])
    for effort in (1, 2):
        data = aecodec.compress(picture, target_psnr=target, effort=effort)
        assert samples.psnr(picture, aecodec.decompress(data)) >= target
    lossless = aecodec.decompress(aecodec.compress(picture, target_psnr=best + 0.1))
    assert np.array_equal(np.asarray(lossless), np.asarray(picture))


def test_few_refinements(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass foretells what they bring: a search among refined pictures takes seven to ten."""
    coder = codec.Codec(weights.by_name())
    run, times = Refinement.run, []
    monkeypatch.setattr(Refinement, "run", lambda *a: times.append(1) or run(*a))
    aims = [
        *(Target("size", size) for size in (1500, 3000, 6000, 10000)),
        *(Target("psnr", psnr) for psnr in (28.0, 31.0, 34.0, 37.0)),
    ]
    for name, box in (("coffee.png", (40, 40, 296, 232)), ("chelsea.png", (60, 30, 316, 222))):
        picture = samples.photograph(name, box)
        for aim in aims:
            before = len(times)
            data = coder.compress(picture, effort=2, target=aim)
            assert len(times) - before <= 6
            if aim.measure == "size":
                assert 0.98 * aim.value <= len(data) <= aim.value
    assert len(times) <= 3.5 * 2 * len(aims)


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


@pytest.mark.parametrize("quality", [20, 60, 90, 96])
@pytest.mark.parametrize("share", [1.01, 1.02, 1.03])
def test_between_two_qualities_more_bytes_are_better(quality: int, share: float) -> None:
    picture = samples.photograph("coffee.png", (40, 40, 360, 280))
    plain = aecodec.compress(picture, quality)
    limit = int(share * len(plain))
    data = aecodec.compress(picture, target_size=limit)
    assert 0.98 * limit <= len(data) <= limit
    assert samples.psnr(picture, aecodec.decompress(data)) > 0.01 + samples.psnr(
        picture, aecodec.decompress(plain)
    )


def test_less_than_quality_1_takes() -> None:
    picture = samples.photograph("coffee.png", (40, 40, 360, 280))
    limit = int(0.85 * len(aecodec.compress(picture, 1)))
    data = aecodec.compress(picture, target_size=limit)
    assert 0.98 * limit <= len(data) <= limit
    assert samples.psnr(picture, aecodec.decompress(data)) > 15.0


def transparent(picture: Image.Image, seed: int = 1) -> Image.Image:
    """Its left half hides noise; at the right the alpha is noise."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(picture.convert("RGBA")).copy()
    half = pixels.shape[1] // 2
    pixels[:, :half, :3] = rng.integers(0, 256, (*pixels[:, :half].shape[:2], 3))
    pixels[:, :half, 3] = 0
    pixels[:, half:, 3] = rng.integers(1, 256, pixels[:, half:].shape[:2])
    return Image.fromarray(pixels)


def test_a_size_with_alpha_and_metadata_that_are_packed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = transparent(samples.photograph())
    picture.info["icc_profile"] = samples.srgb()
    packed, packing = [], zstd.pack_alpha
    monkeypatch.setattr(zstd, "pack_alpha", lambda a: packed.append(a) or packing(a))
    # A large picture may be read: whoever has it loaded is not asked for a limit.
    monkeypatch.setattr(bitstream, "parse", functools.partial(bitstream.parse, max_pixels=100))
    for effort in (1, 2):
        packed.clear()
        data = aecodec.compress(load(picture), target_size=13000, effort=effort)
        assert 12740 <= len(data) <= 13000
        assert len(packed) <= 2
    with pytest.raises(aecodec.RequestError, match=r"are transparency and \d+ are metadata$"):
        aecodec.compress(load(picture), target_size=5000)


@pytest.mark.parametrize("size", [127, 128, 129, 16383, 16384, 16385, 2097151, 2097153])
def test_sizes_are_known_without_packing(size: int) -> None:
    """Whatever number of bytes the header takes to say it."""
    header = bitstream.Header(64, 64, bitstream.ColourMode.LA, 50, bytes(8))
    alpha = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    picture = Picture(np.zeros((64, 64, 3), np.uint8), "LA", alpha, xmp=b"x" * 99)
    kept = sum(codec._kept(picture, header).values())
    for length in {max(4, size + more - kept) for more in range(-14, 2)} | {size}:
        tiles = CodedTiles([bytes(length)])
        assert codec._size(header, tiles, kept) == len(codec._file(picture, header, tiles))


def test_the_analysis_runs_once_a_tile_and_nothing_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coder = codec.Codec(weights.by_name())
    halves: dict[str, int] = {}
    runtime = coder.tiles.runtime
    run = runtime.run

    def counted(name: str, **inputs: Any) -> list[Any]:
        halves[name] = halves.get(name, 0) + 1
        return run(name, **inputs)

    monkeypatch.setattr(runtime, "run", counted)
    monkeypatch.setattr(coder.tiles, "decode", None)
    picture = samples.photograph(box=(0, 0, 150, 100))
    for effort in (1, 2):
        for target in (None, Target("size", 3000), Target("psnr", 32.0)):
            halves.clear()
            coder.compress(picture, effort=effort, tile_size=64, target=target)
            assert (halves["analysis8"], halves["analysis16"]) == (1, 6)


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_is_measured_is_what_is_shown(mode: str, effort: int) -> None:
    """The grey of grey pictures, and nothing that is hidden."""
    picture = samples.photograph("coffee.png", (40, 40, 168, 136))
    if mode.endswith("A"):
        picture = transparent(picture)
    picture = picture.convert(mode)
    shown = np.asarray(picture)[..., -1] > 0 if mode.endswith("A") else np.s_[:, :]

    def psnr(data: bytes) -> float:
        one, other = (np.asarray(p).astype(float) for p in (picture, aecodec.decompress(data)))
        colours = (one - other)[..., :-1] if mode.endswith("A") else one - other
        return float(10.0 * np.log10(255.0**2 / np.mean(colours[shown] ** 2)))

    data = aecodec.compress(picture, target_psnr=36.0, effort=effort)
    quality = aecodec.read_info(data).quality - 1
    lower = aecodec.compress(picture, quality, tune="psnr", effort=effort)
    assert psnr(lower) < 36.0 <= psnr(data)


def test_nothing_to_be_seen_is_good_enough_at_once() -> None:
    picture = samples.photograph().convert("RGBA")
    picture.putalpha(0)
    data = aecodec.compress(picture, target_psnr=60.0)
    assert aecodec.read_info(data).quality == 1


def test_one_pixel_that_only_some_qualities_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """There PSNR rises and falls."""
    monkeypatch.setattr(exact, "may_be_exact", lambda *_: False)
    found = {}
    picture = Image.new("RGB", (1, 1), (200, 100, 50))
    for quality in range(1, 101):
        data = aecodec.compress(picture, quality, tune="psnr")
        found[quality] = samples.psnr(picture, aecodec.decompress(data))
    best = max(found.values())
    target = min(best, 90.0)
    assert found[100] < target  # else no search is needed
    data = aecodec.compress(picture, target_psnr=target)
    assert found[aecodec.read_info(data).quality] >= target


def test_two_targets_are_refused() -> None:
    targets = {"target_size": 1000, "target_bpp": 0.5, "target_psnr": 30.0}
    for one, other in itertools.combinations(targets, 2):
        with pytest.raises(ValueError, match="one target"):
            aecodec.compress(samples.photograph(), **{one: targets[one], other: targets[other]})


@pytest.mark.parametrize("name", ["target_size", "target_bpp", "target_psnr"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_a_target_is_a_number_above_0(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        aecodec.compress(samples.photograph(), **{name: value})


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("target", [{"target_bpp": 1e308}, {"target_size": 10**400}])
def test_more_than_any_file_has(target: dict[str, float], effort: int) -> None:
    picture = samples.photograph(box=(0, 0, 40, 30))
    assert aecodec.compress(picture, effort=effort, **target) == aecodec.compress(
        picture, 100, effort=effort
    )


def test_bits_per_pixel_are_a_size() -> None:
    picture = samples.photograph("coffee.png", (40, 40, 360, 280))
    data = aecodec.compress(picture, target_bpp=0.8)
    assert data == aecodec.compress(picture, target_size=320 * 240 // 10)
    assert 0.98 * 0.8 < 8 * len(data) / (320 * 240) <= 0.8


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
