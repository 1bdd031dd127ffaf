"""What pip installs where: constriction only on platforms that it has packages for."""

from __future__ import annotations

import sys

import pytest
from packaging.requirements import Requirement
from paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


@pytest.mark.parametrize(
    ("system", "machine", "there"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", False),
        ("linux", "riscv64", False),
        ("win32", "AMD64", True),
        ("win32", "ARM64", False),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", True),
    ],
)
def test_constriction_is_asked_for_where_it_is(system: str, machine: str, there: bool) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {need.name: need for need in map(Requirement, project["dependencies"])}
    marker = needs.pop("constriction").marker
    assert marker is not None
    assert marker.evaluate({"sys_platform": system, "platform_machine": machine}) == there
    # The others have packages everywhere.
    assert all(need.marker is None for need in needs.values())
