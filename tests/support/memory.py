"""The memory that a process takes, for scripts that tests run in processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path


def peak() -> int:
    """KiB that this process has held at most.

    On Linux getrusage's figure counts the process that started this one, too: beside a large one
    it does not move.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found // 1024 if sys.platform == "darwin" else found


def run_apart(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script, which may `from memory import peak`, in a process of its own."""
    here = str(Path(__file__).parent)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": here},
    )
