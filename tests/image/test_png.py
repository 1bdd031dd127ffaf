"""PNG files of our own writer: read back by Pillow and by libpng, whole, with their metadata."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from aecodec.image import png
from aecodec.image.save import save

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def written(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    png.write(image, file, **options)
    return file.getvalue()


def noise(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with a little noise, as a photograph has them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 90 * np.sin(x / (20 + 7 * c)) * np.cos(y / (31 - 5 * c))
        for c in range(CHANNELS[mode])
    ]
    pixels = np.stack(planes, axis=-1) + rng.normal(0.0, 2.0, (height, width, CHANNELS[mode]))
    pixels = pixels.clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels)


def drawing(width: int = 900, height: int = 700) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(height // 20):
        draw.text((20, 20 * line), f"{line}: the quick brown fox jumps over the lazy dog", "black")
        draw.rectangle(
            (600, 20 * line, 650 + 5 * line, 20 * line + 12), fill=(40, 9 * line % 255, 90)
        )
    return image


@pytest.mark.parametrize("mode", list(CHANNELS))
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (401, 1301), (70_000, 9)])
@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_come_back_from_two_readers(mode: str, size: tuple[int, int], threads: int) -> None:
    image = noise(mode, *size)
    data = written(image, threads=threads)
    with Image.open(io.BytesIO(data)) as found:
        assert found.mode == mode
        assert np.array_equal(np.asarray(found), np.asarray(image))
    assert np.array_equal(imagecodecs.png_decode(data), np.asarray(image))


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(sorted(CHANNELS)),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    values=st.integers(1, 256),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_picture_comes_back(mode: str, width: int, height: int, values: int, seed: int) -> None:
    """Few values make a drawing, whose strips may take any of the filters."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if mode == "L" else (height, width, CHANNELS[mode])
    image = Image.fromarray(rng.integers(0, values, shape, dtype=np.uint8))
    with Image.open(io.BytesIO(written(image))) as found:
        assert np.array_equal(np.asarray(found), np.asarray(image))


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_filters_are_those_of_the_specification(kind: int, channels: int) -> None:
    """Undone byte by byte, as the PNG specification writes it."""
    rng = np.random.default_rng(kind)
    pixels = rng.integers(0, 256, (6, 9 * channels), dtype=np.uint8)
    filtered = png._filtered(kind, pixels[:-1], pixels[1:], channels)
    assert (filtered[:, 0] == kind).all()
    row_above = pixels[0].tolist()
    for row, expected in zip(filtered[:, 1:].tolist(), pixels[1:].tolist(), strict=True):
        raw: list[int] = []
        for i, x in enumerate(row):
            a = raw[i - channels] if i >= channels else 0
            b = row_above[i]
            c = row_above[i - channels] if i >= channels else 0
            p = a + b - c
            paeth = min((a, b, c), key=lambda v, p=p: abs(p - v))  # type: ignore[misc]
            raw.append((x + (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
        assert raw == expected
        row_above = raw


def test_without_isal_zlib_writes_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise("RGB", 500, 400)
    quick = written(image)
    monkeypatch.setattr(png, "_isal", lambda: None)
    plain = written(image)
    assert plain != quick, "isal belongs to the extra `test`"
    with Image.open(io.BytesIO(plain)) as found:
        assert np.array_equal(np.asarray(found), np.asarray(image))


@pytest.mark.parametrize("isal", [True, False])
@pytest.mark.parametrize("make", [lambda: noise("RGB", 1200, 900), drawing])
def test_files_are_at_most_a_tenth_larger_than_pillows(
    make: Any, isal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isal:
        monkeypatch.setattr(png, "_isal", lambda: None)
    image = make()
    pillows = io.BytesIO()
    image.save(pillows, "PNG", compress_level=3)
    assert len(written(image)) <= 1.1 * len(pillows.getvalue())


def test_metadata_is_where_pillow_puts_it() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "by the river")
    exif = Image.Exif()
    exif[271] = "Maker"
    options = {"exif": exif, "icc_profile": b"a profile" * 20, "dpi": (300, 300), "pnginfo": texts}
    with Image.open(io.BytesIO(written(noise("RGB", 30, 20), **options))) as found:
        found.load()
        assert found.getexif()[271] == "Maker"
        assert found.info["icc_profile"] == b"a profile" * 20
        assert found.info["Comment"] == "by the river"
        assert found.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        assert found.size == (30, 20)


def test_every_checksum_is_right() -> None:
    data = written(noise("RGBA", 300, 3000), threads=2)
    at, names, stream = len(png.SIGNATURE), [], b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + content)
        names.append(name)
        stream += content if name == b"IDAT" else b""
        at += 12 + length
    assert names[0] == b"IHDR"
    assert names[-1] == b"IEND"
    assert names.count(b"IDAT") > 3
    assert len(zlib.decompress(stream)) == 3000 * (1 + 300 * 4)


def test_a_mode_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be one of"):
        written(Image.new("CMYK", (3, 3)))


def test_save_leaves_compression_to_pillow_where_it_is_asked_for(tmp_path: Path) -> None:
    image = noise("RGB", 64, 48)
    save(image, tmp_path / "ours.png")
    save(image, tmp_path / "small.png", compress_level=9)
    pillows = io.BytesIO()
    image.save(pillows, "PNG", compress_level=9)
    assert (tmp_path / "small.png").read_bytes() == pillows.getvalue()
    with Image.open(tmp_path / "ours.png") as found:
        assert np.array_equal(np.asarray(found), np.asarray(image))
