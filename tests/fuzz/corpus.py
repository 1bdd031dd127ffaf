"""Seeds and a dictionary for the fuzzer, made from the golden files and small pictures."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from aecodec import bitstream
from aecodec.entropy import coder
from aecodec.image import vp8l

GOLDEN: Final = Path(__file__).resolve().parents[1] / "golden"
CRASHES: Final = Path(__file__).resolve().parent / "crashes"
"""Inputs that once failed, by target: CRASHES / TARGET / NAME."""


def containers() -> list[bytes]:
    """Golden files, and a file with every section."""
    tiles = [bytes(range(k, k + 16)) for k in range(4)]
    head = bitstream.Header(70, 66, bitstream.ColourMode.RGBA, 75, b"model id", 64)
    alpha = np.add.outer(np.arange(66), np.arange(70)).astype(np.uint8)
    whole = bitstream.pack(
        head, tiles, alpha=alpha, exif=tiff(), icc=b"profile" * 20, xmp=b"<xmp/>"
    )
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*.aec"))] + [whole]


def damaged() -> list[bytes]:
    """Files of several tiles: whole, with a byte changed, with a part missing, and put together."""
    found = []
    for data in containers():
        middle = len(data) // 2
        found += [data, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]]
        found += [data[:middle] + data[middle + 9 :], data[:middle] + data[40:]]
    return found


def streams() -> list[bytes]:
    """Exact tiles: a flat one, few colours, a gradient and noise."""
    found = []
    for width, height in ((9, 7), (64, 64)):
        y, x = np.mgrid[:height, :width]
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3))
        for rgb in (
            np.full((height, width, 3), 7),
            np.dstack([x // 4 % 2, y // 4 % 2, x * 0]) * 200,
            np.dstack([x, y, x + y]),
            noise,
        ):
            found.append(vp8l.pack(rgb.astype(np.uint8)))
    return found


def words() -> list[bytes]:
    """For the decoder: a seed, a count, and the words of golden tiles or of symbols of its own."""
    found = []
    for data in containers():
        for tile in bitstream.parse(data).tiles:
            words = tile[4 : len(tile) // 4 * 4]
            found.append(bytes([len(found) % 256, 40]) + words)
    from targets import _coded_by, _tables  # the tables that the target decodes with

    from aecodec.entropy import ans

    tables = _tables("own")
    with _coded_by(ans.AnsCoder, ans.Categorical, ans.Uniform):
        for seed in range(12):
            rng = np.random.default_rng(seed)
            count = (20, 80, 255)[seed % 3]
            indexes = [
                rng.integers(0, len(tables), n).astype(np.uint8)
                for n in (4 * count, 4 * count // 3)
            ]
            if seed % 3 == 0:
                indexes[0].sort()
            encoder = coder.Encoder()
            for some in indexes:
                spread = 10.0 ** rng.integers(0, 6)
                symbols = np.rint(rng.laplace(0, spread, len(some))).astype(np.int32)
                symbols *= rng.random(len(some)) < 0.2
                symbols[tables.empty[some]] = 0
                encoder.add(symbols, tables.groups(some))
            found.append(bytes([seed, count]) + encoder.finish())
    return found


def manifests() -> list[bytes]:
    """Of runs that ended, that were cut off, and of other verbs and options."""
    run = {"run": "00c0ffee", "verb": "compress", "options": {"quality": 75}, "time": 1.5}
    source = {"source_bytes": 1, "source_time_ns": 2}
    lines = [
        run,
        {"begin": "a.png", "run": "00c0ffee", "name": "a.aec", **source},
        {"done": "a.png", "run": "00c0ffee", "bytes": 5, **source},
        {"left": "b.png", "run": "00c0ffee", "bytes": 9, "width": 4, "height": 4, **source},
        {"failed": "c.png", "run": "00c0ffee", "error": "x", "error_type": "InputError"},
        {"kept": "d.png", "run": "00c0ffee"},
        {"replace": "a.png", "run": "00c0ffee"},
        {"begin": "e.png", "run": "00c0ffee", "name": "e.aec"},
    ]
    texts = ["".join(json.dumps(line) + "\n" for line in lines[:n]) for n in range(len(lines) + 1)]
    return [text.encode() for text in texts] + [texts[-1][:-20].encode(), b"\xff\0{}\n[]\n1\n"]


def tiff() -> bytes:
    """A TIFF structure with a position, a thumbnail's place, and texts."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    tags[ExifTags.Base.Artist] = "nobody"
    tags[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: (1, 60), ExifTags.Base.LensModel: "50"}
    tags[ExifTags.IFD.GPSInfo] = {1: "N", 2: (47.0, 3.0, 1.0), 3: "E", 4: (8.0, 0.0, 2.0)}
    return tags.tobytes().removeprefix(b"Exif\0\0")


