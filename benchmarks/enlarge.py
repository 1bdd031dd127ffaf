"""`decompress --scale 2` against Lanczos' interpolation of the decoded picture.

    python benchmarks/enlarge.py FOLDER [--model NAME] [--json OUT.json]

Each picture is made half as large by Lanczos' filter, compressed, decoded, and enlarged in both
ways. Both are compared with the picture itself: PSNR over RGB, and SSIMULACRA 2. The times are the
processor time of one thread: the enlargement beside the synthesis of the same picture.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from measure import pixels_of
from rich.console import Console
from rich.progress import track
from rich.table import Table

from aecodec import bitstream
from aecodec.bench.measure import machine
from aecodec.codec import Codec
from aecodec.coding.enlarging import enlarged_bands
from aecodec.geometry import Box
from aecodec.image.rgb import doubled, resized
from aecodec.metrics import psnr
from aecodec.networks import weights
from aecodec.networks.runtime import Options
from aecodec.networks.ssimulacra2 import ssimulacra2

QUALITIES = (50, 75, 90, 95, 100)
OPTIONS = Options(threads=1, device="cpu")


def measure(coder: Codec, whole: np.ndarray, quality: int) -> dict[str, float]:
    """The fidelity of both ways, and their times in seconds."""
    small = resized(whole, whole.shape[0] // 2, whole.shape[1] // 2, "LANCZOS")
    container = bitstream.parse(coder.compress(small, quality))
    decoded = coder.decode_rgb(container)
    found: dict[str, float] = {}
    begin = time.process_time()
    plain = doubled(decoded)
    between = time.process_time()
    bands = enlarged_bands(decoded, Box.of(decoded.shape), quality, OPTIONS)
    drawn = np.concatenate(list(bands))
    found["lanczos_s"], found["enlarge_s"] = between - begin, time.process_time() - between
    for name, rgb in (("lanczos", plain), ("ours", drawn)):
        score = ssimulacra2(whole, rgb)
        assert score is not None
        found[f"{name}_psnr"], found[f"{name}_ssimulacra2"] = psnr(whole, rgb), score
    return found


def synthesis_seconds(coder: Codec, rgb: np.ndarray, quality: int) -> float:
    """The processor time of the synthesis alone; the least of three."""
    point = coder.weights.at(quality)
    box = Box.of(rgb.shape)
    v_hat = point.gain * coder.tiles.analyse(rgb, box)
    took = []
    for _ in range(3):
        begin = time.process_time()
        coder.tiles.transforms.synthesise(v_hat, box, point)
        took.append(time.process_time() - begin)
    return min(took)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    coder = Codec(weights.by_name(options.model), OPTIONS)
    pictures = [np.asarray(pixels_of(path)) for path in sorted(options.folder.glob("*.png"))]
    if not pictures:
        parser.error(f"{options.folder}: no PNG")
    measure(coder, pictures[0], 50)  # warm
    table = Table("quality", "Lanczos, dB", "ours", "gain", "Lanczos, SSIMULACRA 2", "ours", "gain")
    results: dict[str, Any] = {}
    ratios = []
    for quality in QUALITIES:
        found = [measure(coder, p, quality) for p in track(pictures, f"quality {quality}")]
        means = {key: fmean(one[key] for one in found) for key in found[0]}
        results[str(quality)] = means
        cells = []
        for name in ("psnr", "ssimulacra2"):
            before, after = means[f"lanczos_{name}"], means[f"ours_{name}"]
            cells += [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        table.add_row(str(quality), *cells)
    for picture in pictures[:6]:
        small = resized(picture, picture.shape[0] // 2, picture.shape[1] // 2, "LANCZOS")
        took = measure(coder, picture, 75)["enlarge_s"]
        ratios.append(1.0 + took / synthesis_seconds(coder, small, 75))
    Console().print(table)
    print(f"synthesis and enlargement take {median(ratios):.2f} times as long as the synthesis")
    if options.json:
        content = {
            "machine": machine(),
            "model": coder.weights.name,
            "pictures": len(pictures),
            "qualities": results,
            "times_of_synthesis": median(ratios),
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
