"""Searching for the quality that meets a target: bytes or PSNR.

A search requests one file after another. The caller keeps what does not depend on the quality (the
analysis transform is computed once). Between two qualities the dead zone of the quantiser is the
fine control: a wider one takes fewer bytes (`quantisation.py`).

A file with refined latents takes long. Then the search also knows the files of one pass. The sizes
of refined files differ from these by a few per cent, and by about the same for neighbouring
qualities. So the search is among files of one pass, and its result is refined.

Each search is an object whose methods are its phases, in their order.

The table shows the effect of each constant below: the files that a search codes, the bytes of its
result as a share of the limit, and the PSNR of the result. They are means over 24 limits and four
photographs of 208x176 pixels (`benchmarks/targets.py`, 2026-11-29). With refined latents, only
refined files are counted.

                      files   share    PSNR                        files   share    PSNR
    as they are        11.9  0.9963  31.971     refined, as they are  1.5  0.9949  31.993
    CLOSE 0.98          8.3  0.9866  31.914     AIMS all 1.0          1.5  0.9956  31.995
    CLOSE 0.999        14.2  0.9973  31.976     AIMS all 0.99         1.2  0.9896  31.955
    ENOUGH 0.995       13.9  0.9977  31.979     EXACT 0.99            1.8  0.9921  31.975
    GENTLE 3           10.5  0.9950  31.963     MARGIN 0              2.0  0.9952  31.994
    GENTLE 7           13.9  0.9977  31.979     MARGIN 0.01           1.4  0.9946  31.991
    ROUNDS 2           10.8  0.9960  31.972
    ROUNDS 12          13.6  0.9963  31.971
    STEPS upper alone  12.2  0.9977  31.995
    STEPS lower alone  10.0  0.9964  31.965
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from aecodec.errors import RequestError
from aecodec.networks.config import QUALITIES

__all__ = ["WIDEST", "largest_refined", "largest_within", "smallest_reaching"]

WIDEST = 120.0
"""The widest dead zone: beyond it files hardly become smaller."""


class _Step(NamedTuple):
    """A setting between two neighbouring qualities, of which the upper one's file is too large."""

    upper: bool  # of the upper quality, or of the lower one
    dead_zone: float


STEPS = (
    _Step(True, 2.0),
    _Step(False, -1.0),
    _Step(False, -4.0),
    _Step(True, 3.5),
    _Step(False, -12.0),
    _Step(True, 15.0),
    _Step(True, WIDEST),
)
"""Sorted by their loss of PSNR. If two qualities are close, the upper one with a slightly wider
dead zone is about as good as a quality between them. If their files differ by 8 % (above 90),
the lower one with a narrower dead zone is better. A much wider dead zone has less PSNR than the
smaller file of the lower quality."""
GENTLE = 5
"""Steps after which any file is better than a smaller one."""
CLOSE, ENOUGH = 0.995, 0.98
"""A file with this share of the limit ends the search: during the gentle steps, and later."""
ROUNDS = 6
"""The largest number of files that are tried between two dead zones."""
AIMS = (0.9985, 0.9985, 0.998, 0.996, 0.99)
"""The share of the limit at which each refined file aims. A file above the limit is of no use, and
the size of small files varies by chance."""
EXACT, MARGIN = 0.998, 0.002
"""The largest distance of one pass from its aim, and of a refined file below its aim."""
GUESSES = 4
"""The number of predictions before the search halves the remaining qualities."""
BEST = range(90, QUALITIES)
"""Flat pictures may have their highest PSNR at one of these qualities, not at the highest."""

F = TypeVar("F", bound=Sized)
T = TypeVar("T")


# --- Bytes ----------------------------------------------------------------------------------------


def largest_within(
    encode: Callable[[int, float], F],
    limit: int,
    kept: Mapping[str, int] | None = None,
    *,
    close: float = CLOSE,
) -> F:
    """The best file of at most `limit` bytes.

    Args:
        encode: (quality, dead zone up to WIDEST) -> file.
        kept: bytes, by name, that do not depend on the quality, for the message if they exceed the
            limit.
        close: the share of the limit that ends the search, where it costs no PSNR.
    Raises:
        RequestError: the lowest quality needs more, with the widest dead zone.
    """
    return _SizeSearch(encode, limit, kept or {}, close).run()


