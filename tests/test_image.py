"""Pillow to arrays and back: every mode, orientation and kind of metadata, and broken files."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin, features

from aecodec import bitstream
from aecodec.errors import InputError, OutputError
from aecodec.image import pillow as aeimage
from aecodec.image import signalling
from aecodec.image.pillow import Picture, load, pad_to_multiple, save, to_pil


def gradient(width: int = 40, height: int = 24, channels: int = 3) -> np.ndarray:
    """A picture in which every pixel and channel is different, so that no turn goes unseen."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 5 + y, 255 - x * 3 - y, y * 9 + x, x * 2 + y * 4]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


# --- Sources ------------------------------------------------------------------------------------


def test_every_kind_of_source(tmp_path: Path) -> None:
    pixels = gradient()
    data = encoded(Image.fromarray(pixels))
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), file]
        sources += [io.BytesIO(data), Image.fromarray(pixels), Image.open(io.BytesIO(data))]
        for source in sources:
            picture = load(source)  # type: ignore[arg-type]
            np.testing.assert_array_equal(picture.rgb, pixels)
            assert (picture.mode, picture.alpha, picture.notes) == ("RGB", None, ())
            assert (picture.width, picture.height) == (40, 24)


def test_a_stream_that_cannot_seek() -> None:
    data = encoded(Image.fromarray(gradient()))
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as file:
            file.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read, "rb") as file:
        np.testing.assert_array_equal(load(file).rgb, gradient())
    feeder.join()


def test_the_callers_image_is_left_alone() -> None:
    image = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info.update(exif=exif.tobytes(), xmp=b'<x tiff:Orientation="6"/>', transparency=(0, 0, 0))
    before = dict(image.info)
    load(image)
    assert image.size == (40, 24)
    assert image.mode == "RGB"
    assert image.info == before


def test_arrays_are_what_the_codec_wants() -> None:
    for mode in ("L", "LA", "RGB", "RGBA", "1", "P", "CMYK", "I;16"):
        picture = load(Image.new(mode, (5, 3)))
        assert picture.rgb.dtype == np.uint8
        assert picture.rgb.shape == (3, 5, 3)
        assert picture.rgb.flags.c_contiguous
        assert (picture.alpha is not None) == (picture.mode in ("LA", "RGBA"))
        if picture.alpha is not None:
            assert picture.alpha.dtype == np.uint8
            assert picture.alpha.shape == (3, 5)


# --- Modes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_the_four_modes_lose_nothing(mode: str, format: str) -> None:
    channels = len(mode)
    pixels = gradient(channels=channels)
    picture = load(encoded(Image.fromarray(pixels.squeeze(), mode), format))
    assert picture.mode == mode
    assert picture.notes == ()
    colour = 1 if mode in ("L", "LA") else 3
    np.testing.assert_array_equal(picture.rgb, np.broadcast_to(pixels[..., :colour], (24, 40, 3)))
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(picture.alpha, pixels[..., -1])


