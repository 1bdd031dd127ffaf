"""Gain maps and the videos of motion photos: through .aec, and back into a JPEG byte for byte."""

from __future__ import annotations

import io
import re
from functools import cache

import carriers
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec import bitstream
from aecodec.image import xmp
from aecodec.image.load import load
from aecodec.image.parts import account_for
from aecodec.image.parts.account import GAIN_MAP, VIDEO
from aecodec.image.parts.jpeg_behind import GainMap
from aecodec.image.save import save

WITH_MAPS = (
    "hdrgm",
    "hdrgm, little-endian",
    "iso gain map",
    "marked gain map",
    "gain map and video",
    "gain map, samsung",
    "gain map, lying",
    "thumbnail and gain map",
)
VIDEOS = {
    "motion photo": carriers.MP4,
    "micro video": carriers.MP4,
    "video, no xmp": carriers.MP4,
    "samsung": carriers.SAMSUNG,
    "gain map and video": carriers.MP4,
    "gain map, samsung": carriers.SAMSUNG,
}


@cache
def compressed(what: str) -> bytes:
    return aecodec.compress(load(carriers.jpegs()[what]))


def written(image: Image.Image, format: str = "JPEG") -> tuple[bytes, tuple[str, ...]]:
    buffer = io.BytesIO()
    notes = save(image, buffer, format)
    return buffer.getvalue(), notes


def listed(jpeg: bytes) -> list[tuple[int, int]]:
    """Where MPF says that each picture begins, and its size: read by Pillow."""
    with Image.open(io.BytesIO(jpeg)) as image:
        found = image._getmp()  # type: ignore[attr-defined]
        header = jpeg.index(b"MPF\0") + 4
        entries = found[0xB002]
        return [
            (entry["DataOffset"] + (header if entry["DataOffset"] else 0), entry["Size"])
            for entry in entries
        ]


@pytest.mark.parametrize("what", WITH_MAPS)
def test_a_gain_map_comes_back_byte_for_byte(what: str) -> None:
    expected = carriers.GAIN_MAP
    if what == "marked gain map":
        expected = carriers.with_segments(expected, carriers.segment(0xE2, carriers.ISO + bytes(8)))
    container = bitstream.parse(compressed(what))
    assert container.gain_map is not None
    assert container.gain_map.data == expected
    jpeg, notes = written(aecodec.decompress(compressed(what)))
    assert notes == ()
    (_, size), (at, length) = listed(jpeg)
    assert jpeg[at : at + length] == expected
    assert at == size  # the primary ends where the gain map begins
    # What was read once is read again.
    again = account_for(jpeg, "JPEG")
    (found,) = [a for a in again.attachments if a.kind == GAIN_MAP]
    assert found.data == expected
    assert not list(again.notes)


@pytest.mark.parametrize("what", VIDEOS)
def test_a_video_comes_back_byte_for_byte(what: str) -> None:
    container = bitstream.parse(compressed(what))
    assert container.video is not None
    assert container.video.data.lstrip(b"\0") == VIDEOS[what].lstrip(b"\0")
    jpeg, notes = written(aecodec.decompress(compressed(what)))
    assert notes == ()
    assert jpeg.endswith(VIDEOS[what])
    with Image.open(io.BytesIO(jpeg)) as image:
        image.load()
        assert image.size == (carriers.WIDTH, carriers.HEIGHT)
    (found,) = [a for a in account_for(jpeg, "JPEG").attachments if a.kind == VIDEO]
    assert found.data == container.video.data


def test_the_items_of_the_directory_are_where_they_are_said_to_be() -> None:
    """A reader of GContainer counts from the end of the file."""
    jpeg, _ = written(aecodec.decompress(compressed("gain map and video")))
    with Image.open(io.BytesIO(jpeg)) as image:
        packet = image.info["xmp"]
    found = re.findall(rb'Item:Semantic="(\w+)" Item:Length="(\d+)"', packet)
    assert [name for name, _ in found] == [b"Primary", b"GainMap", b"MotionPhoto"]
    lengths = [int(length) for _, length in found]
    assert lengths == [0, len(carriers.GAIN_MAP), len(carriers.MP4)]
    assert jpeg[-lengths[2] :] == carriers.MP4
    assert jpeg[-lengths[2] - lengths[1] : -lengths[2]] == carriers.GAIN_MAP
    assert b"GCamera:MotionPhoto=" in packet


def test_a_wrong_offset_becomes_right() -> None:
    claims = 'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="5"'
    source = carriers.with_segments(
        carriers.jpegs()["plain"], carriers.segment(0xE1, carriers.XMP + carriers.packet(claims))
    )
    jpeg, _ = written(aecodec.decompress(aecodec.compress(load(source + carriers.MP4))))
    assert b'MicroVideoOffset="%d"' % len(carriers.MP4) in jpeg


def test_iso_signalling_comes_back() -> None:
    jpeg, _ = written(aecodec.decompress(compressed("iso gain map")))
    assert carriers.segment(0xE2, carriers.ISO + bytes(4)) in jpeg
    container = bitstream.parse(compressed("iso gain map"))
    assert container.gain_map is not None
    detail = GainMap.unpack(container.gain_map.detail)
    assert detail == GainMap(1, True, (0x20030000, 0x50000), carriers.ISO + bytes(4))


