"""TIFF: what becomes of every tag and directory, and what of it comes back."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tiffs import Ifd, picture, tiff

import aecodec
from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import account_for
from aecodec.image.parts.account import FRAMES, Fate
from aecodec.image.parts.directories import Tiff
from aecodec.image.parts.tiff_exif import KEPT_IN_EXIF
from aecodec.image.save import save

W, H = 12, 8
RGB = np.arange(W * H * 3, dtype=np.uint8).reshape(H, W, 3)
IPTC = b"\x1c\x02\x00\x00\x02\x00\x04\x1c\x02\x19\x00\x07keyword\x1c\x02\x78\x00\x09a caption"


def plain(**options: object) -> Ifd:
    return picture([RGB.tobytes()], W, H, **options)  # type: ignore[arg-type]


def notes(*ifds: Ifd, **options: object) -> tuple[str, ...]:
    return load(tiff(*ifds, **options)).notes  # type: ignore[arg-type]


KINDS = [("<", False), (">", False), ("<", True)]
kinds = pytest.mark.parametrize(("order", "big"), KINDS)


@kinds
def test_an_ordinary_tiff_loses_nothing(order: str, big: bool) -> None:
    got = load(tiff(plain(), order=order, big=big))
    np.testing.assert_array_equal(got.rgb, RGB)
    assert got.notes == ()


LOST = {
    "GeoTIFF tags": {
        33550: (12, [1.0, 1.0, 0.0]),
        33922: (12, [0.0] * 6),
        34735: (3, [1, 1, 0, 0]),
    },
    "GDAL metadata": {42112: (2, "<GDALMetadata/>")},
    "ImageJ metadata": {50838: (4, [12]), 50839: (1, bytes(12))},
    "microscope data": {34412: (1, bytes(40))},
    "private tag 65000": {65000: (7, b"calibration" * 20)},
    "unknown tag 400": {400: (4, [0])},
    "layers (Photoshop)": {
        37724: (7, b"Adobe Photoshop Document Data Block\x008BIMLayr\0\0\0\x04\0\1\0\0")
    },
    "Photoshop data": {37724: (7, b"something else")},
    "Photoshop path": {
        34377: (7, b"8BIM" + struct.pack(">HHI", 2000, 0, 26) + bytes(26)),
    },
    "clipping path": {343: (1, bytes(20))},
    "annotations": {32932: (1, b"Wang" * 5)},
    "slices of a volume": {32997: (4, [5])},
    "content credentials": {52545: (7, b"jumb")},
    "fax transmission details": {34911: (2, "dcs")},
    "transfer function of the colours": {301: (3, [i * 257 for i in range(256)])},
    "reference values of black and white": {532: (5, [15, 235, 15, 235, 15, 235])},
    "absolute luminance (HDR)": {37439: (12, [100.0])},
    "link to a finer picture elsewhere (OPI)": {32781: (2, "id")},
    "tags for the press (TIFF/IT)": {34016: (2, "site")},
}


@kinds
@pytest.mark.parametrize("note", LOST)
def test_lost_tags(note: str, order: str, big: bool) -> None:
    assert notes(plain(tags=LOST[note]), order=order, big=big) == (note,)


def test_strict_refuses_and_says_what() -> None:
    with pytest.raises(InputError, match="private tag 65000"):
        load(tiff(plain(tags={65000: (7, b"x")})), strict=True)


HARMLESS = {
    "empty layers": {37724: (7, b"Adobe Photoshop Document Data Block\0" + b"8BIMPatt\0\0\0\0")},
    "defaults": {532: (5, [0, 255] * 3), 336: (3, [0, 255]), 332: (3, 1)},
    "layout": {
        266: (3, 1),
        280: (3, [0, 0, 0]),
        281: (3, [255] * 3),
        317: (3, 1),
        321: (3, [0, 255]),
    },
    "padding of Windows": {59932: (1, bytes(2060)), 59933: (9, 4)},
    "print image matching": {50341: (7, b"PrintIM\0" + bytes(20))},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_tags(name: str) -> None:
    assert notes(plain(tags=HARMLESS[name])) == ()


@kinds
def test_descriptive_tags_come_back(order: str, big: bool) -> None:
    texts = {
        269: "deed of 1871",
        270: "Überschrift, 東京",
        271: "Maker",
        272: "Model",
        285: "folio 3",
        305: "scanner 2.0",
        306: "1971:02:03 04:05:06",
        315: "Ä. Nobody",
        316: "host",
        337: "printer",
        33432: "a photographer\0an editor",
    }
    tags: dict[int, tuple[int, object]] = {tag: (2, text) for tag, text in texts.items()}
    tags |= {282: (5, [300]), 283: (5, [(6001, 10)]), 296: (3, 2), 286: (5, [3]), 297: (3, [2, 7])}
    tags |= {18246: (3, 4), 40091: (1, "title".encode("utf-16-le"))}
    source = tiff(plain(tags=tags), order=order, big=big)
    got = load(source)
    assert got.notes == ()
    assert account_for(source, "TIFF").resolution == (300, 600.1)
    held = Tiff(memoryview(got.exif or b""))
    directory = held.directory(held.first)
    assert directory is not None and directory.entries.keys() == tags.keys()
    for tag, text in texts.items():
        assert bytes(held.bytes_of(directory.entries[tag])) == text.encode() + b"\0", tag
    # Through the codec, and out to another TIFF.
    restored = aecodec.decompress(aecodec.compress(source, quality=20))
    back = load(restored_tiff(restored))
    again = Tiff(memoryview(back.exif or b""))
    entries = again.directory(again.first)
    assert entries is not None
    for tag in texts.keys() - {33432}:  # Pillow writes a text up to its first zero
        assert bytes(again.bytes_of(entries.entries[tag])) == texts[tag].encode() + b"\0", tag
    assert tags.keys() <= entries.entries.keys()


@kinds
def test_a_tiff_gets_the_directories_of_exif_as_they_are(order: str, big: bool) -> None:
    """Every value with its type, in a compressed file; a move of maker notes is said."""
    camera = Ifd(
        {
            33434: (5, [(1, 250)]),
            36864: (7, b"0232"),
            36867: (2, "2001:02:03 04:05:06"),
            37380: (10, [(-1, 3)]),
            37500: (7, b"MAKER" * 20),
            60000: (8, [-5, 7, 9]),
        },
        subs={40965: [Ifd({1: (2, "R98")})]},
    )
    position = Ifd({1: (2, "N"), 2: (5, [51, 30, (4012, 100)]), 5: (1, [1])})
    source = tiff(plain(subs={34665: [camera], 34853: [position]}), order=order, big=big)
    got = load(source)
    image = aecodec.decompress(aecodec.compress(source))
    written = io.BytesIO()
    assert save(image, written, "TIFF") == (
        "TIFF moves the maker notes, whose inner offsets may be wrong then",
    )
    back = Tiff(memoryview(written.getvalue()))
    assert back.number(back.directory(back.first).entries[259]) == 8  # type: ignore[union-attr]
    with Image.open(written) as again:
        np.testing.assert_array_equal(np.asarray(again), np.asarray(image))
    held = Tiff(memoryview(got.exif or b""))
    for pointer, inner in ((34665, 40965), (34853, None)):
        found, expected = (_inside(tiff, pointer) for tiff in (back, held))
        assert found == expected
        assert inner is None or _inside(back, pointer, inner) == {1: (2, (b"R98\0",))}


def _inside(tiff: Tiff, *pointers: int) -> dict[int, tuple[int, tuple[object, ...]]]:
    """Type and values of the entries of a directory that tags point to."""
    directory = tiff.directory(tiff.first)
    for pointer in pointers:
        assert directory is not None
        directory = tiff.directory(tiff.number(directory.entries[pointer]))
    assert directory is not None
    return {
        entry.tag: (
            entry.type,
            tiff.ratios(entry) if entry.type in (5, 8, 10) else (bytes(tiff.bytes_of(entry)),),
        )
        for entry in directory.entries.values()
        if entry.tag not in (40965,)
    }


def restored_tiff(image: Image.Image) -> bytes:
    out = io.BytesIO()
    save(image, out, "TIFF")
    return out.getvalue()


def test_every_tag_that_exif_keeps_is_written_to_a_tiff() -> None:
    from aecodec.image import metadata

    exif = Image.Exif()
    for tag in KEPT_IN_EXIF:
        numbers = {296: 2, 297: (1, 2), 18246: 4, 18249: 80}
        exif[tag] = 1.5 if tag in (282, 283, 286, 287) else numbers.get(tag, "x")
    kept = Image.Exif()
    kept.load(metadata.descriptive_tags(exif))
    assert set(kept) == set(KEPT_IN_EXIF)


@kinds
def test_exif_gps_and_interoperability_are_copied_as_they_are(order: str, big: bool) -> None:
    interop = Ifd({1: (2, "R03"), 2: (7, b"0100")})
    camera = Ifd(
        {
            33434: (5, [(1, 250)]),
            36864: (7, b"0232"),
            37380: (10, [(-1, 3)]),
            37510: (7, b"ASCII\0\0\0a comment"),
            42036: (2, "50 mm"),
            60000: (9, [-5, 7]),
        },
        subs={40965: [interop]},
    )
    position = Ifd({0: (1, bytes([2, 3, 0, 0])), 1: (2, "N"), 2: (5, [51, 30, (4012, 100)])})
    got = load(tiff(plain(subs={34665: [camera], 34853: [position]}), order=order, big=big))
    assert got.notes == ()
    held = Tiff(memoryview(got.exif or b""))
    main = held.directory(held.first)
    assert main is not None
    inner = held.directory(held.number(main.entries[34665]))
    gps = held.directory(held.number(main.entries[34853]))
    assert inner is not None and gps is not None
    assert inner.entries.keys() == {*camera.tags, 40965}
    assert held.numbers(inner.entries[60000]) == (-5, 7)
    assert held.ratios(inner.entries[37380]) == (-1 / 3,)
    assert held.text(inner.entries[42036]) == "50 mm"
    assert held.ratios(gps.entries[2]) == (51, 30, 40.12)
    inmost = held.directory(held.number(inner.entries[40965]))
    assert inmost is not None and held.text(inmost.entries[1]) == "R03"
    assert load(tiff(plain(subs={34853: [position]})), strip_gps=True).exif is None


def test_maker_notes_are_kept_and_noted() -> None:
    camera = Ifd({37500: (7, b"MAKER" * 40)})
    got = load(tiff(plain(subs={34665: [camera]})))
    assert got.notes == ("maker notes, whose inner offsets do not survive being moved",)
    assert got.exif is not None and b"MAKER" * 40 in got.exif


@kinds
def test_iptc_xmp_icc_and_resolution(order: str, big: bool) -> None:
    padded = IPTC + bytes(-len(IPTC) % 4)
    for tags in (
        {33723: (7, IPTC)},
        {33723: (4, padded)},
        {33723: (4, np.frombuffer(padded, "<u4").astype(">u4").tobytes())},  # swapped
        {
            34377: (
                7,
                b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2),
            )
        },
        {
            33723: (7, IPTC),
            34377: (
                7,
                b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2),
            ),
        },
    ):
        got = load(tiff(plain(tags=tags), order=order, big=big))
        assert (got.iptc, got.notes) == (IPTC, ())
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    for kind in (1, 7):
        got = load(tiff(plain(tags={700: (kind, packet + b"\0")}), order=order, big=big))
        assert (got.xmp, got.notes) == (packet, ())
    tags = {282: (5, [118]), 283: (5, [118]), 296: (3, 3)}
    found = account_for(tiff(plain(tags=tags), order=order, big=big), "TIFF")
    assert found.resolution == pytest.approx((299.72, 299.72))
    unitless = account_for(tiff(plain(tags={**tags, 296: (3, 1)}), order=order, big=big), "TIFF")
    assert unitless.resolution is None


def test_chromaticities_become_a_profile() -> None:
    adobe = [(64, 100), (33, 100), (21, 100), (71, 100), (15, 100), (6, 100)]
    got = load(tiff(plain(tags={318: (5, [(3127, 10000), (329, 1000)]), 319: (5, adobe)})))
    assert got.icc is not None and got.notes == ()
    srgb = [(64, 100), (33, 100), (30, 100), (60, 100), (15, 100), (6, 100)]
    assert load(tiff(plain(tags={319: (5, srgb)}))).icc is None
    assert load(tiff(plain(tags={319: (5, [0] * 6)}))).notes == (
        "colours that cannot be read (TIFF tags)",
    )


def smaller(**tags: object) -> Ifd:
    half = RGB[::2, ::2]
    return picture([half.tobytes()], W // 2, H // 2, tags=tags)  # type: ignore[arg-type]


@kinds
def test_of_repeated_tags_the_first_counts(order: str, big: bool) -> None:
    """TIFF does not allow them. tifffile writes a second description."""
    word = order + "HH"
    for tag, changed, note in (
        (270, 270, ()),
        (315, 315, ("second tag 315",)),
        (65000, 65000, ("second tag 65000", "private tag 65000")),
    ):
        data = tiff(
            plain(tags={tag: (2, "the first text"), tag + 1: (2, "the second text")}),
            order=order,
            big=big,
        )
        assert data.count(struct.pack(word, tag + 1, 2)) == 1
        data = data.replace(struct.pack(word, tag + 1, 2), struct.pack(word, changed, 2))
        got = load(data)
        assert got.notes == note
        assert tag > 60000 or b"the first text" in (got.exif or b"")
        assert [text.text for text in got.texts] == ["the second text"] * (tag == 270)


def test_values_of_types_that_exif_has_not_are_lost() -> None:
    camera = Ifd({36867: (2, "2001:02:03 04:05:06"), 40000: (16, [1])})
    assert notes(plain(subs={34665: [camera]})) == ("tag 40000 of another type",)
    data = bytearray(tiff(plain(tags={315: (2, "somebody"), 305: (2, "program")})))
    at = data.index(struct.pack("<HH", 315, 2))
    data[at + 2] = 99
    got = load(bytes(data))
    assert got.notes == ("tag 315 of another type",)
    assert b"program" in (got.exif or b"")


def test_xmp_in_two_places() -> None:
    resource = b"8BIM" + struct.pack(">HHI", 1060, 0, 12)
    one = b"<x:xmpmeta/>"
    assert notes(plain(tags={700: (1, one), 34377: (7, resource + one)})) == ()
    other = plain(tags={700: (1, one), 34377: (7, resource + one.upper())})
    assert notes(other) == ("second XMP packet",)


def test_further_directories() -> None:
    reduced, mask = {254: (4, 1)}, {254: (4, 4)}
    half = [RGB[::2, ::2].tobytes()]
    page = picture(half, W // 2, H // 2)
    assert notes(plain(), page) == (FRAMES,)
    assert "reduced-resolution images" in notes(
        plain(), picture(half, W // 2, H // 2, tags=reduced)
    )
    assert "transparency mask" in notes(plain(), picture(half, W // 2, H // 2, tags=mask))
    assert notes(plain(subs={330: [page]})) == ("further pictures (SubIFDs)",)
    pyramid = plain(subs={330: [picture(half, W // 2, H // 2, tags=reduced)]})
    assert notes(pyramid) == ("reduced-resolution images",)


def test_what_nothing_refers_to() -> None:
    assert notes(plain(), behind=b"PK\3\4" + bytes(20)) == ("data behind the picture",)
    assert notes(plain(), behind=bytes(20)) == ()
    stack = plain(tags={270: (2, "ImageJ=1.53t\nimages=3\nslices=3")})
    assert notes(stack, behind=2 * RGB.tobytes()) == (FRAMES,)


def test_samples() -> None:
    five = np.dstack([RGB, RGB[..., :2]])
    more = picture([five.tobytes()], W, H, bits=[8] * 5, extra=[0, 0])
    assert notes(more) == ("further channels",)
    grey16 = picture([bytes(2 * W * H)], W, H, photometric=1, bits=[16])
    assert notes(grey16) == ("16 bits a channel reduced to 8",)
    inks = picture([bytes(4 * W * H)], W, H, photometric=5, bits=[8] * 4, tags={332: (3, 2)})
    assert "inks other than CMYK" in notes(inks)
    fine = {320: (3, [i * 257 + 3 for i in range(255)] * 3 + [0, 0, 0])}
    palette = picture([bytes(W * H)], W, H, photometric=3, bits=[8], tags=fine)
    assert "palette of 16 bits a channel reduced to 8" in notes(palette)


def test_damage_is_said() -> None:
    cut = tiff(plain(tags={65000: (7, b"x" * 50)}))
    account = account_for(cut[:-40], "TIFF")
    assert any("damaged" in note for note in account.notes)
    outside = plain(tags={273: (4, 10**6)})
    assert any("damaged" in note for note in account_for(tiff(outside), "TIFF").notes)
    for junk in (b"", b"II*\0", b"II*\0\x08\0\0\0", b"MM\0+" + bytes(12)):
        assert any("damaged" in note for note in account_for(junk, "TIFF").notes)


def test_every_part_of_a_tiff_has_a_fate_and_words() -> None:
    tags = {tag: value for tags in LOST.values() for tag, value in tags.items()}
    account = account_for(tiff(plain(tags=tags)), "TIFF")
    assert {part.fate for part in account.parts} == {Fate.LOST, Fate.HARMLESS, Fate.KEPT}
    assert all(part.name and part.text for part in account.parts)


def test_big_endian_bigtiff_is_walked_though_pillow_does_not_open_it() -> None:
    data = tiff(plain(tags={33550: (12, [1.0]), 315: (2, "somebody")}), order=">", big=True)
    account = account_for(data, "TIFF")
    assert list(account.notes) == ["GeoTIFF tags"]
    assert account.exif is not None and b"somebody" in account.exif
    with pytest.raises(InputError, match="BigTIFF, big endian"):
        load(data)


@pytest.mark.parametrize("turned", [False, True])
def test_deflated_strips_of_either_order_of_bits(turned: bool) -> None:
    """Undamaged they are not said to be damaged, damaged they are."""
    strip = zlib.compress(RGB.tobytes())
    other = bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip)
    tags = {266: (3, 2 if turned else 1)}
    for damage, expected in ((b"", False), (b"\xa5\x5a", True)):
        whole = other if turned else strip
        block = whole[: -4 - len(damage)] + damage + whole[-4:]
        data = tiff(picture([block], W, H, compression=8, tags=tags))
        try:
            found = load(data).notes
        except InputError:
            found = ("damaged",)
        assert any("damaged" in note for note in found) == expected


def test_a_forged_file_does_not_take_long() -> None:
    """Many directories, each with many entries that refer to the same large value."""
    entries: dict[int, tuple[int, object]] = dict.fromkeys(range(1000, 1400), (7, b"x" * 5000))
    chain = [Ifd(entries) for _ in range(60)]
    account = account_for(tiff(plain(), *chain), "TIFF")
    assert "more directories than are read" in account.notes
