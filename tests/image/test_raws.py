"""Camera raws are refused by name; what is developed from them is a picture."""

from __future__ import annotations

import io
import struct
from typing import TypeAlias

import numpy as np
import pytest
from PIL import Image
from tiffs import Ifd, picture, tiff

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.raws import kind_of

THUMB = np.full((8, 12, 3), 90, np.uint8)
SENSOR = np.arange(60 * 40, dtype=np.uint16).reshape(40, 60)
Tags: TypeAlias = "dict[int, tuple[int, object]]"
CFA: Tags = {33421: (3, [2, 2]), 33422: (1, bytes([0, 1, 1, 2]))}


def preview(make: str, tags: Tags | None = None, **options: object) -> Ifd:
    said = {254: (4, 1), 271: (2, make), **(tags or {})}
    return picture([THUMB.tobytes()], 12, 8, tags=said, **options)  # type: ignore[arg-type]


def sensor(photometric: int = 32803, compression: int = 1, tags: Tags | None = None) -> Ifd:
    return picture(
        [SENSOR.tobytes()],
        60,
        40,
        photometric=photometric,
        bits=[16],
        compression=compression,
        tags={254: (4, 0), **(tags or {})},
    )


def nested(make: str, raw: Ifd) -> bytes:
    return tiff(preview(make, subs={330: [raw]}))


RAWS = {
    "DNG": [tiff(preview("Phone", tags={50706: (1, [1, 4, 0, 0])}, subs={330: [sensor()]}))],
    "Nikon NEF": [
        nested("NIKON CORPORATION", sensor(compression=34713)),
        nested("NIKON", sensor()),
    ],
    "Sony ARW": [nested("SONY", sensor(1, 32767)), nested("SONY", sensor(1, 7))],
    "Canon CR2": [b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + tiff(preview("Canon"))[8:]],
    "Pentax PEF": [
        tiff(
            picture(
                [SENSOR.tobytes()],
                60,
                40,
                photometric=32803,
                bits=[16],
                compression=65535,
                tags={271: (2, "PENTAX Corporation")},
            )
        )
    ],
    "Samsung SRW": [nested("SAMSUNG", sensor(compression=32770))],
    "Hasselblad 3FR": [nested("Hasselblad", sensor())],
    "Phase One IIQ": [tiff(preview("Phase One A/S"), sensor(1, 1))],
    "Epson ERF": [nested("SEIKO EPSON CORP.", sensor(compression=32769))],
    "Kodak DCR": [nested("Kodak", sensor(compression=65000))],
    "Mamiya MEF": [nested("Mamiya-OP Co.,Ltd.", sensor())],
    "Leaf MOS": [nested("Leaf", sensor())],
    "unknown camera": [nested("Nobody Knows", sensor())],
    "Fujifilm RAF": [b"FUJIFILMCCD-RAW 0201FF" + bytes(100)],
    "Olympus ORF": [b"IIRO\x08\0\0\0" + bytes(100), b"IIRS\x08\0\0\0" + bytes(100)],
    "Panasonic RW2": [b"IIU\0\x08\0\0\0" + bytes(100)],
    "Canon CR3": [b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100)],
    "Canon CRW": [b"II\x1a\0\0\0HEAPCCDR" + bytes(100)],
    "Sigma X3F": [b"FOVb" + bytes(100)],
    "Minolta MRW": [b"\0MRM" + bytes(100)],
}


@pytest.mark.parametrize("kind", RAWS)
def test_raws_are_refused_by_name(kind: str) -> None:
    for data in RAWS[kind]:
        assert kind_of(memoryview(data)) == kind
        with pytest.raises(InputError) as caught:
            load(data)
        assert str(caught.value) == f"a camera raw ({kind}): develop it first"


def test_dng_in_every_place_and_order() -> None:
    version: Tags = {50706: (1, [1, 6, 0, 0])}
    for order in "<>":
        for data in (
            tiff(picture([THUMB.tobytes()], 12, 8, tags=version), order=order),
            tiff(picture([THUMB.tobytes()], 12, 8), sensor(tags=version), order=order),
            tiff(
                picture([THUMB.tobytes()], 12, 8, subs={330: [sensor(tags=version)]}), order=order
            ),
        ):
            assert kind_of(memoryview(data)) == "DNG"
    linear = tiff(picture([THUMB.tobytes()], 12, 8, subs={330: [sensor(34892)]}))
    assert kind_of(memoryview(linear)) == "unknown camera"
    chained = tiff(picture([THUMB.tobytes()], 12, 8), sensor(1, tags=CFA))
    assert kind_of(memoryview(chained)) == "unknown camera"


def test_what_is_no_raw() -> None:
    """Pictures of cameras, developed, with previews, in several pages."""
    big, small = np.zeros((40, 60, 3), np.uint8), THUMB
    camera = {271: (2, "NIKON CORPORATION"), 272: (2, "Z 9")}
    main = picture([big.tobytes()], 60, 40, tags=camera)
    reduced = picture([small.tobytes()], 12, 8, tags={254: (4, 1)})
    files = [
        tiff(main),
        tiff(main, reduced),
        tiff(picture([big.tobytes()], 60, 40, tags=camera, subs={330: [reduced]})),
        tiff(main, main),
    ]
    exif = Image.Exif()
    exif[271] = "SONY"
    exif.get_ifd(0x8769)[41730] = bytes([2, 0, 2, 0, 0, 1, 1, 2])  # CFAPattern of Exif
    for format in ("TIFF", "JPEG", "PNG"):
        buffer = io.BytesIO()
        Image.fromarray(big).save(buffer, format, exif=exif)
        files.append(buffer.getvalue())
    for data in files:
        assert kind_of(memoryview(data)) is None
        assert load(data).rgb.shape == (40, 60, 3)


def test_a_scanners_reduced_copy_first_is_no_raw() -> None:
    data = tiff(preview("EPSON"), picture([bytes(7200)], 60, 40))
    assert kind_of(memoryview(data)) is None
    assert load(data).notes  # but the larger picture is not lost without a word


def test_hostile_beginnings() -> None:
    rng = np.random.default_rng(26)
    data = bytearray(nested("NIKON CORPORATION", sensor()))
    for _ in range(500):
        mutated = bytearray(data)
        for _ in range(int(rng.integers(1, 9))):
            mutated[int(rng.integers(len(data)))] = int(rng.integers(256))
        kind_of(memoryview(mutated)[: int(rng.integers(len(data)))])
    loop = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<HHHIII", 1, 330, 4, 1, 8, 8)
    assert kind_of(memoryview(loop)) is None