class _SizeSearch(Generic[F]):
    def __init__(
        self,
        encode: Callable[[int, float], F],
        limit: int,
        kept: Mapping[str, int],
        close: float,
    ) -> None:
        self._encode, self._limit, self._kept, self._close = encode, limit, kept, close

    def run(self) -> F:
        quality, best, above = self._halve()
        if best is None:
            return self._below_the_lowest(above)
        return self._above(quality, best, above) if quality < QUALITIES else best

    def _halve(self) -> tuple[int, F | None, int]:
        """The highest quality that fits, its file, and the size of the next quality's file."""
        low, high, best, above = 0, QUALITIES + 1, None, 0
        while high - low > 1:
            middle = (low + high) // 2
            file = self._encode(middle, 0.0)
            if len(file) <= self._limit:
                low, best = middle, file
            else:
                high, above = middle, len(file)
        return low, best, above

    def _below_the_lowest(self, above: int) -> F:
        """The largest file that fits with quality 1 and a wider dead zone."""
        too_large = 0.0, above
        for dead_zone in (3.0, 15.0, WIDEST):
            file = self._encode(1, dead_zone)
            if len(file) <= self._limit:
                return self._between(1, (dead_zone, file), too_large)
            too_large = dead_zone, len(file)
        raise RequestError(_refusal(self._limit, too_large[1], self._kept))

    def _above(self, quality: int, best: F, above: int) -> F:
        """The best file that fits, between a quality that does and the next one that does not.

        The dead zone is changed step by step, from either side. The first step that goes too far,
        or far enough, is followed by a search between it and the step before.
        """
        fits, too_large = (0.0, best), (0.0, above)  # of the lower quality, and of the upper one
        lower_ended = False
        for number, step in enumerate(STEPS):
            if len(best) >= (self._close if number < GENTLE else ENOUGH) * self._limit:
                break
            if lower_ended and not step.upper:
                continue
            file = self._encode(quality + step.upper, step.dead_zone)
            is_within = len(file) <= self._limit
            if step.upper and is_within:
                file = self._between(quality + 1, (step.dead_zone, file), too_large)
            elif step.upper:
                too_large = step.dead_zone, len(file)
            elif is_within:
                fits = step.dead_zone, file
            else:
                file = self._between(quality, fits, (step.dead_zone, len(file)))
                lower_ended = True
            if len(best) < len(file) <= self._limit:
                best = file
        return best

    def _between(self, quality: int, fits: tuple[float, F], too_large: tuple[float, int]) -> F:
        """The largest file that fits, between two dead zones of one quality.

        The file of the first one is known, and fits. The size of the second one is known, and does
        not fit.
        """
        (wide, best), (narrow, size) = fits, too_large
        for number in range(ROUNDS):
            if len(best) >= self._close * self._limit:
                break
            share = 0.5  # from time to time, so that both ends move
            if number % 3 < 2:
                share = math.log(self._limit / len(best)) / math.log(size / len(best))
            # Aim a little lower, because only a file that fits is a result.
            dead_zone = wide + min(max(0.95 * share, 0.1), 0.9) * (narrow - wide)
            file = self._encode(quality, dead_zone)
            if len(file) > self._limit:
                narrow, size = dead_zone, len(file)
                continue
            wide = dead_zone
            if len(file) > len(best):
                best = file
        return best


def largest_refined(
    refine: Callable[[int, float], F],
    size: Callable[[int, float], int],
    limit: int,
    kept: Mapping[str, int] | None = None,
) -> F:
    """The best file of at most `limit` bytes, where refinement takes long and one pass predicts it.

    Args:
        refine: (quality, dead zone) -> file.
        size: (quality, dead zone) -> the bytes of the file without refinement.
        kept: as for `largest_within`.
    Raises:
        RequestError: as `largest_within`, for refined files.
    """
    return _RefinedSizeSearch(refine, size, limit, kept or {}).run()


@dataclass(frozen=True)
class _OnePass:
    """A setting, and the bytes of one pass with it."""

    quality: int
    dead_zone: float
    size: int

    def __len__(self) -> int:
        return self.size


class _RefinedSizeSearch(Generic[F]):
    def __init__(
        self,
        refine: Callable[[int, float], F],
        size: Callable[[int, float], int],
        limit: int,
        kept: Mapping[str, int],
    ) -> None:
        self._refine = functools.cache(refine)
        self._one_pass = functools.cache(
            lambda quality, dead_zone: _OnePass(quality, dead_zone, size(quality, dead_zone))
        )
        self._limit, self._kept, self._fixed = limit, kept, sum(kept.values())
        self._low, self._high = 0.0, math.inf
        """Bytes of one pass; refined, those of `low` fit and those of `high` do not."""
        self._share = 1.0
        """What is left of one pass's bytes when they are refined."""

    def run(self) -> F:
        best, is_final = self._aim()
        if best is not None and (is_final or len(best) >= ENOUGH * self._limit):
            return best
        other = largest_within(self._refine, self._limit, self._kept)
        return other if best is None or len(other) > len(best) else best

    def _aim(self) -> tuple[F | None, bool]:
        """The best refined file that fits, by the prediction of one pass, or None; and whether no
        other can be better."""
        best: F | None = None
        seen: set[_OnePass] = set()
        for aim in AIMS:
            wanted = self._wanted(aim)
            if wanted is None:
                break
            setting = self._setting(int(wanted))
            if setting in seen:
                break
            seen.add(setting)
            file = self._refine(setting.quality, setting.dead_zone)
            self._share = (len(file) - self._fixed) / (len(setting) - self._fixed)
            if len(file) > self._limit:
                if setting.quality == 1 and setting.dead_zone == WIDEST:
                    raise RequestError(_refusal(self._limit, len(file), self._kept))
                self._high = min(self._high, len(setting))
                continue
            self._low = max(self._low, len(setting))
            if best is None or len(file) > len(best):
                best = file
            # Where one pass finds nothing nearer, refinement would not either.
            coarse = len(setting) < CLOSE * wanted
            if len(best) >= (ENOUGH if coarse else aim - MARGIN) * self._limit:
                return best, True
            if setting.quality == QUALITIES and not setting.dead_zone:
                return best, True
        return best, False

    def _wanted(self, aim: float) -> float | None:
        """The bytes of one pass that predict this share of the limit; None if none do."""
        wanted = max(1.0, self._fixed + (aim * self._limit - self._fixed) / self._share)
        if self._low < wanted < self._high:
            return wanted
        if self._high == math.inf:
            return None
        return 0.5 * (self._low + self._high) if self._low else aim * self._high

    def _setting(self, wanted: int) -> _OnePass:
        """The setting with which one pass takes this many bytes, or the smallest one."""
        try:
            return largest_within(self._one_pass, wanted, close=EXACT)
        except RequestError:
            return self._one_pass(1, WIDEST)


