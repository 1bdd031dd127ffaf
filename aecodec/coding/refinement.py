"""Refinement: latents improved along the gradient of rate and error, for encoder time.

The analysis transform estimates good latents in one pass. With more time an encoder can do better,
by moving them against the gradient of J = bits + lambda * 255^2 * error. This is iterative
inference (Campos et al. 2019, "Content Adaptive Optimization for Neural Image Compression"), with
the real quantiser and the real tables in the loop. The decoder knows nothing of it. Two methods run
one after the other:

`anneal` takes the gradient at softly rounded latents. Each latent is between its two nearest
integers, pulled at random to either, the more strongly the lower the temperature (stochastic Gumbel
annealing: Yang, Bamler & Mandt 2020, "Improving Inference for Neural Image Compression"). It finds
roundings whose errors cancel, but leaves some latents between integers.

`descend` takes the gradient at the quantised latents, and keeps the best latents of its path:

    y --quantise--> y_hat --synthesis--> x_hat      J = bits + lambda 255^2 / 3 * |x_hat - x|^2
    ^                                      |
    +---- - rate * (dJ/dy - own) <---------+

`own` is the part of the gradient that the rounding error of the element itself causes: 2 *
curvature * (y_hat - y). No step can remove it. If it were left in, it would add up until the
element is rounded the wrong way. The rest is the error that the rounding of other elements and the
analysis have caused, which this element can help to reduce.

With weights for the eye, its distortion takes the place of the squared error. It is many times as
steep in smooth areas as in texture, so no rate suits both. Then an element whose gradient is g bits
for a quantisation step moves by rate * g / (|g| + SLIGHT) such steps. The first gradient also tells
which parts deserve finer steps (`coding/steps.py`), and the rest of the way goes with those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from aecodec.arrays import edge_padded
from aecodec.coding.steps import wanted_steps
from aecodec.entropy.checkerboard import STEPS
from aecodec.entropy.padding import Sides, TileShape
from aecodec.entropy.scales import Scales
from aecodec.entropy.steps import StepMap
from aecodec.geometry import Box, padded
from aecodec.networks.means import completed

if TYPE_CHECKING:
    from aecodec.arrays import Bools, Floats, Indexes, Ints, Pixels
    from aecodec.coding.efforts import Effort
    from aecodec.coding.tile import Latents, TileCodec
    from aecodec.networks.weights import OperatingPoint

__all__ = ["Refinement", "Soft", "anneal", "descend"]

L = TypeVar("L")

STRIP = 512
"""Rows of pixels, at most, whose errors are taken at once: the gradient needs what every layer has
computed, a kilobyte or so for each pixel."""

RATE, RATE_FOR_THE_EYE = 0.3, 0.25
RISE, FALL = 1.05, 0.6
"""The step's first length, and what it is multiplied by after success and failure."""
SLIGHT = 60.0
"""Bits for a quantisation step: for the eye, the gradient that moves a latent half as far as a
large one does."""
HOT, COLD = 1.0, 0.05
"""The first temperature and the last one; between them it falls by the same factor each step."""
STEP, LAST_STEP = 0.03, 0.1
"""How far a latent moves at once, in units of its quantisation step, and what share of that the
last step's moves are."""
MEAN, SQUARE = 0.9, 0.99
"""Memories of the gradient and of its square (Adam: Kingma & Ba 2015)."""
FAINT = 1.0
"""Gradients, in bits, that are fainter than this move a latent less far."""


class Soft(NamedTuple):
    """Values between their two nearest integers."""

    low: Floats  # the lower integer
    share: Floats  # 0..1, how far above it
    slope: Floats  # the derivative of the share by the value


class _Strip(NamedTuple):
    """Rows of pixels whose errors are computed together, with the margin that they depend on."""

    place: tuple[slice, slice, slice]  # of their latents in the window
    rgb: Pixels
    mask: Floats  # (1,1,H,W): 1 where errors count, 0 in the margin


