"""Real photographs for the tests: those that scikit-image's wheel carries, cut to a small size."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms


def folder() -> Path:
    """Where scikit-image keeps its sample pictures."""
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        pytest.fail("scikit-image is missing: install the extra `test`")
    return Path(found.submodule_search_locations[0]) / "data"


def photograph(
    name: str = "astronaut.png", box: tuple[int, int, int, int] | None = None
) -> Image.Image:
    """A part of a sample photograph, in RGB and without metadata."""
    with Image.open(folder() / name) as picture:
        part = picture.convert("RGB").crop(box or (100, 20, 260, 140))
    return Image.fromarray(np.asarray(part))


@cache
def srgb() -> bytes:
    """LittleCMS's own sRGB profile: made once, for it holds the second in which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def psnr(a: Image.Image, b: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB over all samples of two pictures of one shape."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert first.shape == second.shape
    error = np.mean((first - second) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
