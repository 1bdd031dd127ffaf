"""Matrix products of integers that are right whatever BLAS NumPy has.

The layers of the integer scale network are matrix products in floats, which hold every sum exactly.
BLAS makes them, and differs from machine to machine: it has kernels for each processor, and chooses
among them by the shapes. A kernel that is wrong (OpenBLAS's for SME was, with NumPy 2.3.5 and
2.5.5) would write files that only the same machine can read. The weights' known answer finds that
only if it has the shapes of the picture.

So a product is checked when its shapes, type and strides are the first of their kind in a process,
by Freivalds' method (1977, "Probabilistic machines can use less running time"): for C = A B and any
row r, r C = (r A) B. All sums are exact, so both sides are equal to the bit. That reads each number
once and does not use BLAS: a millisecond for the first picture of 0.4 megapixels, and none for the
next ones of its size. If a product is wrong, NumPy's own loops make it and all later ones, in
some nine times the time: a hundredth of a second for such a picture.
"""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Exact
from aecodec.errors import KnownAnswerError

__all__ = ["product", "wrong_product"]


_KINDS = 10_000
"""Remembered kinds of products: those of some thousand sizes of pictures."""

_checked: set[tuple[object, ...]] = set()
_wrong: list[str] = []


def wrong_product() -> str | None:
    """The first product of this process that BLAS got wrong, in words."""
    return _wrong[0] if _wrong else None


def product(a: Exact, b: Exact) -> Exact:
    """a (m,k) times b (k,n) of one type, where every sum of products is exact in any order.

    Sums are below 2^31 in units of the last place, and m is at most 2^20. Raises KnownAnswerError
    if the product is wrong without BLAS as well.
    """
    if not _wrong:
        c: Exact = np.matmul(a, b)
        kind = a.dtype, a.shape, b.shape, a.strides, b.strides
        if kind in _checked:
            return c
        if _is_right(a, b, c):
            if len(_checked) >= _KINDS:
                _checked.clear()
            _checked.add(kind)
            return c
        _wrong.append(f"{a.dtype} ({a.shape[0]},{a.shape[1]}) x ({b.shape[0]},{b.shape[1]})")
    c = np.einsum("ik,kj->ij", a, b)
    if not _is_right(a, b, c):
        raise KnownAnswerError(
            f"this machine multiplies wrongly, so files would not decode: {_wrong[0]}"
        )
    return c


def _is_right(a: Exact, b: Exact, c: Exact) -> bool:
    """Whether r C = (r A) B, with weights r of 1 to 4 that tell a row from its neighbours.

    A sum is below 2^31 * 2^20 * 4 = 2^53, so float64 holds it.
    """
    rows = np.arange(len(a), dtype=np.uint32)
    r = 1.0 + (rows * np.uint32(2654435761) >> np.uint32(30))
    left = np.einsum("i,ij->j", r, c, dtype=np.float64)
    by_rows = np.einsum("i,ik->k", r, a, dtype=np.float64)
    right = np.einsum("k,kj->j", by_rows, b, dtype=np.float64)
    return bool(np.array_equal(left, right))  # a NaN equals nothing
