"""Text, drawings and patterns: which are stored exactly, and how they compare with others' files.

    python benchmarks/exact.py [--model small-eye] [--photographs FOLDER] [--json OUT.json]

Sixteen graphics of four kinds are made by code: pages and windows with text, charts, flat drawings,
and patterns of single pixels. Each is coded at several qualities, and measured beside JPEG 4:4:4 at
the same quality, PNG, and lossless WebP (Pillow's method 4 and 6 give about the same). The marks of
a row say what falls short:

    larger    than 1.02 times the lossless WebP and 100 bytes more, or not exact: a page or a flat
              drawing at quality 50 or above
    worse     than JPEG 4:4:4 at the same quality, by PSNR and by SSIMULACRA 2
    png       larger than the PNG

`--photographs` tells of each quality the lowest PSNR of a photograph beside the floor of
`coding/exact.py`, and how many have exact tiles.
"""

from __future__ import annotations

import argparse
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track
from rich.table import Table

import aecodec
from aecodec.bench import pictures
from aecodec.coding.exact import floor
from aecodec.metrics import psnr
from aecodec.networks.ssimulacra2 import ssimulacra2

Pixels = npt.NDArray[np.uint8]

QUALITIES = (30, 50, 75, 90, 95)
WORDS = "the quick brown fox jumps over a lazy dog while seven wizards boil paint in jars"


# ------------------------------------------------------------------------------------ the graphics


def words(rng: np.random.Generator, count: int) -> str:
    """So many words."""
    every = WORDS.split()
    return " ".join(every[i] for i in rng.integers(0, len(every), count))


def page(seed: int, width: int, height: int, size: int, ink: str, paper: str) -> Image.Image:
    """A page of text."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), paper)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for y in range(size, height - 2 * size, int(1.5 * size)):
        draw.text((size, y), words(rng, width // (3 * size)), ink, font)
    return image


def window(seed: int) -> Image.Image:
    """Windows with a title bar, a menu, buttons and a table."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (960, 640), "#3a6ea5")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for left, top in ((40, 30), (360, 200)):
        draw.rectangle((left, top, left + 520, top + 380), "#ece9e2", "#404040")
        draw.rectangle((left + 1, top + 1, left + 519, top + 26), "#20507e")
        draw.text((left + 10, top + 5), words(rng, 4), "white", font)
        for row in range(9):
            y = top + 60 + 28 * row
            shade = "#ffffff" if row % 2 else "#f1f5fa"
            draw.rectangle((left + 12, y, left + 508, y + 27), shade, "#c8ccd0")
            draw.text((left + 18, y + 6), words(rng, 3), "#202020", font)
            draw.text((left + 420, y + 6), f"{rng.integers(10**6):,}", "#202020", font)
        for column in range(3):
            x = left + 250 + 90 * column
            draw.rounded_rectangle((x, top + 340, x + 80, top + 366), 5, "#d8d8d8", "#707070")
            draw.text((x + 14, top + 345), words(rng, 1), "black", font)
    return image


def chart(seed: int, kind: str) -> Image.Image:
    """A chart by matplotlib, its lines anti-aliased."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rng = np.random.default_rng(seed)
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=100)
    if kind == "lines":
        for _ in range(5):
            axes.plot(np.cumsum(rng.normal(size=120)), label=words(rng, 1))
        axes.legend()
    elif kind == "bars":
        axes.bar(range(12), rng.random(12), color=[f"C{i}" for i in range(12)])
    elif kind == "points":
        axes.scatter(rng.normal(size=400), rng.normal(size=400), c=rng.random(400), s=12)
    else:
        axes.imshow(rng.random((12, 16)), cmap="viridis")
    axes.set_title(words(rng, 4))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    pyplot.close(figure)
    return Image.open(file).convert("RGB")


def flat(seed: int, shapes: int, colours: int, side: int = 640) -> Image.Image:
    """A flat drawing: shapes of few colours, with hard edges."""
    rng = np.random.default_rng(seed)
    palette = [tuple(int(v) for v in c) for c in rng.integers(0, 256, (colours, 3))]
    image = Image.new("RGB", (side, side), palette[0])
    draw = ImageDraw.Draw(image)
    for _ in range(shapes):
        x, y, w, h = (int(v) for v in rng.integers(0, side, 4))
        box = (x, y, x + w // 3 + 2, y + h // 3 + 2)
        kind = rng.integers(3)
        colour = palette[rng.integers(colours)]
        if kind == 0:
            draw.rectangle(box, colour)
        elif kind == 1:
            draw.ellipse(box, colour)
        else:
            corners = rng.integers(0, side, (3, 2)).tolist()
            draw.polygon([tuple(c) for c in corners], colour)
    return image


def pattern(kind: str, side: int = 384) -> Image.Image:
    """A pattern whose detail is one pixel wide."""
    y, x = np.mgrid[0:side, 0:side]
    rng = np.random.default_rng(3)
    if kind == "columns":  # red and blue
        odd = (x % 2).astype(np.uint8)
        rgb = np.stack([255 * odd, 0 * odd, 255 * (1 - odd)], -1)
    elif kind == "checks":
        rgb = np.repeat((255 * ((x + y) % 2))[..., None], 3, axis=2)
    elif kind == "halftone":
        shade = 0.5 + 0.5 * np.sin(x / 40) * np.cos(y / 55)
        dots = 0.5 + 0.25 * (np.sin(x * 1.05) + np.sin(y * 1.05))
        rgb = np.repeat((255 * (shade > dots))[..., None], 3, axis=2)
    else:  # each pixel one of four colours
        four = np.array([(230, 40, 40), (40, 200, 60), (40, 60, 220), (240, 220, 60)])
        rgb = four[rng.integers(0, 4, (side, side))]
    return Image.fromarray(np.ascontiguousarray(rgb.astype(np.uint8)))


GRAPHICS: dict[str, tuple[str, Callable[[], Image.Image]]] = {
    "page, black on white": ("page", lambda: page(1, 1200, 900, 16, "black", "white")),
    "page, small type": ("page", lambda: page(2, 800, 600, 10, "#222222", "#fffdf5")),
    "page, light on dark": ("page", lambda: page(3, 800, 600, 15, "#d0d8e0", "#1c2128")),
    "windows": ("page", lambda: window(4)),
    "chart of lines": ("chart", lambda: chart(5, "lines")),
    "chart of bars": ("chart", lambda: chart(6, "bars")),
    "chart of points": ("chart", lambda: chart(7, "points")),
    "chart of a matrix": ("chart", lambda: chart(8, "matrix")),
    "drawing, 4 colours": ("flat", lambda: flat(9, 30, 4)),
    "drawing, 16 colours": ("flat", lambda: flat(10, 120, 16)),
    "drawing, 200 colours": ("flat", lambda: flat(11, 400, 200)),
    "small drawing": ("flat", lambda: flat(12, 20, 12, 96)),
    "columns of red and blue": ("pattern", lambda: pattern("columns")),
    "checks": ("pattern", lambda: pattern("checks")),
    "halftone": ("pattern", lambda: pattern("halftone")),
    "pixels of four colours": ("pattern", lambda: pattern("four")),
}
"""Name: kind, and how it is made."""


# --------------------------------------------------------------------------------------- measuring


def saved(image: Image.Image, format_: str, **options: Any) -> tuple[int, Pixels]:
    """The bytes that Pillow's file takes, and its pixels."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        return file.tell(), np.asarray(opened.convert("RGB"))


