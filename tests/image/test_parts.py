"""Every part of a source file is kept, harmless or lost, and what is lost is said."""

from __future__ import annotations

import importlib
import io
import re
import struct
import zlib

import carriers
import numpy as np
import pytest

from aecodec.errors import InputError
from aecodec.image import parts
from aecodec.image.load import load
from aecodec.image.parts import account, account_for, photoshop
from aecodec.image.parts.account import DAMAGED, FRAMES, Fate, Part
from aecodec.image.picture import Picture

PALETTE = "palette converted to RGB"
BIT = "1-bit black and white stored as greyscale"
TAIL = "unknown data behind the picture"

LOST: dict[tuple[str, str], tuple[str, ...]] = {
    ("JPEG", "aspect"): ("pixels that are not square",),
    ("JPEG", "path"): ("Photoshop path",),
    ("JPEG", "clipping path"): ("clipping path",),
    ("JPEG", "guides"): ("Photoshop guides",),
    ("JPEG", "broken resources"): ("Photoshop resources that cannot be read",),
    ("JPEG", "c2pa"): ("content credentials",),
    ("JPEG", "jpeg xt"): ("JPEG extension data (APP11)",),
    ("JPEG", "flir"): ("thermal data (FLIR)",),
    ("JPEG", "flashpix"): ("FlashPix data",),
    ("JPEG", "kodak"): ("camera settings (Kodak's Meta)",),
    ("JPEG", "ducky comment"): ("comment (APP12)",),
    ("JPEG", "picture info"): ("camera settings (APP12)",),
    ("JPEG", "unknown app"): ("unknown segment APP7",),
    ("JPEG", "icc incomplete"): ("ICC profile",),
    ("JPEG", "two xmp"): ("second XMP packet",),
    ("JPEG", "two exif"): ("second EXIF",),
    ("JPEG", "exif of another mark"): ("unknown segment APP1",),
    ("JPEG", "extended xmp, a piece missing"): ("extended XMP",),
    ("JPEG", "zip"): ("archive (ZIP) behind the picture",),
    ("JPEG", "tail"): (TAIL,),
    ("JPEG", "second jpeg"): ("second picture behind the picture",),
    ("JPEG", "stereo"): (FRAMES,),
    ("PNG", "two exif"): ("second EXIF",),
    ("PNG", "exif and raw exif"): ("second EXIF",),
    ("PNG", "xmp and raw xmp"): ("second XMP packet",),
    ("PNG", "two xmp"): ("second XMP packet",),
    ("PNG", "icc and raw icc"): ("second ICC profile",),
    ("PNG", "two icc"): ("second ICC profile",),
    ("PNG", "broken icc"): ("ICC profile that cannot be read",),
    ("PNG", "two iptc"): ("second IPTC block",),
    ("PNG", "bad time"): ("a time that cannot be read",),
    ("PNG", "aspect"): ("pixels that are not square",),
    ("PNG", "raw other"): ("ImageMagick's raw profile app12",),
    ("PNG", "cicp pq"): ("HDR colour (cICP, PQ)",),
    ("PNG", "mastering"): ("HDR mastering data",),
    ("PNG", "c2pa"): ("content credentials",),
    ("PNG", "private"): ("unknown chunk prVt",),
    ("PNG", "offset"): ("position on a page (oFFs)",),
    ("PNG", "animation"): (FRAMES,),
    ("PNG", "sixteen bits"): ("16 bits a channel reduced to 8",),
    ("PNG", "zip"): ("archive (ZIP) behind the picture",),
    ("WEBP", "c2pa"): ("content credentials",),
    ("WEBP", "unknown"): ("unknown chunk zzzz",),
    ("WEBP", "second exif"): ("second chunk EXIF",),
    ("WEBP", "not announced"): ("EXIF that is not announced", "XMP that is not announced"),
    ("WEBP", "animation"): (FRAMES,),
    ("WEBP", "tail"): (TAIL,),
    ("GIF", "two xmp"): ("second XMP packet", PALETTE),
    ("GIF", "two icc"): ("second ICC profile", PALETTE),
    ("GIF", "plain text"): ("text drawn over the picture", PALETTE),
    ("GIF", "application"): ("data of MYAPPL  1.0", PALETTE),
    ("GIF", "unknown"): ("unknown extension 119", PALETTE),
    ("GIF", "animation"): (FRAMES, PALETTE),
    ("GIF", "aspect"): ("pixels that are not square", PALETTE),
    ("GIF", "tail"): (TAIL, PALETTE),
    ("BMP", "palette"): (PALETTE,),
    ("BMP", "bit"): (BIT,),
    ("BMP", "gap"): ("unknown data before the pixels",),
    ("BMP", "reserved"): ("unknown data in the header",),
    ("BMP", "tail"): (TAIL,),
    ("PPM", "16 bits"): ("16 bits a channel reduced to 8",),
    ("PPM", "12 bits grey"): ("12 bits a channel reduced to 8",),
    ("PPM", "two images"): (FRAMES,),
    ("PPM", "bitmap"): (BIT,),
    ("PPM", "ascii, comment"): ("comments between the samples",),
    ("PPM", "ascii, two"): (TAIL,),
    ("PPM", "ascii bitmap"): (BIT,),
    ("PPM", "pfm"): ("floating-point values 0 to 1 reduced to 8 bits",),
    ("PPM", "pfm, scale"): (
        "scale of the values",
        "floating-point values 0 to 1 reduced to 8 bits",
    ),
    ("PPM", "tail"): (TAIL,),
}
"""What is said of each carrier; of all others nothing (of a GIF its palette)."""
REFUSED = {("PNG", "raw broken"), ("PNG", "wrong checksum"), ("BMP", "ten bits")}
"""What Pillow does not read."""
CASES = [(name, what) for name, make in carriers.FORMATS.items() for what in make()]


