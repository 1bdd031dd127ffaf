"""What a file decodes to: its pixels as numbers, and its symbols."""

from __future__ import annotations

import numpy as np
from PIL import Image

from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.entropy.padding import TileShape


def pixels(image: Image.Image) -> np.ndarray:
    """The pixels as integers whose differences do not wrap."""
    return np.asarray(image).astype(int)


def decoded_symbols(coder: Codec, data: bytes) -> list[np.ndarray]:
    """z_hat, a map of steps if there is one, the symbols of both steps and their table indexes, of
    every tile."""
    container = bitstream.parse(data)
    header = container.header
    found = []
    point = coder.weights.at(header.quality, step_maps=header.step_maps)
    channels = coder.weights.config.latents
    for box, payload in zip(header.grid, container.tiles, strict=True):
        tile = TileShape.at(box, header.grid.shape, channels)
        latents = coder.tiles.decode(payload, point, tile)
        maps = [] if latents.steps is None else [latents.steps.values]
        indexes = (part.indexes for part in latents.groups)
        found += [latents.z_hat, *maps, *latents.symbols, *indexes]
    return found
