"""`--strip-gps`: what states a position or a place goes, the rest stays, and free text is named."""

from __future__ import annotations

import struct
import time

import carriers
import pytest
from PIL import Image

from aecodec.image import metadata, places, xmp
from aecodec.image.load import load
from aecodec.image.parts import Text

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{name}"'
    for prefix, name in {
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "core": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
        "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
        "dji": "http://www.dji.com/drone-dji/1.0/",
        "mine": "http://example.org/",
    }.items()
)


def _jpeg(*segments: bytes) -> bytes:
    return carriers.with_segments(carriers.jpegs()["plain"], *segments)


def _record(number: int, value: bytes, *, long: bool = False) -> bytes:
    size = struct.pack(">HI", 0x8004, len(value)) if long else struct.pack(">H", len(value))
    return bytes([0x1C, 2, number]) + size + value


def _stripped(*segments: bytes) -> tuple[bytes, tuple[str, ...]]:
    """All metadata of a JPEG after `strip_gps`, one behind the other, and the notes."""
    source = _jpeg(*segments)
    before = load(source)
    assert b"Dortmund" in _all(before)
    picture = load(source, strip_gps=True)
    return _all(picture), picture.notes


def _all(picture: object) -> bytes:
    texts = "".join(f"{t.keyword}{t.text}" for t in picture.texts)  # type: ignore[attr-defined]
    kinds = ("exif", "xmp", "iptc")
    return b"".join(getattr(picture, kind) or b"" for kind in kinds) + texts.encode()


def test_places_go_from_xmp_by_their_names_and_namespaces() -> None:
    attributes = f'{NAMESPACES} photoshop:City="Dortmund" mine:City="kept1" geo:lat="51.5"'
    inner = (
        "<photoshop:State>Dortmund</photoshop:State><photoshop:Country>Dortmund</photoshop:Country>"
        "<core:Location>Dortmund</core:Location><core:CountryCode>51.5</core:CountryCode>"
        "<ext:LocationShown><rdf:Bag><rdf:li ext:City='Dortmund'/></rdf:Bag></ext:LocationShown>"
        "<ext:LocationCreated><rdf:Seq><rdf:li rdf:parseType='Resource'><ext:City>Dortmund"
        "</ext:City></rdf:li></rdf:Seq></ext:LocationCreated>"
        "<dji:GpsLongtitude>51.5</dji:GpsLongtitude><dji:AbsoluteAltitude>51.5</dji:AbsoluteAltitude>"
        "<core:CreatorContactInfo core:CiAdrCity='kept2'/>"
        "<photoshop:Credit>kept3</photoshop:Credit>"
    )
    segment = carriers.segment(0xE1, carriers.XMP + carriers.packet(attributes, inner))
    kept, notes = _stripped(segment)
    assert b"Dortmund" not in kept
    assert b"51.5" not in kept
    assert all(b"kept%d" % number in kept for number in (1, 2, 3))
    assert notes == ()
    xmp.semantics(kept)


def test_places_go_from_iptc_by_their_numbers() -> None:
    gone = [_record(number, b"Dortmund") for number in (26, 27, 90, 92, 95, 100, 101)]
    kept = [_record(80, b"By-line"), _record(110, b"Credit", long=True)]
    records = kept[0] + b"".join(gone) + _record(90, b"Dortmund", long=True) + kept[1]
    found, notes = _stripped(carriers.photoshop(carriers.resource(0x0404, records)))
    assert found == b"".join(kept)
    assert notes == ()
    image = Image.new("RGB", (8, 8))
    image.info["iptc"] = gone[0] + bytes(3)
    assert load(image, strip_gps=True).iptc is None
    for damaged in (gone[0] + b"\x1c\x02", gone[0][:-1], gone[0] + b"x" + gone[1]):
        image.info["iptc"] = damaged
        picture = load(image, strip_gps=True)
        assert picture.iptc is None
        assert picture.notes == ("IPTC that cannot be read, and may hold a place",)


@pytest.mark.parametrize(
    "text",
    [
        "51.5N 7E",
        "51°30'27\"N, 7°24'0\"E",
        "51 deg 30' 27.00\" N, 7 deg 24' W",
        "N 51.5077 E 7.4",
        "+51.5077+007.4000+104.5CRSWGS_84/",
        "geo:51.5077,7.4;u=10",
        "51.5077, 7.4000",
        "-33.8568 151.2153",
    ],
)
def test_a_text_in_the_form_of_coordinates_goes(text: str) -> None:
    for comment, notes in (
        (text, ()),
        (f"Park, {text}, morning", ("text 'comment', which holds a position",)),
    ):
        picture = load(_jpeg(carriers.segment(0xFE, comment.encode())), strip_gps=True)
        assert picture.texts == ()
        assert picture.notes == notes


