"""Damaged and forged files through the whole decoder: never a wrong picture, never a crash."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path

import command
import memory
import numpy as np
import pytest
import samples

import aecodec
from aecodec import bitstream
from aecodec.bitstream import ColourMode, Header
from aecodec.codec import Codec
from aecodec.errors import CorruptError, FormatError, LimitError, WeightsError
from aecodec.networks.weights import by_name

REFUSED = (FormatError, LimitError, WeightsError)


def files() -> dict[str, bytes]:
    """One tile; several tiles; alpha and metadata."""
    coder = Codec(by_name())
    picture = samples.photograph(box=(100, 20, 260, 140))
    transparent = picture.convert("RGBA")
    transparent.putalpha(picture.convert("L"))
    described = aecodec.compress(transparent, 70)
    return {
        "plain": coder.compress(picture, 60),
        "tiles": coder.compress(picture, 85, tile_size=64),
        "alpha": described,
    }


FILES = files()


@pytest.mark.parametrize("name", FILES)
def test_every_bit_of_the_first_512_bytes_matters(name: str) -> None:
    data = FILES[name]
    for position in range(min(512, len(data))):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(REFUSED):
                aecodec.decompress(bytes(damaged))


@pytest.mark.parametrize("name", FILES)
def test_two_thousand_flips_in_the_rest(name: str) -> None:
    data = FILES[name]
    rng = np.random.default_rng(1)
    for position, bit in zip(
        rng.integers(512, len(data), 2000), rng.integers(0, 8, 2000), strict=True
    ):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(bit)
        with pytest.raises(REFUSED):
            aecodec.decompress(bytes(damaged))


def test_every_truncation_of_a_small_file_and_every_appendix() -> None:
    data = FILES["plain"]
    for length in range(len(data)):
        with pytest.raises(FormatError):
            aecodec.decompress(data[:length])
    for extra in (b"\0", b"\n", data):
        with pytest.raises(FormatError):
            aecodec.decompress(data + extra)


def test_swapped_tiles_are_noticed_even_when_checksums_are_made_to_fit() -> None:
    """Tiles of equal shape that changed places under recomputed checksums are another picture,
    and a valid one: nothing in a format can forbid that. Swapped in the file they are refused."""
    container = bitstream.parse(FILES["tiles"])
    tiles = [s for s in container.sections if s.name == "TILE"]
    data = FILES["tiles"]
    for a, b in itertools.combinations(tiles, 2):
        parts = [data[: a.offset], data[b.offset : b.end], data[a.end : b.offset]]
        swapped = b"".join([*parts, data[a.offset : a.end], data[b.end :]])
        with pytest.raises(FormatError):
            aecodec.decompress(swapped)


def reseal(data: bytes, damage: dict[int, int]) -> bytes | None:
    """`data` with bytes of its tiles changed and every checksum over them made to fit again."""
    container = bitstream.parse(data)
    tiles = []
    for section in container.sections:
        payload = bytearray(data[section.start : section.end])
        for position, value in damage.items():
            if section.start <= position < section.end:
                payload[position - section.start] = value
        if section.name == "TILE":
            tiles.append(bytes(payload))
    return bitstream.pack(container.header, tiles)


def test_damaged_symbols_under_good_checksums_are_noticed() -> None:
    data = FILES["plain"]
    start = bitstream.parse(data).sections[0].start
    rng = np.random.default_rng(2)
    for position in rng.integers(start, len(data), 60):
        value = (data[position] + 1 + int(rng.integers(255))) % 256
        if value == data[position]:
            continue
        with pytest.raises(CorruptError):
            aecodec.decompress(reseal(data, {int(position): value}))


@pytest.mark.parametrize("quality", [1, 59, 61, 100])
def test_another_quality_under_good_checksums_is_noticed(quality: int) -> None:
    container = bitstream.parse(FILES["plain"])
    old = container.header
    header = Header(old.width, old.height, old.mode, quality, old.model_id, old.tile_size)
    try:
        picture = aecodec.decompress(bitstream.pack(header, container.tiles))
    except CorruptError:
        return
    # Neighbouring qualities may share every table: then it is a valid file of that quality.
    assert abs(quality - old.quality) == 1
    assert picture.size == (old.width, old.height)


@pytest.mark.parametrize(("width", "height"), [(159, 120), (160, 177), (512, 512), (64, 64)])
def test_other_dimensions_under_good_checksums_are_noticed(width: int, height: int) -> None:
    container = bitstream.parse(FILES["plain"])
    old = container.header
    header = Header(width, height, old.mode, old.quality, old.model_id, old.tile_size)
    try:
        picture = aecodec.decompress(bitstream.pack(header, container.tiles))
    except CorruptError:
        return
    # A side within the same latents is a valid file: the same picture, cut.
    assert (-(-width // 16), -(-height // 16)) == (10, 8)
    assert picture.size == (width, height)


def test_random_payloads_are_noticed() -> None:
    weights_id = by_name().id
    rng = np.random.default_rng(3)
    for size in (4, 8, 12, 100, 5000):
        for _ in range(6):
            payload = rng.bytes(size)
            header = Header(100, 90, ColourMode.RGB, int(rng.integers(1, 101)), weights_id)
            with pytest.raises(CorruptError):
                aecodec.decompress(bitstream.pack(header, [payload]))


BOMBS = """
import sys
import numpy as np
import aecodec
from aecodec import bitstream, codec
from aecodec.bitstream import ColourMode, Header
from aecodec.errors import AecodecError
from aecodec.networks.weights import by_name
from aecodec.machine import peak_mib

good = open(sys.argv[1], "rb").read()
aecodec.decompress(good)
before = peak_mib()
weights_id = by_name().id
rng = np.random.default_rng(0)
bombs = []
for width, height in ((1024, 1024), (16000, 16000), (2**20, 200), (256, 2**20)):
    header = Header(width, height, ColourMode.RGB, 50, weights_id)
    for size in (4, 8, 400):
        bombs.append(bitstream.pack(header, [rng.bytes(size)] * header.tile_count))
for bomb in bombs:
    try:
        aecodec.decompress(bomb, threads=2)
    except AecodecError as error:
        assert "\\n" not in str(error)
    else:
        sys.exit("a bomb was decoded")
print(peak_mib() - before)
"""


def test_dimension_bombs_take_little_memory(tmp_path: Path) -> None:
    """MiB: those of one tile for each thread, for none begins another after a fault. (On a busy
    machine ten tiles had been begun, 900 MiB, before the first was found to be forged.)"""
    victim = tmp_path / "good.aec"
    victim.write_bytes(FILES["plain"])
    result = memory.run_apart(BOMBS, victim)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 2 * 200


def test_a_tile_larger_than_any_writer_makes_is_refused() -> None:
    data = bytearray(FILES["plain"])
    data[13] = 17
    end = bitstream.parse_header(FILES["plain"]).size
    data[end - 4 : end] = zlib.crc32(bytes(data[: end - 4])).to_bytes(4, "little")
    with pytest.raises(LimitError, match="tiles of 1088"):
        aecodec.decompress(bytes(data))


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    data = FILES["plain"]
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 4
    cases = {"cut.aec": data[:-7], "flipped.aec": bytes(damaged), "longer.aec": data + b"!"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        result = command.run("decompress", name, cwd=tmp_path)
        assert result.returncode == 1
        (line,) = result.stderr.decode().splitlines()
        assert name in line
        assert not (tmp_path / name).with_suffix(".png").exists()
    assert command.leftovers(tmp_path) == []
