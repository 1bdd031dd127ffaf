"""PSD, icons, TGA, SGI, PCX, QOI, DDS, Sun, XBM: what becomes of each of their parts."""

from __future__ import annotations

import io
import struct

import carriers
import numpy as np
import pytest
from other_carriers import sources
from PIL import Image, PngImagePlugin

from aecodec.image import signalling
from aecodec.image.load import load
from aecodec.image.parts import FORMATS, account_for, walker_for
from aecodec.image.parts.account import Account, Fate

Y, X = np.mgrid[0:24, 0:32]
RGB = np.stack([X * 7, Y * 10, 255 - X - Y], -1).astype(np.uint8)
IMAGE = Image.fromarray(RGB)


def saved(format: str, image: Image.Image = IMAGE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def notes(data: bytes, format: str) -> list[str]:
    return list(account_for(data, format).notes)


BEHIND = "data behind the picture"
CUT = "the file is damaged: the end of the file is missing"


# --- PSD ----------------------------------------------------------------------------------------


def resource(number: int, content: bytes) -> bytes:
    padded = content + bytes(len(content) % 2)
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + padded


def psd(
    resources: bytes = b"",
    layers: bytes = b"",
    mode: int = 3,
    colours: bytes = b"",
    channels: int = 3,
) -> bytes:
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", channels, 24, 32, 8, mode)
    sections = b"".join(
        struct.pack(">I", len(part)) + part for part in (colours, resources, layers)
    )
    return head + sections + b"\0\0" + np.moveaxis(RGB, 2, 0)[:channels].tobytes()


def test_psd_resources() -> None:
    exif = Image.Exif()
    exif[315] = "somebody"
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    profile = signalling.from_code_points(9, 1, said_by="").icc
    assert profile is not None
    iptc = b"\x1c\x02\x19\x00\x07keyword"
    packet = b"<x:xmpmeta/>"
    resolution = struct.pack(">IHHIHH", 300 << 16, 1, 1, 300 << 16, 1, 1)
    content = resource(1005, resolution) + resource(1028, iptc) + resource(1060, packet)
    content += resource(1058, raw) + resource(1059, raw) + resource(1039, profile)
    got = load(psd(content + resource(1036, bytes(40))))
    assert got.notes == ()
    assert (got.exif, got.icc, got.iptc, got.xmp) == (raw, profile, iptc, packet)
    assert account_for(psd(content), "PSD").resolution == (300, 300)
    assert notes(psd(resource(1060, packet) + resource(1060, b"<x/>")), "PSD") == [
        "second XMP packet"
    ]
    assert notes(psd(resource(1058, raw) + resource(1058, raw + b"\0")), "PSD") == ["second EXIF"]
    assert notes(psd(resource(2000, bytes(26))), "PSD") == ["Photoshop path"]
    assert notes(psd(resource(4567, b"plug-in")), "PSD") == ["Photoshop resource 4567"]


def test_psd_layers_and_channels() -> None:
    def block(key: bytes, content: bytes) -> bytes:
        return b"8BIM" + key + struct.pack(">I", len(content)) + content

    one = struct.pack(">I", 2) + b"\0\1" + bytes(4)
    assert notes(psd(layers=one), "PSD") == ["layers"]
    assert notes(psd(layers=bytes(8)), "PSD") == []
    for key, expected in {
        b"Lr16": ["layers"],
        b"Patt": ["patterns of layers"],
        b"lnk2": ["embedded files"],
        b"Anno": ["annotations"],
        b"cinf": [],
        b"zzzz": ["Photoshop data zzzz"],
        b"\n\0\1\2": ["Photoshop data 0x0a000102"],
    }.items():
        assert notes(psd(layers=bytes(8) + block(key, bytes(8))), "PSD") == expected
    assert notes(psd(mode=8, colours=bytes(532), channels=1), "PSD") == ["inks of a duotone"]
    assert notes(psd(mode=1, channels=3), "PSD") == ["further channels"]
    assert notes(psd() + b"PK\3\4", "PSD") == [BEHIND]
    assert notes(psd()[:-1], "PSD") == [CUT]
    assert notes(b"8BPS", "PSD") == [CUT]


# --- Icons --------------------------------------------------------------------------------------


def ico(
    *pictures: bytes, kind: int = 1, spot: tuple[int, int] = (0, 0), behind: bytes = b""
) -> bytes:
    out = struct.pack("<HHH", 0, kind, len(pictures))
    place = 6 + 16 * len(pictures)
    for content in pictures:
        out += struct.pack("<BBBBHHII", 32, 24, 0, 0, *spot, len(content), place)
        place += len(content)
    return out + b"".join(pictures) + behind


def test_icons() -> None:
    plain = saved("PNG")
    assert notes(ico(plain), "ICO") == []
    assert notes(ico(plain, plain), "ICO") == ["further sizes of the icon"]
    assert notes(ico(plain, behind=b"PK"), "ICO") == [BEHIND]
    assert load(ico(carriers.pngs()["sixteen bits"])).notes == ("16 bits a channel reduced to 8",)
    assert notes(ico(plain)[:-1], "ICO") == [CUT]
    assert notes(ico(plain, kind=2, spot=(3, 4)), "CUR") == ["hot spot of the cursor"]
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    inside = ["metadata of the picture in the icon"]
    assert notes(ico(saved("PNG", pnginfo=info)), "ICO") == inside
    assert notes(ico(saved("PNG", dpi=(300, 300))), "ICO") == inside
    block = struct.pack(">4sI", b"ic07", 8 + len(plain)) + plain
    icns = b"icns" + struct.pack(">I", 8 + len(block)) + block
    assert notes(icns, "ICNS") == []
    other = struct.pack(">4sI", b"name", 12) + b"text"
    whole = b"icns" + struct.pack(">I", 8 + 2 * len(block) + 12) + block + other + block
    assert notes(whole, "ICNS") == ["block name of the icon", "further sizes of the icon"]


# --- TGA ----------------------------------------------------------------------------------------


def extended(data: bytes, **fields: object) -> bytes:
    """A TGA with an extension area."""
    area = bytearray(495)
    struct.pack_into("<H", area, 0, 495)
    places = {"author": (2, 41), "comment": (43, 324), "job": (379, 41), "software": (426, 41)}
    for name, value in fields.items():
        if name in places:
            at, _ = places[name]
            area[at : at + len(str(value))] = str(value).encode()
        else:
            at = {
                "date": 367,
                "time": 420,
                "key": 470,
                "aspect": 474,
                "gamma": 478,
                "table": 482,
                "stamp": 486,
            }[name]
            raw = bytes(value)  # type: ignore[call-overload]
            area[at : at + len(raw)] = raw
    end = len(data) - 26
    return data[:end] + bytes(area) + struct.pack("<II", end, 0) + data[-18:]


def test_tga() -> None:
    for rle in ({}, {"compression": "tga_rle"}):
        data = saved("TGA", **rle)
        assert load(data).notes == ()
        assert notes(data + b"PK\3\4", "TGA") == [BEHIND]
        assert notes(data[:60], "TGA") == [CUT]
    assert [t.text for t in load(saved("TGA", id_section=b"a name")).texts] == ["a name"]
    data = saved("TGA")
    said = extended(
        data,
        author="A. Nobody",
        comment="a text",
        software="x",
        date=struct.pack("<6H", 2, 3, 1999, 4, 5, 6),
    )
    got = load(said)
    assert got.notes == ()
    assert {(t.keyword, t.text) for t in got.texts} == {
        ("Author", "A. Nobody"),
        ("Comment", "a text"),
        ("Software", "x"),
        ("Creation Time", "1999-02-03 04:05:06"),
    }
    for fields, expected in (
        ({"key": b"\1\2\3\4"}, "key colour"),
        ({"time": b"\1\0"}, "time spent on the picture"),
        ({"aspect": struct.pack("<HH", 4, 3)}, "pixels that are not square"),
        ({"gamma": struct.pack("<HH", 18, 10)}, "gamma of the colours"),
        ({"table": struct.pack("<I", 99)}, "colour correction table"),
    ):
        assert notes(extended(data, **fields), "TGA") == [expected]
    developer = data[:-26] + bytes(9) + struct.pack("<II", 0, len(data) - 26) + data[-18:]
    assert notes(developer, "TGA") == ["developer area (TGA)"]
    alpha = bytearray(saved("TGA", IMAGE.convert("RGBA")))
    assert notes(bytes(alpha), "TGA") == []
    alpha[17] &= 0xF0  # no bit of it is said to be transparency
    assert notes(bytes(alpha), "TGA") == ["a further channel, taken for transparency"]


@pytest.mark.parametrize("rle", [False, True])
def test_the_sixteenth_bit_of_a_tga_hides_no_colour(rle: bool) -> None:
    """Pillow takes it for transparency; programs disagree on which way, if at all."""
    values = np.tile(np.arange(16, dtype="<u2") * 0x421, (4, 1))  # greys of five bits
    values[1] |= 0x8000
    rows = b"".join(bytes([0x0F]) * rle + row.tobytes() for row in values)
    head = struct.pack("<3B5s4H2B", 0, 0, 10 if rle else 2, bytes(5), 0, 0, 16, 4, 16, 0x20)
    got = load(head + rows)
    assert (got.mode, got.notes) == ("RGB", ("attribute bits of the pixels (TGA)",))
    assert got.rgb[:, 15, 1].tolist() == [123] * 4
    same = load(head + b"".join(bytes([0x0F]) * rle + values[1].tobytes() for _ in range(4)))
    assert (same.mode, same.notes) == ("RGB", ())


# --- Bits that no colour takes --------------------------------------------------------------------


def bitmap(pixels: np.ndarray, compression: int = 0, masks: tuple[int, ...] = ()) -> bytes:
    """A BMP of 16 or 32 bits a pixel, with a header of version 4 where there are masks."""
    height, width = pixels.shape
    bits, size = 8 * pixels.itemsize, 108 if masks else 40
    head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    if masks:
        head += struct.pack("<4I", *masks) + b"BGRs" + bytes(48)
    body = head + pixels[::-1].tobytes()
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + size) + body


