"""Files that are damaged, too large or not what they say."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, gradient, png
from PIL import Image, TiffImagePlugin

import aecodec
from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.picture import Picture

FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_truncated_file_is_an_error_and_not_grey(format: str) -> None:
    image = Image.fromarray(gradient(96, 64))
    data = encoded(image, format)
    whole = load(data).rgb
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a truncated TIFF, then raises
        for length in range(0, len(data) - 24, max(1, len(data) // 100)):
            with pytest.raises(InputError):
                load(data[:length])
        # The last few bytes may say no more than that this was the end.
        for length in range(len(data) - 24, len(data)):
            with suppress(InputError):
                np.testing.assert_array_equal(load(data[:length]).rgb, whole)


def test_the_fault_is_named(tmp_path: Path) -> None:
    jpeg = encoded(Image.fromarray(gradient(200, 100)), "JPEG")
    with pytest.raises(InputError, match="truncated"):
        load(jpeg[:1500])
    with pytest.raises(InputError, match="not a picture"):
        load(b"no picture")
    with pytest.raises(InputError, match="empty"):
        load(b"")
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "absent.jpg")
    with pytest.raises(InputError, match="Is a directory"):
        load(tmp_path)


def test_messages_are_one_line(tmp_path: Path) -> None:
    for source in (b"x", tmp_path / "absent\nfile", encoded(Image.new("L", (9, 9)))[:45]):
        with pytest.raises(InputError) as caught:
            load(source)
        assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_pictures_or_input_errors(data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(FORMATS))
    damaged = bytearray(encoded(Image.fromarray(gradient(20, 10)), format))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert isinstance(load(bytes(damaged), max_pixels=100_000), Picture)
        except InputError as error:
            assert "\n" not in str(error)


def test_the_limit_on_pixels() -> None:
    data = encoded(Image.new("L", (100, 60)))
    assert load(data, max_pixels=6000).width == 100
    for source in (data, Image.new("L", (100, 60))):
        with pytest.raises(InputError, match=r"^6000 pixels, and the limit is 5999$") as error:
            load(source, max_pixels=5999)
        assert "raise max_pixels to at least 6000" in error.value.advice
    with pytest.raises(InputError, match="6000 pixels, and the limit is 1000"):
        load(data, max_pixels=1000)


def test_a_bomb_is_not_unpacked() -> None:
    """A PNG of 10**10 pixels that holds nothing: the header is enough to refuse it."""
    data = png(100_000, 100_000, 0, b"")
    with pytest.raises(InputError, match="limit"):
        load(data)


def test_pillows_own_limit_neither_stops_nor_warns_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    data = encoded(Image.new("L", (100, 60)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(data).width == 100
        assert load(Image.new("L", (3000, 2000))).width == 3000  # copied in several strips
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(InputError):
        load(b"no picture")
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_pillows_own_limit_stops_no_exact_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    data = aecodec.compress(gradient(60, 50), lossless=True)
    for limit in (2000, 1000):  # Pillow would warn of it, and refuse it
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(np.asarray(aecodec.decompress(data)), gradient(60, 50))
        assert limit == Image.MAX_IMAGE_PIXELS


READ = [
    *("AVIF", "BLP", "BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
]


TIFFS = {
    "TIFF": {},
    "as libtiff packs it": {"compression": "tiff_adobe_deflate"},
    "in strips": {"compression": "packbits", "tiffinfo": {278: 7}},
}


@pytest.mark.parametrize("format", [*READ, *list(TIFFS)[1:]])
@pytest.mark.parametrize("as_path", [False, True])
@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_pillows_own_limit_counts_in_no_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, format: str, as_path: bool, mode: str
) -> None:
    """Whether it would warn of the picture or refuse it; and ours counts in all of them."""
    picture = Image.fromarray(gradient(48, 48))
    without = ("DDS", "ICNS", "JPEG", "JPEG2000", "MPO", "PPM", "QOI", "SGI")
    if (mode == "P" and format not in without) or format == "BLP":  # which has nothing else
        picture = picture.convert("P")
    name = "TIFF" if format in TIFFS else format
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {name}")
    try:
        data = encoded(picture, name, **TIFFS.get(format, {}))
    except OSError as error:
        if not re.fullmatch(r"encoder \w+ not available", str(error)):
            raise  # a picture that does not suit the format is the test's own fault
        pytest.skip(f"this Pillow was built without a library: {error}")
    source: bytes | Path = data
    if as_path:  # which Pillow maps into memory, where it can
        source = tmp_path / "picture"
        source.write_bytes(data)
    expected = load(data).rgb
    pixels = expected.shape[0] * expected.shape[1]
    for limit in (pixels * 2 // 3, pixels // 3):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(load(source, max_pixels=pixels).rgb, expected)
            assert limit == Image.MAX_IMAGE_PIXELS
            with pytest.raises(InputError, match=f"and the limit is {pixels - 1}$"):
                load(source, max_pixels=pixels - 1)
        assert limit == Image.MAX_IMAGE_PIXELS


def test_while_a_tiff_is_decoded_pillows_limit_holds_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(Image.fromarray(gradient()), "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    seen: list[int | None] = []
    decode = TiffImagePlugin.TiffImageFile.load

    def watched(image: TiffImagePlugin.TiffImageFile) -> object:
        seen.append(Image.MAX_IMAGE_PIXELS)
        return decode(image)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", watched)
    assert load(data).width == 40
    assert set(seen) == {100}


def test_a_tiff_that_cannot_be_had_leaves_pillow_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(gradient()), "TIFF")

    def fails(image: TiffImagePlugin.TiffImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load_prepare", fails)
    with pytest.raises(InputError, match="not enough memory"):
        load(data)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_what_is_inside_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a format whose pictures turn out larger, when they are loaded, than they said."""
    grown = Image.new("RGB", (9, 9))

    class Lying(type(grown)):  # type: ignore[misc]
        def load(self) -> object:
            self._size = (10, 10)
            return super().load()

    grown.__class__ = Lying
    with pytest.raises(InputError, match=r"^100 pixels, and the limit is 99$"):
        load(grown, max_pixels=99)


def test_drawings_and_empty_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="EPS is a drawing"):
        load(encoded(Image.new("RGB", (4, 4)), "EPS"))
    with pytest.raises(InputError, match=r"empty \(0x5\)"):
        load(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_an_animation_the_first_frame_is_kept(format: str) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    picture = load(data)
    assert "several frames or pages: only the first is kept" in picture.notes
    np.testing.assert_array_equal(picture.rgb[0, 0], [255, 0, 0])


def test_an_empty_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    for source in (empty, str(empty), b"", io.BytesIO()):
        with pytest.raises(InputError, match=r"^the file is empty$"):
            load(source)
    with pytest.raises(InputError, match="not a picture of a known kind"):
        load(b"no picture")
