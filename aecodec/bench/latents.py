"""Two views of aecodec's latents: packed without the entropy model, and the bits by place.

`Packed` is a codec with the same networks. Its latents are rounded plainly and packed by zstandard,
as one would do without a model of their probabilities. The difference in size is what the entropy
model saves.
"""

from __future__ import annotations

import struct

import numpy as np
import zstandard

from aecodec import bitstream
from aecodec.arrays import Floats, Pixels
from aecodec.codec import Codec
from aecodec.entropy.padding import TileShape
from aecodec.entropy.steps import map_tables
from aecodec.errors import CorruptError
from aecodec.geometry import Box, ceil_div
from aecodec.networks import weights
from aecodec.networks.weights import Weights

__all__ = ["Packed", "bit_map"]


_HEADER = struct.Struct("<4sIIBB")
_MAGIC = b"aZST"
_TYPES = ("<i1", "<i2", "<i4")
_LEVEL = 19


class Packed:
    """aecodec's transform with zstandard in place of the entropy model and its coder."""

    def __init__(self, chosen: Weights) -> None:
        self.codec = Codec(chosen)

    def encode(self, rgb: Pixels, quality: int) -> bytes:
        """(H,W,3) -> a file. The whole picture is one tile."""
        height, width, _ = rgb.shape
        v = self.codec.tiles.analyse(rgb, Box.of(rgb.shape)) * self.codec.weights.at(quality).gain
        symbols = np.rint(v).astype(np.int32)
        largest = int(np.abs(symbols).max())
        kind = 0 if largest < 2**7 else 1 if largest < 2**15 else 2
        header = _HEADER.pack(_MAGIC, width, height, quality, kind)
        packed: bytes = zstandard.compress(symbols.astype(_TYPES[kind]).tobytes(), _LEVEL)
        return header + packed

    def decode(self, data: bytes) -> Pixels:
        """A file -> (H,W,3). Raises CorruptError for what `encode` did not write."""
        if len(data) < _HEADER.size or data[:4] != _MAGIC:
            raise CorruptError("not a file of packed latents")
        _, width, height, quality, kind = _HEADER.unpack_from(data)
        shape = self.codec.weights.config.latents, ceil_div(height, 16), ceil_div(width, 16)
        try:
            raw = zstandard.decompress(data[_HEADER.size :])
            symbols = np.frombuffer(raw, _TYPES[kind]).reshape(shape)
        except (zstandard.ZstdError, ValueError, IndexError) as error:
            raise CorruptError("the packed latents do not unpack") from error
        transforms, point = self.codec.tiles.transforms, self.codec.weights.at(quality)
        v_hat = symbols.astype(np.float32)
        return transforms.synthesise(v_hat, Box(0, 0, width, height), point)


def bit_map(data: bytes) -> Floats:
    """(ceil(H/16),ceil(W/16)): the bits that an .aec file spends on each 16x16 pixels.

    A symbol's bits are the logarithm of its probability in the table that it was coded with; each
    z, and the step there, counts evenly for its 4x4 latents. Headers are left out.
    """
    container = bitstream.parse(data)
    header = container.header
    codec = Codec(weights.by_id(header.model_id))
    point = codec.weights.at(header.quality, step_maps=header.step_maps)
    channels = codec.weights.config.latents
    made: Floats = np.zeros((ceil_div(header.height, 16), ceil_div(header.width, 16)), np.float32)
    for number, (box, payload) in enumerate(zip(header.grid, container.tiles, strict=True)):
        if number in container.exact:
            made[box.slices(16)] = 8.0 * len(payload) * 256 / (box.w * box.h)
            continue
        tile = TileShape.at(box, header.grid.shape, channels)
        latents = codec.tiles.decode(payload, point, tile)
        spent = []
        for symbols, groups in zip(latents.symbols, latents.groups, strict=True):
            bits = np.zeros(symbols.shape, np.float32)
            coded = ~groups.tables.empty[groups.indexes]
            bits[coded] = groups.tables.costs.each(symbols[coded], groups.indexes[coded])
            spent.append(bits)
        y_bits = tile.board.whole(*spent).sum(axis=0)
        z_bits = point.z_tables.costs(latents.z_hat).sum(axis=0)
        if latents.steps:
            z_bits += map_tables().costs(latents.steps.values[None])[0]
        spread = np.kron(z_bits / 16, np.ones((4, 4), np.float32))[: tile.rows, : tile.columns]
        made[box.slices(16)] = y_bits + spread
    return made
