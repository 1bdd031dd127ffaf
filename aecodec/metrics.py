"""Fidelity, size, and the rate saved between two curves.

Needs numpy alone, so the trainer and the benchmark use the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["MS_SSIM_SMALLEST_SIDE", "bd_rate", "bits_per_pixel", "ms_ssim", "psnr"]

Floats: TypeAlias = npt.NDArray[np.float64]
Curve: TypeAlias = Sequence[float] | npt.NDArray[np.floating]
Planes: TypeAlias = npt.NDArray[np.float32]

MS_SSIM_SMALLEST_SIDE = 161
"""In pixels: at the coarsest of the five scales the window of 11 pixels must still fit."""

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(
    a: npt.NDArray[np.uint8],
    b: npt.NDArray[np.uint8],
    seen: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB; infinite if they are equal.

    The mean is over all samples, so over R, G and B alike, or over those of the pixels `seen`
    (H,W). The squares are added as integers, so the figure is the same on every machine and in
    every order.
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"psnr compares uint8 with uint8, not {a.dtype} with {b.dtype}")
    if a.shape != b.shape:
        raise ValueError(f"psnr compares pictures of one shape, not {a.shape} with {b.shape}")
    if not a.size:
        raise ValueError("psnr of empty pictures")
    if seen is not None and seen.shape != a.shape[:2]:
        raise ValueError(f"psnr of pixels {seen.shape} in pictures {a.shape}")
    total = 0
    # Row by row in blocks of about a million samples: what is allocated stays small at any size.
    rows = max(1, 2**20 * len(a) // a.size)
    for start in range(0, len(a), rows):
        difference = a[start : start + rows].astype(np.int32) - b[start : start + rows]
        if seen is not None:
            difference[~seen[start : start + rows]] = 0
        total += int(np.square(difference).sum(dtype=np.int64))
    size = a.size if seen is None else a[0, 0].size * int(np.count_nonzero(seen))
    return math.inf if total == 0 else 10 * math.log10(255**2 * size / total)


def ms_ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float | None:
    """Return the multi-scale structural similarity of two pictures (H,W,3), 1 if they are equal.

    After Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality
    assessment", 2003. Computed like pytorch-msssim, and so like the published curves: a Gaussian
    window of 11 pixels (sigma 1.5) without padding, five scales by 2x2 means, for each of R, G and
    B, and the mean of the three. None for a picture with a side below `MS_SSIM_SMALLEST_SIDE`.
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"ms_ssim compares uint8 with uint8, not {a.dtype} with {b.dtype}")
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(f"ms_ssim compares (H,W,C) of one shape, not {a.shape} with {b.shape}")
    if min(a.shape[:2]) < MS_SSIM_SMALLEST_SIDE:
        return None
    value = np.ones(a.shape[2])
    for channel in range(a.shape[2]):
        x, y = a[:, :, channel].astype(np.float32), b[:, :, channel].astype(np.float32)
        for scale, weight in enumerate(_SCALE_WEIGHTS):
            structure, similarity = _ssim(x, y)
            last = scale == len(_SCALE_WEIGHTS) - 1
            value[channel] *= max(0.0, similarity if last else structure) ** weight
            if not last:
                x, y = _halved(x), _halved(y)
    return float(value.mean())


def _ssim(x: Planes, y: Planes) -> tuple[float, float]:
    """Mean contrast-structure and mean SSIM of two planes (H,W)."""
    # The variances are differences of large numbers: about the middle grey float32 holds them.
    x, y = x - 128, y - 128
    mean_x, mean_y = _blurred(x), _blurred(y)
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    covariance = _blurred(x * y) - product
    variances = _blurred(x**2 + y**2) - squares
    structure = (2 * covariance + np.float32(_C2)) / (variances + np.float32(_C2))
    # Back from the middle grey: (m + 128)(n + 128) and (m + 128)^2 + (n + 128)^2.
    shift = 128 * (mean_x + mean_y) + 128**2
    luminance = (2 * (product + shift) + np.float32(_C1)) / (squares + 2 * shift + np.float32(_C1))
    both = structure * luminance
    return float(structure.mean(dtype=np.float64)), float(both.mean(dtype=np.float64))


