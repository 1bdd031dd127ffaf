"""Damage in entropy-coded data shows by how much of them the decoder needs."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import samples
from PIL import Image

from aecodec.errors import InputError
from aecodec.image.load import load
from aecodec.image.parts import account_for
from aecodec.image.parts.account import DAMAGED

SAYS = f"{DAMAGED}: blocks of the picture are missing or wrong"
SECTOR = 512


def jpeg(mode: str = "RGB", size: tuple[int, int] = (320, 240), **options: object) -> bytes:
    image = samples.photograph(box=(0, 0, 400, 300)).resize(size).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 92, **options})
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_rows": 1}, {"progressive": True}],
    ids=str,
)
@pytest.mark.parametrize("size", [(320, 240), (1, 1), (9, 300), (17, 33)], ids=str)
def test_of_a_whole_picture_nothing_is_said_and_no_pixel_changes(
    mode: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    data = jpeg(mode, size, **options)
    picture = load(data)
    assert not any(DAMAGED in note for note in picture.notes)
    if mode != "CMYK":
        plain = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(picture.rgb, plain)


@pytest.mark.parametrize("content", ["zeros", "foreign data"])
def test_nearly_every_bad_sector_is_found(content: str) -> None:
    """By markers that do not belong there, or by blocks that are missing. Not found is a sector
    that happens to make as many blocks as were there."""
    data = jpeg()
    scan = account_for(data, "JPEG").scan
    assert scan is not None
    chance = random.Random(3)
    found = 0
    for _ in range(100):
        at = chance.randrange(scan[0], scan[1] - SECTOR)
        sector = bytes(SECTOR) if content == "zeros" else chance.randbytes(SECTOR)
        try:
            notes = load(data[:at] + sector + data[at + SECTOR :]).notes
        except InputError:
            found += 1
        else:
            found += any(DAMAGED in note for note in notes)
    assert found >= 90


def test_zeros_are_no_damage_where_they_are_flat_blocks() -> None:
    buffer = io.BytesIO()
    Image.new("L", (1600, 1600), 200).save(buffer, "JPEG", optimize=True)
    scan = account_for(buffer.getvalue(), "JPEG").scan
    assert scan is not None
    assert bytes(512) in buffer.getvalue()[scan[0] : scan[1]]
    assert load(buffer.getvalue()).notes == ()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_an_early_end_is_found(part: float) -> None:
    """Pillow takes it for a picture whose rest is grey."""
    data = jpeg()
    scan = account_for(data, "JPEG").scan
    assert scan is not None
    cut = data[: scan[0] + int(part * (scan[1] - scan[0]))] + b"\xff\xd9"
    Image.open(io.BytesIO(cut)).load()
    assert SAYS in load(cut).notes
