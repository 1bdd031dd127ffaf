"""The fixed-point formats of probabilities and of the scale network in `scales.py`.

It imports nothing, because training, which makes these integers, runs without the coder.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTIVATION_BITS",
    "ACTIVATION_LIMIT",
    "LEAK_SHIFT",
    "MIXED_LIMIT",
    "PRECISION",
    "WEIGHT_BITS",
    "Z_SHIFT",
]

PRECISION: Final = 24
"""Probabilities are integers that sum to 2 ** PRECISION."""
ACTIVATION_BITS: Final = 8
"""Fractional bits of an activation."""
WEIGHT_BITS: Final = {
    "input": 10,
    "dw64": 7,
    "up": 10,
    "dw16": 7,
    "output": 6,
    "magnitude": 5,
    "near": 7,
    "fine": 7,
    "correction": 6,
}
"""Fractional bits of every layer's weights: in the layers with most of the work, so few that
float32 holds their sums. (With 10 everywhere files are 0.01 % smaller; with one less in output,
correction, near and fine they are 0.06 % larger.)"""
ACTIVATION_LIMIT: Final = 4095
"""The largest magnitude of an activation."""
MIXED_LIMIT: Final = 8191
"""The largest magnitude of what is mixed from the sizes of symbols."""
Z_SHIFT: Final = 4
"""z_hat enters as z_hat << Z_SHIFT, that is z_hat / 16."""
LEAK_SHIFT: Final = 3
"""The leaky ReLU's slope is 2 ** -LEAK_SHIFT."""
