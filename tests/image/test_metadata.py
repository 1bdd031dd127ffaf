"""What travels with a picture: what is kept byte for byte, what goes, and what is taken out."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import carriers
import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import aecodec
from aecodec import conversion
from aecodec.errors import InputError
from aecodec.image import metadata, signalling
from aecodec.image.load import load

LATITUDE = struct.pack("<6I", 51, 1, 28, 1, 40, 1)
THUMBNAIL_LEVEL = 200


def photograph() -> Image.Image:
    return samples.photograph(box=(100, 20, 164, 68))


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    if format == "JPEG" and isinstance(options.get("exif"), bytes):
        options["exif"] = b"Exif\0\0" + options["exif"]
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def thumbnail() -> bytes:
    return encoded(Image.new("L", (32, 24), THUMBNAIL_LEVEL))


def camera_exif(orientation: int = 6) -> bytes:
    """What a camera writes, byte by byte: make, orientation, Exif, GPS, maker note, thumbnail.

    The maker note holds its own absolute offset, as many do.
    """
    blob = bytearray(b"II*\0" + struct.pack("<I", 8))

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    main, exif, gps, note, small = 8, 100, 150, 220, 400
    picture = thumbnail()
    parts = {
        main: struct.pack("<H", 4)
        + entry(0x010F, 2, 4, int.from_bytes(b"Cam\0", "little"))
        + entry(0x0112, 3, 1, orientation)
        + entry(0x8769, 4, 1, exif)
        + entry(0x8825, 4, 1, gps)
        + struct.pack("<I", small),
        exif: struct.pack("<H", 1) + entry(0x927C, 7, 40, note) + bytes(4),
        gps: struct.pack("<H", 2)
        + entry(1, 2, 2, int.from_bytes(b"N\0", "little"))
        + entry(2, 5, 3, gps + 30)
        + bytes(4)
        + LATITUDE,
        note: b"NOTE" + struct.pack("<I", note) + b"x" * 32,
        small: struct.pack("<H", 2)
        + entry(0x0201, 4, 1, small + 30)
        + entry(0x0202, 4, 1, len(picture))
        + bytes(4)
        + picture,
    }
    for offset, content in parts.items():
        blob[len(blob) :] = bytes(offset - len(blob)) + content
    return bytes(blob)


def tags(exif: bytes) -> Image.Exif:
    parsed = Image.Exif()
    parsed.load(exif)
    return parsed


# --- EXIF ---------------------------------------------------------------------------------------


def test_what_the_camera_wrote_is_what_pillow_reads() -> None:
    """The sample above is real EXIF: its thumbnail and its position are found by Pillow."""
    with Image.open(io.BytesIO(encoded(photograph(), exif=camera_exif()))) as picture:
        exif = picture.getexif()
        assert exif.get_ifd(0x8825)[1] == "N"
        assert exif.get_ifd(0x8825)[2] == (51, 28, 40)
        assert exif.get_ifd(0x8769)[0x927C].startswith(b"NOTE")
        (small,) = picture.get_child_images()
        assert small.size == (32, 24)


def test_thumbnails_are_wiped_and_the_rest_stays_where_it_is() -> None:
    source = camera_exif()
    kept = load(encoded(photograph(), exif=source)).exif
    assert kept is not None
    assert thumbnail()[20:80] in source
    assert thumbnail()[20:80] not in kept
    assert len(kept) <= 400, "the thumbnail was the end"
    start = 8 + 2 + 12  # the entry of the orientation; the link stands after four of them
    assert kept[:start] == source[:start]
    assert kept[start + 8 : start + 12] == struct.pack("<I", 1)
    assert kept[start + 12 : 58] == source[start + 12 : 58]
    assert kept[58:62] == bytes(4)
    assert kept[62:260] == source[62:260], "maker note and position, with their offsets"
    assert not tags(kept).get_ifd(0x0201)
    assert tags(kept)[0x0112] == 1


def test_a_thumbnail_in_the_middle_is_zeroed() -> None:
    source = camera_exif() + b"more of the maker's notes"
    kept = load(encoded(photograph(), exif=source)).exif
    assert kept is not None
    assert len(kept) == len(source)
    assert kept.endswith(b"more of the maker's notes")
    assert not any(kept[400 : -len(b"more of the maker's notes")])


def test_the_position_goes_when_asked_and_nothing_else() -> None:
    source = camera_exif()
    data = encoded(photograph(), exif=source)
    assert LATITUDE in (load(data).exif or b"")
    kept = load(data, strip_gps=True).exif
    assert kept is not None
    assert LATITUDE not in kept
    found = tags(kept)
    assert not found.get_ifd(0x8825)
    assert 0x8825 not in found
    assert found[0x010F] == "Cam"
    assert found.get_ifd(0x8769)[0x927C] == source[220:260]
    assert not any(kept[150:204])


def test_exif_of_a_position_alone_goes_altogether() -> None:
    exif = Image.Exif()
    exif[0x8825] = {1: "N"}
    data = encoded(photograph(), exif=exif)
    assert load(data).exif is not None
    assert load(data, strip_gps=True).exif is None


@pytest.mark.parametrize("format", ["TIFF", "PNG", "WEBP", "JPEG"])
def test_the_position_goes_from_every_format(format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Cam"
    exif[0x8825] = {29: "2026:01:02"}
    data = encoded(photograph(), format, exif=tags(exif.tobytes()))
    kept = load(data).exif
    assert kept is not None
    assert tags(kept).get_ifd(0x8825)[29] == "2026:01:02"
    kept = load(data, strip_gps=True).exif
    assert kept is not None
    assert b"2026" not in kept
    assert tags(kept)[0x010F] == "Cam"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_exif_costs_at_most_itself(data: st.DataObject) -> None:
    exif = bytearray(camera_exif())
    for _ in range(data.draw(st.integers(1, 8))):
        exif[data.draw(st.integers(4, len(exif) - 1))] = data.draw(st.integers(0, 255))
    image = photograph()
    image.info["exif"] = bytes(exif[: data.draw(st.integers(8, len(exif)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = load(image, strip_gps=True)
        assert picture.exif is None or not tags(picture.exif).get_ifd(0x8825)


def test_a_forged_directory_takes_no_time() -> None:
    """65,535 entries, each of which claims the whole of a megabyte."""
    size = 2**20
    entries = struct.pack("<HHII", 0x9999, 7, size, 0) * 65535
    body = struct.pack("<H", 65535) + entries + struct.pack("<I", 8)
    image = photograph()
    image.info["exif"] = b"II*\0" + struct.pack("<I", 8) + body.ljust(size, b"x")
    assert load(image, strip_gps=True).width == 64


# --- XMP ----------------------------------------------------------------------------------------

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/"'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description tiff:Orientation = "6"'
    b' exif:GPSLatitude="51,28.6N" xmp:Rating="5">'
    b"<exif:GPSLongitude>0,0.5W</exif:GPSLongitude><exif:GPSVersionID/>"
    b'<xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:image="/9j/4AAQ"/></rdf:Alt></xmp:Thumbnails>'
    b"<dc:title>Greenwich</dc:title></rdf:Description></x:xmpmeta>"
)


def test_xmp_loses_its_thumbnails_and_its_position_when_asked() -> None:
    data = encoded(photograph(), xmp=XMP)
    kept = load(data).xmp
    assert kept is not None
    assert b"Thumbnails" not in kept
    assert b"4AAQ" not in kept
    assert b"51,28.6N" in kept
    picture = load(data, strip_gps=True)
    assert picture.xmp is not None
    assert b"GPS" not in picture.xmp
    for part in (
        b'xmp:Rating="5"',
        b"<dc:title>Greenwich</dc:title></rdf:Description></x:xmpmeta>",
    ):
        assert part in picture.xmp
    assert picture.notes == ("free text that is kept was not searched for places: XMP dc:title",)


def test_xmp_in_another_encoding_is_dropped_rather_than_trusted() -> None:
    image = photograph()
    image.info["xmp"] = XMP.decode().encode("utf-16-le")
    picture = load(image, strip_gps=True)
    assert picture.xmp is None
    assert picture.notes == ("XMP with a position that cannot be taken out dropped",)


# --- ICC ----------------------------------------------------------------------------------------


def swapped() -> bytes:
    """LittleCMS's sRGB with its red and green exchanged: who applies it cannot be overlooked."""
    profile = samples.srgb().replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    return (
        profile.replace(b"rXYZ", b"\0tmp", 1)
        .replace(b"gXYZ", b"rXYZ", 1)
        .replace(b"\0tmp", b"gXYZ", 1)
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_profile_stays_with_its_pixels(mode: str) -> None:
    image = photograph().convert(mode)
    picture = load(encoded(image, "PNG", icc_profile=swapped()))
    grey = signalling.grey_profile(swapped())
    assert picture.icc == (grey if mode in ("L", "LA") else swapped())
    assert (picture.mode, picture.notes) == (mode, ())
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_without_its_profile_the_colours_are_brought_to_srgb(mode: str) -> None:
    image = photograph().convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    picture = load(encoded(image, "PNG", icc_profile=swapped()), keep=("exif", "xmp"))
    assert picture.icc is None
    assert picture.notes == ("colours converted to sRGB, for the ICC profile is left out",)
    exchanged = np.asarray(image.convert("RGB"))[..., [1, 0, 2]].astype(int)
    # The chromaticities are swapped, the adaptation to white is not quite: a few levels remain.
    assert np.abs(picture.rgb - exchanged).mean() < 4
    if mode == "RGBA":
        assert (picture.alpha == 77).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "LA"])
