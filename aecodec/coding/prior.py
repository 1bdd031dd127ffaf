"""From z_hat and the quality to what the coder needs (integers) and to the means (floats).

    z_hat (N,h64,w64) int32, q
     |-- Scales: integers, exact on every machine, step by step --> (M,h,w) uint8
     `-- Means: float networks, step by step                    --> mu (M,h,w) float32

The integer network, whose numbers `entropy/fixed_point.py` has. Every activation is an integer of
magnitude ACTIVATION_LIMIT at most, with ACTIVATION_BITS bits after the point; the weights of a
layer have WEIGHT_BITS[layer] of them. Every sum is bounded by the weights, |acc| < 2^31. Float64
holds such sums exactly in any order, and so does float32 those of layers whose weights bound them
by 2^24. (Where float64 is rounded down, it is taken for an integer plus 1/2, so that even an
inexact algorithm would give the right one.) Requantisation by k bits is floor((acc + 2^(k-1)) /
2^k). No exp and no division. Layers, in order (all tensors channels-last here):

    a = clip(z_hat << Z_SHIFT)
    a = act(requantise(input 1x1) + level_bias[q])
    a = act(requantise(dw64 3x3))
    a = act(requantise(up 1x1), pixel-shuffled by 4)
    a = act(requantise(dw16 3x3))
    index = clip((requantise(output 1x1) + index_offset[q, step] + 2^7) >> 8, 0, 63)

with act(a) = clip(a where a >= 0 else floor((a + 4) / 8)). In step 1 `output` adds up more, of the
symbols of step 0 (0 at the other elements):

    b = sizes[min(|symbol|, 127)], which is 2^8 log2(1 + |symbol|), rounded
    b = clip(requantise(magnitude 1x1)) to MIXED_LIMIT
    b = requantise(near 3x3)
    b = act(b + requantise(fine 1x1, of a))
    index as above, of requantise(output 1x1 of a + correction 1x1 of b)

Beyond a picture's border the 3x3 layers see zeros; beyond the last latents, too, where z_hat has
room for more. Where a tile has neighbours they see what `entropy/borders.py` puts there: one more
row or column of z_hat, repeated, with which all layers up to dw16 are computed; and, in front of
`near`, one of b, reflected. So do the networks of the means: z_hat as well, and in step 1 as many
more rows and columns as the context has blocks, of the features those of the longer z_hat, of v_hat
those reflected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from aecodec.entropy.borders import ALONE, Sides, reflected, repeated
from aecodec.entropy.checkerboard import Checkerboard
from aecodec.entropy.fixed_point import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    LEAK_SHIFT,
    MIXED_LIMIT,
    WEIGHT_BITS,
    Z_SHIFT,
)
from aecodec.entropy.product import product
from aecodec.errors import KnownAnswerError
from aecodec.stages import stage

if TYPE_CHECKING:  # the exporter makes `Scales` where the coder is not installed
    from aecodec.networks.runtime import Runtime
    from aecodec.networks.weights import Weights

__all__ = [
    "Features",
    "ScaleNetwork",
    "Scales",
    "add_second",
    "bounds",
    "checked_scale_network",
    "companded",
    "context_gradient",
    "first_v_hat",
    "mean_features",
    "one_blas_thread",
    "predict",
    "second_means",
]

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Exact = npt.NDArray[np.floating[Any]]
Indexes = npt.NDArray[np.uint8]

CACHED = 1 << 15
"""Elements that several arrays of a step can hold at once in a core's cache."""
_TO_INDEX = 2.0 ** -(WEIGHT_BITS["output"] + ACTIVATION_BITS)
"""The value of one unit of a sum before its requantisation, in indexes."""
_HALF = 0.5
"""Added in float64 before `floor(x * 2^-k)`: changes nothing, and an error below 1/2 neither."""
_SINGLE = 1 << 24
"""Float32 holds all integers below it."""


class _Layer(NamedTuple):
    """Integers, in the floats that hold the layer's sums exactly."""

    weight: Exact
    bias: Exact  # and what a requantisation adds
    bits: int


def _shift(acc: Exact, bits: int) -> Exact:
    """floor(acc * 2^-bits), in place."""
    acc *= 2.0**-bits
    return np.floor(acc, out=acc)


def _activate(a: Exact) -> Exact:
    """Overwrites a. For integers floor((a + 4) / 8) is above a just where a is below 0."""
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
    # Whole rows at once, and no more of them than stay in the cache.
    padded = padded.reshape(h + 2, -1)
    taps = np.tile(layer.weight, w)
    out = np.empty((h, w * channels), layer.weight.dtype)
    some = max(1, CACHED // (w * channels))
    part = np.empty_like(out[:some])
    for first in range(0, h, some):
        acc = out[first : first + some]
        acc[:] = np.tile(layer.bias, w)
        for i in range(3):
            for j in range(3):
                near = padded[first + i : first + i + len(acc), j * channels :][:, : w * channels]
                acc += np.multiply(near, taps[i, j], out=part[: len(acc)])
        _shift(acc, layer.bits)
    return out.reshape(h, w, channels)


class _OneBlasThread:
    """Keeps BLAS to one thread while any thread of ours is inside.

    The products are small, and OpenBLAS's threads would spin for a while after each, on the cores
    that the float networks need.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._controller: ThreadpoolController | None = None
        self._limit: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._controller = self._controller or ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limit is not None:
                self._limit.__exit__(None, None, None)


one_blas_thread = _OneBlasThread()


class ScaleNetwork:
    """The integer network, ready for use: "scale." of the weights' arrays."""

    def __init__(self, net: Mapping[str, npt.NDArray[Any]]) -> None:
        self._limits = bounds(net)
        self._net = net
        self.top = int(net["scale.tables"][0]) - 1
        self.level_bias = net["scale.level_bias"]
        self.input = self._mixing("input")
        self.dw64 = self._near("dw64")
        # Outputs (row, column, channel) in place of (channel, row, column): the shuffle then moves
        # whole runs of channels.
        wide = len(net["scale.up.weight"])
        self.up = self._mixing("up", np.arange(wide).reshape(-1, 16).T.ravel())
        self.dw16 = self._near("dw16")
        self.magnitude = self._mixing("magnitude")
        self.near = self._near("near")
        self.fine = self._mixing("fine")
        self.sizes = net["scale.sizes"].astype(self.magnitude.weight.dtype)
        # Powers of two leave every bit of a sum as it is: it comes out in indexes.
        kind = self._kind("output")
        alone = net["scale.output.weight"] * _TO_INDEX
        more = np.hstack([alone, net["scale.correction.weight"] * _TO_INDEX])
        self.output = alone.astype(kind), more.astype(kind)
        # The last requantisation, the offset and its requantisation in one: for an integer c,
        # floor((floor(x / 2^k) + c) / 2^8) = floor((x + 2^k c) / 2^(k+8)).
        bits = WEIGHT_BITS["output"]
        offset = (net["scale.index_offset"] + 2.0 ** (ACTIVATION_BITS - 1)) * 2.0**bits
        offset += net["scale.output.bias"] + self._rounding("output")
        self.offset = (offset * _TO_INDEX).astype(kind)  # (Q,steps,M)

    def _kind(self, name: str) -> type[np.floating[Any]]:
        return np.float32 if self._limits[name] < _SINGLE else np.float64

    def _bias(self, name: str) -> Exact:
        bias = self._net[f"scale.{name}.bias"] + self._rounding(name)
        return bias.astype(self._kind(name))

    def _rounding(self, name: str) -> float:
        """What a requantisation adds before it rounds down."""
        half = _HALF if self._kind(name) is np.float64 else 0.0
        return 2.0 ** (WEIGHT_BITS[name] - 1) + half

    def _mixing(self, name: str, order: npt.NDArray[np.intp] | None = None) -> _Layer:
        weight, bias = self._net[f"scale.{name}.weight"], self._bias(name)
        if order is not None:
            weight, bias = weight[order], bias[order]
        weight = np.ascontiguousarray(weight.T, self._kind(name))
        return _Layer(weight, bias, WEIGHT_BITS[name])

    def _near(self, name: str) -> _Layer:
        weight = self._net[f"scale.{name}.weight"].transpose(1, 2, 0)
        weight = np.ascontiguousarray(weight, self._kind(name))
        return _Layer(weight, self._bias(name), WEIGHT_BITS[name])

    def fine_activations(self, z_hat: Ints, q: int, h: int, w: int, sides: Sides = ALONE) -> Exact:
        """(h*w,F): the last activations that depend on z_hat and the quality alone."""
        z_hat = repeated(z_hat, sides)
        n, rows, columns = z_hat.shape
        a: Exact = z_hat.transpose(1, 2, 0).reshape(-1, n) * 2.0**Z_SHIFT
        np.clip(a, -ACTIVATION_LIMIT, ACTIVATION_LIMIT, out=a)
        a = _pointwise(a, self.input)
        a += self.level_bias[q]
        a = _activate(a).reshape(rows, columns, -1)
        a = _activate(_depthwise(a, self.dw64)).reshape(rows * columns, -1)
        a = _activate(_pointwise(a, self.up))
        a = a.reshape(rows, columns, 4, 4, -1).transpose(0, 2, 1, 3, 4)
        # A row and a column beyond the tile, where it has neighbours, take part in the 3x3 sums.
        top, bottom, left, right = sides.margins(1)
        a = a.reshape(4 * rows, 4 * columns, -1)
        a = a[3 * top : 4 * top + h + bottom, 3 * left : 4 * left + w + right]
        a = _depthwise(a, self.dw16)[top : top + h, left : left + w]
        return _activate(a).reshape(h * w, -1)


class Scales:
    """The table indexes of a tile's symbols, which are coded in two steps.

    Those of step 0 follow from z_hat (N,ceil(h/4),ceil(w/4)) and the quality q, those of step 1
    from the symbols of step 0 as well. `board` is that of the tile's (M,h,w); on its `sides` it
    has neighbours.
    """

    first: Indexes
    """The indexes of step 0, in its row."""

    @stage("scale network")
    def __init__(
        self,
        net: ScaleNetwork,
        z_hat: Ints,
        q: int,
        board: Checkerboard,
        sides: Sides = ALONE,
    ) -> None:
        self._net, self._board, self._sides = net, board, sides
        self._offset = net.offset[q]
        _, h, w = board.shape
        parity = board.parity().ravel()
        self._places = [np.flatnonzero(parity == p) for p in (0, 1)]
        with one_blas_thread:
            self._fine = net.fine_activations(z_hat, q, h, w, sides)
            self.first = self._indexes(0, self._fine)

    def _indexes(self, step: int, a: Exact) -> Indexes:
        """The row of a step from the last layer's input a (h*w,I)."""
        found = np.empty(self._board.sizes[step], np.uint8)
        weight = self._net.output[step]
        a = a.astype(weight.dtype, copy=False)
        seen = [np.ascontiguousarray(a[places].T) for places in self._places]
        for channels, parity, block in self._board.blocks(found, step):
            sums = product(weight[channels], seen[parity])
            sums += self._offset[step, channels, None]
            np.clip(sums, 0, self._net.top, out=sums)
            block[:] = sums  # rounds down what is not negative
        return found

    @stage("scale network")
    def after(self, symbols: Ints) -> Indexes:
        """The row of indexes of step 1, by the row of symbols of step 0."""
        net, board = self._net, self._board
        _, h, w = board.shape
        bias, bits = net.magnitude.bias, net.magnitude.bits
        mixed = np.empty((h * w, len(bias)), bias.dtype)
        with one_blas_thread:
            for channels, parity, block in board.blocks(np.abs(symbols), 0):
                size = net.sizes.take(block, mode="clip")
                part = _Layer(net.magnitude.weight[channels], bias, bits)
                some = _pointwise(size.T, part)
                mixed[self._places[parity]] = np.clip(some, -MIXED_LIMIT, MIXED_LIMIT, out=some)
            around = reflected(mixed.reshape(h, w, -1), self._sides, 1, axis=0)
            top, _, left, _ = self._sides.margins(1)
            b = _depthwise(around, net.near)[top : top + h, left : left + w].reshape(mixed.shape)
            b += _pointwise(self._fine, net.fine)
            return self._indexes(1, np.hstack([self._fine, _activate(b)]))


def bounds(net: Mapping[str, npt.NDArray[Any]]) -> dict[str, int]:
    """The largest magnitude that a sum can have in each layer of the scale network.

    The bias and what a requantisation adds are part of a sum; so is the offset of an index.
    """

    limits = {"magnitude": int(net["scale.sizes"].max()), "near": MIXED_LIMIT}

    def reach(name: str) -> npt.NDArray[np.int64]:
        weight = np.abs(net[f"scale.{name}.weight"].astype(np.int64))
        found: npt.NDArray[np.int64] = weight.reshape(len(weight), -1).sum(axis=1)
        return found * limits.get(name, ACTIVATION_LIMIT)

    found = {}
    for name in ("input", "dw64", "up", "dw16", "magnitude", "near", "fine", "output"):
        total = reach(name) + np.abs(net[f"scale.{name}.bias"].astype(np.int64))
        if name == "output":
            total += reach("correction")
            offset = np.abs(net["scale.index_offset"].astype(np.int64)).max(axis=(0, 1))
            total += (offset + 2 ** (ACTIVATION_BITS - 1)) << WEIGHT_BITS[name]
        found[name] = int(total.max()) + 2 ** (WEIGHT_BITS[name] - 1) + 1
    return found


def checked_scale_network(weights: Weights) -> ScaleNetwork:
    """KnownAnswerError unless this machine computes the indexes that the exporter computed."""
    network = ScaleNetwork(weights.arrays)
    z_hat, symbols = weights.arrays["known.z_hat"], weights.arrays["known.symbols"]
    for q, expected in zip(weights.arrays["known.q"], weights.arrays["known.index"], strict=True):
        board = Checkerboard(*expected.shape)
        scales = Scales(network, z_hat, int(q), board)
        found = scales.first, scales.after(board.row(symbols, 0))
        if not np.array_equal(board.whole(*found), expected):
            raise KnownAnswerError(
                f"{weights.folder}: this machine's arithmetic, or this version of aecodec, gives"
                " other table indexes than the weights expect, so files would not decode"
            )
    return network


def level_of_quality(weights: Weights, q: int) -> Floats:
    """The float networks' input for a quality."""
    level: Floats = weights.arrays["level"][q : q + 1]
    return level


def companded(v: Floats) -> Floats:
    """v (M,h,w) -> (2M,h,w), as `model.hyperprior.companded`: what the hyper-analysis reads.

    An encoder's affair. NumPy's logarithm takes a fifth of the time of ONNX Runtime's.
    """
    m = len(v)
    out = np.empty((2 * m, *v.shape[1:]), np.float32)
    step = max(1, CACHED // v[0].size)
    for first in range(0, m, step):
        part = slice(first, min(first + step, m))
        magnitude = np.abs(v[part])
        magnitude += 1.0
        np.log(magnitude, out=out[part])
        np.divide(v[part], magnitude, out=out[m + part.start : m + part.stop])
    return out


Quantise = Callable[[int, Floats], Floats]


class Features(NamedTuple):
    """What z_hat and the quality alone say of the means of a tile, and of a margin around it.

    The margin is where the tile has neighbours: so many more rows and columns.
    """

    features: Floats  # (1,F,h,w) and the margin
    mu: Floats  # (1,M,h,w) and the margin, of step 0, in units of v
    sides: Sides
    margin: int

    def first(self, board: Checkerboard) -> Floats:
        """The row of means of step 0 of the tile."""
        _, h, w = board.shape
        top, _, left, _ = self.sides.margins(self.margin)
        row: Floats = board.row(self.mu[0, :, top : top + h, left : left + w], 0)
        return row


def mean_features(
    weights: Weights,
    runtime: Runtime,
    z_hat: Ints,
    q: int,
    shape: tuple[int, int],
    sides: Sides = ALONE,
) -> Features:
    """The first part of the means of a tile of `shape` (h,w), which needs z_hat (N,h64,w64) alone.

    `sides` are those where the tile has neighbours.
    """
    # Of the four rows that a longer z_hat makes no more than the context sees, and one that its
    # features' own 3x3 layer sees.
    margin = weights.config.context_reach + 1
    top, bottom, left, right = sides.margins(margin)
    begin = 4 * sides.top - top, 4 * sides.left - left
    end = 4 * sides.top + shape[0] + bottom, 4 * sides.left + shape[1] + right
    features, mu = runtime.run(
        "mean_features",
        z_hat=repeated(z_hat, sides)[None].astype(np.float32),
        level=level_of_quality(weights, q),
        unit=_unit(weights, q),
        begin=np.array(begin, np.int64),
        end=np.array(end, np.int64),
    )
    return Features(features, mu, sides, margin)


def predict(
    weights: Weights,
    runtime: Runtime,
    known: Features,
    q: int,
    board: Checkerboard,
    quantise: Quantise,
    between: Callable[[], object] | None = None,
) -> Floats:
    """v_hat (M,h,w), step by step: an encoder's way.

    `quantise(step, mu)` returns the step's row of symbols as float32, which is overwritten, from
    its row of means. `between` is called when step 0 is done.
    """
    means = known.first(board)
    v_hat = board.whole(_plus(quantise(0, means), means))
    if between:
        between()
    means = second_means(weights, runtime, known, q, board, v_hat)
    board.put(_plus(quantise(1, means), means), v_hat, 1)
    return v_hat


def first_v_hat(known: Features, board: Checkerboard, symbols: Ints) -> Floats:
    """v_hat (M,h,w) of step 0 from its row of symbols, and zero elsewhere: a decoder's way."""
    means = known.first(board)
    return board.whole(_plus(symbols.astype(np.float32), means))


def second_means(
    weights: Weights, runtime: Runtime, known: Features, q: int, board: Checkerboard, v_hat: Floats
) -> Floats:
    """The row of means of step 1, from v_hat (M,h,w) of step 0."""
    (mu,) = runtime.run("context", **_context_inputs(weights, known, q, board, v_hat))
    means: Floats = board.row(_without_margin(weights, known, board, mu[0]), 1)
    return means


def add_second(v_hat: Floats, board: Checkerboard, means: Floats, symbols: Ints) -> None:
    """Complete v_hat (M,h,w) with step 1's rows of means and symbols: a decoder's way."""
    board.put(_plus(symbols.astype(np.float32), means), v_hat, 1)


def _plus(symbols: Floats, means: Floats) -> Floats:
    """v_hat of symbols, which are overwritten: the one sum that encoder and decoder share."""
    symbols += means
    return symbols


def context_gradient(
    weights: Weights,
    runtime: Runtime,
    known: Features,
    q: int,
    board: Checkerboard,
    v_hat: Floats,
    by_mu: Floats,
) -> Floats:
    """The gradient (n,) by step 0's row of v_hat (M,h,w), from that by step 1's row of means (n,):
    an encoder's. That what is reflected beyond the tile is a part of it, too, is left out."""
    first = board.whole(board.row(v_hat, 0))
    by_means = np.zeros_like(first)
    board.put(by_mu, by_means, 1)
    top, bottom, left, right = known.sides.margins(weights.config.context_reach)
    by_means = np.pad(by_means, ((0, 0), (top, bottom), (left, right)))
    inputs = _context_inputs(weights, known, q, board, first)
    (gradient,) = runtime.run("context_gradient", by_mu=by_means[None], **inputs)
    found: Floats = board.row(_without_margin(weights, known, board, gradient[0]), 0)
    return found


def _without_margin(weights: Weights, known: Features, board: Checkerboard, a: Floats) -> Floats:
    _, h, w = board.shape
    top, _, left, _ = known.sides.margins(weights.config.context_reach)
    return a[:, top : top + h, left : left + w]


def _context_inputs(
    weights: Weights, known: Features, q: int, board: Checkerboard, v_hat: Floats
) -> dict[str, Floats]:
    _, h, w = board.shape
    sides, reach = known.sides, weights.config.context_reach
    top, bottom, left, right = sides.margins(reach)
    parity = board.parity().astype(np.float32)[None]
    more = known.margin - reach
    rows = slice(more * sides.top, more * sides.top + h + top + bottom)
    columns = slice(more * sides.left, more * sides.left + w + left + right)
    return {
        "features": np.ascontiguousarray(known.features[:, :, rows, columns]),
        "known": reflected(v_hat, sides, reach)[None],
        "parity": reflected(parity, sides, reach)[None],
        "unit": _unit(weights, q),
    }


def _unit(weights: Weights, q: int) -> Floats:
    """(1,M,1,1): the standard deviation of each channel of v."""
    unit: Floats = (weights.arrays["std"] * weights.arrays["gain"][q]).reshape(1, -1, 1, 1)
    return unit
