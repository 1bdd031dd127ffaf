"""The documentation: generated pages are current, links lead somewhere, lists are complete."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["format.md", "cli.md"])
def test_generated_pages_are_current(name: str) -> None:
    expected = generator().pages()[name]
    assert (DOCS / name).read_text(encoding="utf-8") == expected, "run `make docs`"


def test_the_command_line_page_names_every_option() -> None:
    from aecodec.cli import commands

    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, command in commands.commands.items():
        section = page.split(f"## aecodec {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert f"`{option}`" in section, (name, option)


def test_the_format_page_is_the_specification() -> None:
    """Every paragraph of the docstring stands in it."""
    from aecodec import bitstream

    assert bitstream.__doc__ is not None
    page = (DOCS / "format.md").read_text(encoding="utf-8").replace("\\*", "*")
    paragraphs = [p for p in bitstream.__doc__.split("\n\n") if p.strip() != "::"]
    assert sum(map(len, paragraphs)) > 8000
    for paragraph in paragraphs:
        text = paragraph.strip("\n").removesuffix("\n::")
        assert text in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in links:
        if not link.startswith(("http://", "https://")):
            target, _, anchor = link.partition("#")
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {link}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
                assert anchor in slugs, f"{page.name}: {link}"


def test_the_plan_of_the_house_is_complete() -> None:
    """contributing.md names every module, from top to bottom as import-linter holds them."""
    page = (DOCS / "contributing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE)
    floors = {
        room.removesuffix(".py").rstrip("/"): int(number)
        for number, rooms in rows
        for room in re.findall(r"`([\w/.]+)`", rooms)
    }
    layers = [re.findall(r"\w+", layer) for layer in linter_layers()]
    names = [name for layer in layers for name in layer if not name.startswith("__")]
    assert set(names) == set(floors)
    assert [floors[name] for name in names] == sorted(floors.values(), reverse=True)


def linter_layers() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'^    "([^"]*)",$', text.split("layers = [")[1].split("]")[0], re.MULTILINE)
