"""The format of figures in tables, in the terminal and in the report."""

from __future__ import annotations

__all__ = ["Row", "percent", "speed"]

Row = tuple[str, ...]


def percent(value: float | None) -> str:
    """A BD-rate as text."""
    return "–" if value is None else f"{value:+.1f}"


def speed(value: float) -> str:
    """Megapixels a second, to three figures."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
