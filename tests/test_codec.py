"""The codec end to end, with the installed weights, on real photographs."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import reference
import samples
from paths import GOLDEN, WEIGHTS
from PIL import Image, ImageCms, ImageDraw

import aecodec
from aecodec import bitstream, codec, metrics
from aecodec.codec import Codec
from aecodec.coding import prior
from aecodec.coding import tile as tiles
from aecodec.coding.tile import _hash
from aecodec.entropy.borders import Sides, sides_of
from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.coder import Encoder
from aecodec.errors import (
    CorruptError,
    FormatError,
    InputError,
    UnknownModelError,
    WeightsError,
)
from aecodec.image.pillow import load
from aecodec.networks import weights
from aecodec.networks.runtime import Options, Runtime, cores

SHIPPED = sorted(config.parent.name for config in WEIGHTS.glob("*/config.json"))


@pytest.fixture(scope="module")
def small() -> weights.Weights:
    return weights.by_name("small")


@pytest.fixture(scope="module")
def coder(small: weights.Weights) -> Codec:
    return Codec(small)


@pytest.fixture(scope="module", params=SHIPPED)
def either(request: pytest.FixtureRequest) -> weights.Weights:
    """Each of the weights that come with aecodec."""
    return weights.by_name(request.param)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def decoded_symbols(coder: Codec, data: bytes) -> list[np.ndarray]:
    container = bitstream.parse(data)
    header = container.header
    found = []
    for box, tile in zip(header.tiles(), container.tiles, strict=True):
        rows, columns = -(-box[3] // 16), -(-box[2] // 16)
        sides = sides_of(box, header.width, header.height)
        z_hat, *steps = coder.decode_symbols(tile, rows, columns, header.quality, sides)
        found += [z_hat, *(row for step in steps for row in step)]
    return found


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
        monkeypatch.setattr(several, area, 64 * 64)
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
    monkeypatch.setattr(several, "area8", 1 << 24)
    asked.clear()
    several.decode(bitstream.parse(several.compress(picture, 60)))
    assert not asked if threads == lonely else {count for _, count in asked} == {threads}


@pytest.mark.parametrize("threads", [1, 2])
def test_coding_while_quantising_gives_the_same_bytes(coder: Codec, threads: int) -> None:
    several = Codec(coder.weights, Options(threads=threads))
    rgb = np.asarray(samples.photograph(box=(0, 0, 208, 176)))
    y = several.analyse(rgb, (0, 0, 208, 176))
    for quality, thrift in ((5, 0.0), (75, 0.0), (75, 3.0), (100, -3.0)):
        sides = Sides(bottom=True, right=True)
        latents = several.quantise(y, quality, thrift, sides)
        together, payload = several.encode(y, quality, thrift, sides)
        assert payload == several.encode_latents(latents, quality)
        assert np.array_equal(together.v_hat, latents.v_hat)


def test_a_damaged_tile_among_many_is_one_error(coder: Codec) -> None:
    """Wherever it stands, whoever decodes it, and nobody waits for it for ever."""
    several = Codec(coder.weights, Options(threads=2))
    several.area8 = several.area16 = 64 * 64
    data = coder.compress(samples.photograph(box=(32, 16, 352, 240)), 60, tile_size=64)
    container = bitstream.parse(data)
    for number in (0, 7, len(container.tiles) - 1):
        payloads = list(container.tiles)
        payloads[number] = bytes(4) + payloads[number][4:]
        damaged = bitstream.parse(bitstream.pack(container.header, payloads))
        with pytest.raises(CorruptError, match="not those that were written"):
            several.decode(damaged)
    assert several.decode(container).size == (320, 224)


# --- What no photograph is -----------------------------------------------------------------------


def drawn() -> dict[str, np.ndarray]:
    """Pictures unlike anything in training, as arrays (192,256,3)."""
    rng = np.random.default_rng(0)
    page = Image.new("RGB", (256, 192), "white")
    pen = ImageDraw.Draw(page)
    for line in range(16):
        pen.text((3, 12 * line), "The quick brown fox jumps over the lazy dog 0123456789", "red")
    poster = Image.new("RGB", (256, 192), (18, 4, 56))
    pen = ImageDraw.Draw(poster)
    for x in (40, 150):
        pen.line((x - 60, 180, x + 60, 60), (0, 228, 255), 22)
        pen.ellipse((x + 49, 49, x + 71, 71), (0, 228, 255))
    for x in range(8, 110, 6):
        pen.line((x, 120, x + 12, 84), (255, 190, 20), 3)
    squares = np.kron(rng.integers(0, 2, (12, 16, 3)) * 255, np.ones((16, 16, 1)))
    noise = rng.integers(0, 256, (192, 256, 3))
    arrays = {"page": np.asarray(page), "poster": np.asarray(poster)}
    return arrays | {"squares": squares, "noise": noise}


@pytest.mark.parametrize(
    ("name", "least"), [("page", 16.0), ("poster", 22.0), ("squares", 20.0), ("noise", 11.0)]
)
@pytest.mark.parametrize("quality", [40, 75, 95])
def test_a_drawing_comes_back_coarse_but_is_no_garbage(
    name: str, least: float, quality: int
) -> None:
    """What is measured is 1 to 10 dB above the bounds. Pixels thrown to black and white at random
    would be at 3 to 5 dB, whatever the picture."""
    picture = Image.fromarray(drawn()[name].astype(np.uint8))
    restored = aecodec.decompress(aecodec.compress(picture, quality=quality))
    assert samples.psnr(picture, restored) > least


# --- Pictures of every shape --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 200), (200, 1), (2, 3), (15, 17), (16, 16), (63, 65), (64, 64), (129, 70)],
)
def test_any_size_comes_back(width: int, height: int) -> None:
    picture = samples.photograph(box=(100, 20, 100 + width, 20 + height))
    back = aecodec.decompress(aecodec.compress(picture, 90))
    assert back.size == (width, height)
    assert back.mode == "RGB"
    assert samples.psnr(picture, back) > 30


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_stay_and_alpha_is_exact(mode: str) -> None:
    picture = samples.photograph().convert(mode)
    if mode.endswith("A"):
        ramp = np.add.outer(np.arange(picture.height), np.arange(picture.width)) % 256
        picture.putalpha(Image.fromarray(ramp.astype(np.uint8)))
    back = aecodec.decompress(aecodec.compress(picture, 80))
    assert (back.mode, back.size) == (mode, picture.size)
    if mode.endswith("A"):
        assert np.array_equal(np.asarray(back)[..., -1], np.asarray(picture)[..., -1])
    assert samples.psnr(picture.convert("RGB"), back.convert("RGB")) > 30


def test_metadata_travels() -> None:
    picture = samples.photograph()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif, icc_profile=profile, quality=95)
    back = aecodec.decompress(aecodec.compress(file.getvalue(), 50))
    assert back.getexif()[0x010E] == "a description"
    assert back.info["icc_profile"] == profile


def test_input_may_be_path_bytes_file_or_image(tmp_path: Path) -> None:
    picture = samples.photograph()
    path = tmp_path / "p.png"
    picture.save(path)
    results = {
        aecodec.compress(picture),
        aecodec.compress(str(path)),
        aecodec.compress(path),
        aecodec.compress(path.read_bytes()),
        aecodec.compress(io.BytesIO(path.read_bytes())),
        aecodec.compress(load(picture)),
    }
    assert len(results) == 1


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_impossible_quality_is_refused(quality: int) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        aecodec.compress(samples.photograph(), quality)


@pytest.mark.parametrize("value", [75.5, 75.0, "75", True, np.True_, None])
@pytest.mark.parametrize("name", ["quality", "effort", "threads"])
def test_what_is_no_whole_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a whole number, not "):
        aecodec.compress(samples.photograph(), **{name: value})


def test_whole_numbers_are_those_of_numpy_too(coder: Codec) -> None:
    picture = samples.photograph(box=(0, 0, 40, 30))
    data = aecodec.compress(picture, np.uint8(60), effort=np.int64(2), threads=np.int32(1))
    assert aecodec.read_info(data).quality == 60
    assert aecodec.decompress(data, preview=np.int16(2), threads=np.int16(1)).size == (20, 15)


@pytest.mark.parametrize("value", [2.0, True, "2"])
@pytest.mark.parametrize("name", ["preview", "threads"])
def test_nor_is_it_when_decompressing(name: str, value: object) -> None:
    data = aecodec.compress(samples.photograph(box=(0, 0, 40, 30)))
    with pytest.raises(TypeError, match=f"^{name} must be a whole number, not "):
        aecodec.decompress(data, **{name: value})


def test_the_limit_on_pixels_is_the_callers() -> None:
    picture = samples.photograph(box=(0, 0, 40, 30))
    with pytest.raises(InputError, match="1200"):
        aecodec.compress(picture, max_pixels=1199)
    assert aecodec.compress(picture, max_pixels=1200)
    assert aecodec.compress(load(picture), max_pixels=1)  # it has been read


def test_a_region_is_any_four_whole_numbers(coder: Codec) -> None:
    picture = samples.photograph().convert("LA")
    data = coder.compress(picture, 60)
    expected = np.asarray(aecodec.decompress(data, region=(3, 4, 20, 10)))
    for region in ([3, 4, 20, 10], np.array([3, 4, 20, 10])):
        assert np.array_equal(np.asarray(aecodec.decompress(data, region=region)), expected)
    for wrong in ((3, 4, 20), (3, 4, 20, 10, 5), (), (3, 4, 2.5, 10), "1234", 7):
        with pytest.raises(ValueError, match="a region is x, y, width and height"):
            aecodec.decompress(data, region=wrong)


def test_impossible_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be 0 or more, not -3"):
        aecodec.compress(samples.photograph(), threads=-3)
    with pytest.raises(ValueError, match="threads"):
        Options(threads=-1)


# --- Rate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 20, 50, 75, 95, 100])
def test_file_size_is_the_estimated_rate(coder: Codec, quality: int) -> None:
    rgb = np.asarray(samples.photograph(box=(0, 0, 512, 512)))
    data = coder.compress(Image.fromarray(rgb), quality)
    latents = coder.quantise(coder.analyse(rgb, (0, 0, 512, 512)), quality)
    estimate = coder.rate(latents, quality) / 8.0
    assert abs(len(data) - estimate) <= 0.01 * estimate + 64


def test_everything_that_is_not_latents_takes_48_bytes_at_most(coder: Codec) -> None:
    for box in ((0, 0, 512, 512), (0, 0, 1, 1)):
        data = coder.compress(samples.photograph(box=box), 75)
        container = bitstream.parse(data)
        assert len(container.tiles) == 1
        assert len(data) - (len(container.tiles[0]) - 4) <= 48


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png"])
def test_size_and_psnr_rise_with_quality(name: str) -> None:
    picture = samples.photograph(name, (0, 0, 384, 256))
    points = []
    for quality in (2, 10, 25, 40, 50, 60, 75, 85, 95, 100):
        data = aecodec.compress(picture, quality)
        points.append((len(data), samples.psnr(picture, aecodec.decompress(data))))
    for (size, psnr), (more, better) in itertools.pairwise(points):
        assert more > size
        assert better > psnr


def test_smaller_than_jpeg_at_equal_psnr() -> None:
    picture = samples.photograph("coffee.png", (0, 0, 512, 384))
    data = aecodec.compress(picture, 50)
    wanted = samples.psnr(picture, aecodec.decompress(data))
    for quality in range(1, 101):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True)
        if samples.psnr(picture, Image.open(file)) >= wanted:
            break
    assert len(data) < 0.9 * file.tell()


# --- The same symbols everywhere ----------------------------------------------------------------


@pytest.fixture(scope="module")
def variants(either: weights.Weights) -> dict[str, Codec]:
    made = {
        f"{threads} threads, optimised {optimise}": Codec(either, Options(threads, optimise))
        for threads, optimise in itertools.product((1, 2, 4), (True, False))
    }
    made["torch, oneDNN"] = reference.torch_codec(either)
    made["torch, plain"] = reference.torch_codec(either, onednn=False)
    return made


@pytest.mark.parametrize("quality", [15, 75, 98])
def test_whoever_wrote_it_everyone_decodes_the_same_symbols(
    variants: dict[str, Codec], quality: int
) -> None:
    picture = samples.photograph("chelsea.png", (60, 30, 260, 180))
    for writer in variants.values():
        data = writer.compress(picture, quality)
        results = []
        for reader in variants.values():
            # Raises CorruptError if the hash of the decoded symbols differs.
            symbols = decoded_symbols(reader, data)
            results.append((symbols, pixels(reader.decode(bitstream.parse(data)))))
        for symbols, picture_back in results[1:]:
            for a, b in zip(results[0][0], symbols, strict=True):
                assert np.array_equal(a, b)
            assert np.abs(picture_back - results[0][1]).max() <= 1


def test_floats_of_both_runtimes_agree(either: weights.Weights) -> None:
    rgb = np.asarray(samples.photograph(box=(0, 0, 320, 256)))
    coder, torch_coder = Codec(either), reference.torch_codec(either)
    box = (0, 0, 320, 256)
    y, y_torch = coder.analyse(rgb, box), torch_coder.analyse(rgb, box)
    assert np.abs(y - y_torch).max() < 1e-3
    for quality in (20, 90):
        one, other = coder.quantise(y, quality), torch_coder.quantise(y, quality)
        for ours, theirs in zip(one.indexes, other.indexes, strict=True):
            assert np.array_equal(ours, theirs)
        for ours, theirs in zip(one.symbols, other.symbols, strict=True):
            assert np.mean(ours != theirs) < 1e-3  # a tie may round either way: the encoder's


# --- Tiles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [64 * 64, 768 * 768, 1024 * 1024])
@pytest.mark.parametrize("margin", [16, 96])
def test_parts_cover_a_box_once_and_are_small(pixels: int, margin: int) -> None:
    for w, h in itertools.product((1, 64, 65, 500, 768, 1000, 3000), repeat=2):
        parts = tiles.parts_of((128, 64, w, h), pixels, margin)
        count = np.zeros((h, w), np.uint8)
        for x, y, width, height in parts:
            assert 0 < width * height <= pixels and (x % 64, y % 64) == (0, 0)
            count[y - 64 : y - 64 + height, x - 128 : x - 128 + width] += 1
        assert (count == 1).all()
        assert parts == sorted(parts, key=lambda part: (part[1], part[0]))


def test_parts_are_few_and_square() -> None:
    """Their margins are computed twice."""
    assert tiles.parts_of((0, 0, 768, 768), 768 * 768, 64) == [(0, 0, 768, 768)]
    halves = [(0, 0, 1000, 512), (0, 512, 1000, 488)]
    assert tiles.parts_of((0, 0, 1000, 1000), 768 * 768, 64) == halves
    thousands = tiles.parts_of((0, 0, 12000, 9000), 768 * 768, 64)
    assert thousands[0] == (0, 0, 768, 768) and len(thousands) == 16 * 12
    assert len(tiles.parts_of((0, 0, 2**20, 16), 768 * 768, 64)) == 114  # a ribbon


def test_tiles_leave_no_seam(either: weights.Weights) -> None:
    """Latents of tiles equal the whole picture's, and so do the pixels made from them."""
    coder = Codec(either)
    rgb = np.asarray(samples.photograph(box=(0, 0, 512, 512)))
    whole = coder.analyse(rgb, (0, 0, 512, 512))
    v_hat = coder.quantise(whole, 60).v_hat
    full = coder.synthesise(v_hat, (0, 0, 512, 512), 60).astype(int)
    for x, y, w, h in ((0, 0, 192, 192), (192, 128, 192, 256), (448, 448, 64, 64)):
        part = coder.analyse(rgb, (x, y, w, h))
        expected = whole[:, y // 16 : (y + h) // 16, x // 16 : (x + w) // 16]
        assert np.abs(part - expected).max() < 1e-3
        tile = coder.synthesise(v_hat, (x, y, w, h), 60).astype(int)
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
    """Not just where an element of z_hat does: else its last columns were 17 to 19 levels wrong."""
    smooth, picture = sky(128, 320 + more)
    error = pixels(aecodec.decompress(Codec(either).compress(picture, 10))) - smooth
    assert np.abs(error.mean(axis=(0, 2))).max() < 3.0


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
    one = coder.decode_latents
    monkeypatch.setattr(
        coder, "decode_latents", lambda payload, *a: decoded.append(payload) or one(payload, *a)
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


# --- Faults -------------------------------------------------------------------------------------


def test_other_symbols_than_those_written_are_never_a_picture(coder: Codec) -> None:
    """A decoder whose probabilities differ desynchronises: the hash of the symbols tells."""
    data = coder.compress(samples.photograph(), 60)
    container = bitstream.parse(data)
    tile = bytearray(container.tiles[0])
    for position in (0, 5, len(tile) // 2, len(tile) - 3):
        damaged = bytearray(tile)
        damaged[position] ^= 1
        forged = bitstream.pack(container.header, [bytes(damaged)])
        with pytest.raises(CorruptError):
            aecodec.decompress(forged)


def test_forged_symbols_with_right_hashes_stay_harmless(coder: Codec) -> None:
    """A file may hold any symbols; enormous ones give some picture, quietly."""
    header = bitstream.parse(coder.compress(samples.photograph(), 60)).header
    config = coder.weights.config
    rows, columns = -(-header.height // 16), -(-header.width // 16)
    z_hat = np.zeros((config.hyper_latents, -(-rows // 4), -(-columns // 4)), np.int32)
    encoder = Encoder()
    of_z = coder._z_tables(60)
    for row, at in of_z.rows(z_hat):
        encoder.add(row, of_z.tables.groups(at), of_z.tables)
    board = Checkerboard(config.latents, rows, columns)
    scales = prior.Scales(coder.scale_network, z_hat, 60, board)
    coded: list[np.ndarray] = []
    for y_tables in coder.weights.y_tables:
        indexes = scales.after(coded[0]) if coded else scales.first
        symbols = np.where(y_tables.lengths[indexes] != 0, 2**30 - 1, 0).astype(np.int32)
        encoder.add(symbols, y_tables.groups(indexes), y_tables)
        coded.append(symbols)
    payload = _hash(z_hat, *coded).to_bytes(4, "little") + encoder.finish()
    forged = bitstream.pack(header, [payload])
    assert aecodec.decompress(forged).size == (header.width, header.height)


def test_a_file_of_unknown_weights_names_them() -> None:
    container = bitstream.parse(aecodec.compress(samples.photograph(), 30))
    header = dataclasses.replace(container.header, model_id=bytes.fromhex("0123456789abcdef"))
    with pytest.raises(UnknownModelError, match="0123456789abcdef"):
        aecodec.decompress(bitstream.pack(header, container.tiles))


def test_unknown_weights_by_name_say_which_there_are() -> None:
    with pytest.raises(WeightsError, match="small"):
        aecodec.compress(samples.photograph(), model="enormous")


def test_damaged_weights_are_another_model(small: weights.Weights, tmp_path: Path) -> None:
    for path in small.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert weights.model_id(tmp_path) == small.id
    graph = bytearray((tmp_path / "context.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (tmp_path / "context.onnx").write_bytes(graph)
    assert weights.model_id(tmp_path) != small.id


def test_info_tells_what_is_inside() -> None:
    data = aecodec.compress(samples.photograph().convert("LA"), 33)
    info = aecodec.read_info(data)
    assert (info.width, info.height, info.mode, info.quality) == (160, 120, "LA", 33)
    assert info.nbytes == len(data)
    assert info.bpp == pytest.approx(8 * len(data) / (160 * 120))
    assert info.model == weights.by_name().id.hex()
    assert [name for name, _ in info.sections] == ["ALPHA", "TILE"]


def test_verify_finds_damage() -> None:
    data = bytearray(aecodec.compress(samples.photograph(), 33))
    codec.verify(bytes(data))
    codec.verify(bytes(data), full=True)
    data[-9] ^= 16
    with pytest.raises(FormatError):
        codec.verify(bytes(data))


def test_base_makes_smaller_files_than_small() -> None:
    """What it takes more time for."""
    pictures = [
        samples.photograph(name, box)
        for name, box in (("astronaut.png", (0, 0, 384, 320)), ("chelsea.png", (30, 0, 414, 288)))
    ]

    def curve(model: str) -> tuple[list[float], list[float]]:
        points = np.zeros((4, 2))
        for row, quality in enumerate((20, 45, 70, 92)):
            for picture in pictures:
                data = aecodec.compress(picture, quality, model=model)
                value = samples.psnr(picture, aecodec.decompress(data))
                points[row] += len(data), value
        return points[:, 0].tolist(), points[:, 1].tolist()

    assert metrics.bd_rate(*curve("small"), *curve("base")) < 0.0


# --- Golden files -------------------------------------------------------------------------------


def golden() -> list[dict]:
    return json.loads((GOLDEN / "golden.json").read_text())


@pytest.mark.parametrize("entry", golden(), ids=lambda entry: entry["file"])
def test_golden_files_decode_to_the_recorded_symbols(entry: dict) -> None:
    data = (GOLDEN / entry["file"]).read_bytes()
    container = bitstream.parse(data)
    coder = Codec(weights.by_id(container.header.model_id))
    arrays = decoded_symbols(coder, data)
    # Of each tile z_hat, both steps' symbols, and both steps' table indexes.
    hashes = [f"{_hash(*arrays[i : i + 3]):08x}" for i in range(0, len(arrays), 5)]
    assert hashes == entry["hashes"]
    picture = aecodec.decompress(data)
    assert [picture.mode, *picture.size] == entry["picture"]
    means = np.asarray(picture.convert("RGB"), np.float64).mean(axis=(0, 1))
    assert np.abs(means - entry["means"]).max() < 0.5


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
        monkeypatch.setattr(coder, half, 1 << 24)
    data = coder.compress(picture, 60, tile_size=64)
    whole, part = both(data)
    monkeypatch.setattr(coder, "area8", side * side)
    monkeypatch.setattr(coder, "area16", 64 * side)
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
    v_hat = coder.quantise(coder.analyse(rgb, (0, 0, 512, 384)), 20).v_hat
    full = coder.synthesise(v_hat, (0, 0, 512, 384), 20).astype(int)
    for left, top in np.ndindex(4, 3):
        box = (128 * left, 128 * top, 128, 128)
        near = tiles.grown(box, 16 * coder.halo, rgb.shape)
        window = np.ascontiguousarray(v_hat[tiles.latents_of(near)])
        part = coder.synthesise(window, box, 20, near[:2]).astype(int)
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
        monkeypatch.setattr(coder, half, 1 << 24)
    whole = coder.analyse(rgb, (0, 0, 512, 384))
    container = bitstream.parse(coder.compress(rgb, 90))
    shown = coder.decode_rgb(container).astype(int)
    for half in ("area8", "area16"):
        monkeypatch.setattr(coder, half, 128 * 128)
    boxes = [(64 * i, 64 * j, 64, 64) for j, i in np.ndindex(6, 8)]
    y_of = tiles.Analysed(coder, rgb, boxes)
    for box in boxes:
        assert np.abs(y_of(box) - whole[tiles.latents_of(box)]).max() < 1e-5 * np.abs(whole).max()
    assert np.abs(coder.decode_rgb(container) - shown).max() <= 1


# --- Quantisation -------------------------------------------------------------------------------


def test_a_tiles_tables_do_not_outlive_it(coder: Codec) -> None:
    """They take megabytes: a cycle would keep those of many tiles until the collector comes.

    With every core at work, as when there are many tiles, and with an idle one.
    """
    y = coder.analyse(np.asarray(samples.photograph(box=(0, 0, 128, 128))), (0, 0, 128, 128))
    gc.collect()
    gc.disable()
    try:
        for busy in (0, coder.runtime.threads):
            with contextlib.ExitStack() as stack:
                for _ in range(busy):
                    stack.enter_context(coder.runtime.working())
                latents = coder.quantise(y, 60)
                coder.decode_latents(coder.encode_latents(latents, 60), 8, 8, 60)
        alive = [type(o).__name__ for o in gc.get_objects() if isinstance(o, prior.Scales)]
    finally:
        gc.enable()
    assert not alive


@pytest.mark.parametrize("quality", [1, 60, 99])
def test_thrift_takes_fewer_bits(coder: Codec, quality: int) -> None:
    box = (0, 0, 256, 256)  # with symbols beyond +-1 at the lowest quality, too
    y = coder.analyse(np.asarray(samples.photograph(box=box)), box)
    rates = [
        coder.rate(coder.quantise(y, quality, thrift), quality)
        for thrift in (-12.0, -4.0, -1.0, 0.0, 2.0, 5.0, 120.0)
    ]
    assert all(more > less for more, less in itertools.pairwise(rates))
    assert coder.rate(coder.quantise(y, quality), quality) == rates[3]


@pytest.mark.parametrize("quality", [20, 60, 90])
def test_what_is_not_worth_its_bits_becomes_zero(
    coder: Codec, monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    """Against plain rounding: fewer bits, and bits + lambda * error fall."""
    rgb = np.asarray(samples.photograph(box=(0, 0, 320, 256)))
    box = (0, 0, 320, 256)
    y = coder.analyse(rgb, box)

    def measure() -> tuple[float, float]:
        latents = coder.quantise(y, quality)
        error = (coder.synthesise(latents.v_hat, box, quality) - rgb.astype(np.float64)) / 255.0
        bits = coder.rate(latents, quality)
        return bits, bits + coder._bits_per_error(quality) * float((error**2).sum())

    chosen = measure()
    plain = tuple(
        np.minimum(least, np.where(np.isinf(least), least, 0.5))
        for least in coder.weights.y_thresholds
    )
    monkeypatch.setattr(coder, "weights", dataclasses.replace(coder.weights, y_thresholds=plain))
    rounded = measure()
    assert chosen[0] < 0.99 * rounded[0]
    assert chosen[1] < rounded[1]
