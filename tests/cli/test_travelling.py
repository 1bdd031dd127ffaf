"""What travels with a picture, by the command line: shown, chosen, given back."""

from __future__ import annotations

import json
from pathlib import Path

import carriers
import pytest
from command import run
from PIL import Image, PngImagePlugin

from aecodec import bitstream
from aecodec.image import metadata

KINDS = {
    "resolution": "RESOLUTION",
    "texts": "TEXTS",
    "iptc": "IPTC",
    "gainmap": "GAINMAP",
    "video": "VIDEO",
}


@pytest.fixture
def everything(here: Path) -> Path:
    jpeg = carriers.with_segments(
        carriers.jpegs()["gain map and video"],
        carriers.segment(0xFE, b"scanned from box 12\x1b[31m"),
        carriers.photoshop(carriers.resource(0x0404, carriers.IPTC)),
    )
    # Segments that stand before MPF's move the picture, and with it all that MPF points to.
    (here / "a.jpg").write_bytes(jpeg[:13] + bytes([1, 1, 44, 0, 240]) + jpeg[18:])
    return here


def test_info_shows_it(everything: Path) -> None:
    assert run("compress", "a.jpg").returncode == 0
    text = run("info", "a.aec").stdout.decode()
    assert "density  300 x 240 pixels an inch" in text
    assert r"comment  scanned from box 12\x1b[31m" in text
    for name in ("TEXTS", "IPTC", "GAINMAP", "VIDEO", "RESOLUTION"):
        assert name in text
    found = json.loads(run("info", "a.aec", "--json").stdout)
    assert found["resolution"] == [300, 240]
    assert found["texts"] == [["", "scanned from box 12\x1b[31m"]]


def test_info_parts_a_long_keyword_from_its_text(here: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("date:create", "2014-01-26")  # as ImageMagick writes it
    Image.new("RGB", (8, 8)).save("a.png", pnginfo=texts)
    assert run("compress", "a.png").returncode == 0
    assert "date:create 2014-01-26" in run("info", "a.aec").stdout.decode()


def test_back_into_a_jpeg(everything: Path) -> None:
    assert run("compress", "--strict", "a.jpg").returncode == 0
    done = run("decompress", "a.aec", "-o", "b.jpg")
    assert (done.returncode, b"note" in done.stderr) == (0, False)
    jpeg = Path("b.jpg").read_bytes()
    assert jpeg.endswith(carriers.GAIN_MAP + carriers.MP4)
    assert carriers.IPTC in jpeg
    assert b"scanned from box 12" in jpeg
    # Compressed again it says the same.
    assert run("compress", "--strict", "b.jpg").returncode == 0
    first, second = (bitstream.parse(Path(n).read_bytes()).metadata for n in ("a.aec", "b.aec"))
    first.pop("gain_map")
    second.pop("gain_map")
    assert first["xmp"].count(b"Item:") == second["xmp"].count(b"Item:")
    first.pop("xmp")
    second.pop("xmp")
    assert first == second


def test_into_a_png_what_has_no_place_is_said(everything: Path) -> None:
    assert run("compress", "a.jpg").returncode == 0
    done = run("decompress", "a.aec")
    assert done.returncode == 0
    assert b"PNG is written without the gain map" in done.stderr
    assert b"PNG is written without the video (motion photo)" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone(everything: Path, kind: str) -> None:
    done = run("compress", "a.jpg", "--metadata", kind)
    assert (done.returncode, done.stderr.count(b"note")) == (0, 0)
    sections = [s.name for s in bitstream.parse(Path("a.aec").read_bytes()).sections]
    assert sections == [KINDS[kind], "TILE"]


def test_the_kinds_are_those_of_the_library() -> None:
    from aecodec.cli.app import METADATA

    assert metadata.KINDS == METADATA
