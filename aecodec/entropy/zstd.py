"""zstandard frames of metadata and alpha planes; a frame states its size.

zstandard has traps: `max_output_size` is ignored if a frame states its own size, skippable frames
have parameters as if they had content, and an empty frame hides what follows it. So a frame is
checked by `content_size` before any of it is decompressed. The rules are those of the specification
in `bitstream.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zstandard

from aecodec.errors import CorruptError, LimitError, one_line

if TYPE_CHECKING:  # numpy takes 0.1 s to import; `info` and `verify` do without it
    import numpy as np
    import numpy.typing as npt

__all__ = ["compress", "content_size", "decompress", "pack_alpha", "unpack_alpha"]


def compress(content: bytes) -> bytes:
    """Return one frame that states its size and has a checksum."""
    # The highest level that is still quick: level 19 takes 0.3 s a megabyte, level 12 a tenth of it
    # for a few per cent. Metadata is nearly always small enough for the former.
    level = 19 if len(content) <= 2**18 else 12
    return zstandard.ZstdCompressor(
        level=level, write_checksum=True, write_content_size=True, write_dict_id=False
    ).compress(content)


def content_size(frame: bytes, name: str) -> int:
    """Return the size stated by a frame, from its first bytes. Raises CorruptError."""
    # zstandard reads the parameters of skippable frames, too, as if they were content.
    if not frame.startswith(zstandard.FRAME_HEADER):
        raise CorruptError(f"{name} is not a zstd frame")
    try:
        parameters = zstandard.get_frame_parameters(frame)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{name} has a broken zstd frame: {one_line(error)}") from error
    if parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise CorruptError(f"{name} has a zstd frame that does not state its size")
    if parameters.content_size == 0:
        # zstandard would return at once, whatever follows in the frame.
        raise CorruptError(f"{name} has an empty zstd frame")
    if not parameters.has_checksum:
        raise CorruptError(f"{name} has a zstd frame without a checksum")
    if parameters.dict_id:
        raise CorruptError(f"{name} has a zstd frame that needs a dictionary")
    return parameters.content_size


def decompress(frame: bytes, name: str) -> bytes:
    """Decompress a frame whose stated size was accepted.

    zstandard allocates that size, and a frame that holds more or less is an error. So memory is
    bounded, although ``max_output_size`` would be ignored here.
    """
    try:
        content: bytes = zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{name} has a broken zstd frame: {one_line(error)}") from error
    except MemoryError as error:
        raise LimitError(f"{name} needs more memory than there is; lower max_pixels") from error
    return content


# --- Alpha --------------------------------------------------------------------------------------

_NONE, _LEFT, _UP = range(3)


def pack_alpha(alpha: npt.NDArray[np.uint8]) -> bytes:
    """Return the number of the filter and the frame of an alpha plane, uint8 (H, W)."""
    # Which filter wins is seen at the fastest level already, at 1/20 of the time of the real one.
    quick = zstandard.ZstdCompressor(level=1)
    best = min((_NONE, _LEFT, _UP), key=lambda f: len(quick.compress(_filter(f, alpha))))
    return bytes([best]) + compress(_filter(best, alpha))


def unpack_alpha(payload: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Undo `pack_alpha`: (H, W). The stated size was checked."""
    return _unfilter(payload[0], decompress(payload[1:], "ALPHA"), width, height)


def _filter(kind: int, alpha: npt.NDArray[np.uint8]) -> bytes:
    out: npt.NDArray[np.uint8] = alpha.copy()
    if kind == _LEFT:
        out[:, 1:] -= alpha[:, :-1]
    elif kind == _UP:
        out[1:] -= alpha[:-1]
    return out.tobytes()


def _unfilter(kind: int, content: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
    import numpy as np

    plane = np.frombuffer(content, np.uint8).reshape(height, width)
    if kind == _NONE:
        return plane
    return np.cumsum(plane, axis=1 if kind == _LEFT else 0, dtype=np.uint8)
