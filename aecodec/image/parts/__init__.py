"""Walkers: one small reader a format, which accounts for every part of a source file.

::

    bytes of the source --FORMATS[image.format]--> Account: parts kept, harmless and lost

`account.py` defines the account. A walker is a function (data, account) -> None; it reads the
file's own structure, is bounded in memory, and never raises for what the bytes are: what it cannot
follow is a lost part. `FORMATS` maps Pillow's name of a format to its walker. A format without one
is accounted for as a whole: what else it may hold is not known, hence lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from aecodec.image.parts import isobmff, jp2, tiff
from aecodec.image.parts.account import Account, Attachment, Fate, Part, Text

__all__ = ["FORMATS", "Account", "Attachment", "Fate", "Part", "Text", "Walker", "account_for"]

Walker: TypeAlias = Callable[[memoryview, Account], None]

FORMATS: Final[dict[str, Walker]] = {
    "AVIF": isobmff.walk,
    "HEIF": isobmff.walk,
    "JPEG2000": jp2.walk,
    "TIFF": tiff.walk,
}
"""By Pillow's name of the format."""


def account_for(data: bytes | memoryview, format_name: str) -> Account:
    """Account for every part of a source file of this format."""
    account = Account()
    walker = FORMATS.get(format_name)
    if walker is None:
        account.lost(format_name, f"what else a {format_name} file may hold")
    else:
        walker(memoryview(data), account)
    return account
