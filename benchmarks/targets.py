"""What each constant of the search for a size is worth: files that are coded, bytes used, PSNR.

    python benchmarks/targets.py FOLDER [--pictures 4] [--only NAME] [--qualities 8,30]
        [--json OUT.json]

Of evenly chosen photographs the middle 208x176 pixels are coded to sizes that lie between those of
two neighbouring qualities. One constant of `coding/rate_control.py` after another takes another
value. A row has the means over all searches: of one pass, and of refined latents (effort 2), where
the files that are counted are the refined ones.
"""

from __future__ import annotations

import argparse
import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from measure import pixels_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

from aecodec import bitstream
from aecodec.bench.measure import machine
from aecodec.bitstream import ColourMode, Header
from aecodec.codec import Codec
from aecodec.coding import rate_control
from aecodec.coding.picture import PictureEncoder
from aecodec.metrics import psnr
from aecodec.networks.weights import by_name

WIDTH, HEIGHT = 208, 176
QUALITIES = "8,30,55,75,88,95"
WAY = 0.6
"""How far between two qualities' sizes an aim lies."""
STEPS = rate_control.STEPS
ONE_PASS: tuple[dict[str, Any], ...] = (
    {},
    {"CLOSE": 0.98},
    {"CLOSE": 0.99},
    {"CLOSE": 0.999},
    {"ENOUGH": 0.95},
    {"ENOUGH": 0.995},
    {"GENTLE": 3},
    {"GENTLE": 7},
    {"ROUNDS": 2},
    {"ROUNDS": 12},
    {"STEPS": tuple(step for step in STEPS if step.upper)},
    {"STEPS": tuple(step for step in STEPS if not step.upper)},
)
REFINED: tuple[dict[str, Any], ...] = (
    {},
    {"AIMS": (1.0,) * 5},
    {"AIMS": (0.99,) * 5},
    {"EXACT": 0.99},
    {"MARGIN": 0.0},
    {"MARGIN": 0.01},
)


@dataclass(frozen=True)
class File:
    """A coded picture, by what made it."""

    quality: int
    dead_zone: float
    size: int

    def __len__(self) -> int:
        return self.size


class Photograph:
    """The middle of a photograph; what was coded once is kept."""

    def __init__(self, codec: Codec, path: Path) -> None:
        picture = pixels_of(path)
        x, y = (picture.width - WIDTH) // 2, (picture.height - HEIGHT) // 2
        self.rgb = np.asarray(picture.crop((x, y, x + WIDTH, y + HEIGHT)))
        self.codec = codec
        model_id = codec.weights.id
        self.header = Header(WIDTH, HEIGHT, ColourMode.RGB, 1, model_id)
        encoder = PictureEncoder(codec.tiles, self.rgb, self.header.grid, keep=True)
        self.tiles = functools.cache(encoder.encode)

    def data(self, quality: int, dead_zone: float, effort: int) -> bytes:
        """The bytes of a file."""
        tiles = self.tiles(quality, effort, dead_zone)
        header = replace(self.header, quality=quality)
        return bitstream.pack(header, tiles.payloads, exact=tiles.exact)

    def psnr(self, file: File, effort: int) -> float:
        """In dB, of what comes back."""
        data = self.data(file.quality, file.dead_zone, effort)
        return psnr(self.rgb, self.codec.decode_rgb(bitstream.parse(data)))

    def search(self, aim: int, effort: int) -> tuple[int, float, float]:
        """How many files were coded, the share of the bytes that is used, and the PSNR."""
        coded = []

        def encode(quality: int, dead_zone: float) -> File:
            coded.append(quality)
            return File(quality, dead_zone, len(self.data(quality, dead_zone, effort)))

        def size(quality: int, dead_zone: float) -> int:
            return len(self.data(quality, dead_zone, 1))

        if effort == 1:
            close = rate_control.CLOSE
            file = rate_control.largest_within(encode, aim, close=close)
        else:
            file = rate_control.largest_refined(encode, size, aim)
        return len(coded), len(file) / aim, self.psnr(file, effort)


def measure(
    photographs: list[Photograph], qualities: list[int], changed: dict[str, Any], effort: int
) -> dict[str, Any]:
    """The means over all searches with constants that are changed."""
    before = {name: getattr(rate_control, name) for name in changed}
    vars(rate_control).update(changed)
    try:
        found = []
        for photograph in photographs:
            for quality in qualities:
                low, high = (len(photograph.data(q, 0.0, 1)) for q in (quality, quality + 1))
                found.append(photograph.search(int(low + WAY * (high - low)), effort))
    finally:
        vars(rate_control).update(before)
    files, shares, decibels = zip(*found, strict=True)
    means = {"files": fmean(files), "share": fmean(shares), "psnr": fmean(decibels)}
    return {"changed": shown(changed), "effort": effort, **means, "least_share": min(shares)}


def shown(changed: dict[str, Any]) -> str:
    """The changed constants in a few words."""
    if "STEPS" in changed:
        return "STEPS of the " + ("upper" if changed["STEPS"][0].upper else "lower") + " one alone"
    values = ((name, v[0] if isinstance(v, tuple) else v) for name, v in changed.items())
    return ", ".join(f"{name} {value}" for name, value in values) or "as it is"


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--only", help="one constant, of one pass")
    parser.add_argument("--qualities", default=QUALITIES)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in (".png", ".jpg"))
    if not paths:
        parser.error("no photographs there")
    paths = paths[:: max(1, len(paths) // options.pictures)][: options.pictures]
    codec = Codec(by_name())
    photographs = [Photograph(codec, path) for path in paths]
    qualities = [int(quality) for quality in options.qualities.split(",")]
    work = [(changed, 1) for changed in ONE_PASS] + [(changed, 2) for changed in REFINED]
    if options.only:
        work = [(changed, 1) for changed in ONE_PASS if not changed or options.only in changed]
    console = Console()
    measured = [
        measure(photographs, qualities, *how) for how in track(work, console=Console(stderr=True))
    ]
    table = Table("effort", "constants", "files", "share", "least share", "PSNR, dB")
    for row in measured:
        shares = f"{row['share']:.4f}", f"{row['least_share']:.4f}"
        cells = str(row["effort"]), row["changed"], f"{row['files']:.1f}"
        table.add_row(*cells, *shares, f"{row['psnr']:.3f}")
    console.print(table)
    if options.json:
        results = {
            "machine": machine(),
            "weights": by_name().id.hex(),
            "pictures": [path.name for path in paths],
            "measured": measured,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
