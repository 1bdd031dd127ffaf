"""Where each output format keeps what travels with a picture, and what it has no place for.

::

    Ancillary, EXIF, XMP --give(format)--> Pillow's options for the format, notes

Pillow writes EXIF, ICC profiles and XMP for most formats, a comment or a resolution for some; the
rest is put where the format's own programs look for it: IPTC in a JPEG's APP13, a TIFF's tag 33723
and a PNG's "Raw profile type iptc", a gain map and a video behind a JPEG's end (`jpeg_output.py`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from PIL import ExifTags, Image, PngImagePlugin

from aecodec.image import metadata
from aecodec.image.ancillary import Ancillary
from aecodec.image.parts import Text
from aecodec.image.parts.photoshop import iptc_block

__all__ = ["Output", "give"]


@dataclass
class Output:
    """A picture on its way into a file: what Pillow is told, and what is done afterwards."""

    image: Image.Image
    keywords: dict[str, Any]
    """Pillow's options."""
    notes: list[str] = field(default_factory=list)
    finish: Callable[[bytes], bytes] | None = None
    """Completes the file that Pillow has written."""


def give(output: Output, name: str, ancillary: Ancillary) -> None:
    """Give a format all that it has a place for; note what it has none for."""
    given = _GIVERS[name](output, ancillary) if name in _GIVERS else Ancillary()
    for what, content, is_given in (
        ("resolution", ancillary.resolution, given.resolution),
        ("IPTC", ancillary.iptc, given.iptc),
        ("gain map", ancillary.gain_map, given.gain_map),
        ("video (motion photo)", ancillary.video, given.video),
    ):
        if content and not is_given:
            output.notes.append(f"{name} has no place for the {what}")
    for text in ancillary.texts:
        if text not in given.texts:
            what = f"text {text.keyword!r}" if text.keyword else "comment"
            output.notes.append(f"{name} has no place for the {what}")


def comments(texts: Iterable[Text]) -> list[Text]:
    """The texts that are comments: without a keyword, or with that of PNG for one."""
    return [text for text in texts if text.keyword in ("", "Comment")]


def _bytes_of(text: Text) -> bytes:
    return text.text.encode("utf-8", "surrogateescape")


def _readable(text: str) -> str:
    """A text whose bytes are no UTF-8 is taken for Latin-1; NULs at its end are no part of it."""
    raw = text.encode("utf-8", "surrogateescape").rstrip(b"\0")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# --- Formats ------------------------------------------------------------------------------------
# Each takes what it has a place for, and returns that.


def _resolution(output: Output, ancillary: Ancillary) -> Ancillary:
    output.keywords.setdefault("dpi", ancillary.resolution or (0, 0))
    return Ancillary(ancillary.resolution)


def _comment(output: Output, ancillary: Ancillary) -> Ancillary:
    """One comment."""
    found = comments(ancillary.texts)[:1]
    if found:
        output.keywords.setdefault("comment", _bytes_of(found[0]))
    return Ancillary(texts=tuple(found))


def _in_exif(output: Output, ancillary: Ancillary) -> Ancillary:
    """WebP and AVIF have a resolution in EXIF alone."""
    wanted = ancillary.resolution
    exif = output.keywords.get("exif")
    if wanted is None:
        return Ancillary()
    if not exif:
        tags = Image.Exif()
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = wanted
        tags[ExifTags.Base.ResolutionUnit] = 2
        output.keywords["exif"] = metadata.EXIF_PREFIX + tags.tobytes()
        return Ancillary(wanted)
    stated = None
    if isinstance(exif, bytes):
        stated = metadata.resolution_of(exif.removeprefix(metadata.EXIF_PREFIX))
    same = stated and all(abs(a - b) < 0.01 * a for a, b in zip(stated, wanted, strict=True))
    return Ancillary(wanted) if same else Ancillary()


_MAX_TEXT: Final = 2**20
"""Bytes of a PNG's text: Pillow and others refuse files with longer ones."""
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z")


