"""The types of arrays, and how many elements are processed at once.

It imports numpy. Modules that must load without numpy import these names for type checkers alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AT_ONCE",
    "Array",
    "Bools",
    "Exact",
    "Floats",
    "Indexes",
    "Ints",
    "Longs",
    "Pixels",
    "Places",
    "Probabilities",
    "edge_padded",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Exact = npt.NDArray[np.floating[Any]]
"""Integers, in floats that hold them exactly."""
Floats = npt.NDArray[np.float32]
Indexes = npt.NDArray[np.uint8]
"""Of tables."""
Ints = npt.NDArray[np.int32]
"""Symbols, z_hat, and the weights of the integer network."""
Longs = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
Probabilities = npt.NDArray[np.uint32]

AT_ONCE = 1 << 15
"""Elements that several arrays of float32 can hold at once in a core's cache."""


def edge_padded(array: Array, height: int, width: int, axis: int) -> Array:
    """`array` with its last row and column repeated up to `height` rows and `width` columns.

    Rows are the axis `axis`, columns the next one. An array of that size is returned as it is.
    """
    missing = height - array.shape[axis], width - array.shape[axis + 1]
    if not any(missing):
        return array
    widths = [(0, 0)] * array.ndim
    widths[axis : axis + 2] = [(0, missing[0]), (0, missing[1])]
    return np.pad(array, widths, mode="edge")
