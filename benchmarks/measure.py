"""What the benchmark scripts share: a point of a rate-distortion curve, and JPEG's curve."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.metrics import psnr

JPEG_SETTINGS = "Pillow, 4:2:0, optimize=True"


@dataclass(frozen=True)
class Point:
    """One picture at one quality: the whole file's bytes, and how faithful it is."""

    quality: int
    nbytes: int
    psnr: float
    encode_s: float
    decode_s: float


def pixels_of(path: str | Path) -> Image.Image:
    """A picture in RGB without its metadata, so that no codec pays for metadata."""
    with Image.open(path) as opened:
        return Image.fromarray(np.asarray(opened.convert("RGB")))


def with_pillow(picture: Image.Image, quality: int, format_: str, **options: object) -> Point:
    """Encode with one of Pillow's formats, decode, and measure."""
    file = io.BytesIO()
    start = time.perf_counter()
    picture.save(file, format_, quality=quality, **options)
    between = time.perf_counter()
    with Image.open(io.BytesIO(file.getvalue())) as opened:
        restored = opened.convert("RGB")
    end = time.perf_counter()
    value = psnr(np.asarray(picture), np.asarray(restored))
    return Point(quality, file.tell(), value, between - start, end - between)


def with_jpeg(picture: Image.Image, quality: int) -> Point:
    """JPEG as people use it: 4:2:0, with optimised Huffman tables."""
    return with_pillow(picture, quality, "JPEG", subsampling="4:2:0", optimize=True)


def bytes_at(points: Iterable[Point], psnr_value: float) -> float | None:
    """The bytes that a codec needs for a PSNR: log-linear between the two nearest points.

    None where the curve does not reach so low or so high.
    """
    curve = sorted(points, key=lambda point: point.psnr)
    for low, high in pairwise(curve):
        if low.psnr <= psnr_value <= high.psnr:
            span = high.psnr - low.psnr
            share = (psnr_value - low.psnr) / span if span else 0.0
            return math.exp((1 - share) * math.log(low.nbytes) + share * math.log(high.nbytes))
    return None
