"""Metadata of a picture other than EXIF, ICC profile and XMP.

::

    account of a file, or image.info --collect--> Ancillary --into_info--> image.info

Resolution and comment have Pillow's own keys in `image.info`, the others have the names below.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from PIL import Image

from aecodec.image import metadata
from aecodec.image.parts import Account, Attachment, Text, walker_for
from aecodec.image.parts.account import GAIN_MAP, VIDEO

__all__ = ["Ancillary", "collect", "into_info", "of"]


class Ancillary(NamedTuple):
    """Resolution, texts, IPTC, gain map and video, named as the fields of `Picture`."""

    resolution: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    texts: tuple[Text, ...] = ()
    iptc: bytes | None = None
    """IPTC-IIM records."""
    gain_map: Attachment | None = None
    video: Attachment | None = None


_KINDS: Final = {"gain_map": "gainmap"}
"""Fields whose kind of metadata has another name."""


def collect(
    image: Image.Image,
    account: Account | None,
    keep: Collection[str],
    orientation: int,
    exif: bytes | None,
    notes: list[str],
    *,
    strip_gps: bool,
) -> Ancillary:
    """The metadata to keep: from the account of a file, or else from `image.info`.

    ``exif`` is that of the picture, also where it is not kept: then its resolution is taken.
    A gain map has the orientation of the pixels in the file. If the picture is turned upright, the
    gain map is kept only if EXIF states the orientation, so that both can be turned back.
    """
    found = of(image) if account is None else _of_file(image, account)
    if account is None and image.format != "AEC":
        # The pixels of an image may have changed since it was read; then these no longer fit.
        found = found._replace(gain_map=None, video=None)
    if orientation in metadata.LYING and found.resolution is not None:
        found = found._replace(resolution=found.resolution[::-1])
    found = _bounded(found, notes)
    if exif and "exif" not in keep:
        if found.resolution is None:
            found = found._replace(resolution=_sensible(metadata.resolution_of(exif)))
        exif = None
    if exif and _is_same(found.resolution, metadata.resolution_of(exif)):
        found = found._replace(resolution=None)  # EXIF states it
    left_out = {
        name: Ancillary._field_defaults[name]
        for name in Ancillary._fields
        if _KINDS.get(name, name) not in keep
    }
    found = found._replace(**left_out)
    if strip_gps:
        found = _without_positions(found, notes)
    gain_map = found.gain_map
    if gain_map is not None and orientation in range(2, 9):
        from aecodec.image.parts.jpeg_behind import GainMap

        turnable = exif and metadata.turned_back(exif, orientation, image.size)
        detail = GainMap.unpack(gain_map.detail)
        if not turnable or detail is None:
            notes.append("gain map, which is not turned with the picture")
            found = found._replace(gain_map=None)
        else:
            detail = detail._replace(orientation=orientation)
            turned = dataclasses.replace(gain_map, detail=detail.pack())
            found = found._replace(gain_map=turned)
    return found


_MAX_TEXTS: Final = 10_000
_MAX_BYTES: Final = 2**24
"""The largest size that a reader of .aec accepts, for each kind."""


def _bounded(found: Ancillary, notes: list[str]) -> Ancillary:
    size = sum(len(part.encode("utf-8", "surrogateescape")) + 4 for t in found.texts for part in t)
    if len(found.texts) > _MAX_TEXTS or size > _MAX_BYTES:
        notes.append(f"{len(found.texts)} texts of {size} bytes")
        found = found._replace(texts=())
    if found.iptc and len(found.iptc) > _MAX_BYTES:
        notes.append(f"IPTC of {len(found.iptc)} bytes")
        found = found._replace(iptc=None)
    return found


def _of_file(image: Image.Image, account: Account) -> Ancillary:
    walker = walker_for(str(image.format))
    attached = {attachment.kind: attachment for attachment in account.attachments}
    return Ancillary(
        # The walker reads more than Pillow, but not every format has a walker.
        _sensible(image.info.get("dpi") if walker is None else account.resolution),
        tuple(account.texts),
        account.iptc,
        attached.get(GAIN_MAP),
        attached.get(VIDEO),
    )


def of(image: Image.Image) -> Ancillary:
    """The metadata in `image.info`. Values of an unknown type are ignored."""
    info = image.info
    iptc, gain_map, video = info.get("iptc"), info.get("gain_map"), info.get("video")
    return Ancillary(
        _sensible(info.get("dpi")),
        _texts(info.get("texts")) or _comment(info.get("comment")),
        iptc if isinstance(iptc, bytes) else None,
        gain_map if _is_attachment(gain_map) else None,
        video if _is_attachment(video) else None,
    )


def _texts(found: Any) -> tuple[Text, ...]:
    if not isinstance(found, tuple | list):
        return ()
    whole = (t for t in found if isinstance(t, tuple) and len(t) == len(Text._fields))
    return tuple(Text(*t) for t in whole if all(isinstance(part, str) for part in t))


def _comment(found: Any) -> tuple[Text, ...]:
    if isinstance(found, bytes):
        found = found.decode("utf-8", "surrogateescape")
    return (Text("", found),) if isinstance(found, str) and found else ()


def commented(info: Mapping[Any, Any], comment: bytes | None) -> tuple[Text, ...]:
    """The texts of `image.info` with this comment in place of its own ones; None: with none."""
    return (*(text for text in _texts(info.get("texts")) if text.keyword), *_comment(comment))


def _is_attachment(found: Any) -> bool:
    """Whether it is the attachment of a walker or of a container."""
    parts = (getattr(found, "data", None), getattr(found, "detail", None))
    return all(isinstance(part, bytes) for part in parts)


def into_info(ancillary: Ancillary, exif: bytes | None) -> dict[str, Any]:
    """The metadata under Pillow's keys. Without a resolution, that of EXIF is taken."""
    comments = [text.text for text in ancillary.texts if not text.keyword]
    resolution = ancillary.resolution or (metadata.resolution_of(exif) if exif else None)
    found = {
        "dpi": _sensible(resolution),
        "comment": comments[0].encode("utf-8", "surrogateescape") if comments else None,
        "texts": ancillary.texts,
        "iptc": ancillary.iptc,
        "gain_map": ancillary.gain_map,
        "video": ancillary.video,
    }
    return {key: value for key, value in found.items() if value}


def _sensible(resolution: Any) -> tuple[float, float] | None:
    """A resolution as two numbers above 0; None for anything else."""
    try:
        across, down = (float(value) for value in resolution)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (across, down) if all(0 < value < 1e9 for value in (across, down)) else None


def _is_same(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(one, other, strict=True))


def _without_positions(found: Ancillary, notes: list[str]) -> Ancillary:
    """Drop places, texts with a position, and videos, which may hold one in many ways."""
    from aecodec.image import places

    video, gain_map = found.video, found.gain_map
    if video is not None:
        notes.append("video behind the picture (motion photo), which may hold a position")
        video = None
    if gain_map is not None and any(mark in gain_map.data for mark in _LOCATED):
        notes.append("gain map, which may hold a position")
        gain_map = None
    return found._replace(
        texts=places.texts_without_places(found.texts, notes),
        iptc=places.iptc_without_places(found.iptc, notes) if found.iptc else None,
        gain_map=gain_map,
        video=video,
    )


_LOCATED: Final = (b"Exif\0\0", b"GPS", b"Photoshop 3.0", b"/photoshop/1.0/", b"Iptc4xmp")
"""Bytes of a gain map that may hold a position or a place."""
