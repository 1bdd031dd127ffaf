"""Walkers: a small reader for each format, which accounts for every part of a source file.

::

    bytes of the source --FORMATS[image.format]--> Account: parts kept, harmless and lost

`account.py` defines the account. A walker is a module with a function `walk(data, account)` and a
tuple `PARTS` of all parts that it knows. It parses the file with bounded memory, and never raises
for invalid bytes: a part that it cannot parse is lost. `docs/parts.md` is generated from these
tables. A file of a format without a walker counts as one lost part, because its content is unknown.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, Protocol, cast

from aecodec.image.parts.account import Account, Attachment, Fate, Part, Text

if TYPE_CHECKING:  # each is named, so that bundlers take it along
    from aecodec.image.parts import (  # noqa: F401
        bmp,
        dds,
        fits,
        gif,
        icons,
        isobmff,
        jp2,
        jpeg,
        pcx,
        png,
        pnm,
        psd,
        qoi,
        riff,
        sgi,
        sun,
        tga,
        tiff,
        xbm,
    )

__all__ = [
    "FORMATS",
    "Account",
    "Attachment",
    "Fate",
    "Part",
    "Text",
    "Walker",
    "account_for",
    "walker_for",
]


class Walker(Protocol):
    """A module that reads one format, or several similar ones."""

    @property
    def __name__(self) -> str: ...

    @property
    def PARTS(self) -> tuple[Part, ...]: ...

    def walk(self, data: memoryview, account: Account) -> None: ...


FORMATS: Final[dict[str, str]] = {
    "AVIF": "isobmff",
    "BMP": "bmp",
    "CUR": "icons",
    "DDS": "dds",
    "DIB": "bmp",
    "FITS": "fits",
    "GIF": "gif",
    "HEIF": "isobmff",
    "ICNS": "icons",
    "ICO": "icons",
    "JPEG": "jpeg",
    "JPEG2000": "jp2",
    "MPO": "jpeg",
    "PCX": "pcx",
    "PNG": "png",
    "PPM": "pnm",
    "PSD": "psd",
    "QOI": "qoi",
    "SGI": "sgi",
    "SUN": "sun",
    "TGA": "tga",
    "TIFF": "tiff",
    "WEBP": "riff",
    "XBM": "xbm",
}
"""The module of the walker by Pillow's name of the format."""


def walker_for(format_name: str) -> Walker | None:
    """The walker of a format, if there is one."""
    if format_name not in FORMATS:
        return None
    return cast(Walker, importlib.import_module(f"{__name__}.{FORMATS[format_name]}"))


def account_for(data: bytes | memoryview, format_name: str) -> Account:
    """Account for every part of a source file of this format."""
    account = Account()
    walker = walker_for(format_name)
    if walker is None:
        account.lost(format_name, f"what else a {format_name} file may hold")
    else:
        walker.walk(memoryview(data), account)
    return account
