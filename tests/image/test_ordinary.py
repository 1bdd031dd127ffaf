"""No false alarm: of an ordinary file of any format nothing is lost, so that it may be deleted."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import samples
from PIL import Image, PngImagePlugin, features

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import FORMATS

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

PHOTO = samples.photograph(box=(100, 20, 164, 84))
RGB = np.asarray(PHOTO)
GREY = np.asarray(PHOTO.convert("L"))
ALPHA = Image.fromarray(np.dstack([RGB, 255 - GREY]))

# What is said of modes, which is no matter of the file's parts.
MODES = (
    "palette converted to RGB",
    "palette converted to RGBA",
    "1-bit black and white stored as greyscale",
)
SEVERAL = {"ICNS", "ICO"}  # Pillow writes smaller sizes, too
UNSAID = {("BMP", "RGBA"), ("DIB", "RGBA")}  # Pillow writes transparency that no header states


def exif() -> Image.Exif:
    found = Image.Exif()
    found[270], found[271], found[305], found[315] = "a text", "Maker", "program", "somebody"
    found[282] = found[283] = 300.0
    found[296] = 2
    found.get_ifd(0x8769)[36867] = "2001:02:03 04:05:06"
    found.get_ifd(0x8825)[1] = "N"
    return found


def saved(format: str, image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(buffer, format, **options)
    return buffer.getvalue()


def lost(data: bytes) -> list[str]:
    return [note for note in load(data).notes if note not in MODES]


def test_pillows_savers() -> None:
    """Every format that Pillow writes and a walker knows, in every mode."""
    Image.init()
    seen = set()
    for format in sorted(set(Image.SAVE) & set(FORMATS)):
        for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
            source = ALPHA if mode.endswith("A") else PHOTO
            try:
                data = saved(format, source.convert(mode))
                noted = lost(data)
            except (OSError, ValueError, KeyError, InputError):
                continue  # a mode that the format has not, or Pillow does not read back
            seen.add(format)
            if format in SEVERAL:
                assert noted == ["further sizes of the icon"]
            elif (format, mode) in UNSAID:
                assert noted == ["further channels"]
            else:
                assert noted == [], (format, mode)
    assert len(seen) >= 17


METADATA: dict[str, list[dict[str, object]]] = {
    "JPEG": [
        {"exif": exif()},
        {"dpi": (300, 300)},
        {"progressive": True},
        {"optimize": True},
        {"icc_profile": samples.srgb()},
        {"comment": "a comment"},
        {"subsampling": 0},
        {"restart_marker_rows": 1},
        {"xmp": b"<x:xmpmeta/>"},
    ],
    "PNG": [{"exif": exif()}, {"dpi": (300, 300)}, {"icc_profile": samples.srgb()}],
    "WEBP": [{"exif": exif()}, {"lossless": True}, {"icc_profile": samples.srgb()}, {"method": 0}],
    "TIFF": [
        {"exif": exif()},
        {"dpi": (300, 300)},
        {"icc_profile": samples.srgb()},
        {"compression": "tiff_lzw"},
        {"compression": "jpeg"},
        {"compression": "packbits"},
        {"compression": "tiff_adobe_deflate"},
        {"description": "a text"},
        {"big_tiff": True},
    ],
    "AVIF": [
        {"exif": exif()},
        {"icc_profile": samples.srgb()},
        {"quality": 100},
        {"range": "limited"},
    ],
    "JPEG2000": [
        {"quality_layers": [20, 5]},
        {"irreversible": True},
        {"num_resolutions": 3},
        {"progression": "RPCL"},
        {"tile_size": (32, 32)},
        {"no_jp2": True},
        {"mct": 0},
    ],
    "BMP": [{"dpi": (300, 300)}],
    "TGA": [{"compression": "tga_rle"}, {"orientation": 1}],
    "GIF": [{"comment": b"a comment"}],
    "ICO": [{"sizes": [(64, 64)]}, {"sizes": [(64, 64)], "bitmap_format": "bmp"}],
    "DDS": [{"pixel_format": "DXT1"}],
}


@pytest.mark.parametrize("format", METADATA)
def test_pillows_options(format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow does not write AVIF")
    for options in METADATA[format]:
        image = PHOTO.convert("RGBA") if format == "DDS" else PHOTO
        assert lost(saved(format, image, **options)) == [], options


def test_png_texts() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_text("Description", "long " * 50, zip=True)
    info.add_itxt("Author", "Ä. Nobody", "de", "Autor")
    assert lost(saved("PNG", PHOTO, pnginfo=info)) == []


TIFFS: list[dict[str, object]] = [
    {},
    {"metadata": None},
    {"bigtiff": True},
    {"byteorder": ">"},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw"},
    {"compression": "packbits"},
    {"compression": "zstd"},
    {"compression": "lzma"},
    {"compression": "jpeg"},
    {"tile": (16, 16)},
    {"tile": (32, 32), "compression": "zlib"},
    {"rowsperstrip": 5},
    {"description": "channel=DAPI; pixel=0.3um"},
    {"resolution": (300, 300), "resolutionunit": 2},
    {"resolution": (118, 118), "resolutionunit": 3},
    {"software": "a program", "datetime": "2001:02:03 04:05:06"},
    {"iccprofile": samples.srgb()},
    {"extratags": [(315, "s", 0, "somebody", True), (33432, "s", 0, "copyright", True)]},
]


@pytest.mark.parametrize("number", range(len(TIFFS)))
def test_tifffile(number: int) -> None:
    options = TIFFS[number]
    for name, values in {
        "rgb": RGB,
        "planar": np.moveaxis(RGB, 2, 0),
        "grey": GREY,
        "white is zero": 255 - GREY,
        "alpha": np.dstack([RGB, GREY]),
    }.items():
        photometric = {"grey": "minisblack", "white is zero": "miniswhite"}.get(name, "rgb")
        more: dict[str, object] = {}
        if name == "planar":
            more["planarconfig"] = "separate"
        if name == "alpha":
            more["extrasamples"] = ["unassalpha"]
        if options.get("compression") == "jpeg" and name in ("alpha", "white is zero"):
            continue
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values, photometric=photometric, **{**options, **more})
        assert lost(buffer.getvalue()) == [], (name, options)


def test_ome_and_imagej() -> None:
    for options in ({"ome": True}, {"imagej": True}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, RGB, photometric="rgb", **options)
        assert lost(buffer.getvalue()) == [], options


ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "JPEG": lambda a: imagecodecs.jpeg8_encode(a, level=90),
    "PNG": lambda a: imagecodecs.png_encode(a),
    "WebP": lambda a: imagecodecs.webp_encode(a, level=90),
    "WebP, lossless": lambda a: imagecodecs.webp_encode(a, lossless=True),
    "AVIF": lambda a: imagecodecs.avif_encode(a, level=80),
    "JPEG 2000": lambda a: imagecodecs.jpeg2k_encode(a, level=60),
    "JPEG 2000, reversible": lambda a: imagecodecs.jpeg2k_encode(a, reversible=True),
    "JPEG 2000, codestream": lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", level=60),
    "QOI": lambda a: imagecodecs.qoi_encode(a),
    "BMP": lambda a: imagecodecs.bmp_encode(a),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_other_encoders(name: str) -> None:
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow does not read AVIF")
    assert lost(ENCODERS[name](RGB)) == []
    if name not in ("QOI", "BMP", "WebP", "WebP, lossless"):
        assert lost(ENCODERS[name](GREY)) == []
