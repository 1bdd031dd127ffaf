"""The import contracts of pyproject.toml hold, and cover every part of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.api import read_configuration
from paths import ROOT

IMPORTERS = {
    "torch": {"model", "training"},
    "click": {"cli"},
    "onnxruntime": {"networks"},
    "constriction": {"entropy"},
    "fsspec": {"batch"},
    "PIL": {"image", "pillow_plugin"},
}
"""Who may import a library: all other parts are named in the contract that forbids it."""


def test_contracts_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("library", IMPORTERS)
def test_contracts_name_every_part_of_the_package(library: str) -> None:
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    (contract,) = (
        c
        for c in contracts
        if library in c.get("forbidden_modules", ()) and c.get("allow_indirect_imports") == "True"
    )
    parts = {
        path.stem
        for path in (ROOT / "aecodec").iterdir()
        if (path.suffix == ".py" and not path.name.startswith("__"))
        or (path / "__init__.py").exists()
    }
    forbidden = {name.removeprefix("aecodec.") for name in contract["source_modules"]}
    assert parts - forbidden == IMPORTERS[library]
