"""From what `aecodec bench` measured to what the README shows: plot, table, side-by-side crop.

    python benchmarks/publish.py benchmarks/results/kodak.json [--readme README.md]

Every figure comes from the JSON; the crop is made here, from a sample photograph in the public
domain (scikit-image's astronaut, by NASA), since the pictures that are measured are not shipped.
Replaces what stands between the README's markers `results:begin` and `results:end`.
"""

from __future__ import annotations

import argparse
import io
import json
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
MEASURES = (("psnr", "PSNR"), ("ms_ssim", "MS-SSIM"), ("ssimulacra2", "SSIMULACRA 2"))

CROP_OF, CROP = "astronaut.png", (120, 10, 440, 290)
CROP_QUALITY = 15

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
    """Make the pictures, then the README's part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args()
    results = json.loads(options.results.read_text(encoding="utf-8"))
    folder = options.results.parent
    measured = curves.published(str(options.results))
    others = {curve.name: curve for curve in curves.published(str(PUBLISHED))}
    titles = {entry["name"]: entry["title"] for entry in results["curves"]}
    for theme in INK:
        plot(measured, titles, others, theme, folder / f"kodak-{theme}.svg")
    caption = crop(folder / "side-by-side.png")
    replace(options.readme, block(results, others, folder, options.readme.parent, caption))
    print(f"{options.readme}: results of {results['date']}")


# ---------------------------------------------------------------------------------------- the plot


def plot(
    measured: list[Curve],
    titles: dict[str, str],
    others: dict[str, Curve],
    theme: str,
    target: Path,
) -> None:
    """Mean curves, the rate on a logarithmic scale; readable without colour."""
    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ink, soft, line = INK[theme]
    pyplot.rcParams.update({"svg.hashsalt": "aecodec", "font.size": 11, "svg.fonttype": "path"})
    figure, axes = pyplot.subplots(figsize=(8.4, 5.2), layout="constrained")
    for name, dashes in zip(IN_PLOT, ("--", ":", "-."), strict=True):
        points = np.array(others[name].points("psnr"))
        axes.plot(
            points[:, 0], points[:, 1], color=soft, lw=1.2, ls=dashes, label=f"{name}, published"
        )
    for index, curve in enumerate(measured):
        points = np.array(curve.points("psnr"))
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
    axes.set_ylim(25, 41.5)
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("bits per pixel, whole files", color=ink)
    axes.set_ylabel("PSNR over RGB, dB", color=ink)
    axes.tick_params(colors=soft, length=0)
    axes.grid(color=line, lw=0.7)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, labelcolor=ink, loc="lower right", fontsize=10)
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


# ------------------------------------------------------------------------------- the README's part


def block(
    results: dict[str, Any],
    others: dict[str, Curve],
    folder: Path,
    root: Path,
    caption: str,
) -> str:
    """What stands between the markers."""
    place = folder.resolve().relative_to(root.resolve()).as_posix()
    machine = results["machine"]
    versions = sorted({v for entry in results["curves"] for v in entry["versions"]})
    apart = [entry["apart"] for entry in results["curves"] if entry["name"] == "aecodec"]
    lines = [
        f"Kodak, {len(results['pictures'])} pictures, real file bytes. BD-rate by PCHIP over"
        " log-rate on the mean curves; negative means fewer bytes at equal fidelity. Each codec has"
        " the settings that the tables name.",
        "",
        "<picture>",
        f'<source media="(prefers-color-scheme: dark)" srcset="{place}/kodak-dark.svg">',
        f'<img alt="PSNR over bits per pixel on Kodak" src="{place}/kodak-light.svg" width="760">',
        "</picture>",
        "",
        *table(results, others),
        "",
        *(
            f"aecodec loads in {1000 * a['load_s']:.0f} ms and needs {a['encode_mib']:.0f} MiB to"
            f" encode and {a['decode_mib']:.0f} MiB to decode {a['megapixels']:.1f} megapixels."
            for a in apart
            if a and a["encode_mib"] and a["decode_mib"]
        ),
        f"Measured {results['date']} on {machine['cpu']}, {machine['cores']} cores, in a warm"
        f" process, Python {machine['python']}; {', '.join(versions)}. Settings and all figures:"
        f" [`{place}`]({place}).",
        "",
        f"![{caption}]({place}/side-by-side.png)",
        "",
        f"{caption}.",
    ]
    return "\n".join(lines)


def table(results: dict[str, Any], others: dict[str, Curve]) -> list[str]:
    """Two tables: aecodec against each codec by every measure, and every codec against JPEG."""
    bd = results["bd_rate_percent"]
    entries = {entry["name"]: entry for entry in results["curves"]}
    measures = [(metric, title) for metric, title in MEASURES if metric in bd]
    ours = next(name for name in entries if name.partition(":")[0] == "aecodec")

    def cell(metric: str, name: str, anchor: str) -> str:
        if name == anchor:
            return "0"
        value = bd[metric].get(name, {}).get(anchor, {}).get("mean_curves")
        return "" if value is None else f"{value:+.1f} %"

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
    """Put `made` between the markers; they stay."""
    text = readme.read_text(encoding="utf-8")
    begin = BEGIN.search(text)
    if begin is None or END not in text:
        raise SystemExit(f"{readme}: the markers results:begin and results:end are missing")
    head, tail = text[: begin.end()], text[text.index(END) :]
    readme.write_text(f"{head}\n{made}\n\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
