"""Writes the parts of the documentation that come from the code or from measurements: `make docs`.

    format.md        the docstrings of bitstream.py, of entropy/coder.py, entropy/scales.py and
                     entropy/steps.py, and of networks/means.py
    cli.md           the commands, as click knows them
    parts.md         the tables of the walkers in image/parts/
    performance.md   its tables, from benchmarks/results
    scale.md         its tables, from benchmarks/results/batch-*.json

format.md, cli.md and parts.md are generated whole. The other two are written by hand, except for
what is between `<!-- NAME:begin ... -->` and `<!-- NAME:end -->`. The tests fail while a page
differs from what this script writes.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "benchmarks" / "results"
NOTE = "<!-- Made by docs/generate.py (`make docs`): change the source, not this page. -->"


def pages() -> dict[str, str]:
    """The name and the text of every page."""
    return {
        "format.md": "\n".join(format_page()),
        "cli.md": "\n".join(cli_page()),
        "parts.md": "\n".join(parts_page()),
        "performance.md": with_blocks(
            "performance.md",
            speed=speed_table(result("speed")),
            first=first_table(result("speed")),
            memory=memory_table(result("memory")),
            efforts=efforts_table(result("efforts")),
            stages=stages_table(result("stages")),
        ),
        "scale.md": with_blocks(
            "scale.md", measured=measured_table(), estimate=estimate_table(), limits=limits_table()
        ),
    }


def result(name: str) -> dict[str, Any]:
    """What a benchmark has written to benchmarks/results/NAME.json."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found


def with_blocks(name: str, **blocks: Iterator[str]) -> str:
    """The page `name`, with the text between each pair of markers replaced."""
    text = (HERE / name).read_text(encoding="utf-8")
    for block, lines in blocks.items():
        begin, end = f"<!-- {block}:begin", f"<!-- {block}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise SystemExit(f"{name}: the markers of {block!r} are missing")
        head, rest = text.split(begin)
        opening, _, after = rest.partition("-->\n")
        tail = after.split(end)[1]
        made = "\n".join(lines)
        text = f"{head}{begin}{opening}-->\n\n{made}\n\n{end}{tail}"
    return text


def machine(measured: dict[str, Any]) -> str:
    """The machine of a measurement, in words."""
    found = measured["machine"]
    return f"{found['cpu']}, {found['cores']} cores, Python {found['python']}"


