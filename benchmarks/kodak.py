"""Rate and distortion on a folder of PNGs, by whole files: aecodec against JPEG and others.

    python benchmarks/kodak.py FOLDER [--peers webp,avif] [--json OUT.json] [--reuse OLD.json]

Uses `compress`, `decompress` and `aecodec.metrics`, and nothing else of aecodec. A curve is the
mean over the pictures, at each quality, of bits per pixel (all bytes of the file) and of PSNR (over
RGB, in dB). BD-rate is PCHIP over log-rate, on the common range of PSNR.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from measure import JPEG_SETTINGS, Point, bytes_at, pixels_of, with_jpeg, with_pillow
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

import aecodec
from aecodec.bench.measure import machine
from aecodec.metrics import bd_rate, psnr

AECODEC_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
ANCHOR = "jpeg"
AROUND_DB = 32.0


@dataclass(frozen=True)
class Codec:
    """A codec to measure: how it codes one picture at one quality."""

    settings: str
    qualities: tuple[int, ...]
    code: Callable[[Image.Image, int, str | None], Point]


def _aecodec(picture: Image.Image, quality: int, model: str | None) -> Point:
    start = time.perf_counter()
    data = aecodec.compress(picture, quality, model=model)
    between = time.perf_counter()
    restored = aecodec.decompress(data)
    end = time.perf_counter()
    if restored.size != picture.size or restored.mode != picture.mode:
        raise SystemExit(f"round trip: {picture.size} {picture.mode} became {restored}")
    value = psnr(np.asarray(picture), np.asarray(restored))
    return Point(quality, len(data), value, between - start, end - between)


def _jpeg(picture: Image.Image, quality: int, _: str | None) -> Point:
    return with_jpeg(picture, quality)


def _webp(picture: Image.Image, quality: int, _: str | None) -> Point:
    return with_pillow(picture, quality, "WEBP", method=6)


def _avif(picture: Image.Image, quality: int, _: str | None) -> Point:
    return with_pillow(picture, quality, "AVIF", speed=6, subsampling="4:2:0")


CODECS = {
    "aecodec": Codec("default", AECODEC_QUALITIES, _aecodec),
    "jpeg": Codec(JPEG_SETTINGS, (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95), _jpeg),
    "webp": Codec("Pillow, method 6", (1, 5, 10, 20, 30, 50, 70, 80, 90, 95), _webp),
    "avif": Codec("Pillow, 4:2:0, speed 6", (5, 15, 25, 35, 45, 55, 65, 75, 85), _avif),
}


# --------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Task:
    """One picture through one codec, at every quality."""

    path: str
    codec: str
    qualities: tuple[int, ...]
    model: str | None


def run(task: Task) -> list[Point]:
    """Do a task, in this process or in a worker."""
    picture = pixels_of(task.path)
    code = CODECS[task.codec].code
    return [code(picture, quality, task.model) for quality in task.qualities]


def warm_up(names: Sequence[str], model: str | None) -> None:
    """Load what the codecs load at their first use, so that it is not timed."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    for name in names:
        CODECS[name].code(Image.fromarray(noise), 50, model)


def measure(tasks: list[Task], jobs: int, console: Console) -> list[list[Point]]:
    """Every task's points, in order."""
    names = sorted({task.codec for task in tasks})
    model = tasks[0].model
    if jobs == 1:
        warm_up(names, model)
        return [run(task) for task in track(tasks, "measuring", console=console, transient=True)]
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=warm_up,
        initargs=(names, model),
    ) as pool:
        done = pool.map(run, tasks)
        return list(track(done, "measuring", total=len(tasks), console=console, transient=True))


def summary(
    codec: Codec, pictures: list[Path], pixels: list[int], points: list[list[Point]]
) -> dict[str, Any]:
    """A codec's mean curve, its speed, and every point of every picture."""
    qualities = [point.quality for point in points[0]]
    curve = [
        {
            "quality": quality,
            "bpp": fmean(8 * of[i].nbytes / n for of, n in zip(points, pixels, strict=True)),
            "psnr": fmean(of[i].psnr for of in points),
        }
        for i, quality in enumerate(qualities)
    ]
    coded = sum(pixels) * len(qualities) / 1e6
    return {
        "settings": codec.settings,
        "curve": curve,
        "encode_mps": coded / sum(point.encode_s for of in points for point in of),
        "decode_mps": coded / sum(point.decode_s for of in points for point in of),
        "images": {
            path.name: [asdict(point) for point in of]
            for path, of in zip(pictures, points, strict=True)
        },
    }


