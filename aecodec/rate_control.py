"""Searching for the quality that meets a target: bytes or PSNR.

A search asks for one file after another; whoever makes them keeps what does not depend on the
quality (the analysis transform is computed once).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from typing import TypeVar

from aecodec.config import QUALITIES
from aecodec.errors import RequestError

__all__ = ["MOST_THRIFT", "largest_within", "smallest_reaching"]

ENOUGH, CLOSE = 0.98, 0.995
"""A file of at least this share of the wanted bytes needs no search that costs PSNR, or none."""
MOST_THRIFT = 120.0
_RUNGS = ((1, 2.0), (0, -1.0), (0, -4.0), (1, 3.5), (0, -12.0), (1, 15.0), (1, MOST_THRIFT))
"""How to get between a quality and the next one, by what it costs: thrift at the one above (1), or
its opposite at the one below (0). Where qualities lie near each other, a little thrift is about as
good as a quality between them; where they lie 8 % apart (above 90), the second way is, as far as it
leads, and much thrift would have less PSNR than the quality below has in a smaller file."""
_GENTLE = 5
"""Rungs after which any file is better than a smaller one."""
_ROUNDS = 6

F = TypeVar("F", bound=Sized)
T = TypeVar("T")


def largest_within(
    encode: Callable[[int, float], F], limit: int, kept: Mapping[str, int] | None = None
) -> F:
    """The best file of at most `limit` bytes; between two qualities, thrift is the fine tuning.

    Args:
        encode: (quality, thrift) -> file; thrift, up to MOST_THRIFT, makes it smaller.
        kept: bytes, by name, that no quality changes: what to say of a limit too low for them.
    Raises:
        RequestError: the lowest quality needs more, with the most thrift.
    """
    best: F | None = None
    low, high, above = 0, QUALITIES + 1, 0  # the file of `low` fits, that of `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        data = encode(middle, 0.0)
        if len(data) <= limit:
            low, best = middle, data
        else:
            high, above = middle, len(data)
    if best is None:
        over = 0.0, above
        for thrift in (3.0, 15.0, MOST_THRIFT):
            data = encode(1, thrift)
            if len(data) <= limit:
                return _between(encode, 1, (thrift, data), over, limit)
            over = thrift, len(data)
        raise RequestError(_refusal(limit, len(data), kept or {}))
    if high > QUALITIES:
        return best
    plain, over = (0.0, best), (0.0, above)
    ended = False  # the quality below has been made too large
    for number, (step, thrift) in enumerate(_RUNGS):
        if len(best) >= (CLOSE if number < _GENTLE else ENOUGH) * limit:
            break
        if ended and not step:
            continue
        data = encode(low + step, thrift)
        fits = len(data) <= limit
        if step and fits:
            data = _between(encode, high, (thrift, data), over, limit)
        elif step:
            over = thrift, len(data)
        elif fits:
            plain = thrift, data
        else:
            data, ended = _between(encode, low, plain, (thrift, len(data)), limit), True
        if len(best) < len(data) <= limit:
            best = data
    return best


def _between(
    encode: Callable[[int, float], F],
    quality: int,
    fits: tuple[float, F],
    over: tuple[float, int],
    limit: int,
) -> F:
    """The largest file of `quality` within `limit` bytes that is found between two thrifts.

    Known are the file of the one, which fits, and the size of the other's, which does not.
    """
    (thrift, best), (less, size) = fits, over
    for number in range(_ROUNDS):
        if len(best) >= CLOSE * limit:
            break
        share = 0.5  # from time to time, lest one end never moves
        if number % 3 < 2:
            share = math.log(limit / len(best)) / math.log(size / len(best))
        # A little less than that: what fits is a result, what does not is none.
        between = thrift + min(max(0.95 * share, 0.1), 0.9) * (less - thrift)
        data = encode(quality, between)
        if len(data) > limit:
            less, size = between, len(data)
            continue
        thrift = between
        if len(data) > len(best):
            best = data
    return best


def _refusal(limit: int, least: int, kept: Mapping[str, int]) -> str:
    said = f"{limit} bytes are not enough: quality 1 needs {least}"
    if 2 * sum(kept.values()) <= least:
        return said
    return f"{said}, of which " + " and ".join(f"{n} are {name}" for name, n in kept.items())


def smallest_reaching(
    encode: Callable[[int], tuple[T, float]], target: float, *, thorough: bool = False
) -> T:
    """The file of the lowest quality whose PSNR in dB is `target` at least.

    PSNR is taken to rise with quality. On pictures of a few pixels it need not: `thorough` looks at
    every quality before it refuses.

    Args:
        encode: quality -> file and PSNR.
    Raises:
        RequestError: the highest quality has less, or every one if looked at.
    """
    best, reached = encode(QUALITIES)
    if reached < target:
        found = f"quality {QUALITIES} has {reached:.2f}"
        for quality in range(1, QUALITIES) if thorough else ():
            data, psnr = encode(quality)
            if psnr >= target:
                return data
            if psnr > reached:
                reached, found = psnr, f"quality {quality} has {psnr:.2f}, and none has more"
        raise RequestError(f"{target:g} dB are out of reach: {found}")
    low, high = 0, QUALITIES
    while high - low > 1:
        middle = (low + high) // 2
        data, psnr = encode(middle)
        if psnr >= target:
            high, best = middle, data
        else:
            low = middle
    return best
