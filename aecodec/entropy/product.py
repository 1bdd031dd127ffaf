"""Matrix products of integers that are checked, because a BLAS library may be wrong.

The layers of the integer scale network are matrix products in floats that hold every sum exactly.
BLAS computes them with kernels for each processor, which it chooses by the shapes. A wrong kernel
would write files that only the same machine can read. (OpenBLAS's kernel for SME was wrong, with
NumPy 2.3.5 and 2.5.5.) The known answers of the weights find this only for their own shapes.

So the first product of each shape, type and stride in a process is checked by Freivalds' method
(1977, "Probabilistic machines can use less running time"): for C = A B and any row r,
r C = (r A) B. All sums are exact, so both sides must be equal. The check reads each number once and
does not use BLAS. It takes a millisecond for the first picture of 0.4 megapixels. After a wrong
product, NumPy's own loops compute it and all later ones, in nine times the time.
"""

from __future__ import annotations

import numpy as np

from aecodec.arrays import Exact
from aecodec.errors import KnownAnswerError

__all__ = ["product", "wrong_product"]


_KINDS = 10_000
"""The number of checked kinds that are remembered: those of a thousand sizes of pictures."""

_checked: set[tuple[object, ...]] = set()
_wrong: list[str] = []


def wrong_product() -> str | None:
    """The first wrong product of BLAS in this process, in words; None if there was none."""
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
