"""The tables of `aecodec bench` and `aecodec compare` in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aecodec.bench.comparison import Comparison
from aecodec.bench.curves import METHOD, Bd
from aecodec.bench.table import Row, percent, speed

__all__ = ["show", "show_files"]


def show(found: Comparison, console: Console) -> None:
    """A line for each codec, best first."""
    titles = found.titles()
    anchor = titles[found.anchor]
    count = len(found.pictures)
    table = Table(
        title=f"{count} picture{'s' if count > 1 else ''}: BD-rate in % against {anchor}",
        box=SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
    )
    table.add_column("codec", no_wrap=True)
    headings = ["PSNR", "by picture", "range dB"]
    seen = [metric for metric in ("ms_ssim", "ssimulacra2") if metric in found.metrics]
    headings += [{"ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA 2"}[metric] for metric in seen]
    headings += ["enc MP/s", "dec MP/s", "load ms", "enc MiB", "dec MiB"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)

    def place(name: str) -> float:
        value = found.against_anchor(name).value
        return float("inf") if value is None else value

    measured = {codec.name: codec for codec in found.measured}
    for name in sorted(titles, key=place):
        bd = found.against_anchor(name)
        cells = [titles[name], percent(bd.value), percent(bd.of_images), _range(bd)]
        cells += [percent(found.against_anchor(name, metric).value) for metric in seen]
        if name in measured:
            codec = measured[name]
            cells += [speed(codec.speed("encode_s")), speed(codec.speed("decode_s"))]
            if codec.probe is not None:
                memory = (codec.probe.encode_mib, codec.probe.decode_mib)
                cells.append(f"{1000 * codec.probe.load_s:.0f}")
                cells += ["" if mib is None else f"{mib:.0f}" for mib in memory]
        table.add_row(*cells)
    console.print(table)
    console.print(METHOD + "; negative: fewer bytes at equal fidelity.", highlight=False)
    machine = found.machine
    console.print(f"{machine['cpu']}, {machine['cores']} cores, {found.day}", highlight=False)


def _range(bd: Bd) -> str:
    if bd.value is None or bd.low is None or bd.high is None:
        return ""
    return f"{bd.low:.1f}–{bd.high:.1f}"


def show_files(headings: Sequence[str], rows: Sequence[Row], console: Console) -> None:
    """What `aecodec compare` found; the first column holds the files' names."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
