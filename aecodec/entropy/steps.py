"""The map of steps: how finely each 64x64 pixels of a tile are quantised.

A file whose header has the flag STEPS holds such a map in every TILE: an integer m from -8 to 8 for
each place of z_hat, coded after z_hat. It changes two things for the latents of that place:

    v_hat = symbol * unit(m) / 4096 + mu
    index = clip(index of the scale network, before it is clipped, + m, 0, the last table)

where unit(m) is, for m = -8 ... 8,

    10485, 9322, 8289, 7370, 6553, 5827, 5181, 4607, 4096, 3642, 3238, 2879, 2560, 2276, 2024, 1800,
    1600

The quantisation step falls by a sixth of an octave for each unit of m, as the scales of a table do.
In step 1 the scale network sees the symbols of step 0 as they would be with m = 0: in place of
|symbol| it takes floor((min(|symbol|, 1023) * unit(m) + 2048) / 4096). Everything else, z_hat and
the means too, is as without a map.

The map is coded as one channel of z_hat is, with a slope of 256 and these two tables, of the low
escape, of -8 ... 8, and of the high escape. The numbers are probabilities times 1024.

    first half    1  2 14 12  4  4  7 43 236 377 196 88 23  8  2  4  1  1  1
    second half   1  1  1  1  1  5 17 58 257 435 181 48 10  3  1  1  1  1  1

An element beyond -8 ... 8 is an error.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np

from aecodec.arrays import Floats, Ints
from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.coder import Decoder
from aecodec.entropy.fixed_point import (
    PRECISION,
    STEP_COUNTS,
    STEP_LARGEST,
    STEP_LIMIT,
    STEP_TABLES,
    STEP_UNIT_BITS,
    STEP_UNITS,
)
from aecodec.entropy.hyperlatents import HyperTables
from aecodec.entropy.padding import TileShape
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError

__all__ = ["StepMap", "decode_map", "map_tables"]

_SLOPE: Final = 256


@functools.cache
def map_tables() -> HyperTables:
    """The tables of maps, which are coded as one channel of z_hat."""
    probabilities = np.array(STEP_COUNTS, np.uint32).ravel() * np.uint32(1 << (PRECISION - 10))
    sizes = np.full(2, len(STEP_COUNTS[0]), np.int32), np.full(2, -STEP_LIMIT, np.int32)
    return HyperTables(TableSet(probabilities, *sizes), np.array([_SLOPE], np.int32))


def decode_map(decoder: Decoder, tile: TileShape) -> StepMap:
    """The next symbols as the map of a tile. Raises CorruptError for impossible ones."""
    values = map_tables().decode(decoder, tile.z_rows, tile.z_columns)[0]
    if int(np.abs(values).max()) > STEP_LIMIT:
        raise CorruptError(f"a step beyond {STEP_LIMIT} in a map")
    return StepMap(values, tile)


class StepMap:
    """A tile's map (h64,w64) of integers up to STEP_LIMIT, and what it means for the latents."""

    def __init__(self, values: Ints, tile: TileShape) -> None:
        self.values = values
        wide = values.repeat(4, axis=0).repeat(4, axis=1)[: tile.rows, : tile.columns]
        parity = tile.board.parity()
        # Of the places of each parity, in raster order, as a checkerboard's blocks have them.
        self._places = [wide[parity == p] for p in (0, 1)]
        self._units = [np.array(STEP_UNITS, np.int32)[STEP_LIMIT + at] for at in self._places]

    @classmethod
    def of(cls, wanted: Floats, tile: TileShape) -> StepMap:
        """The map nearest to what is wanted (h64,w64), of any numbers."""
        whole = np.clip(np.rint(wanted), -STEP_LIMIT, STEP_LIMIT)
        return cls(whole.astype(np.int32), tile)

    def tables(self, parity: int) -> Ints:
        """How many tables further the scales are, by place of this parity, row by row."""
        further: Ints = STEP_TABLES * self._places[parity]
        return further

    def row(self, board: Checkerboard, step: int) -> Floats:
        """The quantisation steps of a row; `board` may have the first channels alone."""
        row = np.empty(board.sizes[step], np.float32)
        for _, parity, block in board.blocks(row, step):
            block[:] = self._units[parity] * 2.0**-STEP_UNIT_BITS
        return row

    def sizes(self, magnitudes: Ints, parity: int) -> Ints:
        """The magnitudes (channels,places) of symbols, as they would be without a map."""
        scaled: Ints = np.minimum(magnitudes, STEP_LARGEST) * self._units[parity]
        scaled += 1 << (STEP_UNIT_BITS - 1)
        scaled >>= STEP_UNIT_BITS
        return scaled
