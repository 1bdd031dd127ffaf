"""Small pictures from latents alone: `decompress --preview`, `Image.draft` and `thumbnail`."""

from __future__ import annotations

from pathlib import Path

import command
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import bitstream, codec
from aecodec.codec import Codec
from aecodec.coding.picture import QUICK
from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.padding import TileShape
from aecodec.geometry import Box
from aecodec.networks import weights
from aecodec.networks.means import interpolated


@pytest.fixture(scope="module")
def coder() -> Codec:
    return Codec(weights.by_name())


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return samples.photograph("coffee.png", (50, 20, 349, 227))  # no side a multiple of anything


@pytest.mark.parametrize("scale", codec.PREVIEWS)
@pytest.mark.parametrize("tile_size", [64, 512])
def test_a_preview_is_the_picture_made_small(
    coder: Codec, picture: Image.Image, scale: int, tile_size: int
) -> None:
    container = bitstream.parse(coder.compress(picture, 80, tile_size=tile_size))
    small = coder.decode_preview(container, scale)
    expected = coder.decode(container).reduce(scale)
    assert small.size == expected.size
    assert samples.psnr(small, expected) > 30.0


@pytest.mark.parametrize("scale", [4, 8])
def test_the_channels_that_a_preview_leaves_out_hardly_change_it(
    coder: Codec, picture: Image.Image, scale: int
) -> None:
    container = bitstream.parse(coder.compress(picture, 90, tile_size=1024))
    transforms, point = coder.tiles.transforms, coder.weights.at(90)
    channels = transforms.preview_channels(scale)
    assert channels < coder.weights.config.latents // 2
    tile = TileShape.at(Box(0, 0, 299, 207), (207, 299), coder.weights.config.latents)
    every, few = (
        coder.tiles.decode(container.tiles[0], point, tile, n).v_hat for n in (None, channels)
    )
    assert len(few) >= channels
    assert np.array_equal(few, every[: len(few)])
    whole, part = (transforms.preview(v_hat, point, scale) for v_hat in (every, few))
    assert samples.psnr(Image.fromarray(whole), Image.fromarray(part)) > 42.0


def test_a_sixteenth_is_drawn_from_half_of_the_latents(coder: Codec) -> None:
    picture = samples.photograph("astronaut.png", (0, 0, 512, 512)).resize((2048, 2048))
    container = bitstream.parse(coder.compress(picture, 60))
    fresh = Codec(coder.weights)
    small = fresh.decode_preview(container, QUICK)
    assert {name for name, _ in fresh.tiles.runtime._sessions} == {"mean_features"}
    assert 28.0 < samples.psnr(small, coder.decode_preview(container, 8).reduce(2)) < 40.0
    tile = TileShape.at(Box(0, 0, 1024, 1024), (2048, 2048), coder.weights.config.latents)
    point, payload = coder.weights.at(60), container.tiles[0]
    half = coder.tiles.decode_half(payload, point, tile, 40)
    every = coder.tiles.decode(payload, point, tile).v_hat[:40]
    board = tile.of_channels(40).board
    assert np.array_equal(board.row(half, 0), board.row(every, 0))
    assert not np.array_equal(board.row(half, 1), board.row(every, 1))


def test_estimates_of_step_1_are_sharp_at_edges_and_exact_on_slopes() -> None:
    board = Checkerboard(2, 6, 8)
    edge = np.zeros((2, 6, 8), np.float32)
    edge[:, :, 3:] = 100.0
    slope = np.add.outer(2.0 * np.arange(6), 3.0 * np.arange(8)).astype(np.float32)
    slopes = slope[None].repeat(2, 0)
    for whole, inside in ((edge, slice(None)), (slopes, slice(1, -1))):
        found = interpolated(board.whole(board.row(whole, 0)), board)
        assert np.array_equal(found[:, inside, inside], whole[:, inside, inside])


def test_small_pictures_are_decoded_whole(coder: Codec, picture: Image.Image) -> None:
    container = bitstream.parse(coder.compress(picture, 80))
    from_eighth = coder.decode_preview(container, 8).reduce(2)
    assert samples.psnr(coder.decode_preview(container, QUICK), from_eighth) > 40.0


