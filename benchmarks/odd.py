"""Broken pictures among photographs: the area under the ROC curve, for each kind of breakage.

    python benchmarks/odd.py PHOTOGRAPHS... [--usual N] [--others N] [--broken N] [--json FILE]

N usual photographs are given as such. Other photographs are judged, whole ones and broken ones,
which are different photographs. Beside ours: the same with the bits of a JPEG at equal quality, as
the simplest way to see what is unusual.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from aecodec.codec import Codec
from aecodec.networks import weights
from aecodec.networks.runtime import Options
from aecodec.uses.odd import Usual, observe

Pixels = npt.NDArray[np.uint8]


def half_grey(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    out: Pixels = rgb.copy()
    out[len(out) // 2 :] = 128
    return out


def shifted_blocks(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    out: Pixels = rgb.copy()
    h, w = out.shape[:2]
    high, wide = h // 6, w // 4
    for _ in range(6):
        (y, v), (x, u) = rng.integers(0, h - high, 2), rng.integers(0, w - wide, 2)
        out[y : y + high, x : x + wide] = rgb[v : v + high, u : u + wide]
    return out


def banding(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    out: Pixels = (rgb // 43 * 43 + 21).astype(np.uint8)
    return out


def stuck_rows(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    out: Pixels = rgb.copy()
    first = int(rng.integers(len(out) // 4, len(out) // 2))
    out[first : first + len(out) // 3] = out[first]
    return out


def wrong_channels(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(rgb[..., ::-1])


def heavy_noise(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    out: Pixels = np.clip(rgb + rng.normal(0, 50, rgb.shape), 0, 255).astype(np.uint8)
    return out


def blank(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    return np.full_like(rgb, rng.integers(0, 256))


BREAKAGES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "half grey": half_grey,
    "shifted blocks": shifted_blocks,
    "banding": banding,
    "stuck rows": stuck_rows,
    "wrong channel order": wrong_channels,
    "heavy noise": heavy_noise,
    "blank": blank,
}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--usual", type=int, default=200)
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--json", type=Path, dest="output")
    options = parser.parse_args()

    rng = np.random.default_rng(8)
    paths = sorted(path for folder in options.folders for path in folder.rglob("*.*"))
    order = iter(paths[index] for index in rng.permutation(len(paths)))
    coder = Codec(weights.by_name(weights.TUNED["psnr"]), Options(threads=1, device="cpu"))

    def some(count: int, text: str) -> list[Pixels]:
        chosen = [path for _, path in zip(range(count), order, strict=False)]
        return [pixels_of(path) for path in track(chosen, text)]

    photographs = [some(options.usual, "usual"), some(options.others, "whole")]
    to_break = some(options.broken, "to break")
    usual = Usual([observe(rgb, coder) for rgb in track(photographs[0], "fitting")])
    typical = np.median([jpeg_bits(rgb) for rgb in photographs[0]])

    def scores(pictures: list[Pixels]) -> tuple[list[float], list[float]]:
        ours = [usual.judge(observe(rgb, coder)).score for rgb in pictures]
        return ours, [abs(jpeg_bits(rgb) - typical) for rgb in pictures]

    whole = scores(photographs[1])
    found: dict[str, dict[str, float]] = {}
    for name, breakage in BREAKAGES.items():
        broken = scores([breakage(rgb, rng) for rgb in track(to_break, name)])
        found[name] = {
            "aecodec": area(whole[0], broken[0]),
            "bits of JPEG": area(whole[1], broken[1]),
        }
    found["mean"] = {
        way: float(np.mean([values[way] for values in found.values()]))
        for way in ("aecodec", "bits of JPEG")
    }
    print(f"{'area under the ROC curve':28}{'aecodec':>14}{'bits of JPEG':>14}")
    for name, values in found.items():
        print(f"{name:28}" + "".join(f"{value:14.3f}" for value in values.values()))
    if options.output is not None:
        counts: dict[str, Any] = {k: getattr(options, k) for k in ("usual", "others", "broken")}
        options.output.write_text(json.dumps({**counts, "auc": found}, indent=1) + "\n", "utf-8")


def pixels_of(path: Path) -> Pixels:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def jpeg_bits(rgb: Pixels) -> float:
    """The logarithm of a JPEG's bits for each pixel at quality 75."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=75)
    return float(np.log(8 * buffer.tell() / (rgb.shape[0] * rgb.shape[1])))


def area(whole: list[float], broken: list[float]) -> float:
    """The share of pairs in which the broken picture has the higher score; a tie is a half."""
    apart = np.subtract.outer(broken, whole)
    return float((apart > 0).mean() + 0.5 * (apart == 0).mean())


if __name__ == "__main__":
    main()
