"""The shapes of the PNG suite, made here: every colour type and depth, interlaced and not."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest

from aecodec.image.load import load

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS = [
    *((GREY, depth) for depth in (1, 2, 4, 8, 16)),
    *((PALETTE, depth) for depth in (1, 2, 4, 8)),
    *((kind, depth) for kind in (COLOUR, GREY_ALPHA, COLOUR_ALPHA) for depth in (8, 16)),
]
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7.append((0, 1, 1, 2))  # x, y, step in x, step in y
TABLE = np.random.default_rng(7).integers(0, 256, (256, 3), np.uint8)


def samples_of(kind: int, depth: int, width: int, height: int) -> npt.NDArray[np.int64]:
    """Any values, (H, W, C)."""
    random = np.random.default_rng(width * 64 + height)
    return random.integers(0, 2**depth, (height, width, CHANNELS[kind]))


def rows(values: npt.NDArray[np.int64], depth: int) -> bytes:
    """Scan lines, packed into bytes, without a filter."""
    out = b""
    for row in values.reshape(len(values), -1) if values.size else ():
        bits = (row[:, None] >> np.arange(depth)[::-1]) & 1
        out += b"\0" + np.packbits(bits.astype(np.uint8).ravel()).tobytes()
    return out


def png(
    values: npt.NDArray[np.int64], kind: int, depth: int, *, interlaced: bool, extra: bytes = b""
) -> bytes:
    height, width = values.shape[:2]
    if interlaced:
        content = b"".join(rows(values[y::dy, x::dx], depth) for x, y, dx, dy in ADAM7)
    else:
        content = rows(values, depth)
    start = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    body = chunk(b"IHDR", start) + extra + chunk(b"IDAT", zlib.compress(content))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def palette(depth: int) -> bytes:
    return chunk(b"PLTE", TABLE[: 2**depth].tobytes())


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("kind", "depth"), DEPTHS)
@pytest.mark.parametrize("size", [(32, 32), (1, 1), (3, 7), (37, 9)])
def test_every_shape(kind: int, depth: int, size: tuple[int, int], interlaced: bool) -> None:
    values = samples_of(kind, depth, *size)
    extra = palette(depth) if kind == PALETTE else b""
    picture = load(png(values, kind, depth, interlaced=interlaced, extra=extra))
    assert (picture.width, picture.height) == size

    alpha = values[..., -1] if kind in (GREY_ALPHA, COLOUR_ALPHA) else None
    if kind == PALETTE:
        np.testing.assert_array_equal(picture.rgb, TABLE[values[..., 0]])
        assert picture.mode == "RGB"
        return
    colours = values if alpha is None else values[..., :-1]
    eight = colours * 255 / (2**depth - 1)
    # Pillow takes the upper byte of 16 bits a channel where there are several: half a level off.
    slack = 1 if depth == 16 else 0
    assert np.abs(picture.rgb - np.broadcast_to(np.rint(eight), picture.rgb.shape)).max() <= slack
    assert picture.mode == {GREY: "L", COLOUR: "RGB", GREY_ALPHA: "LA", COLOUR_ALPHA: "RGBA"}[kind]
    if alpha is not None:
        assert picture.alpha is not None
        assert np.abs(picture.alpha - np.rint(alpha * 255 / (2**depth - 1))).max() <= slack


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_palettes(depth: int) -> None:
    values = samples_of(PALETTE, depth, 20, 11)
    alphas = np.arange(2**depth, dtype=np.uint8)[::-1]
    extra = palette(depth) + chunk(b"tRNS", alphas.tobytes())
    picture = load(png(values, PALETTE, depth, interlaced=False, extra=extra))
    assert picture.mode == "RGBA"
    np.testing.assert_array_equal(picture.alpha, alphas[values[..., 0]])
    np.testing.assert_array_equal(picture.rgb, TABLE[values[..., 0]])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_grey(depth: int) -> None:
    values = samples_of(GREY, depth, 20, 11)
    extra = chunk(b"tRNS", struct.pack(">H", 1))
    picture = load(png(values, GREY, depth, interlaced=False, extra=extra))
    assert picture.mode == "LA"
    np.testing.assert_array_equal(picture.alpha, np.where(values[..., 0] == 1, 0, 255))
