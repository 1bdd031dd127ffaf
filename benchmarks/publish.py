"""Writes what `aecodec bench` measured into the README and docs/benchmarking.md.

    python benchmarks/publish.py benchmarks/results/comparison.json [--speeds FILE] [--readme FILE]
        [--page FILE]

The speeds come from the results of a short run of its own, if there is one: whatever else a machine
does for some minutes of a long run counts against the codec that is measured then.

The README gets the plot and a short table. The page gets the plot, the full table, the settings and
a crop of a sample photograph, side by side. Every figure comes from the JSON file. The crop is
computed here from a photograph in the public domain (scikit-image's astronaut, by NASA), because
the pictures that were measured may not be shipped. Both texts replace what is between the markers
`results:begin` and `results:end`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aecodec.bench import codecs, curves, pictures
from aecodec.bench.curves import Curve
from aecodec.bench.scenes import nearest_above
from aecodec.metrics import psnr

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = Path(__file__).parent / "published"

BEGIN = re.compile(r"<!-- results:begin[^>]*-->\n")
END = "<!-- results:end -->"

IN_PLOT = ("BPG 4:4:4", "VVC (VTM)", "mbt2018-mean")
IN_TABLE = ("BPG 4:4:4", "VVC (VTM)")
ANCHORS = ("jpeg", "webp", "avif", "avif-psnr", "avif-ssimulacra2", "jxl")
"""Those of `aecodec bench` that aecodec's own line is given against, by each measure."""
MEASURES = (("ssimulacra2", "SSIMULACRA 2"), ("ms_ssim", "MS-SSIM"), ("psnr", "PSNR"))
SHORT_ROWS = (
    "aecodec",
    "aecodec@2",
    "aecodec:base-eye",
    "aecodec:small",
    "aecodec:base",
    "jpeg",
    "webp",
    "avif",
    "avif-psnr",
    "avif-ssimulacra2",
    "jxl",
    "jpeg2000",
)

CROP_OF, CROP = "astronaut.png", (120, 10, 440, 290)
CROP_QUALITY = 15

PANELS = (
    ("ssimulacra2", "SSIMULACRA 2", 0, 92),
    ("psnr", "PSNR over RGB, dB", 25, 41.5),
)
"""The plot's measures, and what its axes show of them."""
NOT_IN_PLOT = ("aecodec@2", "avif-psnr", "klt", "aecodec-zstd")
"""They are in the tables. With them nobody could tell the curves apart."""

INK = {"light": ("#17191c", "#596067", "#dddad3"), "dark": ("#e9ebec", "#a2aab1", "#2d3237")}
COLOURS = {
    "light": [
        "#0a5fc2",
        "#9f1239",
        "#c2410c",
        "#047857",
        "#a21caf",
        "#a16207",
        "#6d28d9",
        "#0e7490",
        "#4d7c0f",
    ],
    "dark": [
        "#6cb3ff",
        "#ff8fa8",
        "#ff9257",
        "#4fd1a0",
        "#ee8ff5",
        "#e8bb52",
        "#b79bff",
        "#5cd0e6",
        "#b5e05a",
    ],
}
MARKERS = "oXs^Dv*P<"