def test_srgb_needs_no_conversion_and_grey_stays_grey(mode: str) -> None:
    image = photograph().convert(mode)
    picture = load(encoded(image, "PNG", icc_profile=samples.srgb()), keep=())
    assert (picture.icc, picture.notes, picture.mode) == (None, (), mode)
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_profile_is_srgb_by_what_it_does_and_not_by_its_name(mode: str) -> None:
    """GIMP's profile of linear colours is called so."""
    linear = signalling._profile(
        "GIMP built-in Linear sRGB",
        signalling._SRGB_PRIMARIES,
        signalling.Parametric(1.0),
        grey=mode == "L",
    )
    grey = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    stored = Image.fromarray(grey).convert(mode)
    picture = load(encoded(stored, "PNG", icc_profile=linear), keep=())
    assert picture.notes == ("colours converted to sRGB, for the ICC profile is left out",)
    light = grey / 255
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(picture.rgb[..., 1] - 255 * srgb).max() < 2
    unnamed = signalling._profile(
        "x", signalling._SRGB_PRIMARIES, signalling.SRGB_CURVE, grey=False
    )
    assert load(encoded(photograph(), "PNG", icc_profile=unnamed), keep=()).notes == ()


def test_a_profile_that_cannot_be_applied_is_noted() -> None:
    broken = samples.srgb()[:200].ljust(400, b"\0")
    picture = load(encoded(photograph(), "PNG", icc_profile=broken), keep=())
    assert picture.notes == (
        "left without its ICC profile, which cannot be used; colours may differ",
    )


