"""From z_hat and the quality to what the coder needs (integers) and to the means (floats).

    z_hat (N,h64,w64) int32, q
     |-- scale_indexes: integers in float64, exact on every machine --> (M,h,w) uint8
     `-- Means: float networks, step by step                        --> mu (M,h,w) float32

The integer network. Every activation is an integer, |a| <= ACTIVATION_LIMIT; every accumulator
is bounded, |acc| < 2^31, by the weights (checked at export). Float64 holds such sums exactly in
any order, and `np.round` after each matrix product would turn even an inexact algorithm's result
into the right integer. Requantisation is floor((acc + 2^(k-1)) / 2^k). No exp, no division, no
float32 here. Layers, in order (all tensors channels-last here):

    a = clip(z_hat << Z_SHIFT)
    a = act(requantise(input 1x1) + level_bias[q])
    a = act(requantise(dw64 3x3))
    a = act(requantise(up 1x1), pixel-shuffled by 4)
    a = act(requantise(dw16 3x3))
    index = clip((requantise(output 1x1) + index_offset[q, step] + 2^7) >> 8, 0, 63)

with act(a) = clip(a where a >= 0 else floor((a + 4) / 8)).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from aecodec.errors import KnownAnswerError
from aecodec.stages import stage

if TYPE_CHECKING:  # the exporter calls `scale_indexes` where the coder is not installed
    from aecodec.runtime import Runtime
    from aecodec.weights import Weights

__all__ = ["check_known_answers", "one_blas_thread", "predict", "scale_indexes", "step_mask"]

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

ACTIVATION_BITS = 8
WEIGHT_BITS = 10
ACTIVATION_LIMIT = 4095
Z_SHIFT = 4
LEAK_SHIFT = 3


def _shift(acc: Doubles, bits: int) -> Doubles:
    """floor((acc + 2^(bits-1)) * 2^-bits), in place."""
    acc += 2.0 ** (bits - 1)
    acc *= 2.0**-bits
    return np.floor(acc, out=acc)


def _activate(a: Doubles) -> Doubles:
    leaked = _shift(a.copy(), LEAK_SHIFT)
    np.copyto(leaked, a, where=a >= 0)
    return np.clip(leaked, -ACTIVATION_LIMIT, ACTIVATION_LIMIT, out=leaked)


def _pointwise(a: Doubles, weight: Ints, bias: Ints) -> Doubles:
    """(h,w,I) with weight (O,I) -> (h,w,O), requantised."""
    acc = a.reshape(-1, a.shape[2]) @ weight.T.astype(np.float64)
    np.round(acc, out=acc)
    acc += bias
    return _shift(acc, WEIGHT_BITS).reshape(a.shape[0], a.shape[1], -1)


def _depthwise(a: Doubles, weight: Ints, bias: Ints) -> Doubles:
    """(h,w,C) with weight (C,3,3), zero-padded -> (h,w,C), requantised."""
    h, w, _ = a.shape
    padded = np.pad(a, ((1, 1), (1, 1), (0, 0)))
    taps = weight.astype(np.float64)
    acc = np.zeros_like(a)
    acc += bias
    for i in range(3):
        for j in range(3):
            acc += padded[i : i + h, j : j + w] * taps[:, i, j]
    return _shift(acc, WEIGHT_BITS)


def step_mask(m: int, h: int, w: int) -> npt.NDArray[np.bool_]:
    """(M,h,w): True where step 0 codes. Element (c,i,j) belongs to step (c + i + j) mod 2."""
    even = _parity(h, w) == 0
    mask = np.empty((m, h, w), np.bool_)
    mask[0::2], mask[1::2] = even, ~even
    return mask


def _parity(h: int, w: int) -> npt.NDArray[np.uint8]:
    """(h,w): (i + j) mod 2."""
    i, j = np.ogrid[:h, :w]
    return ((i + j) % 2).astype(np.uint8)


@stage("scale network")
def scale_indexes(
    net: Mapping[str, npt.NDArray[Any]], z_hat: Ints, q: int, h: int, w: int
) -> npt.NDArray[np.uint8]:
    """Table indexes (M,h,w) of y's symbols, where z_hat (N,ceil(h/4),ceil(w/4)) covers them.

    `net` holds the integers under "scale." of the weights' arrays.
    """
    with one_blas_thread:
        return _scale_indexes(net, z_hat, q, h, w)


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


def _scale_indexes(
    net: Mapping[str, npt.NDArray[Any]], z_hat: Ints, q: int, h: int, w: int
) -> npt.NDArray[np.uint8]:
    a = np.ascontiguousarray(z_hat.transpose(1, 2, 0)).astype(np.float64)
    a = np.clip(a * 2.0**Z_SHIFT, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)
    a = _pointwise(a, net["scale.input.weight"], net["scale.input.bias"])
    a = _activate(a + net["scale.level_bias"][q])
    a = _activate(_depthwise(a, net["scale.dw64.weight"], net["scale.dw64.bias"]))
    a = _pointwise(a, net["scale.up.weight"], net["scale.up.bias"])
    rows, columns, wide = a.shape
    a = a.reshape(rows, columns, wide // 16, 4, 4).transpose(0, 3, 1, 4, 2)
    a = a.reshape(4 * rows, 4 * columns, wide // 16)[: h + 1, : w + 1]
    a = _activate(a)
    # A row and a column beyond the picture, where there is one, take part in the 3x3 sums.
    a = _activate(_depthwise(a, net["scale.dw16.weight"], net["scale.dw16.bias"])[:h, :w])
    a = _pointwise(a, net["scale.output.weight"], net["scale.output.bias"])
    # Element (c,i,j) belongs to step (c + i + j) mod 2: at even positions even channels come first.
    offset = net["scale.index_offset"][q].astype(np.float64)
    even = np.where(np.arange(a.shape[2]) % 2 == 0, offset[0], offset[1])
    odd = offset[0] + offset[1] - even
    a[0::2, 0::2] += even
    a[1::2, 1::2] += even
    a[0::2, 1::2] += odd
    a[1::2, 0::2] += odd
    index = np.clip(_shift(a, ACTIVATION_BITS), 0, int(net["scale.tables"][0]) - 1)
    return np.ascontiguousarray(index.astype(np.uint8).transpose(2, 0, 1))


def check_known_answers(weights: Weights) -> None:
    """KnownAnswerError unless this machine computes the indexes that the exporter computed."""
    z_hat = weights.arrays["known.z_hat"]
    for q, expected in zip(weights.arrays["known.q"], weights.arrays["known.index"], strict=True):
        _, h, w = expected.shape
        if not np.array_equal(scale_indexes(weights.arrays, z_hat, int(q), h, w), expected):
            raise KnownAnswerError(
                f"{weights.folder}: this machine's arithmetic gives other table indexes than the"
                " weights expect, so files would not decode"
            )


def level_of_quality(weights: Weights, q: int) -> Floats:
    """The float networks' input for a quality."""
    level: Floats = weights.arrays["level"][q : q + 1]
    return level


