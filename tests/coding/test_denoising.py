"""Noise is estimated, removed before a picture is coded, and left where there is next to none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from command import run
from PIL import Image

import aecodec
from aecodec.arrays import Pixels
from aecodec.coding import denoising
from aecodec.coding.strength import checked
from aecodec.image.load import load
from aecodec.metrics import psnr
from aecodec.networks.denoiser import denoiser, of_brightness
from aecodec.networks.runtime import Options

ONE = Options(threads=1, device="cpu")


def photograph(box: tuple[int, int, int, int] = (64, 0, 320, 240)) -> Pixels:
    return np.asarray(samples.photograph("astronaut.png", box))


def noisy(clean: Pixels, sigma: float, seed: int = 3) -> Pixels:
    made = clean + np.random.default_rng(seed).normal(0.0, sigma, clean.shape)
    rounded: Pixels = np.rint(made).clip(0, 255).astype(np.uint8)
    return rounded


@pytest.mark.parametrize(("sigma", "gain"), [(10, 4.5), (25, 7.5), (50, 10.0)])
def test_noise_is_found_and_removed(sigma: int, gain: float) -> None:
    clean = photograph()
    seen = noisy(clean, sigma)
    found = denoising.estimate(seen, denoiser(ONE))
    assert found.mean == pytest.approx(sigma, rel=0.15)
    for strength in (float(sigma), "auto"):
        made = denoising.denoised(load(seen), strength, ONE)  # type: ignore[arg-type]
        assert psnr(clean, made.rgb) > psnr(clean, seen) + gain


def test_a_file_is_smaller_nearer_to_the_clean_picture_and_like_any_other() -> None:
    clean = photograph()
    seen = noisy(clean, 25)
    plain, made = aecodec.compress(seen, threads=1), aecodec.compress(seen, denoise=25, threads=1)
    assert len(made) < 0.5 * len(plain)
    before, after = (psnr(clean, np.asarray(aecodec.decompress(d))) for d in (plain, made))
    assert after > before + 5.0
    assert aecodec.read_info(made).model == aecodec.read_info(plain).model


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "rocket.jpg", "chelsea.png"])
def test_photographs_without_noise_stay_as_they_are(name: str) -> None:
    picture = load(samples.photograph(name, (0, 0, 400, 300)))
    assert denoising.denoised(picture, "auto", ONE) is picture


def test_noise_that_grows_with_the_brightness_is_seen_as_such() -> None:
    ramp = np.repeat(np.linspace(20, 235, 512).astype(np.uint8)[None, :, None], 256, axis=0)
    clean = np.repeat(ramp, 3, axis=2)
    deviation = 4.0 + 20.0 * clean / 255.0
    made = clean + np.random.default_rng(1).normal(0.0, 1.0, clean.shape) * deviation
    seen = np.rint(made).clip(0, 255).astype(np.uint8)
    levels = denoising.estimate(seen, denoiser(ONE)).levels
    assert levels[2] == pytest.approx(4.0 + 20.0 * 2 / 8, rel=0.25)
    assert levels[6] == pytest.approx(4.0 + 20.0 * 6 / 8, rel=0.25)
    # Pixels take the deviation of their brightness, between those of the two next ones.
    flat = np.full((8, 8, 3), 80, np.uint8)
    at = 8 * 80 / 255
    expected = np.interp(at, range(9), levels)
    assert of_brightness(flat, levels) == pytest.approx(np.full((2, 2), expected), rel=1e-5)


def test_windows_and_threads_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = noisy(photograph((0, 0, 333, 411)), 25)
    made = {}
    for area in (512 * 512, 128 * 128):
        monkeypatch.setattr(denoising, "AREA", area)
        made[area] = denoising.denoised(load(seen), 25.0, ONE).rgb.astype(np.int16)
        many = denoising.denoised(load(seen), 25.0, Options(threads=4, device="cpu")).rgb
        assert np.array_equal(many, made[area])
    difference = np.abs(made[512 * 512] - made[128 * 128])
    assert difference.max() <= 3
    assert np.mean(difference > 1) < 0.001


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "neutral"])
def test_grey_stays_grey_and_hidden_colours_stay_hidden(mode: str) -> None:
    image = Image.fromarray(noisy(photograph(), 20)).convert("L" if mode == "neutral" else mode)
    if mode.endswith("A"):
        alpha = np.full((240, 256), 255, np.uint8)
        alpha[:, :100] = 0
        image.putalpha(Image.fromarray(alpha))
    image = image.convert("RGB") if mode == "neutral" else image
    data = aecodec.compress(image, denoise="auto")
    shown = aecodec.decompress(data)
    assert len(data) < 0.75 * len(aecodec.compress(image))
    assert shown.mode == image.mode
    if mode == "neutral":
        assert np.ptp(np.asarray(shown), axis=2).max() == 0


def test_hidden_pixels_do_not_count_as_noise() -> None:
    rgba = np.dstack([photograph(), np.full((240, 256), 255, np.uint8)])
    rgba[:120, :, :3] = np.random.default_rng(0).integers(0, 256, (120, 256, 3))
    rgba[:120, :, 3] = 0
    picture = load(Image.fromarray(rgba, "RGBA"))
    assert denoising.denoised(picture, "auto", ONE) is picture


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (9, 40), (200, 5)])
def test_small_pictures(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    for strength in ("auto", 20.0):
        data = aecodec.compress(rgb, denoise=strength)  # type: ignore[arg-type]
        assert aecodec.decompress(data).size == shape[::-1]


def test_it_works_together_with_masks_targets_and_more_effort() -> None:
    seen = noisy(photograph((64, 0, 192, 96)), 25)
    mask = np.zeros(seen.shape[:2], np.bool_)
    mask[40:44] = True
    assert aecodec.compress(seen, denoise=25, without=mask, effort=2)
    size = len(aecodec.compress(seen, denoise=25, target_size=1500))
    assert size <= 1500
    data = aecodec.compress(seen, denoise=25, target_psnr=30.0)
    kept = denoising.denoised(load(seen), 25.0, ONE).rgb
    assert psnr(kept, np.asarray(aecodec.decompress(data))) >= 30.0


@pytest.mark.parametrize("wrong", [0, -3, 76, "much", float("nan"), True, None, [5]])
def test_what_is_no_strength_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="denoise must be auto, or above 0 and at most 75, not "):
        checked(wrong)
    assert checked("12.5") == 12.5


def test_lossless_keeps_the_noise() -> None:
    with pytest.raises(ValueError, match="lossless or denoise, not both"):
        aecodec.compress(photograph(), lossless=True, denoise=20)


def test_without_the_networks_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from aecodec.networks import weights

    monkeypatch.setattr(weights, "_roots", lambda: [tmp_path])
    denoiser.cache_clear()
    with pytest.raises(aecodec.WeightsError, match=r"denoiser/denoise\.onnx is missing"):
        denoising.denoised(load(photograph()), "auto", dataclasses.replace(ONE, threads=3))


# --- The command line -----------------------------------------------------------------------------


def test_the_note_says_how_strong_the_noise_was(here: Path) -> None:
    Image.fromarray(noisy(photograph(), 25)).save("a.png")
    done = run("compress", "a.png", "--denoise", "25", "--strict", "--json")
    assert done.returncode == 0, done.stderr
    note = "noise of about 25 levels was removed, as asked for"
    assert json.loads(done.stdout)["notes"] == [note]
    assert f"a.png: note: {note}".encode() in done.stderr


def test_rm_keeps_the_sources_that_lost_their_noise(here: Path) -> None:
    Path("in").mkdir()
    Image.fromarray(photograph()).save("in/clean.png")
    Image.fromarray(noisy(photograph(), 25)).save("in/noisy.png")
    done = run("compress", "-r", "in", "-o", "out", "--denoise", "auto", "--rm", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in Path("in").iterdir()) == ["noisy.png"]
    assert b"the source is kept, since not all of it is in the output" in done.stderr
    # Another strength is another run: what was made with the first one is not taken for its output.
    first = Path("out/noisy.aec").read_bytes()
    done = run("compress", "-r", "in", "-o", "out", "--denoise", "60", "-f", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert Path("out/noisy.aec").read_bytes() != first


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--denoise", "0"), "'0' is neither auto nor a number above 0 and at most 75"),
        (("--denoise", "loud"), "'loud' is neither auto nor a number above 0 and at most 75"),
        (("--denoise", "5", "--lossless"), "--lossless keeps noise, --denoise removes it"),
    ],
)
def test_wrong_usage(here: Path, arguments: tuple[str, ...], text: str) -> None:
    Image.fromarray(photograph()).save("a.png")
    done = run("compress", "a.png", *arguments)
    assert done.returncode == 2
    assert text.encode() in done.stderr
