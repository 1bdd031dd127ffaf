"""Synthetic drawings on training crops: shapes, checks, lines and letters, in any colours.

People also compress screenshots, posters and charts. Networks that only see photographs become
worse at these, the longer they learn. So a few crops are drawings, on an empty ground or over a
photograph, as in a screenshot.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from aecodec.arrays import Pixels
from aecodec.geometry import ceil_div

__all__ = ["draw_over"]

Colours = npt.NDArray[np.uint8]

LETTERS = np.array(list(string.ascii_letters + string.digits + ".,:;-()" + 12 * " "))


def draw_over(ground: Pixels, rng: np.random.Generator) -> Pixels:
    """A drawing (H,W,3) of the size of `ground`; a third of them leave a part of it visible."""
    height, width = ground.shape[:2]
    colours = _palette(rng)
    picture = Image.fromarray(ground)
    if rng.random() < 2 / 3:
        paper = (255, 255, 255) if rng.random() < 0.3 else _colour(colours, rng)
        picture.paste(paper, (0, 0, width, height))
    kinds: list[Callable[[Image.Image, Colours, np.random.Generator], None]]
    kinds = [_checks, _shapes, _lines, _letters]
    for i in rng.permutation(len(kinds))[: rng.integers(1, 3)]:
        kinds[int(i)](picture, colours, rng)
    return np.asarray(picture)


def _palette(rng: np.random.Generator) -> Colours:
    """Few or many colours; saturated ones, any ones, or greys."""
    colours = rng.integers(0, 256, (int(rng.choice([2, 4, 8, 64])), 3))
    kind = rng.random()
    if kind < 0.3:
        colours = np.where(colours < 128, 0, 255)
    elif kind < 0.5:
        colours = np.repeat(colours[:, :1], 3, axis=1)
    return colours.astype(np.uint8)


def _colour(colours: Colours, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(c) for c in colours[rng.integers(len(colours))])


def _checks(picture: Image.Image, colours: Colours, rng: np.random.Generator) -> None:
    """An area of squares or stripes, each with a colour of its own."""
    width, height = picture.size
    left, top = int(rng.integers(width // 2)), int(rng.integers(height // 2))
    wide, high = int(rng.integers(32, width + 1)), int(rng.integers(32, height + 1))
    side = [int(2.0 ** rng.uniform(1.0, 6.0))] * 2
    if rng.random() < 0.25:
        side[int(rng.integers(2))] = max(wide, high)
    rows, columns = ceil_div(high, side[1]), ceil_div(wide, side[0])
    cells = colours[rng.integers(0, len(colours), (rows, columns))]
    filled = cells.repeat(side[1], axis=0)[:high].repeat(side[0], axis=1)[:, :wide]
    picture.paste(Image.fromarray(np.ascontiguousarray(filled)), (left, top))


def _box(picture: Image.Image, rng: np.random.Generator) -> list[int]:
    """Left, top, right and bottom of a shape that is at least partly inside the picture."""
    side = 2.0 ** rng.uniform(2.0, 8.0, 2)
    middle = rng.uniform(0.0, picture.size)
    return [*(middle - side / 2).astype(int).tolist(), *(middle + side / 2).astype(int).tolist()]


def _shapes(picture: Image.Image, colours: Colours, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 30))):
        shape = draw.rectangle if rng.random() < 0.6 else draw.ellipse
        line = int(rng.integers(0, 6))
        shape(_box(picture, rng), _colour(colours, rng), _colour(colours, rng), line)


def _lines(picture: Image.Image, colours: Colours, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 60))):
        draw.line(_box(picture, rng), _colour(colours, rng), int(rng.integers(1, 5)))


def _letters(picture: Image.Image, colours: Colours, rng: np.random.Generator) -> None:
    """Lines of random letters, as wide as the picture, in Pillow's own fonts."""
    draw = ImageDraw.Draw(picture)
    size = float(2.0 ** rng.uniform(3.0, 5.5))
    font = ImageFont.load_default(size)
    left, y = int(rng.integers(picture.width // 2)), float(rng.integers(picture.height // 2))
    ink = _colour(colours, rng)
    for _ in range(int(rng.integers(1, 12))):
        text = "".join(rng.choice(LETTERS, 2 + int(3.0 * picture.width / size)))
        draw.text((left, y), text, ink, font)
        y += 1.3 * size
