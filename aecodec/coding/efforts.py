"""The refinement (refinement.py) for each `effort` from 1 to 9."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DEFAULT_EFFORT", "EFFORTS", "Effort"]


class Effort(NamedTuple):
    """How long latents are refined: in steps, each as long as about three decodings."""

    annealing: int
    descent: int


EFFORTS = {
    1: Effort(0, 0),
    2: Effort(0, 1),
    3: Effort(0, 2),
    4: Effort(0, 4),
    5: Effort(0, 8),
    6: Effort(8, 6),
    7: Effort(16, 8),
    8: Effort(32, 16),
    9: Effort(64, 48),
}
DEFAULT_EFFORT = 1
