"""Places in a picture that is turned upright: regions in XMP, and resolutions."""

from __future__ import annotations

import io
import struct
import time
from xml.etree import ElementTree

import carriers
import numpy as np
import pytest
import samples
from PIL import Image

import aecodec
from aecodec.image import metadata
from aecodec.image.load import load
from aecodec.image.picture import to_pil
from aecodec.image.regions import turned
from aecodec.image.save import save

WIDTH, HEIGHT = 80, 48
LEFT, TOP, ACROSS, DOWN = 8, 24, 16, 12
"""A red rectangle in the stored pixels, which the regions state, too."""
X, Y, W, H = (LEFT + ACROSS / 2) / WIDTH, (TOP + DOWN / 2) / HEIGHT, ACROSS / WIDTH, DOWN / HEIGHT
NAMESPACES = (
    "xmlns:mwg-rs='http://www.metadataworkinggroup.com/schemas/regions/' "
    "xmlns:stArea='http://ns.adobe.com/xmp/sType/Area#' "
    "xmlns:stDim='http://ns.adobe.com/xap/1.0/sType/Dimensions#' "
    "xmlns:MP='http://ns.microsoft.com/photo/1.2/' "
    "xmlns:MPRI='http://ns.microsoft.com/photo/1.2/t/RegionInfo#' "
    "xmlns:MPReg='http://ns.microsoft.com/photo/1.2/t/Region#' "
    "xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
    "xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'"
)


def regions(size: tuple[int, int] = (WIDTH, HEIGHT), *, as_elements: bool = True) -> str:
    """Regions as ExifTool writes them, or as Adobe's programs do."""
    values = {"x": X, "y": Y, "w": W, "h": H, "unit": "normalized"}
    dimensions = {"w": size[0], "h": size[1], "unit": "pixel"}

    def structure(name: str, prefix: str, content: dict[str, object]) -> str:
        if as_elements:
            inner = "".join(f"<{prefix}:{k}>{v}</{prefix}:{k}>" for k, v in content.items())
            return f"<{name} rdf:parseType='Resource'>{inner}</{name}>"
        return f"<{name} " + " ".join(f"{prefix}:{k}='{v}'" for k, v in content.items()) + "/>"

    area = structure("mwg-rs:Area", "stArea", dict(values))
    return (
        "<mwg-rs:Regions rdf:parseType='Resource'>"
        + structure("mwg-rs:AppliedToDimensions", "stDim", dict(dimensions))
        + "<mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType='Resource'>"
        + f"{area}<mwg-rs:Name>A</mwg-rs:Name></rdf:li></rdf:Bag></mwg-rs:RegionList>"
        + "</mwg-rs:Regions>"
    )


RECTANGLE = (
    "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>"
    f"<rdf:li MPReg:Rectangle='{LEFT / WIDTH}, {TOP / HEIGHT}, {W}, {H}'/>"
    "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
)


def photograph(orientation: int, inner: str = "", **options: object) -> bytes:
    """A PNG with a red rectangle, in an orientation, with the content of an XMP packet."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[TOP : TOP + DOWN, LEFT : LEFT + ACROSS, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = carriers.packet(NAMESPACES, inner)
    png = carriers.encoded("PNG", Image.fromarray(pixels), exif=exif.tobytes(), **options)
    text = carriers.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    return carriers.with_chunks(png, text)


def box(rgb: np.ndarray) -> tuple[float, ...]:
    """Centre and size of the red rectangle, as parts of the picture."""
    rows, columns = (np.flatnonzero(rgb[..., 0].any(axis=axis)) for axis in (1, 0))
    height, width = rgb.shape[:2]
    return (
        (columns[0] + columns[-1] + 1) / 2 / width,
        (rows[0] + rows[-1] + 1) / 2 / height,
        len(columns) / width,
        len(rows) / height,
    )


def stated(packet: bytes | None) -> tuple[float, ...]:
    """Centre and size of the region of a packet, by the standard library's reader."""
    assert packet is not None
    area = "{http://ns.adobe.com/xmp/sType/Area#}"
    found = {}
    for element in ElementTree.fromstring(packet).iter():
        found |= {element.tag: element.text, **element.attrib}
    return tuple(float(found[area + name] or "") for name in "xywh")


@pytest.mark.parametrize("as_elements", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_face_is_where_it_was(orientation: int, as_elements: bool) -> None:
    picture = load(photograph(orientation, regions(as_elements=as_elements)))
    assert picture.notes == ()
    assert stated(picture.xmp) == pytest.approx(box(picture.rgb))
    if orientation == 1:
        assert picture.xmp == carriers.packet(NAMESPACES, regions(as_elements=as_elements))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rectangle_of_microsofts_is_where_it_was(orientation: int) -> None:
    picture = load(photograph(orientation, RECTANGLE))
    assert picture.xmp is not None
    text = picture.xmp.split(b"MPReg:Rectangle='")[1].split(b"'")[0].decode()
    left, top, width, height = map(float, text.split(","))
    assert (left + width / 2, top + height / 2, width, height) == pytest.approx(box(picture.rgb))


def test_regions_that_are_upright_already_stay() -> None:
    """Picasa's: `AppliedToDimensions` has the width and height of the upright picture."""
    picture = load(photograph(6, regions((HEIGHT, WIDTH))))
    assert picture.xmp == carriers.packet(NAMESPACES, regions((HEIGHT, WIDTH)))


def test_what_was_turned_is_turned_back() -> None:
    packet = carriers.packet(NAMESPACES, regions() + RECTANGLE)
    upright, _ = turned(packet, 6, (HEIGHT, WIDTH))
    assert upright != packet
    again = metadata.turned_xmp(upright, 6, (WIDTH, HEIGHT))
    assert stated(again.replace(RECTANGLE.encode(), b"")) == pytest.approx((X, Y, W, H))


def test_regions_that_are_not_turned_are_named() -> None:
    inner = "<Iptc4xmpExt:ImageRegion><rdf:Bag/></Iptc4xmpExt:ImageRegion>"
    (note,) = load(photograph(6, inner)).notes
    assert note == "image regions (IPTC in XMP): not turned with the picture"
    assert load(photograph(1, inner)).notes == ()


@pytest.mark.parametrize("text", ["", "nan", "1e999999999", "1e-9999", "x", "9" * 100, "٣"])
def test_numbers_that_are_none_stay(text: str) -> None:
    packet = carriers.packet(NAMESPACES, regions().replace(f">{X}<", f">{text}<"))
    assert len(turned(packet, 6, (HEIGHT, WIDTH))[0]) < len(packet) + 50


def test_areas_in_areas_take_no_minutes() -> None:
    inner = "<mwg-rs:Area>" * 20_000 + "</mwg-rs:Area>" * 20_000
    start = time.process_time()
    packet = carriers.packet(NAMESPACES, inner)
    assert turned(packet, 6, (HEIGHT, WIDTH)) == (packet, [])
    assert time.process_time() - start < 20


# --- Resolutions --------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_resolution_is_turned_with_the_picture(orientation: int) -> None:
    """A fax has 204 pixels an inch across and 98 down."""
    expected = (204, 98) if orientation < 5 else (98, 204)
    by_file = load(photograph(orientation, dpi=(204, 98)))
    assert by_file.resolution == pytest.approx(expected, rel=1e-3)
    tags = Image.Exif()
    tags[0x0112], tags[0x011A], tags[0x011B], tags[0x0128] = orientation, 204.0, 98.0, 2
    picture = load(carriers.encoded("JPEG", exif=tags.tobytes()))
    assert picture.exif is not None
    assert metadata.resolution_of(picture.exif) == expected
    tiff = load(carriers.encoded("TIFF", exif=tags))
    assert tiff.exif is not None
    assert metadata.resolution_of(tiff.exif) == expected
    inner = "<tiff:XResolution>204/1</tiff:XResolution><tiff:YResolution>98/1</tiff:YResolution>"
    packet = load(photograph(orientation, inner)).xmp
    assert packet is not None
    assert f"<tiff:XResolution>{expected[0]}/1<".encode() in packet


def test_a_picture_that_is_laid_back_has_its_resolution_again() -> None:
    """A JPEG with a gain map is written as it lay."""
    jpeg = bytearray(carriers.jpegs()["gain map, lying"])
    at = jpeg.index(b"JFIF\0") + 7
    jpeg[at : at + 5] = b"\x01\x00\xcc\x00\x62"
    picture = load(bytes(jpeg))
    assert picture.gain_map is not None
    buffer = io.BytesIO()
    save(to_pil(picture.rgb, picture.mode, picture.alpha, **picture.metadata), buffer, "JPEG")
    written = buffer.getvalue()
    at = written.index(b"JFIF\0") + 7
    assert written[at : at + 5] == b"\x01\x00\xcc\x00\x62"


# --- EXIF ---------------------------------------------------------------------------------------


def exif_of(orientation: int, inner: dict[int, tuple[int, ...]], order: str = "<") -> bytes:
    """EXIF with an Exif directory of SHORTs and an Interoperability directory with R03."""
    table = b""
    behind = 8 + 2 + 2 * 12 + 4 + 2 + 12 * (len(inner) + 1) + 4
    content = b""
    for tag, values in sorted(inner.items()):
        packed = struct.pack(order + f"{len(values)}H", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place = struct.pack(order + "I", behind + len(content))
            content += packed
        table += struct.pack(order + "HHI", tag, 3, len(values)) + place
    interop = behind + len(content)
    table += struct.pack(order + "HHII", 40965, 4, 1, interop)
    main = struct.pack(order + "HHHI", 2, 274, 3, 1) + struct.pack(order + "HH", orientation, 0)
    main += struct.pack(order + "HHIII", 34665, 4, 1, 8 + 2 + 2 * 12 + 4, 0)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    rules = struct.pack(order + "HHHI4sI", 1, 1, 2, 4, b"R03\0", 0)
    exif = struct.pack(order + "H", len(inner) + 1) + table + bytes(4)
    return head + main + exif + content + rules


def read(exif: bytes | None) -> tuple[dict[int, object], dict[int, object]]:
    """The Exif and the Interoperability directory, by Pillow."""
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags.get_ifd(34665), tags.get_ifd(40965)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_main_subject_is_where_it_was(orientation: int, order: str) -> None:
    centre = (LEFT + ACROSS // 2, TOP + DOWN // 2)
    exif = exif_of(orientation, {37396: (*centre, ACROSS, DOWN), 41492: centre}, order)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[TOP : TOP + DOWN, LEFT : LEFT + ACROSS, 0] = 255
    png = carriers.encoded("PNG", Image.fromarray(pixels), exif=exif)
    picture = load(png)
    x, y, w, h = box(picture.rgb)
    expected = (x * picture.width, y * picture.height, w * picture.width, h * picture.height)
    found, _ = read(picture.exif)
    assert found[37396] == pytest.approx(expected)
    assert found[41492] == pytest.approx(expected[:2])
    back = metadata.turned_back(picture.exif or b"", orientation, (WIDTH, HEIGHT))
    assert back == exif


def test_a_part_of_a_picture_states_no_places_of_the_whole() -> None:
    exif = exif_of(1, {37396: (10, 10, 5, 5)})
    pixels = Image.new("RGB", (WIDTH, HEIGHT))
    xmp = carriers.packet(NAMESPACES, regions() + RECTANGLE + "<tiff:Make>A</tiff:Make>")
    text = carriers.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    png = carriers.with_chunks(carriers.encoded("PNG", pixels, exif=exif), text)
    data = aecodec.compress(png, lossless=True)
    part = aecodec.decompress(data, region=(8, 8, 20, 20))
    assert 37396 not in read(part.info["exif"])[0]
    assert part.info["xmp"] == carriers.packet(NAMESPACES, "<tiff:Make>A</tiff:Make>")
    whole = aecodec.decompress(data)
    assert read(whole.info["exif"])[0][37396] == (10, 10, 5, 5)
    assert whole.info["xmp"] == xmp


# --- Adobe RGB in EXIF --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_cameras_adobe_rgb_gets_a_profile(mode: str) -> None:
    """Cameras that are set to Adobe RGB say so in EXIF, and embed no profile."""
    image = Image.new("RGB", (16, 16), (40, 180, 60)).convert(mode)
    exif = exif_of(1, {40961: (0xFFFF,)})
    picture = load(carriers.encoded("JPEG", image, exif=b"Exif\0\0" + exif, quality=100))
    assert picture.icc is not None
    assert picture.exif == exif
    assert picture.notes == ()
    with Image.open(
        io.BytesIO(carriers.encoded("JPEG", image, exif=b"Exif\0\0" + exif, quality=100))
    ) as opened:
        assert load(opened).icc == picture.icc
        changed = opened.convert(mode)  # may be of any colours
        changed.paste(0, (0, 0, 4, 4))
        assert load(changed).icc is None
    plain = load(
        carriers.encoded("JPEG", image, exif=b"Exif\0\0" + exif, quality=100), keep=("exif",)
    )
    assert plain.notes == ("colours converted to sRGB, for the ICC profile is left out",)
    space, rules = read(plain.exif)
    assert (space[40961], rules[1]) == (1, "R98")
    if mode == "RGB":  # by the formulas of both standards, which clip red to 0
        linear = (np.asarray(picture.rgb[8, 8]) / 255) ** (563 / 256)
        matrix = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])
        light = (matrix @ linear).clip(0, 1)
        srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        assert np.abs(plain.rgb[8, 8] - 255 * srgb).max() < 3


@pytest.mark.parametrize("space", [1, 0, 3])
def test_other_colours_of_exif_get_none(space: int) -> None:
    exif = exif_of(1, {40961: (space,)})
    assert load(carriers.encoded("JPEG", exif=b"Exif\0\0" + exif)).icc is None
    assert load(carriers.encoded("PNG", exif=exif_of(1, {40961: (0xFFFF,)}))).icc is None
    profiled = carriers.encoded("JPEG", exif=b"Exif\0\0" + exif, icc_profile=samples.srgb())
    assert load(profiled).icc == samples.srgb()
