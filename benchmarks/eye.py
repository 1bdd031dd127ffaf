"""How good files look: models against AVIF, JPEG XL and JPEG, by real bytes and several measures.

    python benchmarks/eye.py FOLDER... --models small,small-eye --json OUT.json
        [--pictures N] [--others avif,jpeg] [--every 2] [--butteraugli PROGRAM] [--report OUT.json]

Every codec codes every picture in one run, in turns: first the lowest quality of each codec, then
the next one. Measured are PSNR, MS-SSIM, SSIMULACRA 2 and, with a program that prints it
(`butteraugli_main` of libjxl), Butteraugli's 3-norm. The results file is written after each
picture, and a run that was interrupted goes on from there. A codec whose settings, library or
weights have changed since is measured anew.

A BD-rate is of mean curves: PCHIP over the logarithm of the rate, on the common range of a measure.
Where pictures differ much in their rates, a mean curve is that of the busy ones. So each picture's
own BD-rate against AVIF is printed as well: their mean, the worst and the best.
`--report` prints the tables of a results file without measuring anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from aecodec import metrics
from aecodec.bench import codecs, curves, pictures
from aecodec.bench.measure import machine
from aecodec.networks.ssimulacra2 import ssimulacra2

ANCHOR = "avif"
OTHERS = ("avif", "avif-psnr", "avif-ssimulacra2", "jxl", "jpeg")
QUALITIES = {
    "aecodec": (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    "avif": (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    "jpeg": (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    "jxl": (15, 10, 7, 5, 4, 3, 2, 1.5, 1, 0.6),
}
MEASURES = {
    "psnr": "PSNR",
    "ms_ssim": "MS-SSIM",
    "ssimulacra2": "SSIMULACRA 2",
    "butteraugli": "Butteraugli 3-norm",
}

Pixels = npt.NDArray[np.uint8]
Points = list[dict[str, Any]]
Curve = list[tuple[float, float]]  # bits per pixel, fidelity


def chosen(models: Sequence[str], others: Sequence[str], every: int) -> list[codecs.Codec]:
    """The models' codecs and the others, at every so many of their qualities."""
    found = [codecs.find(name) for name in [*(f"aecodec:{model}" for model in models), *others]]
    return [
        dataclasses.replace(codec, qualities=QUALITIES[re.split(r"[:-]", codec.name)[0]][::every])
        for codec in found
    ]


