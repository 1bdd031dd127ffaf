"""Which tiles are stored exactly: the choice by rate and distortion, with the quality's lambda.

A learned transform promises nothing for pictures unlike those it was trained on: text, flat
drawings, patterns of single pixels. Those cost a lossless coder little. So a tile is coded the way
that has the lesser J = bits + lambda * 255^2 * error; stored exactly, its error is 0. And where
the networks leave a tile below FLOOR, it is stored exactly whatever that costs.

To code every tile both ways would double the time that photographs take. A cheap look at the pixels
comes first: photographs have noise, so few neighbours are equal, and their neighbours differ
little, most of all in colour. A tile within these bounds is coded by the networks, unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.image import vp8l

if TYPE_CHECKING:
    from aecodec.arrays import Pixels
    from aecodec.coding.tile import TileCodec
    from aecodec.entropy.padding import Sides
    from aecodec.geometry import Box
    from aecodec.networks.weights import OperatingPoint

__all__ = ["ExactTiles", "floor", "may_be_exact"]

FEW_PIXELS: Final = 2**10
"""The tiles of a picture with no more are always tried: there is too little to judge by."""
EQUAL: Final = 0.4
"""Share of neighbours that are equal, above which a tile may be a drawing. (Kodak: 0.21.)"""
STEEP: Final = 36.0
COLOURFUL: Final = 16.0
"""Mean differences of neighbours, in green and between red or blue and green, above which a tile
may be a pattern. (Kodak: 16.6 and 2.5.)"""
ROWS: Final = 16
"""One row of so many is looked at."""

FLOOR: Final = ((1, 8.0), (10, 14.0), (30, 22.0), (50, 25.0), (75, 28.0), (90, 32.0), (100, 38.0))
"""Quality, and the least PSNR in dB of a tile. benchmarks/exact.py says what photographs have."""


def floor(quality: int) -> float:
    """The PSNR in dB below which no tile that was looked at stays."""
    qualities, least = zip(*FLOOR, strict=True)
    return float(np.interp(quality, qualities, least))


def may_be_exact(rgb: Pixels, pixels: int) -> bool:
    """Whether a tile rgb (h,w,3) of a picture of so many pixels is worth trying."""
    if pixels <= FEW_PIXELS:
        return True
    rows = rgb[::ROWS]
    equal = rows[:, 1:] == rows[:, :-1]
    if np.mean(equal[..., 0] & equal[..., 1] & equal[..., 2]) > EQUAL:
        return True
    rows = rows.astype(np.int16)
    if np.abs(np.diff(rows[..., 1], axis=1)).mean() > STEEP:
        return True
    colours = rows[..., ::2] - rows[..., 1:2]
    return bool(np.abs(np.diff(colours, axis=1)).mean() > COLOURFUL)


class ExactTiles:
    """The tiles of one picture rgb (H,W,3) that are better stored exactly, by quality."""

    def __init__(self, codec: TileCodec, rgb: Pixels) -> None:
        self._codec, self._rgb = codec, rgb
        self._tried: dict[Box, bool] = {}
        self._streams: dict[Box, bytes] = {}

    def stream(self, box: Box) -> bytes:
        """The payload of a tile that is stored exactly."""
        if box not in self._streams:
            self._streams[box] = vp8l.pack(self._rgb[box.slices()])
        return self._streams[box]

    def choose(self, box: Box, point: OperatingPoint, sides: Sides) -> bool:
        """Whether the tile is to be stored exactly at this operating point."""
        rgb = self._rgb[box.slices()]
        if box not in self._tried:
            self._tried[box] = may_be_exact(rgb, self._rgb.shape[0] * self._rgb.shape[1])
        if not self._tried[box]:
            return False
        latents, coded = self._codec.encode(self._codec.analyse(self._rgb, box), point, sides)
        more = 8 * (len(self.stream(box)) - len(coded))
        if more <= 0:
            return True
        drawn = self._codec.transforms.synthesise(latents.v_hat, box, point, (box.x, box.y))
        error = np.square(drawn.astype(np.float32) - rgb).sum(dtype=np.float64)
        if error > rgb.size * 255.0**2 * 10 ** (-floor(point.quality) / 10):
            return True
        return bool(point.bits_per_error * error / 255.0**2 > more)
