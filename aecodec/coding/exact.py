"""Chooses the tiles that are stored exactly, by rate and distortion.

A learned transform may fail on pictures unlike those of its training: text, flat drawings, patterns
of single pixels. A lossless coder needs few bits for these. So a tile is coded in the way with the
smaller J = bits + lambda * 255^2 * error; the error of exact storage is 0. A tile whose PSNR would
be below FLOOR is always stored exactly.

Coding every tile both ways would double the time for photographs. So a fast test of the pixels
comes first. Photographs have noise, so few neighbours are equal, and few are what the others
foretell. Their neighbours differ little, least of all in colour. A tile within these bounds is
coded by the networks without a trial. Most of the others are photographs, too. A quick stream, of
the least effort, shows that they are: if it is large, and a quarter of its bytes costs more than
the networks' error, the real stream is not made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from aecodec.image import vp8l

if TYPE_CHECKING:
    import numpy.typing as npt

    from aecodec.arrays import Floats, Pixels
    from aecodec.coding.tile import TileCodec
    from aecodec.entropy.padding import Sides
    from aecodec.geometry import Box
    from aecodec.networks.weights import OperatingPoint

__all__ = ["ExactTiles", "floor", "may_be_exact"]

FEW_PIXELS: Final = 2**10
"""Pictures up to this many pixels are always tried: they are too small for the test."""
EQUAL: Final = 0.4
"""Share of neighbours that are equal, above which a tile may be a drawing, and of those that their
neighbours foretell, above which it may be a gradient. (Kodak: 0.21 and 0.14.)"""
STEEP: Final = 36.0
COLOURFUL: Final = 16.0
"""Mean differences of neighbours above which a tile may be a pattern, in green and in red or blue
minus green. (Kodak: 16.6 and 2.5.)"""
ROWS: Final = 8
"""The test reads one row of this many."""

SMALLEST: Final = 0.25
"""The least share of a busy tile's quick stream that the real one is taken to have. (Thumbnails of
photographs and drawings have 0.57 and more, a photograph repeated 16 times 0.28.)"""
BUSY: Final = 0.5
"""Bytes a pixel of a quick stream. With fewer the real stream of a gradient or of a pattern that
repeats may have a twentieth of its bytes."""

FLOOR: Final = ((1, 8.0), (10, 14.0), (30, 22.0), (50, 25.0), (75, 28.0), (90, 32.0), (100, 38.0))
"""Quality, and the least PSNR in dB of a tile."""


def floor(quality: int) -> float:
    """The least PSNR in dB of a tried tile; below it, the tile is stored exactly."""
    qualities, least = zip(*FLOOR, strict=True)
    return float(np.interp(quality, qualities, least))


def may_be_exact(rgb: Pixels, pixels: int) -> bool:
    """Whether exact storage of a tile rgb (h,w,3) is worth a trial, in a picture of `pixels`."""
    if pixels <= FEW_PIXELS or min(rgb.shape[:2]) == 1:  # latents cover 16 rows and columns
        return True
    rows = rgb[::ROWS]
    equal = rows[:, 1:] == rows[:, :-1]
    if _share(equal) > EQUAL or _share(_foretold(rgb)) > EQUAL:
        return True
    rows = rows[::2].astype(np.int16)
    if np.abs(np.diff(rows[..., 1], axis=1)).mean() > STEEP:
        return True
    colours = rows[..., ::2] - rows[..., 1:2]
    return bool(np.abs(np.diff(colours, axis=1)).mean() > COLOURFUL)


def _share(holds: npt.NDArray[np.bool_]) -> float:
    """Of the pixels in (h,w,3), those for which it holds in all channels."""
    return float(np.mean(holds[..., 0] & holds[..., 1] & holds[..., 2])) if holds.size else 0.0


def _foretold(rgb: Pixels) -> npt.NDArray[np.bool_]:
    """Whether values are those left + above - above left, as those of computed gradients are."""
    above, row = (rgb[start::ROWS].astype(np.int16) for start in (0, 1))
    found: npt.NDArray[np.bool_] = np.diff(row, axis=1) == np.diff(above[: len(row)], axis=1)
    return found


class ExactTiles:
    """The choice for the tiles of one picture rgb (H,W,3)."""

    def __init__(self, codec: TileCodec, rgb: Pixels) -> None:
        self._codec, self._rgb = codec, rgb
        self._tried: dict[Box, bool] = {}
        self._streams: dict[Box, bytes] = {}
        self._quick: dict[Box, int] = {}
        self._trials: dict[Box, tuple[OperatingPoint, bytes]] = {}

    def stream(self, box: Box) -> bytes:
        """The payload of an exact tile."""
        if box not in self._streams:
            self._streams[box] = vp8l.pack(self._rgb[box.slices()])
        return self._streams[box]

    def choose(
        self, box: Box, point: OperatingPoint, sides: Sides, importance: Floats | None = None
    ) -> bool:
        """Whether the tile is to be stored exactly at this operating point.

        `importance` is that of `TileCodec.encode`.
        """
        rgb = self._rgb[box.slices()]
        if box not in self._tried:
            self._tried[box] = may_be_exact(rgb, self._rgb.shape[0] * self._rgb.shape[1])
        if not self._tried[box]:
            return False
        y = self._codec.analyse(self._rgb, box)
        latents, coded = self._codec.encode(y, point, sides, importance)
        self._trials[box] = point, coded
        if self._least_size(box) <= len(coded) >= len(self.stream(box)):
            return True
        drawn = self._codec.transforms.synthesise(latents.v_hat, box, point, (box.x, box.y))
        error = np.square(drawn.astype(np.float32) - rgb).sum(dtype=np.float64)
        if error > rgb.size * 255.0**2 * 10 ** (-floor(point.quality) / 10):
            return True
        worth = len(coded) + point.bits_per_error * error / 255.0**2 / 8
        return bool(self._least_size(box) < worth > len(self.stream(box)))

    def trial(self, box: Box, point: OperatingPoint) -> bytes | None:
        """The payload of a tile that `choose` has just made, as if the tile were alone."""
        made, coded = self._trials.get(box, (None, None))
        return coded if made is point else None

    def _least_size(self, box: Box) -> float:
        """The bytes that a tile's stream has at least."""
        if box in self._streams:
            return len(self._streams[box])
        if box not in self._quick:
            self._quick[box] = vp8l.quick_size(self._rgb[box.slices()])
        quick = self._quick[box]
        return SMALLEST * quick if quick > BUSY * box.h * box.w else 0.0