def points_of(result: dict[str, Any]) -> dict[str, list[Point]]:
    """Each picture's points, from a codec's part of the results."""
    return {name: [Point(**p) for p in points] for name, points in result["images"].items()}


# --------------------------------------------------------------------------------------- comparing


def bd(anchor: dict[str, Any], test: dict[str, Any]) -> dict[str, float | None]:
    """BD-rate in per cent against `anchor`, of the mean curves and as the mean over pictures."""
    curves = [[(p["bpp"], p["psnr"]) for p in result["curve"]] for result in (anchor, test)]
    lowest = max(min(value for _, value in curve) for curve in curves)
    highest = min(max(value for _, value in curve) for curve in curves)
    of_anchor, of_test = points_of(anchor), points_of(test)
    each = [
        _bd_rate(
            [(float(p.nbytes), p.psnr) for p in points],
            [(float(p.nbytes), p.psnr) for p in of_test[name]],
        )
        for name, points in of_anchor.items()
    ]
    known = [value for value in each if value is not None]
    return {
        "mean_curves": _bd_rate(*curves),
        "mean_of_images": fmean(known) if len(known) == len(each) else None,
        "from_db": lowest,
        "to_db": highest,
    }


def _bd_rate(anchor: list[tuple[float, float]], test: list[tuple[float, float]]) -> float | None:
    """None where the curves have no common range, or too few points."""
    try:
        return bd_rate(*zip(*anchor, strict=True), *zip(*test, strict=True))
    except ValueError:
        return None


def checks(codecs: dict[str, Any]) -> dict[str, Any]:
    """What aecodec has to show besides its BD-rate."""
    ours, jpeg = points_of(codecs["aecodec"]), points_of(codecs[ANCHOR])
    falling = [
        f"{name} at q = {high.quality}"
        for name, points in ours.items()
        for low, high in pairwise(points)
        if high.nbytes <= low.nbytes or high.psnr <= low.psnr
    ]
    savings = {name: saving_around(ours[name], jpeg[name], AROUND_DB) for name in ours}
    known = {p["quality"]: p["psnr"] for p in codecs[ANCHOR]["curve"]}
    offsets = {
        p["quality"]: p["psnr"] - known[p["quality"]]
        for p in codecs["aecodec"]["curve"]
        if 10 <= p["quality"] <= 90 and p["quality"] in known
    }
    return {
        "not_rising": falling,
        "saving_at_32_db_percent": savings,
        "highest_psnr": max(p["psnr"] for p in codecs["aecodec"]["curve"]),
        "psnr_less_jpeg_at_same_quality_db": offsets,
    }


def saving_around(ours: list[Point], jpeg: list[Point], psnr_value: float) -> float | None:
    """Bytes saved against JPEG, in per cent, at this PSNR or the nearest that both curves reach."""
    lowest = max(min(p.psnr for p in ours), min(p.psnr for p in jpeg))
    highest = min(max(p.psnr for p in ours), max(p.psnr for p in jpeg))
    if lowest > highest:
        return None
    at = min(max(psnr_value, lowest), highest)
    mine, theirs = bytes_at(ours, at), bytes_at(jpeg, at)
    return None if mine is None or theirs is None else 100 * (1 - mine / theirs)


# --------------------------------------------------------------------------------------- reporting


