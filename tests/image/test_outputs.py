"""Resolution, texts and IPTC in every output format that has a place for them."""

from __future__ import annotations

import io
import struct

import carriers
import pytest
from PIL import Image

import aecodec
from aecodec import bitstream
from aecodec.image.load import load
from aecodec.image.parts import Text
from aecodec.image.picture import Picture, to_pil
from aecodec.image.save import save

TEXTS = (
    Text("", "made in 1999"),
    Text("Title", "Überschrift", "de", "Titel"),
    Text("parameters", "steps 20"),
    Text("Author", "A. Nobody"),
    Text("tIME", "2001-02-03T04:05:06Z"),
)


def picture_with(**others: object) -> Image.Image:
    plain = load(carriers.pngs()["plain"])
    return to_pil(plain.rgb, plain.mode, **others)  # type: ignore[arg-type]


def saved(image: Image.Image, format: str) -> tuple[Picture, tuple[str, ...]]:
    buffer = io.BytesIO()
    notes = save(image, buffer, format)
    return load(buffer.getvalue()), notes


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_the_resolution(format: str) -> None:
    again, notes = saved(picture_with(resolution=(300.0, 240.0)), format)
    assert notes == ()
    image = to_pil(again.rgb, again.mode, **again.metadata)
    assert image.info["dpi"] == pytest.approx((300, 240), rel=1e-3)


@pytest.mark.parametrize("format", ["GIF", "PPM", "TGA", "JPEG2000"])
def test_formats_without_a_place_for_the_resolution_say_so(format: str) -> None:
    buffer = io.BytesIO()
    notes = save(picture_with(resolution=(300.0, 240.0)), buffer, format)
    assert f"{format} is written without the resolution" in notes


def test_the_resolution_in_exif_is_enough_for_webp() -> None:
    tags = Image.Exif()
    tags[282], tags[283], tags[296] = 300.0, 240.0, 2
    image = picture_with(exif=tags.tobytes()[6:])
    assert image.info["dpi"] == (300.0, 240.0)
    _, notes = saved(image, "WEBP")
    assert notes == ()
    _, notes = saved(picture_with(exif=tags.tobytes()[6:], resolution=(72.0, 72.0)), "WEBP")
    assert notes == ("WEBP is written without the resolution",)


def test_without_a_resolution_none_is_made_up() -> None:
    for format in ("JPEG", "PNG", "BMP"):
        again, _ = saved(picture_with(), format)
        assert again.resolution is None


def test_texts_in_a_png() -> None:
    again, notes = saved(picture_with(texts=TEXTS), "PNG")
    assert notes == ()
    expected = (Text("Comment", "made in 1999"), *TEXTS[1:])
    assert sorted(again.texts) == sorted(expected)


def test_bytes_that_are_no_utf_8_in_a_png() -> None:
    latin = Text("", b"caf\xe9\0".decode("utf-8", "surrogateescape"))
    again, notes = saved(picture_with(texts=(latin,)), "PNG")
    assert notes == ()
    assert again.texts == (Text("Comment", "café"),)


@pytest.mark.parametrize(
    "text",
    [
        Text("XML:com.adobe.xmp", "<x/>"),
        Text("Raw profile type exif", "49492a00"),
        Text("k" * 80, "too long a keyword"),
        Text("ключ", "a keyword that is not Latin-1"),
        Text("long", "x" * (2**20 + 1)),
    ],
    ids=lambda text: text.keyword[:9],
)
def test_texts_that_no_png_can_hold(text: Text) -> None:
    again, notes = saved(picture_with(texts=(text,)), "PNG")
    assert notes == (f"PNG is written without the text {text.keyword!r}",)
    assert (again.texts, again.xmp, again.exif) == ((), None, None)


def test_comments_in_a_jpeg() -> None:
    comments = (Text("", "one"), Text("", b"caf\xe9".decode("utf-8", "surrogateescape")))
    again, notes = saved(picture_with(texts=(*comments, TEXTS[2])), "JPEG")
    assert notes == ("JPEG is written without the text 'parameters'",)
    assert again.texts == comments
    _, notes = saved(picture_with(texts=(Text("", "x" * 70_000),)), "JPEG")
    assert notes == ("JPEG is written without the comment",)


def test_texts_in_a_tiff() -> None:
    again, notes = saved(picture_with(texts=TEXTS), "TIFF")
    assert len(notes) == 3  # all but the comment and the author
    tags = Image.Exif()
    tags.load(again.exif or b"")
    assert (tags[270], tags[315]) == ("made in 1999", "A. Nobody")


