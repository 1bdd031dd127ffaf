"""Crops of Kodak at equal bytes, side by side: a sheet to look at.

    python benchmarks/side_by_side.py KODAK -o OUT.webp [--model small-eye] [--quality 40]

Each row shows a part of a picture at 200 %: the original, the model, the weights for squared error,
AVIF at its default (tune=iq), and JPEG XL. The model codes the whole picture at the quality; the
others take the largest quality whose file is not larger. The bits per pixel stand below.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from aecodec.bench import codecs

SIDE, ZOOM, TEXT = 128, 2, 14
CROPS = (
    ("kodim01", 330, 190, "bricks"),
    ("kodim01", 60, 330, "bricks and wood"),
    ("kodim02", 300, 200, "boards"),
    ("kodim03", 250, 180, "caps"),
    ("kodim04", 170, 150, "skin"),
    ("kodim05", 120, 60, "small parts"),
    ("kodim06", 300, 330, "water"),
    ("kodim07", 330, 230, "blossom"),
    ("kodim08", 300, 160, "windows"),
    ("kodim09", 180, 240, "seams of a sail"),
    ("kodim10", 200, 330, "numbers on a sail"),
    ("kodim11", 300, 230, "wood"),
    ("kodim12", 330, 250, "sand"),
    ("kodim13", 240, 60, "trees"),
    ("kodim14", 330, 200, "faces, water"),
    ("kodim15", 230, 60, "ribbon"),
    ("kodim15", 330, 250, "face"),
    ("kodim17", 170, 200, "stone"),
    ("kodim18", 200, 230, "skin, cloth"),
    ("kodim19", 180, 420, "fence"),
    ("kodim20", 330, 160, "letters"),
    ("kodim22", 330, 180, "barn"),
    ("kodim23", 420, 90, "feathers"),
    ("kodim24", 330, 330, "paint"),
)
"""Picture, left, top, and what is seen."""


def largest(
    encode: Callable[[np.ndarray, float], bytes],
    rgb: np.ndarray,
    most: int,
    low: float,
    high: float,
) -> bytes:
    """The best file of at most so many bytes; quality `high` is better than `low`."""
    best = encode(rgb, low)
    for _ in range(9):
        middle = (low + high) / 2  # codecs of whole qualities cut it off
        data = encode(rgb, middle)
        if len(data) <= most:
            best, low = data, middle
        else:
            high = middle
    return best


def main() -> None:
    """Code, crop, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="small-eye")
    parser.add_argument("--quality", type=int, default=40)
    options = parser.parse_args()
    names = [f"aecodec:{options.model}", "aecodec:small", "avif", "jxl"]
    coders = {name: codecs.find(name).load() for name in names}
    bounds = {"aecodec:small": (1.0, 100.0), "avif": (1.0, 95.0), "jxl": (15.0, 0.5)}
    width, height = len(names) * SIDE * ZOOM + SIDE * ZOOM, SIDE * ZOOM + TEXT
    sheet = Image.new("RGB", (width, height * len(CROPS)), "white")
    draw = ImageDraw.Draw(sheet)
    decoded: dict[str, list[tuple[str, np.ndarray]]] = {}
    for row, (picture, left, top, what) in enumerate(CROPS):
        if picture not in decoded:
            with Image.open(options.folder / f"{picture}.png") as opened:
                rgb = np.asarray(opened.convert("RGB"))
            found, most = [(f"{picture}", rgb)], 0
            for name, coder in coders.items():
                if name == names[0]:
                    data = coder.encode(rgb, options.quality)
                    most = len(data)
                else:
                    data = largest(coder.encode, rgb, most, *bounds[name])
                rate = 8 * len(data) / (rgb.shape[0] * rgb.shape[1])
                found.append((f"{name}, {rate:.3f} bpp", coder.decode(data)))
            decoded[picture] = found
        for column, (label, pixels) in enumerate(decoded[picture]):
            part = Image.fromarray(pixels).crop((left, top, left + SIDE, top + SIDE))
            part = part.resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST)
            place = column * SIDE * ZOOM, row * height
            sheet.paste(part, place)
            text = f"{label}: {what}" if column == 0 else label
            draw.text((place[0] + 2, place[1] + SIDE * ZOOM + 1), text, fill="black")
        print(picture, what, flush=True)
    sheet.save(options.output, quality=92, method=6)


if __name__ == "__main__":
    main()
