"""The fixed-point formats of probabilities, of the scale network in `scales.py`, and of `steps.py`.

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
    "STEP_COUNTS",
    "STEP_LARGEST",
    "STEP_LIMIT",
    "STEP_OCTAVES",
    "STEP_TABLES",
    "STEP_UNITS",
    "STEP_UNIT_BITS",
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

STEP_LIMIT: Final = 8
"""The largest magnitude in a map of steps."""
STEP_UNIT_BITS: Final = 12
STEP_UNITS: Final = (
    10485,
    9322,
    8289,
    7370,
    6553,
    5827,
    5181,
    4607,
    4096,
    3642,
    3238,
    2879,
    2560,
    2276,
    2024,
    1800,
    1600,
)
"""The quantisation steps for -STEP_LIMIT..STEP_LIMIT: 2 ** STEP_UNIT_BITS is the one without a map.
"""
STEP_OCTAVES: Final = 0.1695
"""How many octaves the step falls for each unit of a map."""
STEP_TABLES: Final = 1
"""How many tables further the scales are for each unit of a map."""
STEP_LARGEST: Final = 1023
"""Larger symbols are all the same for the scale network, whatever the step."""
STEP_COUNTS: Final = (
    (1, 2, 14, 12, 4, 4, 7, 43, 236, 377, 196, 88, 23, 8, 2, 4, 1, 1, 1),
    (1, 1, 1, 1, 1, 5, 17, 58, 257, 435, 181, 48, 10, 3, 1, 1, 1, 1, 1),
)
"""The tables of a map's first and second half, in units of 2 ** -10 of the whole."""