# --- Choosing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_resolution_in_exif_alone_is_one(format: str) -> None:
    tags = Image.Exif()
    tags[0x011A], tags[0x011B], tags[0x0128] = 300.0, 200.0, 2
    data = encoded(photograph(), format, exif=tags)
    assert load(data, keep=("resolution",)).resolution == (300, 200)
    assert load(data, keep=("icc",)).resolution is None
    assert load(data).resolution is None, "EXIF states it"


@pytest.mark.parametrize("keep", [(), ("exif",), ("icc", "xmp"), ("exif", "icc", "xmp")])
def test_only_what_is_asked_for_stays(keep: tuple[str, ...]) -> None:
    data = encoded(photograph(), exif=camera_exif(), icc_profile=samples.srgb(), xmp=XMP)
    picture = load(data, keep=keep)
    for kind in ("exif", "icc", "xmp"):
        assert (getattr(picture, kind) is not None) == (kind in keep), kind
    assert (picture.width, picture.height) == (48, 64), "turned, also without EXIF"


def test_the_command_line_knows_all_kinds() -> None:
    """`files` names them itself, since it must not import Pillow."""
    assert conversion.Encoding().keep == metadata.KINDS


def test_a_kind_that_does_not_exist_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="no such kind of metadata: maker"):
        load(photograph(), keep=("maker",))


