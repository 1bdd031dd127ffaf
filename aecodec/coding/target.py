"""What a file is to reach in place of a quality. Imports nothing heavy, for the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

__all__ = ["Measure", "Target"]

Measure: TypeAlias = Literal["size", "bpp", "psnr", "ssimulacra2"]


@dataclass(frozen=True)
class Target:
    """At most so many bytes or bits per pixel, or at least this PSNR or SSIMULACRA 2 score."""

    measure: Measure
    value: float

    def __post_init__(self) -> None:
        if isinstance(self.value, bool | str | bytes) or not hasattr(self.value, "__float__"):
            raise TypeError(f"target_{self.measure} must be a number, not {self.value!r}")
        if not 0 < self.value < math.inf:
            raise ValueError(f"target_{self.measure} must be above 0, not {self.value}")

    @classmethod
    def of(cls, **values: float | None) -> Target | None:
        """The target among these values, by the name of its measure; None without any.

        Raises ValueError for two of them, and for one that is not above 0; TypeError for one that
        is no number.
        """
        given = {name: value for name, value in values.items() if value is not None}
        if len(given) > 1:
            raise ValueError("one target, not two")
        for name, value in given.items():
            return cls(cast(Measure, name), value)
        return None