def test_a_channel_that_no_mask_covers_is_lost() -> None:
    grey = np.arange(64, dtype="<u4").reshape(4, 16) * 0x10101
    hidden = grey | np.arange(64, dtype="<u4").reshape(4, 16) << 24
    assert load(bitmap(grey)).notes == load(bitmap(grey | np.uint32(0xFF000000))).notes == ()
    assert load(bitmap(hidden)).notes == ("further channels",)
    told = load(bitmap(hidden, 3, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    assert (told.mode, told.notes) == ("RGBA", ())
    short = grey.astype("<u2")
    five = (0x7C00, 0x3E0, 0x1F, 0x8000)
    assert load(bitmap(short & 0x7FFF, 3, five)).notes == ()
    assert load(bitmap(short ^ (short & 1) << 15, 3, five)).notes == ("transparency",)
    forged = (0x7C00, 0x3E0, 0x1F, 0xFFFF8000)
    assert notes(bitmap(short ^ (short & 1) << 15, 3, forged), "BMP") == ["transparency"]
    six = (0xF800, 0x7E0, 0x1F, 0)
    assert load(bitmap(short, 3, six)).notes == (), "five, six and five bits are no 16 a channel"
    dds = bytearray(saved("DDS", IMAGE.convert("RGBA")))
    assert notes(bytes(dds), "DDS") == []
    dds[80:84], dds[104:108] = struct.pack("<I", 0x40), bytes(4)  # no mask for transparency
    assert notes(bytes(dds), "DDS") == []
    dds[131] = 7
    assert notes(bytes(dds), "DDS") == ["further channels"]


# --- The others ---------------------------------------------------------------------------------


def test_sgi() -> None:
    data = saved("SGI")
    assert notes(data, "SGI") == []
    named = data[:24] + b"a title".ljust(80, b"\0") + data[104:]
    assert [(t.keyword, t.text) for t in load(named).texts] == [("Title", "a title")]
    deep = saved("SGI", bpc=2)
    assert load(deep).notes == ("16 bits a channel reduced to 8",)
    np.testing.assert_array_equal(load(deep).rgb, RGB)
    assert notes(data + b"PK", "SGI") == [BEHIND]
    assert notes(data[:-1], "SGI") == [CUT]
    rows = [
        bytes([0x80 | 32, *row, 0])
        for plane in np.moveaxis(RGB[::-1], 2, 0)
        for row in plane.tolist()
    ]
    starts = np.cumsum([512 + 8 * len(rows), *map(len, rows)])[:-1]
    table = struct.pack(f">{2 * len(rows)}I", *starts.tolist(), *map(len, rows))
    rle = data[:2] + b"\1" + data[3:512] + table + b"".join(rows)
    assert load(rle).notes == ()
    np.testing.assert_array_equal(load(rle).rgb, RGB)
    assert notes(rle + b"PK", "SGI") == [BEHIND]
    assert notes(rle[:-3], "SGI") == [CUT]


def test_pcx() -> None:
    for mode in ("RGB", "L", "P", "1"):
        data = saved("PCX", IMAGE.convert(mode))
        data = data[:12] + struct.pack("<HH", 300, 200) + data[16:]
        account = account_for(data, "PCX")
        assert list(account.notes) == []
        assert account.resolution == (300, 200)
        assert notes(data[:200], "PCX") == [CUT]
    assert notes(saved("PCX") + b"PK\3\4", "PCX") == [BEHIND]


def test_qoi() -> None:
    data = saved("QOI")
    assert load(data).notes == () and load(data).icc is None
    for space in b"\0\1":  # the second says linear: Pillow writes it always
        assert load(data[:13] + bytes([space]) + data[14:]).icc is None
    assert notes(data + b"PK\3\4", "QOI") == [BEHIND]
    assert notes(data[:13] + b"\7" + data[14:], "QOI") == ["colours of an unknown kind (QOI)"]


def test_dds() -> None:
    for options in (
        {},
        {"pixel_format": "DXT1"},
        {"pixel_format": "BC3"},
        {"pixel_format": "DXT5"},
    ):
        data = saved("DDS", IMAGE.convert("RGBA"), **options)
        assert notes(data, "DDS") == []
        assert notes(data + b"PK", "DDS") == [BEHIND]
        assert notes(data[:-1], "DDS") == [CUT]
    data = bytearray(saved("DDS"))
    struct.pack_into("<I", data, 112, 0xFE00)
    assert notes(bytes(data) + bytes(9999), "DDS") == ["faces of a cube map"]
    data = bytearray(saved("DDS"))
    struct.pack_into("<I", data, 8, 0x21007)
    struct.pack_into("<I", data, 28, 4)
    assert notes(bytes(data) + bytes(999), "DDS") == ["reduced-resolution images (mipmaps)"]
    deep = bytearray(saved("DDS", IMAGE.convert("RGBA")))
    struct.pack_into("<3I", deep, 92, 0x3FF, 0xFFC00, 0x3FF00000)
    assert notes(bytes(deep), "DDS") == ["10 bits a channel reduced to 8"]


def test_sun() -> None:
    (data,) = sources()["SUN"]
    np.testing.assert_array_equal(load(data).rgb, RGB[..., ::-1])
    assert load(data).notes == ()
    assert notes(data + b"PK", "SUN") == [BEHIND]
    assert notes(data[:-1], "SUN") == [CUT]
    for kind, colours in ((1, RGB[..., ::-1]), (3, RGB)):  # the fourth byte stands before them
        for fourth, expected in ((0, ()), (RGB[..., :1], ("further channels",))):
            pixels = np.concatenate([np.zeros_like(RGB[..., :1]) + fourth, colours], axis=2)
            head = struct.pack(">8I", 0x59A66A95, 32, 24, 32, pixels.size, kind, 0, 0)
            got = load(head + pixels.tobytes())
            np.testing.assert_array_equal(got.rgb, RGB)
            assert got.notes == expected


def test_the_ink_of_an_xbm_is_black() -> None:
    """As X11, Netpbm and ImageMagick have it; Pillow has it white."""
    got = load(b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\n0x0f };\n")
    assert got.rgb[0, :, 0].tolist() == [0] * 4 + [255] * 4


def test_xbm() -> None:
    data = saved("XBM", IMAGE.convert("1"))
    assert notes(data, "XBM") == []
    assert notes(saved("XBM", IMAGE.convert("1"), hotspot=(3, 4)), "XBM") == [
        "hot spot of the cursor"
    ]
    assert notes(b"/* by hand */\n" + data, "XBM") == ["comments"]
    assert notes(data + b"\nint main;", "XBM") == ["text behind the picture"]
    assert notes(data + b"\n/* by hand */", "XBM")[-1] == "comments"
    assert notes(data + data, "XBM") == ["text behind the picture"]


def test_what_has_no_walker_is_lost() -> None:
    picture = load(saved("MSP", IMAGE.convert("1")))
    assert any("MSP" in note for note in picture.notes)


@pytest.mark.parametrize("module", sorted(set(FORMATS.values())))
def test_every_walker_has_a_table_in_words(module: str) -> None:
    name = next(name for name, found in FORMATS.items() if found == module)
    walker = walker_for(name)
    assert walker is not None
    assert len({part.name for part in walker.PARTS}) == len(walker.PARTS)
    for part in walker.PARTS:
        assert part.name and part.text, part
    assert {part.fate for part in walker.PARTS} == set(Fate)


def test_what_is_found_stands_in_the_tables() -> None:
    """A part that a walker reports is one of its table, but for names that the file gives."""
    for name, files in sources().items():
        if FORMATS[name] not in ("tga", "sgi", "pcx", "qoi", "sun", "dds", "fits"):
            continue
        walker = walker_for(name)
        assert walker is not None
        for data in files:
            account: Account = account_for(data, name)
            assert {part.name for part in account.parts} <= {part.name for part in walker.PARTS}