@pytest.mark.parametrize("size", [(3000, 2000), (5_000_000, 1), (1, 5_000_000)])
def test_large_pictures_are_copied_whole(size: tuple[int, int]) -> None:
    """They go to arrays in several strips."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    picture = load(Image.fromarray(pixels))
    assert np.array_equal(picture.rgb, pixels[..., :3])
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, pixels[..., 3])


def test_colours_under_transparent_pixels_are_kept() -> None:
    pixels = gradient(channels=4)
    pixels[..., 3] = 0
    np.testing.assert_array_equal(load(Image.fromarray(pixels)).rgb, pixels[..., :3])


def test_palette() -> None:
    image = Image.fromarray(gradient()).quantize(16)
    picture = load(encoded(image))
    assert picture.mode == "RGB"
    assert picture.notes == ("palette converted to RGB",)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 7])])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    indexes = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40) % 8
    image = Image.fromarray(indexes, "P")
    image.putpalette(list(range(24)))
    picture = load(encoded(image, transparency=transparency))
    table = np.full(8, 255, np.uint8)
    if isinstance(transparency, int):
        table[transparency] = 0
    else:
        table[: len(transparency)] = list(transparency)
    assert picture.mode == "RGBA"
    assert picture.notes == ("palette converted to RGBA",)
    np.testing.assert_array_equal(picture.alpha, table[indexes])
    np.testing.assert_array_equal(picture.rgb[..., 0], indexes * 3)


def test_a_transparent_colour_becomes_alpha() -> None:
    pixels = gradient()
    picture = load(encoded(Image.fromarray(pixels), transparency=tuple(map(int, pixels[3, 5]))))
    assert picture.mode == "RGBA"
    assert picture.alpha is not None
    expected = np.where((pixels == pixels[3, 5]).all(axis=-1), 0, 255)
    assert expected.min() == 0
    np.testing.assert_array_equal(picture.alpha, expected)

    plane = pixels[..., 0]
    picture = load(encoded(Image.fromarray(plane), transparency=int(plane[3, 5])))
    assert picture.mode == "LA"
    np.testing.assert_array_equal(picture.alpha, np.where(plane == plane[3, 5], 0, 255))


def test_one_bit() -> None:
    bits = gradient()[..., 0] > 99
    picture = load(encoded(Image.fromarray(bits)))
    assert picture.mode == "L"
    assert picture.notes == ("1-bit black and white stored as greyscale",)
    np.testing.assert_array_equal(picture.rgb[..., 2], bits * 255)


def test_one_bit_with_a_transparent_colour() -> None:
    bits = gradient()[..., 0] > 99
    picture = load(encoded(Image.fromarray(bits), transparency=0))
    assert picture.mode == "LA"
    np.testing.assert_array_equal(picture.alpha, bits * 255)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_rounded(format: str) -> None:
    values = np.concatenate(
        [np.arange(0, 65536, 13), [65535, 128, 129, 257, 384, 385, 386]]
    ).astype(np.uint16)
    picture = load(encoded(Image.fromarray(values[None]), format))
    assert picture.mode == "L"
    assert picture.notes == ("16 bits a channel reduced to 8",)
    np.testing.assert_array_equal(picture.rgb[0, :, 0], np.rint(values / 257))
    assert picture.rgb.max() == 255


def test_eight_bits_stored_in_sixteen_come_back_exactly() -> None:
    values = np.arange(256, dtype=np.uint16)[None] * 257
    picture = load(encoded(Image.fromarray(values)))
    np.testing.assert_array_equal(picture.rgb[0, :, 0], np.arange(256))


def test_sixteen_bit_transparent_grey() -> None:
    values = np.arange(0, 60000, 100, dtype=np.uint16)[None]
    picture = load(encoded(Image.fromarray(values), transparency=1500))
    assert picture.mode == "LA"
    np.testing.assert_array_equal(picture.alpha, np.where(values == 1500, 0, 255))


def png(width: int, height: int, colour_type: int, rows: bytes) -> bytes:
    """A 16-bit PNG, which Pillow reads but does not write in colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    compressed = zlib.compress(rows)
    start = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", start) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(("colour_type", "mode"), [(2, "RGB"), (4, "LA"), (6, "RGBA")])
def test_sixteen_bit_colour_and_alpha_png(colour_type: int, mode: str) -> None:
    pixels = gradient(channels=len(mode)).astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    picture = load(png(40, 24, colour_type, rows))
    assert picture.mode == mode
    assert picture.notes == ("16 bits a channel reduced to 8",)
    colour = pixels[..., : 1 if mode == "LA" else 3] // 257
    np.testing.assert_array_equal(picture.rgb, np.broadcast_to(colour, (24, 40, 3)))
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, pixels[..., -1] // 257)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "expected", "note"),
    [
        ("int32", 0, 255, lambda v: v, "32-bit values 0 to 255"),
        ("int32", 0, 65535, lambda v: v / 257, "32-bit values 0 to 65535"),
        ("int32", 10, 200, lambda v: v, "32-bit values 0 to 255"),
        ("int32", -1000, 1000, lambda v: (v + 1000) / 2000 * 255, "32-bit values -1000 to 1000"),
        ("int32", -(2**31), 2**31 - 1, lambda v: (v / 2**32 + 0.5) * 255, "32-bit values -2.1"),
        ("float32", 0, 1, lambda v: v * 255, "floating-point values 0 to 1 "),
        ("float32", 0, 255, lambda v: v, "floating-point values 0 to 255"),
        ("float32", 0, 65535, lambda v: v / 257, "floating-point values 0 to 65535"),
        ("float32", -1, 1, lambda v: (v + 1) / 2 * 255, "floating-point values -1 to 1"),
    ],
)
def test_numbers_are_scaled(
    dtype: str, low: float, high: float, expected: Callable[[np.ndarray], np.ndarray], note: str
) -> None:
    values = np.linspace(low, high, 600).reshape(20, 30).astype(dtype)
    picture = load(encoded(Image.fromarray(values), "TIFF"))
    assert picture.mode == "L"
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith(note)
    difference = picture.rgb[..., 0].astype(float) - expected(values.astype(float))
    assert np.abs(difference).max() <= 0.501


def test_a_flat_picture_of_numbers() -> None:
    picture = load(Image.fromarray(np.full((3, 3), 1e6, np.float32)))
    assert picture.rgb.max() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad: float) -> None:
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = bad
    with pytest.raises(InputError, match="not numbers"):
        load(Image.fromarray(values))


