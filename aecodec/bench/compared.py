"""One picture against files made from it: what `aecodec compare` measures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec import codec, files, image, metrics
from aecodec.bench.table import Row
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.errors import InputError, NotAecError

__all__ = ["Compared", "compare", "picture_of", "rows", "short_names"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Compared:
    """A file and how far its pixels are from the original's."""

    path: str
    rgb: Pixels  # the original's, where that is wholly transparent
    nbytes: int
    psnr: float  # dB; infinite where the pixels are equal
    ms_ssim: float | None  # None for small pictures

    @property
    def bpp(self) -> float:
        """Bits of the whole file for each pixel."""
        height, width, _ = self.rgb.shape
        return metrics.bits_per_pixel(self.nbytes, width, height)

    def as_json(self) -> dict[str, Any]:
        """JSON knows no infinity: PSNR is null where the pixels are equal."""
        return {
            "source": self.path,
            "bytes": self.nbytes,
            "bpp": self.bpp,
            "psnr": None if np.isinf(self.psnr) else self.psnr,
            "ms_ssim": self.ms_ssim,
            "identical": bool(np.isinf(self.psnr)),
        }


def picture_of(path: str, *, max_pixels: int = DEFAULT_MAX_PIXELS, **run: Any) -> image.Picture:
    """An .aec file, or any picture, the right way up; `run`: threads and device to decode with."""
    if path == files.STDIO:
        raise InputError("standard input cannot be compared: name a file")
    try:
        data = files.read_compressed(path)
        restored = codec.decompress(data, max_pixels=max_pixels, **run)
    except NotAecError:
        return image.load(path, max_pixels=max_pixels)
    return image.load(restored, max_pixels=max_pixels)


def compare(original: image.Picture, path: str, **run: Any) -> Compared:
    """Measure a file against the original, where that is not wholly transparent.

    `run` is what `picture_of` takes. Raises InputError for a file that is no picture or has another
    size, FormatError for a damaged .aec file.
    """
    own, visible = picture_of(path, **run).rgb, original.visible
    if own.shape != original.rgb.shape:
        raise InputError(
            f"{own.shape[1]}x{own.shape[0]} pixels, and the original has"
            f" {original.width}x{original.height}"
        )
    if visible is not None:
        own = np.where(visible[..., None], own, original.rgb)
    return Compared(
        path=path,
        rgb=own,
        nbytes=os.path.getsize(path),
        psnr=metrics.psnr(original.rgb, own, visible),
        ms_ssim=metrics.ms_ssim(original.rgb, own),
    )


def rows(done: Sequence[Compared]) -> list[Row]:
    """A table's lines."""
    return [
        (
            files.shown(one.path),
            f"{one.nbytes:,}",
            f"{100 * one.nbytes / done[0].nbytes:.1f} %",
            f"{one.bpp:.3f}",
            "identical" if np.isinf(one.psnr) else f"{one.psnr:.2f}",
            "–" if one.ms_ssim is None else f"{one.ms_ssim:.4f}",
        )
        for one in done
    ]


def short_names(done: Sequence[Compared]) -> list[str]:
    """The files' names without their folders, where that tells them apart."""
    names = [os.path.basename(one.path) for one in done]
    return names if len(set(names)) == len(names) else [one.path for one in done]
