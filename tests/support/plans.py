"""Runs a plan for folders in the test's own process."""

from __future__ import annotations

from pathlib import Path

from aecodec.batch import Plan, convert
from aecodec.batch.run import Event
from aecodec.conversion import Result


def convert_here(plan: Plan) -> list[Event]:
    """Run a plan in this process; everything that is told."""
    from aecodec.batch import pool

    told: list[Event] = []
    convert(plan, told.append, pool.convert_here)
    return told


def results(told: list[Event]) -> dict[str, Result]:
    """The results by the names of their sources."""
    return {Path(event.source).name: event for event in told if isinstance(event, Result)}