@pytest.mark.parametrize(
    ("mode", "expected", "notes"),
    [
        ("YCbCr", "RGB", ("YCbCr converted to RGB",)),
        ("LAB", "RGB", ("LAB converted to RGB",)),
        ("HSV", "RGB", ("HSV converted to RGB",)),
        ("PA", "RGBA", ("palette converted to RGBA",)),
        ("RGBX", "RGB", ()),
        ("RGBa", "RGBA", ()),
        ("La", "LA", ()),
    ],
)
def test_the_other_modes(mode: str, expected: str, notes: tuple[str, ...]) -> None:
    source = Image.fromarray(gradient(channels=4))
    if mode == "La":
        source = source.convert("LA")
    elif mode == "PA":
        source = source.quantize(8).convert("RGBA").convert("PA")
    elif mode not in ("RGBa",):
        source = source.convert("RGB")
    picture = load(source.convert(mode))
    assert picture.mode == expected
    assert picture.notes == notes
    np.testing.assert_allclose(
        picture.rgb.astype(float).mean(axis=(0, 1)),
        np.asarray(source.convert("RGB")).mean(axis=(0, 1)),
        atol=3,
    )


# --- CMYK and profiles --------------------------------------------------------------------------


def cmyk_profile() -> bytes:
    """A small CMYK profile under which every ink is its opposite: no ink is black.

    So a conversion that uses it cannot be mistaken for Pillow's own.
    """
    ramp = bytes(range(256))
    corners = b""
    for corner in range(16):  # C, M, Y, K; K varies fastest
        inks = bin(corner).count("1")
        corners += bytes([255 * inks // 4, 128, 128])  # L* rises with the ink; a* = b* = 0
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += ramp * 4 + corners + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"CC0\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name, b"cprt": text, b"wtpt": white, b"A2B0": lut}
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += tag + struct.pack(">II", offset + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s", offset + len(body), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(24)
    header = header[:64] + struct.pack(">I3i", 1, 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def test_cmyk_without_a_profile() -> None:
    image = Image.fromarray(gradient()).convert("CMYK")
    picture = load(encoded(image, "TIFF"))
    assert picture.mode == "RGB"
    assert picture.notes == ("CMYK without a profile converted to RGB, colours may differ",)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format", ["TIFF", "JPEG"])
def test_cmyk_by_its_profile(format: str) -> None:
    profile = cmyk_profile()
    picture = load(encoded(Image.new("CMYK", (8, 8)), format, icc_profile=profile))
    assert picture.notes == ("CMYK converted to RGB by its profile",)
    assert picture.icc is None
    assert picture.rgb.max() <= 2, "no ink is black under this profile, and white without it"
    picture = load(encoded(Image.new("CMYK", (8, 8), (255,) * 4), "TIFF", icc_profile=profile))
    assert picture.rgb.min() >= 253


@pytest.mark.parametrize("profile", [b"broken", samples.srgb()])
def test_cmyk_with_a_profile_that_does_not_serve(profile: bytes) -> None:
    picture = load(encoded(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=profile))
    assert picture.notes == (
        "CMYK converted to RGB; its profile cannot be used, colours may differ",
    )
    assert picture.rgb.min() == 255
    assert picture.icc is None


def test_profiles_are_kept_where_they_belong() -> None:
    profile = samples.srgb()
    for mode in ("RGB", "RGBA", "P"):
        picture = load(encoded(Image.new(mode, (4, 4)), icc_profile=profile))
        assert picture.icc == profile, mode
    for mode in ("L", "LA"):  # a profile for greyscale that says the same
        picture = load(encoded(Image.new(mode, (4, 4)), icc_profile=profile))
        assert picture.icc == signalling.grey_profile(profile), mode
        assert (picture.mode, picture.notes) == (mode, ())
    wrong = profile[:16] + b"CMYK" + profile[20:]
    for broken in (wrong, b"short"):
        picture = load(encoded(Image.new("RGB", (4, 4)), icc_profile=broken))
        assert picture.icc is None
        assert picture.notes == ("ICC profile that does not belong to the colours dropped",)
    grey_profile = profile[:16] + b"GRAY" + profile[20:]
    assert load(encoded(Image.new("L", (4, 4)), icc_profile=grey_profile)).icc == grey_profile
    grey = load(encoded(Image.new("RGB", (4, 4)), icc_profile=grey_profile))
    assert (grey.mode, grey.icc, grey.notes) == ("L", grey_profile, ())
    coloured = load(encoded(Image.new("RGB", (4, 4), "red"), icc_profile=grey_profile))
    assert coloured.icc is None and len(coloured.notes) == 1


# --- Orientation and metadata -------------------------------------------------------------------

# Where the top left pixel of the upright picture lies in the stored one, and whether the sides are
# exchanged: from the EXIF standard, which names the edges that row 0 and column 0 are.
ORIENTATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],  # column 0 is the right side
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],  # row 0 is the bottom
    5: lambda a: a.swapaxes(0, 1),  # row 0 is the left side, column 0 the top
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],  # row 0 is the right side, column 0 the top
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],  # row 0 is the right side, column 0 the bottom
    8: lambda a: a.swapaxes(0, 1)[::-1],  # row 0 is the left side, column 0 the bottom
}