def test_strict_makes_notes_errors() -> None:
    first = photograph()
    data = encoded(first, "TIFF", save_all=True, append_images=[first])
    assert load(data).notes == ("several frames or pages: only the first is kept",)
    with pytest.raises(InputError, match="refused by strict: several frames"):
        load(data, strict=True)
    assert load(encoded(first, "TIFF"), strict=True).notes == ()


# --- Real files through the codec ---------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_of_every_orientation_comes_back_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(photograph(), quality=90, exif=camera_exif(orientation)))
    with Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored).convert("RGB")
    back = aecodec.decompress(aecodec.compress(path))
    assert back.size == upright.size == ((64, 48) if orientation < 5 else (48, 64))
    assert samples.psnr(back, upright) > 28
    assert back.getexif().get(0x0112) == 1
    assert back.getexif()[0x010F] == "Cam"


def test_metadata_goes_all_the_way_through() -> None:
    data = encoded(photograph(), exif=camera_exif(1), icc_profile=swapped(), xmp=b"<x:xmpmeta/>")
    picture = load(data)
    back = aecodec.decompress(aecodec.compress(data))
    assert back.info["exif"] == b"Exif\0\0" + (picture.exif or b"")
    assert back.info["icc_profile"] == swapped()
    assert back.info["xmp"] == b"<x:xmpmeta/>"


def test_a_progressive_jpeg_is_as_good_as_any() -> None:
    plain = encoded(photograph(), quality=90)
    progressive = encoded(photograph(), quality=90, progressive=True)
    assert plain != progressive
    np.testing.assert_array_equal(load(plain).rgb, load(progressive).rgb)
    for length in (len(progressive) // 2, len(progressive) * 9 // 10):
        with pytest.raises(InputError, match="truncated"):
            load(progressive[:length])


def test_an_adobe_cmyk_jpeg_is_not_inverted() -> None:
    data = encoded(photograph().convert("CMYK"), quality=95)
    assert b"Adobe" in data[:400]
    picture = load(data)
    assert picture.notes == ("CMYK without a profile converted to RGB, colours may differ",)
    assert samples.psnr(Image.fromarray(picture.rgb), photograph()) > 25


def test_exif_without_a_directory_is_noted() -> None:
    exif = bytearray(carriers.exif())
    exif[10:14] = b"\x7f" * 4  # the offset of the first directory
    picture = load(carriers.encoded("JPEG", exif=bytes(exif)))
    assert (picture.exif, picture.notes) == (None, ("EXIF that cannot be read is dropped",))
    empty = load(carriers.encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + bytes(6)))
    assert (empty.exif, empty.notes) == (None, ())


def test_exif_that_holds_a_thumbnail_alone_loses_nothing() -> None:
    """Photo editors write it: an empty first directory, and a second one with a small copy."""
    small = encoded(photograph().resize((16, 12)))
    first = bytes(2) + (14).to_bytes(4, "big")
    second = b"\0\x02" + b"".join(
        tag.to_bytes(2, "big") + b"\0\x04\0\0\0\x01" + value.to_bytes(4, "big")
        for tag, value in ((0x201, 44), (0x202, len(small)))
    )
    tiff = b"MM\0*\0\0\0\x08" + first + second + bytes(4) + small
    assert tiff[44:] == small
    picture = load(carriers.encoded("JPEG", exif=b"Exif\0\0" + tiff))
    assert (picture.exif, picture.notes) == (None, ())
    beyond = load(carriers.encoded("JPEG", exif=b"Exif\0\0" + tiff + b"more"))
    assert beyond.notes == ("EXIF that cannot be read is dropped",)
