"""Pictures made by computation, and files of them with what no library would write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def gradient(width: int = 40, height: int = 24, channels: int = 3) -> np.ndarray:
    """A picture in which every pixel and channel is different, so that no turn goes unseen."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 5 + y, 255 - x * 3 - y, y * 9 + x, x * 2 + y * 4]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, height: int, colour_type: int, rows: bytes) -> bytes:
    """A 16-bit PNG, which Pillow reads but does not write in colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    compressed = zlib.compress(rows)
    start = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", start) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def exif_with(orientation: int | None, endian: str = "<") -> bytes:
    """A TIFF structure by hand: make, orientation, software, and bytes that no tag refers to."""
    entries = [(0x010F, 2, 4, b"abc\0"), (0x0131, 2, 4, b"xyz\0")]
    if orientation is not None:
        value = struct.pack(endian + "HH", orientation, 0)
        entries.insert(1, (0x0112, 3, 1, value))
    start = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8)
    directory = struct.pack(endian + "H", len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack(endian + "HHI", tag, kind, count) + value
    return start + directory + bytes(4) + b"maker notes live here"