def main() -> None:
    """Make the pictures, then the parts of the README and of the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--speeds", type=Path)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarking.md")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    folder = options.results.parent
    if options.speeds:
        with_speeds(results, json.loads(options.speeds.read_text(encoding="utf-8")))
    measured = curves.published(str(options.results))
    others = {curve.name: curve for curve in curves.published(str(PUBLISHED))}
    titles = {entry["name"]: entry["title"] for entry in results["curves"]}
    for theme in INK:
        plot(measured, titles, others, theme, folder / f"kodak-{theme}.svg")
    caption = crop(folder / "side-by-side.png")
    replace(options.readme, short_block(results, folder_from(options.readme, folder)))
    replace(options.page, block(results, others, folder_from(options.page, folder), caption))
    print(f"{options.readme}, {options.page}: results of {results['date']}")


def with_speeds(results: dict[str, Any], other: dict[str, Any]) -> None:
    """Put the speeds of another run of the same codecs into the results."""
    found = {entry["name"]: entry["megapixels_per_second"] for entry in other["curves"]}
    for entry in results["curves"]:
        entry["megapixels_per_second"] = found[entry["name"]]
    results["speeds"] = f" Speeds are those of a run of its own, {len(other['pictures'])} pictures."


# ---------------------------------------------------------------------------------------- the plot


def plot(
    measured: list[Curve],
    titles: dict[str, str],
    others: dict[str, Curve],
    theme: str,
    target: Path,
) -> None:
    """Mean curves by two measures, the rate on a logarithmic scale; readable without colour."""
    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ink, soft, line = INK[theme]
    pyplot.rcParams.update({"svg.hashsalt": "aecodec", "font.size": 11, "svg.fonttype": "path"})
    figure, panels = pyplot.subplots(1, 2, figsize=(10.4, 6.0), layout="constrained")
    for axes, (metric, title, lowest, highest) in zip(panels, PANELS, strict=True):
        for name, dashes in zip(IN_PLOT, ("--", ":", "-."), strict=True):
            points = np.array(others[name].points(metric)).reshape(-1, 2)
            label = f"{name}, published"
            axes.plot(points[:, 0], points[:, 1], color=soft, lw=1.2, ls=dashes, label=label)
        shown = [curve for curve in measured if curve.name not in NOT_IN_PLOT]
        for index, curve in enumerate(shown):
            points = np.array(curve.points(metric))
            axes.plot(
                points[:, 0],
                points[:, 1],
                color=COLOURS[theme][index % 9],
                marker=MARKERS[index % 9],
                ms=5,
                lw=2.6 if index == 0 else 1.5,
                zorder=3 if index == 0 else 2,
                label=titles[curve.name],
            )
        axes.set_xscale("log")
        axes.set_xlim(0.06, 3.4)
        axes.set_ylim(lowest, highest)
        axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.5, 1, 2, 3]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("bits per pixel, whole files", color=ink)
        axes.set_ylabel(title, color=ink)
        axes.tick_params(colors=soft, length=0)
        axes.grid(color=line, lw=0.7)
        axes.spines[:].set_visible(False)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        frameon=False,
        labelcolor=ink,
        loc="outside lower center",
        ncols=4,
        fontsize=9,
    )
    figure.savefig(target, transparent=True, metadata={"Date": None})
    pyplot.close(figure)


# ---------------------------------------------------------------------------------------- the crop


def crop(target: Path) -> str:
    """Original, aecodec and JPEG at the same bytes, beside each other; returns what it shows."""
    path = next(path for path in pictures.bundled() if path.endswith(CROP_OF))
    (photograph,) = pictures.read([path])
    rgb = photograph.rgb
    ours, jpeg = (codecs.find(name).load() for name in ("aecodec", "jpeg"))
    data = ours.encode(rgb, CROP_QUALITY)
    quality, file = nearest_above(jpeg, rgb, len(data))
    panels = [("original", rgb)]
    for title, coder, made in (("aecodec", ours, data), ("JPEG", jpeg, file)):
        restored = coder.decode(made)
        panels.append((f"{title}  {len(made):,} bytes  {psnr(rgb, restored):.1f} dB", restored))
    left, top, right, bottom = CROP
    wide, tall = right - left, bottom - top
    sheet = Image.new("RGB", (3 * wide + 16, tall + 28), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for index, (text, pixels) in enumerate(panels):
        part = Image.fromarray(pixels[top:bottom, left:right])
        sheet.paste(part, (index * (wide + 8), 0))
        draw.text((index * (wide + 8) + 2, tall + 6), text, "black", font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    target.write_bytes(buffer.getvalue())
    return (
        f"A part of a sample photograph: the original, aecodec at quality {CROP_QUALITY}"
        f" ({len(data):,} bytes), JPEG 4:2:0 at quality {quality} ({len(file):,} bytes)"
    )


# ----------------------------------------------------------------- the README's and the page's part


def folder_from(page: Path, folder: Path) -> str:
    """The path of the results as a page's links need it."""
    return Path(os.path.relpath(folder.resolve(), page.resolve().parent)).as_posix()


def picture(place: str) -> list[str]:
    """The plot, for a light and a dark background."""
    return [
        "<picture>",
        f'<source media="(prefers-color-scheme: dark)" srcset="{place}/kodak-dark.svg">',
        '<img alt="SSIMULACRA 2 and PSNR over bits per pixel on Kodak"'
        f' src="{place}/kodak-light.svg" width="860">',
        "</picture>",
        "",
    ]


