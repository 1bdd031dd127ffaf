"""The picture formats that the installed Pillow reads and writes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from PIL import Image, features

__all__ = [
    "import_plugin",
    "import_plugin_for",
    "known_suffixes",
    "library_version",
    "photograph_kinds",
    "readable_suffixes",
    "written_format",
]

# The formats of photographs, without those of drawings, films and scientific arrays.
_PHOTOGRAPHS: Final = frozenset(
    ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "PSD", "TGA", "TIFF", "WEBP")
)
# The formats whose first bytes no text has.
_BY_CONTENT: Final = _PHOTOGRAPHS - {"BMP", "PPM", "TGA"}

_PLUGINS: Final = {
    "AVIF": "AvifImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
}
_BY_SUFFIX: Final = {
    ".avif": "AVIF",
    ".jp2": "JPEG2000",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}


def import_plugin(name: str) -> None:
    """Import Pillow's plugin of a format, and those of PNG, JPEG, GIF, BMP and PPM.

    Where Pillow does not know a format yet, it imports all of its 45 plugins, which takes 40 ms.
    Nothing happens for a format that is not in the table, or that this Pillow does not have.
    """
    Image.preinit()
    if name in _PLUGINS:
        with suppress(ImportError):
            importlib.import_module(f"PIL.{_PLUGINS[name]}")


def import_plugin_for(start: bytes) -> None:
    """`import_plugin` for the format of a file that begins with these 12 bytes."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        import_plugin("WEBP")
    elif start[4:12] == b"ftypavif":
        import_plugin("AVIF")
    elif start == b"\0\0\0\x0cjP  \r\n\x87\n":
        import_plugin("JPEG2000")
    elif start[:4] in (b"II*\0", b"MM\0*"):
        import_plugin("TIFF")


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


def known_suffixes() -> frozenset[str]:
    """The suffixes of all formats that Pillow knows, in lower case."""
    return frozenset(Image.registered_extensions())


def written_format(suffix: str) -> str | None:
    """Pillow's name of the format for a suffix in lower case; None if it cannot be written."""
    import_plugin(_BY_SUFFIX.get(suffix, ""))
    name = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix)
    # The plugin registers .aec, but a decoded picture is not written as .aec.
    return name if suffix != ".aec" and name in Image.SAVE else None


def library_version(feature: str) -> str | None:
    """The version of a library that Pillow was built with; None without it.

    `feature` is the name that `PIL.features` has for it.
    """
    try:
        return features.version(feature)
    except ValueError:  # this Pillow does not know the feature
        return None