def loaded(name: str, what: str) -> Picture:
    return load(carriers.FORMATS[name]()[what])


@pytest.mark.parametrize(("name", "what"), CASES, ids=lambda value: value)
def test_what_is_lost_is_said_and_nothing_else(name: str, what: str) -> None:
    if (name, what) in REFUSED:
        with pytest.raises(InputError):
            loaded(name, what)
        return
    plain = (PALETTE,) if name == "GIF" else ()
    assert loaded(name, what).notes == LOST.get((name, what), plain)


@pytest.mark.parametrize("name", carriers.FORMATS)
def test_every_part_stands_in_the_table(name: str) -> None:
    """Or is a variant, with a name or a number, of one that does."""
    walker = parts.walker_for(name)
    assert walker is not None
    known = {*walker.PARTS, *photoshop.PARTS}
    variants = {part.text for part in known}
    patterns = [re.sub(r"\b(NAME|N|APPn|PQ|16|10)\b", ".*", re.escape(text)) for text in variants]
    for what, data in carriers.FORMATS[name]().items():
        for part in account_for(data, name).parts:
            described = any(re.fullmatch(pattern, part.text) for pattern in patterns)
            assert part in known or (part.fate is Fate.LOST and described), (what, part)


def test_the_tables_cover_formats_and_parts() -> None:
    modules = {
        module: importlib.import_module(f"aecodec.image.parts.{module}")
        for module in parts.FORMATS.values()
    }
    assert len(parts.FORMATS) >= 8
    for module, walker in modules.items():
        assert callable(walker.walk)
        assert {part.fate for part in walker.PARTS} == set(Fate), module
        for part in walker.PARTS:
            assert part.name
            assert part.text, part
    assert sum(len(set(walker.PARTS)) for walker in modules.values()) >= 90


def test_a_format_without_a_walker_is_lost_as_a_whole() -> None:
    assert list(account_for(b"", "XYZ").notes) == ["what else a XYZ file may hold"]
    bare = carriers.encoded("IM")
    assert load(bare).notes == ("what else a IM file may hold",)


