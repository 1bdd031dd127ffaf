"""Pictures from the prior, and variations: seeded, of the right size, and as far off as asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import samples
from command import lines, run
from PIL import Image

import aecodec
from aecodec.codec import Codec
from aecodec.uses.dream import _Sampler, draw


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_seed_gives_one_picture() -> None:
    first, again, other = (np.asarray(draw(100, 70, seed=seed)) for seed in (1, 1, 2))
    assert first.shape == (70, 100, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.std() > 5


def test_samples_have_the_probabilities_of_their_tables(coder: Codec) -> None:
    tables = coder.weights.y_tables[0]
    table = int(np.argmax(tables.lengths))
    groups = tables.groups(np.full(200_000, table, np.uint8))
    drawn = _Sampler(np.random.default_rng(5)).take(groups)
    probabilities = tables.table(table) / 2**24
    first = int(tables.first[table])
    for symbol in (-1, 0, 1):
        expected = float(probabilities[symbol - first + 1])
        assert np.mean(drawn == symbol) == pytest.approx(expected, abs=0.005)
    assert drawn.min() >= first
    assert drawn.max() <= first + len(probabilities) - 3


def test_a_dream_is_as_large_as_a_compressed_picture_of_its_kind() -> None:
    """What is drawn at a quality has latents that cost about what those of photographs cost."""
    dreamt = aecodec.compress(draw(320, 224, quality=60, seed=4), 60)
    real = aecodec.compress(samples.photograph("coffee.png", (0, 0, 320, 224)), 60)
    assert 0.2 < len(dreamt) / len(real) < 10


def test_a_variation_is_as_far_off_as_asked() -> None:
    image = samples.photograph("coffee.png", (0, 0, 224, 224))
    found = [samples.psnr(image, aecodec.augment(image, strength, 7)) for strength in (0, 0.3, 1)]
    assert found[0] > 28
    assert found[0] > found[1] + 3
    assert found[1] > found[2] + 3


def test_a_variation_is_seeded_and_of_its_kind() -> None:
    rgb = np.asarray(samples.photograph())
    first, again, other = (aecodec.augment(rgb, 0.5, seed) for seed in (3, 3, 4))
    assert isinstance(first, np.ndarray)
    assert first.shape == rgb.shape
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert aecodec.augment(samples.photograph().convert("LA")).mode == "LA"
    with pytest.raises(ValueError, match="strength"):
        aecodec.augment(rgb, -1.0)


def test_the_command(tmp_path: Path) -> None:
    done = run("dream", "-o", tmp_path / "a.png", "--size", "96x64")
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "a.png") == (96, 64)
    samples.photograph().save(tmp_path / "p.png")
    done = run("dream", "-o", tmp_path / "b.png", "--like", tmp_path / "p.png")
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "b.png") == (160, 120)


@pytest.mark.parametrize("size", ["0x5", "12", "axb", "99999x99999", "1x99999999999"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    done = run("dream", "-o", tmp_path / "a.png", "--size", size)
    assert done.returncode == 2
    assert b"is not a size" in done.stderr
    assert not (tmp_path / "a.png").exists()


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = run("dream", "-o", tmp_path / "b.png", "--like", tmp_path / "no.png")
    assert done.returncode == 1
    assert lines(done.stderr) == [f"aecodec: {tmp_path / 'no.png'}: no such file"]


def test_a_variation_keeps_the_profile_and_says_what_it_does_not(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    source = samples.photograph().convert("P")
    source.save(tmp_path / "p.png", icc_profile=samples.srgb(), exif=exif.tobytes())
    done = run("dream", "-o", tmp_path / "b.png", "--like", tmp_path / "p.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == samples.srgb()
    palette, metadata = lines(done.stderr)
    assert palette.endswith("note: palette converted to RGB")
    assert metadata.endswith("no metadata but the colour profile: without exif")
    varied = aecodec.augment(tmp_path / "p.png")
    assert varied.info["icc_profile"] == samples.srgb()


def test_a_picture_on_standard_output_has_no_text_in_it() -> None:
    done = run("dream", "-o", "-", "--size", "32x32")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"IEND\xaeB`\x82")
    assert lines(done.stderr) == ["-  32 x 32"]


@pytest.mark.parametrize("options", [("--like", "p.png", "-q", "3"), ("--strength", "1")])
def test_options_that_have_no_effect_are_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "p.png")
    done = run("dream", "-o", "a.png", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert b"--like" in done.stderr
    assert not (tmp_path / "a.png").exists()
