"""How much noise `--denoise` removes. Imports nothing heavy, for the command line."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = ["AUTO", "MOST", "Strength", "checked"]

Strength: TypeAlias = float | Literal["auto"]
"""The noise's standard deviation in 8-bit levels; or that of the picture itself, as estimated."""
AUTO: Final = "auto"
MOST: Final = 75.0
"""The strongest noise, in 8-bit levels, that can be asked for. The network learned up to 60."""


def checked(strength: object) -> Strength:
    """The strength, if it is one: "auto", or a number above 0 and at most MOST. ValueError."""
    if isinstance(strength, str) and strength == AUTO:
        return AUTO
    try:
        found = float(strength)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = 0.0
    if isinstance(strength, bool) or not 0.0 < found <= MOST:
        raise ValueError(f"denoise must be auto, or above 0 and at most {MOST:g}, not {strength!r}")
    return found
