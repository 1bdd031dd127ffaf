"""The documentation: generated pages are current, links lead somewhere, lists are complete."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import click
import pytest
from paths import BENCHMARKS, DOCS, ROOT, WEIGHTS

PAGES = [
    *(ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))),
    *sorted(WEIGHTS.glob("*/README.md")),
]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["format.md", "cli.md", "parts.md", "performance.md", "scale.md"])
def test_generated_pages_are_current(name: str) -> None:
    expected = generator().pages()[name]
    assert (DOCS / name).read_text(encoding="utf-8") == expected, "run `make docs`"


def test_the_command_line_page_names_every_option() -> None:
    from aecodec.cli import commands

    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    context = click.Context(commands)
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_merge_is_half_done(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if re.match(r"(<{7}|>{7}) |={7}$", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
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


def test_the_plan_of_the_package_is_complete() -> None:
    """contributing.md names every module, from top to bottom as import-linter holds them."""
    page = (DOCS / "contributing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE)
    floors = {
        module.removesuffix(".py").rstrip("/"): int(number)
        for number, modules in rows
        for module in re.findall(r"`([\w/.]+)`", modules)
    }
    layers = [re.findall(r"\w+", layer) for layer in linter_layers()]
    names = [name for layer in layers for name in layer if not name.startswith("__")]
    assert set(names) == set(floors)
    assert [floors[name] for name in names] == sorted(floors.values(), reverse=True)


def linter_layers() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'^    "([^"]*)",$', text.split("layers = [")[1].split("]")[0], re.MULTILINE)


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text("utf-8"))
    return found


def test_the_first_sentences_say_what_was_measured() -> None:
    """Bytes at equal fidelity on Kodak, as `make bench` has measured them."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    measured = results("comparison")["bd_rate_percent"]

    def saved(measure: str, name: str, anchor: str) -> float:
        return -float(measured[measure][name][anchor]["mean_curves"])

    avif = saved("ssimulacra2", "aecodec", "avif")
    assert f"files are {avif:.0f} % smaller than AVIF files, and a third of the size" in readme
    assert 64 < saved("ssimulacra2", "aecodec", "jpeg") < 69
    assert "At the same PSNR they are as large as AVIF files" in readme
    assert abs(saved("psnr", "aecodec", "avif")) < 2
    less = saved("psnr", "aecodec:small", "avif")
    assert f"`--tune psnr` makes them {less:.0f} % smaller." in readme


def test_what_is_said_of_the_weights_for_the_eye_was_measured() -> None:
    """By `benchmarks/eye.py`, on all 24 Kodak pictures."""
    summary = results("eye-kodak")["summary"]["kodak"]
    assert summary["pictures"] == 24
    found = {measure: bd["aecodec:small-eye"]["avif"] for measure, bd in summary["bd_rate"].items()}
    cells = [f"{found[m]:+.1f} %" for m in ("psnr", "ms_ssim", "ssimulacra2", "butteraugli")]
    row = f"tune=iq) | {' | '.join(cells)} |"
    for page in (DOCS / "benchmarking.md", WEIGHTS / "small-eye" / "README.md"):
        assert row in page.read_text(encoding="utf-8"), page


def test_what_is_said_of_larger_pictures_was_measured() -> None:
    """By `benchmarks/eye.py`, on the pictures of `benchmarks/wallpapers.py`."""
    page = (DOCS / "benchmarking.md").read_text(encoding="utf-8")
    summary = results("eye-wallpapers")["summary"]
    ahead = []
    for kind, pictures in (("photographs", 16), ("illustrations", 24)):
        assert summary[kind]["pictures"] == pictures
        found = summary[kind]["bd_rate"]
        cells = [found[m]["aecodec:small-eye"]["avif"] for m in ("ssimulacra2", "ms_ssim", "psnr")]
        of_each = summary[kind]["bd_rate_of_each_picture"]["ssimulacra2"]["aecodec:small-eye"]
        rates = list(of_each.values())
        said = ["-" if rate is None else f"{rate:+.1f} %" for rate in [*cells, fmean(rates)]]
        ends = f"{min(rates):+.1f} % to {max(rates):+.1f} %"
        assert f" | {' | '.join(said)} | {ends} |" in page
        ahead.append(sum(rate > 0 for rate in rates))
    assert f"fewer bytes for {ahead[0]} of the photographs and {ahead[1]}" in page


def test_what_the_cards_say_is_what_was_measured() -> None:
    """The BD-rates of `benchmarks/kodak.py` in the model cards."""
    for model, name in (("small", "kodak"), ("base", "kodak-base")):
        card = (WEIGHTS / model / "README.md").read_text(encoding="utf-8")
        bd = results(name)["bd_rate"]["aecodec"]
        figures = " | ".join(
            f"{bd[peer]['mean_curves']:.1f} %" for peer in ("jpeg", "webp", "avif")
        )
        assert f"| 1, the default | {figures} |" in card, model


def test_the_client_is_full_at_some_ten_thousand_cores() -> None:
    """scale.md names the order of magnitude in its text; its tables are generated."""
    assert "**At some ten thousand cores: the client.**" in (DOCS / "scale.md").read_text("utf-8")
    seconds = results("batch-cost")["compress_core_seconds_per_megapixel"] * 12
    assert 10_000 <= results("batch-client")["files_per_second"] * seconds < 100_000
