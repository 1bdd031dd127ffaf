"""Searching for the quality that meets a target: bytes or PSNR.

A search asks for whole files at one quality after another; whoever makes them keeps what does not
depend on the quality (the analysis transform is computed once).
"""

from __future__ import annotations

from collections.abc import Callable

from aecodec.config import QUALITIES
from aecodec.errors import RequestError

__all__ = ["DEAD_ZONE_LIMIT", "largest_within", "smallest_reaching"]

TOLERANCE = 0.98
"""A file of at least this share of the wanted bytes needs no finer search."""
DEAD_ZONE_LIMIT = 0.4
_ROUNDS = 8

Encode = Callable[[int, float], bytes]
"""(quality, dead zone) -> file. The dead zone, 0 to DEAD_ZONE_LIMIT, is how much further than
halfway a latent must be from a value to be rounded away from zero: the fine tuning between one
quality and the next."""


def largest_within(encode: Encode, limit: int) -> bytes:
    """The best file of at most `limit` bytes.

    Raises RequestError if the lowest quality needs more.
    """
    best = encode(1, 0.0)
    if len(best) > limit:
        raise RequestError(f"{limit} bytes are not enough: quality 1 needs {len(best)}")
    low, high = 1, QUALITIES + 1  # the file of `low` fits, that of `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        data = encode(middle, 0.0)
        if len(data) <= limit:
            low, best = middle, data
        else:
            high = middle
    if high > QUALITIES:
        return best
    least, most = 0.0, DEAD_ZONE_LIMIT
    for _ in range(_ROUNDS):
        if len(best) >= TOLERANCE * limit:
            break
        zone = 0.5 * (least + most)
        data = encode(high, zone)
        if len(data) <= limit:
            most = zone
            best = max(best, data, key=len)
        else:
            least = zone
    return best


def smallest_reaching(encode: Encode, measure: Callable[[bytes], float], target: float) -> bytes:
    """The file of the lowest quality whose PSNR in dB, as `measure` says, is `target` at least.

    Raises RequestError if the highest quality has less.
    """
    best = encode(QUALITIES, 0.0)
    reached = measure(best)
    if reached < target:
        raise RequestError(f"{target:g} dB are out of reach: quality {QUALITIES} has {reached:.2f}")
    low, high = 0, QUALITIES
    while high - low > 1:
        middle = (low + high) // 2
        data = encode(middle, 0.0)
        if measure(data) >= target:
            high, best = middle, data
        else:
            low = middle
    return best
