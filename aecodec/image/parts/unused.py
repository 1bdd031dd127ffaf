"""The bits of uncompressed pixels that no colour takes, where a program may hide a channel."""

from __future__ import annotations

import numpy as np

__all__ = ["varies"]

_PIECE = 2**20


def varies(
    data: memoryview, first: int, stride: int, width: int, height: int, size: int, mask: int
) -> bool:
    """Whether the bits of `mask` differ between pixels.

    ``first`` is the offset of the pixels, ``stride`` the bytes from row to row, ``size`` the bytes
    of a pixel (2 or 4, little-endian). Rows beyond the end of the file are left out.
    """
    mask &= 2 ** (8 * size) - 1
    height = min(height, (len(data) - first) // stride if stride else 0)
    if not mask or width <= 0 or height <= 0:
        return False
    rows = np.frombuffer(data, np.uint8, height * stride, first).reshape(height, stride)
    step = max(1, _PIECE // stride)
    usual = None
    for y in range(0, height, step):
        piece = np.ascontiguousarray(rows[y : y + step, : width * size]).view(f"<u{size}")
        bits = piece & mask
        usual = bits[0, 0] if usual is None else usual
        if (bits != usual).any():
            return True
    return False