def _blurred(plane: Planes) -> Planes:
    """(H,W) -> (H-10,W-10): the mean under the Gaussian window, where it fits."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    taps = (window / window.sum()).astype(np.float32)
    height, width = (side - _WINDOW + 1 for side in plane.shape)
    made = np.empty((height, width), np.float32)
    rows = max(1, 2**15 // plane.shape[1])  # at a time: what is added up stays in the cache
    for top in range(0, height, rows):
        part = plane[top : top + rows + _WINDOW - 1]
        tall = len(part) - _WINDOW + 1
        column = taps[5] * part[5 : 5 + tall]
        for i in range(_WINDOW // 2):  # the window is symmetric
            column += taps[i] * (part[i : i + tall] + part[10 - i : 10 - i + tall])
        into = made[top : top + tall]
        np.multiply(column[:, 5 : 5 + width], taps[5], out=into)
        for i in range(_WINDOW // 2):
            into += taps[i] * (column[:, i : i + width] + column[:, 10 - i : 10 - i + width])
    return made


def _halved(plane: Planes) -> Planes:
    """(H,W) -> (ceil(H/2),ceil(W/2)) by 2x2 means; an odd side is padded with a zero in front.

    This is what pytorch-msssim does: average pooling with padding, which counts as zeros.
    """
    height, width = plane.shape
    padded = np.pad(plane, ((height % 2, height % 2), (width % 2, width % 2)))
    rows, columns = len(padded) // 2, padded.shape[1] // 2
    four = padded[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    halved: Planes = four.sum(axis=(1, 3)) / 4
    return halved


def bits_per_pixel(nbytes: int, width: int, height: int) -> float:
    """Return the bits per pixel of a whole file, header included."""
    if width < 1 or height < 1:
        raise ValueError(f"a picture of {width}x{height} has no pixels")
    return 8 * nbytes / (width * height)


def bd_rate(anchor_bpp: Curve, anchor_psnr: Curve, bpp: Curve, psnr: Curve) -> float:
    """Return the Bjøntegaard delta rate in percent; below 0 if fewer bits than the anchor's
    suffice.

    The logarithm of the rate is interpolated over PSNR by PCHIP, and averaged over the common range
    of PSNR. The points of a curve may come in any order. Raises ValueError for curves that are no
    function of PSNR or have no common range.
    """
    anchor_x, anchor_y = _curve(anchor_bpp, anchor_psnr, "anchor")
    x, y = _curve(bpp, psnr, "curve")
    low = max(anchor_x[0], x[0])
    high = min(anchor_x[-1], x[-1])
    if not low < high:
        raise ValueError(
            f"no PSNR in common: the anchor has {anchor_x[0]:.2f} to {anchor_x[-1]:.2f} dB, "
            f"the curve {x[0]:.2f} to {x[-1]:.2f} dB"
        )
    saved = _pchip_integral(x, y, low, high) - _pchip_integral(anchor_x, anchor_y, low, high)
    return 100 * math.expm1(saved / (high - low))


def _curve(bpp: Curve, psnr: Curve, name: str) -> tuple[Floats, Floats]:
    """Return PSNR and the logarithm of the rate, both rising."""
    rate, quality = np.asarray(bpp, np.float64), np.asarray(psnr, np.float64)
    if rate.ndim != 1 or rate.shape != quality.shape or len(rate) < 2:
        raise ValueError(
            f"the {name} needs two lists of one length, at least 2, "
            f"not shapes {rate.shape} and {quality.shape}"
        )
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and (rate > 0).all()):
        raise ValueError(f"the {name} has a rate or a PSNR that is not a finite number above 0")
    order = np.argsort(rate)
    rate, quality = rate[order], quality[order]
    if not ((np.diff(rate) > 0).all() and (np.diff(quality) > 0).all()):
        raise ValueError(f"the {name} is not monotone: PSNR must rise wherever the rate does")
    return quality, np.log(rate)


def _pchip_integral(x: Floats, y: Floats, low: float, high: float) -> float:
    """Integrate the monotone cubic through the points from ``low`` to ``high``, exactly."""
    slopes = _pchip_slopes(x, y)
    total = 0.0
    for i in range(len(x) - 1):
        a, b = max(low, x[i]), min(high, x[i + 1])
        if a < b:
            # On each piece a cubic in t = x - x[i]; the last coefficient first, for Horner.
            h = x[i + 1] - x[i]
            chord = (y[i + 1] - y[i]) / h
            c2 = (3 * chord - 2 * slopes[i] - slopes[i + 1]) / h
            c3 = (slopes[i] + slopes[i + 1] - 2 * chord) / h**2
            antiderivative = np.polynomial.Polynomial([y[i], slopes[i], c2, c3]).integ()
            total += float(antiderivative(b - x[i]) - antiderivative(a - x[i]))
    return total


def _pchip_slopes(x: Floats, y: Floats) -> Floats:
    """Return the slopes at the points by Fritsch and Butland, with the end slopes of Moler.

    These are those of SciPy's PchipInterpolator and MATLAB's pchip, which most BD-rates use. SciPy
    itself is too large for a trainer.
    """
    h = np.diff(x)
    chords = np.diff(y) / h
    if len(x) == 2:
        return np.repeat(chords, 2)
    slopes = np.zeros_like(x)
    for i in range(1, len(x) - 1):
        before, after = chords[i - 1], chords[i]
        if before * after > 0:  # else a turning point, which gets a slope of 0
            w1, w2 = 2 * h[i] + h[i - 1], h[i] + 2 * h[i - 1]
            slopes[i] = (w1 + w2) / (w1 / before + w2 / after)
    slopes[0] = _end_slope(h[0], h[1], chords[0], chords[1])
    slopes[-1] = _end_slope(h[-1], h[-2], chords[-1], chords[-2])
    return slopes


def _end_slope(h0: float, h1: float, chord0: float, chord1: float) -> float:
    """Return the three-point slope at an end, limited so that the curve stays monotone."""
    slope = ((2 * h0 + h1) * chord0 - h0 * chord1) / (h0 + h1)
    if slope * chord0 <= 0:
        return 0.0
    if chord0 * chord1 <= 0 and abs(slope) > 3 * abs(chord0):
        return 3 * chord0
    return slope
