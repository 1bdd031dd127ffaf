"""Searching for the file whose SSIMULACRA 2 score meets a target, in few looks at decoded pixels.

A score lies between those of two qualities; thrift (`TileCodec.quantise`) is what lies between two
qualities. So the search is along one line: at 63.4 stands quality 64 with thrift for 0.6 of a
quality. What a point of that line scores is foretold by a curve of typical pictures, moved so that
it meets the points that were looked at.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

from aecodec.errors import RequestError
from aecodec.networks.config import QUALITIES

__all__ = ["LOOKS", "TOLERANCE", "lowest_reaching"]

TOLERANCE = 0.5
"""In points: a file this far above the target is near enough."""
LOOKS = 8
"""How many files are decoded and measured at most."""

_AIM = 0.4
"""The share of the tolerance above the target that is aimed at: what lies below is no hit."""
_THRIFT = 3.0
"""About the thrift that makes of one quality the next one below."""
_NARROW = 2.0
"""In qualities: a bracket of this width is searched with thrift."""
_EDGE = 0.1
"""In shares of a narrow bracket: how far its ends are kept away from."""
_TYPICAL = (
    (1.0, -60.0),
    (5.0, -20.0),
    (10.0, 5.0),
    (20.0, 36.0),
    (30.0, 49.0),
    (40.0, 57.0),
    (50.0, 62.0),
    (60.0, 66.0),
    (70.0, 71.0),
    (80.0, 77.0),
    (90.0, 85.0),
    (95.0, 89.0),
    (100.0, 94.0),
)
"""Quality and score, about those of JPEG on photographs."""

T = TypeVar("T")
Points = list[tuple[float, float]]


def lowest_reaching(encode: Callable[[int, float], tuple[T, float]], target: float) -> T:
    """The file whose score is `target` at least, and no more than TOLERANCE above if there is one.

    At most LOOKS files are made. The score is taken to rise with quality. Where none of them lies
    within the tolerance (in pictures of a few pixels the score jumps), it is the lowest that
    reaches the target; where quality 1 has more than that already, it is quality 1.

    Args:
        encode: (quality, thrift) -> file and score.
    Raises:
        RequestError: quality 100 has less; the message says how much.
    """
    aim = target + _AIM * TOLERANCE
    found: Points = []
    best: tuple[float, T] | None = None
    low, high = 0.0, math.inf  # that of `low` is too low, that of `high` is not
    for left in range(LOOKS, 0, -1):
        place = _next(found, low, high, aim)
        if best is None and left == 1:
            place = QUALITIES  # sure to reach it, if one does
        quality = math.ceil(place)
        file, score = encode(quality, _THRIFT * (quality - place))
        found = sorted([*found, (place, score)])
        if score < target:
            if place == QUALITIES:
                raise RequestError(
                    f"a SSIMULACRA 2 of {target:g} is out of reach: quality 100 has {score:.2f}"
                )
            low = place
            continue
        high = place
        if best is None or score < best[0]:
            best = score, file
        if score <= target + TOLERANCE or place <= 1.0:
            break
    assert best is not None  # quality 100 reaches it, or is refused
    return best[1]


def _next(found: Points, low: float, high: float, aim: float) -> float:
    """The place between `low` and `high` that is expected to score `aim`."""
    top = min(high, float(QUALITIES))

    def expected(place: float) -> float:
        return _between(_TYPICAL, place) + _between(_residuals(found), place)

    first, last = low, top
    for _ in range(20):
        middle = 0.5 * (first + last)
        if expected(middle) < aim:
            first = middle
        else:
            last = middle
    width = high - low
    if width > _NARROW:
        whole = min(max(round(last), math.floor(low) + 1), QUALITIES)
        return float(whole if whole < high else math.ceil(high) - 1)
    place = min(max(last, low + _EDGE * width), high - _EDGE * width)
    near = float(round(place))
    return near if low < near < high and abs(near - place) < _EDGE else max(place, _EDGE)


def _residuals(found: Points) -> Points:
    """What was found above what is typical."""
    return [(place, score - _between(_TYPICAL, place)) for place, score in found] or [(0.0, 0.0)]


def _between(points: tuple[tuple[float, float], ...] | Points, place: float) -> float:
    """The value at a place: linear between points, constant beyond them."""
    at = bisect_left(points, (place, -math.inf))
    if at == 0:
        return points[0][1]
    if at == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
