"""The integer scale network: from z_hat and the quality to a table index for every latent.

    z_hat (N,h64,w64) int32, q --Scales--> table indexes of step 0, then of step 1

Every activation is an integer of magnitude ACTIVATION_LIMIT = 4095 at most, with 8 bits after the
point; the weights of a layer have WEIGHT_BITS[layer] of them: input and up 10, dw64, dw16, near and
fine 7, output and correction 6, magnitude 5. MIXED_LIMIT is 8191, Z_SHIFT 4
(`entropy/fixed_point.py`). Every sum is bounded by the weights, |acc| < 2^31. Float64 holds such
sums exactly in any order, and so does float32 those of layers whose weights bound them by 2^24.
(Before a float64 is rounded down, 1/2 is added to the integer, so that even an inexact
algorithm would give the right result.) Requantisation of a layer's sums, its bias included, is
floor((acc + 2^(k-1)) / 2^k) with its k = WEIGHT_BITS. No exp and no division. `scale.LAYER.weight`
is (O,I) for a 1x1 layer and (C,3,3) for a 3x3 one, which sees each channel alone (weight [c,1,1]
for the place itself, [c,0,0] for the one above and to the left); `scale.LAYER.bias` is (O) or (C),
and correction has none. Layers, in order (all tensors channels-last here):

    a = clip(z_hat << Z_SHIFT)
    a = act(requantise(input 1x1) + level_bias[q])
    a = act(requantise(dw64 3x3))
    a = act(requantise(up 1x1), pixel-shuffled by 4)
    a = act(requantise(dw16 3x3))
    index = clip((requantise(output 1x1) + index_offset[q, step] + 2^7) >> 8, 0, 63)

with clip to ACTIVATION_LIMIT where nothing else is said, act(a) = clip(a where a >= 0 else
floor((a + 4) / 8)), 63 being the last of `scale.tables`, and biases and offsets from
`scale.level_bias` and `scale.index_offset`. Shuffled, output 16 c + 4 r + s of `up` at the place
(i, j) of z_hat becomes channel c at the latent (4 i + r, 4 j + s). In step 1 `output` adds up more,
of the symbols of step 0 (0 at the other elements):

    b = sizes[min(|symbol|, 127)] of `scale.sizes`: 2^8 log2(1 + |symbol|), rounded
    b = clip(requantise(magnitude 1x1)) to MIXED_LIMIT
    b = requantise(near 3x3)
    b = act(b + requantise(fine 1x1, of a))
    index as above, of requantise(output 1x1 of a + correction 1x1 of b)

Outside a picture the 3x3 layers see zeros, also after the last latents where z_hat has room for
more. At an inner edge of a tile they see the padding of `entropy/padding.py`: one more row or
column of z_hat, repeated, with which all layers up to dw16 are computed (beyond it dw64 sees zeros;
of the four rows or columns that it becomes, dw16 sees the nearest one, and what it gives for that
is thrown away); and before `near` one more of b, reflected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from aecodec import forks, machine
from aecodec.arrays import AT_ONCE, Array, Exact, Indexes, Ints, Longs, Places
from aecodec.entropy.fixed_point import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    LEAK_SHIFT,
    MIXED_LIMIT,
    WEIGHT_BITS,
    Z_SHIFT,
)
from aecodec.entropy.padding import TileShape, reflected, repeated
from aecodec.entropy.product import product
from aecodec.entropy.steps import StepMap
from aecodec.stages import stage

__all__ = [
    "KnownAnswers",
    "ScaleNetwork",
    "ScaleParameters",
    "Scales",
    "bounds",
    "one_blas_thread",
]

_TO_INDEX = 2.0 ** -(WEIGHT_BITS["output"] + ACTIVATION_BITS)
"""The value of one unit of a sum before its requantisation, in indexes."""
_HALF = 0.5
"""Added in float64 before `floor(x * 2^-k)`: changes nothing, and an error below 1/2 neither."""
_SINGLE = 1 << 24
"""Float32 holds all integers below it."""


class _Layer(NamedTuple):
    """Integers, stored as floats that hold the sums of the layer exactly."""

    weight: Exact
    bias: Exact  # and what a requantisation adds
    bits: int


def _shift(acc: Exact, bits: int) -> Exact:
    """floor(acc * 2^-bits), in place."""
    acc *= 2.0**-bits
    return np.floor(acc, out=acc)


def _activate(a: Exact) -> Exact:
    """Overwrites a. For integers floor((a + 4) / 8) is greater than a only if a is below 0."""
    leaked = a + 2.0 ** (LEAK_SHIFT - 1)
    leaked *= 2.0**-LEAK_SHIFT
    np.floor(leaked, out=leaked)
    np.maximum(a, leaked, out=a)
    return np.clip(a, -ACTIVATION_LIMIT, ACTIVATION_LIMIT, out=a)


def _pointwise(a: Exact, layer: _Layer) -> Exact:
    """(n,I) with weight (I,O) -> (n,O), requantised."""
    acc = product(a.astype(layer.weight.dtype, copy=False), layer.weight)
    acc += layer.bias
    return _shift(acc, layer.bits)


def _depthwise(a: Exact, layer: _Layer) -> Exact:
    """(h,w,C) with weight (3,3,C), zero-padded -> (h,w,C), requantised."""
    h, w, channels = a.shape
    padded = np.zeros((h + 2, w + 2, channels), layer.weight.dtype)
    padded[1:-1, 1:-1] = a
    # Whole rows at once, and no more of them than stay in the cache. einsum multiplies and adds in
    # one pass through the memory; all sums are exact, so that their order is of no account.
    padded = padded.reshape(h + 2, -1)
    taps, bias = np.tile(layer.weight, w), np.tile(layer.bias, w)
    out = np.empty((h, w * channels), layer.weight.dtype)
    down, right = padded.strides[0], channels * padded.itemsize
    some = max(1, AT_ONCE // (w * channels))
    for first in range(0, h, some):
        acc = out[first : first + some]
        near = np.lib.stride_tricks.as_strided(
            padded[first:], (3, 3, *acc.shape), (down, right, *padded.strides), writeable=False
        )
        np.einsum("ijyx,ijx->yx", near, taps, out=acc)
        acc += bias
        _shift(acc, layer.bits)
    return out.reshape(h, w, channels)


class _OneBlasThread:
    """Keeps BLAS to one thread while one of our threads is inside.

    The products are small. The threads of OpenBLAS would spin for a while after each, on the cores
    that the float networks need.

    OpenBLAS keeps a buffer for every thread that multiplies at the same time, and ends the process
    where it gets no memory for one. So where addresses are limited, one thread at a time is inside,
    and the one buffer is taken at once after it was asked for.
    """

    def __init__(self) -> None:
        self._lock = forks.Lock()
        self._alone = forks.Lock()
        self._here = threading.local()  # is_alone: whether this thread holds that lock
        self._has_buffer = False
        self._inside = 0
        self._controller: ThreadpoolController | None = None
        self._limit: AbstractContextManager[object] | None = None
        forks.renewed(self._leave_all)

    def _leave_all(self) -> None:
        """In a forked child no thread is inside."""
        if self._inside and self._limit is not None:
            self._limit.__exit__(None, None, None)
        self._inside = 0
        self._has_buffer = self._here.is_alone = False

    def _require_buffer(self) -> None:
        """Raises MemoryError where there is too little for it."""
        if not self._has_buffer:
            machine.require(machine.BLAS_BUFFER)
            some = np.ones((256, 256), np.float32)  # small ones are multiplied without it
            with forks.gate:
                np.matmul(some, some)
            self._has_buffer = True

    def __enter__(self) -> None:
        with contextlib.ExitStack() as undone:
            is_alone = machine.address_space_is_limited()
            if is_alone:
                undone.enter_context(self._alone)
                self._require_buffer()
            with forks.gate, self._lock:
                if not self._inside:
                    self._controller = self._controller or ThreadpoolController()
                    self._limit = self._controller.limit(limits=1, user_api="blas")
                    self._limit.__enter__()
                self._inside += 1
            forks.gate.__enter__()  # BLAS has locks of its own
            self._here.is_alone = is_alone
            undone.pop_all()

    def __exit__(self, *_: object) -> None:
        with forks.gate, self._lock:
            self._inside -= 1
            if not self._inside and self._limit is not None:
                self._limit.__exit__(None, None, None)
        forks.gate.__exit__(None, None, None)
        if getattr(self._here, "is_alone", False):
            self._here.is_alone = False
            self._alone.__exit__()


one_blas_thread = _OneBlasThread()


@dataclasses.dataclass(frozen=True, eq=False)
class ScaleParameters:
    """The integers of the network, as weights store them ("scale."). M latents, S steps."""

    weight: Mapping[str, Ints]  # by layer: (O,I), or (C,3,3) of a depthwise one
    bias: Mapping[str, Ints]  # by layer, but for `correction`
    sizes: Ints  # (128,): what is seen of a symbol's magnitude
    level_bias: Ints  # (101,C)
    index_offset: Ints  # (101,S,M)
    tables: int

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> ScaleParameters:
        """From the arrays of `tables.safetensors`; KeyError names a missing one."""
        return cls(
            {name: arrays[f"scale.{name}.weight"] for name in WEIGHT_BITS},
            {name: arrays[f"scale.{name}.bias"] for name in WEIGHT_BITS if name != "correction"},
            arrays["scale.sizes"],
            arrays["scale.level_bias"],
            arrays["scale.index_offset"],
            int(arrays["scale.tables"][0]),
        )


class ScaleNetwork:
    """The integer network, ready for use."""

    def __init__(self, parameters: ScaleParameters) -> None:
        self._limits = bounds(parameters)
        self._parameters = parameters
        self.top = parameters.tables - 1
        self.level_bias = parameters.level_bias
        self.input = self._mixing("input")
        self.dw64 = self._near("dw64")
        # Outputs (row, column, channel) in place of (channel, row, column): the shuffle then moves
        # whole runs of channels.
        wide = len(parameters.weight["up"])
        self.up = self._mixing("up", np.arange(wide).reshape(-1, 16).T.ravel())
        self.dw16 = self._near("dw16")
        self.magnitude = self._mixing("magnitude")
        self.near = self._near("near")
        self.fine = self._mixing("fine")
        self.sizes = parameters.sizes.astype(self.magnitude.weight.dtype)
        # Powers of two leave every bit of a sum as it is: it comes out in indexes.
        kind = self._kind("output")
        alone = parameters.weight["output"] * _TO_INDEX
        more = np.hstack([alone, parameters.weight["correction"] * _TO_INDEX])
        self.output = alone.astype(kind), more.astype(kind)
        # The last requantisation, the offset and its requantisation in one: for an integer c,
        # floor((floor(x / 2^k) + c) / 2^8) = floor((x + 2^k c) / 2^(k+8)).
        bits = WEIGHT_BITS["output"]
        offset = (parameters.index_offset + 2.0 ** (ACTIVATION_BITS - 1)) * 2.0**bits
        offset += parameters.bias["output"] + self._rounding("output")
        self.offset = (offset * _TO_INDEX).astype(kind)  # (Q,steps,M)

    def _kind(self, name: str) -> type[np.floating[Any]]:
        return np.float32 if self._limits[name] < _SINGLE else np.float64

    def _bias(self, name: str) -> Exact:
        bias: Exact = self._parameters.bias[name] + self._rounding(name)
        return bias.astype(self._kind(name))

    def _rounding(self, name: str) -> float:
        """What is added before a requantisation rounds down."""
        half = _HALF if self._kind(name) is np.float64 else 0.0
        return 2.0 ** (WEIGHT_BITS[name] - 1) + half

    def _mixing(self, name: str, order: Places | None = None) -> _Layer:
        weight, bias = self._parameters.weight[name], self._bias(name)
        if order is not None:
            weight, bias = weight[order], bias[order]
        mixing = np.ascontiguousarray(weight.T, self._kind(name))
        return _Layer(mixing, bias, WEIGHT_BITS[name])

    def _near(self, name: str) -> _Layer:
        taps = self._parameters.weight[name].transpose(1, 2, 0)
        return _Layer(
            np.ascontiguousarray(taps, self._kind(name)), self._bias(name), WEIGHT_BITS[name]
        )

    def fine_activations(self, z_hat: Ints, quality: int, tile: TileShape) -> Exact:
        """(rows*columns,F): the last activations that depend on z_hat and the quality alone."""
        height, width, sides = tile.rows, tile.columns, tile.sides
        z_hat = repeated(z_hat, sides)
        n, rows, columns = z_hat.shape
        a: Exact = z_hat.transpose(1, 2, 0).reshape(-1, n) * 2.0**Z_SHIFT
        np.clip(a, -ACTIVATION_LIMIT, ACTIVATION_LIMIT, out=a)
        a = _pointwise(a, self.input)
        a += self.level_bias[quality]
        a = _activate(a).reshape(rows, columns, -1)
        a = _activate(_depthwise(a, self.dw64)).reshape(rows * columns, -1)
        a = _activate(_pointwise(a, self.up))
        a = a.reshape(rows, columns, 4, 4, -1).transpose(0, 2, 1, 3, 4)
        # A row and a column beyond the tile, where it has neighbours, take part in the 3x3 sums.
        top, bottom, left, right = sides.margins(1)
        a = a.reshape(4 * rows, 4 * columns, -1)
        a = a[3 * top : 4 * top + height + bottom, 3 * left : 4 * left + width + right]
        a = _depthwise(a, self.dw16)[top : top + height, left : left + width]
        return _activate(a).reshape(height * width, -1)


class Scales:
    """The table indexes of a tile's symbols, which are coded in two steps.

    Those of step 0 follow from z_hat (N,ceil(rows/4),ceil(columns/4)), the quality, and the map of
    steps where there is one. Those of step 1 also follow from the symbols of step 0.
    """

    first: Indexes
    """The indexes of step 0, in its row."""

    @stage("scale network")
    def __init__(
        self,
        network: ScaleNetwork,
        z_hat: Ints,
        quality: int,
        tile: TileShape,
        steps: StepMap | None = None,
    ) -> None:
        self._network, self._tile, self._steps = network, tile, steps
        self._offset = network.offset[quality]
        parity = tile.board.parity().ravel()
        self._places = [np.flatnonzero(parity == p) for p in (0, 1)]
        with one_blas_thread:
            self._fine = network.fine_activations(z_hat, quality, tile)
            self.first = self._indexes(0, self._fine)

    def _indexes(self, step: int, a: Exact) -> Indexes:
        """The row of a step from the input a (h*w,I) of the last layer."""
        board = self._tile.board
        found = np.empty(board.sizes[step], np.uint8)
        weight = self._network.output[step]
        a = a.astype(weight.dtype, copy=False)
        seen = [np.ascontiguousarray(a[places].T) for places in self._places]
        for channels, parity, block in board.blocks(found, step):
            sums = product(weight[channels], seen[parity])
            sums += self._offset[step, channels, None]
            if self._steps:
                sums += self._steps.tables(parity).astype(sums.dtype)
            np.clip(sums, 0, self._network.top, out=sums)
            block[:] = sums  # rounds down what is not negative
        return found

    @stage("scale network")
    def after(self, symbols: Ints) -> Indexes:
        """The row of indexes of step 1, from the row of symbols of step 0."""
        net, tile = self._network, self._tile
        bias, bits = net.magnitude.bias, net.magnitude.bits
        mixed = np.empty((tile.rows * tile.columns, len(bias)), bias.dtype)
        with one_blas_thread:
            for channels, parity, block in tile.board.blocks(np.abs(symbols), 0):
                if self._steps:
                    block = self._steps.sizes(block, parity)
                size = net.sizes.take(block, mode="clip")
                part = _Layer(net.magnitude.weight[channels], bias, bits)
                some = _pointwise(size.T, part)
                mixed[self._places[parity]] = np.clip(some, -MIXED_LIMIT, MIXED_LIMIT, out=some)
            around = mixed.reshape(tile.rows, tile.columns, -1)
            b = _depthwise(reflected(around, tile.sides, 1, axis=0), net.near)
            top, _, left, _ = tile.sides.margins(1)
            b = b[top : top + tile.rows, left : left + tile.columns].reshape(mixed.shape)
            b += _pointwise(self._fine, net.fine)
            return self._indexes(1, np.hstack([self._fine, _activate(b)]))


def bounds(parameters: ScaleParameters) -> dict[str, int]:
    """The largest possible magnitude of a sum in each layer of the scale network.

    A sum includes the bias, the rounding of a requantisation and the offset of an index.
    """
    limits = {"magnitude": int(parameters.sizes.max()), "near": MIXED_LIMIT}

    def reach(name: str) -> Longs:
        weight = np.abs(parameters.weight[name].astype(np.int64))
        found: Longs = weight.reshape(len(weight), -1).sum(axis=1)
        return found * limits.get(name, ACTIVATION_LIMIT)

    found = {}
    for name in ("input", "dw64", "up", "dw16", "magnitude", "near", "fine", "output"):
        total = reach(name) + np.abs(parameters.bias[name].astype(np.int64))
        if name == "output":
            total += reach("correction")
            offset = np.abs(parameters.index_offset.astype(np.int64)).max(axis=(0, 1))
            total += (offset + 2 ** (ACTIVATION_BITS - 1)) << WEIGHT_BITS[name]
        found[name] = int(total.max()) + 2 ** (WEIGHT_BITS[name] - 1) + 1
    return found


class KnownAnswers(NamedTuple):
    """What the machine of the exporter computed, to be checked here ("known."). Q qualities."""

    z_hat: Ints  # (N,h64,w64)
    symbols: Ints  # (M,h,w), of step 0
    qualities: Ints  # (Q,)
    indexes: Indexes  # (Q,M,h,w)

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> KnownAnswers:
        """From the arrays of `tables.safetensors`; KeyError names a missing one."""
        return cls(*(arrays[f"known.{name}"] for name in ("z_hat", "symbols", "q", "index")))

    def agree_with(self, network: ScaleNetwork) -> bool:
        """Whether the network gives the same indexes here."""
        tile = TileShape.of(self.symbols)
        row = tile.board.row(self.symbols, 0)
        for quality, expected in zip(self.qualities, self.indexes, strict=True):
            scales = Scales(network, self.z_hat, int(quality), tile)
            found = tile.board.whole(scales.first, scales.after(row))
            if not np.array_equal(found, expected):
                return False
        return True
