"""Writes the parts of the documentation that follow from the code: `make docs`.

    format.md   from the docstrings of bitstream.py, entropy/coder.py and coding/prior.py
    cli.md      from the commands as click knows them
    parts.md    from the tables of the walkers in image/parts/

The tests fail while one is not what this makes.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click

HERE = Path(__file__).parent
NOTE = "<!-- Made by docs/generate.py (`make docs`): change the source, not this page. -->"


def pages() -> dict[str, str]:
    """The name and the text of every page."""
    makers = {"format.md": format_page, "cli.md": cli_page, "parts.md": parts_page}
    return {name: "\n".join(make()) for name, make in makers.items()}


# --- format.md ----------------------------------------------------------------------------------


def format_page() -> Iterator[str]:
    from aecodec import bitstream
    from aecodec.coding import prior
    from aecodec.entropy import coder

    yield "# The file format"
    yield ""
    yield NOTE
    yield ""
    yield from markdown(bitstream)
    for module, title in (
        (coder, "The entropy coder in detail"),
        (prior, "The table indexes and the means"),
    ):
        yield ""
        yield f"## {title}"
        yield ""
        yield from markdown(module)
    yield ""


def markdown(module: ModuleType) -> Iterator[str]:
    """A docstring, whose headings and literal blocks are Markdown but for the `::` before them."""
    assert module.__doc__ is not None
    blank = False
    for line in module.__doc__.rstrip().splitlines():
        text = "" if line.strip() == "::" else re.sub(r"::$", ":", line)
        if not text.startswith("    "):  # a block of code
            parts = text.split("``")
            parts[::2] = [part.replace("**", r"\*\*") for part in parts[::2]]  # a power, not bold
            text = "``".join(parts)
        if text or not blank:
            yield text
        blank = not text


# --- cli.md -------------------------------------------------------------------------------------


def cli_page() -> Iterator[str]:
    from aecodec.cli import commands

    root = click.Context(commands, info_name="aecodec", auto_envvar_prefix="AECODEC")
    yield "# The command line"
    yield ""
    yield NOTE
    yield ""
    yield from described(commands, root)
    yield from chapters(commands, root)


def chapters(group: click.Group, context: click.Context, heading: str = "##") -> Iterator[str]:
    """The commands of a group, each followed by its own commands a heading lower."""
    for name in group.list_commands(context):
        command = group.commands[name]
        if not command.hidden:
            below = click.Context(command, context, name)  # click derives the variables' prefix
            yield f"{heading} {below.command_path}"
            yield ""
            yield from described(command, below)
            if isinstance(command, click.Group):
                yield from chapters(command, below, f"{heading}#")


def described(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield "```text"
    yield f"{context.command_path} {usage}"
    yield "```"
    yield ""
    yield from paragraphs(command.help or "")
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        yield "| option | meaning | default | environment |"
        yield "|---|---|---|---|"
        yield from (row(option, context) for option in options)
        yield ""


def paragraphs(text: str) -> Iterator[str]:
    """A command's help: paragraphs, and after click's mark \\b a block that stays as it is."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() == "\b":
            yield "```text"
            yield from (line.strip() for line in lines[1:])
            yield "```"
        else:
            yield " ".join(line.strip() for line in lines).strip()
        yield ""


def row(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if isinstance(option.type, click.IntRange | click.FloatRange):
        low, high = option.type.min, option.type.max
        names += f" {'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
    elif not option.is_flag:
        names += f" {option.make_metavar(context)}"
    default = option.get_default(context) if option.show_default else None
    shown = "" if default is None else f"`{default}`"
    variable = option.envvar or f"{context.auto_envvar_prefix}_{(option.name or '').upper()}"
    settable = option.expose_value or option.envvar or option.name in ("verbose", "debug")
    cells = (names, option.help or "", shown, f"`{variable}`" if settable else "")
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


# --- parts.md -----------------------------------------------------------------------------------

PARTS_INTRODUCTION = """\
`aecodec compress` accounts for every part of a source file. A part is whatever its format stores
separately: a JPEG segment, a PNG chunk, a TIFF tag, bytes behind the picture. What becomes of it:

- **kept**: the `.aec` file holds it, or what it says. The last column names the place.
- **harmless**: it is left out, and nothing that anybody needs goes with it. The last column says
  why.
- **lost**: it is left out with a note, which the last column shows. `--strict` refuses the file,
  and `--rm` keeps it.

A part that no table names is lost. So is every part of a format without a table, with the note
"what else a ... file may hold"."""


def parts_page() -> Iterator[str]:
    yield "# What becomes of each part of a file"
    yield ""
    yield NOTE
    yield ""
    yield PARTS_INTRODUCTION
    for title, module in walkers():
        assert module.__doc__ is not None
        yield ""
        yield f"## {title}"
        yield ""
        yield module.__doc__.splitlines()[0]
        yield ""
        yield "| part | what happens | where to, why, or which note |"
        yield "|---|---|---|"
        for part in dict.fromkeys(module.PARTS):
            cells = (part.name, part.fate.value, part.text)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def walkers() -> Iterator[tuple[str, ModuleType]]:
    """The walkers' modules, each with the formats that it reads."""
    from aecodec.image import parts

    modules: dict[str, list[str]] = {}
    for name, module in parts.FORMATS.items():
        modules.setdefault(module, []).append(name)
    for module, names in modules.items():
        yield ", ".join(names), importlib.import_module(f"{parts.__name__}.{module}")
    # What several of them call.
    yield "Photoshop resources", importlib.import_module(f"{parts.__name__}.photoshop")


def main() -> int:
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
