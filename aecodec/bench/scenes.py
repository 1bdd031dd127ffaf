"""Pictures for the slider: one scene as several codecs reproduce it, at equal size.

The page shows real pixels. A JPEG, WebP or AVIF is embedded as the file that the codec wrote. The
original and the output of aecodec are embedded as lossless WebP.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec import files, metrics
from aecodec.arrays import Pixels
from aecodec.bench.codecs import Codec, Coder
from aecodec.bench.compared import Compared
from aecodec.bench.latents import bit_map
from aecodec.bench.pictures import Photograph
from aecodec.errors import NotAecError
from aecodec.image.rgb import decode, encode

__all__ = [
    "BUDGET",
    "Scene",
    "View",
    "at_equal_size",
    "bits_of",
    "nearest_above",
    "original_view",
    "slimmed",
    "view_of",
]

LARGEST = 2_000_000
"""Pixels; of a larger picture the slider shows a part from the middle."""
PART = (1536, 1024)
BUDGET = 17_000_000
"""Bytes of pictures in one page, before base64 makes them a third longer."""


@dataclasses.dataclass(frozen=True)
class View:
    """A scene as one codec reproduces it."""

    title: str
    detail: str  # one line: bytes, fidelity
    mime: str
    data: bytes

    def as_json(self) -> dict[str, str]:
        """For the script of the page."""
        return {"title": self.title, "detail": self.detail, "uri": _uri(self.mime, self.data)}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What the slider shows of one picture. The first view is the original."""

    name: str
    width: int
    height: int
    views: tuple[View, ...]
    note: str = ""
    bits: npt.NDArray[np.float32] | None = None
    """Bits of each 16x16 pixels in the second view's file."""

    def as_json(self) -> dict[str, Any]:
        """For the script of the page."""
        made: dict[str, Any] = {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "note": self.note,
            "views": [view.as_json() for view in self.views],
        }
        if self.bits is not None:
            largest = float(self.bits.max())
            levels = np.rint(self.bits * (255 / max(largest, 1e-9))).astype(np.uint8)
            made["bits"] = {
                "rows": levels.shape[0],
                "columns": levels.shape[1],
                "largest": largest / 256,  # bits a pixel
                "levels": base64.b64encode(levels.tobytes()).decode(),
            }
        return made


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def lossless(rgb: Pixels) -> tuple[str, bytes]:
    """Type and bytes of a picture file with exactly these pixels."""
    if max(rgb.shape[:2]) > 16383:  # WebP's limit
        return "image/png", encode(rgb, "PNG")
    effort = 4 if rgb.size < 3 * LARGEST else 1
    return "image/webp", encode(rgb, "WEBP", lossless=True, quality=60, method=effort)


def view_of(title: str, one: Compared) -> View:
    """A view of a compared file, with the figures of the comparison."""
    detail = _detail(one.nbytes, one.bpp, one.psnr, one.ms_ssim)
    return View(title, detail, *lossless(one.shown))


def describe(rgb: Pixels, restored: Pixels, nbytes: int) -> str:
    """Bytes, bits per pixel and fidelity in one line."""
    rate = metrics.bits_per_pixel(nbytes, rgb.shape[1], rgb.shape[0])
    return _detail(nbytes, rate, metrics.psnr(rgb, restored), metrics.ms_ssim(rgb, restored))


def _detail(nbytes: int, rate: float, psnr: float, similarity: float | None) -> str:
    fidelity = "identical" if np.isinf(psnr) else f"{psnr:.2f} dB"
    if similarity is not None:
        fidelity += f" · MS-SSIM {similarity:.4f}"
    return f"{nbytes:,} bytes · {rate:.3f} bpp · {fidelity}"


