"""Orientation and metadata of what is read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, exif_with, gradient
from PIL import Image, PngImagePlugin, features

from aecodec.image.load import _exif_of_avif, load
from aecodec.image.parts.account import Account
from aecodec.image.picture import to_pil
from aecodec.image.save import save

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


def avif(orientation: int, exif: bytes, **options: object) -> bytes:
    """An AVIF with irot and imir for an orientation, and EXIF that states what it likes."""
    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    room = Image.Exif()
    room[0x0112] = orientation
    room[0x010E] = "x" * len(exif)
    data = encoded(Image.fromarray(gradient()), "AVIF", exif=room, quality=95, **options)
    at = data.index(b"MM\0*")
    text = b"x" * len(exif)
    size = data.index(text) + len(text) - at
    return data[:at] + exif.ljust(size, b"\0") + data[at + size :]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("stated", [None, 1, 6])
def test_an_avif_is_turned_by_irot_and_imir_alone_and_its_exif_stays(
    orientation: int, stated: int | None
) -> None:
    """Whatever EXIF and XMP state: Pillow writes EXIF anew to state the same as irot."""
    xmp = b'<x:xmpmeta tiff:Orientation="8"/>'
    exif = exif_with(stated)
    picture = load(avif(orientation, exif, xmp=xmp))
    upright = ORIENTATIONS[orientation](gradient())
    assert picture.rgb.shape == upright.shape
    assert np.abs(picture.rgb.astype(int) - upright).mean() < 6
    expected = exif_with(None if stated is None else 1)
    assert picture.exif is not None
    assert picture.exif.rstrip(b"\0") == expected.rstrip(b"\0"), "byte for byte"
    assert picture.xmp == xmp.replace(b"8", b"1")
    assert picture.notes == ()


def test_an_avif_without_exif_gets_none() -> None:
    for exif in ({0x0112: 6}, {}):
        tags = Image.Exif()
        tags.update(exif)
        if not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        data = encoded(Image.fromarray(gradient()), "AVIF", exif=tags)
        picture = load(data)
        assert (picture.width == 24) == bool(exif)
        assert picture.exif is None
        assert picture.notes == ()


def test_exif_of_an_avif_that_pillow_alone_finds_is_kept_with_a_note() -> None:
    """As that of a sequence's track: no walker reads it."""
    for orientation, note in ((1, ()), (6, ("EXIF written anew for its orientation",))):
        notes: list[str] = []
        with Image.open(io.BytesIO(avif(orientation, exif_with(1)))) as image:
            found = _exif_of_avif(image, Account(), notes)
        again = Image.Exif()
        again.load(found or b"")
        assert again[0x010F] == "abc"
        assert tuple(text.partition(":")[0] for text in notes) == note


def test_orientation_in_the_xmp_alone() -> None:
    xmp = b'<x:xmpmeta tiff:Orientation="8"><tiff:Orientation>8</tiff:Orientation></x:xmpmeta>'
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", xmp)
    picture = load(encoded(Image.fromarray(gradient()), pnginfo=chunks))
    np.testing.assert_array_equal(picture.rgb, ORIENTATIONS[8](gradient()))
    assert picture.xmp == xmp.replace(b"8", b"1")


@pytest.mark.parametrize("tag", [None, 1, 3, 6])
@pytest.mark.parametrize("format", ["TIFF", "JPEG", "PNG"])
def test_xmp_states_that_the_picture_is_upright(format: str, tag: int | None) -> None:
    """Also where the tag has overruled it: else a PNG without EXIF would be turned by it again."""
    xmp = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    exif = Image.Exif()
    if tag is not None:
        exif[0x0112] = tag
    options: dict[str, object] = {"exif": exif}
    if format == "TIFF":
        exif[0x02BC] = xmp
    elif format == "JPEG":
        options["xmp"] = xmp
    else:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    data = encoded(Image.fromarray(gradient(40, 24)), format, **options)
    picture = load(data, keep=("xmp",))
    assert (picture.width, picture.height) == ((24, 40) if tag in (None, 6) else (40, 24))
    assert picture.xmp == xmp.replace(b'"6"', b'"1"')
    buffer = io.BytesIO()
    save(to_pil(picture.rgb, picture.mode, picture.alpha, **picture.metadata), buffer, "PNG")
    np.testing.assert_array_equal(load(buffer.getvalue()).rgb, picture.rgb)


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
