"""SSIMULACRA 2.1, the visible similarity of two pictures, by ONNX Runtime.

The measure is that of Sneyers (Cloudinary, 2023), https://github.com/cloudinary/ssimulacra2. The
graph `ssimulacra2.onnx` (made by `aecodec/training/measures.py`) computes the maps of errors of
three scales for a part of a picture. A large picture is split into parts with margins. The picture
at 1/8 then goes through the same graph for the other three scales::

    a, b ---parts---> sums at 1, 1/2, 1/4
            |
            +--> a, b at 1/8 ---parts---> sums at 1/8, 1/16, 1/32

The sums of all parts are those of the whole picture. Only the pictures at 1/8 grow with its size.
"""

from __future__ import annotations

import functools
import pathlib
from typing import TYPE_CHECKING, Any

from aecodec.geometry import ceil_div
from aecodec.networks.ssimulacra2_score import (
    GRAPH,
    SCALES,
    SMALLEST,
    STEPS,
    raw_of,
    score_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from aecodec.networks.runtime import Options, Runtime

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]
    Source = Callable[[tuple[slice, slice]], Floats]  # rows, columns -> (3,h,w) in linear light

__all__ = ["SMALLEST_SIDE", "ssimulacra2", "with_alpha"]

SMALLEST_SIDE = SMALLEST
"""Pixels of a side; smaller pictures have no score."""

GREYS = 0.1, 0.9
"""The greys, in sRGB, behind pictures with alpha."""
PART = 512
"""The side of a part in pixels: a multiple of 8."""
MARGIN = 16
"""Pixels: the blur reaches 4 pixels at the last of three scales."""


def ssimulacra2(a: Pixels, b: Pixels, *, options: Options | None = None) -> float | None:
    """Return the SSIMULACRA 2.1 score of two pictures (H,W,3 or 4) in sRGB: `a` is the original.

    100 is identical, 90 is hard to tell apart, 70 is high, 50 medium and 30 low quality; very bad
    pictures go below 0. Pictures with alpha are composed with a dark and with a bright grey, and
    the lower score counts, as in the author's tool. None for a picture with a side below
    `SMALLEST_SIDE`. The graph runs on a processor, with the threads of `options`; None: one for
    every core. Raises ValueError for other arrays.
    """
    import numpy as np

    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"ssimulacra2 compares uint8 with uint8, not {a.dtype} with {b.dtype}")
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] not in (3, 4):
        raise ValueError(
            f"ssimulacra2 compares (H,W,3) or (H,W,4) of one shape, not {a.shape} with {b.shape}"
        )
    if min(a.shape[:2]) < SMALLEST_SIDE:
        return None
    runtime, shape = _runtime(0 if options is None else options.threads), a.shape[:2]
    if a.shape[2] == 3:
        return _score(runtime, _opaque(a), _opaque(b), shape)
    return min(_score(runtime, _upon(grey, a), _upon(grey, b), shape) for grey in GREYS)


def with_alpha(alpha: Pixels | None, *pictures: Pixels) -> tuple[Pixels, ...]:
    """Pictures (H,W,3), all with the alpha (H,W) of the original, if it has one."""
    import numpy as np

    if alpha is None:
        return pictures
    return tuple(np.dstack([picture, alpha]) for picture in pictures)


def _opaque(picture: Pixels) -> Source:
    """Parts of (H,W,3)."""
    light = _linear_light()
    return lambda box: light[picture[box]].transpose(2, 0, 1)


def _upon(grey: float, picture: Pixels) -> Source:
    """Parts of (H,W,4) over a grey in sRGB."""

    def part(box: tuple[slice, slice]) -> Floats:
        import numpy as np

        x = picture[box].astype(np.float32) / np.float32(255.0)
        alpha = x[..., 3:]
        laid = _linear(alpha * x[..., :3] + (1.0 - alpha) * np.float32(grey))
        found: Floats = laid.astype(np.float32).transpose(2, 0, 1)
        return found

    return part


def _score(runtime: Runtime, a: Source, b: Source, shape: tuple[int, ...]) -> float:
    import numpy as np

    first, (a8, b8) = _three_scales(runtime, a, b, shape)
    second, _ = _three_scales(runtime, _of(a8), _of(b8), a8.shape[1:])
    sums = np.concatenate([first, second])
    norms: list[npt.NDArray[np.float64]] = []
    for scale in range(SCALES):
        if min(shape) < SMALLEST:
            break
        if scale:
            shape = tuple(ceil_div(n, 2) for n in shape)
        means = sums[scale] / (shape[0] * shape[1])  # (2,3,3) by power, map and channel
        means[1] **= 0.25
        norms.append(means.transpose(2, 0, 1))
    return score_of(raw_of(np.stack(norms)))


def _of(picture: Floats) -> Source:
    """Parts of (3,H,W) in linear light."""
    return lambda box: picture[:, box[0], box[1]]


def _three_scales(
    runtime: Runtime, a: Source, b: Source, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], tuple[Floats, Floats]]:
    """Sums (3,2,3,3) of two pictures (3,H,W) of this shape, and the pictures at 1/8."""
    import numpy as np

    sums = np.zeros((STEPS, 2, 3, 3))
    side = 2**STEPS
    small = (3, *(ceil_div(n, side) for n in shape))
    eighths = np.empty(small, np.float32), np.empty(small, np.float32)
    for top in range(0, shape[0], PART):
        for left in range(0, shape[1], PART):
            begin = np.array([top, left])
            end = np.minimum(begin + PART, shape)
            low = np.maximum(begin - MARGIN, 0)
            high = np.minimum(end + MARGIN, shape)
            box = slice(low[0], high[0]), slice(low[1], high[1])
            found, *parts = runtime.run(
                GRAPH,
                a=np.ascontiguousarray(a(box))[None],
                b=np.ascontiguousarray(b(box))[None],
                begin=begin - low,
                end=end - low,
            )
            sums += found
            (y, x), (h, w) = begin // side, -(-end // side)
            skip = (begin - low) // side
            for whole, part in zip(eighths, parts, strict=True):
                inner = part[0, :, skip[0] :, skip[1] :]
                whole[:, y:h, x:w] = inner[:, : h - y, : w - x]
    return sums, eighths


@functools.cache
def _runtime(threads: int) -> Runtime:
    from aecodec.networks.runtime import Options, Runtime

    return Runtime(pathlib.Path(__file__).parent, Options(threads=threads, device="cpu"))


@functools.cache
def _linear_light() -> Floats:
    """Linear light by sRGB byte."""
    import numpy as np

    return _linear(np.arange(256) / 255.0).astype(np.float32)


def _linear(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """sRGB in [0,1] -> linear light."""
    import numpy as np

    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
