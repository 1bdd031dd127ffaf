"""The documentation: generated pages are current, links lead somewhere, lists are complete."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paths import BENCHMARKS, DOCS, ROOT

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


# --- the figures of scale.md ----------------------------------------------------------------------

SCALE = DOCS / "scale.md"
RESULTS = BENCHMARKS / "results"
PHOTOGRAPH = 12  # megapixels
BILLION = 1e9
DAY = 86_400  # seconds


def spread_out(template: str) -> str:
    """A pattern for a template's figures, and for its words however they are broken into lines."""
    parts = re.split(r"\{[^{}]*\}", template)
    return r"(?<![\w.,])" + "(.+?)".join(re.escape(part).replace(r"\ ", r"\s+") for part in parts)


def measured_by(part: str) -> dict[str, Any]:
    """What `benchmarks/batch.py` wrote down: `part` is cost, client, memory or speed."""
    found: dict[str, Any] = json.loads((RESULTS / f"batch-{part}.json").read_text("utf-8"))
    return found


def days_of(seconds: float) -> tuple[float, float]:
    """Days that a billion photographs take on one core and on a thousand, `seconds` for each."""
    return BILLION * seconds / DAY, BILLION * seconds / DAY / 1000


KODAK = (
    "| compressed, quality 75 | {} bits a pixel | six",
    "quality 92 | {} bits a pixel | the same",
)


def kodak_rates(page: str) -> list[float]:
    """Bits per pixel as the page gives them, for .aec and JPEG: no file of results holds them."""
    found = [re.search(spread_out(template), page) for template in KODAK]
    return [float(match[1]) for match in found if match is not None]


def scale_statements(page: str) -> list[tuple[Any, ...]]:
    """Templates for all that scale.md says of measured figures, and the figures for them."""
    cost, client, memory, speed = map(measured_by, ("cost", "client", "memory", "speed"))
    ours, jpeg = kodak_rates(page)
    coding = cost["compress_core_seconds_per_megapixel"] * PHOTOGRAPH  # core seconds a photograph
    decoding = cost["decompress_core_seconds_per_megapixel"] * PHOTOGRAPH
    read, written = jpeg * PHOTOGRAPH / 8, ours * PHOTOGRAPH / 8  # MB a photograph
    manifest = client["manifest_bytes_per_file"]
    ratios = [
        one / two
        for one, two in zip(speed["seconds_one_worker"], speed["seconds_two_workers"], strict=True)
    ]
    days = sorted({found["date"] for found in (cost, client, memory, speed)})
    tasks = 1000 / coding / 32  # a second
    work = "{:.1f} core seconds | {:,.0f} core days: {:.0f} days on 1,000 cores |"
    return [
        ("On {}, on an x86-64", " and ".join(days)),
        ("| compress, effort 1 | {:.2f} core seconds a megapixel", coding / PHOTOGRAPH),
        ("| decompress to PNG | {:.2f} core seconds a megapixel", decoding / PHOTOGRAPH),
        ("record | {:.0f} us of a core a file", 1e6 * client["core_seconds_per_file"]),
        ("| the manifest | {:.0f} bytes a file", manifest),
        ("small files | {:.0f} MiB at file 500", memory["mib_at_500"]),
        ("then within {:.1f} % to file", 100 * abs(memory["largest_change"])),
        ("to file {:,} |", memory["files"]),
        ("against one | {:.2f} to {:.2f} times as fast", min(ratios), max(ratios)),
        ("needed {:.2f} bits a pixel, and", cost["bits_per_pixel"]),
        ("a pixel, and {:.2f} as JPEG.", cost["source_bits_per_pixel"]),
        (f"| compress | {work}", coding, *days_of(coding)),
        (f"| decompress | {work}", decoding, *days_of(decoding)),
        ("| read as JPEG | {:.1f} MB | {:.1f} PB |", read, read),
        ("| written | {:.1f} MB | {:.1f} PB |", written, written),
        ("| the manifest | {:.0f} bytes | {:.0f} GB |", manifest, manifest),
        ("One of them reads {:.1f} MB/s and writes", read / coding),
        ("and writes {:.1f} MB/s;", written / coding),
        ("of 64 needs {:.1f} Gbit/s in and", 64 * 8 * read / coding / 1000),
        ("Gbit/s in and {:.1f} Gbit/s out.", 64 * 8 * written / coding / 1000),
        ("They read {:.1f} GB/s together", read / coding),
        ("ask for {:,.0f} things a second.", 4 * 1000 / coding),
        ("can hand out {:,.0f} files a second", client["files_per_second"]),
        ("as many as {:,.0f} cores convert.", client["files_per_second"] * coding),
        ("nuisance: {:.0f} GB for a billion", manifest),
        ("with {:.0f} GB of manifest", manifest / 100),
        ("1,000 cores finish {:.0f} tasks a second,", tasks),
        ("tasks a second, and {:.0f} at ten thousand.", 10 * tasks),
    ]


def test_the_figures_of_scale_are_those_measured() -> None:
    page = SCALE.read_text(encoding="utf-8")
    assert len(kodak_rates(page)) == 2
    words = " ".join(page.split())
    wrong = [
        said
        for template, *values in scale_statements(page)
        if (said := " ".join(template.format(*values).split())) not in words
    ]
    assert not wrong


def test_the_words_of_scale_are_those_measured() -> None:
    """Figures that the page rounds into words, and what it says of how they were measured."""
    page = SCALE.read_text(encoding="utf-8")
    cost, client, speed = map(measured_by, ("cost", "client", "speed"))
    coding = cost["compress_core_seconds_per_megapixel"] * PHOTOGRAPH
    assert "**Twenty thousand cores: the client.**" in page
    assert client["files_per_second"] * coding == pytest.approx(20_000, rel=0.3)
    assert "three pictures of 4000x3000" in page
    assert (cost["files"], cost["megapixels"], cost["quality"]) == (3, 36, 75)
    assert "three rounds" in page
    assert len(speed["seconds_two_workers"]) == 3
    for part in ("cost", "client", "memory", "speed"):
        found = measured_by(part)
        assert found["machine"] == "x86_64, 2 cores"
        assert found["python"].startswith("3.11.")
        assert f"aecodec {found['aecodec']}, weights" in page
