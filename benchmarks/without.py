"""What a mask covers: our drawing beside those of OpenCV and scikit-image, in one run.

    python benchmarks/without.py KODAK [--crop WxH] [--coded N] [--json FILE]

Scratches and blots of 1 to 12 pixels are laid over each picture. Measured is the PSNR of the pixels
under the mask. For N pictures also of the .aec file, at quality 90 and two efforts, and its bytes
beside those of the undamaged picture's file. Needs opencv-python-headless and scikit-image (the
extra `bench`).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.progress import track
from skimage.restoration import inpaint_biharmonic

import aecodec
from aecodec.image.masks import filled

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
QUALITY, EFFORTS = 90, (1, 3)
WIDEST = 12


def scratches(width: int, height: int, rng: np.random.Generator) -> Mask:
    """Straight and bent lines of 1 to 12 pixels' width over some 5 % of the picture."""
    sheet = Image.new("L", (width, height))
    draw = ImageDraw.Draw(sheet)
    for _ in range(max(2, width * height // 24_000)):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, math.pi)
        points = [(x, y)]
        for _ in range(4):
            angle += rng.normal(0, 0.15)
            x, y = x + 45 * math.cos(angle), y + 45 * math.sin(angle)
            points.append((x, y))
        draw.line(points, fill=255, width=int(rng.integers(1, WIDEST + 1)), joint="curve")
    return np.asarray(sheet) > 0


def blots(width: int, height: int, rng: np.random.Generator) -> Mask:
    """Ellipses of 1 to 12 pixels' width over some 3 % of the picture."""
    sheet = Image.new("L", (width, height))
    draw = ImageDraw.Draw(sheet)
    for _ in range(width * height // 1300):
        a, b = rng.uniform(1, WIDEST, 2)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        draw.ellipse((x, y, x + a - 1, y + b - 1), fill=255)
    return np.asarray(sheet) > 0


def with_opencv(method: int) -> Callable[[Pixels, Mask], Pixels]:
    return lambda rgb, mask: np.asarray(
        cv2.inpaint(rgb, mask.astype(np.uint8), 3, method), np.uint8
    )


def with_biharmonic(rgb: Pixels, mask: Mask) -> Pixels:
    found: Pixels = np.rint(
        255 * np.clip(inpaint_biharmonic(rgb, mask, channel_axis=-1), 0, 1)
    ).astype(np.uint8)
    return found


METHODS: dict[str, Callable[[Pixels, Mask], Pixels]] = {
    "aecodec": filled,
    "OpenCV Telea": with_opencv(cv2.INPAINT_TELEA),
    "OpenCV Navier-Stokes": with_opencv(cv2.INPAINT_NS),
    "scikit-image biharmonic": with_biharmonic,
}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crop", default="", help="the upper left WxH of each picture")
    parser.add_argument("--coded", type=int, default=4)
    parser.add_argument("--json", type=Path, dest="output")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    rows: list[dict[str, Any]] = []
    paths = sorted(options.folder.glob("*.png"))
    for number, path in enumerate(track(paths, "pictures")):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if options.crop:
            width, height = map(int, options.crop.split("x"))
            image = image.crop((0, 0, min(width, image.width), min(height, image.height)))
        for kind, make in (("scratches", scratches), ("blots", blots)):
            mask = make(image.width, image.height, np.random.default_rng(100 + number))
            coded = number < options.coded
            rows.append({"picture": path.name, "kind": kind, **measured(image, mask, coded)})
    found = {"crop": options.crop, "pictures": rows, "mean": means(rows)}
    for kind, values in found["mean"].items():
        print(kind)
        for name, value in values.items():
            print(f"  {name:34}{value:10.2f}")
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def measured(image: Image.Image, mask: Mask, coded: bool) -> dict[str, float]:
    """PSNR in dB under the mask, CPU seconds and bytes."""
    right = np.asarray(image)
    damaged = right.copy()
    damaged[mask] = 255
    found: dict[str, float] = {"covered_percent": 100.0 * float(mask.mean())}
    for name, method in METHODS.items():
        start = time.process_time()
        drawn = method(damaged, mask)
        found[f"{name}, CPU s"] = time.process_time() - start
        found[f"{name}, dB"] = psnr_under(mask, right, drawn)
    if coded:
        for effort in EFFORTS:
            data = aecodec.compress(damaged, QUALITY, effort=effort, without=mask, threads=1)
            drawn = np.asarray(aecodec.decompress(data, threads=1))
            found[f"file of effort {effort}, dB"] = psnr_under(mask, right, drawn)
            for name, rgb in (("undamaged", right), ("damaged", damaged)):
                other = len(aecodec.compress(rgb, QUALITY, effort=effort, threads=1))
                found[f"file of effort {effort}, % of {name}"] = 100.0 * len(data) / other
    return found


def psnr_under(mask: Mask, right: Pixels, drawn: Pixels) -> float:
    error = np.square(right[mask].astype(np.float64) - drawn[mask])
    return float(10 * np.log10(255**2 / error.mean()))


def means(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By kind, the mean of each figure over the pictures that have it."""
    found: dict[str, dict[str, float]] = {}
    for kind in ("scratches", "blots"):
        those = [row for row in rows if row["kind"] == kind]
        names = [name for name in those[0] if name not in ("picture", "kind")]
        found[kind] = {
            name: float(np.mean([row[name] for row in those if name in row])) for name in names
        }
        peers = [f"{name}, dB" for name in METHODS if name != "aecodec"]
        won = [row["aecodec, dB"] >= max(row[peer] for peer in peers) for row in those]
        found[kind]["pictures where aecodec is the best"] = float(sum(won))
    return found


if __name__ == "__main__":
    main()
