"""Where each output format keeps metadata, and what it cannot hold.

::

    Ancillary, EXIF, XMP --give(format)--> Pillow's options for the format, notes

Pillow writes EXIF, ICC profiles and XMP for most formats, and a comment or a resolution for some.
This module adds the rest where other programs look for it: IPTC in APP13 of a JPEG, in tag 33723 of
a TIFF and in "Raw profile type iptc" of a PNG; gain map and video after the end of a JPEG
(`jpeg_output.py`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable
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
    """A picture to be written: Pillow's options, and a step after Pillow."""

    image: Image.Image
    keywords: dict[str, Any]
    """Pillow's options."""
    notes: list[str] = field(default_factory=list)
    stated: Collection[int] = ()
    """The tags that a TIFF has from EXIF."""
    finish: Callable[[bytes], bytes] | None = None
    """Completes the file that Pillow has written."""


def give(output: Output, name: str, ancillary: Ancillary) -> None:
    """Add all metadata that the format can hold; note the rest."""
    given = _GIVERS[name](output, ancillary) if name in _GIVERS else Ancillary()
    for what, content, is_given in (
        ("resolution", ancillary.resolution, given.resolution),
        ("IPTC", ancillary.iptc, given.iptc),
        ("gain map", ancillary.gain_map, given.gain_map),
        ("video (motion photo)", ancillary.video, given.video),
    ):
        if content and not is_given:
            output.notes.append(f"{name} is written without the {what}")
    for text in ancillary.texts:
        if text not in given.texts:
            what = f"text {text.keyword!r}" if text.keyword else "comment"
            output.notes.append(f"{name} is written without the {what}")


def comments(texts: Iterable[Text]) -> list[Text]:
    """The texts without a keyword, or with PNG's keyword for a comment."""
    return [text for text in texts if text.keyword in ("", "Comment")]


def _bytes_of(text: Text) -> bytes:
    return text.text.encode("utf-8", "surrogateescape")


def _readable(text: str) -> str:
    """Decode bytes that are not UTF-8 as Latin-1; drop NULs at the end."""
    raw = text.encode("utf-8", "surrogateescape").rstrip(b"\0")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# --- Formats ------------------------------------------------------------------------------------
# Each adds the metadata that its format can hold, and returns it.


def _resolution(output: Output, ancillary: Ancillary) -> Ancillary:
    output.keywords.setdefault("dpi", ancillary.resolution or (0, 0))
    return Ancillary(ancillary.resolution)


def _resolution_of_page(output: Output, ancillary: Ancillary) -> Ancillary:
    """A PDF has a size on paper: without a resolution that of Pillow, 72 pixels an inch."""
    if ancillary.resolution:
        output.keywords.setdefault("dpi", ancillary.resolution)
    return Ancillary(ancillary.resolution)


def _comment(output: Output, ancillary: Ancillary) -> Ancillary:
    """One comment."""
    found = comments(ancillary.texts)[:1]
    if found:
        output.keywords.setdefault("comment", _bytes_of(found[0]))
    return Ancillary(texts=tuple(found))


def _latin_comment(output: Output, ancillary: Ancillary) -> Ancillary:
    """One comment, in Latin-1 (the text of a COM segment of JPEG 2000, Rcom 1)."""
    found = comments(ancillary.texts)[:1]
    if not found:
        return Ancillary()
    try:
        content = _readable(found[0].text).encode("latin-1")
    except UnicodeEncodeError:
        content = b""
    if not content or b"\0" in content or len(content) > _MAX_COM:
        return Ancillary()
    output.keywords.setdefault("comment", content)
    return Ancillary(texts=tuple(found))


_MAX_COM: Final = 65531
"""Bytes of a comment that a segment of JPEG 2000 holds, behind its length and Rcom."""


def _in_exif(output: Output, ancillary: Ancillary) -> Ancillary:
    """WebP and AVIF state a resolution only in EXIF."""
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
    return Ancillary(wanted) if _is_stated(exif, wanted) else Ancillary()


def _is_stated(exif: object, resolution: tuple[float, float]) -> bool:
    """Whether EXIF states a resolution, to one per cent."""
    if not isinstance(exif, bytes):
        return False
    stated = metadata.resolution_of(exif.removeprefix(metadata.EXIF_PREFIX))
    if stated is None:
        return False
    return all(abs(a - b) < 0.01 * a for a, b in zip(stated, resolution, strict=True))


_MAX_TEXT: Final = 2**20
"""Bytes of a text in a PNG; Pillow and others refuse longer ones."""
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z")


def _png(output: Output, ancillary: Ancillary) -> Ancillary:
    """Texts, IPTC and XMP become chunks; Pillow reads XMP in a PNG, but does not write it."""
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
    """For a TIFF, the option `exif` is the main directory."""
    tags = output.keywords["exif"]
    given = []
    for text in ancillary.texts:
        tag = _TIFF_TEXTS.get(text.keyword)
        content = _readable(text.text)
        if tag is not None and tag not in (*tags, *output.stated) and "\0" not in content:
            tags[tag] = content.encode()  # of a str, Pillow writes question marks
            given.append(text)
    if ancillary.iptc:
        tags[_IPTC_TAG] = ancillary.iptc
    if ancillary.resolution:
        output.keywords.setdefault("dpi", ancillary.resolution)
    return Ancillary(ancillary.resolution, tuple(given), ancillary.iptc)


def _fits_jfif(value: float) -> bool:
    """Whether JFIF, which has whole numbers of 16 bits, states a resolution to one per cent."""
    return abs(round(value) - value) <= 0.01 * value and round(value) < 2**16


def _jpeg(output: Output, ancillary: Ancillary) -> Ancillary:
    from aecodec.image import jpeg_output

    found = comments(ancillary.texts)
    written = jpeg_output.Written(output.image, output.keywords, output.notes)
    given = written.add_comments([_bytes_of(text) for text in found])
    if ancillary.iptc:
        written.add_iptc(ancillary.iptc)
    written.add_attachments(ancillary.gain_map, ancillary.video)
    written.add_xmp()
    resolution = ancillary.resolution
    if resolution and all(_fits_jfif(value) for value in resolution):
        turned = written.orientation in metadata.LYING
        output.keywords.setdefault("dpi", resolution[::-1] if turned else resolution)
    elif resolution and not _is_stated(output.keywords.get("exif"), resolution):
        resolution = None
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
    "JPEG2000": _latin_comment,
    "MPO": _jpeg,
    "PDF": _resolution_of_page,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": _in_exif,
}
