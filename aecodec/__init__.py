"""aecodec: an image codec whose transform is a trained convolutional autoencoder.

::

    import aecodec
    from PIL import Image

    data = aecodec.compress(Image.open("photo.jpg"), quality=75)   # the bytes of photo.aec
    picture = aecodec.decompress(data)                             # PIL.Image.Image
    aecodec.read_info(data).width                                  # reads the header alone

    aecodec.register_pillow()                                      # Pillow reads and writes .aec
    Image.open("photo.aec").save("photo.png")

Importing this package is fast: each function imports what it needs at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from aecodec.errors import (
    AecodecError,
    CorruptError,
    DeviceError,
    FormatError,
    InputError,
    KnownAnswerError,
    LimitError,
    NotAecError,
    OutputError,
    OutputExistsError,
    RequestError,
    TruncatedError,
    UnknownModelError,
    UnsupportedError,
    WeightsError,
)

if TYPE_CHECKING:
    from aecodec.codec import compress, decompress, read_info
    from aecodec.pillow_plugin import open
    from aecodec.pillow_plugin import register as register_pillow
    from aecodec.uses.descriptors import features
    from aecodec.uses.dream import augment
    from aecodec.uses.mend import mend

__all__ = [
    "AecodecError",
    "CorruptError",
    "DeviceError",
    "FormatError",
    "InputError",
    "KnownAnswerError",
    "LimitError",
    "NotAecError",
    "OutputError",
    "OutputExistsError",
    "RequestError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "WeightsError",
    "__version__",
    "augment",
    "compress",
    "decompress",
    "features",
    "mend",
    "open",
    "read_info",
    "register_pillow",
]

__version__ = "0.1.0"

# Where each function lives, and what it is called there.
_LAZY = {
    "augment": ("uses.dream", "augment"),
    "compress": ("codec", "compress"),
    "decompress": ("codec", "decompress"),
    "features": ("uses.descriptors", "features"),
    "mend": ("uses.mend", "mend"),
    "open": ("pillow_plugin", "open"),
    "read_info": ("codec", "read_info"),
    "register_pillow": ("pillow_plugin", "register"),
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        module, function = _LAZY[name]
        return getattr(import_module(f"aecodec.{module}"), function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