def test_a_comment_in_a_gif() -> None:
    image = picture_with(texts=TEXTS[:1]).convert("L")
    image.info["texts"] = TEXTS[:1]
    again, notes = saved(image, "GIF")
    assert notes == ()
    assert again.texts == TEXTS[:1]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_iptc(format: str) -> None:
    again, notes = saved(picture_with(iptc=carriers.IPTC), format)
    assert notes == ()
    assert again.iptc == carriers.IPTC
    large = carriers.IPTC * 4000
    again, notes = saved(picture_with(iptc=large), format)
    assert (notes, again.iptc) == ((), large)


def test_iptc_in_a_jpeg_is_what_pillow_reads() -> None:
    buffer = io.BytesIO()
    save(picture_with(iptc=carriers.IPTC), buffer, "JPEG")
    with Image.open(buffer) as image:
        assert image.info["photoshop"][0x0404] == carriers.IPTC


def test_a_callers_options_count() -> None:
    buffer = io.BytesIO()
    image = picture_with(texts=TEXTS[:1], resolution=(300.0, 300.0))
    assert save(image, buffer, "JPEG", comment=b"mine", dpi=(72, 72)) == ()
    again = load(buffer.getvalue())
    assert again.texts == (Text("", "mine"),)
    assert again.resolution == (72.0, 72.0)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_all_of_it_goes_through_an_aec_file(name: str) -> None:
    what = {"JPEG": "resources", "PNG": "texts"}[name]
    picture = load(carriers.FORMATS[name]()[what])
    data = aecodec.compress(picture)
    container = bitstream.parse(data)
    assert {k: v for k, v in container.metadata.items() if v} == {
        k: v for k, v in picture.metadata.items() if v
    }
    info = aecodec.decompress(data).info
    assert info["texts"] == picture.texts
    assert info.get("iptc") == picture.iptc
    assert info.get("dpi") == picture.resolution


def test_the_size_of_a_jpeg_with_everything_is_right() -> None:
    """All segments are whole: a walk over them finds nothing strange."""
    image = picture_with(
        texts=TEXTS[:1], iptc=carriers.IPTC * 4000, resolution=(300.0, 300.0), xmp=b"<x/>" * 9
    )
    buffer = io.BytesIO()
    save(image, buffer, "JPEG")
    assert load(buffer.getvalue()).notes == ()
    assert struct.unpack(">H", buffer.getvalue()[:2]) == (0xFFD8,)


@pytest.mark.parametrize("resolution", [None, (144.0, 144.0)])
def test_a_pdf_has_a_size_on_paper(resolution: tuple[float, float] | None) -> None:
    buffer = io.BytesIO()
    assert save(picture_with(resolution=resolution), buffer, "PDF") == ()
    width, height = (64, 48) if resolution is None else (32, 24)
    assert f"/MediaBox [ 0 0 {width}.0 {height}.0 ]".encode() in buffer.getvalue()


def test_a_text_beyond_ascii_in_a_tiff() -> None:
    again, notes = saved(picture_with(texts=(Text("", "Grüße, 日本"), Text("Author", "ü"))), "TIFF")
    assert notes == ()
    assert again.exif is not None
    assert "Grüße, 日本\0".encode() in again.exif
    assert "ü\0".encode() in again.exif
    _, notes = saved(picture_with(texts=(Text("", "a\0b"),)), "TIFF")
    assert notes == ("TIFF is written without the comment",)


def test_a_comment_in_a_jpeg_2000_is_latin_1() -> None:
    again, notes = saved(picture_with(texts=(Text("", "Grüße"),)), "JPEG2000")
    assert (notes, [text.text for text in again.texts]) == ((), ["Grüße"])
    for text in ("日本", "x" * 70_000, "a\0b"):
        again, notes = saved(picture_with(texts=(Text("", text),)), "JPEG2000")
        assert (notes, again.texts) == (("JPEG2000 is written without the comment",), ())


@pytest.mark.parametrize("dpi", [0.3, 10.16, 25.4])
def test_a_resolution_that_jfif_would_round_is_left_out(dpi: float) -> None:
    again, notes = saved(picture_with(resolution=(dpi, dpi)), "JPEG")
    assert notes == ("JPEG is written without the resolution",)
    assert again.resolution is None
    tags = Image.Exif()
    tags[282], tags[283], tags[296] = dpi, dpi, 2
    _, notes = saved(picture_with(exif=tags.tobytes()[6:]), "JPEG")
    assert notes == (), "EXIF states it"
