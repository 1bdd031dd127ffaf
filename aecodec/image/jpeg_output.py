"""The parts of a JPEG that Pillow does not write: comments, IPTC, large XMP, gain map, video.

::

    SOI  JFIF  Exif  [XMP  extended XMP  ICC  IPTC  COM]  [ISO 21496-1  MPF]  picture  EOI
    gain map, byte for byte        MPF states its offset, GContainer its length
    video, byte for byte           to the end of the file
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from aecodec.image import metadata, xmp
from aecodec.image.parts import Attachment
from aecodec.image.parts.account import GAIN_MAP, VIDEO
from aecodec.image.parts.jpeg_behind import XMP, GainMap, is_trailer
from aecodec.image.parts.photoshop import iptc_block

__all__ = ["Written"]

_SEGMENT: Final = 65533
"""Bytes of a segment without its marker and its length."""
_XMP_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP: Final = b"Photoshop 3.0\0"
_BACK: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The operation that turns an upright picture to the orientation of a tag."""


def _segments(marker: int, prefix: bytes, content: bytes) -> bytes:
    """Content in segments that all begin with the prefix."""
    room = _SEGMENT - len(prefix)
    pieces = [content[at : at + room] for at in range(0, len(content), room)] or [b""]
    return b"".join(_segment(marker, prefix + piece) for piece in pieces)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@dataclass
class Written:
    """A JPEG that Pillow will write; segments go into its option `extra`, in this order."""

    image: Image.Image
    keywords: dict[str, Any]
    notes: list[str]
    gain_map: Attachment | None = None
    video: Attachment | None = None
    finish: Callable[[bytes], bytes] | None = None
    _mpf_at: int = 0

    def _add(self, segments: bytes) -> None:
        self.keywords["extra"] = self.keywords.get("extra", b"") + segments

    def add_comments(self, comments: list[bytes]) -> int:
        """Add each as a COM segment; return how many fit."""
        if "comment" in self.keywords:  # the caller gave one that replaces these
            return len(comments)
        self.keywords["comment"] = b""  # or Pillow takes it from image.info
        for number, comment in enumerate(comments):
            if len(comment) > _SEGMENT:
                return number
            self._add(_segment(0xFE, comment))
        return len(comments)

    def add_iptc(self, records: bytes) -> None:
        self._add(_segments(0xED, _PHOTOSHOP, iptc_block(records)))

    def add_attachments(self, gain_map: Attachment | None, video: Attachment | None) -> None:
        """Append gain map and video; a gain map only if the picture can be turned to match it."""
        detail = GainMap.unpack(gain_map.detail) if gain_map is not None else None
        if gain_map is not None and detail is not None and self._turn(detail.orientation):
            self.gain_map = gain_map
            if detail.iso:
                self._add(_segment(0xE2, detail.iso[:_SEGMENT]))
            if detail.listed:
                self._mpf_at = len(self.keywords.get("extra", b""))
                self._add(_mpf(detail, 0, 0, 0))
        self.video = video
        behind = [attachment.data for attachment in (self.gain_map, video) if attachment]
        if not behind:
            return

        def finish(jpeg: bytes) -> bytes:
            if self.gain_map is not None and detail is not None and detail.listed:
                at = jpeg.index(self.keywords["extra"]) + self._mpf_at
                # MPF counts from its own header, 8 bytes into the segment.
                offset = len(jpeg) - (at + 8)
                listed = _mpf(detail, len(jpeg), len(self.gain_map.data), offset)
                jpeg = jpeg[:at] + listed + jpeg[at + len(listed) :]
            return b"".join([jpeg, *behind])

        self.finish = finish

    def _turn(self, orientation: int) -> bool:
        """Turn the picture to the orientation of the gain map; False if EXIF cannot state it."""
        if orientation == 1:
            return True
        exif = self.keywords.get("exif")
        if not isinstance(exif, bytes):
            return False
        turned = self.image.transpose(_BACK[orientation])
        content = metadata.turned_back(
            exif.removeprefix(metadata.EXIF_PREFIX), orientation, turned.size
        )
        if content is None:
            return False
        self.image = turned
        self.keywords["exif"] = metadata.EXIF_PREFIX + content
        return True

    def add_xmp(self) -> None:
        """Correct what XMP states of gain map and video; split a large packet."""
        packet = self.keywords.pop("xmp", None)
        if not packet:
            return
        there = {GAIN_MAP: self.gain_map, VIDEO: self.video}
        try:
            packet = xmp.without(packet, [kind for kind in there if there[kind] is None])
            # Offsets in Samsung's trailer count from its end, so it is copied unchanged.
            counted = self.video is not None and not is_trailer(self.video.data)
            packet = xmp.with_lengths(
                packet,
                None if self.gain_map is None else len(self.gain_map.data),
                len(self.video.data) if self.video is not None and counted else None,
            )
            if self.gain_map is not None:
                packet = metadata.turned_xmp(packet, self.orientation, self.image.size)
            main, extension = xmp.split(packet, _SEGMENT - len(XMP))
        except xmp.Unreadable:
            large = len(packet) > _SEGMENT - len(XMP)
            what = f"of {len(packet)} bytes is too large for a JPEG" if large else "cannot be read"
            self.notes.append(f"the XMP {what}")
            return
        self._add(_segment(0xE1, XMP + main))
        if extension:
            digest = xmp.extended_digest(main).encode()
            room = _SEGMENT - len(_XMP_EXTENSION) - 40
            for at in range(0, len(extension), room):
                head = _XMP_EXTENSION + digest + struct.pack(">II", len(extension), at)
                self._add(_segment(0xE1, head + extension[at : at + room]))

    @property
    def orientation(self) -> int:
        """That of the picture as it is written."""
        detail = GainMap.unpack(self.gain_map.detail) if self.gain_map is not None else None
        return detail.orientation if detail is not None else 1


def _mpf(detail: GainMap, size: int, length: int, offset: int) -> bytes:
    """The APP2 of MPF (CIPA DC-007) that lists the picture of `size` bytes and its gain map."""
    entries = (
        struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")  # version
        + struct.pack(">HHII", 0xB001, 4, 1, 2)  # two pictures
        + struct.pack(">HHII", 0xB002, 7, 32, 50)  # their entries, behind this directory
    )
    directory = struct.pack(">2sHIH", b"MM", 42, 8, 3) + entries + struct.pack(">I", 0)
    first = struct.pack(">IIIHH", detail.attributes[0], size, 0, 0, 0)
    second = struct.pack(">IIIHH", detail.attributes[1], length, offset, 0, 0)
    return _segment(0xE2, b"MPF\0" + directory + first + second)
