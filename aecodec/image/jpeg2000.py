"""JPEG 2000 that Pillow misreads: components that have not 8 bits, and colours other than RGB.

Pillow shifts components of 1 to 7 bits to 8 bits, so that white is too dark. It rounds components
of more than 8 bits without a limit: 256 becomes 0, so white becomes black. `before_load` returns a
function that repairs both. To find which zeros are white, it decodes the picture a second time from
a codestream that is changed so that all values are darker, and none overflows:

- reversible (5-3): each component has one bit more, so the decoder adds twice the level shift;
- irreversible (9-7): each subband has half the step (exponent + 1, guard bits - 1).

ISO/IEC 15444-1, A.5.1 (SIZ), A.6.1 (COD), A.6.4 (QCD), E.1 (quantisation), G.1 (level shift).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, Jpeg2KImagePlugin

from aecodec.errors import InputError
from aecodec.image.parts.boxes import boxes
from aecodec.image.parts.jp2 import Codestream, channel_order, codestream, colour_boxes
from aecodec.image.signalling import colour_space

__all__ = ["before_load", "contents"]

_UInt8: TypeAlias = npt.NDArray[np.uint8]
_GUESSED: Final = {1, 3, 4, 9, 11, 13, 14, 19, 24}
"""Colour spaces by number whose values Pillow shows as if they were RGB: YCbCr, PhotoYCC, CMY,
YCCK, CIELab, CIEJab, e-sYCC."""
_SYCC: Final = 18
_MAX_BITS: Final = 24
_COD, _COC, _QCD, _QCC, _SIZ = 0xFF52, 0xFF53, 0xFF5C, 0xFF5D, 0xFF51


def contents(file: BinaryIO) -> memoryview:
    """All bytes of an open file, at its position before; no copy if the file is in memory."""
    if isinstance(file, io.BytesIO):
        return memoryview(file.getvalue())
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    return memoryview(data)


def before_load(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return a function that repairs the loaded picture; None if none is needed.

    Raises InputError for colours that Pillow shows wrongly.
    """
    if image.format != "JPEG2000" or (file := getattr(image, "fp", None)) is None:
        return None
    data = contents(cast(BinaryIO, file))
    colours = colour_boxes(data)
    for colour in colours[:1]:
        space = colour_space(colour.profile) or b""
        if colour.method == 1 and colour.number in _GUESSED:
            raise InputError(
                f"JPEG 2000 in a colour space that is not read (number {colour.number})"
            )
        if space not in (b"", b"RGB ", b"GRAY") and not (space == b"CMYK" and image.mode == "CMYK"):
            name = space.decode("latin-1").strip()
            raise InputError(f"JPEG 2000 with a profile for {name}, which is not supported")
    order = channel_order(data)
    raw = bytes(data[:4]) == b"\xff\x4f\xff\x51"
    content = data if raw else next((b.content for b in boxes(data) if b.type == b"jp2c"), data[:0])
    stream = codestream(content)
    depths = [component.bits for component in stream.components]
    if order and (image.mode not in ("RGB", "RGBA") or len(order) != len(depths)):
        raise InputError("JPEG 2000 whose channels are in an order that is not read")
    if image.mode.startswith("I;16") or image.mode in ("P", "PA") or set(depths) <= {8}:
        return (lambda loaded: _in_order(loaded, order)) if order else None
    if max(depths) > 8 and any(colour.number == _SYCC for colour in colours):
        raise InputError("JPEG 2000 of sYCC above 8 bits a channel, which is not read")
    return lambda loaded: _in_order(_mended(loaded, content, stream), order)


def _in_order(image: Image.Image, order: tuple[int, ...]) -> Image.Image:
    """The channels of a picture in this order; none: as they are."""
    if not order:
        return image
    bands = image.split()
    mended = Image.merge(image.mode, [bands[number] for number in order])
    mended.info = dict(image.info)
    return mended


def _mended(image: Image.Image, content: memoryview, stream: Codestream) -> Image.Image:
    """Scale each component from Pillow's values to 0..255."""
    depths = [component.bits for component in stream.components]
    values: _UInt8 = np.asarray(image).reshape(image.height, image.width, -1).copy()
    if values.shape[2] != len(depths):
        return image
    deep = [i for i, bits in enumerate(depths) if bits > 8]
    if any((values[..., i] == 0).any() for i in deep):
        darker = _darker(content, stream, image.mode)
        for i in deep:
            plane = values[..., i]
            plane[(plane == 0) & (darker[..., i] > 128)] = 255
    for i, bits in enumerate(depths):
        if bits < 8:
            levels = (values[..., i] >> (8 - bits)).astype(np.uint16)
            values[..., i] = (levels * 255 + (2**bits - 1) // 2) // (2**bits - 1)
    mended = Image.frombytes(image.mode, image.size, _packed(values, image.mode))
    mended.info = dict(image.info)
    return mended


def _packed(values: _UInt8, mode: str) -> bytes:
    return values.tobytes() if mode != "L" else values[..., 0].tobytes()


def _darker(content: memoryview, stream: Codestream, mode: str) -> _UInt8:
    """Decode the codestream to values between 64 for black and 192 for white."""
    patched = _patched(content, stream)
    if patched is None:
        raise InputError(
            f"JPEG 2000 of {max(c.bits for c in stream.components)} bits a channel, "
            "coded in a way that is not read"
        )
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(patched))
    if mode == "L":  # as Pillow has 9 bits of a JP2, but not of a codestream
        image._mode = mode
    image.load()
    if image.mode != mode and not (mode == "CMYK" and image.mode == "RGBA"):
        raise InputError("JPEG 2000 whose header contradicts its codestream")
    return np.asarray(image).reshape(image.height, image.width, -1)


def _patched(content: memoryview, stream: Codestream) -> bytes | None:
    """The codestream with another depth or other steps; None where that is impossible."""
    if (
        stream.tile_markers & {_COD, _COC, _QCD, _QCC}
        or max(c.bits for c in stream.components) > _MAX_BITS
    ):
        return None
    out = bytearray(content)
    styles = [
        out[start + 9]
        for marker, start, end in stream.segments
        if marker == _COD and end - start > 9
    ]
    if len(styles) != 1 or any(marker == _COC for marker, _, _ in stream.segments):
        return None
    for marker, start, end in stream.segments:
        if styles[0] == 1 and marker == _SIZ:
            for at in range(start + 36, end, 3):
                out[at] += 1
        elif styles[0] == 0 and marker in (_QCD, _QCC):
            at = start
            if marker == _QCC:
                at += 1 if len(stream.components) < 257 else 2
            if not out[at] & 31 or out[at] < 32:  # no steps, or no guard bits to take one from
                return None
            out[at] -= 32
            for step in range(at + 1, end, 2):
                if out[step] >= 31 << 3:
                    return None
                out[step] += 1 << 3
    return bytes(out)