def test_a_gain_map_of_a_picture_that_lay_on_its_side() -> None:
    """It lies as the pixels did, so they are laid back, and EXIF says so again."""
    jpeg, notes = written(aecodec.decompress(compressed("gain map, lying")))
    assert notes == ()
    with Image.open(io.BytesIO(jpeg)) as image:
        tags = image.getexif()
        assert image.size == (carriers.WIDTH, carriers.HEIGHT)
        assert tags[274] == 6
        inner = tags.get_ifd(0x8769)
        assert (inner[40962], inner[40963]) == image.size
        assert samples.psnr(image, carriers.IMAGE) > 25
    upright = aecodec.decompress(compressed("gain map, lying"))
    assert upright.size == (carriers.HEIGHT, carriers.WIDTH)
    assert upright.getexif()[274] == 1


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_orientation_is_undone(orientation: int) -> None:
    source = carriers.several(
        carriers.with_segments(
            carriers.encoded("JPEG", exif=carriers.exif(orientation), quality=95),
            carriers.segment(0xE1, carriers.XMP + carriers.packet('hdrgm:Version="1.0"')),
        ),
        carriers.GAIN_MAP,
    )
    picture = load(source)
    assert picture.notes == ()
    from aecodec.image.picture import to_pil

    upright = to_pil(picture.rgb, picture.mode, picture.alpha, **picture.metadata)
    jpeg, notes = written(upright)
    assert notes == ()
    again = load(jpeg)
    assert np.abs(again.rgb.astype(int) - picture.rgb).mean() < 3
    with Image.open(io.BytesIO(jpeg)) as image:
        assert samples.psnr(image.convert("RGB"), carriers.IMAGE) > 30


def test_a_gain_map_that_cannot_be_turned_is_lost() -> None:
    lying = carriers.jpegs()["gain map, lying"]
    picture = load(lying, keep=("icc", "xmp", "gainmap"))
    assert picture.gain_map is None
    assert picture.notes == ("gain map, which is not turned with the picture",)
    assert b"hdrgm:Version" not in (picture.xmp or b"")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_other_formats_have_no_place_and_claim_nothing(format: str) -> None:
    decoded = aecodec.decompress(compressed("gain map and video"))
    data, notes = written(decoded, format)
    assert f"{format} is written without the gain map" in notes
    assert f"{format} is written without the video (motion photo)" in notes
    packet = load(data).xmp or b""
    assert b"MotionPhoto" not in packet
    assert b"GainMap" not in packet


@pytest.mark.parametrize("part", [{"region": (0, 0, 32, 16)}, {"preview": 2}], ids=str)
def test_a_part_of_the_picture_has_neither(part: dict[str, object]) -> None:
    decoded = aecodec.decompress(compressed("gain map and video"), **part)  # type: ignore[arg-type]
    assert "gain_map" not in decoded.info
    assert "video" not in decoded.info
    packet = decoded.info["xmp"]
    assert xmp.semantics(packet) == []
    assert b"MotionPhoto" not in packet


def test_what_is_not_to_be_kept_is_not_claimed() -> None:
    source = carriers.jpegs()["gain map and video"]
    for keep, semantics in ((("xmp", "video"), ["MotionPhoto"]), (("xmp", "gainmap"), ["GainMap"])):
        picture = load(source, keep=keep)
        assert picture.notes == ()  # nobody has lost what he did not want
        assert xmp.semantics(picture.xmp or b"") == ["Primary", *semantics]
    assert xmp.semantics(load(source, keep=("xmp",)).xmp or b"") == []


def test_a_video_may_hold_a_position() -> None:
    picture = load(carriers.jpegs()["gain map and video"], strip_gps=True)
    assert picture.video is None
    assert picture.gain_map is not None
    assert picture.notes == ("video behind the picture (motion photo), which may hold a position",)
    located = carriers.encoded("JPEG", carriers.GREY.resize((16, 12)), exif=carriers.exif())
    hdrgm = carriers.with_segments(
        carriers.jpegs()["plain"],
        carriers.segment(0xE1, carriers.XMP + carriers.packet('hdrgm:Version="1.0"')),
    )
    picture = load(carriers.several(hdrgm, located), strip_gps=True)
    assert picture.gain_map is None
    assert picture.notes == ("gain map, which may hold a position",)


def test_a_position_in_extended_xmp_goes_as_well() -> None:
    inner = (
        '<exif:GPSLatitude xmlns:exif="http://ns.adobe.com/exif/1.0/">51,1N</exif:GPSLatitude>'
        f"<dc:description>{'A' * 70_000}</dc:description>"
    )
    source = carriers.with_segments(carriers.jpegs()["plain"], *carriers.extended(inner))
    assert b"GPSLatitude" in (load(source).xmp or b"")
    packet = load(source, strip_gps=True).xmp
    assert packet is not None
    assert b"GPSLatitude" not in packet
    assert b"A" * 70_000 in packet


def test_large_xmp_goes_back_into_a_jpeg() -> None:
    picture = load(carriers.jpegs()["extended xmp"])
    decoded = aecodec.decompress(aecodec.compress(picture))
    jpeg, notes = written(decoded)
    assert notes == ()
    assert b"xmpNote:HasExtendedXMP" in jpeg
    again = load(jpeg)
    assert again.notes == ()
    assert b"A" * 70_000 in (again.xmp or b"")


def test_an_image_of_the_api_carries_none_that_is_not_its_own(tmp_path: object) -> None:
    """Its pixels may have been changed."""
    decoded = aecodec.decompress(compressed("gain map and video"))
    assert bitstream.parse(aecodec.compress(decoded)).gain_map is None


def test_the_plugin_carries_them() -> None:
    import aecodec.pillow_plugin

    with Image.open(io.BytesIO(compressed("gain map and video"))) as image:
        buffer = io.BytesIO()
        image.save(buffer, aecodec.pillow_plugin.FORMAT)
    container = bitstream.parse(buffer.getvalue())
    assert container.gain_map is not None
    assert container.video is not None
    assert container.gain_map.data == carriers.GAIN_MAP
    assert b"GainMap" in (container.xmp or b"")
