"""Reading pictures: sources, modes, profiles, padding."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import memory
import numpy as np
import pytest
import samples
from pictures import encoded, gradient, png
from PIL import Image

from aecodec import codec, register_pillow
from aecodec.errors import InputError
from aecodec.image import mending, signalling
from aecodec.image.load import load


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


def test_arrays(tmp_path: Path) -> None:
    for pixels in (gradient(), gradient(channels=4), gradient(channels=1)[..., 0]):
        read, other = load(pixels), load(Image.fromarray(pixels))
        assert read.mode == other.mode
        np.testing.assert_array_equal(read.rgb, other.rgb)
        if other.alpha is not None:
            np.testing.assert_array_equal(read.alpha, other.alpha)
    with pytest.raises(InputError, match="an array of uint8 and shape"):
        load(np.zeros((4, 4, 7), np.uint8))


def test_what_is_no_picture_is_named() -> None:
    for given in (None, 5, ["a.png"], io.StringIO("opened as text")):
        with pytest.raises(TypeError, match=f"not {type(given).__name__}"):
            load(given)  # type: ignore[arg-type]
    rgb = np.zeros((4, 5, 3), np.uint8)
    for array in (rgb[0, :, 0], rgb[None], rgb[..., :1], rgb.astype(float), rgb.astype("u2")):
        with pytest.raises(InputError, match=f"an array of {array.dtype} and shape"):
            load(array)
    for data, what in (
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"P7\nWIDTH 4\n", "PAM"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
    ):
        with pytest.raises(InputError, match=f"{what}, which is not read"):
            load(data)
    jpeg = io.BytesIO()
    Image.fromarray(rgb).save(jpeg, "JPEG")
    # Pillow 11 does not open such a file; later ones open it, and cannot load it.
    with pytest.raises(InputError, match=r"it holds no pixels, or ends|its beginning is damaged"):
        load(jpeg.getvalue()[: jpeg.getvalue().index(b"\xff\xda")])
    said = mending.described(memoryview(codec.compress(rgb)))  # the plugin may be registered
    assert said == "an .aec file: decompress it first"


def test_an_array_of_colours_is_not_copied() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.shares_memory(load(rgb).rgb, rgb)
    turned = load(rgb[:, ::-1])
    assert turned.rgb.flags.c_contiguous
    assert np.array_equal(turned.rgb, rgb[:, ::-1])
    with pytest.raises(InputError, match="600 pixels, and the limit is 599"):
        load(rgb, max_pixels=599)


def test_a_file_is_let_go_before_its_arrays_are_made(here: Path) -> None:
    """Of 16 megapixels: 48 MB, in Pillow 64, as an array 48."""
    memory.needs_peak()
    Image.new("RGB", (4000, 4000), "teal").save("a.ppm")
    script = """
        from aecodec.image.load import load
        from aecodec.machine import peak_mib
        load(b"P6 1 1 255 abc")
        before = peak_mib()
        load("a.ppm")
        print(peak_mib() - before)
    """
    run = memory.run_apart(script)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 130  # MiB


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_eight_bits_in_an_array_of_sixteen_do_not_become_black(kind: str) -> None:
    values = np.arange(200, dtype=np.uint16).reshape(10, 20).astype(kind)
    with pytest.raises(InputError, match="values up to 199 would be black: white is 65535"):
        load(values)
    assert load(values * 257).rgb.max() == 199
    assert load(values * 0).rgb.max() == 0
    notes = ("16 bits a channel reduced to 8", "16-bit values of 199 at most are black in 8 bits")
    stored = Image.fromarray(values.astype("<u2"))
    assert load(stored).notes == load(encoded(stored)).notes == notes


def test_an_aec_file_is_no_source_even_where_pillow_reads_it(tmp_path: Path) -> None:
    register_pillow()
    data = codec.compress(np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "a.aec").write_bytes(data)
    for source in (data, tmp_path / "a.aec", io.BytesIO(data)):
        with pytest.raises(InputError, match=r"an \.aec file: decompress it first"):
            load(source)
    with Image.open(tmp_path / "a.aec") as opened:
        assert load(opened).width == 5
