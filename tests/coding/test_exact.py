"""Tiles that are stored exactly: chosen, beside coded ones, and hostile."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import aecodec
from aecodec import bitstream, codec
from aecodec.coding import exact
from aecodec.entropy.padding import ALONE
from aecodec.errors import CorruptError, LimitError, RequestError
from aecodec.geometry import Box
from aecodec.image import preparation, vp8l
from aecodec.image.picture import Picture
from aecodec.networks import weights


def page(width: int, height: int) -> np.ndarray:
    """Text on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(height // 16):
        draw.text((12, 16 * line), f"{line}: the quick brown fox jumps over the lazy dog", "black")
    return np.asarray(image)


def page_of_text() -> np.ndarray:
    return page(300, 200)


def stripes(width: int = 200, height: int = 150) -> np.ndarray:
    """Red and blue columns of one pixel: the networks give back 8 dB of them."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, ::2, 0] = 255
    pixels[:, 1::2, 2] = 255
    return pixels


def beside() -> np.ndarray:
    """Two tiles: a photograph, and text."""
    photograph = np.asarray(samples.photograph(box=(0, 0, 320, 300)).convert("RGB"))
    tiled = np.tile(photograph, (2, 4, 1))[:500, :1024]
    return np.concatenate([tiled, page(1024, 500)], axis=1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b) ** 2)
    return 10 * np.log10(255**2 / error) if error else np.inf


def back(data: bytes, **options: object) -> np.ndarray:
    return np.asarray(aecodec.decompress(data, **options))  # type: ignore[arg-type]


# --- The stream -----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 256), st.integers(0, 2**32 - 1))
def test_streams_give_the_pixels_back(width: int, height: int, values: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, values, (height, width, 3), np.uint8)
    assert np.array_equal(vp8l.unpack(vp8l.pack(rgb), width, height), rgb)


def test_a_stream_of_another_size_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = vp8l.pack(page(40, 30))

    def forbidden(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(vp8l.Image, "open", forbidden)
    for size in ((30, 40), (41, 30), (40, 31)):
        with pytest.raises(CorruptError, match="40x30 pixels where"):
            vp8l.unpack(stream, *size)
    with pytest.raises(CorruptError, match="not a VP8L stream"):
        vp8l.unpack(b"\x2e" + stream[1:], 40, 30)
    with pytest.raises(CorruptError, match="only 4 bytes"):
        vp8l.unpack(stream[:4], 40, 30)
    with pytest.raises(CorruptError, match="transparency"):
        bits = struct.unpack_from("<I", stream, 1)[0] | 1 << 28
        vp8l.unpack(stream[:1] + struct.pack("<I", bits) + stream[5:], 40, 30)


def test_damaged_streams_are_damage_or_pixels() -> None:
    """Pillow's decoder may accept some; it never gives back another size, nor another error."""
    stream = vp8l.pack(np.asarray(samples.photograph(box=(0, 0, 64, 48)).convert("RGB")))
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(stream[: int(rng.integers(5, len(stream)))])
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        try:
            assert vp8l.unpack(bytes(damaged), 64, 48).shape == (48, 64, 3)
        except CorruptError:
            refused += 1
    assert refused > 200


# --- The choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [20, 50, 75, 100])
@pytest.mark.parametrize("make", [lambda: page(700, 500), stripes])
def test_drawings_are_exact_and_as_small_as_lossless_webp(make: object, quality: int) -> None:
    rgb = make()  # type: ignore[operator]
    webp = io.BytesIO()
    Image.fromarray(rgb).save(webp, "WEBP", lossless=True, exact=True)
    data = aecodec.compress(rgb, quality=quality)
    assert np.array_equal(back(data), rgb)
    assert len(data) <= 1.02 * webp.tell() + 100
    assert aecodec.read_info(data).exact == 1


def test_what_repeats_over_tiles_is_stored_once() -> None:
    rgb = page(1500, 1100)
    webp = io.BytesIO()
    Image.fromarray(rgb).save(webp, "WEBP", lossless=True, exact=True)
    assert len(aecodec.compress(rgb)) <= 1.02 * webp.tell() + 100


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_photographs_are_coded_as_without_the_choice(
    quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph = samples.photograph()
    data = aecodec.compress(photograph, quality=quality)
    assert aecodec.read_info(data).exact == 0
    monkeypatch.setattr(exact, "may_be_exact", lambda *_: False)
    assert aecodec.compress(photograph, quality=quality) == data


@pytest.mark.parametrize("quality", [50, 95])
def test_computed_gradients_are_exact(quality: int) -> None:
    """No two neighbours of them are equal, and yet a lossless coder needs few bits."""
    y, x = np.mgrid[0:96, 0:128]
    slanted = np.stack([x + y // 2, 2 * x, 255 - y], -1).astype(np.uint8)
    for rgb in (np.repeat(x[..., None] * 2, 3, 2).astype(np.uint8), slanted):
        webp = io.BytesIO()
        Image.fromarray(rgb).save(webp, "WEBP", lossless=True, exact=True)
        data = aecodec.compress(rgb, quality=quality)
        assert np.array_equal(back(data), rgb)
        assert len(data) <= 1.02 * webp.tell() + 100


def test_a_quick_stream_that_is_no_guide_is_not_asked() -> None:
    """Its stream of the least effort is 17 times as large as the real one."""
    rgb = np.repeat(
        np.add.outer(np.linspace(0, 120, 120), np.linspace(0, 127.5, 160))[..., None], 3, 2
    )
    rgb = rgb.astype(np.uint8)
    assert vp8l.quick_size(rgb) > 10 * len(vp8l.pack(rgb))
    for quality in (50, 75):
        assert np.array_equal(back(aecodec.compress(rgb, quality=quality)), rgb)


def test_few_pixels_are_stored_with_the_better_effort() -> None:
    thin = np.asarray(samples.photograph().convert("RGB").resize((3, 300)))
    usual = io.BytesIO()
    Image.fromarray(thin).save(usual, "WEBP", lossless=True, exact=True)
    assert len(vp8l.pack(thin)) < 0.6 * usual.tell()


@pytest.mark.parametrize("turned", [False, True])
def test_a_line_of_a_photograph_is_no_larger_than_lossless(turned: bool) -> None:
    row = np.asarray(samples.photograph(box=(0, 200, 512, 201)))
    line = np.tile(np.concatenate([row, row[:, ::-1]], axis=1), (1, 2, 1))
    line = line.swapaxes(0, 1) if turned else line
    exactly = aecodec.compress(line, lossless=True)
    assert len(aecodec.compress(line, quality=98)) <= len(exactly)


def larger_photograph() -> Image.Image:
    return samples.photograph(box=(0, 0, 300, 200))


@pytest.mark.parametrize("picture", [larger_photograph, page_of_text])
def test_an_effort_makes_lossless_files_smaller(picture: Callable[[], Any]) -> None:
    image = picture()
    files = [aecodec.compress(image, lossless=True, effort=n) for n in (1, 2, 4, 6)]
    sizes = [len(data) for data in files]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    assert all(np.array_equal(back(data), np.asarray(image)) for data in files)


def test_an_effort_makes_pictures_smaller_that_become_exact() -> None:
    """The same holds of a page of text, which is stored exactly at any quality."""
    image = page_of_text()
    quick, slow = (aecodec.compress(image, quality=75, effort=n) for n in (1, 6))
    assert len(slow) < len(quick)
    assert np.array_equal(back(slow), image)


def test_the_cheaper_way_is_taken_by_rate_and_distortion() -> None:
    """A drawing with noise costs a lossless coder much: only a high quality is worth that."""
    rng = np.random.default_rng(0)
    rgb = page(256, 256).copy()
    rgb[:, 180:] = np.clip(rgb[:, 180:] + rng.normal(0, 4, (256, 76, 3)), 0, 255).astype(np.uint8)
    found = [aecodec.read_info(aecodec.compress(rgb, quality=q)).exact for q in (5, 100)]
    assert found == [0, 1]


@pytest.mark.parametrize("quality", [30, 75, 100])
def test_no_tile_that_is_looked_at_stays_below_the_floor(quality: int) -> None:
    rng = np.random.default_rng(quality)
    halftone = np.repeat(rng.integers(0, 2, (120, 130, 1), np.uint8) * 255, 3, axis=2)
    for rgb in (stripes(), halftone, rng.integers(0, 256, (90, 110, 3), np.uint8)):
        assert psnr(back(aecodec.compress(rgb, quality=quality)), rgb) >= exact.floor(quality)


# --- Beside coded tiles ---------------------------------------------------------------------------


def test_a_photograph_with_a_border_is_tried_with_the_quick_stream_alone() -> None:
    rgb = np.full((256, 256, 3), 255, np.uint8)
    rgb[60:200, 40:220] = np.asarray(samples.photograph("coffee.png", (100, 100, 280, 240)))
    coder = codec.shared(weights.by_name(), 1, "cpu")
    box, point = Box.of(rgb.shape), coder.weights.at(75)
    tiles = exact.ExactTiles(coder.tiles, rgb)
    assert not tiles.choose(box, point, ALONE)
    payload = tiles.trial(box, point)
    assert payload == coder.tiles.encode(coder.tiles.analyse(rgb, box), point)[1]
    assert tiles.trial(box, coder.weights.at(74)) is None
    assert tiles._quick
    assert not tiles._streams
    assert bitstream.parse(coder.compress(rgb)).tiles == (payload,)


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, bytes]:
    rgb = beside()
    return rgb, aecodec.compress(rgb, quality=75)


def test_a_photograph_beside_text(mixed: tuple[np.ndarray, bytes]) -> None:
    rgb, data = mixed
    container = bitstream.parse(data)
    assert container.exact == {1}
    assert len(container.tiles) == 2
    found = back(data)
    assert np.array_equal(found[:, 1024:], rgb[:, 1024:])
    assert psnr(found[:, :1024], rgb[:, :1024]) > 33


def test_the_border_shows_no_seam(mixed: tuple[np.ndarray, bytes]) -> None:
    rgb, data = mixed
    errors = np.abs(back(data).astype(float) - rgb)[:, :1024].mean(axis=(0, 2))
    # The photograph repeats every 320 columns: the same columns, far from the border.
    near, same = errors[1016:1024].mean(), errors[696:704].mean()
    assert near < 1.6 * same + 0.3


@pytest.mark.parametrize("threads", [1, 2])
def test_regions_previews_and_threads(mixed: tuple[np.ndarray, bytes], threads: int) -> None:
    rgb, data = mixed
    whole = back(data, threads=threads)
    assert np.array_equal(whole, back(data))
    for x, y, w, h in ((1000, 100, 60, 50), (10, 20, 100, 70), (1500, 400, 200, 100)):
        region = back(data, region=(x, y, w, h), threads=threads)
        assert np.array_equal(region, whole[y : y + h, x : x + w])
    small = back(data, preview=4, threads=threads)
    expected = np.asarray(Image.fromarray(rgb).reduce(4))
    assert small.shape == expected.shape
    assert psnr(small[:, 256:], expected[:, 256:]) > 50
    assert psnr(small[:, :256], expected[:, :256]) > 22


def test_efforts_and_targets(mixed: tuple[np.ndarray, bytes]) -> None:
    rgb, data = mixed
    refined = aecodec.compress(rgb, quality=75, effort=2)
    assert bitstream.parse(refined).exact == {1}
    assert psnr(back(refined), rgb) > psnr(back(data), rgb) - 0.1
    assert len(aecodec.compress(rgb, target_size=len(data))) <= len(data)
    aimed = aecodec.compress(rgb, target_psnr=36.0)
    assert psnr(back(aimed), rgb) >= 36.0


@pytest.mark.parametrize("target", [50.0, 90.0])
def test_a_psnr_out_of_the_networks_reach_is_lossless(target: float) -> None:
    photograph = samples.photograph(box=(0, 0, 200, 150)).convert("RGB")
    data = aecodec.compress(photograph, target_psnr=target)
    assert np.array_equal(back(data), np.asarray(photograph))


# --- Lossless -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_lossless_files_give_every_mode_back(mode: str) -> None:
    picture = samples.photograph(box=(0, 0, 130, 90)).convert("RGB")
    alpha = Image.fromarray(np.tile(np.arange(130, dtype=np.uint8), (90, 1)))
    if mode.endswith("A"):
        picture.putalpha(alpha)
    picture = picture.convert(mode)
    found = aecodec.decompress(aecodec.compress(picture, lossless=True))
    assert found.mode == mode
    assert np.array_equal(np.asarray(found), np.asarray(picture))


def test_a_lossless_file_decodes_without_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = page(90, 60)
    data = aecodec.compress(rgb, lossless=True)
    container = bitstream.parse(data)
    header = bitstream.Header(90, 60, container.header.mode, 100, b"12345678")
    foreign = bitstream.pack(header, container.tiles, exact=container.exact)
    assert np.array_equal(back(foreign), rgb)


def test_lossless_takes_no_target() -> None:
    with pytest.raises(ValueError, match="not both"):
        aecodec.compress(page(20, 20), lossless=True, target_psnr=40.0)


def test_huge_exact_tiles_are_refused_before_memory_is_taken() -> None:
    header = bitstream.Header(
        16320, 16320, bitstream.ColourMode.RGB, 100, b"12345678", tile_size=16320
    )
    data = bitstream.pack(header, [b"\x2f" + bytes(60)], exact={0})
    with pytest.raises(LimitError, match="exact tiles of 16320x16320"):
        aecodec.decompress(data)


def test_older_readers_would_refuse_it_by_name() -> None:
    """The section is critical: a reader that does not know its type refuses the file."""
    assert bitstream.SectionType.EXACT < 0x80


def test_a_forged_exact_tile_is_damage() -> None:
    data = bytearray(aecodec.compress(page(90, 60), lossless=True))
    section = bitstream.parse(bytes(data)).sections[-1]
    data[section.start + 20] ^= 0x55
    with pytest.raises(CorruptError):
        aecodec.decompress(bytes(data))
    payload = bytes(data[section.start : section.end])  # with its checksum made right
    crc = zlib.crc32(payload, zlib.crc32(bytes([section.type, 0, 0, 0, 0])))
    data[section.start - 4 : section.start] = crc.to_bytes(4, "little")
    with contextlib.suppress(CorruptError):
        assert back(bytes(data)).shape == (60, 90, 3)


def test_targets_that_files_of_any_kind_miss_are_still_refused() -> None:
    with pytest.raises(RequestError):
        aecodec.compress(page(300, 300), target_size=20)


# --- Black and white, and hidden colours ----------------------------------------------------------


def test_black_and_white_in_three_channels_stays_neutral_at_one_channels_cost() -> None:
    grey = samples.photograph().convert("L")
    colour = grey.convert("RGB")
    data = aecodec.compress(colour)
    found = back(data)
    assert found.ndim == 3
    assert (found == found[..., :1]).all()
    assert len(data) == len(aecodec.compress(grey))
    assert np.array_equal(found[..., 0], back(aecodec.compress(grey)))
    small = back(data, preview=4)
    assert (small == small[..., :1]).all()


def test_a_tint_of_one_level_is_a_jpegs_rounding_and_a_sepia_is_not() -> None:
    rgb = np.repeat(np.asarray(samples.photograph().convert("L"))[..., None], 3, axis=2)
    tinted = rgb.copy()
    tinted[::3, :, 2] = np.clip(tinted[::3, :, 2].astype(int) + 1, 0, 255)
    assert (back(aecodec.compress(tinted))[..., 0] == back(aecodec.compress(tinted))[..., 2]).all()
    sepia = rgb.copy()
    sepia[..., 2] = sepia[..., 2] * 0.8
    found = back(aecodec.compress(sepia)).astype(int)
    assert (found[..., 0] - found[..., 2]).mean() > 15


def test_hidden_colours_cost_nothing_and_do_not_come_back() -> None:
    picture = samples.photograph(box=(0, 0, 256, 256)).convert("RGB")
    rgba = np.dstack([np.asarray(picture), np.full((256, 256), 255, np.uint8)])
    rgba[64:192, 64:192, 3] = 0
    secret = rgba.copy()
    secret[64:192, 64:192, :3] = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    plain, hidden = (aecodec.compress(Image.fromarray(p)) for p in (rgba, secret))
    assert hidden == plain
    assert len(hidden) < len(aecodec.compress(picture))


def test_hidden_pixels_are_filled_smoothly() -> None:
    y, x = np.mgrid[0:97, 0:131]
    rgb = np.stack([x, y, x // 2 + y], axis=-1).astype(np.uint8)
    alpha = np.where((x - 60) ** 2 + (y - 50) ** 2 < 900, 0, 255).astype(np.uint8)
    filled = preparation.with_hidden_filled(rgb, alpha)
    assert np.array_equal(filled[alpha != 0], rgb[alpha != 0])
    assert np.abs(filled.astype(int) - rgb)[alpha == 0].mean() < 12
    steps = np.abs(np.diff(filled.astype(int), axis=1)).max(axis=2)
    assert steps.max() < 40
    nothing = preparation.with_hidden_filled(rgb, np.zeros_like(alpha))
    assert (nothing == nothing[0, 0]).all()


def test_a_lossless_file_keeps_hidden_colours() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    rgba[..., 3] = 0
    picture, neutral = preparation.prepared(
        Picture(rgb=rgba[..., :3], mode="RGBA", alpha=rgba[..., 3]), lossless=True
    )
    assert not neutral
    assert np.array_equal(picture.rgb, rgba[..., :3])


def test_codec_info_counts_exact_tiles() -> None:
    assert codec.read_info(aecodec.compress(beside(), quality=60)).exact == 1
