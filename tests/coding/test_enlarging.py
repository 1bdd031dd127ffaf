"""`decompress --scale 2`: a decoded picture at twice its size."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import samples
from command import run
from PIL import Image

import aecodec
from aecodec.arrays import Pixels
from aecodec.coding import enlarging
from aecodec.geometry import Box
from aecodec.image.rgb import doubled, resized
from aecodec.metrics import psnr
from aecodec.networks.enlarger import MARGIN, enlarger
from aecodec.networks.runtime import Options
from aecodec.networks.ssimulacra2 import ssimulacra2

ONE = Options(threads=1, device="cpu")


def whole() -> Pixels:
    return np.asarray(samples.photograph("astronaut.png", (64, 0, 448, 288)))


def halved(rgb: Pixels) -> Pixels:
    return resized(rgb, rgb.shape[0] // 2, rgb.shape[1] // 2, "LANCZOS")


def enlarged(rgb: Pixels, quality: int = 90, options: Options = ONE) -> Pixels:
    bands = enlarging.enlarged_bands(rgb, Box.of(rgb.shape), quality, options)
    return np.concatenate(list(bands))


@pytest.mark.parametrize("tune", ["eye", "psnr"])
def test_it_is_nearer_to_the_picture_than_interpolation(tune: str) -> None:
    data = aecodec.compress(halved(whole()), 90, tune=tune)
    plain = doubled(np.asarray(aecodec.decompress(data)))
    drawn = np.asarray(aecodec.decompress(data, scale=2))
    assert drawn.shape == whole().shape
    assert psnr(whole(), drawn) > psnr(whole(), plain) + 0.45
    before, after = ssimulacra2(whole(), plain), ssimulacra2(whole(), drawn)
    assert before is not None and after is not None
    assert after > before + 1.0


@pytest.mark.parametrize("quality", [1, 20, 50, 100])
def test_no_quality_is_made_worse(quality: int) -> None:
    data = aecodec.compress(halved(whole()), quality)
    plain = doubled(np.asarray(aecodec.decompress(data)))
    assert psnr(whole(), np.asarray(aecodec.decompress(data, scale=2))) > psnr(whole(), plain) - 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (16, 17), (101, 67)])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_size_and_mode(size: tuple[int, int], mode: str) -> None:
    picture = samples.photograph("astronaut.png", (200, 40, 301, 107)).crop((0, 0, *size))
    picture = picture.convert(mode)
    if "A" in mode:
        picture.putalpha(Image.linear_gradient("L").resize(size))
    found = aecodec.decompress(aecodec.compress(picture, 80), scale=2)
    assert found.mode == mode
    assert found.size == (2 * size[0], 2 * size[1])
    if "A" in mode:
        alpha = doubled(np.asarray(picture.getchannel("A")))
        assert np.array_equal(np.asarray(found.getchannel("A")), alpha)
    # As a whole it shows the same.
    small = found.convert("RGB").resize(size, Image.Resampling.BOX)
    decoded = aecodec.decompress(aecodec.compress(picture, 80)).convert("RGB")
    assert psnr(np.asarray(decoded), np.asarray(small)) > 28.0


def test_black_and_white_stays_so_and_flat_stays_flat() -> None:
    grey = samples.photograph().convert("L").convert("RGB")
    made = np.asarray(aecodec.decompress(aecodec.compress(grey, 60), scale=2))
    assert (made == made[..., :1]).all()
    for value in (0, 7, 128, 255):
        flat = np.full((40, 52, 3), value, np.uint8)
        inner = enlarged(flat)[8:-8, 8:-8]
        assert np.abs(inner.astype(int) - value).max() <= 2
    flat = np.full((40, 52, 3), (200, 30, 90), np.uint8)
    assert np.abs(enlarged(flat)[8:-8, 8:-8].astype(int) - (200, 30, 90)).max() <= 4


def test_windows_have_no_seams_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = halved(whole())
    at_once = enlarged(rgb)
    monkeypatch.setattr(enlarging, "SIDE", 64)
    assert np.abs(enlarged(rgb).astype(int) - at_once).max() <= 1
    several = enlarged(rgb, options=Options(threads=3, device="cpu"))
    assert np.array_equal(several, enlarged(rgb))


def test_the_margin_is_what_pixels_depend_on() -> None:
    rgb = halved(whole())
    box = Box(40, 32, 24, 24)
    other = np.random.default_rng(1).integers(0, 256, rgb.shape, np.uint8)
    seen = box.grown(MARGIN, rgb.shape)
    other[seen.slices()] = rgb[seen.slices()]
    network = enlarger(ONE)
    assert np.array_equal(network.enlarge(rgb, box, 90), network.enlarge(other, box, 90))


@pytest.mark.parametrize("region", [(0, 0, 192, 144), (31, 17, 64, 45), (150, 100, 42, 44)])
def test_a_region_is_that_part_of_the_whole(region: tuple[int, int, int, int]) -> None:
    data = aecodec.compress(halved(whole()), 85)
    part = np.asarray(aecodec.decompress(data, region=region, scale=2)).astype(int)
    x, y, w, h = (2 * number for number in region)
    assert (
        np.abs(part - np.asarray(aecodec.decompress(data, scale=2))[y : y + h, x : x + w]).max()
        <= 1
    )


@pytest.mark.parametrize("region", [(0, 0, 40, 32), (9, 7, 13, 11), (39, 31, 1, 1)])
def test_the_transparency_of_a_region_is_that_of_the_whole(
    region: tuple[int, int, int, int],
) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (32, 40, 4), np.uint8)
    data = aecodec.compress(rgba, lossless=True)
    part = aecodec.decompress(data, region=region, scale=2)
    x, y, w, h = (2 * number for number in region)
    whole = np.asarray(aecodec.decompress(data, scale=2))
    assert np.array_equal(np.asarray(part)[..., 3], whole[y : y + h, x : x + w, 3])


def test_exact_and_mixed_pictures_are_enlarged_as_well() -> None:
    page = Image.new("RGB", (96, 80), "white")
    page.paste((20, 20, 120), (24, 16, 72, 64))
    data = aecodec.compress(page, lossless=True)
    found = aecodec.decompress(data, scale=2)
    assert found.size == (192, 160)
    assert np.abs(np.asarray(found)[60:100, 70:120].astype(int) - (20, 20, 120)).max() <= 4


def test_the_metadata_fits_the_new_size() -> None:
    picture = samples.photograph()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    exif.get_ifd(0x8769).update({0xA002: picture.width, 0xA003: picture.height})
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif, icc_profile=samples.srgb())
    found = aecodec.decompress(aecodec.compress(file.getvalue(), 60), scale=2)
    again = found.getexif()
    assert again[0x010E] == "a description"
    assert dict(again.get_ifd(0x8769)) == {0xA002: found.width, 0xA003: found.height}
    assert found.info["icc_profile"] == samples.srgb()


def test_the_command(here: Path) -> None:
    picture = samples.photograph()
    Path("a.aec").write_bytes(aecodec.compress(picture, 70))
    expected = np.asarray(aecodec.decompress(Path("a.aec").read_bytes(), scale=2))
    done = run("decompress", "a.aec", "--scale", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert b'"width":320' in done.stdout.replace(b" ", b"")
    assert np.array_equal(np.asarray(Image.open("a.png")), expected)
    done = run("decompress", "a.aec", "--scale", "2", "--region", "8,8,20,30", "-o", "part.tiff")
    assert done.returncode == 0, done.stderr
    with Image.open("part.tiff") as part:
        assert part.size == (40, 60)
    done = run("decompress", "a.aec", "-o", "b.png", env={"AECODEC_DECOMPRESS_SCALE": "2"})
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(Image.open("b.png")), expected)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--scale", "3"), 2, b"'3' is not"),
        (("--scale", "2", "--preview", "4"), 2, b"--scale and --preview: give one of them"),
        (("-r", "--scale", "2"), 2, b"--region, --preview and --scale are for single files"),
        (
            ("--scale", "2", "--max-pixels", "20000"),
            1,
            b"twice as large the picture would have 320 x 240 pixels; the limit is 20000",
        ),
    ],
)
def test_what_is_refused(here: Path, options: tuple[str, ...], code: int, text: bytes) -> None:
    Path("in").mkdir()
    Path("in/a.aec").write_bytes(aecodec.compress(samples.photograph(), 70))
    source = "in" if "-r" in options else "in/a.aec"
    done = run("decompress", source, "-o", "out" if "-r" in options else "out.png", *options)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    assert sorted(path.name for path in here.iterdir()) == ["in"]


def test_a_missing_network_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = aecodec.compress(samples.photograph(), 70)
    aecodec.decompress(data)
    monkeypatch.setattr("aecodec.networks.weights._roots", lambda: [here])
    enlarger.cache_clear()
    with pytest.raises(aecodec.WeightsError, match=r"enlarger/enlarge\.onnx is missing"):
        enlarger(dataclasses.replace(ONE, threads=2))


def test_the_library_refuses_what_is_no_scale() -> None:
    data = aecodec.compress(samples.photograph(), 70)
    with pytest.raises(ValueError, match="a scale is 1 or 2, not 3"):
        aecodec.decompress(data, scale=3)
    with pytest.raises(ValueError, match="a preview or a scale, not both"):
        aecodec.decompress(data, scale=2, preview=4)
    with pytest.raises(TypeError, match="scale must be a whole number"):
        aecodec.decompress(data, scale=2.0)  # type: ignore[arg-type]
    with pytest.raises(aecodec.LimitError, match="320 x 240 pixels"):
        aecodec.decompress(data, scale=2, max_pixels=50_000)
