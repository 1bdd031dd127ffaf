"""Searching for the file whose SSIMULACRA 2 score meets a target, in few looks at decoded pixels.

First qualities are looked at: what one of them scores is foretold by a curve of typical pictures,
moved so that it meets what was found. The first quality above the target is then made worse by
thrift (`TileCodec.quantise`), which is what lies between two qualities.
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
_THRIFT = 4.5
"""About the thrift that makes of one quality the next one below."""
_MOST, _LEAST = 4.0, 0.25
"""How many times that thrift the next one is at most, and a fall of the score by it at least."""
_FAR = 2.0
"""How many times as much, or as little, may be missing beyond the qualities looked at."""
_EDGE = 0.1
"""In shares of what lies between two thrifts: how far the next one is kept away from both."""
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
    thrift: float
    score: float


def lowest_reaching(encode: Callable[[int, float], tuple[T, float]], target: float) -> T:
    """The file whose score is `target` at least, and no more than TOLERANCE above if there is one.

    At most LOOKS files are made. The score is taken to rise with quality, and to fall with thrift.
    Where none of the files lies within the tolerance (in pictures of a few pixels the score jumps),
    it is the lowest that reaches the target; where quality 1 has more than that already, it is
    quality 1.

    Args:
        encode: (quality, thrift) -> file and score.
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
            quality, thrift = high, _thrift(above, aim, expected(high) - expected(high - 1))
        else:
            # The last look is sure to reach it, if one does.
            last = best is None and left == 1
            quality = QUALITIES if last else min(max(math.ceil(place), low + 1), high - 1)
            thrift = 0.0
        file, score = encode(quality, thrift)
        looks.append(Look(quality, thrift, score))
        if score >= target:
            if best is None or score < best[0]:
                best = score, file
            if score <= target + TOLERANCE:
                break
        if thrift:
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
        for q, thrift, score in sorted(looks)
        if not thrift
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


def _thrift(looks: Sequence[Look], aim: float, step: float) -> float:
    """The thrift that is expected to score `aim`, by other looks at the same quality.

    The one without thrift scores more; `step` is what the quality below is expected to score less.
    """
    enough = sorted((look.thrift, look.score) for look in looks if look.score >= aim)
    less, more = enough[-1], [look for look in looks if look.score < aim]
    thrift, score = less
    if more:
        _, nearest, low = min(more, key=lambda look: look.thrift)
        share = (score - aim) / (score - low)
        return thrift + min(max(share, _EDGE), 1.0 - _EDGE) * (nearest - thrift)
    fall = step / _THRIFT
    if len(enough) > 1:
        before, higher = enough[-2]
        fall = (higher - score) / (thrift - before)
    wanted = (score - aim) / max(fall, _LEAST / _THRIFT)
    return thrift + min(wanted, _MOST * max(thrift, _THRIFT))


def _between(points: Sequence[tuple[float, float]], place: float) -> float:
    """The value at a place: linear between points, constant beyond them."""
    at = bisect_left(points, (place, -math.inf))
    if at == 0:
        return points[0][1]
    if at == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    return y0 + (y1 - y0) * (place - x0) / (x1 - x0)
