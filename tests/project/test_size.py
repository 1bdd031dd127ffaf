"""The package stays easy to survey: few modules at its top, few layers."""

from __future__ import annotations

from importlinter.api import read_configuration
from paths import ROOT

PACKAGE = ROOT / "aecodec"

MODULES_AT_THE_TOP = 12
LAYERS = 10


def test_few_modules_stand_at_the_top() -> None:
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    assert len(modules) <= MODULES_AT_THE_TOP, sorted(modules)


def test_the_layers_are_few() -> None:
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    assert len(layers) <= LAYERS, layers