def graphic(name: str, model: str) -> Iterator[dict[str, Any]]:
    """One graphic at every quality, beside the others."""
    kind, made = GRAPHICS[name]
    image = made()
    rgb = np.asarray(image)
    png, _ = saved(image, "PNG", optimize=True)
    webp = min(saved(image, "WEBP", lossless=True, method=method)[0] for method in (4, 6))
    for quality in QUALITIES:
        data = aecodec.compress(image, quality, model=model)
        ours = np.asarray(aecodec.decompress(data).convert("RGB"))
        # Not optimised: Pillow's buffer is too small for that where every pixel differs.
        jpeg, theirs = saved(image, "JPEG", quality=quality, subsampling="4:4:4")
        fidelity = [
            (psnr(rgb, pixels), ssimulacra2(rgb, pixels) or 0.0) for pixels in (ours, theirs)
        ]
        exact = bool(np.array_equal(ours, rgb))
        marks = []
        simple = kind in ("page", "flat") and quality >= 50
        if simple and not (exact and len(data) <= 1.02 * webp + 100):
            marks.append("larger")
        if all(a < b for a, b in zip(*fidelity, strict=True)):
            marks.append("worse")
        if len(data) > png:
            marks.append("png")
        yield {
            "name": name,
            "kind": kind,
            "quality": quality,
            "exact": exact,
            "nbytes": len(data),
            "webp_lossless": webp,
            "png": png,
            "jpeg": jpeg,
            "psnr": fidelity[0][0] if math.isfinite(fidelity[0][0]) else None,
            "jpeg_psnr": fidelity[1][0] if math.isfinite(fidelity[1][0]) else None,
            "ssimulacra2": fidelity[0][1],
            "jpeg_ssimulacra2": fidelity[1][1],
            "marks": marks,
        }


def photographs(folder: Path, model: str) -> Iterator[dict[str, Any]]:
    """Of each quality the photograph of lowest PSNR, and how many have exact tiles."""
    names = pictures.gather([str(folder)])
    for quality in (10, 30, 50, 75, 90, 100):
        worst, exact = math.inf, 0
        for name in track(names, f"quality {quality}", transient=True):
            (photograph,) = pictures.read([name])
            data = aecodec.compress(photograph.rgb, quality, model=model)
            exact += bool(aecodec.read_info(data).exact)
            restored = np.asarray(aecodec.decompress(data).convert("RGB"))
            worst = min(worst, psnr(photograph.rgb, restored))
        yield {
            "quality": quality,
            "pictures": len(names),
            "with_exact_tiles": exact,
            "lowest_psnr": worst,
            "floor": floor(quality),
        }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="small-eye")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=130)
    rows = [row for name in GRAPHICS for row in graphic(name, options.model)]
    table = Table(title="Graphics: bytes, and PSNR or SSIMULACRA 2 beside JPEG 4:4:4")
    for head in ("", "q", "exact", "bytes", "WebP ll", "PNG", "JPEG", "PSNR", "SSIM2", "marks"):
        table.add_column(head, justify="left" if not head or head == "marks" else "right")
    for row in rows:
        table.add_row(
            row["name"],
            str(row["quality"]),
            "yes" if row["exact"] else "",
            *(f"{row[key]:,}" for key in ("nbytes", "webp_lossless", "png", "jpeg")),
            "" if row["psnr"] is None else f"{row['psnr']:.1f} / {row['jpeg_psnr'] or 99:.1f}",
            f"{row['ssimulacra2']:.0f} / {row['jpeg_ssimulacra2']:.0f}",
            ", ".join(row["marks"]),
        )
    console.print(table)
    result: dict[str, Any] = {"model": options.model, "graphics": rows}
    if options.photographs:
        result["photographs"] = list(photographs(options.photographs, options.model))
        for row in result["photographs"]:
            console.print(row)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
