"""The picture formats that the installed Pillow reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PIL import Image, features

__all__ = ["library_version", "photograph_kinds", "readable_suffixes", "written_format"]

# The formats of photographs, without those of drawings, films and scientific arrays.
_PHOTOGRAPHS: Final = frozenset(
    ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "PSD", "TGA", "TIFF", "WEBP")
)
# The formats whose first bytes no text has.
_BY_CONTENT: Final = _PHOTOGRAPHS - {"BMP", "PPM", "TGA"}


def photograph_kinds() -> tuple[frozenset[str], Callable[[bytes], bool]]:
    """The suffixes of photographs, and a test of a file's first bytes."""
    suffixes = {s for s, name in Image.registered_extensions().items() if name in _PHOTOGRAPHS}
    tests = [Image.OPEN[name][1] for name in sorted(_BY_CONTENT) if name in Image.OPEN]

    def is_photograph(start: bytes) -> bool:
        return any(test is not None and test(start) for test in tests)

    return frozenset(suffixes), is_photograph


def readable_suffixes() -> frozenset[str]:
    """The suffixes of all formats that can be read."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in Image.OPEN)


def written_format(suffix: str) -> str | None:
    """Pillow's name of the format for a suffix in lower case; None if it cannot be written."""
    # The plugin registers .aec, but a decoded picture is not written as .aec.
    name = Image.registered_extensions().get(suffix)
    return name if suffix != ".aec" and name in Image.SAVE else None


def library_version(feature: str) -> str | None:
    """The version of a library that Pillow was built with; None without it.

    `feature` is the name that `PIL.features` has for it.
    """
    try:
        return features.version(feature)
    except ValueError:  # this Pillow does not know the feature
        return None
