"""What more effort saves: BD-rate against effort 1, and seconds a megapixel.

    python benchmarks/efforts.py FOLDER [--pictures NAME,NAME] [--efforts 1,4,9] [--model NAME]
        [--json OUT.json]

Sizes are those of whole files, PSNR is over RGB, SSIMULACRA 2 is of version 2.1. A curve is the
mean over the pictures at each quality, as in `kodak.py`. High efforts are slow, so by default every
sixth picture is measured.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from measure import pixels_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

import aecodec
from aecodec.bench.measure import machine
from aecodec.codec import EFFORTS
from aecodec.metrics import bd_rate, psnr
from aecodec.networks.ssimulacra2 import ssimulacra2
from aecodec.networks.weights import by_name

MEASURES = ("ssimulacra2", "psnr")


def measure(
    paths: list[Path], qualities: list[int], effort: int, model: str | None
) -> dict[str, Any]:
    """The mean curve at one effort, and the time of encoding."""
    curve, seconds, pixels = [], 0.0, 0
    for quality in track(qualities, f"effort {effort}", console=Console(stderr=True)):
        bpp: list[float] = []
        fidelity: dict[str, list[float]] = {name: [] for name in MEASURES}
        for path in paths:
            picture = pixels_of(path)
            count = picture.width * picture.height
            start = time.perf_counter()
            data = aecodec.compress(picture, quality, effort=effort, model=model)
            seconds += time.perf_counter() - start
            pixels += count
            bpp.append(8.0 * len(data) / count)
            before, after = np.asarray(picture), np.asarray(aecodec.decompress(data))
            score = ssimulacra2(before, after)
            assert score is not None
            fidelity["ssimulacra2"].append(score)
            fidelity["psnr"].append(psnr(before, after))
        means = {name: fmean(values) for name, values in fidelity.items()}
        curve.append({"quality": quality, "bpp": fmean(bpp), **means})
    return {
        "effort": effort,
        "steps": EFFORTS[effort]._asdict(),
        "seconds_per_megapixel": seconds / (pixels / 1e6),
        "curve": curve,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", help="names without suffix, with commas")
    parser.add_argument("--qualities", default="15,40,65,90")
    parser.add_argument("--efforts", default="1,2,4,6,7,8,9")
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in (".png", ".jpg"))
    chosen = options.pictures.split(",") if options.pictures else [p.stem for p in paths[::6]]
    paths = [path for path in paths if path.stem in chosen]
    qualities = [int(q) for q in options.qualities.split(",")]
    if not paths or len(qualities) < 4 or not options.efforts.startswith("1,"):
        parser.error("it needs pictures, four qualities at least, and effort 1 first")
    model = options.model
    aecodec.compress(pixels_of(paths[0]), 50, effort=2, model=model)  # warm
    found = [measure(paths, qualities, int(effort), model) for effort in options.efforts.split(",")]
    for entry in found:
        entry["bd_rate_effort_1"] = {
            name: bd_rate(*points(found[0], name), *points(entry, name)) for name in MEASURES
        }
    table = Table("effort", "annealing, descent", "s/MP", *(f"{name}, %" for name in MEASURES))
    for entry in found:
        steps = ", ".join(map(str, entry["steps"].values()))
        took, rates = entry["seconds_per_megapixel"], entry["bd_rate_effort_1"]
        cells = (f"{rates[name]:.2f}" for name in MEASURES)
        table.add_row(str(entry["effort"]), steps, f"{took:.2f}", *cells)
    Console().print(table)
    if options.json:
        results = {
            "machine": machine(),
            "model": by_name(model).name,
            "weights": by_name(model).id.hex(),
            "pictures": [path.name for path in paths],
            "measured": found,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def points(entry: dict[str, Any], name: str) -> tuple[list[float], list[float]]:
    """The curve of an effort: bits per pixel, and this measure."""
    return [p["bpp"] for p in entry["curve"]], [p[name] for p in entry["curve"]]


if __name__ == "__main__":
    main()
