"""PSD files that Pillow misreads: bitmaps, further channels, and kinds of merged pictures.

Pillow reads the fourth channel of every RGB file as transparency. It is transparency only in a
picture with layers, and a saved selection otherwise. Pillow skips too few row lengths of run-length
coded pictures with further channels, and returns garbage. It shows bitmaps inverted (1 is black in
a PSD), and the first channel of a multichannel picture as grey.

Adobe Photoshop File Formats Specification, "Image Data Section".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, cast

from PIL import Image, PsdImagePlugin

from aecodec.errors import InputError
from aecodec.image.jpeg2000 import contents
from aecodec.image.parts.psd import MODES, header_of

__all__ = ["before_load", "described"]

_BITMAP, _MULTICHANNEL = 0, 7
_RUN_LENGTHS = 1


def before_load(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Correct the decoder of a PSD, and return a repair for the loaded image, or None."""
    if not isinstance(image, PsdImagePlugin.PsdImageFile) or (file := image.fp) is None:
        return None
    header = header_of(contents(cast(BinaryIO, file)))
    if header is None or header.merged < 0:
        raise InputError("a PSD whose sections are damaged")
    if header.mode == _MULTICHANNEL:
        raise InputError("a PSD of a kind that is not read: multichannel")
    if header.compression not in (0, _RUN_LENGTHS):
        raise InputError("a PSD of a kind that is not read: its merged picture is compressed")
    planes = len(image.getbands())
    skipped = 0
    if header.compression == _RUN_LENGTHS:
        skipped = 2 * header.height * (header.channels - planes)
    inverted = header.mode == _BITMAP
    image.tile = [
        tile._replace(
            offset=tile.offset + skipped, args=_inverted(tile.args) if inverted else tile.args
        )
        for tile in image.tile
    ]
    if image.mode == "RGBA" and not header.transparent:
        return lambda loaded: _without_alpha(loaded)
    return None


def _inverted(args: Any) -> Any:
    return "1;I" if args == "1" else args


def _without_alpha(image: Image.Image) -> Image.Image:
    plain = image.convert("RGB")
    plain.info = dict(image.info)
    return plain


def described(data: memoryview) -> str | None:
    """Describe a PSD that Pillow does not open; None for any other file."""
    header = header_of(data)
    if header is None:
        return None
    mode = MODES.get(header.mode, f"mode {header.mode}")
    large = "a large document (PSB), " if header.version == 2 else ""
    return f"a PSD of a kind that is not read: {large}{header.depth}-bit {mode}"
