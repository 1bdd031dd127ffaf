"""AVIF, HEIF and JPEG 2000: what becomes of every box, item and property."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, features

from aecodec.image import signalling
from aecodec.image.load import load
from aecodec.image.parts import account_for
from aecodec.image.parts.account import FRAMES, GAIN_MAP, Account
from aecodec.image.parts.av1 import sequence_colours

imagecodecs = pytest.importorskip("imagecodecs")

Y, X = np.mgrid[0:48, 0:64]
RGB = np.stack([X * 3, Y * 4, 255 - X - Y], -1).astype(np.uint8)
IMAGE = Image.fromarray(RGB)
PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def box(kind: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return struct.pack(">I", 8 + len(whole)) + kind + whole


def full(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def saved(image: Image.Image, format: str = "AVIF", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


avif = pytest.mark.skipif(not features.check("avif"), reason="a Pillow that reads AVIF")


# --- AVIF and HEIF ------------------------------------------------------------------------------


def heif(
    items: Sequence[tuple[bytes, str]],
    references: Sequence[tuple[bytes, int, Sequence[int]]] = (),
    properties: Sequence[bytes] = (),
    associations: Sequence[tuple[int, Sequence[int]]] = (),
    *,
    more: bytes = b"",
    in_meta: bytes = b"",
    wide: bool = False,
) -> bytes:
    """A file of items numbered from 1, of which the first is the primary one."""
    id_form = ">I" if wide else ">H"
    infos = []
    for number, (kind, what) in enumerate(items, 1):
        text = b"\0" + (what.encode() + b"\0" if kind in (b"mime", b"uri ") else b"")
        content = struct.pack(id_form + "H", number, 0) + kind + text
        infos.append(full(b"infe", content, version=3 if wide else 2))
    links = [
        box(kind, struct.pack(id_form + "H", item, len(to)), *(struct.pack(id_form, n) for n in to))
        for kind, item, to in references
    ]
    table = b"".join(
        struct.pack(id_form + "B", item, len(numbers)) + bytes(numbers)
        for item, numbers in associations
    )
    meta = full(
        b"meta",
        full(b"hdlr", bytes(4) + b"pict" + bytes(13)),
        full(b"pitm", struct.pack(id_form, 1), version=int(wide)),
        full(b"iinf", struct.pack(">I" if wide else ">H", len(items)), *infos, version=int(wide)),
        full(b"iref", *links, version=int(wide)),
        box(
            b"iprp",
            box(b"ipco", *properties),
            full(b"ipma", struct.pack(">I", len(associations)), table, version=int(wide)),
        ),
        in_meta,
    )
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta + more + box(b"mdat", bytes(40))


def auxiliary(urn: str) -> bytes:
    return full(b"auxC", urn.encode() + b"\0")


def notes(data: bytes, format: str = "HEIF") -> list[str]:
    return list(account_for(data, format).notes)


HVC = (b"hvc1", "")


@pytest.mark.parametrize("wide", [False, True])
def test_items(wide: bool) -> None:
    assert notes(heif([HVC], wide=wide)) == []
    # A grid of two tiles, with a thumbnail, Exif and XMP.
    items = [(b"grid", ""), HVC, HVC, HVC, (b"Exif", ""), (b"mime", "application/rdf+xml")]
    links = [(b"dimg", 1, [2, 3]), (b"thmb", 4, [1]), (b"cdsc", 5, [1]), (b"cdsc", 6, [1])]
    assert notes(heif(items, links, wide=wide)) == []
    auxiliaries = {
        "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha": [],
        "urn:mpeg:hevc:2015:auxid:1": [],
        "urn:mpeg:hevc:2015:auxid:2": ["depth map"],
        "urn:mpeg:mpegB:cicp:systems:auxiliary:depth": ["depth map"],
        "urn:com:apple:photo:2020:aux:hdrgainmap": [GAIN_MAP],
        "urn:com:apple:photo:2018:aux:portraiteffectsmatte": ["mattes for portrait effects"],
        "urn:com:apple:photo:2019:aux:semantichairmatte": ["mattes for portrait effects"],
        "urn:somebody:else": ["auxiliary picture"],
    }
    for urn, expected in auxiliaries.items():
        data = heif([HVC, HVC], [(b"auxl", 2, [1])], [auxiliary(urn)], [(2, [1])], wide=wide)
        assert notes(data) == expected, urn


def test_items_that_are_lost() -> None:
    cases: dict[str, bytes] = {
        "further pictures": heif([HVC, HVC]),
        GAIN_MAP: heif(
            [HVC, HVC, (b"tmap", "")], [(b"dimg", 3, [1, 2])], in_meta=box(b"grpl", full(b"altr"))
        ),
        "metadata of a further picture": heif(
            [HVC, (b"Exif", ""), (b"Exif", "")], [(b"cdsc", 2, [1]), (b"cdsc", 3, [1])]
        ),
        "data of the kind application/json": heif([HVC, (b"mime", "application/json")]),
        "item of the kind urn:x": heif([HVC, (b"uri ", "urn:x")]),
        "item of the kind abcd": heif([HVC, (b"abcd", "")]),
        "burst of pictures": heif([HVC], in_meta=box(b"grpl", full(b"brst"))),
        "stereo pair": heif([HVC], in_meta=box(b"grpl", full(b"ster"))),
        "video behind the picture (motion photo)": heif([HVC], more=box(b"mpvd", bytes(30))),
        "content credentials": heif(
            [HVC], more=box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), bytes(9))
        ),
        "box of private data 00010203": heif([HVC], more=box(b"uuid", bytes(range(16)))),
        "box abcd": heif([HVC], more=box(b"abcd")),
        "data behind the picture": heif([HVC]) + b"PK\3\4 a zip archive",
        "the file is damaged: the end of the file is missing": heif([HVC])[:-1],
    }
    for note, data in cases.items():
        assert notes(data) == [note], note
    assert notes(heif([HVC]) + bytes(12)) == []
    assert "damaged" in notes(b"\0\0\0\x10ftypheic")[0]


def test_properties_of_the_picture() -> None:
    def with_property(*properties: bytes) -> Account:
        numbers = list(range(1, len(properties) + 1))
        return account_for(heif([HVC], (), properties, [(1, numbers)]), "HEIF")

    for content, expected in {
        full(b"ispe", bytes(8)): [],
        full(b"pixi", b"\3\x08\x08\x08"): [],
        full(b"pixi", b"\3\x0a\x0a\x0a"): ["10 bits a channel reduced to 8"],
        box(b"hvcC", bytes(17) + b"\xfc" + bytes(5)): ["12 bits a channel reduced to 8"],
        box(b"av1C", b"\x81\x04\x40\0"): ["10 bits a channel reduced to 8"],
        box(b"av1C", b"\x81\x04\x60\0"): ["12 bits a channel reduced to 8"],
        box(b"clap", bytes(32)): ["crop (clean aperture)"],
        box(b"pasp", struct.pack(">II", 1, 1)): [],
        box(b"pasp", struct.pack(">II", 4, 3)): ["pixels that are not square"],
        box(b"clli", bytes(4)): ["HDR metadata (light levels, mastering display)"],
        box(b"irot", b"\1"): [],
        box(b"imir", b"\0"): [],
        full(b"crtt", bytes(8)): ["time of creation (HEIF)"],
        box(b"abcd"): ["property abcd"],
        nclx(9, 16): ["HDR colour (nclx, PQ)"],
        nclx(9, 18): ["HDR colour (nclx, HLG)"],
        nclx(1, 13): [],
        nclx(12, 13): [],
        box(b"colr", b"prof", bytes(200)): [],
        box(b"colr", b"what"): ["colours of an unknown kind"],
    }.items():
        assert list(with_property(content).notes) == expected, content
    assert with_property(nclx(12, 13)).icc == signalling.from_code_points(12, 13, said_by="").icc
    assert with_property(nclx(12, 13), box(b"colr", b"prof", bytes(200))).icc is None
    hdr = with_property(nclx(9, 16), box(b"colr", b"prof", bytes(200)))
    assert list(hdr.notes) == ["HDR colour (nclx, PQ)"]
    described = with_property(
        full(b"udes", b"en\0a title\0a text\0a,b\0"), full(b"altt", b"a tree\0en\0")
    )
    assert [(text.keyword, text.text) for text in described.texts] == [
        ("Title", "a title"),
        ("Description", "a text"),
        ("Keywords", "a,b"),
        ("Alternative text", "a tree"),
    ]


def nclx(primaries: int, transfer: int, matrix: int = 6) -> bytes:
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 128))


def test_a_grid_takes_its_depth_and_colours_from_its_tiles() -> None:
    properties = [full(b"pixi", b"\3\x0a\x0a\x0a"), nclx(9, 16), full(b"ispe", bytes(8))]
    items = [(b"grid", ""), HVC, HVC]
    data = heif(items, [(b"dimg", 1, [2, 3])], properties, [(1, [3]), (2, [1, 2]), (3, [1, 2])])
    assert notes(data) == ["10 bits a channel reduced to 8", "HDR colour (nclx, PQ)"]


@avif
def test_real_avif() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    ordinary = {
        "plain": saved(IMAGE),
        "grey": saved(IMAGE.convert("L")),
        "narrow range": saved(IMAGE, range="limited"),
        "metadata": saved(IMAGE, exif=exif, xmp=PACKET),
        "large": saved(IMAGE.resize((1300, 900)), quality=30),
        "imagecodecs": imagecodecs.avif_encode(RGB, level=80),
        "imagecodecs, grey": imagecodecs.avif_encode(RGB[..., 0], level=80),
        "imagecodecs, alpha": imagecodecs.avif_encode(
            np.dstack([RGB, 255 - RGB[..., 0]]), level=80
        ),
    }
    for name, data in ordinary.items():
        assert load(data).notes == (), name
    assert load(ordinary["metadata"]).exif is not None
    assert load(ordinary["metadata"]).xmp == PACKET
    assert load(ordinary["imagecodecs, alpha"]).alpha is not None
    frames = saved(IMAGE, save_all=True, append_images=[IMAGE.rotate(180)])
    assert load(frames).notes == (FRAMES,)
    for bits in (10, 12):
        deep = imagecodecs.avif_encode(RGB.astype(np.uint16) << (bits - 8), bitspersample=bits)
        assert load(deep).notes == (f"{bits} bits a channel reduced to 8",)
    p3 = load(imagecodecs.avif_encode(RGB, level=100, primaries=12, transfer=13, matrix=6))
    assert p3.icc == signalling.from_code_points(12, 13, said_by="").icc and p3.notes == ()
    pq = imagecodecs.avif_encode(RGB, level=100, primaries=9, transfer=16, matrix=9)
    assert load(pq).notes == ("HDR colour (nclx, PQ)",)


@avif
def test_colours_of_the_coded_picture_where_there_is_no_colr() -> None:
    for primaries, transfer in ((9, 16), (12, 13), (1, 1)):
        data = imagecodecs.avif_encode(
            RGB, level=80, primaries=primaries, transfer=transfer, matrix=6
        )
        at = data.index(b"nclx") - 4
        without = data[:at] + b"free" + data[at + 4 :]
        assert account_for(without, "AVIF").icc == account_for(data, "AVIF").icc
        assert notes(without, "AVIF") == notes(data, "AVIF")
    assert sequence_colours(b"") == sequence_colours(b"\x12\0") == (2, 2)


@avif
def test_frames_of_a_sequence_have_colours_of_their_own() -> None:
    frames = saved(IMAGE, save_all=True, append_images=[IMAGE.rotate(180)])
    at = frames.rindex(b"nclx") + 4
    assert at > frames.index(b"moov")
    pq = frames[:at] + struct.pack(">HH", 9, 16) + frames[at + 4 :]
    assert "HDR colour (nclx, PQ)" in notes(pq, "AVIF")


# --- JPEG 2000 ----------------------------------------------------------------------------------


def jp2(**options: object) -> bytes:
    return imagecodecs.jpeg2k_encode(RGB, codecformat="jp2", reversible=True, **options)


def with_header_box(data: bytes, *inner: bytes) -> bytes:
    at = data.index(b"jp2h") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    content = data[at + 8 : at + size] + b"".join(inner)
    return data[:at] + box(b"jp2h", content) + data[at + size :]


def with_colours(data: bytes, content: bytes) -> bytes:
    at = data.index(b"colr") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    header = data.index(b"jp2h") - 4
    (whole,) = struct.unpack(">I", data[header : header + 4])
    new = box(b"colr", content)
    grown = struct.pack(">I", whole + len(new) - size)
    return data[:header] + grown + data[header + 4 : at] + new + data[at + size :]


def test_real_jpeg_2000() -> None:
    ordinary = {
        "jp2": jp2(),
        "j2k": imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", level=50),
        "grey": imagecodecs.jpeg2k_encode(RGB[..., 0], codecformat="jp2"),
        "Pillow": saved(IMAGE, "JPEG2000"),
        "Pillow, alpha": saved(IMAGE.convert("RGBA"), "JPEG2000"),
        "Pillow, grey and alpha": saved(IMAGE.convert("LA"), "JPEG2000"),
        "Pillow, codestream": saved(IMAGE, "JPEG2000", no_jp2=True),
        "Pillow, tiles": saved(IMAGE, "JPEG2000", tile_size=(32, 32)),
        "Pillow, PLT": saved(IMAGE, "JPEG2000", plt=True),
    }
    for name, data in ordinary.items():
        assert load(data).notes == (), name
    alpha = imagecodecs.jpeg2k_encode(np.dstack([RGB, RGB[..., 0]]), codecformat="jp2")
    assert load(alpha).notes == ("a further channel, taken for transparency",)


def uuid(identity: str, content: bytes) -> bytes:
    return box(b"uuid", bytes.fromhex(identity), content)


def test_metadata_of_jpeg_2000() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    iptc = b"\x1c\x02\x19\x00\x07keyword"
    boxes = {
        "exif": box(b"uuid", b"JpgTiffExif->JP2", raw),
        "xmp": uuid("be7acfcb97a942e89c71999491e3afac", PACKET),
        "iptc": uuid("33c7a4d2b81d4723a0baf1a3e097ad38", iptc),
    }
    for name, content in boxes.items():
        got = load(jp2() + content)
        assert got.notes == ()
        assert getattr(got, name) == {"exif": raw, "xmp": PACKET, "iptc": iptc}[name]
        again = load(jp2() + content + content[:-1] + b"T")
        assert getattr(again, name) == getattr(got, name)
        assert [note.split()[:2] for note in again.notes] == [["second", name.upper()]]
    inside = load(jp2() + box(b"xml ", b'<?xml version="1.0"?>' + PACKET))
    assert inside.xmp is not None and inside.notes == ()
    commented = load(saved(IMAGE, "JPEG2000", comment="scanned from box 12"))
    assert [text.text for text in commented.texts] == ["scanned from box 12"]
    assert commented.notes == ()
    res = box(b"res ", box(b"resc", struct.pack(">4H2b", 11811, 1, 5906, 1, 0, 0)))
    assert load(with_header_box(jp2(), res)).resolution == pytest.approx((150.01, 300.0), rel=1e-3)


def test_what_is_lost_of_jpeg_2000() -> None:
    cases = {
        "GeoTIFF tags (GeoJP2)": jp2() + uuid("b14bf8bd083d4b43a5ae8cd7d5a6ce03", b"II*\0"),
        "geographic position (world file)": jp2() + uuid("96a9f1f1dc98402da7aed68e34451809", b"x"),
        "content credentials": jp2() + box(b"jumb", bytes(20)),
        "box of private data 00000000": jp2() + box(b"uuid", bytes(20)),
        "XML metadata": jp2() + box(b"xml ", b"<gml/>"),
        "labelled or linked data (JPX)": jp2() + box(b"asoc", box(b"lbl ", b"gml.data")),
        "intellectual property rights": jp2() + box(b"jp2i", b"x"),
        FRAMES: jp2() + jp2()[jp2().index(b"jp2c") - 4 :],
        "box abcd": jp2() + box(b"abcd"),
        "data behind the picture": jp2() + b"PK\3\4 a zip archive",
        "colours of an unknown kind (colr 20)": with_colours(jp2(), b"\1\0\0\0\0\0\x14"),
        "ICC profile that cannot be read": with_colours(jp2(), b"\2\0\0" + bytes(200)),
        "HDR colour (colr, PQ)": with_colours(
            jp2(), struct.pack(">BBBHHHB", 5, 0, 0, 9, 16, 0, 128)
        ),
    }
    for note, data in cases.items():
        assert load(data).notes == (note,), note
    raw = imagecodecs.jpeg2k_encode(RGB, codecformat="j2k")
    assert notes(raw + b"PK\3\4", "JPEG2000") == ["data behind the picture"]
    for cut in (raw[:-2], raw[:-50], jp2()[:-40]):
        assert any("damaged" in note for note in notes(cut, "JPEG2000"))
    at = raw.index(b"\xff\x52")
    segment = b"\xff\x64" + struct.pack(">HH", 4 + 3, 0) + b"\1\2\3"
    assert "binary comment" in notes(raw[:at] + segment + raw[at:], "JPEG2000")


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_channels_of_jpeg_2000_in_another_order(order: tuple[int, ...]) -> None:
    """Pillow takes them in theirs, whatever cdef says."""
    stored = np.ascontiguousarray(RGB[..., list(order)])
    data = imagecodecs.jpeg2k_encode(stored, codecformat="jp2", reversible=True, level=0)
    said = b"".join(struct.pack(">3H", n, 0, colour + 1) for n, colour in enumerate(order))
    got = load(with_header_box(data, box(b"cdef", struct.pack(">H", 3) + said)))
    np.testing.assert_array_equal(got.rgb, RGB)
    assert got.notes == ()


def test_the_profile_of_jpeg_2000_is_taken() -> None:
    profile = signalling.from_code_points(9, 1, said_by="").icc
    assert profile is not None
    for method in (2, 3):
        got = load(with_colours(jp2(), bytes([method, 0, 0]) + profile))
        assert (got.icc, got.notes) == (profile, ())
    p3 = load(with_colours(jp2(), struct.pack(">BBBHHHB", 5, 0, 0, 12, 13, 0, 128)))
    assert p3.icc == signalling.from_code_points(12, 13, said_by="").icc
    grey = imagecodecs.jpeg2k_encode(RGB[..., 0], codecformat="jp2")
    got = load(with_colours(grey, b"\2\0\0" + profile))
    assert (got.mode, got.icc) == ("L", signalling.grey_profile(profile))
