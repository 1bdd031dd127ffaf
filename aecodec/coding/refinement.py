"""Spending encoder time: latents refined along the gradient of rate and error.

The analysis transform guesses good latents in one pass. Given time, an encoder can do better: move
them against the gradient of J = bits + lambda * 255^2 * error. This is iterative inference (Campos
et al. 2019, "Content Adaptive Optimization for Neural Image Compression"), with the real quantiser
and the real tables in the loop. The decoder knows nothing of it. Two ways, one after the other:

`anneal` follows the gradient at softly rounded latents: each stands between its two integers,
pulled at random to either, the more firmly the lower the temperature (stochastic Gumbel annealing:
Yang, Bamler & Mandt 2020, "Improving Inference for Neural Image Compression"). It finds which
roundings suit each other, but leaves some of them behind.

`descend` takes the gradient at the quantised latents, and keeps the best of them on its way:

    y --quantise--> y_hat --synthesis--> x_hat      J = bits + lambda 255^2 / 3 * |x_hat - x|^2
    ^                                      |
    +---- - rate * (dJ/dy - own) <---------+

`own` is the part of the gradient that an element's own rounding error causes: 2 * curvature *
(y_hat - y). No step can mend that; left in, it adds up until the element rounds the wrong way.
What remains is the error that the other elements' rounding and the analysis have made, which
this element can help to undo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Soft", "anneal", "descend"]

Floats = npt.NDArray[np.float32]
L = TypeVar("L")

RATE = 0.3
RISE, FALL = 1.05, 0.6
"""The step's first length, and what it is multiplied by after success and failure."""
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
    """Values between their two integers."""

    low: Floats  # the lower integer
    share: Floats  # 0..1, how far above it
    slope: Floats  # the derivative of the share by the value


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
    """v (M,h,w), moved so that J falls, in so many steps. The same seed moves it to the same place.

    `gradient(v, soften)` is dJ/dv in bits where v's symbols are rounded by `soften`.
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
) -> tuple[L, float]:
    """The best quantised latents on the way down from y (M,h,w), and their J.

    Args:
        curvature: (M,1,1), half the second derivative of the error by an element of y_hat.
        quantise: y -> the quantised latents, of any type, and y_hat.
        cost: quantised latents -> J in units of the error, and its gradient (M,h,w) by y_hat.
    """
    best, y_hat = quantise(y)
    least, gradient = cost(best)
    direction = gradient - 2.0 * curvature * (y_hat - y)
    start, rate = y, RATE
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
            start, direction = y, gradient - 2.0 * curvature * (y_hat - y)
    return best, least
