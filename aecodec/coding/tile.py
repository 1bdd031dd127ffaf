"""One tile: y -> payload -> y_hat, in the order in which it happens.

encoding                                     decoding
v = gain(q) * y                              payload --ANS--> z_hat
v --hyper-analysis, round--> z_hat           z_hat --scale network--> tables of step 0
z_hat --scale network--> tables of step 0    payload --ANS--> symbols s0 of step 0
z_hat --means--> mu0                         z_hat --means--> mu0
s0 = round(v - mu0)                          s0 --scale network--> tables of step 1
s0 --scale network--> tables of step 1       v_hat = s0 + mu0 --context--> mu1
v_hat = s0 + mu0 --context--> mu1            payload --ANS--> symbols s1 of step 1
s1 = round(v - mu1)                          v_hat = s1 + mu1
z_hat, s0, s1 --ANS--> payload

The symbols of step 0 are the anchors of a checkerboard, those of step 1 the others (He et al. 2021,
`entropy/checkerboard.py`). y_hat = v_hat / gain(q). Where a file has maps of steps, the map is
coded after z_hat. Then v - mu is divided by the step before it is rounded, s is multiplied by it
before mu is added, and the scale network sees it (`entropy/steps.py`).

What can run beside is handed to `Runtime.submit` where it may begin, and asked for where it is
needed: the means (floats) beside the scale network and the coder (integers).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aecodec.coding.analysis import Analysis
from aecodec.coding.quantisation import Quantiser
from aecodec.entropy.coder import Decoder, Encoder
from aecodec.entropy.padding import ALONE, Sides, TileShape
from aecodec.entropy.scales import Scales
from aecodec.entropy.steps import StepMap, decode_map, map_tables
from aecodec.errors import CorruptError
from aecodec.networks.means import MeanFeatures, Means, completed, interpolated
from aecodec.networks.transforms import Transforms
from aecodec.stages import stage

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Ints, Pixels
    from aecodec.entropy.checkerboard import Checkerboard
    from aecodec.entropy.tables import Groups
    from aecodec.geometry import Box
    from aecodec.networks.runtime import Runtime
    from aecodec.networks.weights import OperatingPoint, Weights

__all__ = ["Latents", "SideInfo", "TileCodec"]

_HASH_SIZE = 4


class SideInfo(NamedTuple):
    """Side information: what a decoder knows of a tile from z_hat alone, before its symbols."""

    z_hat: Ints  # (N,rows/4,columns/4)
    point: OperatingPoint
    tile: TileShape
    scales: Scales  # integers: the symbols' tables
    features: Callable[[], MeanFeatures]  # floats, for the means; computed beside
    steps: StepMap | None = None

    def bin_width(self, board: Checkerboard, step: int) -> Floats | None:
        """The row of quantisation steps, or None where they are all 1."""
        return None if self.steps is None else self.steps.row(board, step)


class Latents(NamedTuple):
    """The quantised latents of a tile: what is coded, and the input of the synthesis."""

    z_hat: Ints  # (N,rows/4,columns/4)
    symbols: tuple[Ints, Ints]  # the row of each step: checkerboard.py
    groups: tuple[Groups, Groups]  # the symbols' tables
    v_hat: Floats  # (M,rows,columns), or its first channels
    steps: StepMap | None = None


class TileCodec:
    """One set of weights, ready to code tiles. Safe to share between threads."""

    def __init__(self, weights: Weights, runtime: Runtime) -> None:
        self.weights = weights
        self.runtime = runtime
        self.scale_network = weights.checked_scale_network()
        self.means = Means(weights.config, runtime)
        self.transforms = Transforms(weights, runtime)

    # --- A tile's encoder and its decoder ---------------------------------------------------------

    def encode(
        self,
        y: Floats,
        point: OperatingPoint,
        sides: Sides = ALONE,
        importance: Floats | None = None,
    ) -> tuple[Latents, bytes]:
        """The latents of a tile's y (M,rows,columns), and its payload.

        `sides` are those on which the tile has neighbours; `importance` (rows/4,columns/4) is what
        a person adds to its map of steps.
        """
        encoder = Encoder()
        v, tile = point.gain * y, TileShape.of(y, sides)
        z_hat = self.transforms.hyper_analyse(v, tile)
        side = self.side_info(z_hat, point, tile, self.steps(point, tile, importance))
        latents = self.quantise_given(v, side, encoder)
        return latents, self._encode_others(encoder, latents)

    def quantise_given(self, v: Floats, side: SideInfo, encoder: Encoder | None = None) -> Latents:
        """The latents of v (M,rows,columns), given the side information.

        With an encoder, z_hat and step 0 are coded while the context computes the means of step 1.
        """
        tables, submit, board = self.weights.y_tables, self.runtime.submit, side.tile.board
        quantise = Quantiser(self.weights.y_thresholds, side.point.dead_zone)
        groups0 = submit(tables[0].groups, side.scales.first)
        features = side.features()
        mu0, s = self.means.first(features), board.row(v, 0)
        s0 = quantise(0, s, mu0, side.scales.first, side.bin_width(board, 0))
        indexes1 = submit(side.scales.after, s0)
        coded = submit(self._encode_anchors, encoder, side, s0, groups0) if encoder else None
        v_hat = board.whole(completed(s, mu0, side.bin_width(board, 0)))
        mu1, s = self.means.second(features, v_hat), board.row(v, 1)
        groups1 = submit(tables[1].groups, indexes1())
        s1 = quantise(1, s, mu1, indexes1(), side.bin_width(board, 1))
        board.put(completed(s, mu1, side.bin_width(board, 1)), v_hat, 1)
        if coded:
            coded()
        return Latents(side.z_hat, (s0, s1), (groups0(), groups1()), v_hat, side.steps)

    def decode(
        self,
        payload: bytes,
        point: OperatingPoint,
        tile: TileShape,
        channels: int | None = None,
    ) -> Latents:
        """The latents from the payload of a tile.

        All symbols must be decoded to reach the last ones, but with `channels` v_hat holds so many
        of the first channels alone, or a few more: a preview needs no others. Raises CorruptError
        if the hash of the symbols differs, so wrong symbols never become a picture.
        """
        tables, submit, board = self.weights.y_tables, self.runtime.submit, tile.board
        few = tile
        if channels is not None:  # the context reads some that a preview does not need
            few = tile.of_channels(max(channels, self.weights.config.context_known))
        decoder = Decoder(payload[_HASH_SIZE:])
        side, groups0, s0 = self._decode_anchors(decoder, point, tile)
        means1 = submit(self._means_of_others, side, few, board.first(s0, 0, few.channels))
        groups1 = tables[1].groups(side.scales.after(s0))
        s1 = decoder.take(groups1)
        decoder.finish()
        if _hash_of(side.z_hat, side.steps, (s0, s1)) != payload[:_HASH_SIZE]:
            raise CorruptError("the decoded latents are not those that were written")
        with stage("means"):
            v_hat, mu1 = means1()
        v_hat = v_hat[: few.channels]
        row = board.first(s1, 1, few.channels).astype(np.float32)
        few.board.put(completed(row, mu1, side.bin_width(few.board, 1)), v_hat, 1)
        return Latents(side.z_hat, (s0, s1), (groups0, groups1), v_hat, side.steps)

    def decode_half(
        self, payload: bytes, point: OperatingPoint, tile: TileShape, channels: int
    ) -> Floats:
        """v_hat (channels,rows,columns) whose elements of step 0 alone are decoded.

        The others are estimated. It takes two fifths of the time of `decode`. The hash, which is
        that of all symbols, is not checked.
        """
        decoder, few = Decoder(payload[_HASH_SIZE:]), tile.of_channels(channels)
        side, _, s0 = self._decode_anchors(decoder, point, tile)
        features = side.features()._replace(tile=few)
        row = tile.board.first(s0, 0, channels).astype(np.float32)
        bin_width = side.bin_width(few.board, 0)
        v_hat = few.board.whole(completed(row, self.means.first(features), bin_width))
        return interpolated(v_hat, few.board)

    def _decode_anchors(
        self, decoder: Decoder, point: OperatingPoint, tile: TileShape
    ) -> tuple[SideInfo, Groups, Ints]:
        """The side information of a tile, and the symbols of step 0 with their groups."""
        z_hat = point.z_tables.decode(decoder, tile.z_rows, tile.z_columns)
        steps = decode_map(decoder, tile) if point.step_maps else None
        side = self.side_info(z_hat, point, tile, steps)
        groups = self.weights.y_tables[0].groups(side.scales.first)
        return side, groups, decoder.take(groups)

    def side_info(
        self, z_hat: Ints, point: OperatingPoint, tile: TileShape, steps: StepMap | None = None
    ) -> SideInfo:
        """The side information of z_hat (N,rows/4,columns/4), and of a map of steps."""
        features = self.runtime.submit(self.means.features, z_hat, point, tile)
        scales = Scales(self.scale_network, z_hat, point.quality, tile, steps)
        return SideInfo(z_hat, point, tile, scales, features, steps)

    def _encode_anchors(
        self, encoder: Encoder, side: SideInfo, s0: Ints, groups0: Callable[[], Groups]
    ) -> None:
        _encode_side(encoder, side.point, side.z_hat, side.steps)
        encoder.add(s0, groups0())

    def _encode_others(self, encoder: Encoder, latents: Latents) -> bytes:
        hashed = self.runtime.submit(_hash_of, latents.z_hat, latents.steps, latents.symbols)
        encoder.add(latents.symbols[1], latents.groups[1])
        coded = encoder.finish()
        return hashed() + coded

    def _means_of_others(self, side: SideInfo, few: TileShape, s0: Ints) -> tuple[Floats, Floats]:
        """v_hat (M,rows,columns) of step 0, zero elsewhere, and the row of means of step 1.

        s0 and the means are rows of the first channels, which `few` has.
        """
        features = side.features()._replace(tile=few)
        mu0, bin_width = self.means.first(features), side.bin_width(few.board, 0)
        v_hat = np.zeros((side.tile.channels, few.rows, few.columns), np.float32)
        few.board.put(completed(s0.astype(np.float32), mu0, bin_width), v_hat[: few.channels], 0)
        return v_hat, self.means.second(features, v_hat)

    def steps(
        self, point: OperatingPoint, tile: TileShape, importance: Floats | None
    ) -> StepMap | None:
        """The map of steps of one pass; None where the file has no maps."""
        if not point.step_maps:
            return None
        even = np.zeros((tile.z_rows, tile.z_columns), np.float32)
        return StepMap.of(even if importance is None else importance, tile)

    # --- Parts of it, for searches ----------------------------------------------------------------

    def analyse(self, rgb: Pixels, box: Box) -> Floats:
        """y (M,ceil(h/16),ceil(w/16)) of the tile `box` of rgb (H,W,3), with what surrounds the
        tile.

        The box begins at multiples of 16 pixels.
        """
        return Analysis(self.transforms, rgb, [box])(box)

    def quantise(
        self,
        y: Floats,
        point: OperatingPoint,
        sides: Sides = ALONE,
        importance: Floats | None = None,
    ) -> Latents:
        """The latents that `encode` codes."""
        v, tile = point.gain * y, TileShape.of(y, sides)
        z_hat = self.transforms.hyper_analyse(v, tile)
        steps = self.steps(point, tile, importance)
        return self.quantise_given(v, self.side_info(z_hat, point, tile, steps))

    def encode_latents(self, latents: Latents, point: OperatingPoint) -> bytes:
        """The payload of latents."""
        encoder = Encoder()
        _encode_side(encoder, point, latents.z_hat, latents.steps)
        encoder.add(latents.symbols[0], latents.groups[0])
        return self._encode_others(encoder, latents)

    def rate(self, latents: Latents, point: OperatingPoint) -> float:
        """The ideal length of a tile's symbols in bits."""
        rows = zip(latents.symbols, latents.groups, strict=True)
        y_bits = sum(groups.tables.costs.total(symbols, groups) for symbols, groups in rows)
        side = point.z_tables.bits(latents.z_hat)
        if latents.steps:
            side += map_tables().bits(latents.steps.values[None])
        return side + y_bits


def _hash_of(z_hat: Ints, steps: StepMap | None, symbols: tuple[Ints, Ints]) -> bytes:
    """The hash of all that is coded of a tile."""
    return _hash(z_hat, *([] if steps is None else [steps.values]), *symbols)


def _encode_side(
    encoder: Encoder, point: OperatingPoint, z_hat: Ints, steps: StepMap | None
) -> None:
    point.z_tables.encode(encoder, z_hat)
    if steps:
        map_tables().encode(encoder, steps.values[None])


def _hash(*arrays: Ints) -> bytes:
    """CRC-32 over all symbols of these arrays, each as int32 little-endian in C order."""
    found = 0
    for array in arrays:
        found = zlib.crc32(array.astype("<i4", order="C", copy=False).data, found)
    return found.to_bytes(_HASH_SIZE, "little")
