"""Tiles: no seams, regions, threads that share them, margins."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import numpy as np
import pytest
import samples
from coded import pixels
from PIL import Image

import aecodec
from aecodec import bitstream, codec
from aecodec.codec import Codec
from aecodec.coding.analysis import Analysis
from aecodec.entropy.padding import Sides, TileShape
from aecodec.entropy.scales import Scales
from aecodec.errors import (
    CorruptError,
)
from aecodec.geometry import Box
from aecodec.networks import weights
from aecodec.networks.runtime import Options, Runtime, cores


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_as_many_threads_as_were_asked_for(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def session(runtime: Runtime, path: Path, count: int) -> object:
        asked.append(count)
        return opened(runtime, path, count)

    opened = Runtime._open
    codec._codec.cache_clear()
    monkeypatch.setattr(Runtime, "_open", session)
    picture = samples.photograph()
    data = aecodec.compress(picture, threads=threads)
    assert aecodec.decompress(data, threads=threads).size == picture.size
    assert set(asked) == {min(threads or cores(), cores())}  # more would bring nothing


@pytest.mark.parametrize("threads", [1, 2, 5, 10])
def test_with_many_tiles_every_thread_works_alone(
    coder: Codec, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """The file and the picture are those of one thread; each graph runs on one, unless they are
    too many."""
    several = Codec(coder.weights, Options(threads=threads))
    asked: list[tuple[str, int]] = []
    opened = Runtime._open

    def session(runtime: Runtime, path: Path, count: int) -> object:
        asked.append((path.stem, count))
        return opened(runtime, path, count)

    picture = samples.photograph(box=(32, 16, 352, 240))
    expected = coder.compress(picture, 60, tile_size=64)
    shown = np.asarray(coder.decode(bitstream.parse(expected)), np.int16)
    for area in ("area8", "area16"):
        monkeypatch.setattr(several.tiles.transforms, area, 64 * 64)
    monkeypatch.setattr(Runtime, "_open", session)
    data = several.compress(picture, 60, tile_size=64)
    again = np.asarray(several.decode(bitstream.parse(data)), np.int16)
    assert abs(len(data) - len(expected)) <= 8 and np.abs(again - shown).max() <= 1
    lonely = 1 if threads <= 8 else threads  # there are 20 tiles: enough for ten
    assert {count for _, count in asked} == {lonely}
    assert {"analysis8", "analysis16", "synthesis16", "synthesis8", "context"} <= {
        name for name, _ in asked
    }
    # Of few tiles each takes all threads.
    monkeypatch.setattr(several.tiles.transforms, "area8", 1 << 24)
    asked.clear()
    several.decode(bitstream.parse(several.compress(picture, 60)))
    assert not asked if threads == lonely else {count for _, count in asked} == {threads}


@pytest.mark.parametrize("threads", [1, 2])
def test_coding_while_quantising_gives_the_same_bytes(coder: Codec, threads: int) -> None:
    several = Codec(coder.weights, Options(threads=threads))
    rgb = np.asarray(samples.photograph(box=(0, 0, 208, 176)))
    y = several.tiles.analyse(rgb, Box(0, 0, 208, 176))
    for quality, dead_zone in ((5, 0.0), (75, 0.0), (75, 3.0), (100, -3.0)):
        sides, point = Sides(bottom=True, right=True), several.weights.at(quality, dead_zone)
        latents = several.tiles.quantise(y, point, sides)
        together, payload = several.tiles.encode(y, point, sides)
        assert payload == several.tiles.encode_latents(latents, point)
        assert np.array_equal(together.v_hat, latents.v_hat)


def test_a_damaged_tile_among_many_is_one_error(coder: Codec) -> None:
    """Wherever it stands, whoever decodes it, and nobody waits for it for ever."""
    several = Codec(coder.weights, Options(threads=2))
    several.tiles.transforms.area8 = several.tiles.transforms.area16 = 64 * 64
    data = coder.compress(samples.photograph(box=(32, 16, 352, 240)), 60, tile_size=64)
    container = bitstream.parse(data)
    for number in (0, 7, len(container.tiles) - 1):
        payloads = list(container.tiles)
        payloads[number] = bytes(4) + payloads[number][4:]
        damaged = bitstream.parse(bitstream.pack(container.header, payloads))
        with pytest.raises(CorruptError, match="not those that were written"):
            several.decode(damaged)
    assert several.decode(container).size == (320, 224)


def test_tiles_leave_no_seam(either: weights.Weights) -> None:
    """Latents of tiles equal the whole picture's, and so do the pixels made from them."""
    coder = Codec(either)
    rgb = np.asarray(samples.photograph(box=(0, 0, 512, 512)))
    point, synthesise = either.at(60), coder.tiles.transforms.synthesise
    whole = coder.tiles.analyse(rgb, Box(0, 0, 512, 512))
    v_hat = coder.tiles.quantise(whole, point).v_hat
    full = synthesise(v_hat, Box(0, 0, 512, 512), point).astype(int)
    for x, y, w, h in ((0, 0, 192, 192), (192, 128, 192, 256), (448, 448, 64, 64)):
        part = coder.tiles.analyse(rgb, Box(x, y, w, h))
        expected = whole[:, y // 16 : (y + h) // 16, x // 16 : (x + w) // 16]
        assert np.abs(part - expected).max() < 1e-3
        tile = synthesise(v_hat, Box(x, y, w, h), point).astype(int)
        assert np.abs(tile - full[y : y + h, x : x + w]).max() <= 1


def test_a_picture_of_many_tiles_comes_back(coder: Codec) -> None:
    picture = samples.photograph(box=(0, 0, 300, 270))
    data = coder.compress(picture, 85, tile_size=128)
    assert len(bitstream.parse(data).tiles) == 9
    back = aecodec.decompress(data)
    single = aecodec.decompress(coder.compress(picture, 85))
    assert abs(samples.psnr(picture, back) - samples.psnr(picture, single)) < 0.3
    error = np.abs(pixels(back) - pixels(picture)).mean(axis=2)
    at_borders = error[:, [127, 128, 255, 256]].mean()
    assert at_borders < 1.3 * error.mean() + 0.2


def test_errors_along_tiles_borders_are_those_of_a_single_tile(either: weights.Weights) -> None:
    """The square of them: 1.36 and 1.25 times while a tile's border was as a picture's."""
    coder, near = Codec(either), 4
    picture = samples.photograph("astronaut.png", (0, 0, 448, 300))
    along = np.zeros((300, 448), bool)
    for border in (128, 256, 384):
        along[border - near : border + near] = along[:, border - near : border + near] = True
    squares, tiles_of = [], []
    for tile_size in (128, 512):
        data = coder.compress(picture, 20, tile_size=tile_size)
        tiles_of.append(len(bitstream.parse(data).tiles))
        error = pixels(aecodec.decompress(data)) - pixels(picture)
        squares.append((error[along] ** 2).mean())
    assert tiles_of == [12, 1]
    assert squares[0] < 1.15 * squares[1]


def sky(height: int, width: int) -> tuple[np.ndarray, Image.Image]:
    """(H,W,3) floats that change slowly, and a picture of them with a little noise."""
    y, x = np.mgrid[:height, :width] / 448.0
    smooth = np.stack([90 + 70 * y + 20 * x, 130 + 60 * y + 10 * x, 190 + 40 * y], axis=2)
    noise = np.random.default_rng(0).normal(size=(height, width, 1))
    return smooth, Image.fromarray(np.rint(smooth + noise).astype(np.uint8))


@pytest.mark.parametrize("quality", [10, 50])
def test_a_sky_shows_no_tiles(either: weights.Weights, quality: int) -> None:
    """Its means are nearly certain, so nothing mends them. Columns were 20 to 37 levels wrong."""
    smooth, picture = sky(192, 448)
    data = Codec(either).compress(picture, quality, tile_size=128)
    assert len(bitstream.parse(data).tiles) == 8
    error = pixels(aecodec.decompress(data)) - smooth
    assert np.abs(error.mean(axis=(0, 2))[8:-8]).max() < 3.0
    assert np.abs(error.mean(axis=(1, 2))[8:-8]).max() < 3.0


@pytest.mark.parametrize("more", [1, 16, 17, 32, 48])
def test_a_sky_may_end_anywhere(either: weights.Weights, more: int) -> None:
    """Not just where an element of z_hat does: else its last columns were 17 to 19 levels wrong.

    The weights for the eye are 3.1 levels wrong beside the left edge, where nothing ends.
    """
    smooth, picture = sky(128, 320 + more)
    error = pixels(aecodec.decompress(Codec(either).compress(picture, 10))) - smooth
    assert np.abs(error.mean(axis=(0, 2))).max() < (
        3.0 if either.config.objective == "psnr" else 3.5
    )


def test_tiles_side_by_side_are_tiles_one_after_the_other(small: weights.Weights) -> None:
    one, several = Codec(small, Options(threads=1)), Codec(small, Options(threads=3))
    picture = samples.photograph(box=(0, 0, 300, 270))
    data = several.compress(picture, 85, tile_size=64)
    container = bitstream.parse(data)
    assert len(container.tiles) == 25
    assert np.abs(pixels(one.decode(container)) - pixels(several.decode(container))).max() <= 1
    assert abs(len(data) - len(one.compress(picture, 85, tile_size=64))) <= 8

    damaged = list(container.tiles)
    damaged[13] = damaged[13][:9] + bytes([damaged[13][9] ^ 1]) + damaged[13][10:]
    forged = bitstream.parse(bitstream.pack(container.header, damaged))
    with pytest.raises(CorruptError):
        several.decode(forged)
    assert several.decode(container).size == picture.size


@pytest.mark.parametrize(
    "region", [(0, 0, 300, 270), (120, 125, 20, 9), (131, 0, 1, 270), (299, 269, 1, 1)]
)
@pytest.mark.parametrize("tile_size", [64, 128])
def test_a_region_is_that_part_of_the_picture(
    coder: Codec, region: tuple[int, int, int, int], tile_size: int
) -> None:
    picture = samples.photograph(box=(0, 0, 300, 270)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = coder.compress(picture, 70, tile_size=tile_size)
    whole = pixels(aecodec.decompress(data))
    x, y, w, h = region
    part = pixels(aecodec.decompress(data, region=region))
    assert part.shape == (h, w, 4)
    assert np.abs(part - whole[y : y + h, x : x + w]).max() <= 1


def test_a_region_needs_few_tiles(coder: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coder.compress(samples.photograph(box=(0, 0, 512, 512)), 70, tile_size=128)
    decoded = []
    one = coder.tiles.decode
    monkeypatch.setattr(
        coder.tiles, "decode", lambda payload, *a: decoded.append(payload) or one(payload, *a)
    )
    coder.decode(bitstream.parse(data), (210, 210, 10, 10))
    # The tile around it, and those in reach of its margin of 80 pixels.
    assert len(decoded) == 4
    decoded.clear()
    coder.decode(bitstream.parse(data))
    assert len(decoded) == len(set(decoded)) == 16


@pytest.mark.parametrize(
    "region", [(0, 0, 301, 1), (-1, 0, 5, 5), (0, 270, 1, 1), (0, 0, 0, 5), (10**9, 0, 1, 1)]
)
def test_a_region_outside_is_one_line(region: tuple[int, int, int, int]) -> None:
    data = aecodec.compress(samples.photograph(box=(0, 0, 300, 270)), 20)
    with pytest.raises(aecodec.RequestError, match="300 x 270"):
        aecodec.decompress(data, region=region)


@pytest.mark.parametrize("side", [64, 128, 192])
def test_areas_change_nothing(coder: Codec, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """What a transform takes at once is a matter of time and memory alone."""
    picture = samples.photograph(box=(32, 16, 352, 240))
    region = (50, 70, 230, 100)

    def both(data: bytes) -> tuple[np.ndarray, np.ndarray]:
        container = bitstream.parse(data)
        whole = np.asarray(coder.decode(container), np.int16)
        return whole, np.asarray(coder.decode(container, region), np.int16)

    for half in ("area8", "area16"):
        monkeypatch.setattr(coder.tiles.transforms, half, 1 << 24)
    data = coder.compress(picture, 60, tile_size=64)
    whole, part = both(data)
    monkeypatch.setattr(coder.tiles.transforms, "area8", side * side)
    monkeypatch.setattr(coder.tiles.transforms, "area16", 64 * side)
    for again in (data, coder.compress(picture, 60, tile_size=64)):
        assert abs(len(again) - len(data)) <= 8
        shown, cut = both(again)
        assert np.abs(shown - whole).max() <= 1 and np.abs(cut - part).max() <= 1
    assert np.abs(cut - whole[70:170, 50:280]).max() <= 1


@pytest.mark.parametrize("side", [1, 16])
def test_drawings_show_no_seam_either(coder: Codec, side: int) -> None:
    """On these a margin of half the receptive field gives errors of 164 and of 4 levels."""
    y, x = np.mgrid[:384, :512] // side
    random = np.random.default_rng(0).integers(0, 2, (24, 32, 3))
    checks = np.repeat(((x + y) % 2)[..., None], 3, axis=2)
    drawn = checks if side == 1 else random.repeat(16, axis=0).repeat(16, axis=1)
    rgb = (255 * drawn).astype(np.uint8)
    transforms, point = coder.tiles.transforms, coder.weights.at(20)
    v_hat = coder.tiles.quantise(coder.tiles.analyse(rgb, Box.of(rgb.shape)), point).v_hat
    full = transforms.synthesise(v_hat, Box.of(rgb.shape), point).astype(int)
    for left, top in np.ndindex(4, 3):
        box = Box(128 * left, 128 * top, 128, 128)
        near = box.grown(16 * transforms.margin, rgb.shape)
        window = np.ascontiguousarray(v_hat[near.latents])
        part = transforms.synthesise(window, box, point, near[:2]).astype(int)
        expected = full[box[1] : box[1] + 128, box[0] : box[0] + 128]
        assert np.abs(part - expected).max() <= 1


@pytest.mark.parametrize("side", [1, 8])
def test_every_layer_has_its_margin(
    coder: Codec, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    """Both halves of both transforms, in small cells: with a layer's margin less checks of 1 pixel
    differ by 1.6 to 17 in y and by 8 to 35 levels, those of 8 by up to 0.2 and 14."""
    y, x = np.mgrid[:384, :512]
    random = np.random.default_rng(0).integers(0, 2, (24, 32, 3)).repeat(16, 0).repeat(16, 1)
    checks = ((y // side + x // side) % 2)[..., None]
    rgb = (255 * (checks ^ random)).astype(np.uint8)
    for half in ("area8", "area16"):
        monkeypatch.setattr(coder.tiles.transforms, half, 1 << 24)
    whole = coder.tiles.analyse(rgb, Box(0, 0, 512, 384))
    container = bitstream.parse(coder.compress(rgb, 90))
    shown = coder.decode_rgb(container).astype(int)
    for half in ("area8", "area16"):
        monkeypatch.setattr(coder.tiles.transforms, half, 128 * 128)
    boxes = [Box(64 * i, 64 * j, 64, 64) for j, i in np.ndindex(6, 8)]
    y_of = Analysis(coder.tiles.transforms, rgb, boxes)
    for box in boxes:
        assert np.abs(y_of(box) - whole[box.latents]).max() < 1e-5 * np.abs(whole).max()
    assert np.abs(coder.decode_rgb(container) - shown).max() <= 1


def test_a_tiles_tables_do_not_outlive_it(coder: Codec) -> None:
    """They take megabytes: a cycle would keep those of many tiles until the collector comes.

    With every core at work, as when there are many tiles, and with an idle one.
    """
    tiles, point = coder.tiles, coder.weights.at(60)
    y = tiles.analyse(np.asarray(samples.photograph(box=(0, 0, 128, 128))), Box(0, 0, 128, 128))
    gc.collect()
    gc.disable()
    try:
        for busy in (0, tiles.runtime.threads):
            with contextlib.ExitStack() as stack:
                for _ in range(busy):
                    stack.enter_context(tiles.runtime.working())
                latents = tiles.quantise(y, point)
                tiles.decode(tiles.encode_latents(latents, point), point, TileShape.of(y))
        alive = [type(o).__name__ for o in gc.get_objects() if isinstance(o, Scales)]
    finally:
        gc.enable()
    assert not alive