def _refusal(limit: int, least: int, kept: Mapping[str, int]) -> str:
    said = f"{limit} bytes are not enough: quality 1 needs {least}"
    if 2 * sum(kept.values()) <= least:
        return said
    return f"{said}, of which " + " and ".join(f"{n} are {name}" for name, n in kept.items())


# --- PSNR -----------------------------------------------------------------------------------------


def smallest_reaching(
    encode: Callable[[int], tuple[T, float]],
    target: float,
    *,
    foretold: Callable[[int], float] | None = None,
    thorough: bool = False,
) -> T:
    """The file of the lowest quality whose PSNR in dB is at least `target`.

    PSNR is assumed to rise with quality, up to 90. On pictures of a few pixels it may not:
    `thorough` tries every quality before it refuses.

    Args:
        encode: quality -> file and PSNR.
        foretold: quality -> about that PSNR, in less time.
    Raises:
        RequestError: the highest qualities have less, or every one if `thorough`.
    """
    return _PsnrSearch(encode, target, foretold, thorough).run()


class _PsnrSearch(Generic[T]):
    def __init__(
        self,
        encode: Callable[[int], tuple[T, float]],
        target: float,
        foretold: Callable[[int], float] | None,
        thorough: bool,
    ) -> None:
        self._encode, self._target, self._thorough = encode, target, thorough
        self._foretold = foretold
        self._best: list[T] = []  # the file of the lowest quality that reaches the target
        self._found: dict[int, float] = {}  # PSNR by quality

    def run(self) -> T:
        if self._lowest(0, QUALITIES + 1) > QUALITIES:
            self._look_below_the_highest()
        if not self._best:
            raise RequestError(self._refusal())
        return self._best[0]

    def _reaches(self, quality: int) -> bool:
        file, self._found[quality] = self._encode(quality)
        if self._found[quality] < self._target:
            return False
        self._best = [file]
        return True

    def _lowest(self, low: int, high: int) -> int:
        """The lowest quality that reaches the target, above `low`, which misses it, and up to
        `high`.
        """
        while high - low > 1:
            quality = self._guess(low, high)
            low, high = (low, quality) if self._reaches(quality) else (quality, high)
        return high

    def _look_below_the_highest(self) -> None:
        """The highest quality misses the target: another one may reach it."""
        others: Iterable[int] = range(1, QUALITIES) if self._thorough else self._promising()
        for quality in others:
            if quality not in self._found and self._reaches(quality):
                if not self._thorough:
                    self._lowest(max((q for q in self._found if q < quality), default=0), quality)
                return

    def _guess(self, low: int, high: int) -> int:
        """The next quality to try between two others.

        It is the lowest one that is expected to reach the target, by the results at its neighbours.
        """
        if self._foretold is None or len(self._found) >= GUESSES:
            return (low + high) // 2
        below, above = low, high
        while above - below > 1:
            middle = (below + above) // 2
            if self._foretold(middle) + self._gain(middle, self._foretold) >= self._target:
                above = middle
            else:
                below = middle
        return min(above, high - 1)

    def _gain(self, quality: int, foretold: Callable[[int], float]) -> float:
        """The expected difference between the PSNR at a quality and its prediction."""
        if not self._found:
            return 0.0
        nearest = min(self._found, key=lambda other: abs(other - quality))
        return self._found[nearest] - foretold(nearest)

    def _promising(self) -> Iterable[int]:
        """The best qualities that may reach the target, or else the nearest to it."""
        foretold = self._foretold
        if foretold is None:
            return BEST
        gain = self._gain(QUALITIES, foretold)
        order = sorted(BEST, key=foretold, reverse=True)
        return [q for q in order if foretold(q) + gain >= self._target] or order[:1]

    def _refusal(self) -> str:
        # Of equals the highest quality, and else the lowest.
        order = sorted(self._found, key=lambda quality: quality % QUALITIES)
        quality = max(order, key=self._found.__getitem__)
        said = f"quality {quality} has {self._found[quality]:.2f}"
        if self._thorough and quality < QUALITIES:
            said += ", and none has more"
        return f"{self._target:g} dB are out of reach: {said}"