def versions() -> dict[str, str]:
    """The versions that the figures depend on."""
    names = ("constriction", "numpy", "onnxruntime", "pillow")
    return {
        "aecodec": aecodec.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def model_id(model: str | None) -> str:
    """The id of the weights, as a file written with them names it."""
    return aecodec.read_info(aecodec.compress(Image.new("RGB", (64, 64)), model=model)).model


def show(results: dict[str, Any], console: Console) -> None:
    """The table, the comparisons and the checks."""
    curves = Table(title=f"{results['folder']}: {len(results['images'])} pictures, mean of each")
    curves.add_column("codec")
    for heading in ("quality", "bpp", "PSNR dB"):
        curves.add_column(heading, justify="right")
    for name, result in results["codecs"].items():
        for index, point in enumerate(result["curve"]):
            values = (str(point["quality"]), f"{point['bpp']:.4f}", f"{point['psnr']:.2f}")
            curves.add_row("" if index else name, *values, end_section=point is result["curve"][-1])
    console.print(curves)

    rates = Table(title="BD-rate in % (negative: fewer bytes at equal PSNR)")
    rates.add_column("codec")
    for heading in ("against", "mean curves", "mean of images", "range dB", "enc MP/s", "dec MP/s"):
        rates.add_column(heading, justify="right")
    for name, against in results["bd_rate"].items():
        result = results["codecs"][name]
        for anchor, value in against.items():
            rates.add_row(
                name,
                anchor,
                *(
                    "none" if value[kind] is None else f"{value[kind]:+.2f}"
                    for kind in ("mean_curves", "mean_of_images")
                ),
                f"{value['from_db']:.1f} to {value['to_db']:.1f}",
                f"{result['encode_mps']:.2f}",
                f"{result['decode_mps']:.2f}",
            )
    console.print(rates)

    found = results["checks"]
    savings = {k: v for k, v in found["saving_at_32_db_percent"].items() if v is not None}
    worst = min(savings, key=lambda name: savings[name], default=None)
    least = "" if worst is None else f", least saving {savings[worst]:.1f} % ({worst})"
    larger = [name for name, value in savings.items() if value <= 0]
    console.print(
        f"against JPEG around {AROUND_DB:.0f} dB: {len(savings) - len(larger)} of "
        f"{len(results['images'])} pictures are smaller{least}"
    )
    console.print(
        "size and PSNR rise with quality on every picture: "
        + (", ".join(found["not_rising"]) if found["not_rising"] else "yes")
    )
    console.print(f"highest mean PSNR: {found['highest_psnr']:.2f} dB")
    offsets = found["psnr_less_jpeg_at_same_quality_db"].values()
    if offsets:
        console.print(
            f"PSNR less JPEG's at the same quality (10 to 90): {min(offsets):+.2f} to"
            f" {max(offsets):+.2f} dB"
        )
    if results["jobs"] > 1:
        console.print(f"timed with {results['jobs']} processes at once: no measure of speed")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a folder of PNGs")
    parser.add_argument("--peers", default="", help="webp, avif, or both with a comma")
    parser.add_argument("--qualities", help="aecodec's, with commas")
    parser.add_argument("--model", help="the weights to use")
    parser.add_argument("--jobs", type=int, default=1, help="processes; times want 1")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument(
        "--reuse", type=Path, help="results to take every codec's curve from but aecodec's"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, compare, print and write."""
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 100)
    pictures = sorted(options.folder.glob("*.png"))
    if not pictures:
        sys.exit(f"no PNG in {options.folder}")
    pixels = []
    for path in pictures:
        with Image.open(path) as picture:
            pixels.append(picture.width * picture.height)

    codecs = {name: CODECS[name] for name in ("aecodec", ANCHOR)}
    for name in filter(None, options.peers.split(",")):
        if name not in CODECS:
            sys.exit(f"no codec called {name}: {', '.join(CODECS)}")
        codecs[name] = CODECS[name]
    if options.qualities:
        chosen = tuple(int(value) for value in options.qualities.split(","))
        codecs["aecodec"] = replace(codecs["aecodec"], qualities=chosen)

    kept: dict[str, Any] = {}
    if options.reuse and options.reuse.exists():
        old = json.loads(options.reuse.read_text(encoding="utf-8"))
        if old["images"] != [path.name for path in pictures]:
            sys.exit(f"{options.reuse} was measured on other pictures")
        kept = {name: old["codecs"][name] for name in codecs if name in old["codecs"]}
        kept.pop("aecodec", None)

    tasks = [
        Task(str(path), name, codec.qualities, options.model)
        for name, codec in codecs.items()
        if name not in kept
        for path in pictures
    ]
    points = measure(tasks, options.jobs, console)
    measured: dict[str, Any] = {}
    for name, codec in codecs.items():
        if name in kept:
            measured[name] = kept[name]
            continue
        own = [of for task, of in zip(tasks, points, strict=True) if task.codec == name]
        measured[name] = summary(codec, pictures, pixels, own)

    results = {
        "date": datetime.date.today().isoformat(),
        "folder": options.folder.resolve().name,
        "images": [path.name for path in pictures],
        "model": model_id(options.model),
        "versions": versions(),
        "machine": machine(),
        "jobs": options.jobs,
        "bd_rate": {
            name: {
                anchor: bd(measured[anchor], measured[name])
                for anchor in measured
                if anchor not in ("aecodec", name)
            }
            for name in measured
            if name != ANCHOR
        },
        "checks": checks(measured),
        "codecs": measured,
    }
    show(results, console)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        console.print(f"results: {options.json}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
