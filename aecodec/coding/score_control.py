"""Searching for the file whose SSIMULACRA 2 score meets a target, in few looks at decoded pixels.

First qualities are looked at: what one of them scores is foretold by a curve of typical pictures,
moved so that it meets what was found. The first quality above the target is then made worse by a
wider dead zone (`quantisation.py`), which is what lies between two qualities.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from aecodec.errors import RequestError
from aecodec.networks.config import QUALITIES

__all__ = ["LOOKS", "TOLERANCE", "lowest_reaching"]

TOLERANCE = 0.5
"""In points: a file this far above the target is near enough."""
LOOKS = 8
"""How many files are decoded and measured at most."""

_AIM = 0.4
"""The share of the tolerance above the target that is aimed at: what lies below is no hit."""
_WIDTH = 4.5
"""About the dead zone that makes of one quality the next one below."""
_MOST, _LEAST = 4.0, 0.25
"""How many times as wide the next dead zone is at most, and the least fall of the score by one of
that width."""
_FAR = 2.0
"""How many times as much, or as little, may be missing beyond the qualities looked at."""
_EDGE = 0.1
"""In shares of what lies between two widths: how far the next one is kept away from both."""
_TYPICAL = [
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
]
"""Quality and score, about those of JPEG on photographs."""

T = TypeVar("T")


class Look(NamedTuple):
    """A file that was decoded and measured."""

    quality: int
    dead_zone: float
    score: float


def lowest_reaching(encode: Callable[[int, float], tuple[T, float]], target: float) -> T:
    """The file whose score is `target` at least, and no more than TOLERANCE above if there is one.

    At most LOOKS files are made. The score is taken to rise with quality, and to fall as the dead
    zone grows. Where none of the files lies within the tolerance (in pictures of a few pixels the
    score jumps), it is the lowest that reaches the target; where quality 1 has more than that
    already, it is quality 1.

    Args:
        encode: (quality, dead zone) -> file and score.
    Raises:
        RequestError: quality 100 has less; the message says how much.
    """
    aim = target + _AIM * TOLERANCE
    best: tuple[float, T] | None = None
    looks: list[Look] = []
    low, high = 0, QUALITIES + 1  # the score of `low` is too low, that of `high` is not
    for left in range(LOOKS, 0, -1):
        expected = _expected(looks)
        place = _place(expected, low, high, aim)
        above = [look for look in looks if look.quality == high]
        if above and (len(above) > 1 or place > high - 1):
            quality, dead_zone = high, _width(above, aim, expected(high) - expected(high - 1))
        else:
            # The last look is sure to reach it, if one does.
            last = best is None and left == 1
            quality = QUALITIES if last else min(max(math.ceil(place), low + 1), high - 1)
            dead_zone = 0.0
        file, score = encode(quality, dead_zone)
        looks.append(Look(quality, dead_zone, score))
        if score >= target:
            if best is None or score < best[0]:
                best = score, file
            if score <= target + TOLERANCE:
                break
        if dead_zone:
            continue
        if score >= target:
            high = quality
            if high == 1:
                break
        elif quality == QUALITIES:
            raise RequestError(
                f"a SSIMULACRA 2 of {target:g} is out of reach: quality 100 has {score:.2f}"
            )
        else:
            low = quality
    assert best is not None  # quality 100 reaches it, or is refused
    return best[1]


def _expected(looks: Sequence[Look]) -> Callable[[float], float]:
    """A score by quality, or by what lies between two: the typical one, moved to what was found.

    What is missing to 100 is multiplied: where a picture is harder, it is so at all qualities. How
    that share goes on beyond the qualities that were looked at, the two outermost of them tell.
    """
    times = [
        (float(q), _missing(score) / _missing(_between(_TYPICAL, q)))
        for q, dead_zone, score in sorted(looks)
        if not dead_zone
    ] or [(0.0, 1.0)]
    if len(times) > 1:
        first = 1.0, _beyond(1.0, times[0], times[1])
        last = float(QUALITIES), _beyond(float(QUALITIES), times[-1], times[-2])
        times = [first, *times, last]
    return lambda place: 100.0 - _missing(_between(_TYPICAL, place)) * _between(times, place)


def _beyond(place: float, near: tuple[float, float], other: tuple[float, float]) -> float:
    """What lies on a line through two points, but for far from the nearer one's value."""
    (x0, y0), (x1, y1) = near, other
    found = y0 + (y0 - y1) * (place - x0) / (x0 - x1)
    return min(max(found, y0 / _FAR), y0 * _FAR)


def _missing(score: float) -> float:
    """What is missing to 100, not less than an hundredth of a point."""
    return max(100.0 - score, 0.01)


def _place(expected: Callable[[float], float], low: int, high: int, aim: float) -> float:
    """Where between two qualities the score is expected to be `aim`, or the higher one."""
    first, last = float(low), float(min(high, QUALITIES))
    for _ in range(20):
        middle = 0.5 * (first + last)
        if expected(middle) < aim:
            first = middle
        else:
            last = middle
    return last


def _width(looks: Sequence[Look], aim: float, step: float) -> float:
    """The dead zone that is expected to score `aim`, by other looks at the same quality.

    The one without a dead zone scores more; `step` is by how much the quality below is expected to
    score less.
    """
    enough = sorted((look.dead_zone, look.score) for look in looks if look.score >= aim)
    less, more = enough[-1], [look for look in looks if look.score < aim]
    dead_zone, score = less
    if more:
        _, nearest, low = min(more, key=lambda look: look.dead_zone)
        share = (score - aim) / (score - low)
        return dead_zone + min(max(share, _EDGE), 1.0 - _EDGE) * (nearest - dead_zone)
    fall = step / _WIDTH
    if len(enough) > 1:
        before, higher = enough[-2]
        fall = (higher - score) / (dead_zone - before)
    wanted = (score - aim) / max(fall, _LEAST / _WIDTH)
    return dead_zone + min(wanted, _MOST * max(dead_zone, _WIDTH))


def _between(points: Sequence[tuple[float, float]], place: float) -> float:
    """The value at a place: linear between points, constant beyond them."""
    at = bisect_left(points, (place, -math.inf))
    if at == 0:
        return points[0][1]
    if at == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
