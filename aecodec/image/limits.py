"""Pillow's limit of pixels, which is a global variable of the whole program.

aecodec has a limit of its own. A program that sets Pillow's lower, or that makes errors of its
warnings, means the pictures that it opens itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import Image

from aecodec import forks

__all__ = ["OPENING", "at_least"]

OPENING: Final = forks.Lock()
"""Whoever changes `Image.MAX_IMAGE_PIXELS` holds it, and changes it back."""


@contextmanager
def at_least(pixels: int) -> Iterator[bool]:
    """Raise Pillow's limit to so many pixels, if it is lower, and say whether it was.

    Other threads never see a lower limit, nor no limit.
    """
    with forks.gate, OPENING:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is None or pixels <= limit:
            yield False
            return
        Image.MAX_IMAGE_PIXELS = pixels
        try:
            yield True
        finally:
            Image.MAX_IMAGE_PIXELS = limit
