"""From points to curves, and from two curves to a BD-rate.

A codec's mean curve has, for each of its qualities, the mean over the pictures of bits per pixel
and of the fidelity in dB. The BD-rate is Bjontegaard's, computed by the package `bjontegaard`:
PCHIP over the logarithm of the rate, on the range of fidelity that both curves have. MS-SSIM
enters as -10 log10(1 - value), so that its steps near 1 count. A picture that
comes back exactly has no PSNR, and so a mean over it has none.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from aecodec.bench.measure import Point, Probe
from aecodec.errors import InputError, one_line

__all__ = ["METHOD", "METRICS", "Bd", "Curve", "Measured", "compare", "decibels", "published"]

METHOD = "Bjontegaard delta rate, PCHIP over log rate (package bjontegaard)"

METRICS = {"psnr": "PSNR, RGB (dB)", "ms_ssim": "MS-SSIM (dB)", "ssimulacra2": "SSIMULACRA 2"}
"""Attribute of a curve -> what its axis says."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Rate and fidelity, a value for each quality; None where a measure is not known."""

    name: str
    title: str
    description: str
    bpp: tuple[float, ...]
    psnr: tuple[float | None, ...]
    ms_ssim: tuple[float | None, ...]  # in dB, see `decibels`
    ssimulacra2: tuple[float | None, ...] = ()
    measured: bool = False

    def points(self, metric: str) -> list[tuple[float, float]]:
        """(bpp, fidelity) from small to large, without points that another one dominates.

        Nobody would choose a setting that costs more bits for less fidelity, and a BD-rate is
        defined for rising curves only.
        """
        known = [
            (rate, value)
            for rate, value in zip(self.bpp, getattr(self, metric), strict=False)
            if value is not None
        ]
        known.sort(key=lambda point: (point[0], -point[1]))  # of equal rates the best comes first
        rising: list[tuple[float, float]] = []
        for rate, value in known:
            if not rising or (rate > rising[-1][0] and value > rising[-1][1]):
                rising.append((rate, value))
        return rising


@dataclasses.dataclass(frozen=True)
class Measured:
    """A codec's points on every picture."""

    name: str
    title: str
    settings: str
    versions: tuple[str, ...]
    points: dict[str, list[Point]]  # by picture
    pixels: dict[str, int]
    probe: Probe | None = None

    @property
    def qualities(self) -> list[float]:
        """In the codec's own numbers."""
        return [point.quality for point in next(iter(self.points.values()))]

    def mean_curve(self) -> Curve:
        """The mean over the pictures, at each quality."""
        return self._curve(list(self.points))

    def curve_of(self, picture: str) -> Curve:
        """One picture's."""
        return self._curve([picture])

    def _curve(self, pictures: Sequence[str]) -> Curve:
        columns = list(zip(*(self.points[name] for name in pictures), strict=True))
        sizes = [self.pixels[name] for name in pictures]
        return Curve(
            name=self.name,
            title=self.title,
            description=self.settings,
            bpp=tuple(
                fmean(8 * p.nbytes / n for p, n in zip(column, sizes, strict=True))
                for column in columns
            ),
            psnr=tuple(_mean([p.psnr for p in column]) for column in columns),
            ms_ssim=tuple(_mean([p.ms_ssim for p in column], decibels) for column in columns),
            ssimulacra2=tuple(_mean([p.ssimulacra2 for p in column]) for column in columns),
            measured=True,
        )

    @property
    def exact(self) -> list[str]:
        """The pictures that came back exactly at some quality."""
        return [name for name, of in self.points.items() if any(p.psnr is None for p in of)]

    def seconds(self, what: str) -> list[float]:
        """Mean `encode_s` or `decode_s` of a picture, at each quality."""
        columns = zip(*self.points.values(), strict=True)
        return [fmean(getattr(p, what) for p in column) for column in columns]

    def speed(self, what: str) -> float:
        """Megapixels a second over all points; `what` is "encode_s" or "decode_s"."""
        seconds = sum(getattr(p, what) for of in self.points.values() for p in of)
        pixels = sum(self.pixels.values()) * len(self.qualities)
        return pixels / 1e6 / float(seconds)


def decibels(ms_ssim: float) -> float | None:
    """MS-SSIM on a scale whose steps mean the same near 1 and far from it; None for 1 itself."""
    return None if ms_ssim >= 1 - 1e-10 else -10 * math.log10(1 - ms_ssim)


def _mean(values: Sequence[float | None], scale: Any = None) -> float | None:
    """The mean, then scaled: published curves give the mean MS-SSIM, which is scaled after."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    mean = fmean(known)
    return scale(mean) if scale else mean


# --------------------------------------------------------------------------------------- comparing


@dataclasses.dataclass(frozen=True)
class Bd:
    """A BD-rate in per cent, below 0 where the anchor needs more bytes. None: there is none."""

    value: float | None
    low: float | None = None  # the common range of fidelity
    high: float | None = None
    of_images: float | None = None
    """The mean of the pictures' own BD-rates."""
    images: int = 0
    """How many pictures have one; the mean is over these."""