def exif_with(orientation: int | None, endian: str = "<") -> bytes:
    """A TIFF structure by hand: make, orientation, software, and bytes that no tag refers to."""
    entries = [(0x010F, 2, 4, b"abc\0"), (0x0131, 2, 4, b"xyz\0")]
    if orientation is not None:
        value = struct.pack(endian + "HH", orientation, 0)
        entries.insert(1, (0x0112, 3, 1, value))
    start = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8)
    directory = struct.pack(endian + "H", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack(endian + "HHI", tag, kind, count) + value
    return start + directory + bytes(4) + b"maker notes live here"


@pytest.mark.parametrize("endian", "<>")
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("mode", ["RGB", "LA", "I;16"])
def test_orientation_is_baked_in(orientation: int, endian: str, mode: str) -> None:
    if mode == "I;16":
        stored = gradient()[..., 0].astype(np.uint16) * 257
        image = Image.fromarray(stored)
    else:
        stored = gradient(channels=len(mode))
        image = Image.fromarray(stored, mode)
    exif = exif_with(orientation, endian)
    picture = load(encoded(image, exif=exif))
    upright = ORIENTATIONS[orientation](stored)
    if mode == "RGB":
        np.testing.assert_array_equal(picture.rgb, upright)
    elif mode == "LA":
        np.testing.assert_array_equal(picture.rgb[..., 0], upright[..., 0])
        np.testing.assert_array_equal(picture.alpha, upright[..., 1])
    else:
        np.testing.assert_array_equal(picture.rgb[..., 0], upright // 257)
    assert picture.exif == exif_with(1, endian), "all but the orientation stays, byte for byte"
    again = Image.Exif()
    again.load(picture.exif)
    assert again[0x0112] == 1
    assert again[0x010F] == "abc"


@pytest.mark.parametrize("orientation", [None, 0, 9, 65535])
def test_no_or_senseless_orientation(orientation: int | None) -> None:
    picture = load(encoded(Image.fromarray(gradient()), exif=exif_with(orientation)))
    np.testing.assert_array_equal(picture.rgb, gradient())
    assert picture.exif == exif_with(None if orientation is None else 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_in_every_format(format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    image = Image.fromarray(gradient())
    picture = load(encoded(image, format, exif=exif, quality=95))
    assert (picture.width, picture.height) == (24, 40)
    difference = picture.rgb.astype(int) - ORIENTATIONS[6](gradient())
    assert np.abs(difference).mean() < 6
    assert picture.exif is not None
    again = Image.Exif()
    again.load(picture.exif)
    assert again.get(0x0112, 1) == 1
    assert again[0x010F] == "Maker"


def test_orientation_in_the_xmp_alone() -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="8"><tiff:Orientation>8</tiff:Orientation></x:xmpmeta>'
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", xmp)
    picture = load(encoded(Image.fromarray(gradient()), pnginfo=chunks))
    np.testing.assert_array_equal(picture.rgb, ORIENTATIONS[8](gradient()))
    assert picture.xmp == xmp.replace(b"8", b"1")


def test_upright_xmp_is_kept_byte_for_byte() -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="1" other="6"/>'
    assert load(encoded(Image.fromarray(gradient()), "WEBP", xmp=xmp)).xmp == xmp


def test_metadata_of_a_jpeg() -> None:
    exif, icc, xmp = exif_with(1), samples.srgb(), b"<x:xmpmeta/>"
    data = encoded(
        Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + exif, icc_profile=icc, xmp=xmp
    )
    picture = load(data)
    assert (picture.exif, picture.icc, picture.xmp) == (exif, icc, xmp)


def test_metadata_of_a_png_by_imagemagick() -> None:
    chunks = PngImagePlugin.PngInfo()
    raw = b"Exif\0\0" + exif_with(6)
    chunks.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n")
    picture = load(encoded(Image.fromarray(gradient()), pnginfo=chunks))
    assert picture.width == 24
    assert picture.exif is not None
    again = Image.Exif()
    again.load(picture.exif)
    assert again[0x0112] == 1
    assert again[0x010F] == "abc"


def test_a_tiffs_layout_is_not_metadata() -> None:
    picture = load(encoded(Image.fromarray(gradient()), "TIFF"))
    assert picture.exif is None
    picture = load(encoded(Image.fromarray(gradient()), "TIFF", description="a view"))
    assert picture.exif is not None
    again = Image.Exif()
    again.load(picture.exif)
    assert dict(again) == {0x010E: "a view"}


@pytest.mark.parametrize("junk", [b"junk", b"Exif\0\0", b"Exif\0\0II*", b"II*\0" + bytes(3)])
def test_broken_exif_does_not_cost_the_picture(junk: bytes) -> None:
    image = Image.fromarray(gradient())
    image.info["exif"] = junk
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = load(image)
    np.testing.assert_array_equal(picture.rgb, gradient())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_exif_never_raises(data: st.DataObject) -> None:
    exif = bytearray(exif_with(6))
    for _ in range(data.draw(st.integers(1, 6))):
        exif[data.draw(st.integers(0, len(exif) - 1))] = data.draw(st.integers(0, 255))
    image = Image.fromarray(gradient())
    image.info["exif"] = bytes(exif[: data.draw(st.integers(1, len(exif)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = load(image)
        if picture.exif is not None:
            again = Image.Exif()
            again.load(picture.exif)
            value = again.get(0x0112, 1)
            assert value == 1 or picture.width == 40, "turned, but still said to lie on its side"


# --- Files that are not all there ---------------------------------------------------------------

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_truncated_file_is_an_error_and_not_grey(format: str) -> None:
    image = Image.fromarray(gradient(96, 64))
    data = encoded(image, format)
    whole = load(data).rgb
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a truncated TIFF, then raises
        for length in range(0, len(data) - 24, max(1, len(data) // 100)):
            with pytest.raises(InputError):
                load(data[:length])
        # The last few bytes may say no more than that this was the end.
        for length in range(len(data) - 24, len(data)):
            with suppress(InputError):
                np.testing.assert_array_equal(load(data[:length]).rgb, whole)


def test_the_fault_is_named(tmp_path: Path) -> None:
    jpeg = encoded(Image.fromarray(gradient(200, 100)), "JPEG")
    with pytest.raises(InputError, match="truncated"):
        load(jpeg[:1500])
    with pytest.raises(InputError, match="not a picture"):
        load(b"no picture")
    with pytest.raises(InputError, match="empty"):
        load(b"")
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "absent.jpg")
    with pytest.raises(InputError, match="Is a directory"):
        load(tmp_path)


def test_messages_are_one_line(tmp_path: Path) -> None:
    for source in (b"x", tmp_path / "absent\nfile", encoded(Image.new("L", (9, 9)))[:45]):
        with pytest.raises(InputError) as caught:
            load(source)
        assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_pictures_or_input_errors(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(FORMATS))
    damaged = bytearray(encoded(Image.fromarray(gradient(20, 10)), format))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert isinstance(load(bytes(damaged), max_pixels=100_000), Picture)
        except InputError as error:
            assert "\n" not in str(error)


def test_the_limit_on_pixels() -> None:
    data = encoded(Image.new("L", (100, 60)))
    assert load(data, max_pixels=6000).width == 100
    for source in (data, Image.new("L", (100, 60))):
        with pytest.raises(InputError, match=r"^6000 pixels, and the limit is 5999$") as error:
            load(source, max_pixels=5999)
        assert "raise max_pixels to at least 6000" in error.value.advice
    with pytest.raises(InputError, match="6000 pixels, and the limit is 1000"):
        load(data, max_pixels=1000)


def test_a_bomb_is_not_unpacked() -> None:
    """A PNG of 10**10 pixels that holds nothing: the header is enough to refuse it."""
    data = png(100_000, 100_000, 0, b"")
    with pytest.raises(InputError, match="limit"):
        load(data)


def test_pillows_own_limit_neither_stops_nor_warns_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(Image.new("L", (100, 60)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(data).width == 100
        assert load(Image.new("L", (3000, 2000))).width == 3000  # copied in several strips
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(InputError):
        load(b"no picture")
    assert Image.MAX_IMAGE_PIXELS == 1000


READ = [
    *("AVIF", "BLP", "BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
]
TIFFS = {
    "TIFF": {},
    "as libtiff packs it": {"compression": "tiff_adobe_deflate"},
    "in strips": {"compression": "packbits", "tiffinfo": {278: 7}},
}


@pytest.mark.parametrize("format", [*READ, *list(TIFFS)[1:]])
@pytest.mark.parametrize("as_path", [False, True])
@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_pillows_own_limit_counts_in_no_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str, as_path: bool, mode: str
) -> None:
    """Whether it would warn of the picture or refuse it; and ours counts in all of them."""
    picture = Image.fromarray(gradient(48, 48))
    without = ("DDS", "ICNS", "JPEG", "JPEG2000", "MPO", "PPM", "QOI", "SGI")
    if (mode == "P" and format not in without) or format == "BLP":  # which has nothing else
        picture = picture.convert("P")
    name = "TIFF" if format in TIFFS else format
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {name}")
    try:
        data = encoded(picture, name, **TIFFS.get(format, {}))
    except OSError as error:
        if not re.fullmatch(r"encoder \w+ not available", str(error)):
            raise  # a picture that does not suit the format is the test's own fault
        pytest.skip(f"this Pillow was built without a library: {error}")
    source: bytes | Path = data
    if as_path:  # which Pillow maps into memory, where it can
        source = tmp_path / "picture"
        source.write_bytes(data)
    expected = load(data).rgb
    pixels = expected.shape[0] * expected.shape[1]
    for limit in (pixels * 2 // 3, pixels // 3):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(load(source, max_pixels=pixels).rgb, expected)
            assert limit == Image.MAX_IMAGE_PIXELS
            with pytest.raises(InputError, match=f"and the limit is {pixels - 1}$"):
                load(source, max_pixels=pixels - 1)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_while_a_tiff_is_decoded_pillows_limit_holds_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(Image.fromarray(gradient()), "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    seen: list[int | None] = []
    decode = TiffImagePlugin.TiffImageFile.load

    def watched(image: TiffImagePlugin.TiffImageFile) -> object:
        seen.append(Image.MAX_IMAGE_PIXELS)
        return decode(image)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", watched)
    assert load(data).width == 40
    assert set(seen) == {100}


def test_a_tiff_that_cannot_be_had_leaves_pillow_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(gradient()), "TIFF")

    def fails(image: TiffImagePlugin.TiffImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load_prepare", fails)
    with pytest.raises(InputError, match="not enough memory"):
        load(data)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_what_is_inside_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a format whose pictures turn out larger, when they are loaded, than they said."""
    grown = Image.new("RGB", (9, 9))

    class Lying(type(grown)):  # type: ignore[misc]
        def load(self) -> object:
            self._size = (10, 10)
            return super().load()

    grown.__class__ = Lying
    with pytest.raises(InputError, match=r"^100 pixels, and the limit is 99$"):
        load(grown, max_pixels=99)


def test_what_is_read_can_be_written() -> None:
    assert aeimage.DEFAULT_MAX_PIXELS == bitstream.DEFAULT_MAX_PIXELS


def test_drawings_and_empty_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="EPS is a drawing"):
        load(encoded(Image.new("RGB", (4, 4)), "EPS"))
    with pytest.raises(InputError, match=r"empty \(0x5\)"):
        load(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_an_animation_the_first_frame_is_kept(format: str) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = load(data)
    assert "several frames or pages: only the first is kept" in picture.notes
    np.testing.assert_array_equal(picture.rgb[0, 0], [255, 0, 0])


# --- Giving back --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_to_pil_undoes_load(mode: str) -> None:
    source = Image.fromarray(gradient(channels=len(mode)).squeeze(), mode)
    picture = load(source)
    back = to_pil(picture.rgb, picture.mode, picture.alpha)
    assert back.mode == mode
    np.testing.assert_array_equal(np.asarray(back), np.asarray(source))


def test_grey_is_the_rounded_mean() -> None:
    triples = np.array([[[0, 0, 1], [0, 1, 1], [255, 255, 255], [255, 254, 254], [10, 20, 60]]])
    image = to_pil(triples.astype(np.uint8), "L")
    assert np.asarray(image).tolist() == [[0, 1, 255, 254, 30]]


def test_metadata_goes_under_pillows_keys() -> None:
    image = to_pil(gradient(), "RGB", exif=b"II*\0", icc=b"icc", xmp=b"xmp")
    assert image.info == {"exif": b"Exif\0\0II*\0", "icc_profile": b"icc", "xmp": b"xmp"}
    assert to_pil(gradient(), "RGB").info == {}


def test_alpha_and_mode_must_agree() -> None:
    with pytest.raises(ValueError, match="RGBA needs alpha"):
        to_pil(gradient(), "RGBA")
    with pytest.raises(ValueError, match="L has no alpha"):
        to_pil(gradient(), "L", gradient()[..., 0])
    with pytest.raises(ValueError, match="not 'CMYK'"):
        to_pil(gradient(), "CMYK")


EXACT = ["PNG", "TIFF", "WEBP", "TGA", "JPEG2000", "QOI", "SGI", "DDS", "ICO"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("format", EXACT)
def test_saved_pictures_are_exact(format: str, mode: str) -> None:
    if format not in Image.registered_extensions().values() or format not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {format}")
    pixels = gradient(32, 32, 4)
    alpha = pixels[..., 3] if mode in ("LA", "RGBA") else None
    colour = pixels[..., :3] if mode in ("RGB", "RGBA") else np.repeat(pixels[..., :1], 3, axis=2)
    buffer = io.BytesIO()
    options = {"bitmap_format": "png"} if format == "ICO" else {}
    save(to_pil(colour, mode, alpha), buffer, format, **options)  # type: ignore[arg-type]
    with Image.open(io.BytesIO(buffer.getvalue())) as back:
        expected = np.dstack([colour, np.full((32, 32), 255) if alpha is None else alpha])
        np.testing.assert_array_equal(np.asarray(back.convert("RGBA")), expected)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_saved_metadata_comes_back(format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    exif, icc, xmp = exif_with(None), samples.srgb(), b'<x:xmpmeta a="\xc3\xa9"/>'
    buffer = io.BytesIO()
    notes = save(to_pil(gradient(), "RGB", exif=exif, icc=icc, xmp=xmp), buffer, format)
    assert notes == ()
    picture = load(buffer.getvalue())
    assert (picture.icc, picture.xmp) == (icc, xmp)
    if format == "TIFF":  # has a directory of its own, so the tags come back rather than the bytes
        again = Image.Exif()
        again.load(picture.exif)
        assert dict(again) == {0x010F: "abc", 0x0131: "xyz"}
    else:
        assert picture.exif == exif


def test_the_layout_of_another_file_does_not_get_into_a_tiff() -> None:
    """EXIF may state a width, strips and a compression, which in a TIFF are those of the pixels."""
    foreign = Image.Exif()
    foreign[0x010F] = "Maker"
    for tag, value in {0x0100: 7, 0x0103: 6, 0x0111: 1_000_000, 0x0115: 1, 0x0117: 3}.items():
        foreign[tag] = value
    buffer = io.BytesIO()
    exif = foreign.tobytes().removeprefix(b"Exif\0\0")
    save(to_pil(gradient(), "RGB", exif=exif), buffer, "TIFF", compression="raw")
    picture = load(buffer.getvalue())
    np.testing.assert_array_equal(picture.rgb, gradient())
    assert picture.exif is not None
    again = Image.Exif()
    again.load(picture.exif)
    assert dict(again) == {0x010F: "Maker"}


def test_what_a_format_cannot_hold_is_noted() -> None:
    image = to_pil(gradient(), "RGB", exif=exif_with(1), icc=samples.srgb(), xmp=b"<x/>")
    assert save(image, io.BytesIO(), "BMP") == (
        "BMP has no place for the EXIF",
        "BMP has no place for the ICC profile",
        "BMP has no place for the XMP",
    )
    image.info["xmp"] = b"x" * 70_000
    image.info["exif"] = b"Exif\0\0" + exif_with(1) + bytes(70_000)
    buffer = io.BytesIO()
    notes = save(image, buffer, "JPEG")
    assert len(notes) == 2
    assert all("too large for a JPEG" in note for note in notes)
    assert load(buffer.getvalue()).icc == samples.srgb()


@pytest.mark.parametrize("format", ["JPEG", "BMP", "PPM", "GIF", "PCX"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_never_dropped_silently(format: str, mode: str) -> None:
    image = to_pil(gradient(), mode, gradient()[..., 0])  # type: ignore[arg-type]
    buffer = io.BytesIO()
    with pytest.raises(OutputError, match=f"{format} cannot hold transparency"):
        save(image, buffer, format)
    assert buffer.getvalue() == b""


def test_jpeg_is_written_well() -> None:
    buffer = io.BytesIO()
    save(to_pil(gradient(), "RGB"), buffer, "JPEG")
    assert np.abs(load(buffer.getvalue()).rgb.astype(int) - gradient()).mean() < 2
    small = io.BytesIO()
    save(to_pil(gradient(), "RGB"), small, "JPEG", quality=10)
    assert len(small.getvalue()) < len(buffer.getvalue())


def test_the_suffix_decides(tmp_path: Path) -> None:
    image = to_pil(gradient(), "RGB")
    for suffix, format in {".png": "PNG", ".JPG": "JPEG", ".webp": "WEBP", ".tif": "TIFF"}.items():
        target = tmp_path / f"picture{suffix}"
        save(image, target)
        with Image.open(target) as back:
            assert back.format == format
    buffer = io.BytesIO()
    save(image, buffer)
    assert buffer.getvalue().startswith(b"\x89PNG")
    for name in ("picture.xyz", "picture", "picture.aec"):
        with pytest.raises(OutputError, match="not a picture format"):
            save(image, tmp_path / name)


def test_what_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    image = to_pil(gradient(), "RGB")
    with pytest.raises(OutputError, match="No such file"):
        save(image, tmp_path / "absent" / "picture.png")
    with pytest.raises(OutputError, match="NONSENSE is not a format"):
        save(image, io.BytesIO(), "nonsense")


class Gone(io.BytesIO):
    def write(self, data: object) -> int:
        raise BrokenPipeError


def test_a_reader_that_left_is_no_fault_of_the_output() -> None:
    with pytest.raises(BrokenPipeError):
        save(to_pil(gradient(), "RGB"), Gone(), "PNG")


# --- Padding ------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 16, 64]))
def test_padding_repeats_the_edge(height: int, width: int, multiple: int) -> None:
    rgb = gradient(width, height)
    padded = pad_to_multiple(rgb, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.shape[1] - width < multiple
    np.testing.assert_array_equal(padded[:height, :width], rgb)
    rows = np.minimum(np.arange(padded.shape[0]), height - 1)
    columns = np.minimum(np.arange(padded.shape[1]), width - 1)
    np.testing.assert_array_equal(padded, rgb[rows][:, columns])


def test_padding_copies_nothing_where_nothing_is_added() -> None:
    rgb = gradient(32, 16)
    assert pad_to_multiple(rgb) is rgb
    assert pad_to_multiple(rgb[..., 0], 64).shape == (64, 64)


def test_a_cameras_exif_in_a_tiff() -> None:
    """Directories of its own are more than libtiff can write: then nothing is compressed."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x829A] = (1, 250)
    exif.get_ifd(0x8825)[1] = "N"
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    for mode, channels in (("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3)):
        alpha = gradient(channels=1)[..., 0] if mode.endswith("A") else None
        rgb = np.broadcast_to(gradient(channels=channels), (24, 40, 3))
        buffer = io.BytesIO()
        picture = to_pil(rgb, mode, alpha, exif=raw, icc=samples.srgb(), xmp=b"<x/>")  # type: ignore[arg-type]
        assert save(picture, buffer, "TIFF") == ()
        back = load(buffer.getvalue())
        np.testing.assert_array_equal(back.rgb, rgb)
        assert (back.icc, back.xmp, back.exif is None) == (samples.srgb(), b"<x/>", False)
        again = Image.Exif()
        again.load(back.exif)
        assert again[0x010F] == "Maker"
        assert again.get_ifd(0x8769)[0x829A] == (1, 250) and again.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("format", ["ICO", "ICNS"])
def test_what_a_format_would_shrink_is_refused(format: str) -> None:
    small = to_pil(gradient(), "RGB")
    if format == "ICO":
        buffer = io.BytesIO()
        save(small, buffer, format)
        with Image.open(buffer) as back:
            np.testing.assert_array_equal(np.asarray(back.convert("RGB")), gradient())
    large = to_pil(np.zeros((300, 40, 3), np.uint8), "RGB")
    with pytest.raises(OutputError, match=f"{format} holds .* as it is"):
        save(large, io.BytesIO(), format)


def test_what_loses_more_than_rounding_says_so() -> None:
    rgb, alpha = gradient(), gradient(channels=1)[..., 0]
    assert save(to_pil(rgb, "RGB"), io.BytesIO(), "GIF") == ("GIF has 256 colours",)
    assert save(to_pil(rgb, "L"), io.BytesIO(), "GIF") == ()
    if features.check("avif"):
        notes = save(to_pil(rgb, "RGBA", alpha), io.BytesIO(), "AVIF")
        assert notes == ("AVIF keeps the transparency only nearly",)
        assert save(to_pil(rgb, "RGB"), io.BytesIO(), "AVIF") == ()
    sizes = {}
    for name in ("JPEG", "MPO"):  # one quality for both
        buffer = io.BytesIO()
        save(to_pil(rgb, "RGB"), buffer, name)
        sizes[name] = buffer.tell()
    assert sizes["MPO"] == pytest.approx(sizes["JPEG"], abs=200)


def test_arrays(tmp_path: Path) -> None:
    for pixels in (gradient(), gradient(channels=4), gradient(channels=1)[..., 0]):
        read, other = load(pixels), load(Image.fromarray(pixels))
        assert read.mode == other.mode
        np.testing.assert_array_equal(read.rgb, other.rgb)
        if other.alpha is not None:
            np.testing.assert_array_equal(read.alpha, other.alpha)
    with pytest.raises(InputError, match="cannot read the picture"):
        load(np.zeros((4, 4, 7), np.uint8))


def test_an_empty_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    for source in (empty, str(empty), b"", io.BytesIO()):
        with pytest.raises(InputError, match=r"^the file is empty$"):
            load(source)
    with pytest.raises(InputError, match="not a picture of a known kind"):
        load(b"no picture")