def butteraugli(program: str, original: Pixels, restored: Pixels) -> float:
    """Butteraugli's 3-norm, 0 where the pictures are equal, by libjxl's program."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("original.png", "restored.png")]
        for path, pixels in zip(paths, (original, restored), strict=True):
            Image.fromarray(pixels).save(path, compress_level=1)
        done = subprocess.run([program, *paths], capture_output=True, text=True, check=True)
    found = re.search(r"3-norm: ([\d.]+)", done.stdout + done.stderr)
    if not found:
        raise SystemExit(f"{program} printed no 3-norm: {done.stdout.strip()!r}")
    return float(found[1])


def measured(
    coder: codecs.Coder, rgb: Pixels, quality: float, program: str | None
) -> dict[str, Any]:
    """One picture through one codec at one quality."""
    start = time.perf_counter()
    data = coder.encode(rgb, quality)
    between = time.perf_counter()
    restored = coder.decode(data)
    end = time.perf_counter()
    psnr = metrics.psnr(rgb, restored)
    return {
        "quality": quality,
        "nbytes": len(data),
        "psnr": psnr if math.isfinite(psnr) else None,
        "ms_ssim": metrics.ms_ssim(rgb, restored),
        "ssimulacra2": ssimulacra2(rgb, restored),
        "butteraugli": butteraugli(program, rgb, restored) if program else None,
        "encode_s": between - start,
        "decode_s": end - between,
    }


# --------------------------------------------------------------------------------- the results file


def identity(codec: codecs.Codec, program: str | None) -> list[Any]:
    """What must be the same for old points to stand."""
    return [codec.settings, list(codec.versions), list(codec.qualities), bool(program)]


def read(path: Path) -> dict[str, Any]:
    """What a results file holds, or the start of one."""
    if path.exists():
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    return {"machine": machine(), "codecs": {}, "folders": {}}


def write(path: Path, results: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def run(
    folders: Sequence[str],
    used: Sequence[codecs.Codec],
    path: Path,
    limit: int | None,
    program: str | None,
    console: Console,
) -> dict[str, Any]:
    """Measure what the results file lacks."""
    results = read(path)
    for codec in used:
        now = identity(codec, program)
        if results["codecs"].setdefault(codec.name, now) != now:
            console.print(f"{codec.name} has changed: measured anew")
            results["codecs"][codec.name] = now
            for folder in results["folders"].values():
                for picture in folder.values():
                    picture["points"].pop(codec.name, None)
    coders: dict[str, codecs.Coder] = {}
    for folder in folders:
        kept = results["folders"].setdefault(Path(folder).name, {})
        for name in pictures.gather([folder])[:limit]:
            (photograph,) = pictures.read([name])
            entry = kept.setdefault(
                photograph.name,
                {"width": photograph.width, "height": photograph.height, "points": {}},
            )
            wanted = [codec for codec in used if codec.name not in entry["points"]]
            if not wanted:
                continue
            for codec in wanted:
                if codec.name not in coders:
                    coders[codec.name] = codec.load()
            begun = time.perf_counter()
            points: dict[str, Points] = {codec.name: [] for codec in wanted}
            for row in zip_longest(*(codec.qualities for codec in wanted)):
                for codec, quality in zip(wanted, row, strict=True):
                    if quality is not None:
                        coder = coders[codec.name]
                        point = measured(coder, photograph.rgb, quality, program)
                        points[codec.name].append(point)
            entry["points"] |= points
            write(path, results)
            console.print(f"{folder} {photograph.name}: {time.perf_counter() - begun:.0f} s")
    return results


# --------------------------------------------------------------------------------------- reporting


def mean_curve(entries: Sequence[dict[str, Any]], name: str, measure: str) -> Curve:
    """Bits per pixel and fidelity of a codec by its quality: the mean over the pictures.

    Empty where a picture has no such measure. MS-SSIM is in decibels, Butteraugli below 0, so that
    more is better in each.
    """
    made: Curve = []
    for column in zip(*(entry["points"][name] for entry in entries), strict=True):
        values = [point[measure] for point in column]
        if any(value is None for value in values):
            return []
        sizes = [entry["width"] * entry["height"] for entry in entries]
        rate = fmean(8 * point["nbytes"] / size for point, size in zip(column, sizes, strict=True))
        value: float | None = fmean(values)
        if measure == "ms_ssim":
            value = curves.decibels(fmean(values))
        if value is None:  # all pictures come back exactly
            return []
        made.append((rate, -value if measure == "butteraugli" else value))
    return made


def rising(curve: Curve) -> Curve:
    """A curve without the points that another one dominates."""
    made: Curve = []
    for point in sorted(curve):
        if not made or (point[0] > made[-1][0] and point[1] > made[-1][1]):
            made.append(point)
    return made


def bd_rate(anchor: Curve, curve: Curve) -> float | None:
    """In per cent; below 0 where fewer bytes than the anchor's do. None without a common range."""
    first, second = rising(anchor), rising(curve)
    try:
        return metrics.bd_rate(*zip(*first, strict=True), *zip(*second, strict=True))
    except (TypeError, ValueError):
        return None


def at_equal(anchor: Curve, curve: Curve) -> list[float | None]:
    """For each point of a curve its bytes against the anchor's of equal fidelity, in per cent."""
    known = rising(anchor)
    fidelity = [point[1] for point in known]
    rates = [math.log(point[0]) for point in known]
    made: list[float | None] = []
    for rate, value in curve:
        if not known or not fidelity[0] <= value <= fidelity[-1]:
            made.append(None)
            continue
        other = math.exp(float(np.interp(value, fidelity, rates)))
        made.append(100 * (rate / other - 1))
    return made