def bd_rate(anchor: Curve, curve: Curve, metric: str = "psnr") -> Bd:
    """Compare two curves. No value where they have fewer than 2 points or no common range."""
    from bjontegaard import bd_rate as bjontegaard

    first, second = anchor.points(metric), curve.points(metric)
    if len(first) < 2 or len(second) < 2:
        return Bd(None)
    low, high = max(first[0][1], second[0][1]), min(first[-1][1], second[-1][1])
    if not low < high:
        return Bd(None, low, high)
    value = bjontegaard(
        *zip(*first, strict=True),
        *zip(*second, strict=True),
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return Bd(float(value), low, high)


def compare(anchor: Measured, test: Measured, metric: str = "psnr") -> Bd:
    """Compare two codecs measured on the same pictures: mean curves, and picture by picture."""
    mean = bd_rate(anchor.mean_curve(), test.mean_curve(), metric)
    each = [
        bd_rate(anchor.curve_of(name), test.curve_of(name), metric).value for name in test.points
    ]
    known = [value for value in each if value is not None]
    return dataclasses.replace(mean, of_images=fmean(known) if known else None, images=len(known))


def matrix(
    measured: Sequence[Measured], others: Sequence[Curve], metric: str = "psnr"
) -> dict[str, dict[str, Bd]]:
    """BD-rates of all against all: result[test][anchor]. Published curves have mean curves only."""
    of_name = {m.name: m for m in measured}
    curves = {m.name: m.mean_curve() for m in measured} | {c.name: c for c in others}
    return {
        test: {
            anchor: compare(of_name[anchor], of_name[test], metric)
            if test in of_name and anchor in of_name
            else bd_rate(curves[anchor], curves[test], metric)
            for anchor in curves
            if anchor != test
        }
        for test in curves
    }


# --------------------------------------------------------------------------------- published curves


def published(source: str, taken: frozenset[str] = frozenset()) -> list[Curve]:
    """The curves in a JSON file, or in all JSON files of a folder.

    Understood are CompressAI's results (name, description, results with bpp, psnr-rgb,
    ms-ssim-rgb), lists of those, what `aecodec bench --json` writes, and name -> list of points
    (bpp, psnr, ms_ssim). A curve whose name is `taken` gets "(published)" after it. Raises
    InputError naming the file and what it lacks.
    """
    place = Path(source)
    paths = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not paths:
        raise InputError(f"{source}: no JSON files in this folder")
    made: dict[str, Curve] = {}
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as JSON: {one_line(error)}") from error
        try:
            found = _curves_in(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: not a file of curves: {one_line(error)}") from error
        for curve in found:
            name = curve.name
            while name in taken or name in made:
                name += " (published)"
            made[name] = dataclasses.replace(curve, name=name, title=name)
    return list(made.values())


def _curves_in(content: Any) -> list[Curve]:
    if isinstance(content, dict) and "curves" in content:
        content = content["curves"]
    if isinstance(content, list):
        return [_compressai(entry) for entry in content]
    if "results" in content:
        return [_compressai(content)]
    return [_from_points(name, points) for name, points in content.items()]


def _compressai(entry: Mapping[str, Any]) -> Curve:
    results = entry["results"]
    rates = [float(rate) for rate in results["bpp"]]
    psnr = results["psnr-rgb"] if "psnr-rgb" in results else results["psnr"]
    similarity = results.get("ms-ssim-rgb") or results.get("ms-ssim") or [None] * len(rates)
    seen = results.get("ssimulacra2") or [None] * len(rates)
    return _published_curve(
        str(entry["name"]), str(entry.get("description", "")), rates, psnr, similarity, seen
    )


def _from_points(name: str, points: Sequence[Mapping[str, Any]]) -> Curve:
    return _published_curve(
        name,
        "",
        [float(point["bpp"]) for point in points],
        [point["psnr"] for point in points],
        [point.get("ms_ssim") for point in points],
        [point.get("ssimulacra2") for point in points],
    )


def _published_curve(
    name: str,
    description: str,
    rates: Sequence[float],
    psnr: Sequence[float | None],
    similarity: Sequence[float | None],
    seen: Sequence[float | None],
) -> Curve:
    if not len(rates) == len(psnr) == len(similarity) == len(seen):
        raise ValueError(f"{name}: its lists differ in length")
    if not all(rate > 0 for rate in rates):
        raise ValueError(f"{name}: a rate that is not above 0")
    return Curve(
        name=name,
        title=name,
        description=description,
        bpp=tuple(rates),
        psnr=tuple(None if value is None else float(value) for value in psnr),
        ms_ssim=tuple(None if value is None else decibels(float(value)) for value in similarity),
        ssimulacra2=tuple(seen),
    )
