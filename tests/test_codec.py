"""The codec end to end: pictures of every shape, arguments, faults."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import samples
from PIL import Image, ImageCms

import aecodec
from aecodec import bitstream, codec
from aecodec.codec import Codec
from aecodec.coding.tile import _hash
from aecodec.entropy.coder import Encoder
from aecodec.entropy.padding import TileShape
from aecodec.entropy.scales import Scales
from aecodec.errors import (
    CorruptError,
    FormatError,
    InputError,
    UnknownModelError,
    WeightsError,
)
from aecodec.geometry import Box
from aecodec.image.load import load
from aecodec.networks import weights
from aecodec.networks.runtime import Options


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
    tile = TileShape.at(Box.of(header.grid.shape), header.grid.shape, config.latents)
    z_hat = np.zeros((config.hyper_latents, tile.z_rows, tile.z_columns), np.int32)
    encoder = Encoder()
    coder.weights.at(60).z_tables.encode(encoder, z_hat)
    scales = Scales(coder.tiles.scale_network, z_hat, 60, tile)
    coded: list[np.ndarray] = []
    for y_tables in coder.weights.y_tables:
        indexes = scales.after(coded[0]) if coded else scales.first
        symbols = np.where(y_tables.lengths[indexes] != 0, 2**30 - 1, 0).astype(np.int32)
        encoder.add(symbols, y_tables.groups(indexes))
        coded.append(symbols)
    payload = _hash(z_hat, *coded) + encoder.finish()
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
        if path.name != weights.ID_FILE:  # with it they are refused
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


@pytest.mark.parametrize("read", [aecodec.decompress, aecodec.read_info, aecodec.mend])
def test_a_path_is_no_file(read: Callable[[object], object]) -> None:
    for given in ("photo.aec", Path("photo.aec"), None):
        with pytest.raises(TypeError, match=r"the bytes of an \.aec file are needed"):
            read(given)
