"""What tiles cost: errors along their edges, and bytes, against the same pictures in other tiles.

    python benchmarks/seams.py FOLDER [--tile 256] [--other 1024] [--qualities 20,60,90]
        [--model NAME] [--json OUT.json]

Codes every picture twice: in tiles of at most `--tile` pixels a side, and in tiles of `--other`. By
default the second is one piece where that is large enough. Compares the same places: the pixels
within 4 pixels of an edge of the first tiles, and further than that from any edge of the others.
The difference of the errors is due to the edges, whatever the picture shows there. The figures are
sums over all pictures.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from measure import pixels_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

import aecodec
from aecodec import bitstream
from aecodec.bench.measure import machine
from aecodec.codec import Codec
from aecodec.networks import weights

NEAR = 4
"""Pixels from a border that count as along it."""


def along(header: bitstream.Header) -> np.ndarray:
    """(H,W): which pixels are along an edge between tiles."""

    def lines(length: int, side: int) -> np.ndarray:
        near = np.zeros(length, bool)
        for border in range(side, length, side):
            near[max(0, border - NEAR) : border + NEAR] = True
        return near

    rows = lines(header.height, header.tile_height)
    columns = lines(header.width, header.tile_width)
    found: np.ndarray = rows[:, None] | columns[None]
    return found


def coded(codec: Codec, path: Path, quality: int, tile: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Bytes of the file, squared error (H,W) in levels, and which pixels are along edges."""
    picture = pixels_of(path)
    data = codec.compress(picture, quality, tile_size=tile)
    error = np.asarray(aecodec.decompress(data), np.float64) - np.asarray(picture)
    header = bitstream.parse(data).header
    return len(data), (error**2).mean(axis=2), along(header)


def compared(codec: Codec, paths: list[Path], quality: int, tile: int, other: int) -> Any:
    """How the first tiles compare with the others at one quality; None without an edge."""
    nbytes, total, borders, elsewhere, count, pixels = np.zeros(2), np.zeros(2), 0.0, 0.0, 0, 0
    for path in track(paths, f"q {quality}", console=Console(stderr=True)):
        bytes_a, error_a, along_a = coded(codec, path, quality, tile)
        bytes_b, error_b, along_b = coded(codec, path, quality, other)
        places = along_a & ~along_b
        nbytes += bytes_a, bytes_b
        total += error_a.sum(), error_b.sum()
        borders += error_a[places].sum()
        elsewhere += error_b[places].sum()
        count, pixels = count + int(places.sum()), pixels + places.size
    if not count:
        return None
    return {
        "quality": quality,
        "share_of_pixels": count / pixels,
        "rms_error_along": math.sqrt(borders / count),
        "rms_error_there_otherwise": math.sqrt(elsewhere / count),
        "squared_error_excess": borders / elsewhere - 1.0,
        "psnr_difference": float(-10.0 * np.log10(total[0] / total[1])),
        "bytes_more": float(nbytes[0] / nbytes[1] - 1.0),
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--other", type=int, default=1024)
    parser.add_argument("--qualities", default="20,60,90")
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    suffixes = (".png", ".jpg", ".avif")
    paths = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in suffixes)
    chosen = weights.by_name(options.model)
    codec = Codec(chosen)
    measured = [
        compared(codec, paths, int(quality), options.tile, options.other)
        for quality in options.qualities.split(",")
    ]
    if None in measured:
        parser.error("no picture with a border between tiles")
    table = Table(
        "quality",
        "along borders, RMS error",
        "there in other tiles",
        "squared error",
        "PSNR of all",
        "bytes",
        title=f"{chosen.name}: tiles of {options.tile} px against {options.other} px",
    )
    for entry in measured:
        table.add_row(
            str(entry["quality"]),
            f"{entry['rms_error_along']:.2f}",
            f"{entry['rms_error_there_otherwise']:.2f}",
            f"{100 * entry['squared_error_excess']:+.1f} %",
            f"{entry['psnr_difference']:+.3f} dB",
            f"{100 * entry['bytes_more']:+.2f} %",
        )
    Console().print(table)
    if options.json:
        results = {
            "machine": machine(),
            "weights": chosen.id.hex(),
            "pictures": [path.name for path in paths],
            "tile": options.tile,
            "other": options.other,
            "near": NEAR,
            "measured": measured,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
