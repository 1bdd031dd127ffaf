"""What some tests need of the system they run on, and how they do without.

A test is left out alone, and says what it lacks; whatever else goes wrong fails it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["posix", "small_disk", "without_root"]

AS_ROOT = sys.platform != "win32" and os.geteuid() == 0

posix = pytest.mark.skipif(
    sys.platform == "win32",
    reason="this test needs links, permissions, pipes, terminals or signals as POSIX has them",
)

_FORBIDDEN = ("permission denied", "not permitted", "superuser")


def without_root() -> list[str]:
    """What to put before a command so that permissions count, for root as well."""
    if not AS_ROOT:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("running as root, and setpriv is not there to give root's rights away")
    rights = "-dac_override,-dac_read_search"
    return [setpriv, f"--bounding-set={rights}", f"--inh-caps={rights}"]


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A real file system of that size, mounted on `folder`."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a small file system is mounted as Linux does it")
    if not AS_ROOT:
        pytest.skip("mounting a small file system needs root")
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    forbidden = any(word in mounted.stderr.lower() for word in _FORBIDDEN)
    if mounted.returncode and forbidden:  # in a container, say
        pytest.skip(f"mounting is forbidden here: {mounted.stderr.strip()}")
    assert mounted.returncode == 0, mounted.stderr
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