def _png(output: Output, ancillary: Ancillary) -> Ancillary:
    """Texts and IPTC become chunks, and XMP, which Pillow reads but leaves writing to us."""
    chunks = PngImagePlugin.PngInfo()
    if xmp := output.keywords.pop("xmp", None):
        chunks.add_itxt("XML:com.adobe.xmp", cast(bytes, xmp))
    given = [text for text in ancillary.texts if _add_text(chunks, text)]
    if ancillary.iptc:
        block = iptc_block(ancillary.iptc)
        digits = block.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        chunks.add_text("Raw profile type iptc", f"\niptc\n{len(block):8d}\n{lines}\n", zip=True)
    if chunks.chunks:
        output.keywords.setdefault("pnginfo", chunks)
    if ancillary.resolution:
        output.keywords.setdefault("dpi", ancillary.resolution)
    return Ancillary(ancillary.resolution, tuple(given), ancillary.iptc)


def _add_text(chunks: PngImagePlugin.PngInfo, text: Text) -> bool:
    from aecodec.image.parts.png import TIME

    keyword, content = text.keyword or "Comment", _readable(text.text)
    moment = _MOMENT.fullmatch(text.text)
    if keyword == TIME and moment:
        chunks.add(b"tIME", struct.pack(">HBBBBB", *map(int, moment.groups())))
        return True
    reserved = keyword == "XML:com.adobe.xmp" or keyword.lower().startswith("raw profile type ")
    try:
        fits = 1 <= len(keyword.encode("latin-1")) <= 79 and "\0" not in keyword + content
    except UnicodeEncodeError:
        fits = False
    if reserved or not fits or len(content.encode("utf-8", "replace")) > _MAX_TEXT:
        return False
    long = len(content) > 1000
    language, translated = _readable(text.language), _readable(text.translated)
    if language or translated:
        chunks.add_itxt(keyword, content, language, translated, zip=long)
    else:
        chunks.add_text(keyword, content, zip=long)  # Latin-1 where that suffices, else UTF-8
    return True


_TIFF_TEXTS: Final = {
    "": ExifTags.Base.ImageDescription,
    "Comment": ExifTags.Base.ImageDescription,
    "Description": ExifTags.Base.ImageDescription,
    "Author": ExifTags.Base.Artist,
    "Copyright": ExifTags.Base.Copyright,
    "Software": ExifTags.Base.Software,
}
_IPTC_TAG: Final = 33723


def _tiff(output: Output, ancillary: Ancillary) -> Ancillary:
    """`exif` is the directory itself here."""
    tags = output.keywords["exif"]
    given = []
    for text in ancillary.texts:
        tag = _TIFF_TEXTS.get(text.keyword)
        if tag is not None and tag not in tags:
            tags[tag] = _readable(text.text)
            given.append(text)
    if ancillary.iptc:
        tags[_IPTC_TAG] = ancillary.iptc
    if ancillary.resolution:
        output.keywords.setdefault("dpi", ancillary.resolution)
    return Ancillary(ancillary.resolution, tuple(given), ancillary.iptc)


def _jpeg(output: Output, ancillary: Ancillary) -> Ancillary:
    from aecodec.image import jpeg_output

    resolution = ancillary.resolution
    if resolution and max(resolution) < 2**16:  # as much as JFIF holds
        output.keywords.setdefault("dpi", resolution)
    else:
        resolution = None
    found = comments(ancillary.texts)
    written = jpeg_output.Written(output.image, output.keywords, output.notes)
    given = written.add_comments([_bytes_of(text) for text in found])
    if ancillary.iptc:
        written.add_iptc(ancillary.iptc)
    written.add_attachments(ancillary.gain_map, ancillary.video)
    written.add_xmp()
    output.image, output.finish = written.image, written.finish
    return Ancillary(
        resolution, tuple(found[:given]), ancillary.iptc, written.gain_map, written.video
    )


_GIVERS: Final[dict[str, Callable[[Output, Ancillary], Ancillary]]] = {
    "AVIF": _in_exif,
    "BMP": _resolution,
    "DIB": _resolution,
    "GIF": _comment,
    "JPEG": _jpeg,
    "JPEG2000": _comment,
    "MPO": _jpeg,
    "PDF": _resolution,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": _in_exif,
}