def exifs() -> list[bytes]:
    """Both byte orders; one by hand, whose directories stand after their values."""
    entries = [(0x0112, 3, 1, 8 << 16), (0x8825, 4, 1, 38), (0x8769, 4, 1, 56)]
    rows = b"".join(struct.pack(">HHII", *entry) for entry in entries)
    by_hand = b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + rows + bytes(4)
    by_hand += struct.pack(">HHHIII", 1, 2, 5, 3, 0x31320000, 0)
    return [tiff(), b"Exif\0\0" + tiff(), by_hand, b"II*\0\x08\0\0\0\0\0\0\0\0\0"]


def xmps() -> list[bytes]:
    """Packets with thumbnails, an orientation, and positions in both spellings."""
    head = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description "
    return [
        head + b'tiff:Orientation="6" exif:GPSLatitude=\'47,3N\' exif:GPSLongitude="8,0E"/>',
        head + b"><xmp:Thumbnails><rdf:Alt>AAAA</rdf:Alt></xmp:Thumbnails>"
        b"<tiff:Orientation>8</tiff:Orientation><e:GPSLatitude>1</e:GPSLatitude></x:xmpmeta>",
        (head + b"exif:GPSLatitude='1'").decode().encode("utf-16"),
    ]


def pictures() -> list[bytes]:
    """A small file of each format that Pillow writes and a walker may read."""
    picture = Image.new("RGB", (9, 7), (200, 100, 50))
    picture.putpixel((3, 3), (0, 0, 0))
    found = []
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF", "TGA", "AVIF"):
        file = io.BytesIO()
        try:
            if name in ("JPEG", "PNG", "WEBP", "TIFF"):
                picture.save(file, name, exif=tiff(), icc_profile=b"profile" * 20)
            else:
                picture.save(file, name)
        except (OSError, KeyError, ValueError):  # a Pillow without that format
            continue
        found.append(file.getvalue())
    return found


SEEDS: Final = {
    "container": containers,
    "salvage": damaged,
    "exact": streams,
    "decoder": words,
    "manifest": manifests,
    "exif": exifs,
    "xmp": xmps,
    "walkers": pictures,
}

WORDS: Final = {
    "container": [b"\x89AEC\r\n\x1a\n", b"\x28\xb5\x2f\xfd", b"\x01", b"\x02", b"\x81", b"\x82"],
    "salvage": [b"\x89AEC\r\n\x1a\n", b"\x28\xb5\x2f\xfd", b"\x01", b"\x03", b"\x80", b"\x8a"],
    "exact": [b"\x2f\x08\x80\x01\0", b"\x2f\x3f\xc0\x0f\0", b"\0\0\0\0", b"\xff\xff\xff\xff"],
    "decoder": [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\xff\xff\xff\0"],
    "manifest": [
        *(b'"%s":' % key for key in (b"run", b"verb", b"options", b"begin", b"done", b"left")),
        *(b'"%s":' % key for key in (b"failed", b"kept", b"replace", b"name", b"bytes", b"width")),
        *(b'"source_bytes":', b'"source_time_ns":', b"null", b"1e400", b"-1", b"NaN", b"[[[["),
        *(b'"\\ud800"', b"18446744073709551616", b"{}", b"true"),
    ],
    "exif": [
        b"II*\0",
        b"MM\0*",
        b"\x25\x88\x04\0\x01\0\0\0",
        b"\x69\x87\x04\0\x01\0\0\0",
        b"Exif\0\0",
    ],
    "xmp": [b"<xmp:Thumbnails>", b"</xmp:Thumbnails>", b"exif:GPSLatitude=", b"tiff:Orientation="],
    "walkers": [
        b"\xff\xd8\xff\xe1",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF",
        b"WEBP",
        b"EXIF",
        b"ICCP",
        b"8BIM",
    ],
}


def seeds(target: str) -> list[bytes]:
    """Those of a target, and every input that once failed it."""
    found = SEEDS[target]()
    crashes = CRASHES / target
    return found + [path.read_bytes() for path in sorted(crashes.glob("*"))]


def dictionary(target: str) -> str:
    """In the form of libFuzzer: one word a line, in quotes."""
    return "".join(
        '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in WORDS[target]
    )