def machine_of(results: dict[str, Any]) -> str:
    """The machine that the results were measured on, in words."""
    machine = results["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores"


def short_block(results: dict[str, Any], place: str) -> str:
    """The README's part: the plot, and BD-rates and speeds of the codecs that people use."""
    bd = results["bd_rate_percent"]
    measured = {entry["name"]: entry for entry in results["curves"]}
    anchor = "avif" if "avif" in measured else "jpeg"
    named = "AVIF as Pillow writes it" if anchor == "avif" else measured[anchor]["title"]
    measures = [(metric, title) for metric, title in MEASURES if metric in bd]
    heads = [f"bytes by {title}" for _, title in measures]
    lines = ["| " + " | ".join(["codec", *heads, "encode, MP/s", "decode, MP/s"]) + " |"]
    lines.append("|---" * (3 + len(heads)) + "|")
    for name in SHORT_ROWS:
        if name in measured:
            entry = measured[name]
            speed = entry["megapixels_per_second"]
            cells = [bd_rate_cell(bd[metric], name, anchor) for metric, _ in measures]
            cells += [f"{speed[way]:.3g}" for way in ("encoding", "decoding")]
            lines.append("| " + " | ".join([entry["title"], *cells]) + " |")
    return "\n".join(
        [
            *picture(place),
            *lines,
            "",
            f"Bytes are BD-rates against {named}: the size at the same value of the"
            f" measure, on {len(results['pictures'])} Kodak pictures, whole files; e2 is effort 2."
            f"{results.get('speeds', '')} Measured {results['date']} on {machine_of(results)}."
            " [All figures and settings](docs/benchmarking.md),"
            " [speed and memory](docs/performance.md).",
        ]
    )


def block(
    results: dict[str, Any],
    others: dict[str, Curve],
    place: str,
    caption: str,
) -> str:
    """The page's part: the plot, all figures, and the crop."""
    versions = sorted({v for entry in results["curves"] for v in entry["versions"]})
    apart = [entry["apart"] for entry in results["curves"] if entry["name"] == "aecodec"]
    lines = [
        f"Kodak, {len(results['pictures'])} pictures, whole files. Figures against another codec"
        " are BD-rates: the mean difference of the rate at equal fidelity, by PCHIP over log-rate"
        " on the mean curves. Negative means smaller files. Each column names its measure of"
        " fidelity.",
        "",
        *picture(place),
        *table(results, others),
        "",
        "| | |",
        "|---|---|",
        f"| date | {results['date']} |",
        f"| machine | {machine_of(results)}, in a warm process.{results.get('speeds', '')} |",
        f"| versions | Python {results['machine']['python']}, {', '.join(versions)} |",
        *(
            f"| aecodec: time to load | {1000 * a['load_s']:.0f} ms |\n"
            f"| aecodec: memory at {a['megapixels']:.1f} megapixels |"
            f" {a['encode_mib']:.0f} MiB to encode, {a['decode_mib']:.0f} MiB to decode |"
            for a in apart
            if a and a["encode_mib"] and a["decode_mib"]
        ),
        f"| settings and all figures | [`benchmarks/results`]({place}) |",
        "",
        f"![{caption}]({place}/side-by-side.png)",
        "",
        f"{caption}.",
    ]
    return "\n".join(lines)


def bd_rate_cell(bd: dict[str, Any], name: str, anchor: str) -> str:
    """A BD-rate as a cell of a table; empty where there is none."""
    if name == anchor:
        return "0"
    value = bd.get(name, {}).get(anchor, {}).get("mean_curves")
    return "" if value is None else f"{value:+.1f} %"


def table(results: dict[str, Any], others: dict[str, Curve]) -> list[str]:
    """Two tables: aecodec against each codec by every measure, and every codec against JPEG."""
    bd = results["bd_rate_percent"]
    entries = {entry["name"]: entry for entry in results["curves"]}
    measures = [(metric, title) for metric, title in MEASURES if metric in bd]
    ours = next(name for name in entries if name.partition(":")[0] == "aecodec")

    def cell(metric: str, name: str, anchor: str) -> str:
        return bd_rate_cell(bd[metric], name, anchor)

    def line(*cells: str) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [
        line(f"bytes of {entries[ours]['title']} against", *(title for _, title in measures)),
        "|---" * (1 + len(measures)) + "|",
    ]
    for anchor in ANCHORS:
        if anchor in entries:
            cells = (cell(metric, ours, anchor) for metric, _ in measures)
            lines.append(line(_named(entries[anchor]), *cells))
    speeds = ("encode MP/s", "decode MP/s")
    heads = [f"{title}, against JPEG" for _, title in measures]
    lines += [
        "",
        line("codec", "settings", *heads, *speeds),
        "|---" * (2 + len(heads) + len(speeds)) + "|",
    ]
    for name, entry in entries.items():
        speed = entry["megapixels_per_second"]
        lines.append(
            line(
                entry["title"],
                entry["description"],
                *(cell(metric, name, "jpeg") for metric, _ in measures),
                *(f"{speed[way]:.3g}" for way in ("encoding", "decoding")),
            )
        )
    for name in IN_TABLE:
        if name in others and name in results["overlaid"]:
            cells = (cell(metric, name, "jpeg") for metric, _ in measures)
            lines.append(line(f"{name}, published", "", *cells, "", ""))
    return lines


def _named(entry: dict[str, Any]) -> str:
    """A codec with what decides its bytes."""
    return f"{entry['title']} ({entry['description']})"


def replace(readme: Path, made: str) -> None:
    """Put `made` between the markers."""
    text = readme.read_text(encoding="utf-8")
    begin = BEGIN.search(text)
    if begin is None or END not in text:
        raise SystemExit(f"{readme}: the markers results:begin and results:end are missing")
    head, tail = text[: begin.end()], text[text.index(END) :]
    readme.write_text(f"{head}\n{made}\n\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
