"""Writes the parts of the documentation that follow from the code: `make docs`.

    format.md   from the docstrings of bitstream.py, entropy/coder.py, entropy/scales.py and
                networks/means.py
    cli.md      from the commands as click knows them

The tests fail while either is not what this makes.
"""

from __future__ import annotations

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
    return {"format.md": "\n".join(format_page()), "cli.md": "\n".join(cli_page())}


# --- format.md ----------------------------------------------------------------------------------


def format_page() -> Iterator[str]:
    from aecodec import bitstream
    from aecodec.entropy import coder, scales
    from aecodec.networks import means

    yield "# The file format"
    yield ""
    yield NOTE
    yield ""
    yield from markdown(bitstream)
    for module, title in (
        (coder, "The entropy coder in detail"),
        (scales, "The table indexes"),
        (means, "The means"),
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


def main() -> int:
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
