"""EXIF, ICC profile and XMP: taken from a Pillow image, and made to fit the compressed picture.

::

    image.info --exif, icc, xmp--> bytes that belong to the upright picture

EXIF is changed in place and never rewritten, because maker notes hold absolute offsets. These
changes are made: the orientation becomes 1, since the pixels are turned; the pixel dimensions
become those of the upright picture; embedded thumbnails are wiped, because they show the picture
before it was edited; and positions (GPS) are removed on request, with what may hold further ones.
`xmp.py` removes statements on the source file that are not true of an `.aec` file, and places.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from aecodec.image import regions
from aecodec.image.parts.account import GAIN_MAP, VIDEO
from aecodec.image.regions import LYING
from aecodec.image.xmp import PLACE_MARKS, Unreadable, without, without_places

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "EXIF_PREFIX",
    "KINDS",
    "LYING",
    "SUBDIRECTORIES",
    "descriptions",
    "descriptive_tags",
    "exif",
    "icc",
    "of_part",
    "resolution_of",
    "sized",
    "states_adobe_rgb",
    "stating_srgb",
    "turned_back",
    "turned_xmp",
    "unoriented",
    "xmp",
]

KINDS: Final = ("exif", "icc", "xmp", "resolution", "texts", "iptc", "gainmap", "video")
"""The kinds of metadata that can be kept."""
EXIF_PREFIX: Final = b"Exif\0\0"  # Pillow's convention, taken from JPEG; .aec leaves it out

# --- EXIF ---------------------------------------------------------------------------------------

_UNREADABLE: Final = "EXIF that cannot be read is dropped"
SUBDIRECTORIES: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


def exif(
    image: Image.Image,
    notes: list[str],
    *,
    strip_gps: bool = False,
    stored: bytes | None = None,
    turned_from: int = 1,
) -> tuple[int, bytes | None]:
    """Return the orientation of the pixels, and the EXIF that fits them once they are upright.

    The orientation may come from XMP, which Pillow reads, too. The EXIF is a TIFF structure
    without prefix. Unreadable EXIF is dropped with a note.

    ``stored`` is the EXIF of an AVIF, empty if it has none: Pillow's has the orientation of the
    file in place of EXIF's, and was written anew for that. XMP does not orient such a file.
    ``turned_from`` is the orientation from which Pillow has turned the pixels already.
    """
    try:
        raw: Any = image.info.get("exif")
        if stored is None:
            tags = image.getexif()
        else:
            tags = Image.Exif()
            tags.load(raw or b"")
            raw = stored
        orientation = tags.get(ExifTags.Base.Orientation, 1)
        if raw is None and "Raw profile type exif" in image.info:
            raw = tags.tobytes()  # ImageMagick's way to keep EXIF in a PNG
        elif raw is None and hasattr(image, "tag_v2"):
            raw = descriptive_tags(tags)
        tiff = bytes(raw or b"").removeprefix(EXIF_PREFIX)
        if tiff and tiff[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("no TIFF structure")
    except Exception:  # Pillow has several parsers, which raise different errors
        notes.append(_UNREADABLE)
        return 1, None
    turnable = orientation if isinstance(orientation, int) else 1
    width, height = image.size
    upright = (height, width) if turnable in LYING else (width, height)
    structure = _Tiff(tiff)
    came_from = turned_from if turnable == 1 else turnable
    if tiff:
        structure.turn(came_from, upright)
    cleaned = structure.cleaned(upright, notes, strip_gps=strip_gps) if tiff else None
    if cleaned is None and not strip_gps and structure.has_rest():
        notes.append(_UNREADABLE)  # there is no directory where the header says
    return turnable, cleaned


def sized(
    exif: bytes | None, xmp: bytes | None, size: tuple[int, int]
) -> tuple[bytes | None, bytes | None]:
    """EXIF and XMP with this width and height wherever they state pixel dimensions."""
    return _Tiff(exif).sized(size) if exif else exif, _xmp_sized(xmp, size) if xmp else xmp


def of_part(
    found: Mapping[str, Any], size: tuple[int, int], *, is_cut: bool = False
) -> dict[str, Any]:
    """The metadata of a picture that holds for a part of it or a smaller copy, of this size.

    ``is_cut``: what states where in the picture something is means another place, and goes.
    """
    exif, packet = sized(found["exif"], found["xmp"], size)
    if exif and is_cut:
        exif = _Tiff(exif).without_subject()
    try:
        packet = packet and without(packet, (GAIN_MAP, VIDEO))
        packet = regions.without(packet) if packet and is_cut else packet
    except Unreadable:
        packet = None
    return {**found, "exif": exif, "xmp": packet, "gain_map": None, "video": None}


def turned_back(exif: bytes, orientation: int, size: tuple[int, int]) -> bytes | None:
    """EXIF for a picture that is stored in this orientation, width and height.

    None if there is no entry for the orientation.
    """
    return _Tiff(exif).turned(orientation, size)


def unoriented(exif: bytes) -> bytes:
    """EXIF, with or without prefix, of an upright picture, without its entry for the orientation.

    Pillow writes EXIF anew that has one, and replaces letters beyond ASCII, for an AVIF.
    """
    structure = _Tiff(exif.removeprefix(EXIF_PREFIX))
    structure.remove_orientation()
    return EXIF_PREFIX + structure.content


def states_adobe_rgb(exif: bytes) -> bool:
    """Whether EXIF says that the colours are Adobe RGB, as cameras do in place of a profile.

    The rules of its file are R03 then (Design rule for Camera File system 2.0, "optional files"),
    or the colour space is 2, which no standard has.
    """
    structure = _Tiff(exif)
    spaces = [structure.number(e.value, 2) for e in structure.of_exif(_COLOUR_SPACE) if e.size == 2]
    rules = [structure.content[e.value : e.value + 4] for e in structure.of_interoperability(1)]
    return 2 in spaces or (0xFFFF in spaces and b"R03\0" in rules)


def stating_srgb(exif: bytes) -> bytes:
    """EXIF with the colour space sRGB in place of another one."""
    structure = _Tiff(exif)
    for entry in structure.of_exif(_COLOUR_SPACE):
        if entry.size == 2:
            structure.put(entry.value, 1, 2)
    for entry in structure.of_interoperability(1):
        structure.put(entry.value, int.from_bytes(b"R98\0", structure.order), 4)
    return structure.content


_COLOUR_SPACE: Final = ExifTags.Base.ColorSpace


def turned_xmp(packet: bytes, orientation: int, size: tuple[int, int]) -> bytes:
    """The same for the statements of an XMP packet. Raises Unreadable."""
    packet, _ = regions.turned(packet, _BACK.get(orientation, orientation), size)
    return _xmp_sized(_ORIENTATION.sub(rb"\g<1>%d" % orientation, packet), size)


_BACK: Final = {6: 8, 8: 6}
"""The orientations that others undo; the rest undo themselves."""


def descriptions(exif: bytes) -> list[str]:
    """The names of the tags with free text that is not blank."""
    return _Tiff(exif).descriptions()


def resolution_of(exif: bytes) -> tuple[float, float] | None:
    """Pixels an inch, across and down, if EXIF states them."""
    return _Tiff(exif).resolution()


def descriptive_tags(tags: Image.Exif) -> bytes | None:
    """Return the entries of a directory that hold outside its file; None if there are none.

    With those of the Exif and the GPS directory.
    """
    from aecodec.image.parts.tiff_exif import KEPT_IN_EXIF

    kept = Image.Exif()
    for tag in KEPT_IN_EXIF:
        if tag in tags:
            kept[tag] = _as_stored(tags[tag])
    for directory in SUBDIRECTORIES:
        if subtags := tags.get_ifd(directory):
            inner = {tag: _as_stored(value) for tag, value in subtags.items()}
            if interop := directory == ExifTags.IFD.Exif and tags.get_ifd(ExifTags.IFD.Interop):
                inner[ExifTags.IFD.Interop] = interop
            kept[directory] = inner
    return kept.tobytes() if len(kept) else None


def _as_stored(value: object) -> object:
    if isinstance(value, str) and not value.isascii():
        return value.encode("latin-1", "replace")
    return value  # of bytes, Pillow makes a list of numbers where it does not know the tag


class _Entry(NamedTuple):
    """One entry of a directory."""

    at: int
    tag: int
    value: int
    """The offset of the value; a value of at most 4 bytes is in the entry itself."""
    size: int
    """Of the value in bytes."""


_TYPE_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_THUMBNAIL: Final = (
    (ExifTags.Base.JpegIFOffset, ExifTags.Base.JpegIFByteCount),
    (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts),
)
_DIMENSIONS: Final[dict[int, int]] = {
    ExifTags.Base.ImageWidth: 0,
    ExifTags.Base.ImageLength: 1,
    ExifTags.Base.ExifImageWidth: 0,
    ExifTags.Base.ExifImageHeight: 1,
}
_SUBJECT: Final = (37396, 41492)
"""SubjectArea, SubjectLocation."""
_GEOGRAPHIC: Final = (33550, 33922, 34264, 34735, 34736, 34737)
"""GeoTIFF: the scale of pixels, tie points, transformation, keys and their values."""
_NESTED: Final = {700: "XMP", 33723: "IPTC", 34377: "Photoshop's resources"}
"""Other metadata that some programs put inside EXIF."""
_FREE_TEXT: Final = {
    269: "DocumentName",
    270: "ImageDescription",
    285: "PageName",
    37510: "UserComment",
    40091: "XPTitle",
    40092: "XPComment",
    40094: "XPKeywords",
    40095: "XPSubject",
}
_CODES: Final = (b"ASCII", b"JIS", b"UNICODE")
"""Of the characters of a UserComment, which begins with one of them."""
_ENTRY: Final = 12
_MAX_THUMBNAILS: Final = 8
_MAX_LINKED: Final = 8


class _Tiff:
    """A TIFF structure that is changed in place, so that all offsets stay valid.

    Bytes beyond the end are read as zeros, and invalid entries are ignored: no content makes it
    fail.
    """

    def __init__(self, tiff: bytes) -> None:
        self._bytes = bytearray(tiff)
        self.order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def cleaned(self, size: tuple[int, int], notes: list[str], *, strip_gps: bool) -> bytes | None:
        """Return the structure upright and without thumbnails; None if nothing is left of it."""
        main = self.number(4, 4)
        self._orient(main, 1)
        self._resize(main, size)
        orphans = list(self._unlink_thumbnails(main))
        if strip_gps:
            orphans += self._remove_positions(main, notes)
        self._wipe(orphans, self._live(main))
        return bytes(self._bytes) if self.number(main, 2) else None

    def has_rest(self) -> bool:
        """Whether anything but zeros is left behind the header."""
        return any(self._bytes[8:])

    def _remove_positions(self, main: int, notes: list[str]) -> Iterator[range]:
        """Remove all that states a position, or may hold one; yield the ranges of its bytes."""
        for directory in (main, *self._linked(main, ExifTags.IFD.Exif)):
            for position in self._linked(directory, ExifTags.IFD.GPSInfo):
                yield from self._ranges(position)
            self._remove(directory, (ExifTags.IFD.GPSInfo,))
        others = [e for e in self._entries(main) if e.tag in _GEOGRAPHIC or e.tag in _NESTED]
        for entry in others:
            if entry.size > 4:
                yield range(entry.value, entry.value + entry.size)
        for tag in {entry.tag for entry in others} & _NESTED.keys():
            notes.append(f"{_NESTED[tag]} inside EXIF, which may hold a position")
        self._remove(main, {entry.tag for entry in others})

    def descriptions(self) -> list[str]:
        """The names of the tags with free text that is not blank."""
        main = self.number(4, 4)
        found = []
        for directory in (main, *self._linked(main, ExifTags.IFD.Exif)):
            # Forged files repeat a tag; the first entry counts, as in the order of the tags.
            first = {e.tag: e for e in reversed(list(self._entries(directory)))}
            for tag in first.keys() & _FREE_TEXT.keys():
                entry = first[tag]
                text = bytes(self._bytes[entry.value : entry.value + entry.size])
                if tag == 37510 and text.startswith(_CODES):
                    text = text[8:]
                if text.strip(b" \0"):
                    found.append(_FREE_TEXT[tag])
        return sorted(set(found))

    def number(self, offset: int, size: int) -> int:
        return int.from_bytes(self._bytes[offset : offset + size], self.order)

    def _entries(self, directory: int) -> Iterator[_Entry]:
        for at in range(directory + 2, self._end(directory), _ENTRY):
            if at + _ENTRY > len(self._bytes):
                return
            size = _TYPE_SIZES.get(self.number(at + 2, 2), 1) * self.number(at + 4, 4)
            value = at + 8 if size <= 4 else self.number(at + 8, 4)
            yield _Entry(at, self.number(at, 2), value, size)

    def _end(self, directory: int) -> int:
        """The position of the offset of the next directory."""
        return directory + 2 + _ENTRY * self.number(directory, 2)

    def _linked(self, directory: int, tag: int) -> list[int]:
        """The directories that the entry `tag` points to: one, and few more in forged files."""
        found = [self.number(e.value, 4) for e in self._entries(directory) if e.tag == tag]
        there = dict.fromkeys(offset for offset in found if 8 <= offset < len(self._bytes))
        return list(there)[:_MAX_LINKED]

    def sized(self, size: tuple[int, int]) -> bytes:
        """Return the structure with these pixel dimensions wherever it states them."""
        self._resize(self.number(4, 4), size)
        return bytes(self._bytes)

    @property
    def content(self) -> bytes:
        return bytes(self._bytes)

    def remove_orientation(self) -> None:
        self._remove(self.number(4, 4), (ExifTags.Base.Orientation,))

    def turn(self, orientation: int, size: tuple[int, int]) -> None:
        """Turn what is stated of a picture in this orientation, to this width and height."""
        if orientation not in range(2, 9):
            return
        stored = size
        if orientation in LYING:
            self._exchange_resolutions()
            stored = size[::-1]
        for entry in self.of_exif(*_SUBJECT):
            kind, count = self.number(entry.at + 2, 2), self.number(entry.at + 4, 4)
            if kind != 3 or count not in (2, 3, 4):
                continue
            x, y, *rest = (self.number(entry.value + 2 * i, 2) for i in range(count))
            rest = rest[::-1] if orientation in LYING else rest
            for i, value in enumerate([*regions.moved(orientation, x, y, stored), *rest]):
                self.put(entry.value + 2 * i, min(max(value, 0), 0xFFFF), 2)

    def without_subject(self) -> bytes:
        """The structure without the place of the main subject in the picture."""
        for directory in self._linked(self.number(4, 4), ExifTags.IFD.Exif):
            self._remove(directory, _SUBJECT)
        return self.content

    def of_exif(self, *tags: int) -> list[_Entry]:
        """The entries of the Exif directory that have one of these tags."""
        inner = self._linked(self.number(4, 4), ExifTags.IFD.Exif)
        return [e for directory in inner for e in self._entries(directory) if e.tag in tags]

    def of_interoperability(self, tag: int) -> list[_Entry]:
        """The entries of the Interoperability directory with this tag and 4 bytes."""
        inner = self._linked(self.number(4, 4), ExifTags.IFD.Exif)
        others = (d for within in inner for d in self._linked(within, ExifTags.IFD.Interop))
        return [e for d in others for e in self._entries(d) if e.tag == tag and e.size == 4]

    def put(self, offset: int, number: int, size: int) -> None:
        """Write a number, where there is room for it."""
        if offset + size <= len(self._bytes):
            self._bytes[offset : offset + size] = number.to_bytes(size, self.order)

    def _exchange_resolutions(self) -> None:
        """Exchange the resolutions across and down."""
        across, down = (
            [e.at for e in self._entries(self.number(4, 4)) if e.tag == tag]
            for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
        )
        if len(across) == len(down) == 1:  # type, count and value are exchanged, not the tags
            one, other = (slice(at + 2, at + _ENTRY) for at in (*across, *down))
            self._bytes[one], self._bytes[other] = self._bytes[other], self._bytes[one]

    def turned(self, orientation: int, size: tuple[int, int]) -> bytes | None:
        main = self.number(4, 4)
        self._resize(main, size)
        self.turn(_BACK.get(orientation, orientation), size)
        return bytes(self._bytes) if self._orient(main, orientation) else None

    def resolution(self) -> tuple[float, float] | None:
        found = {entry.tag: entry for entry in self._entries(self.number(4, 4))}
        values = []
        for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution):
            if tag not in found or found[tag].size != 8:
                return None
            above, below = (self.number(found[tag].value + at, 4) for at in (0, 4))
            if not above or not below:
                return None
            values.append(above / below)
        unit = found.get(ExifTags.Base.ResolutionUnit)
        unit_id = 2 if unit is None else self.number(unit.value, min(unit.size, 4))
        factor = {2: 1.0, 3: 2.54}.get(unit_id)
        return None if factor is None else (values[0] * factor, values[1] * factor)

    def _orient(self, directory: int, orientation: int) -> bool:
        """Set the orientation; False if there is no entry for it."""
        found = False
        for entry in self._entries(directory):
            if entry.tag == ExifTags.Base.Orientation:
                size = {1: 1, 4: 4}.get(self.number(entry.at + 2, 2), 2)  # else a SHORT
                value = orientation.to_bytes(size, self.order).ljust(4, b"\0")
                self._bytes[entry.at + 8 : entry.at + 12] = value
                found = True
        return found

    def _resize(self, main: int, size: tuple[int, int]) -> None:
        """Set the pixel dimensions in this directory and in that of Exif."""
        for directory in (main, *self._linked(main, ExifTags.IFD.Exif)):
            for entry in self._entries(directory):
                if entry.tag not in _DIMENSIONS or entry.at + 12 > len(self._bytes):
                    continue
                kind, count = self.number(entry.at + 2, 2), self.number(entry.at + 4, 4)
                if kind not in (3, 4) or count != 1:
                    continue
                value = size[_DIMENSIONS[entry.tag]]
                if value > 0xFFFF:
                    kind = 4
                self._bytes[entry.at + 2 : entry.at + 4] = kind.to_bytes(2, self.order)
                content = value.to_bytes(2 if kind == 3 else 4, self.order).ljust(4, b"\0")
                self._bytes[entry.at + 8 : entry.at + 12] = content

    def _unlink_thumbnails(self, main: int) -> Iterator[range]:
        """End the chain after the first directory; yield the ranges that only the others used."""
        link = self._end(main)
        following = self.number(link, 4)
        if link + 4 <= len(self._bytes):
            self._bytes[link : link + 4] = bytes(4)
        for _ in range(_MAX_THUMBNAILS):
            if not 8 <= following < len(self._bytes):
                return
            values = {e.tag: self.number(e.value, min(e.size, 4)) for e in self._entries(following)}
            for start, length in _THUMBNAIL:
                if start in values and length in values:
                    yield range(values[start], values[start] + values[length])
            yield from self._ranges(following)
            following = self.number(self._end(following), 4)

    def _ranges(self, directory: int) -> list[range]:
        """The ranges of a directory and of its values outside it."""
        outside = [range(e.value, e.value + e.size) for e in self._entries(directory) if e.size > 4]
        return [range(directory, self._end(directory) + 4), *outside]

    def _live(self, main: int) -> list[range]:
        """The ranges that the first directory reaches."""
        live = [range(8), *self._ranges(main)]
        for tag in SUBDIRECTORIES:
            for directory in self._linked(main, tag):
                live += self._ranges(directory)
                for inner in self._linked(directory, ExifTags.IFD.Interop):
                    live += self._ranges(inner)
        return live

    def _remove(self, directory: int, tags: Collection[int]) -> None:
        """Remove entries from a directory; later entries and the link move up."""
        entries = list(self._entries(directory))
        kept = [entry for entry in entries if entry.tag not in tags]
        if len(kept) == len(entries):
            return
        end = min(self._end(directory) + 4, len(self._bytes))
        ranges = [slice(e.at, e.at + _ENTRY) for e in kept] + [slice(entries[-1].at + _ENTRY, end)]
        moved = b"".join(self._bytes[part] for part in ranges)
        self._bytes[directory + 2 : end] = moved.ljust(end - directory - 2, b"\0")
        count = self.number(directory, 2) - len(entries) + len(kept)
        self._bytes[directory : directory + 2] = count.to_bytes(2, self.order)

    def _wipe(self, orphans: list[range], live: list[range]) -> None:
        """Zero the bytes that nothing refers to any more, and cut them off at the end."""
        content: npt.NDArray[np.uint8] = np.frombuffer(self._bytes, np.uint8).copy()
        keep = np.zeros(len(content), np.bool_)
        for part in _merged(live):
            keep[part.start : part.stop] = True
        end = len(content)
        for part in reversed(_merged(orphans)):
            content[part.start : part.stop] *= keep[part.start : part.stop]
            if part.stop >= end > part.start and not keep[part.start : end].any():
                end = part.start
        self._bytes = bytearray(content[:end].tobytes())


def _merged(ranges: list[range]) -> list[range]:
    """Ascending ranges that do not touch, for the same bytes: forged files repeat ranges."""
    merged: list[range] = []
    for part in sorted(ranges, key=lambda r: r.start):
        if merged and part.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(part.stop, merged[-1].stop))
        else:
            merged.append(part)
    return merged


# --- ICC ----------------------------------------------------------------------------------------


def icc(
    image: Image.Image, mode: str, notes: list[str], profile: bytes | None = None
) -> bytes | None:
    """Return the profile if it fits pixels of `mode`.

    ``profile`` replaces the one that Pillow read.
    """
    profile = profile or image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None
    if image.mode in ("CMYK", "LAB"):  # converted to sRGB; a note says so already
        return None
    # Byte 16 of the header of 128 bytes begins the colour space of the profile.
    spaces = (b"RGB ",) if mode in ("RGB", "RGBA") else (b"GRAY", b"RGB ")
    if len(profile) < 128 or profile[16:20] not in spaces:
        notes.append("ICC profile that does not belong to the colours dropped")
        return None
    return profile


# --- XMP ----------------------------------------------------------------------------------------


class _Without:
    """Removes elements, with their content, and attributes by name, in linear time.

    A regular expression with `.*?` and a back reference takes quadratic time for a packet of start
    tags: minutes for a megabyte.
    """

    def __init__(self, name: bytes, attribute: bytes | None = None) -> None:
        self._opening = re.compile(rb"<([\w.-]+:" + name + rb")\b")
        self._closing = re.compile(rb"</([\w.-]+:" + name + rb")\s*>")
        self._attribute = re.compile(attribute) if attribute else None

    def sub(self, replacement: bytes, packet: bytes) -> bytes:
        if self._attribute:
            packet = self._attribute.sub(replacement, packet)
        closings: dict[bytes, list[tuple[int, int]]] = {}
        for found in self._closing.finditer(packet):
            closings.setdefault(found[1], []).append(found.span())
        kept, end, tag_end = [], 0, -1
        for found in self._opening.finditer(packet):
            if found.start() < end:
                continue  # inside an element that is removed
            if tag_end < found.end():
                tag_end = packet.find(b">", found.end())
                if tag_end < 0:
                    break
            if packet[tag_end - 1] == ord("/"):
                element_end = tag_end + 1
            else:
                ends = closings.get(found[1], [])
                after = bisect_left(ends, (tag_end + 1, 0))
                if after == len(ends):
                    continue
                element_end = ends[after][1]
            kept += [packet[end : found.start()], replacement]
            end = element_end
        return b"".join([*kept, packet[end:]])


_THUMBNAILS: Final = _Without(rb"Thumbnails")
_ORIENTATION: Final = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[0-9]")
# The names are those of the XMP namespace of EXIF, under any prefix.
_POSITION: Final = _Without(rb"GPS\w+", rb"(?<!\s)\s+[\w.-]+:GPS\w+\s*=\s*(?:\"[^\"]*\"|'[^']*')")


_XMP_DIMENSIONS: Final = re.compile(
    rb"(tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)(\s*=\s*[\"']|\s*>\s*)([0-9]{1,9})"
)


def _xmp_sized(packet: bytes, size: tuple[int, int]) -> bytes:
    def put(match: re.Match[bytes]) -> bytes:
        across = match[1] in (b"tiff:ImageWidth", b"exif:PixelXDimension")
        return match[1] + match[2] + b"%d" % size[not across]

    return _XMP_DIMENSIONS.sub(put, packet)


def xmp(
    image: Image.Image,
    notes: list[str],
    *,
    strip_gps: bool = False,
    packet: bytes | str | None = None,
    gone: Collection[str] = (),
    size: tuple[int, int] | None = None,
    orientation: int = 1,
) -> bytes | None:
    """Return the packet without thumbnails, for a picture that is upright.

    The pixels were turned from ``orientation``; so are regions of the picture, and its resolution.
    The orientation that it states becomes 1, also where another statement has overruled it.
    ``packet`` replaces the one that Pillow read. Statements on parts that are ``gone`` (see
    `xmp.py`) are removed, and pixel dimensions become ``size``. With `strip_gps`, places are
    removed, too. A packet that may still hold one, for example in an encoding other than UTF-8, is
    dropped with a note.
    """
    packet = packet or image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8", "surrogateescape")
    if not isinstance(packet, bytes) or not packet:
        return None
    try:
        packet = without(packet, gone)
    except Unreadable:
        notes.append("XMP that cannot be read is dropped")
        return None
    packet = _THUMBNAILS.sub(b"", packet)
    if orientation != 1:
        packet = _upright(packet, orientation, notes, size or image.size)
    packet = _ORIENTATION.sub(rb"\g<1>1", packet)
    if size is not None:
        packet = _xmp_sized(packet, size)
    if strip_gps:
        return _placeless(packet, notes)
    return packet


def _upright(packet: bytes, orientation: int, notes: list[str], size: tuple[int, int]) -> bytes:
    """The packet with its regions and its resolution as they are in the upright picture."""
    try:
        packet, others = regions.turned(packet, orientation, size)
    except Unreadable:
        others = ["XMP that cannot be read"]
    notes += [f"{other}: not turned with the picture" for other in others]
    return packet


def _placeless(packet: bytes, notes: list[str]) -> bytes | None:
    """The packet without places; None, with a note, if it may still hold one."""
    marks: tuple[bytes, ...] = (b"GPSL",)  # the beginning of latitude and longitude
    try:
        packet = without_places(packet)
    except Unreadable:
        marks += PLACE_MARKS
    packet = _POSITION.sub(b"", packet)
    bare = packet.replace(b"\0", b"")
    if any(mark in bare for mark in marks):
        notes.append("XMP with a position that cannot be taken out dropped")
        return None
    return packet
