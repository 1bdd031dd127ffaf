"""BD-rate against JPEG on held-out photographs, from the model's estimated rate.

Real file bytes are measured by `benchmarks/`; the estimate here is within a percent of them.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aecodec.arrays import Pixels
from aecodec.image.rgb import decode, is_exact_as_jpeg, jpeg, read
from aecodec.metrics import bd_rate
from aecodec.model import Autoencoder
from aecodec.model.transforms import clamp_pixels
from aecodec.training.noise import add_noise
from aecodec.training.ssimulacra2 import Ssimulacra2, score_of

__all__ = ["Point", "Validation"]

LEVELS = (0.14, 0.26, 0.38, 0.50, 0.62, 0.74, 0.86, 0.98)
JPEG_QUALITIES = (5, 10, 20, 35, 50, 65, 80, 90, 95)


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of a mean rate-distortion curve."""

    bpp: float
    psnr: float
    ssimulacra2: float


def _psnr(mse: float) -> float:
    return float(10.0 * np.log10(255.0**2 / max(mse, 1e-9)))


def _jpeg_curve(pictures: list[Pixels], measure: Ssimulacra2) -> list[Point]:
    points = []
    cpu = torch.device("cpu")
    for quality in JPEG_QUALITIES:
        bpp, psnr, eye = [], [], []
        for pixels in pictures:
            data = jpeg(pixels, quality)
            decoded = decode(data).copy()  # torch warns of what is read-only
            error = decoded.astype(np.float64) - pixels
            with torch.no_grad():
                raw = measure(_to_tensor(pixels, cpu), _to_tensor(decoded, cpu))
            eye.append(float(score_of(raw)))
            bpp.append(8.0 * len(data) / (pixels.shape[0] * pixels.shape[1]))
            psnr.append(_psnr(float(np.mean(error**2))))
        points.append(Point(*(float(np.mean(values)) for values in (bpp, psnr, eye))))
    return points


class Validation:
    """The held-out pictures, cut at the centre to multiples of 64 px and at most `side` px.

    With `noise` (from, to, in 8-bit levels) the model gets them with noise of the middle of these
    levels. What it makes of that is measured against the clean pictures, as JPEG of the clean ones.
    """

    def __init__(
        self,
        paths: list[pathlib.Path],
        *,
        side: int = 640,
        noise: tuple[float, float] | None = None,
    ) -> None:
        self.pictures: list[Pixels] = []
        self.sizes: dict[pathlib.Path, int] = {}  # pixels of the whole pictures
        for path in paths:
            pixels = read(path)
            if pixels is None or min(pixels.shape[:2]) < 64:
                continue
            self.sizes[path] = pixels.shape[0] * pixels.shape[1]
            h, w = (min(side, n) // 64 * 64 for n in pixels.shape[:2])
            top, left = (pixels.shape[0] - h) // 2, (pixels.shape[1] - w) // 2
            self.pictures.append(np.ascontiguousarray(pixels[top : top + h, left : left + w]))
        if not self.pictures:
            raise ValueError("no validation picture could be read")
        inexact = [p for p in self.pictures if not is_exact_as_jpeg(p, JPEG_QUALITIES)]
        self.pictures = inexact or self.pictures
        self.level = 0.0 if noise is None else sum(noise) / 2.0 / 255.0
        self.ssimulacra2 = Ssimulacra2()
        self.jpeg = _jpeg_curve(self.pictures, self.ssimulacra2)

    @torch.no_grad()
    def measure(
        self, model: Autoencoder, device: torch.device, *, finish: bool = False
    ) -> dict[str, Any]:
        """Mean curve over LEVELS, BD-rate against JPEG in percent (None: no common range).

        "zeros" is the share of the latents' symbols that are 0.

        With `finish` of the symbols that encoders code, otherwise of plainly rounded ones.
        """
        rows: list[list[tuple[float, ...]]] = [[] for _ in LEVELS]
        measure = self.ssimulacra2.to(device)
        for number, pixels in enumerate(self.pictures):
            x = _to_tensor(pixels, device)
            seen = x
            if self.level:
                seen = self._with_noise(pixels, number).to(device)
            for row, level in zip(rows, LEVELS, strict=True):
                at = torch.tensor([level], device=device)
                output = model(seen, at, noise=False, finish=finish)
                shown = clamp_pixels(output.x_hat)
                error = shown - x * 255.0
                eye = float(score_of(measure(x, shown / 255.0)))
                count = x.shape[2] * x.shape[3]
                z_bpp = float(output.z_bits) / count
                bpp = float(output.y_bits) / count + z_bpp
                zeros = float((output.coded == 0).double().mean())
                row.append((bpp, _psnr(float((error**2).mean())), z_bpp, eye, zeros))
        means = [tuple(float(v) for v in np.mean(row, axis=0)) for row in rows]
        names = ("bpp", "psnr", "z_bpp", "ssimulacra2", "zeros")
        curve = [dict(zip(names, values, strict=True)) for values in means]
        return {
            "bd_rate_jpeg": self._bd_rate(curve, "psnr"),
            "bd_rate_jpeg_ssimulacra2": self._bd_rate(curve, "ssimulacra2"),
            "curve": curve,
        }

    def _with_noise(self, pixels: Pixels, number: int) -> Tensor:
        """The picture with the noise that it always has, and every other one with a camera's."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            clean = _to_tensor(pixels, torch.device("cpu"))
            level = torch.tensor([self.level])
            made = add_noise(clean, level, camera=float(number % 2), grey=0.0)
        return made.noisy.contiguous(memory_format=torch.channels_last)

    def _bd_rate(self, curve: list[dict[str, float]], by: str) -> float | None:
        try:
            return bd_rate(
                [p.bpp for p in self.jpeg],
                [getattr(p, by) for p in self.jpeg],
                [p["bpp"] for p in curve],
                [p[by] for p in curve],
            )
        except ValueError:
            return None


def _to_tensor(pixels: Pixels, device: torch.device) -> Tensor:
    x = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255.0
    return x.contiguous(memory_format=torch.channels_last)
