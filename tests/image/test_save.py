"""Writing pictures: what each format keeps, and what is said of the rest."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import samples
import tifffile
import tiffs
from pictures import encoded, exif_with, gradient
from PIL import Image, ImageCms, features

from aecodec.errors import OutputError
from aecodec.image import signalling
from aecodec.image.load import load
from aecodec.image.picture import to_pil
from aecodec.image.save import save


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
        "BMP is written without the EXIF",
        "BMP is written without the ICC profile",
        "BMP is written without the XMP",
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
        grey = signalling.grey_profile(samples.srgb())
        assert back.icc == (samples.srgb() if channels > 1 else grey)
        assert (back.xmp, back.exif is None) == (b"<x/>", False)
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


# --- Greyscale, and limits of formats ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA"])
@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_a_grey_profile_fits_the_file_that_holds_it(format: str, mode: str) -> None:
    """A reader cannot apply a profile of greys to RGB. WebP has no greyscale; AVIF has."""
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    curve = signalling.Parametric(1.8)
    grey = signalling.from_chromaticities(signalling._SRGB_PRIMARIES, curve, said_by="", grey=True)
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    alpha = np.full_like(ramp, 200) if mode == "LA" else None
    image = to_pil(np.repeat(ramp[..., None], 3, axis=2), mode, alpha, icc=grey.icc)
    buffer = io.BytesIO()
    save(image, buffer, format)
    with Image.open(buffer) as back:
        profile = back.info["icc_profile"]
        if format == "AVIF":
            assert profile == grey.icc
            assert b"av1C" in buffer.getvalue()
            at = buffer.getvalue().index(b"av1C") + 4
            assert buffer.getvalue()[at + 2] & 0x10, "monochrome (AV1 in ISOBMFF, 2.3.3)"
            return
        assert profile[16:20] == b"RGB "
        shown = ImageCms.profileToProfile(
            back.convert("RGB"), io.BytesIO(profile), ImageCms.createProfile("sRGB")
        )
    assert grey.icc is not None
    expected = ImageCms.profileToProfile(
        image.convert("L"), io.BytesIO(grey.icc), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    difference = np.asarray(shown).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1
    assert load(buffer.getvalue()).mode == "RGBA" if mode == "LA" else "RGB"


def test_a_grey_profile_of_another_kind_becomes_srgb() -> None:
    curve = signalling.Parametric(1.0)
    made = signalling.from_chromaticities(signalling._SRGB_PRIMARIES, curve, said_by="", grey=True)
    assert made.icc is not None
    in_lab = made.icc[:20] + b"Lab " + made.icc[24:]
    buffer = io.BytesIO()
    notes = save(to_pil(np.full((8, 8, 3), 55, np.uint8), "L", icc=in_lab), buffer, "WEBP")
    assert notes == ("colours converted to sRGB, for the ICC profile is left out",)
    assert load(buffer.getvalue()).icc is None


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_exif_with_an_orientation_is_the_same_in_an_avif() -> None:
    """Pillow writes it anew, with question marks for letters beyond ASCII."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 1, "Jürgen".encode()
    picture = load(encoded(Image.new("RGB", (16, 16)), "JPEG", exif=exif.tobytes()))
    buffer = io.BytesIO()
    save(to_pil(picture.rgb, "RGB", exif=picture.exif), buffer, "AVIF")
    again = load(buffer.getvalue())
    assert again.exif is not None
    assert "Jürgen".encode() in again.exif
    assert again.notes == ()


SIDES = [("WEBP", 16383), ("JPEG", 65500), ("GIF", 65535), ("TGA", 65535), ("SGI", 65535)]


@pytest.mark.parametrize(("format", "side"), SIDES)
def test_a_side_that_is_too_long_is_named(format: str, side: int) -> None:
    image = to_pil(np.zeros((1, side + 1, 3), np.uint8), "RGB")
    buffer = io.BytesIO()
    with pytest.raises(OutputError, match=f"{format} holds nothing above {side} x {side} pixels"):
        save(image, buffer, format)
    assert save(image.crop((0, 0, side, 1)), buffer, format) in ((), ("GIF has 256 colours",))


def test_spider_takes_no_colours() -> None:
    with pytest.raises(OutputError, match="SPIDER holds no picture of the mode RGB"):
        save(to_pil(gradient(), "RGB"), io.BytesIO(), "SPIDER")


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_comment_in_utf_16_has_the_byte_order_of_the_tiff(order: str) -> None:
    endian = "<" if order == "II" else ">"
    text = b"UNICODE\0" + "Grüße".encode("utf-16-le" if order == "II" else "utf-16-be")
    main = struct.pack(endian + "HHHIII", 1, 34665, 4, 1, 26, 0)
    inner = struct.pack(endian + "HHHIII", 1, 37510, 7, len(text), 44, 0)
    header = order.encode() + struct.pack(endian + "HI", 42, 8)
    buffer = io.BytesIO()
    save(to_pil(gradient(), "RGB", exif=header + main + inner + text), buffer, "TIFF")
    written = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(written)) as file:
        code = "utf-16-le" if file.byteorder == "<" else "utf-16-be"
    assert b"UNICODE\0" + "Grüße".encode(code) in written


@pytest.mark.parametrize("order", "<>")
def test_the_tags_of_exif_are_in_a_tiff_as_they_were(order: str) -> None:
    """Of PageNumber, which scanners write, Pillow had made another pair of numbers."""
    tags = {
        11: (2, "digiKam"),
        256: (4, [7]),  # of the other file
        297: (3, [0, 12]),
        318: (5, [(3127, 10000), (329, 1000)]),
        315: (2, "Jürgen"),
        34857: (8, [-5]),
        50706: (1, bytes([1, 4, 0, 0])),
        50341: (7, b"PrintIM\0 0300"),
    }
    exif = tiffs.tiff(tiffs.Ifd(tags), order=order)
    buffer = io.BytesIO()
    notes = save(to_pil(gradient(), "RGB", exif=exif), buffer, "TIFF")
    text = "TIFF is written without tags of EXIF that would be those of its pixels: "
    assert notes == (f"{text}318, 50706",)
    profiled = to_pil(gradient(), "RGB", exif=exif, icc=samples.srgb())
    assert save(profiled, io.BytesIO(), "TIFF") == (f"{text}50706",)
    assert load(buffer.getvalue()).width == gradient().shape[1], "a picture, and no raw"
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        found = {tag.code: tag.value for tag in file.pages[0].tags.values()}
        np.testing.assert_array_equal(file.asarray(), gradient())
    assert found[11] == "digiKam"
    assert found[256] == gradient().shape[1]
    assert found[297] == (0, 12)
    assert found[34857] == -5
    assert found[50341] == b"PrintIM\0 0300"
    assert "Jürgen\0".encode() in buffer.getvalue()
    assert 318 not in found
