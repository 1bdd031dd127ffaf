"""Searching for the quality that meets a target: bytes or PSNR.

A search asks for one file after another; whoever makes them keeps what does not depend on the
quality (the analysis transform is computed once). Where a file takes long, since its latents are
refined, it is told what one pass makes of them: that differs by a few per cent, and by the same few
for qualities near each other. So the search is among those, and what it finds is refined.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import TypeVar

from aecodec.errors import RequestError
from aecodec.networks.config import QUALITIES

__all__ = ["MOST_THRIFT", "largest_refined", "largest_within", "smallest_reaching"]

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
_AIMS = (0.9985, 0.9985, 0.998, 0.996, 0.99)
"""The share of the wanted bytes that is foretold, time after time: what has too many is of no use,
and in small files chance has a hand."""
_EXACT, _MARGIN = 0.998, 0.002
"""How near one pass has to come to what stands for that, and how much less is a hit."""
_GUESSES = 4
"""How often a PSNR is foretold before the rest is halved."""
_BEST = range(90, QUALITIES)
"""Where the highest PSNR is, if not at the highest quality: its finer steps may suit a flat picture
less well."""

F = TypeVar("F", bound=Sized)
T = TypeVar("T")


def largest_within(
    encode: Callable[[int, float], F],
    limit: int,
    kept: Mapping[str, int] | None = None,
    *,
    close: float = CLOSE,
) -> F:
    """The best file of at most `limit` bytes; between two qualities, thrift is the fine tuning.

    Args:
        encode: (quality, thrift) -> file; thrift, up to MOST_THRIFT, makes it smaller.
        kept: bytes, by name, that no quality changes: what to say of a limit too low for them.
        close: the share of the limit that needs no further search, where that costs no PSNR.
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
                return _between(encode, 1, (thrift, data), over, limit, close)
            over = thrift, len(data)
        raise RequestError(_refusal(limit, len(data), kept or {}))
    if high > QUALITIES:
        return best
    plain, over = (0.0, best), (0.0, above)
    ended = False  # the quality below has been made too large
    for number, (step, thrift) in enumerate(_RUNGS):
        if len(best) >= (close if number < _GENTLE else ENOUGH) * limit:
            break
        if ended and not step:
            continue
        data = encode(low + step, thrift)
        fits = len(data) <= limit
        if step and fits:
            data = _between(encode, high, (thrift, data), over, limit, close)
        elif step:
            over = thrift, len(data)
        elif fits:
            plain = thrift, data
        else:
            data = _between(encode, low, plain, (thrift, len(data)), limit, close)
            ended = True
        if len(best) < len(data) <= limit:
            best = data
    return best


def _between(
    encode: Callable[[int, float], F],
    quality: int,
    fits: tuple[float, F],
    over: tuple[float, int],
    limit: int,
    close: float,
) -> F:
    """The largest file of `quality` within `limit` bytes that is found between two thrifts.

    Known are the file of the one, which fits, and the size of the other's, which does not.
    """
    (thrift, best), (less, size) = fits, over
    for number in range(_ROUNDS):
        if len(best) >= close * limit:
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


@dataclass(frozen=True)
class _OnePass:
    """A setting, and the bytes that one pass makes with it."""

    quality: int
    thrift: float
    size: int

    def __len__(self) -> int:
        return self.size


def largest_refined(
    refine: Callable[[int, float], F],
    size: Callable[[int, float], int],
    limit: int,
    kept: Mapping[str, int] | None = None,
) -> F:
    """What `largest_within` finds, where a file takes long, and one pass foretells its size.

    Args:
        refine: (quality, thrift) -> file.
        size: (quality, thrift) -> the bytes of the file without refinement.
        kept: as for `largest_within`.
    Raises:
        RequestError: as `largest_within`, of refined files.
    """
    refine = functools.cache(refine)
    tried = functools.cache(
        lambda quality, thrift: _OnePass(quality, thrift, size(quality, thrift))
    )
    fixed = sum((kept or {}).values())
    best: F | None = None
    seen: set[_OnePass] = set()
    low, high = 0.0, math.inf  # bytes of one pass; refined, `low` fits and `high` does not
    share = 1.0  # of one pass's bytes that are left when they are refined
    for aim in _AIMS:
        wanted = max(1.0, fixed + (aim * limit - fixed) / share)
        if not low < wanted < high:
            if high == math.inf:
                break
            wanted = 0.5 * (low + high) if low else aim * high
        try:
            setting = largest_within(tried, int(wanted), close=_EXACT)
        except RequestError:
            setting = tried(1, MOST_THRIFT)
        if setting in seen:
            break
        seen.add(setting)
        data = refine(setting.quality, setting.thrift)
        share = (len(data) - fixed) / (len(setting) - fixed)
        if len(data) > limit:
            if setting.quality == 1 and setting.thrift == MOST_THRIFT:
                raise RequestError(_refusal(limit, len(data), kept or {}))
            high = min(high, len(setting))
            continue
        low = max(low, len(setting))
        if best is None or len(data) > len(best):
            best = data
        # Where one pass finds nothing nearer, refinement would not either.
        coarse = len(setting) < CLOSE * wanted
        if len(best) >= (ENOUGH if coarse else aim - _MARGIN) * limit:
            return best
        if setting.quality == QUALITIES and not setting.thrift:
            return best
    if best is None or len(best) < ENOUGH * limit:
        other = largest_within(refine, limit, kept)
        if best is None or len(other) > len(best):
            best = other
    return best


