"""Searching for the file whose SSIMULACRA 2 score meets a target, with few files.

The first phase tries qualities. A curve of typical pictures, shifted to the scores that were found,
predicts the next one. The second phase takes the lowest quality above the target, and lowers its
score by a wider dead zone (`quantisation.py`), which is finer than a step of quality.
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
"""Points: a score this far above the target ends the search."""
LOOKS = 8
"""The largest number of files that are decoded and measured."""

_AIM = 0.4
"""The search aims at the target plus this share of TOLERANCE, because a lower score misses."""
_WIDTH = 4.5
"""The dead zone with about the score of the next lower quality."""
_MOST, _LEAST = 4.0, 0.25
"""The largest ratio of two dead zones in a row, and the least fall of the score that it needs."""
_FAR = 2.0
"""The largest factor between the distances to 100 beyond the qualities that were tried."""
_EDGE = 0.1
"""The next width keeps this share of the interval away from both of its ends."""
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
"""Quality and score of typical photographs, about those of JPEG."""

T = TypeVar("T")


class Look(NamedTuple):
    """A file that was decoded and measured."""

    quality: int
    dead_zone: float
    score: float


def lowest_reaching(encode: Callable[[int, float], tuple[T, float]], target: float) -> T:
    """The file whose score is `target` at least, and no more than TOLERANCE above if there is one.

    At most LOOKS files are made. The score is assumed to rise with quality, and to fall with a
    wider dead zone. If no file is within TOLERANCE, the result is the lowest score that reaches the
    target: scores of tiny pictures jump. If quality 1 is above the target, it is the result.

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
            # The last file is of the lowest quality that is known to reach the target.
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
    """The expected score by (fractional) quality: the typical curve, scaled to the scores found.

    The distance to 100 is multiplied by a factor, because a hard picture is hard at all qualities.
    Beyond the qualities that were tried, the two outermost of them extrapolate the factor.
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
    """The value on a line through two points, bounded near the value of the nearer one."""
    (x0, y0), (x1, y1) = near, other
    found = y0 + (y0 - y1) * (place - x0) / (x0 - x1)
    return min(max(found, y0 / _FAR), y0 * _FAR)


def _missing(score: float) -> float:
    """The distance to 100, at least a hundredth of a point."""
    return max(100.0 - score, 0.01)


def _place(expected: Callable[[float], float], low: int, high: int, aim: float) -> float:
    """The fractional quality with the expected score `aim`, or the higher quality."""
    first, last = float(low), float(min(high, QUALITIES))
    for _ in range(20):
        middle = 0.5 * (first + last)
        if expected(middle) < aim:
            first = middle
        else:
            last = middle
    return last


def _width(looks: Sequence[Look], aim: float, step: float) -> float:
    """The dead zone with the expected score `aim`, by other files of the same quality.

    The file without a dead zone scores more. `step` is the expected difference to the score of the
    next lower quality.
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