def table(heads: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


# --- format.md ----------------------------------------------------------------------------------


def format_page() -> Iterator[str]:
    from aecodec import bitstream
    from aecodec.entropy import coder, scales, steps
    from aecodec.networks import means

    yield "# The file format"
    yield ""
    yield NOTE
    yield ""
    yield from markdown(bitstream)
    for module, title in (
        (coder, "The entropy coder in detail"),
        (scales, "The table indexes"),
        (steps, "The map of steps"),
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
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
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


# --- performance.md -----------------------------------------------------------------------------

CODECS = {
    "aecodec": "aecodec",
    "aecodec:base": "aecodec, model `base`",
    "jpeg": "JPEG",
    "webp": "WebP -m 6",
    "webp-m4": "WebP -m 4",
    "avif": "AVIF speed 6",
    "jxl": "JPEG XL",
}


def speed_table(measured: dict[str, Any]) -> Iterator[str]:
    """Speed and memory of every codec at every size, and how long a process takes to start."""
    versions = ", ".join(f"{name} {value}" for name, value in measured["versions"].items())
    yield f"Machine: {machine(measured)}. Versions: {versions}."
    yield ""
    heads = ["megapixels", "codec", "encode, MP/s", "decode, MP/s"]
    heads += ["encode, MiB", "decode, MiB", "start-up, ms"]
    yield from table(heads, (speed_row(entry, measured) for entry in measured["measured"]))


def speed_row(entry: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    numbers = [f"{entry[key]:.3g}" for key in ("encode_mps", "decode_mps")]
    numbers += [f"{entry[key]:,.0f}" for key in ("encode_mib", "decode_mib")]
    start = measured["start_up_ms"][entry["codec"]] if entry["size"] == "0.4" else None
    name = CODECS.get(entry["codec"], entry["codec"])
    return [entry["size"], name, *numbers, "" if start is None else f"{start:.0f}"]


def first_table(measured: dict[str, Any]) -> Iterator[str]:
    """The speed of the first picture of a process."""
    rows = (
        [
            entry["size"],
            CODECS[entry["codec"]],
            f"{entry['encode_first_mps']:.3g}",
            f"{entry['decode_first_mps']:.3g}",
        ]
        for entry in measured["measured"]
        if entry["codec"].startswith("aecodec")
    )
    yield from table(["megapixels", "codec", "encode, MP/s", "decode, MP/s"], rows)


def memory_table(measured: dict[str, Any]) -> Iterator[str]:
    """The peak memory of whole commands."""
    yield f"Measured {measured['date']}. Machine: {machine(measured)}."
    yield ""
    rows = (
        [f"{entry['megapixels']:g}", f"`{entry['command']}`", f"{entry['mib']:,.0f}"]
        for entry in measured["measured"]
    )
    yield from table(["megapixels", "command", "MiB"], rows)


def efforts_table(measured: dict[str, Any]) -> Iterator[str]:
    """What each effort saves, and what it costs."""
    names = ", ".join(name.partition(".")[0] for name in measured["pictures"])
    yield (
        f"Pictures: {names}, at four qualities. Model `{measured['model']}`."
        f" Machine: {machine(measured)}."
    )
    yield ""
    rows = (
        [
            str(entry["effort"]),
            *(f"{rate:+.1f} %" if rate else "0" for rate in entry["bd_rate_effort_1"].values()),
            f"{entry['seconds_per_megapixel']:.2g}",
        ]
        for entry in measured["measured"]
    )
    heads = ["bytes at equal SSIMULACRA 2", "bytes at equal PSNR", "seconds a megapixel"]
    yield from table(["effort", *heads], rows)


def stages_table(measured: dict[str, Any]) -> Iterator[str]:
    """Where the time goes: milliseconds a megapixel of every stage, on one thread."""
    found = measured["ms_per_megapixel"]["12 MP"]
    yield (
        f"Model `{measured['model']}`, quality {measured['quality']}, one thread, 12 megapixels."
        f" Machine: {machine(measured)}."
    )
    yield ""
    stages = list(dict.fromkeys([*found["encode"], *found["decode"]]))

    def cells(way: str, stage: str) -> str:
        value = found[way].get(stage)
        return "" if value is None else f"{value:.1f}"

    rows = ([stage, cells("encode", stage), cells("decode", stage)] for stage in stages)
    yield from table(["stage", "encode, ms a megapixel", "decode, ms a megapixel"], rows)


# --- scale.md -----------------------------------------------------------------------------------

PHOTOGRAPH = 12  # megapixels
BILLION = 1e9
DAY = 86_400  # seconds
CORES = 1000


def batch(part: str) -> dict[str, Any]:
    """What `benchmarks/batch.py PART` has written."""
    return result(f"batch-{part}")


def measured_table() -> Iterator[str]:
    """What was measured, with the command that repeats it."""
    cost, client, memory, speed = map(batch, ("cost", "client", "memory", "speed"))
    parts = (cost, client, memory, speed)
    days = " and ".join(sorted({found["date"] for found in parts}))
    machines = "; ".join(dict.fromkeys(found["machine"] for found in parts))
    versions = ", ".join(sorted({f"aecodec {found['aecodec']}" for found in parts}))
    pythons = ", ".join(sorted({f"Python {found['python']}" for found in parts}))
    ratios = [
        one / two
        for one, two in zip(speed["seconds_one_worker"], speed["seconds_two_workers"], strict=True)
    ]
    yield f"Measured on {days} ({machines}; {pythons}; {versions}, model `small`)."
    yield ""
    change = 100 * abs(memory["largest_change"])
    rows = [
        [
            "compress, effort 1, quality " + str(cost["quality"]),
            f"{cost['compress_core_seconds_per_megapixel']:.2f} core seconds a megapixel",
            "`cost`",
        ],
        [
            "decompress to PNG",
            f"{cost['decompress_core_seconds_per_megapixel']:.2f} core seconds a megapixel",
            "`cost`",
        ],
        ["size of the `.aec` files", f"{cost['bits_per_pixel']:.2f} bits per pixel", "`cost`"],
        [
            "size of the sources, JPEG quality 92",
            f"{cost['source_bits_per_pixel']:.2f} bits per pixel",
            "`cost`",
        ],
        [
            "work of the client",
            f"{1e6 * client['core_seconds_per_file']:.0f} us of one core a file",
            "`client`",
        ],
        ["throughput of the client", f"{client['files_per_second']:,.0f} files/s", "`client`"],
        ["manifest", f"{client['manifest_bytes_per_file']:.0f} bytes a file", "`client`"],
        [
            "memory of the client and two workers",
            f"{memory['mib_at_500']:.0f} MiB at file 500, within {change:.1f} % of that up to"
            f" file {memory['files']:,}",
            "`memory`",
        ],
        [
            "two workers against one",
            f"{min(ratios):.2f} to {max(ratios):.2f} times as fast, {len(ratios)} rounds",
            "`speed`",
        ],
    ]
    yield from table(["what", "figure", "part of `benchmarks/batch.py`"], iter(rows))


def costs() -> dict[str, float]:
    """Core seconds and megabytes of one photograph."""
    cost = batch("cost")
    return {
        "compress": cost["compress_core_seconds_per_megapixel"] * PHOTOGRAPH,
        "decompress": cost["decompress_core_seconds_per_megapixel"] * PHOTOGRAPH,
        "read": cost["source_bits_per_pixel"] * PHOTOGRAPH / 8,
        "written": cost["bits_per_pixel"] * PHOTOGRAPH / 8,
    }


def estimate_table() -> Iterator[str]:
    """What a billion photographs cost, by multiplication."""
    one, manifest = costs(), batch("client")["manifest_bytes_per_file"]

    def work(verb: str) -> list[str]:
        days = BILLION * one[verb] / DAY
        total = f"{days:,.0f} core days: {days / CORES:.0f} days on {CORES:,} cores"
        return [verb, f"{one[verb]:.1f} core seconds", total]

    rows = [
        work("compress"),
        work("decompress"),
        ["read as JPEG", f"{one['read']:.1f} MB", f"{one['read']:.1f} PB"],
        ["written", f"{one['written']:.1f} MB", f"{one['written']:.1f} PB"],
        ["manifest", f"{manifest:.0f} bytes", f"{manifest:.0f} GB"],
        ["requests to an S3 store, counted in the code", "1 GET, 1 PUT, 2 HEAD", "4 billion"],
    ]
    yield from table(["", f"one photograph of {PHOTOGRAPH} MP", "a billion"], iter(rows))


def limits_table() -> Iterator[str]:
    """What each part of the system has to carry at some numbers of cores."""
    one, client = costs(), batch("client")
    heads = ["cores", "photographs/s", "read", "written", "requests/s", "tasks/s (32 files each)"]

    def row(cores: int) -> list[str]:
        rate = cores / one["compress"]
        return [
            f"{cores:,}",
            f"{rate:,.3g}" if rate < 1000 else f"{rate:,.0f}",
            bits(8e6 * rate * one["read"]),
            bits(8e6 * rate * one["written"]),
            f"{4 * rate:,.0f}",
            f"{rate / 32:,.2g}" if rate < 320 else f"{rate / 32:,.0f}",
        ]

    yield from table(heads, map(row, (1, 64, 1000, 10_000)))
    yield ""
    yield (
        f"The client hands out {client['files_per_second']:,.0f} files/s on one core."
        f" That is as many as {client['files_per_second'] * one['compress']:,.0f} cores compress."
        f" A run of ten million files has {client['manifest_bytes_per_file'] / 100:.0f} GB of"
        " manifest, and takes 320 MB of memory for it when it continues."
    )


def bits(rate: float) -> str:
    """Bits per second, as networks are sold."""
    return f"{rate / 1e9:,.3g} Gbit/s" if rate >= 1e9 else f"{rate / 1e6:,.3g} Mbit/s"


def main() -> int:
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
