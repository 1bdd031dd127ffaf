"""Damaged and forged files cost a note or an error: no traceback, no hang, no memory.

`benchmarks/hostile_parts.py` does the same with 10,000 files of each format.
"""

from __future__ import annotations

import struct
import time
import tracemalloc
import warnings
import zlib

import carriers
import mutants
import pytest

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import account_for

COUNT = 400
MEMORY = 64 * 2**20


@pytest.mark.parametrize("name", carriers.FORMATS)
def test_forged_files(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on damaged EXIF
        for data in mutants.mutants(carriers.FORMATS[name](), COUNT, seed=7):
            account_for(data, name)
            try:
                load(data, max_pixels=2**20)
            except InputError as error:
                assert "\n" not in str(error)


def jpeg_with(*segments: bytes) -> bytes:
    return carriers.with_segments(carriers.jpegs()["plain"], *segments)


def gif_of_blocks() -> bytes:
    return carriers.gifs()["plain"][:13] + b"\x21\xfe\0" * 100_000 + b";"


BOMBS = {
    "nothing but FF": ("JPEG", b"\xff\xd8\xff" + b"\xff" * 4_000_000),
    "segments of nothing": ("JPEG", b"\xff\xd8" + b"\xff\xe1\0\2" * 150_000),
    "restart markers alone": (
        "JPEG",
        b"\xff\xd8\xff\xdd\0\4\0\1\xff\xda\0\2" + b"\xff\xd0" * 100_000,
    ),
    "pictures of nothing": ("JPEG", carriers.jpegs()["plain"] + b"\xff\xd8\xff\xd9" * 100_000),
    "boxes of nothing": (
        "JPEG",
        carriers.jpegs()["plain"] + carriers.box(b"ftyp", b"") + b"\0\0\0\x08free" * 100_000,
    ),
    "zeros": ("JPEG", carriers.jpegs()["plain"] + bytes(4_000_000)),
    "extended XMP of 4 GB": (
        "JPEG",
        jpeg_with(
            carriers.segment(
                0xE1, carriers.XMP + carriers.packet(f'xmpNote:HasExtendedXMP="{"A" * 32}"')
            ),
            carriers.segment(
                0xE1, carriers.EXTENSION + b"A" * 32 + struct.pack(">II", 2**32 - 1, 0) + b"x"
            ),
        ),
    ),
    "resources without end": ("JPEG", jpeg_with(carriers.photoshop(b"8BIM" + b"\xff" * 9000))),
    "MPF beyond its end": ("JPEG", jpeg_with(carriers.segment(0xE2, b"MPF\0MM\0*" + b"\xff" * 99))),
    "chunks of nothing": (
        "PNG",
        carriers.with_chunks(carriers.pngs()["plain"], carriers.chunk(b"teXt", b"") * 100_000),
    ),
    "a text of a gigabyte": (
        "PNG",
        carriers.with_chunks(
            carriers.pngs()["plain"],
            carriers.chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26), 9)),
        ),
    ),
    "many texts": (
        "PNG",
        carriers.with_chunks(carriers.pngs()["plain"], carriers.chunk(b"tEXt", b"a\0b") * 100_000),
    ),
    "riff of nothing": (
        "WEBP",
        b"RIFF" + struct.pack("<I", 800_004) + b"WEBP" + b"abcd\0\0\0\0" * 100_000,
    ),
    "comments of nothing": ("GIF", gif_of_blocks()),
    "a header without end": ("PPM", b"P6 #" + b"x" * 3_000_000),
    "comments without end": ("PPM", b"P2 1 1 255\n" + b"#\n" * 1_150_000 + b"1"),
    "a palette without end": (
        "BMP",
        b"BM"
        + struct.pack("<IHHI", 60, 0, 0, 2**32 - 1)
        + struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 8, 0, 0, 0, 0, 2**32 - 1, 0),
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_bombs(what: str) -> None:
    name, data = BOMBS[what]
    start = time.process_time()
    found = account_for(data, name)
    seconds = time.process_time() - start
    tracemalloc.start()
    try:
        account_for(data, name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 3
    assert peak < MEMORY
    assert len(found.parts) < 600
