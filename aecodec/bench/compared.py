"""One picture against files made from it: what `aecodec compare` measures."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aecodec import codec, files, metrics
from aecodec.arrays import Pixels
from aecodec.bench.table import Row
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.errors import InputError, NotAecError
from aecodec.image.colour import to_srgb
from aecodec.image.load import load
from aecodec.image.parts.account import DAMAGED, FRAMES
from aecodec.image.picture import Picture, to_pil
from aecodec.networks.ssimulacra2 import ssimulacra2, with_alpha

__all__ = [
    "Compared",
    "Original",
    "compare",
    "figures",
    "in_srgb",
    "not_seen",
    "picture_of",
    "short_names",
]


@dataclass(frozen=True, eq=False)
class Original:
    """What files are compared with."""

    path: str
    picture: Picture
    nbytes: int | None  # of the file; None for a pipe

    @classmethod
    def read(cls, path: str, **run: Any) -> Original:
        """`run` is what `picture_of` takes, and what it raises is raised here."""
        picture = picture_of(path, **run)
        return cls(path, picture, _size(path))


@dataclass(frozen=True, eq=False)
class Compared:
    """A file and how far its pixels are from the original's."""

    path: str
    shown: Pixels  # in sRGB; the original's, where that is wholly transparent
    nbytes: int
    psnr: float  # dB; infinite where the pixels are equal
    ms_ssim: float | None  # None for small pictures
    ssimulacra2: float | None  # None below 8 pixels a side
    notes: tuple[str, ...] = ()
    """What of the file was not looked at, or in another way."""

    @property
    def bpp(self) -> float:
        """Bits of the whole file for each pixel."""
        height, width, _ = self.shown.shape
        return metrics.bits_per_pixel(self.nbytes, width, height)

    def as_json(self, nbytes_original: int | None) -> dict[str, Any]:
        """JSON knows no infinity: PSNR is null where the pixels are equal.

        The original's bytes are left out where they are not known.
        """
        known = {} if nbytes_original is None else {"bytes_original": nbytes_original}
        return {
            "source": self.path,
            "bytes": self.nbytes,
            **known,
            "bpp": self.bpp,
            "psnr": None if np.isinf(self.psnr) else self.psnr,
            "ms_ssim": self.ms_ssim,
            "ssimulacra2": self.ssimulacra2,
            "identical": bool(np.isinf(self.psnr)),
        }


def picture_of(path: str, *, max_pixels: int = DEFAULT_MAX_PIXELS, **run: Any) -> Picture:
    """An .aec file, or any picture, the right way up; `run`: threads and device to decode with."""
    if path == files.STDIO:
        raise InputError("standard input cannot be compared: name a file")
    try:
        data = files.read_compressed(path)
        restored = codec.decompress(data, max_pixels=max_pixels, **run)
    except NotAecError:
        return load(path, max_pixels=max_pixels)
    return load(restored, max_pixels=max_pixels)


def not_seen(picture: Picture) -> tuple[str, ...]:
    """The notes on what of a file's pixels a comparison does not see, as its further frames."""
    return tuple(note for note in picture.notes if any(words in note for words in _OF_PIXELS))


_OF_PIXELS: Final = (FRAMES, DAMAGED, "reduced to 8", "colours may differ")


def compare(original: Picture, path: str, **run: Any) -> Compared:
    """Measure a file against the original, where that is not wholly transparent.

    `run` is what `picture_of` takes. Raises InputError for a file that is no picture, has another
    size, or is a pipe; FormatError for a damaged .aec file.
    """
    picture = picture_of(path, **run)
    visible = original.visible
    if picture.rgb.shape != original.rgb.shape:
        raise InputError(
            f"{picture.width}x{picture.height} pixels, and the original has"
            f" {original.width}x{original.height}"
        )
    nbytes = _size(path)
    if nbytes is None:
        raise InputError("a pipe or a device has no size to compare: name a file")
    notes, seen, own = not_seen(picture), original.rgb, picture.rgb
    if picture.icc != original.icc:  # the same numbers are other colours
        seen, own = in_srgb(original.rgb, original), in_srgb(picture.rgb, picture)
        if seen is not original.rgb or own is not picture.rgb:
            notes = (*notes, "has another colour profile than the original: compared in sRGB")
    if visible is not None:
        own = np.where(visible[..., None], own, seen)
    return Compared(
        path=path,
        shown=own if picture.icc != original.icc else in_srgb(own, picture),
        nbytes=nbytes,
        psnr=metrics.psnr(seen, own, visible),
        ms_ssim=metrics.ms_ssim(seen, own),
        ssimulacra2=ssimulacra2(*with_alpha(original.alpha, seen, own)),
        notes=notes,
    )


def in_srgb(rgb: Pixels, picture: Picture) -> Pixels:
    """Pixels (H,W,3) with the profile of a picture in sRGB; the same array where they are."""
    if picture.icc is None:
        return rgb
    image = to_pil(rgb, picture.mode.removesuffix("A"))
    converted = to_srgb(image, picture.icc, [])
    return rgb if converted is image else np.asarray(converted.convert("RGB"))


def _size(path: str) -> int | None:
    """A file's bytes; None for what has no size: a pipe, a device."""
    status = os.stat(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def figures(
    done: Sequence[Compared], original: Original | None = None
) -> tuple[list[str], list[Row]]:
    """A table's headings and lines: the original's first, where its bytes are known.

    With them as a measure, the first file is another one only where there are more files.
    """
    measures: dict[str, int] = {}
    rows: list[Row] = []
    if original is not None and original.nbytes is not None:
        measures["of original"] = original.nbytes
    if not measures or len(done) > 1:
        measures["of first"] = done[0].nbytes
    if original is not None and original.nbytes is not None:
        picture, nbytes = original.picture, original.nbytes
        rate = metrics.bits_per_pixel(nbytes, picture.width, picture.height)
        name = f"{files.shown(original.path)} (original)"
        rows.append((name, f"{nbytes:,}", *[""] * len(measures), f"{rate:.3f}", "", "", ""))
    for one in done:
        shares = (f"{100 * one.nbytes / measure:.1f} %" for measure in measures.values())
        psnr = "identical" if np.isinf(one.psnr) else f"{one.psnr:.2f}"
        similarity = "–" if one.ms_ssim is None else f"{one.ms_ssim:.4f}"
        seen = "–" if one.ssimulacra2 is None else f"{one.ssimulacra2:.2f}"
        name = files.shown(one.path)
        rows.append((name, f"{one.nbytes:,}", *shares, f"{one.bpp:.3f}", psnr, similarity, seen))
    return ["file", "bytes", *measures, "bpp", "PSNR dB", "MS-SSIM", "SSIMULACRA 2"], rows


def short_names(done: Sequence[Compared]) -> list[str]:
    """The files' names without their folders, where that tells them apart."""
    names = [os.path.basename(one.path) for one in done]
    return names if len(set(names)) == len(names) else [one.path for one in done]