def test_only_the_prior_runs_for_it(coder: Codec, picture: Image.Image) -> None:
    data = coder.compress(picture)
    fresh = Codec(coder.weights)
    fresh.decode_preview(bitstream.parse(data), 8)
    assert "synthesis16" not in {name for name, _ in fresh.tiles.runtime._sessions}
    fresh.decode(bitstream.parse(data))
    assert "synthesis16" in {name for name, _ in fresh.tiles.runtime._sessions}


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_and_metadata(picture: Image.Image, mode: str) -> None:
    original = picture.convert(mode)
    if "A" in mode:
        ramp = np.tile(np.arange(original.width, dtype=np.uint8), (original.height, 1))
        original.putalpha(Image.fromarray(ramp))
    original.info["icc_profile"] = samples.srgb() if mode.startswith("RGB") else b""
    small = aecodec.decompress(aecodec.compress(original), preview=4)
    assert small.mode == mode
    assert small.size == (75, 52)
    assert small.info.get("icc_profile", b"") == original.info["icc_profile"]
    if "A" in mode:
        reduced = original.getchannel("A").reduce(4)
        assert np.array_equal(np.asarray(small.getchannel("A")), np.asarray(reduced))


def test_one_pixel_stays_one_pixel() -> None:
    data = aecodec.compress(Image.new("RGB", (1, 1), (200, 40, 90)))
    assert aecodec.decompress(data, preview=8).size == (1, 1)


def test_what_cannot_be_meant(picture: Image.Image) -> None:
    data = aecodec.compress(picture)
    with pytest.raises(ValueError, match="2, 4, 8 or 16"):
        aecodec.decompress(data, preview=3)
    with pytest.raises(ValueError, match="not both"):
        aecodec.decompress(data, preview=2, region=(0, 0, 16, 16))


def test_damage_is_no_picture(picture: Image.Image) -> None:
    data = bytearray(aecodec.compress(picture))
    data[-20] ^= 4
    with pytest.raises(aecodec.AecodecError):
        aecodec.decompress(bytes(data), preview=8)


def test_the_command(picture: Image.Image, tmp_path: Path) -> None:
    source = tmp_path / "a.aec"
    source.write_bytes(aecodec.compress(picture))
    result = command.run("decompress", source, "--preview", "4", "-o", tmp_path / "small.png")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "small.png") as small:
        assert small.size == (75, 52)
    both = command.run("decompress", source, "--preview", "4", "--region", "0,0,8,8", "-f")
    assert both.returncode == 2
    assert b"give one of them" in both.stderr


def test_pillow_drafts_and_makes_thumbnails(picture: Image.Image, tmp_path: Path) -> None:
    aecodec.register_pillow()
    source = tmp_path / "a.aec"
    source.write_bytes(aecodec.compress(picture, quality=85))
    with Image.open(source) as opened:
        assert opened.draft("RGB", (60, 45)) == ("RGB", (0, 0, 299 / 4, 207 / 4))
        assert opened.size == (75, 52)
        assert opened.draft("RGB", (10, 10)) is None  # once
        assert np.asarray(opened).shape == (52, 75, 3)
    with Image.open(source) as opened:
        assert opened.draft("RGB", (13, 9)) == ("RGB", (0, 0, 299 / 8, 207 / 8))
    with Image.open(source) as opened:  # at least half as large again
        assert opened.draft("RGB", (12, 8)) == ("RGB", (0, 0, 299 / 16, 207 / 16))
        assert np.asarray(opened).shape == (13, 19, 3)
    with Image.open(source) as opened:
        assert opened.draft("RGB", (200, 200)) is None
        assert np.asarray(opened).shape == (207, 299, 3)
    with Image.open(source) as opened:
        opened.thumbnail((40, 40))
        assert opened.size == (40, 28)
        expected = picture.copy()
        expected.thumbnail((40, 40))
        assert samples.psnr(opened.convert("RGB"), expected) > 30.0
