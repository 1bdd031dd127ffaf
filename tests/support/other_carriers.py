"""Small files of the formats that are not in `carriers`, to be damaged and forged."""

from __future__ import annotations

import io
import struct
from functools import partial

import numpy as np
from PIL import Image
from tiffs import Ifd, picture, tiff

__all__ = ["FORMATS", "sources"]

Y, X = np.mgrid[0:24, 0:32]
RGB = np.stack([X * 7, Y * 10, 255 - X - Y], -1).astype(np.uint8)
IMAGE = Image.fromarray(RGB)


def _saved(format: str, image: Image.Image = IMAGE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def sources() -> dict[str, list[bytes]]:
    """Small files, by the name of their format."""
    exif = Image.Exif()
    exif[271] = "Maker"
    grey, alpha = IMAGE.convert("L"), IMAGE.convert("RGBA")
    camera = Ifd(
        {33434: (5, [(1, 250)]), 37500: (7, bytes(40))}, subs={40965: [Ifd({1: (2, "R98")})]}
    )
    tags = {270: (2, "a text"), 700: (1, b"<x:xmpmeta/>"), 33723: (7, b"\x1c\x02\x19\0\7keyword")}
    tags |= {34377: (7, b"8BIM\4\4\0\0\0\0\0\4\x1c\2\0\0"), 65000: (4, [1, 2, 3])}
    half = picture([RGB[::2, ::2].tobytes()], 16, 12, tags={254: (4, 1)})
    main = picture([RGB.tobytes()], 32, 24, tags=tags, subs={34665: [camera], 330: [half]})
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 4, 24, 32, 8, 3) + bytes(4)
    block = b"8BIM\4\4\0\0\0\0\0\4\x1c\2\0\0"
    psd += struct.pack(">I", len(block)) + block + bytes(4) + bytes(2 + 4 * 24 * 32)
    fits = "".join(
        line.ljust(80)
        for line in (
            "SIMPLE  = T",
            "BITPIX  = 8",
            "NAXIS   = 2",
            "NAXIS1  = 32",
            "NAXIS2  = 24",
            "END",
        )
    )
    tga = _saved("TGA", id_section=b"an identity")
    extension = (495).to_bytes(2, "little") + b"Author".ljust(493, b"\0")
    tga2 = tga[:-26] + extension + struct.pack("<II", len(tga) - 26, 0) + tga[-18:]
    found = {
        "AVIF": [],
        "CUR": [b"\0\0\2\0" + _saved("ICO", sizes=[(32, 24)], bitmap_format="bmp")[4:]],
        "DDS": [_saved("DDS"), _saved("DDS", alpha, pixel_format="BC3")],
        "FITS": [(fits.encode().ljust(2880) + grey.tobytes()).ljust(5760, b"\0")],
        "HEIF": [],
        "ICNS": [_saved("ICNS", IMAGE.resize((128, 128)))],
        "ICO": [_saved("ICO", IMAGE.resize((64, 64)))],
        "JPEG2000": [
            _saved("JPEG2000", alpha, comment="a comment") + _box(b"xml ", b"<gml/>"),
            _saved("JPEG2000", no_jp2=True, tile_size=(16, 16)),
        ],
        "PCX": [_saved("PCX"), _saved("PCX", IMAGE.convert("P"))],
        "PSD": [psd],
        "QOI": [_saved("QOI")],
        "SGI": [_saved("SGI"), _saved("SGI", grey, bpc=2)],
        "SUN": [struct.pack(">8I", 0x59A66A95, 32, 24, 24, 2304, 1, 0, 0) + RGB.tobytes()],
        "TGA": [tga, tga2, _saved("TGA", compression="tga_rle")],
        "TIFF": [tiff(main, half), tiff(main, half, order=">"), tiff(main, big=True)],
        "XBM": [_saved("XBM", IMAGE.convert("1"))],
    }
    try:
        still = _saved("AVIF", alpha, exif=exif, xmp=b"<x:xmpmeta/>")
        frames = _saved("AVIF", save_all=True, append_images=[IMAGE.rotate(180)])
        found["AVIF"] = found["HEIF"] = [still, frames]
    except (KeyError, OSError):
        del found["AVIF"], found["HEIF"]  # a Pillow without AVIF
    return found


def _numbered(name: str, files: list[bytes]) -> dict[str, bytes]:
    return {f"{name} {number}": data for number, data in enumerate(files)}


FORMATS = {name: partial(_numbered, name, files) for name, files in sources().items()}
"""As `carriers.FORMATS`: by the name of the format, what makes its files."""