def _refusal(limit: int, least: int, kept: Mapping[str, int]) -> str:
    said = f"{limit} bytes are not enough: quality 1 needs {least}"
    if 2 * sum(kept.values()) <= least:
        return said
    return f"{said}, of which " + " and ".join(f"{n} are {name}" for name, n in kept.items())


def smallest_reaching(
    encode: Callable[[int], tuple[T, float]],
    target: float,
    *,
    foretold: Callable[[int], float] | None = None,
    thorough: bool = False,
) -> T:
    """The file of the lowest quality whose PSNR in dB is `target` at least.

    PSNR is taken to rise with quality, up to 90. On pictures of a few pixels it need not:
    `thorough` looks at every quality before it refuses.

    Args:
        encode: quality -> file and PSNR.
        foretold: quality -> about that PSNR, in less time.
    Raises:
        RequestError: the highest qualities have less, or every one if looked at.
    """
    best: list[T] = []  # the lowest quality's that reaches it
    found: dict[int, float] = {}

    def reaches(quality: int) -> bool:
        data, found[quality] = encode(quality)
        if found[quality] < target:
            return False
        best[:] = [data]
        return True

    def lowest(low: int, high: int) -> int:
        """The lowest quality above `low`, which does not reach it, and up to `high`, which does."""
        while high - low > 1:
            quality = _guess(low, high, target, found, foretold)
            low, high = (low, quality) if reaches(quality) else (quality, high)
        return high

    if lowest(0, QUALITIES + 1) > QUALITIES:
        others: Iterator[int] = iter(range(1, QUALITIES))
        if not thorough:
            others = iter(_BEST if foretold is None else _promising(target, found, foretold))
        for quality in others:
            if quality not in found and reaches(quality):
                if not thorough:
                    lowest(max((q for q in found if q < quality), default=0), quality)
                break
    if not best:
        # Of equals the highest quality, and else the lowest.
        quality = max(sorted(found, key=lambda quality: quality % QUALITIES), key=found.__getitem__)
        said = f"quality {quality} has {found[quality]:.2f}"
        if thorough and quality < QUALITIES:
            said += ", and none has more"
        raise RequestError(f"{target:g} dB are out of reach: {said}")
    return best[0]


def _guess(
    low: int,
    high: int,
    target: float,
    found: Mapping[int, float],
    foretold: Callable[[int], float] | None,
) -> int:
    """The quality between two others that is looked at next.

    It is the lowest one that is expected to reach `target`, by what was found at the nearest one.
    """
    if foretold is None or len(found) >= _GUESSES:
        return (low + high) // 2
    below, above = low, high
    while above - below > 1:
        middle = (below + above) // 2
        if foretold(middle) + _gain(middle, found, foretold) >= target:
            above = middle
        else:
            below = middle
    return min(above, high - 1)


def _gain(quality: int, found: Mapping[int, float], foretold: Callable[[int], float]) -> float:
    """What the PSNR at a quality is thought to have above what is foretold."""
    if not found:
        return 0.0
    nearest = min(found, key=lambda other: abs(other - quality))
    return found[nearest] - foretold(nearest)


def _promising(
    target: float, found: Mapping[int, float], foretold: Callable[[int], float]
) -> list[int]:
    """Of the best qualities those that may reach `target`, or else the one that comes nearest."""
    gain = _gain(QUALITIES, found, foretold)
    order = sorted(_BEST, key=foretold, reverse=True)
    return [quality for quality in order if foretold(quality) + gain >= target] or order[:1]
