"""Files of every kind with a walker, and what forgers and bad disks make of them.

``python tests/support/mutations.py 10000 [FORMAT...]`` (with the package on the path) walks so many
mutations of each format, and prints what took longest and the most memory. The tests do the same
with fewer.
"""

from __future__ import annotations

import io
import struct
import sys
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
from PIL import Image
from tiffs import Ifd, picture, tiff

from aecodec.image.parts import FORMATS, account_for

__all__ = ["mutations", "sources", "walk_all"]

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
        "BMP": [_saved("BMP")],
        "CUR": [b"\0\0\2\0" + _saved("ICO")[4:]],
        "DDS": [_saved("DDS"), _saved("DDS", alpha, pixel_format="BC3")],
        "DIB": [_saved("DIB")],
        "FITS": [(fits.encode().ljust(2880) + grey.tobytes()).ljust(5760, b"\0")],
        "GIF": [_saved("GIF", grey, comment=b"a comment")],
        "HEIF": [],
        "ICNS": [_saved("ICNS", IMAGE.resize((128, 128)))],
        "ICO": [_saved("ICO", IMAGE.resize((64, 64)))],
        "JPEG": [_saved("JPEG", exif=exif, comment=b"a comment")],
        "JPEG2000": [
            _saved("JPEG2000", alpha, comment="a comment") + _box(b"xml ", b"<gml/>"),
            _saved("JPEG2000", no_jp2=True, tile_size=(16, 16)),
        ],
        "MPO": [_saved("MPO", save_all=True, append_images=[grey.convert("RGB")])],
        "PCX": [_saved("PCX"), _saved("PCX", IMAGE.convert("P"))],
        "PNG": [_saved("PNG", exif=exif, dpi=(300, 300))],
        "PPM": [_saved("PPM")],
        "PSD": [psd],
        "QOI": [_saved("QOI")],
        "SGI": [_saved("SGI"), _saved("SGI", grey, bpc=2)],
        "SUN": [struct.pack(">8I", 0x59A66A95, 32, 24, 24, 2304, 1, 0, 0) + RGB.tobytes()],
        "TGA": [tga, tga2, _saved("TGA", compression="tga_rle")],
        "TIFF": [tiff(main, half), tiff(main, half, order=">"), tiff(main, big=True)],
        "WEBP": [_saved("WEBP", exif=exif)],
        "XBM": [_saved("XBM", IMAGE.convert("1"))],
    }
    try:
        still = _saved("AVIF", alpha, exif=exif, xmp=b"<x:xmpmeta/>")
        frames = _saved("AVIF", save_all=True, append_images=[IMAGE.rotate(180)])
        found["AVIF"] = found["HEIF"] = [still, frames]
    except (KeyError, OSError):
        del found["AVIF"], found["HEIF"]  # a Pillow without AVIF
    return found


_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutations(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Without end: bytes changed, numbers made extreme, parts cut out, moved, doubled, or cut off.

    The first kilobyte, where structures are, is hit as often as all the rest.
    """
    while True:
        out = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            near = min(len(out), 1024) if rng.random() < 0.5 else len(out)
            at = int(rng.integers(max(near, 1)))
            kind = rng.integers(6)
            if kind < 2 and out:
                out[at] = int(rng.integers(256))
            elif kind == 2:
                size = int(rng.choice([1, 2, 4, 8]))
                value = int(rng.choice(_EXTREMES)) & ((1 << 8 * size) - 1)
                order = "little" if rng.random() < 0.5 else "big"
                out[at : at + size] = value.to_bytes(size, order)
            elif kind == 3:
                del out[at : at + int(rng.integers(1, 40))]
            elif kind == 4:
                start = int(rng.integers(max(len(out), 1)))
                out[at:at] = out[start : start + int(rng.integers(1, 80))]
            elif rng.random() < 0.3:
                del out[at:]
        yield bytes(out)


def walk_all(count: int, formats: tuple[str, ...] = ()) -> dict[str, tuple[float, int]]:
    """Walk ``count`` mutations of each format; the longest walk in seconds, and the most bytes.

    Whatever a walker raises, goes up to the caller.
    """
    worst: dict[str, tuple[float, int]] = {}
    for number, (name, files) in enumerate(sources().items()):
        if formats and name not in formats:
            continue
        rng = np.random.default_rng([26, number])
        makers = [mutations(data, rng) for data in files]
        longest, most = 0.0, 0
        for turn in range(count):
            mutated = next(makers[turn % len(makers)])
            tracemalloc.start()
            start = time.perf_counter()
            account = account_for(mutated, name)
            longest = max(longest, time.perf_counter() - start)
            most = max(most, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            for part in account.parts:
                assert part.name and part.text, (name, part)
                assert part.text.isprintable() and len(part.text) < 200, (name, part)
        worst[name] = longest, most
    return worst


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    assert set(sources()) <= set(FORMATS)
    for name, (seconds, most) in walk_all(count, tuple(sys.argv[2:])).items():
        sys.stdout.write(f"{name:9} {1000 * seconds:8.1f} ms {most / 2**20:8.2f} MiB\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
