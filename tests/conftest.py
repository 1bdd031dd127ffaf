"""What tests of every folder ask for by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paths import WEIGHTS

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.networks.weights import Weights

# Thousands of commands are run: without bytecode each compiles all modules, which takes 0.4 s.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SHIPPED = sorted(config.parent.name for config in WEIGHTS.glob("*/config.json"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one while the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def small() -> Weights:
    """The default weights."""
    from aecodec.networks import weights

    return weights.by_name("small")


@pytest.fixture(scope="session")
def coder(small: Weights) -> Codec:
    """A codec with the default weights, which tests share."""
    from aecodec.codec import Codec

    return Codec(small)


@pytest.fixture(scope="session", params=SHIPPED)
def either(request: pytest.FixtureRequest) -> Weights:
    """Each of the weights that come with aecodec."""
    from aecodec.networks import weights

    return weights.by_name(request.param)