@pytest.mark.parametrize(
    "text",
    [
        "Version 1.5, 2.25",
        "0.3127 0.329",
        "12 E and 13 N",
        "3.14159",
        "EF24-70mm f/2.8L II USM",
        "2026-11-30T08:00:00+01:00/",
        "192.168.1.1, 10.0.0.1",
    ],
)
def test_other_texts_stay_and_are_named(text: str) -> None:
    picture = load(_jpeg(carriers.segment(0xFE, text.encode())), strip_gps=True)
    assert picture.texts == (Text("", text),)
    assert picture.notes == (f"{places.UNREAD}: a comment",)


def test_a_keyword_says_that_a_text_is_a_place() -> None:
    texts = [
        ("City", "Dortmund"),
        ("exif:GPSLatitude", "1"),
        ("Sublocation", "x"),
        ("Latitude", "2"),
    ]
    kept = [Text("Software", "GIMP"), Text("Title", "Simplicity")]
    notes: list[str] = []
    left = places.texts_without_places((*(Text(*t) for t in texts), *kept), notes)
    assert left == tuple(kept)
    assert notes == []
    assert places.unread(None, None, None, left) == [f"{places.UNREAD}: text 'Title'"]


def test_what_is_nested_in_exif_goes_with_a_note() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    exif[700] = carriers.packet(f'{NAMESPACES} photoshop:City="Dortmund"')
    exif[33723] = _record(90, b"Dortmund")
    exif[33922] = (0.0, 0.0, 0.0, 7.4, 51.5, 0.0)  # GeoTIFF's tie point
    exif[270] = "Description"
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 27.0)}
    kept, notes = _stripped(carriers.segment(0xE1, exif.tobytes()))
    assert b"Dortmund" not in kept
    after = Image.Exif()
    after.load(kept)
    assert set(after) == {270, 271}
    assert struct.pack("<d", 51.5) not in kept
    assert struct.pack(">d", 51.5) not in kept
    assert set(notes) == {
        "XMP inside EXIF, which may hold a position",
        "IPTC inside EXIF, which may hold a position",
        f"{places.UNREAD}: EXIF ImageDescription",
    }


def test_free_text_is_named_only_where_there_is_some() -> None:
    exif = Image.Exif()
    exif[270] = "   "
    exif.get_ifd(0x8769)[37510] = b"ASCII\0\0\0" + bytes(20)
    blank = carriers.segment(0xE1, exif.tobytes())
    title = carriers.packet("", "<dc:title><rdf:Alt><rdf:li> </rdf:li></rdf:Alt></dc:title>")
    empty = carriers.segment(0xE1, carriers.XMP + title)
    assert load(_jpeg(blank, empty), strip_gps=True).notes == ()
    exif.get_ifd(0x8769)[37510] = b"ASCII\0\0\0a park"
    full = carriers.segment(0xE1, exif.tobytes())
    named = carriers.segment(0xE1, carriers.XMP + title.replace(b"> <", b">a park<"))
    source = _jpeg(full, named)
    expected = (f"{places.UNREAD}: EXIF UserComment, XMP dc:title",)
    assert load(source, strip_gps=True).notes == expected
    assert load(source).notes == ()
    assert load(source, strip_gps=True, keep=("icc",)).notes == ()


def test_hostile_metadata_takes_no_minutes() -> None:
    start = time.process_time()
    many = (
        struct.pack("<HHII", 0x8825, 4, 1, 8) * 8000 + struct.pack("<HHII", 270, 2, 2**20, 8) * 8000
    )
    body = (struct.pack("<H", 16000) + many + bytes(4)).ljust(2**20, b" ")
    image = Image.new("RGB", (8, 8))
    image.info["exif"] = b"II*\0" + struct.pack("<I", 8) + body
    image.info["iptc"] = _record(25, b"") * 100_000
    image.info["comment"] = b"1.5N 7 51.5077 +51.5" * 10_000
    nested = b"<dc:title>" * 10_000 + b"</dc:title>" * 10_000
    image.info["xmp"] = carriers.packet("", nested.decode())
    load(image, strip_gps=True)
    assert time.process_time() - start < 5


def test_a_directory_loses_entries_wherever_they_stand() -> None:
    """Byte by byte: those behind move up, and the link of the directory with them."""

    def entry(tag: int) -> bytes:
        return struct.pack("<HHII", tag, 4, 1, 7)

    tags = (33550, 271, 34853, 272, 34853)
    body = b"".join(map(entry, tags))
    tiff = metadata._Tiff(b"II*\0\x08\0\0\0" + struct.pack("<H", 5) + body + b"LINK" + b"after")
    tiff._remove(8, (33550, 34853))
    expected = struct.pack("<H", 2) + entry(271) + entry(272) + b"LINK" + bytes(36) + b"after"
    assert bytes(tiff._bytes[8:]) == expected
