"""What people and programs do to copies of a photograph: for `fit_descriptors.py`, `similar.py`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

__all__ = ["CHANGES", "random_change", "resized"]

Change = Callable[[Image.Image], Image.Image]


def resized(image: Image.Image, factor: float) -> Image.Image:
    size = [max(1, round(side * factor)) for side in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def coded(image: Image.Image, format_: str, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format_, quality=quality)
    with Image.open(buffer) as opened:
        found: Image.Image = opened.convert("RGB")
    return found


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of its width and height on each side."""
    w, h = image.size
    return image.crop(
        (round(left * w), round(top * h), round(w - right * w), round(h - bottom * h))
    )


def framed(image: Image.Image, share: float, colour: tuple[int, int, int]) -> Image.Image:
    """With a border whose width is a share of the shorter side."""
    return ImageOps.expand(image, max(1, round(share * min(image.size))), colour)


def brightened(image: Image.Image, factor: float) -> Image.Image:
    return image.point(lambda value: min(255, round(value * factor)))


def written_upon(image: Image.Image, text: str, size: float, corner: int) -> Image.Image:
    """With a text on a dark plate over a corner; `size` is a share of the picture's height."""
    w, h = image.size
    font = ImageFont.load_default(max(8.0, size * h))
    out = image.copy()
    draw = ImageDraw.Draw(out)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 8, bottom - top + 8
    x, y = (0 if corner % 2 else w - width), (0 if corner // 2 else h - height)
    draw.rectangle((x, y, x + width, y + height), fill=(20, 20, 20))
    draw.text((x + 4 - left, y + 4 - top), text, fill=(255, 255, 255), font=font)
    return out


def turned(image: Image.Image, degrees: float) -> Image.Image:
    """Turned, and cut to what has no empty corners, as photo editors do."""
    w, h = image.size
    sine = np.sin(np.deg2rad(abs(degrees)))
    lost_x, lost_y = sine * h / w / 2 * 1.05, sine * w / h / 2 * 1.05
    found = image.rotate(degrees, Image.Resampling.BICUBIC)
    return cut(found, lost_x, lost_y, lost_x, lost_y)


CHANGES: Final[dict[str, Change]] = {
    "half size": lambda image: resized(image, 0.5),
    "JPEG 30": lambda image: coded(image, "JPEG", 30),
    "WebP 40": lambda image: coded(image, "WEBP", 40),
    "crop 5 % a side": lambda image: cut(image, 0.05, 0.05, 0.05, 0.05),
    "crop 10 % a side": lambda image: cut(image, 0.1, 0.1, 0.1, 0.1),
    "crop 10 % of a corner": lambda image: cut(image, 0.1, 0.1, 0.0, 0.0),
    "border": lambda image: framed(image, 0.05, (255, 255, 255)),
    "brightness +20 %": lambda image: brightened(image, 1.2),
    "brightness -20 %": lambda image: brightened(image, 0.8),
    "text over a corner": lambda image: written_upon(image, "HOLIDAYS 2026", 0.08, 0),
    "turn by 3 degrees": lambda image: turned(image, 3.0),
    "mirror": ImageOps.mirror,
}


def random_change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One of them, of random strength; never mirrored, since a descriptor is not blind to that."""
    kind = int(rng.integers(7))
    if kind == 0:
        return resized(image, rng.uniform(0.25, 0.8))
    if kind == 1:
        return coded(image, str(rng.choice(["JPEG", "WEBP"])), int(rng.integers(10, 60)))
    if kind == 2:
        return cut(image, *rng.uniform(0.0, 0.07, 4))
    if kind == 3:
        plain = rng.random() < 0.6
        red, green, blue = map(
            int, [255 * rng.integers(2)] * 3 if plain else rng.integers(0, 256, 3)
        )
        return framed(image, rng.uniform(0.01, 0.08), (red, green, blue))
    if kind == 4:
        return brightened(image, rng.uniform(0.7, 1.3))
    if kind == 5:
        return written_upon(
            image,
            "SAMPLE TEXT"[: int(rng.integers(4, 11))],
            rng.uniform(0.04, 0.1),
            int(rng.integers(4)),
        )
    return turned(image, rng.uniform(-4.0, 4.0))