def summary(folder: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Mean curves, BD-rates, bytes at equal fidelity, and speeds, over the finished pictures."""
    entries = [e for e in folder.values() if all(name in e["points"] for name in names)]
    if not entries:
        return {"pictures": 0}
    mean = {
        measure: {name: mean_curve(entries, name, measure) for name in names}
        for measure in MEASURES
    }
    megapixels = sum(e["width"] * e["height"] for e in entries) / 1e6
    speeds = {}
    for name in names:
        points = [p for e in entries for p in e["points"][name]]
        coded = megapixels * len(points) / len(entries)
        speeds[name] = {
            way: coded / sum(p[f"{way}_s"] for p in points) for way in ("encode", "decode")
        }
    return {
        "pictures": len(entries),
        "mean_curves": mean,
        "bd_rate": {
            measure: {
                name: {anchor: bd_rate(of[anchor], of[name]) for anchor in names if anchor != name}
                for name in names
            }
            for measure, of in mean.items()
        },
        "bytes_at_equal_percent": {
            measure: {name: at_equal(of[ANCHOR], of[name]) for name in names if name != ANCHOR}
            for measure, of in mean.items()
        },
        "bd_rate_of_each_picture": {
            measure: {
                name: {
                    label: bd_rate(*(mean_curve([e], n, measure) for n in (ANCHOR, name)))
                    for label, e in folder.items()
                    if e in entries
                }
                for name in names
                if name != ANCHOR
            }
            for measure in MEASURES
        },
        "megapixels_per_second": speeds,
    }


def shown(value: float | None) -> str:
    """A percentage as people write it."""
    return "-" if value is None else f"{value:+.1f}"


def report(results: dict[str, Any], names: Sequence[str], console: Console) -> None:
    """Print tables of all folders, and put the figures into `results`."""
    results["summary"] = {}
    for label, folder in results["folders"].items():
        found = results["summary"][label] = summary(folder, names)
        if not found["pictures"]:
            continue
        measures = [m for m in MEASURES if found["mean_curves"][m][ANCHOR]]
        for anchor in [name for name in names if name in OTHERS]:
            table = Table(title=f"{label}, {found['pictures']} pictures: BD-rate against {anchor}")
            table.add_column("codec")
            for measure in measures:
                table.add_column(MEASURES[measure], justify="right")
            table.add_column("encode MP/s", justify="right")
            for name in names:
                if name != anchor:
                    rates = [shown(found["bd_rate"][m][name][anchor]) for m in measures]
                    speed = found["megapixels_per_second"][name]["encode"]
                    table.add_row(name, *rates, f"{speed:.2f}")
            console.print(table)
        for name in names:
            if name.startswith("aecodec"):
                more = zip(
                    results["codecs"][name][2],
                    found["bytes_at_equal_percent"]["ssimulacra2"][name],
                    strict=True,
                )
                said = ", ".join(f"q{quality} {shown(value)}" for quality, value in more)
                console.print(f"{name} against {ANCHOR} at equal SSIMULACRA 2: {said}")
                of_each = found["bd_rate_of_each_picture"]["ssimulacra2"][name]
                ordered = sorted((v, k) for k, v in of_each.items() if v is not None)
                if ordered:
                    mean = fmean(rate for rate, _ in ordered)
                    ends = " to ".join(f"{shown(ordered[i][0])} ({ordered[i][1]})" for i in (0, -1))
                    console.print(f"each picture by SSIMULACRA 2: mean {shown(mean)}, from {ends}")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", help="folders of pictures")
    parser.add_argument("--models", default="small", help="with commas; NAME or NAME@EFFORT")
    parser.add_argument("--others", default=",".join(OTHERS), help="with commas; avif is needed")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each Nth quality")
    parser.add_argument("--pictures", type=int, help="of each folder, the first ones by name")
    parser.add_argument("--butteraugli", metavar="PROGRAM", help="libjxl's butteraugli_main")
    parser.add_argument("--json", type=Path, help="the results file, which a later run goes on")
    parser.add_argument("--report", type=Path, help="print the tables of this results file")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 110)
    if options.report:
        results = read(options.report)
        report(results, list(results["codecs"]), console)
        return
    if not options.folders or not options.json:
        parser.error("name folders of pictures, and a results file with --json")
    program = options.butteraugli
    if program and not shutil.which(program):
        parser.error(f"no program {program}")
    others = options.others.split(",")
    if ANCHOR not in others or not set(others) <= set(OTHERS):
        parser.error(f"--others is {ANCHOR}, and any of {', '.join(OTHERS[1:])}")
    used = chosen(options.models.split(","), others, options.every)
    results = run(options.folders, used, options.json, options.pictures, program, console)
    report(results, [codec.name for codec in used], console)
    write(options.json, results)


if __name__ == "__main__":
    main()
