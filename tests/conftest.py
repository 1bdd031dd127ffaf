"""What tests of every folder ask for by name."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one while the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