Quantise = Callable[[Floats, Floats], Floats]


def predict(
    weights: Weights, runtime: Runtime, z_hat: Ints, q: int, h: int, w: int, quantise: Quantise
) -> Floats:
    """v_hat (M,h,w), step by step: the one function that encoding and decoding share.

    `quantise(mu, mask)` returns the symbols (M,h,w) as float32, 0 where the mask (of 0.0 and 1.0)
    is 0: an encoder rounds v - mu there, a decoder returns what it has decoded. (Products with
    such masks are several times as fast as assignments under a condition.)
    """
    level = level_of_quality(weights, q)
    m = weights.config.latents
    unit = (weights.arrays["std"] * weights.arrays["gain"][q]).reshape(1, m, 1, 1)
    features, mu0 = runtime.run(
        "mean_features", z_hat=z_hat[None].astype(np.float32), level=level, unit=unit
    )
    features = np.ascontiguousarray(features[:, :, :h, :w])
    mask: Floats = step_mask(m, h, w).astype(np.float32)
    v_hat = _placed(quantise, np.ascontiguousarray(mu0[0, :, :h, :w]), mask)
    parity = _parity(h, w).astype(np.float32)[None, None]
    (mu1,) = runtime.run("context", features=features, known=v_hat[None], parity=parity, unit=unit)
    np.subtract(np.float32(1.0), mask, out=mask)
    v_hat += _placed(quantise, mu1[0], mask)
    return v_hat


def _placed(quantise: Quantise, mu: Floats, mask: Floats) -> Floats:
    """Symbols and means of one step, 0 elsewhere. Overwrites mu."""
    symbols = quantise(mu, mask)
    np.multiply(mu, mask, out=mu)
    return np.add(symbols, mu, out=mu)
