"""Synthetic illustrations: smooth edges, gradients, shadows, tilings, curved bands and fine lines.

Wallpapers, comics, rendered scenes and icons have what photographs rarely have: clean edges
between areas without texture. Networks that see few of them need more bytes for them than AVIF.
`drawings.py` makes pixel art and screenshots, with hard edges; here every edge is anti-aliased.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from aecodec.arrays import Floats, Pixels

__all__ = ["illustrate"]

OVER = 3
"""Masks are drawn with so many times the height and width, and made smaller by means of squares."""
LETTERS = np.array(list(string.ascii_letters + string.digits))

Dice = np.random.Generator
Colours = npt.NDArray[np.float32]


class _Canvas(NamedTuple):
    height: int
    width: int
    dice: Dice
    colours: Colours  # (n,3)

    @property
    def side(self) -> float:
        """Mean of height and width."""
        return (self.height + self.width) / 2

    def colour(self) -> Colours:
        found: Colours = self.colours[self.dice.integers(len(self.colours))]
        return found

    def mesh(self) -> tuple[Floats, Floats]:
        """The coordinates of each pixel in a turned frame, (H,W) each, in units of the side."""
        y = np.arange(self.height, dtype=np.float32)[:, None] / self.side
        x = np.arange(self.width, dtype=np.float32)[None] / self.side
        turn = self.dice.uniform(0.0, 2.0 * np.pi)
        along: Floats = np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y
        across: Floats = np.float32(np.cos(turn)) * y - np.float32(np.sin(turn)) * x
        return across, along

    def drawn(self, draw: Callable[[ImageDraw.ImageDraw], None]) -> Floats:
        """A mask (H,W) in [0,1] of what `draw` draws, in coordinates OVER times as large."""
        mask = Image.new("L", (OVER * self.width, OVER * self.height))
        draw(ImageDraw.Draw(mask))
        share: Floats = np.asarray(mask.reduce(OVER), np.float32) / np.float32(255.0)
        return share


def illustrate(ground: Pixels, rng: Dice) -> Pixels:
    """An illustration (H,W,3) of the size of `ground`; a quarter of them lie over `ground`."""
    height, width = ground.shape[:2]
    canvas = _Canvas(height, width, rng, _palette(rng))
    picture = _fill(canvas)
    if rng.random() < 0.25:
        picture = ground.astype(np.float32)
    for _ in range(int(rng.integers(1, 10))):
        shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
        picture = _laid(picture, shape(canvas), canvas)
    if rng.random() < 0.3:  # a little grain, as artists add it against banding
        picture += rng.normal(0.0, rng.uniform(0.3, 2.5), (height, width, 1)).astype(np.float32)
    drawn = Image.fromarray(np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8))
    if rng.random() < 0.3:  # a rendering that was enlarged, or is out of focus
        drawn = drawn.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    return np.asarray(drawn)


def _palette(rng: Dice) -> Colours:
    """Two to eight colours (n,3): any ones, or relatives of one, pale or full."""
    count = int(rng.integers(2, 9))
    some = rng.uniform(0.0, 255.0, (count, 3))
    if rng.random() < 0.5:
        some = some[:1] + rng.normal(0.0, rng.uniform(8.0, 70.0), (count, 3))
    grey = some.mean(axis=1, keepdims=True)
    some = grey + rng.uniform(0.0, 1.0) * (some - grey)
    palette: Colours = np.clip(some, 0.0, 255.0).astype(np.float32)
    return palette


def _fill(canvas: _Canvas) -> Floats:
    """One colour, or a linear or radial gradient of two, (H,W,3)."""
    kind, first, second = canvas.dice.random(), canvas.colour(), canvas.colour()
    if kind < 0.35:
        return np.full((canvas.height, canvas.width, 3), first)
    across, along = canvas.mesh()
    t = along if kind < 0.75 else np.hypot(across - across.mean(), along - along.mean())
    low, high = canvas.dice.uniform(-0.5, 0.4), canvas.dice.uniform(0.6, 1.5)
    t = (t - t.min()) / max(float(np.ptp(t)), 1e-6)
    share = np.clip((t - low) / (high - low), 0.0, 1.0).astype(np.float32)[..., None]
    mixed: Floats = first + share * (second - first)
    return mixed


def _laid(picture: Floats, mask: Floats, canvas: _Canvas) -> Floats:
    """A fill over the picture where the mask is, sometimes with a shadow or half transparent."""
    dice = canvas.dice
    if dice.random() < 0.3:
        softness = float(2.0 ** dice.uniform(0.5, 4.5))
        moved = np.roll(mask, dice.integers(-8, 9, 2), (0, 1))
        shadow = Image.fromarray(np.rint(255.0 * moved).astype(np.uint8))
        soft = np.asarray(shadow.filter(ImageFilter.GaussianBlur(softness)), np.float32)
        strength = np.float32(dice.uniform(0.1, 0.6) / 255.0)
        picture = picture * (1 - strength * soft)[..., None]
    opacity = 1.0 if dice.random() < 0.7 else dice.uniform(0.15, 1.0)
    laid: Floats = picture + (_fill(canvas) - picture) * (np.float32(opacity) * mask)[..., None]
    return laid


# --- Shapes: masks (H,W) in [0,1] ---------------------------------------------------------------


def _polygon(canvas: _Canvas) -> Floats:
    """A star-shaped polygon, or a smooth blob where it has many corners."""
    dice = canvas.dice
    count = int(dice.choice([3, 4, 5, 6, 8, 60]))
    angles = np.sort(dice.uniform(0.0, 2.0 * np.pi, count))
    reach = np.full(count, 1.0) if count == 60 else dice.uniform(0.3, 1.0, count)
    if count == 60:
        angles = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
        for order in (2, 3, 5):
            reach += dice.normal(0.0, 0.3 / order) * np.cos(order * angles + dice.uniform(0, 6))
    reach *= canvas.side * 2.0 ** dice.uniform(-3.5, 0.3)
    middle = dice.uniform(0.0, 1.0, 2) * (canvas.width, canvas.height)
    corners = middle + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = [(float(x), float(y)) for x, y in OVER * corners]
    outline = int(OVER * 2.0 ** dice.uniform(-0.5, 3.0)) if dice.random() < 0.25 else 0

    def draw(pen: ImageDraw.ImageDraw) -> None:
        if outline:
            pen.line([*points, points[0]], 255, outline, "curve")
        else:
            pen.polygon(points, 255)

    return canvas.drawn(draw)


def _bands(canvas: _Canvas) -> Floats:
    """Curved or straight stripes: where a smooth field lies between whole numbers."""
    dice = canvas.dice
    across, along = canvas.mesh()
    field = float(2.0 ** dice.uniform(-0.5, 5.0)) * along
    for _ in range(int(dice.integers(0, 3))):
        bend, often = dice.uniform(0.0, 1.5), dice.uniform(1.0, 9.0)
        field = field + np.float32(bend) * np.sin(np.float32(often) * across + dice.uniform(0, 6))
    if dice.random() < 0.3:
        field = field + float(2.0 ** dice.uniform(-1.0, 3.0)) * np.hypot(across, along)
    return _edge(dice.uniform(0.05, 0.5) - np.abs(field - np.rint(field)))


def _tiling(canvas: _Canvas) -> Floats:
    """Cells of a lattice, each taken by chance, with a gap between them."""
    dice = canvas.dice
    across, along = canvas.mesh()
    skew, count = dice.uniform(-0.6, 0.6), float(2.0 ** dice.uniform(1.0, 5.0))
    u, v = count * (along + np.float32(skew) * across), count * dice.uniform(0.5, 2.0) * across
    gap = dice.uniform(0.0, 0.2)
    inside = np.minimum(_edge(0.5 - gap - np.abs(u - np.rint(u))), 1.0)
    inside = np.minimum(inside, _edge(0.5 - gap - np.abs(v - np.rint(v))))
    rows = np.rint(v).astype(np.int64) - int(np.rint(v).min())
    columns = np.rint(u).astype(np.int64) - int(np.rint(u).min())
    taken = dice.random((int(rows.max()) + 1, int(columns.max()) + 1)) < dice.uniform(0.2, 1.0)
    cells: Floats = inside * taken[rows, columns].astype(np.float32)
    return cells


def _edge(distance: Floats) -> Floats:
    """A field that is positive inside -> a mask whose edge is a pixel wide."""
    slope = np.hypot(*np.gradient(distance))
    mask: Floats = np.clip(distance / np.maximum(slope, 1e-4) + 0.5, 0.0, 1.0).astype(np.float32)
    return mask


def _strokes(canvas: _Canvas) -> Floats:
    """Fine lines, straight or in waves."""
    dice = canvas.dice
    lines = []
    for _ in range(int(dice.integers(1, 12))):
        start, end = dice.uniform(-0.2, 1.2, (2, 2)) * (canvas.width, canvas.height)
        t = np.linspace(0.0, 1.0, 24)[:, None]
        bend = dice.normal(0.0, 0.1 * canvas.side, 2) * np.sin(t * dice.uniform(1.0, 12.0))
        lines.append([(float(x), float(y)) for x, y in OVER * (start + t * (end - start) + bend)])
    wide = max(1, int(OVER * 2.0 ** dice.uniform(-1.5, 2.0)))

    def draw(pen: ImageDraw.ImageDraw) -> None:
        for line in lines:
            pen.line(line, 255, wide, "curve")

    return canvas.drawn(draw)


def _letters(canvas: _Canvas) -> Floats:
    """A word or a few, in Pillow's own font."""
    dice = canvas.dice
    size = float(canvas.side * 2.0 ** dice.uniform(-4.5, -1.0))
    font = ImageFont.load_default(OVER * size)
    rows = ["".join(dice.choice(LETTERS, dice.integers(2, 12))) for _ in range(dice.integers(1, 4))]
    left, top = dice.uniform(-0.1, 0.7, 2) * (OVER * canvas.width, OVER * canvas.height)
    return canvas.drawn(lambda pen: pen.text((float(left), float(top)), "\n".join(rows), 255, font))


_SHAPES: tuple[Callable[[_Canvas], Floats], ...] = (
    _polygon,
    _polygon,
    _polygon,
    _bands,
    _bands,
    _tiling,
    _strokes,
    _letters,
)
