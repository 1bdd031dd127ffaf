"""Spending encoder time: latents refined along the gradient of rate and error.

The analysis transform guesses good latents in one pass. Given time, an encoder can do better:
move y against the gradient of bits + lambda * 255^2 * error, taken at the quantised latents, and
keep the best quantised latents on the way. This is iterative inference (Campos et al. 2019,
"Content Adaptive Optimization for Neural Image Compression"; Yang et al. 2020, "Improving
Inference for Neural Image Compression"), with the real quantiser and the real tables in the loop.
The decoder knows nothing of it.

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
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["descend"]

Floats = npt.NDArray[np.float32]
L = TypeVar("L")

RATE = 0.3
RISE, FALL = 1.05, 0.6
"""The step's first length, and what it is multiplied by after success and failure."""


def descend(
    y: Floats,
    curvature: Floats,
    iterations: int,
    quantise: Callable[[Floats], tuple[L, Floats]],
    cost: Callable[[L], tuple[float, Floats]],
) -> L:
    """The best quantised latents on the way down from y (M,h,w).

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
    return best
