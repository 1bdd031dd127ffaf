"""Processes of their own, whose memory tests measure with `aecodec.machine.peak_mib`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aecodec.machine import peak_mib


def needs_peak() -> None:
    """Skip the test where the system does not say how much memory a process has held."""
    if peak_mib() is None:
        pytest.skip("this system does not say how much memory a process has held")


def run_apart(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
