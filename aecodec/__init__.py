"""aecodec: an image codec whose transform is a trained convolutional autoencoder.

::

    import aecodec
    from PIL import Image

    data = aecodec.compress(Image.open("photo.jpg"), quality=75)   # bytes, to be kept as photo.aec
    picture = aecodec.decompress(data)                             # PIL.Image.Image
    aecodec.read_info(data).width                                  # reads the header alone

Importing this package is cheap: what the functions need is imported when one is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from aecodec.errors import (
    AecodecError,
    CorruptError,
    FormatError,
    InputError,
    KnownAnswerError,
    LimitError,
    NotAecError,
    OutputError,
    OutputExistsError,
    TruncatedError,
    UnknownModelError,
    UnsupportedError,
    WeightsError,
)

if TYPE_CHECKING:
    from aecodec.codec import compress, decompress, read_info

__all__ = [
    "AecodecError",
    "CorruptError",
    "FormatError",
    "InputError",
    "KnownAnswerError",
    "LimitError",
    "NotAecError",
    "OutputError",
    "OutputExistsError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "WeightsError",
    "__version__",
    "compress",
    "decompress",
    "read_info",
]

__version__ = "0.1.0"

_FROM_CODEC = frozenset({"compress", "decompress", "read_info"})


def __getattr__(name: str) -> object:
    if name in _FROM_CODEC:
        return getattr(import_module("aecodec.codec"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | _FROM_CODEC)
