"""The package stays easy to survey, by the figures of `survey.py`."""

from __future__ import annotations

from pathlib import Path

import survey
from paths import ROOT

MODULES_AT_THE_TOP = 12
LAYERS = 10
LINES_OF_A_FUNCTION = 60
LINES_OF_A_CLASS = 250
MODULES_THAT_HAND_ON = 4
"""A value that more modules hand on unchanged belongs to an object."""


def test_few_modules_stand_at_the_top() -> None:
    modules = survey.modules_at_the_top(ROOT)
    assert len(modules) <= MODULES_AT_THE_TOP, modules


def test_the_layers_are_few() -> None:
    layers = survey.layers(ROOT)
    assert len(layers) <= LAYERS, layers


def test_functions_are_short() -> None:
    found = survey.functions(ROOT)
    assert not [f for f in found if f.lines > LINES_OF_A_FUNCTION]


def test_classes_are_short() -> None:
    found = survey.classes(ROOT)
    assert not [c for c in found if c.lines > LINES_OF_A_CLASS]


def test_no_parameter_is_handed_on_by_many_modules() -> None:
    found = survey.chains(ROOT)
    assert not {name: chain for name, chain in found.items() if len(chain) > MODULES_THAT_HAND_ON}


def test_the_survey_finds_what_is_there(tmp_path: Path) -> None:
    """A package with a chain of three modules, a long function and a command."""
    package = tmp_path / "aecodec"
    package.mkdir()
    lines = "\n".join(f"    x = {n}" for n in range(70))
    (package / "__init__.py").write_text("")
    (package / "top.py").write_text(
        "from aecodec.middle import second\ndef first(size):\n    second(size, 2)\n"
    )
    (package / "middle.py").write_text(
        "from aecodec import low\ndef second(size, other):\n    low.Third(size=size)\n"
    )
    (package / "low.py").write_text(
        f"class Third:\n    size: int\n\ndef long():\n{lines}\n\n"
        f"@click.command()\ndef longer():\n{lines}\n{lines}\n"
    )
    chain = ["aecodec.top", "aecodec.middle", "aecodec.low"]
    assert survey.chains(tmp_path) == {"size": chain}
    assert survey.modules_at_the_top(tmp_path) == ["low.py", "middle.py", "top.py"]
    assert survey.functions(tmp_path)[0] == (71, "aecodec.low.long")
    assert survey.classes(tmp_path) == [(2, "aecodec.low.Third")]