class _SoftSymbols(NamedTuple):
    """A step's row of symbols that are not integers yet."""

    low: Ints
    values: Floats
    slope: Floats


class Refinement:
    """Better latents for one tile, the `box` of a picture rgb (H,W,3), from its y (M,h,w).

    `v_hat` (M,H/16,W/16) is that of the whole picture: pixels near an edge depend on the latents of
    both tiles. Errors do not count where `unseen` (H,W) is True.
    """

    def __init__(
        self,
        codec: TileCodec,
        rgb: Pixels,
        box: Box,
        y: Floats,
        v_hat: Floats,
        point: OperatingPoint,
        unseen: Bools | None = None,
        importance: Floats | None = None,
    ) -> None:
        self._codec, self._point = codec, point
        self._tables = codec.weights.y_tables
        self._y = y
        self._tile = TileShape.of(y, Sides.of(box, rgb.shape))
        z_hat = codec.transforms.hyper_analyse(y * point.gain, self._tile)
        self._side = codec.side_info(z_hat, point, self._tile)
        self._bin_width: Floats | float = 1.0  # the quantisation steps (M,h,w)
        if (steps := codec.steps(point, self._tile, importance)) is not None:
            self._use(steps)
        self._felt = y  # the derivative of the distortion by y_hat, when it was last taken
        # A map that a person has asked for stays as it is.
        eye = codec.weights.config.objective == "eye"
        self._chooses = point.step_maps and importance is None and eye
        # Errors count as far as the tile's latents reach, and latents as far as those pixels do.
        margin = 16 * codec.transforms.margin
        near, far = (box.grown(n * margin, rgb.shape) for n in (1, 2))
        self._window = v_hat[far.latents].copy()
        self._inner = box.within(far).latents
        self._strips = [_strip(rgb, strip, far, margin, unseen) for strip in near.strips(STRIP)]

    def run(self, effort: Effort) -> Latents:
        """The best latents found; those of y itself, if none are better."""
        if not effort.annealing:
            return self._descended(self._y, effort.descent)[0]
        gain = self._point.gain
        plain, _ = self.quantise(self._y)
        at_first = self.cost(plain)[0]
        self._choose_steps(plain)
        moved = anneal(self._y * gain, effort.annealing, self.soft_gradient) / gain
        best, least = self._descended(moved, effort.descent)
        return best if least < at_first else plain

    def _use(self, steps: StepMap) -> None:
        """Quantise with this map from now on."""
        network, z_hat, board = self._codec.scale_network, self._side.z_hat, self._tile.board
        scales = Scales(network, z_hat, self._point.quality, self._tile, steps)
        self._side = self._side._replace(scales=scales, steps=steps)
        self._bin_width = board.whole(steps.row(board, 0), steps.row(board, 1))

    def _choose_steps(self, latents: Latents) -> None:
        """Use the map that the cost of one pass, which was just taken, asks for."""
        if self._chooses:
            wanted = wanted_steps(latents, self._y, self._felt, self._point, self._tile)
            self._use(StepMap.of(wanted, self._tile))

    def _descended(self, y: Floats, iterations: int) -> tuple[Latents, float]:
        """The best quantised latents on the path down from y (M,h,w), and their J."""
        began = self._choose_steps if y is self._y else None
        curvature, quantise, cost = self._point.curvature, self.quantise, self.cost
        if self._codec.weights.config.objective == "psnr":
            return descend(y, curvature, iterations, quantise, cost)
        rate, bounded = RATE_FOR_THE_EYE, self.bounded
        return descend(y, curvature, iterations, quantise, cost, rate, bounded, began)

    def quantise(self, y: Floats) -> tuple[Latents, Floats]:
        """The quantised latents of y (M,h,w), and y_hat."""
        gain = self._point.gain
        latents = self._codec.quantise_given(y * gain, self._side)
        return latents, latents.v_hat / gain

    def bounded(self, gradient: Floats) -> Floats:
        """The direction for the eye, less than a quantisation step, from dJ/dy (M,h,w)."""
        gain = self._point.gain
        bin_width = self._bin_width / gain
        bits = gradient * (np.float32(self._point.bits_per_error) * bin_width)
        direction: Floats = bits / (np.abs(bits) + np.float32(SLIGHT)) * bin_width
        return direction

    def error(self, v_hat: Floats) -> tuple[float, Floats]:
        """The squared error of the pixels that depend on v_hat (M,h,w), and its gradient by
        y_hat.
        """
        self._window[self._inner] = v_hat
        total, gradient = 0.0, np.zeros_like(self._window)
        for place, rgb, mask in self._strips:
            error, slope = self._codec.transforms.error_gradient(
                self._window[place], rgb, mask, self._point
            )
            total += error
            gradient[place] += slope
        return total, gradient[self._inner]

    def cost(self, latents: Latents) -> tuple[float, Floats]:
        """J in units of the error, and its gradient (M,h,w) by y_hat."""
        worth, board = self._point.bits_per_error, self._tile.board
        error, gradient = self.error(latents.v_hat)
        rows = zip(latents.symbols, latents.groups, strict=True)
        slopes = (groups.tables.costs.slopes(s, groups.indexes) for s, groups in rows)
        self._felt = gradient
        gradient = gradient + board.whole(*slopes) * (self._point.gain / (worth * self._bin_width))
        return self._codec.rate(latents, self._point) / worth + error, gradient

    def soft_gradient(self, v: Floats, soften: Callable[[Floats], Soft]) -> Floats:
        """dJ/dv (M,h,w) in bits, where the symbols of v are rounded by `soften`."""
        means, board, scales = self._codec.means, self._tile.board, self._side.scales
        features, worth = self._side.features(), self._point.bits_per_error
        mu = means.first(features)
        bin_widths = [self._side.bin_width(board, step) for step in range(STEPS)]
        first = self._softened(
            0, _divided(board.row(v, 0) - mu, bin_widths[0]), scales.first, soften
        )
        indexes = scales.first, scales.after(np.rint(first.values).astype(np.int32))
        v_hat = board.whole(completed(first.values, mu, bin_widths[0]))
        mu = means.second(features, v_hat)
        second = self._softened(
            1, _divided(board.row(v, 1) - mu, bin_widths[1]), indexes[1], soften
        )
        board.put(completed(second.values, mu, bin_widths[1]), v_hat, 1)

        by_v_hat = self.error(v_hat)[1] * (worth / self._point.gain)
        gradients = [board.row(by_v_hat, step) for step in range(STEPS)]
        steps = zip(self._tables, (first, second), indexes, strict=True)
        bits = [
            _divided(tables.costs.rises(soft.low, at), bin_width)
            for (tables, soft, at), bin_width in zip(steps, bin_widths, strict=True)
        ]
        # Where a mean rises, what is left to code falls, and with it the symbol.
        by_mu = gradients[1] - (gradients[1] + bits[1]) * second.slope
        gradients[0] += means.second_gradient(features, v_hat, by_mu)
        rows = zip(gradients, bits, (first.slope, second.slope), strict=True)
        by_v: Floats = board.whole(*((gradient + b) * slope for gradient, b, slope in rows))
        return by_v

    def _softened(
        self, step: int, row: Floats, indexes: Indexes, soften: Callable[[Floats], Soft]
    ) -> _SoftSymbols:
        soft = soften(row)
        free = ~self._tables[step].empty[indexes]
        low = (soft.low * free).astype(np.int32)
        return _SoftSymbols(low, (soft.low + soft.share) * free, soft.slope * free)