def at_equal_size(
    photograph: Photograph, ours: Codec, peers: Sequence[Codec], quality: float
) -> Scene:
    """A scene by one codec at `quality`, and by others at the next higher number of bytes."""
    rgb = photograph.rgb
    coder = ours.load()
    data = coder.encode(rgb, quality)
    part, note = _part(rgb)
    whole = part == (slice(None), slice(None))
    restored = coder.decode(data)
    ours_detail = describe(rgb, restored, len(data)) + f" · quality {quality:g}"
    views = [
        View("Original", f"{photograph.width} × {photograph.height}", *lossless(rgb[part])),
        View(ours.title, ours_detail, *lossless(restored[part])),
    ]
    for peer in peers:
        coder = peer.load()
        chosen, file = nearest_above(coder, rgb, len(data))
        restored = coder.decode(file)
        detail = describe(rgb, restored, len(file)) + f" · quality {chosen}"
        off = 100 * (len(file) / len(data) - 1)
        if abs(off) >= 0.5:
            detail += f" · {off:+.0f} % bytes, as near as its qualities come"
        shown = (f"image/{peer.suffix}", file) if whole else lossless(restored[part])
        views.append(View(peer.title, detail, *shown))
    height, width = rgb[part].shape[:2]
    bits = bit_map(data) if whole and ours.name.partition(":")[0] == "aecodec" else None
    return Scene(photograph.name, width, height, tuple(views), note, bits)


def _part(rgb: Pixels) -> tuple[tuple[slice, slice], str]:
    height, width = rgb.shape[:2]
    if height * width <= LARGEST:
        return (slice(None), slice(None)), ""
    wide, tall = min(width, PART[0]), min(height, PART[1])
    left, top = (width - wide) // 2, (height - tall) // 2
    note = f"{wide} × {tall} pixels from the middle of {width} × {height}"
    return (slice(top, top + tall), slice(left, left + wide)), note


def nearest_above(coder: Coder, rgb: Pixels, nbytes: int) -> tuple[int, bytes]:
    """The lowest quality from 1 to 100 whose file has at least `nbytes`, or 100; and that file.

    The other codec never gets fewer bytes than aecodec, unless it cannot use them.
    """
    low, high = 1, 100
    files: dict[int, bytes] = {}
    while low < high:
        middle = (low + high) // 2
        files[middle] = coder.encode(rgb, middle)
        if len(files[middle]) >= nbytes:
            high = middle
        else:
            low = middle + 1
    return low, files[low] if low in files else coder.encode(rgb, low)


def slimmed(scenes: Sequence[Scene], report: Callable[[str], None]) -> list[Scene]:
    """The scenes within BUDGET. Above it, lossless pictures become WebP at quality 95."""
    total = sum(len(view.data) for scene in scenes for view in scene.views)
    if total <= BUDGET:
        return list(scenes)
    report(
        f"{len(scenes)} scenes have {total / 1e6:.0f} MB: their lossless pictures are shown as WebP"
        " at quality 95 (all figures stay those of the exact pixels)"
    )
    made = []
    for scene in scenes:
        views = []
        for view in scene.views:
            small = encode(decode(view.data), "WEBP", quality=95, method=4)
            exact = view.mime in ("image/webp", "image/png") and len(small) < len(view.data)
            if exact and view.title != "WebP":
                view = dataclasses.replace(view, mime="image/webp", data=small)
            views.append(view)
        note = "Shown through WebP at quality 95 to keep this page small; the figures are exact."
        made.append(
            dataclasses.replace(
                scene, views=tuple(views), note=" ".join([scene.note, note]).strip()
            )
        )
    return made


def original_view(rgb: Pixels, nbytes: int | None = None) -> View:
    """The original, and the bytes of its file if they are known."""
    height, width, _ = rgb.shape
    detail = f"{width} × {height}"
    if nbytes is not None:
        detail += f" · {nbytes:,} bytes · {metrics.bits_per_pixel(nbytes, width, height):.3f} bpp"
    return View("Original", detail, *lossless(rgb))


def bits_of(path: str) -> npt.NDArray[np.float32] | None:
    """The bits of an .aec file by place; None for a file of another kind."""
    try:
        return bit_map(files.read_compressed(path))
    except NotAecError:
        return None
