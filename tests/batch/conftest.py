"""What several files of tests of folders ask for by name."""

from __future__ import annotations

from pathlib import Path

import albums
import pytest
from command import run


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `in` with photographs, and `out` with what was made of it. Not to be changed."""
    folder = tmp_path_factory.mktemp("packed")
    albums.fill(folder / "in", 6)
    done = run("compress", "in", "-o", "out", "-r", "-j", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder
