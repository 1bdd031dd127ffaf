"""What several files of tests of the command line ask for by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from command import run


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to copy from: photographs, compressed ones, damaged ones."""
    folder = tmp_path_factory.mktemp("shelf")
    samples.photograph().save(folder / "photo.png")
    samples.photograph("rocket.jpg").save(folder / "rocket.jpg", quality=92)
    done = run("compress", "photo.png", "rocket.jpg", cwd=folder)
    assert done.returncode == 0, done.stderr
    data = bytearray((folder / "photo.aec").read_bytes())
    (folder / "short.aec").write_bytes(data[:-1])
    data[-1] ^= 1
    (folder / "damaged.aec").write_bytes(data)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more of it")
    return folder