def _divided(row: Floats, bin_width: Floats | None) -> Floats:
    return row if bin_width is None else row / bin_width


def _strip(rgb: Pixels, strip: Box, window: Box, margin: int, unseen: Bools | None) -> _Strip:
    """A strip of a picture rgb (H,W,3), and the place of its latents in those of `window`."""
    seen = strip.grown(margin, rgb.shape)
    height, width = padded((seen.h, seen.w))
    mask = np.zeros((1, 1, height, width), np.float32)
    mask[0, 0][strip.within(seen).slices()] = 1.0
    if unseen is not None:
        mask[0, 0, : seen.h, : seen.w][unseen[seen.slices()]] = 0.0
    pixels = np.ascontiguousarray(edge_padded(rgb[seen.slices()], height, width, axis=0))
    return _Strip(seen.within(window).latents, pixels, mask)


class _Rounding:
    """Soft rounding at a temperature, with Gumbel noise."""

    def __init__(self, temperature: float, rng: np.random.Generator) -> None:
        self.temperature = temperature
        self.rng = rng

    def __call__(self, x: Floats) -> Soft:
        low = np.floor(x)
        above = np.clip(x - low, 1e-4, 1.0 - 1e-4)
        below = 1.0 - above
        # The difference of two Gumbel variables has a logistic distribution.
        uniform = np.clip(self.rng.random(x.shape, dtype=np.float32), 1e-6, 1.0 - 1e-6)
        logit = (np.arctanh(above) - np.arctanh(below)) / self.temperature
        logit += np.log(uniform / (1.0 - uniform))
        share = 1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0)))
        steepness = 1.0 / (1.0 - above * above) + 1.0 / (1.0 - below * below)
        return Soft(low, share, share * (1.0 - share) * steepness / self.temperature)


def anneal(
    v: Floats,
    steps: int,
    gradient: Callable[[Floats, Callable[[Floats], Soft]], Floats],
    seed: int = 0,
) -> Floats:
    """v (M,h,w) after this many steps that reduce J. The same seed gives the same result.

    `gradient(v, soften)` is dJ/dv in bits, with the symbols of v rounded by `soften`.
    """
    rng = np.random.default_rng(seed)
    mean, square = np.zeros_like(v), np.zeros_like(v)
    for step in range(steps):
        progress = step / steps
        soften = _Rounding(HOT * (COLD / HOT) ** progress, rng)
        g = gradient(v, soften)
        mean += (1.0 - MEAN) * (g - mean)
        square += (1.0 - SQUARE) * (g * g - square)
        length = STEP * (1.0 - (1.0 - LAST_STEP) * progress)
        size = np.sqrt(square / (1.0 - SQUARE ** (step + 1))) + FAINT
        v = v - (length / (1.0 - MEAN ** (step + 1))) * mean / size
    return v


def descend(
    y: Floats,
    curvature: Floats,
    iterations: int,
    quantise: Callable[[Floats], tuple[L, Floats]],
    cost: Callable[[L], tuple[float, Floats]],
    rate: float = RATE,
    bounded: Callable[[Floats], Floats] = lambda gradient: gradient,
    began: Callable[[L], None] | None = None,
) -> tuple[L, float]:
    """The best quantised latents on the path down from y (M,h,w), and their J.

    Args:
        curvature: (M,1,1), half the second derivative of the error by an element of y_hat.
        quantise: y -> the quantised latents, of any type, and y_hat.
        cost: quantised latents -> J in units of the error, and its gradient (M,h,w) by y_hat.
        rate: the first length of a step.
        bounded: makes the direction (M,h,w) of a step from what is left of the gradient.
        began: is told the first latents when their cost was taken.
    """
    best, y_hat = quantise(y)
    least, gradient = cost(best)
    if began:
        began(best)
    direction = bounded(gradient - 2.0 * curvature * (y_hat - y))
    start = y
    for left in reversed(range(iterations)):
        y = start - rate * direction
        latents, y_hat = quantise(y)
        j, gradient = cost(latents)
        if j >= least:
            rate *= FALL
            continue
        least, best = j, latents
        rate *= RISE
        if left:
            start, direction = y, bounded(gradient - 2.0 * curvature * (y_hat - y))
    return best, least
