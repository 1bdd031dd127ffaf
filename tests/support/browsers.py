"""The browser that tests look at pages with."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def launched(playwright: Any) -> Any:
    """A running Chromium: the system's, or playwright's own. The test is skipped without one."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and not os.path.exists(playwright.chromium.executable_path):
        pytest.skip("no Chromium is installed")
    sandbox = [] if os.name == "nt" or os.getuid() else ["--no-sandbox"]
    return playwright.chromium.launch(executable_path=path, args=sandbox)