def test_what_is_kept_is_there() -> None:
    resources = loaded("JPEG", "resources")
    assert resources.resolution == (150.0, 150.0)
    assert resources.iptc == carriers.IPTC
    assert resources.texts == (account.Text("URL", "https://example.org"),)
    assert loaded("JPEG", "dpi").resolution == (300.0, 240.0)
    assert loaded("JPEG", "dots a centimetre").resolution == pytest.approx((299.72, 299.72))
    comments = [text.text for text in loaded("JPEG", "comments").texts]
    assert [text.encode("utf-8", "surrogateescape") for text in comments] == [b"box 12", b"caf\xe9"]
    assert loaded("PNG", "texts").texts == (
        account.Text("parameters", "a tree, Steps: 20"),
        account.Text("Description", "long " * 50),
        account.Text("Titel", "Überschrift", "de", "Titel"),
    )
    assert loaded("PNG", "time").texts == (account.Text("tIME", "2001-02-03T04:05:06Z"),)
    assert loaded("PNG", "raw iptc").iptc == carriers.IPTC
    assert b"dc:source" in (loaded("PNG", "raw xmp").xmp or b"")
    assert loaded("PNG", "dpi").resolution == pytest.approx((300, 240), rel=1e-4)
    assert loaded("GIF", "comment").texts == (account.Text("", "a comment of two blocks"),)
    assert b'dc:source="gif"' in (loaded("GIF", "xmp").xmp or b"")
    assert loaded("BMP", "plain").resolution == pytest.approx((300, 300), rel=1e-4)
    assert loaded("PPM", "comment").texts[0] == account.Text("", "made by hand")
    assert (loaded("PNG", "cicp p3").icc or b"")[36:40] == b"acsp"


def test_of_what_is_stored_twice_the_first_is_kept() -> None:
    exif = loaded("JPEG", "exif").exif
    assert exif is not None
    for name, what in (
        ("JPEG", "two exif"),
        ("JPEG", "exif, continued"),
        ("PNG", "two exif"),
        ("PNG", "exif with a prefix"),
        ("PNG", "raw exif"),
        ("PNG", "raw app1"),
        ("PNG", "exif and raw exif"),
    ):
        assert loaded(name, what).exif == exif, (name, what)
    for what in ("xmp and raw xmp", "two xmp"):
        assert b'dc:source="a"' in (loaded("PNG", what).xmp or b"")
    for what in ("icc and raw icc", "two icc"):
        assert loaded("PNG", what).icc == carriers.profile()
    assert loaded("PNG", "two iptc").iptc == carriers.IPTC
    assert b'dc:source="gif"' in (loaded("GIF", "two xmp").xmp or b"")
    assert loaded("GIF", "two icc").icc == carriers.profile()


def test_an_arithmetic_jpeg_is_whole() -> None:
    """Its decoder reads otherwise than that of Huffman's codes: damage is not looked for."""
    from PIL import Image

    with Image.open(io.BytesIO(carriers.ARITHMETIC)) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(loaded("JPEG", "arithmetic").rgb[..., 0], expected)


def test_one_colour_of_16_bits_is_transparent() -> None:
    """By all bits of it: the upper bytes of other colours are the same."""
    values = np.full((2, 3, 3), 0x1234, np.uint16)
    values[0, 1, 2], values[1] = 0x1256, (0x1234, 0x5634, 0x1234)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", struct.pack(">3H", 0x1234, 0x1234, 0x1234))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = carriers.pngs()["plain"][:8] + b"".join(carriers.chunk(*part) for part in parts)
    picture = load(data)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255, 0], [255, 255, 255]]
    assert picture.rgb[1, 0].tolist() == [0x12, 0x56, 0x12]


@pytest.mark.parametrize("grey", [False, True])
def test_around_a_small_gif_is_the_background(grey: bool) -> None:
    """Pillow draws the first colour of the palette there."""
    from PIL import Image

    image = carriers.GREY if grey else carriers.IMAGE.quantize(16)
    whole = carriers.encoded("GIF", image.crop((0, 0, 32, 24)))
    data = bytearray(whole)
    at = data.index(b"\x2c\0\0\0\0\x20\0\x18\0")
    data[6:10], data[11] = struct.pack("<HH", 64, 48), 5
    data[at + 1 : at + 5] = struct.pack("<HH", 8, 4)
    with Image.open(io.BytesIO(whole)) as opened:
        inside = np.asarray(opened.convert("RGB"))
    picture = load(bytes(data))
    np.testing.assert_array_equal(picture.rgb[4:28, 8:40], inside)
    background = list(data[13 + 15 :][:3])
    assert picture.rgb[0, 0].tolist() == picture.rgb[-1, -1].tolist() == background
    assert picture.notes == (() if picture.mode == "L" else (PALETTE,))


def test_extended_xmp_is_joined_and_no_longer_claimed() -> None:
    packet = loaded("JPEG", "extended xmp").xmp
    assert packet is not None
    assert b"A" * 70_000 in packet
    assert b"HasExtendedXMP=" not in packet
    missing = loaded("JPEG", "extended xmp, a piece missing").xmp
    assert missing is not None
    assert b"HasExtendedXMP=" not in missing


def test_resolution_that_exif_states_is_not_kept_twice() -> None:
    from PIL import Image

    tags = Image.Exif()
    tags[282], tags[283], tags[296] = 300.0, 240.0, 2
    picture = load(carriers.encoded("JPEG", dpi=(300, 240), exif=tags.tobytes()))
    assert picture.resolution is None
    assert load(carriers.encoded("JPEG", dpi=(72, 72), exif=tags.tobytes())).resolution == (72, 72)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixel_dimensions_are_those_of_the_picture(orientation: int) -> None:
    from PIL import Image

    picture = load(carriers.encoded("JPEG", exif=carriers.exif(orientation, (4000, 3000))))
    tags = Image.Exif()
    assert picture.exif is not None
    tags.load(picture.exif)
    inner = tags.get_ifd(0x8769)
    assert (inner[40962], inner[40963]) == (picture.width, picture.height)
    assert tags[274] == 1


def test_an_account_of_a_forged_file_stays_short() -> None:
    plain = carriers.pngs()["plain"]
    names = [bytes([97 + i // 676, 97 + i // 26 % 26, 65 + i % 26, 98]) for i in range(2000)]
    data = carriers.with_chunks(plain, *(carriers.chunk(name, b"") for name in names))
    found = account_for(data, "PNG")
    assert len(found.parts) == account.MAX_PARTS + 1
    assert found.parts[-1] == Part(
        "further parts", Fate.LOST, f"more than {account.MAX_PARTS} kinds of parts"
    )


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("JPEG", lambda data: data[:-2], "the end of the picture is missing"),
        ("JPEG", lambda data: data[:-300] + b"\xff\x3a\0\4" + data[-296:], "unexpected data"),
        ("PNG", lambda data: data[:-12], "the end of the file is missing"),
        ("WEBP", lambda data: data[:-20], "the end of the file is missing"),
        ("GIF", lambda data: data[:-1], "the end of the file is missing"),
        ("BMP", lambda data: data[:-8], "the end of the file is missing"),
        ("PPM", lambda data: data[:-8], "the end of the file is missing"),
    ],
)
def test_damage_is_said(name: str, change: object, said: str) -> None:
    data = change(carriers.FORMATS[name]()["plain"])  # type: ignore[operator]
    notes = list(account_for(data, name).notes)
    assert any(note.startswith(DAMAGED) and said in note for note in notes), notes


def test_a_webp_that_ends_with_its_first_header_is_walked() -> None:
    data = carriers.webps()["metadata"][:20]
    assert f"{DAMAGED}: the end of the file is missing" in account_for(data, "WEBP").notes


def test_wrong_restart_markers_are_damage() -> None:
    data = bytearray(carriers.jpegs()["restarts"])
    assert list(account_for(data, "JPEG").notes) == []
    second = data.index(b"\xff\xd1")
    data[second + 1] = 0xD4
    assert f"{DAMAGED}: restart markers are wrong" in account_for(data, "JPEG").notes
    del data[second : second + 2]
    assert f"{DAMAGED}: restart markers are wrong" in account_for(data, "JPEG").notes


def test_a_dark_pgm_of_16_bits_stays_dark() -> None:
    """Pillow gives integers, which say nothing of what is white."""
    values = struct.pack(">4H", 0, 100, 200, 257)
    picture = load(b"P5 2 2 65535\n" + values)
    assert picture.rgb[..., 0].tolist() == [[0, 0], [1, 1]]
