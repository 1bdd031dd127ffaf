"""Mending: what is whole comes back bit for bit, and what is not is named."""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import samples
from command import lines, objects, run
from paths import TESTS
from PIL import Image

import aecodec
from aecodec import bitstream
from aecodec.bitstream import pack, parse
from aecodec.codec import Codec
from aecodec.errors import CorruptError, LimitError, NotAecError
from aecodec.uses.mend import BESIDE, DRAWN, Mended
from aecodec.uses.salvage import _moved_back, salvage

sys.path.insert(0, str(TESTS / "fuzz"))

from targets import seal

SIZE = 576, 192


def size_of(path: Path | str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def whole(coder: Codec) -> bytes:
    """Three tiles side by side, with an ICC profile and an EXIF before them."""
    image = samples.photograph("coffee.png", (0, 0, *SIZE))
    image.info["icc_profile"] = samples.srgb()
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    image.info["exif"] = exif.tobytes()
    return coder.compress(image, 60, tile_size=192)


@pytest.fixture(scope="module")
def decoded(whole: bytes) -> np.ndarray:
    return np.asarray(aecodec.decompress(whole))


def section(data: bytes, kind: str, number: int = 0) -> bitstream.Section:
    return [s for s in parse(data).sections if s.name == kind][number]


def flipped(data: bytes, at: int, bit: int = 3) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def same_where_exact(found: Mended, decoded: np.ndarray) -> None:
    pixels = np.asarray(found.image)
    assert np.array_equal(pixels[found.mask == 0], decoded[found.mask == 0])


def test_a_whole_file_is_as_decompress_gives_it(whole: bytes, decoded: np.ndarray) -> None:
    found = aecodec.mend(whole)
    assert found.whole
    assert not found.mask.any()
    assert np.array_equal(np.asarray(found.image), decoded)
    assert found.image.info["icc_profile"] == samples.srgb()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_flipped_bit_costs_one_tile(whole: bytes, decoded: np.ndarray, number: int) -> None:
    tile = section(whole, "TILE", number)
    found = aecodec.mend(flipped(whole, tile.start + tile.length // 2))
    assert found.missing == (number,)
    assert found.boxes == (parse(whole).header.grid.box(number),)
    same_where_exact(found, decoded)
    box = found.boxes[0]
    assert (found.mask[box.slices()] == DRAWN).all()
    assert (found.mask == DRAWN).sum() == box.w * box.h
    # A middle tile's pixels depend on latents up to 80 pixels away: the rest is exact.
    assert (found.mask == 0).any()


def test_what_is_drawn_is_nearer_to_the_picture_than_grey(
    whole: bytes, decoded: np.ndarray
) -> None:
    tile = section(whole, "TILE", 1)
    found = aecodec.mend(flipped(whole, tile.start + 40))
    drawn, beside = found.mask == DRAWN, found.mask == BESIDE
    pixels = np.asarray(found.image).astype(float)
    error = np.abs(pixels - decoded)
    assert error[drawn].mean() < 0.85 * np.abs(128.0 - decoded)[drawn].mean()
    assert error[beside].mean() < 2.0


@pytest.mark.parametrize("where", ["type", "length", "checksum"])
def test_damage_to_a_section_s_head_costs_one_tile(
    whole: bytes, decoded: np.ndarray, where: str
) -> None:
    tile = section(whole, "TILE", 1)
    at = {"type": tile.offset, "length": tile.offset + 1, "checksum": tile.start - 1}[where]
    found = aecodec.mend(flipped(whole, at))
    assert found.missing == (1,)
    same_where_exact(found, decoded)


def test_bytes_that_are_missing_or_too_many_cost_one_tile(
    whole: bytes, decoded: np.ndarray
) -> None:
    tile = section(whole, "TILE", 1)
    middle = tile.start + 100
    for damaged in (
        whole[:middle] + whole[middle + 7 :],
        whole[:middle] + b"something" + whole[middle:],
        whole[: tile.offset] + whole[tile.end :],
    ):
        found = aecodec.mend(damaged)
        assert found.missing == (1,)
        same_where_exact(found, decoded)


def test_a_truncated_file_keeps_the_tiles_that_are_there(whole: bytes, decoded: np.ndarray) -> None:
    found = aecodec.mend(whole[: section(whole, "TILE", 2).start + 20])
    assert found.missing == (2,)
    same_where_exact(found, decoded)


def test_damaged_metadata_costs_no_tile(whole: bytes, decoded: np.ndarray) -> None:
    found = aecodec.mend(flipped(whole, section(whole, "ICC").start + 30))
    assert found.lost == ("ICC",)
    assert not found.missing
    assert not found.whole
    assert np.array_equal(np.asarray(found.image), decoded)
    assert "icc_profile" not in found.image.info
    assert "exif" in found.image.info


def test_a_lost_alpha_leaves_an_opaque_picture() -> None:
    image = samples.photograph().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = aecodec.compress(image)
    found = aecodec.mend(flipped(data, section(data, "ALPHA").start + 20))
    assert found.lost == ("ALPHA",)
    assert found.image.mode == "RGB"


def test_exact_tiles_come_back_exactly(coder: Codec) -> None:
    image = samples.photograph("coffee.png", (0, 0, 256, 128))
    rgb = np.asarray(image)
    from aecodec.image import vp8l

    header = bitstream.Header(256, 128, bitstream.ColourMode.RGB, 50, bytes(8), tile_size=128)
    payloads = [vp8l.pack(rgb[box.slices()]) for box in header.grid]
    data = pack(header, payloads, exact={0, 1})
    found = aecodec.mend(flipped(data, section(data, "EXACT", 1).start + 50))
    assert found.missing == (1,)
    assert np.array_equal(np.asarray(found.image)[:, :128], rgb[:, :128])
    assert not found.mask[:, :128].any()


def test_wrong_symbols_under_right_checksums_are_a_lost_tile(
    whole: bytes, decoded: np.ndarray
) -> None:
    """Who recomputes the checksum of a section cannot make a wrong tile pass for a whole one."""
    container = parse(whole)
    tiles = list(container.tiles)
    tiles[1] = flipped(tiles[1], len(tiles[1]) - 30)
    found = aecodec.mend(pack(container.header, tiles))
    assert found.missing == (1,)
    same_where_exact(found, decoded)


def test_what_cannot_be_mended_says_why(whole: bytes) -> None:
    with pytest.raises(CorruptError, match="header is wrong: without its header"):
        aecodec.mend(flipped(whole, 24))
    with pytest.raises(NotAecError):
        aecodec.mend(b"\x89PNG something")
    with pytest.raises(LimitError):
        aecodec.mend(whole, max_pixels=1000)
    front = whole[: section(whole, "TILE").start + 9]
    with pytest.raises(CorruptError, match="none of its 3 tiles is whole"):
        aecodec.mend(front)


def test_a_crc_is_moved_back_over_zeros() -> None:
    rng = np.random.default_rng(4)
    for length in (0, 1, 5, 1000):
        beginning = int(rng.integers(2**32))
        payload = rng.bytes(length)
        stored = zlib.crc32(payload, beginning)
        assert _moved_back(stored ^ zlib.crc32(payload), length) == beginning


def test_random_damage_never_passes_for_the_picture(whole: bytes, decoded: np.ndarray) -> None:
    """Sections that are called whole are those that were written, whatever was damaged."""
    written = dict(enumerate(parse(whole).tiles))
    size = bitstream.parse_header(whole).size
    rng = np.random.default_rng(6)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            at, length = int(rng.integers(size, len(data))), int(rng.integers(1, 3000))
            kind = rng.integers(3)
            if kind == 0:
                data[at : at + length] = rng.bytes(len(data[at : at + length]))
            elif kind == 1:
                del data[at : at + length]
            else:
                data[at:at] = rng.bytes(length)
        try:
            found = salvage(bytes(data))
        except CorruptError:
            continue
        for number in found.tiles:
            assert found.payload(number) == written[number]


def test_a_section_of_a_newer_writer_is_not_lost(whole: bytes) -> None:
    """An ancillary one that this version does not know, with its checksum right or wrong."""
    first = section(whole, "TILE")
    newer = bytes([0xF0, 5]) + bytes(4) + b"words"
    data = seal(whole[: first.offset] + newer + whole[first.offset :])
    found = aecodec.mend(data)
    assert found.whole
    damaged = aecodec.mend(flipped(data, first.offset + 8))
    assert damaged.lost == ("section 2",) and damaged.missing == ()


def test_the_command_names_the_tiles(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.aec").write_bytes(flipped(whole, section(whole, "TILE", 1).start + 50))
    out, mask = tmp_path / "a.png", tmp_path / "mask.png"
    done = run("mend", tmp_path / "a.aec", "-o", out, "--mask", mask, "--json")
    assert done.returncode == 1
    place = "192 x 192 pixels at 192,0"
    assert lines(done.stderr) == [f"{tmp_path / 'a.aec'}: tile 1 is lost: {place}"]
    (values,) = objects(done.stdout)
    assert values["whole"] is False
    assert size_of(out) == SIZE
    assert set(np.unique(pixels_of(mask))) == {0, BESIDE, DRAWN}
    again = run("mend", tmp_path / "a.aec", "-o", out)
    assert again.returncode == 1
    assert "exists already" in lines(again.stderr)[0]


def test_the_command_on_a_whole_file_and_on_none(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.aec").write_bytes(whole)
    assert run("mend", tmp_path / "a.aec", "-o", tmp_path / "a.png").returncode == 0
    done = run("mend", tmp_path / "no.aec", "-o", tmp_path / "b.png")
    assert done.returncode == 1
    assert lines(done.stderr) == [f"aecodec: {tmp_path / 'no.aec'}: no such file"]
    assert run("mend", tmp_path / "a.aec", "-o", tmp_path / "b.nonsense").returncode == 2


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_file_with_grain_is_as_decompress_gives_it(mode: str, tmp_path: Path) -> None:
    image = samples.photograph().convert(mode)
    noise = np.random.default_rng(0).normal(0.0, 12.0, np.shape(image))
    noisy = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    data = aecodec.compress(noisy, denoise=12, grain=True)
    assert parse(data).grain is not None
    found = aecodec.mend(data)
    assert not found.mask.any()
    assert np.array_equal(np.asarray(found.image), np.asarray(aecodec.decompress(data)))

    lost = aecodec.mend(flipped(data, section(data, "GRAIN").start))
    assert lost.lost == ("GRAIN",)
    bare = np.asarray(aecodec.decompress(data, grain=False))
    assert np.array_equal(np.asarray(lost.image), bare)


def test_it_reads_and_writes_streams(whole: bytes, tmp_path: Path) -> None:
    done = run("mend", "-", "-o", "-", input=whole)
    assert done.returncode == 0, done.stderr
    assert size_of_bytes(done.stdout) == SIZE
    assert b"3 of 3 tiles are whole" in done.stderr
    assert done.stdout.endswith(b"IEND\xaeB`\x82")  # and no line of text behind it
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    done = run("mend", "-", "-o", tmp_path / "b.png", "--mask", tmp_path / "a.png", input=whole)
    assert done.returncode == 2
    assert b"-o and --mask name one file" in done.stderr


def size_of_bytes(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size
