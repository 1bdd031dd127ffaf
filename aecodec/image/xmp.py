"""XMP packets: finds, removes and corrects their statements on the file that holds them.

::

    packet --scan--> elements and attributes with their positions
    packet --without, without_places, joined, split, with_lengths--> packet with changes there

An XMP packet may state that its file holds a gain map (Adobe's `hdrgm`, the items of Google's
`Container:Directory`), a video (`GCamera:MotionPhoto`, `MicroVideo`), or the rest of the packet
(`xmpNote:HasExtendedXMP`). Such claims must be removed if the new file does not hold these parts.
expat parses the packets, without entities. Everything but the claims stays byte for byte.
Namespaces are those of "XMP Specification Part 3", "Ultra HDR Image Format v1.1" and "Motion Photo
format 1.0".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from xml.parsers import expat

from aecodec.image.parts.account import GAIN_MAP, VIDEO

__all__ = [
    "EXTENDED",
    "PLACE_MARKS",
    "Element",
    "Unreadable",
    "Value",
    "descriptions",
    "edited",
    "extended_digest",
    "is_claimed",
    "joined",
    "scan",
    "semantics",
    "split",
    "values",
    "with_lengths",
    "without",
    "without_places",
]

EXTENDED: Final = "extended XMP"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_CAMERA = "http://ns.google.com/photos/1.0/camera/ "
_CONTAINER = "http://ns.google.com/photos/1.0/container/ "
_ITEM = "http://ns.google.com/photos/1.0/container/item/ "
_HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/ "
_NOTE = "http://ns.adobe.com/xmp/note/ "
_CLAIMS: Final[dict[str, tuple[str, ...]]] = {
    GAIN_MAP: (_HDRGM,),
    VIDEO: (_CAMERA + "MotionPhoto", _CAMERA + "MicroVideo"),
    EXTENDED: (_NOTE + "HasExtendedXMP",),
}
"""Each claim, and how the names of its elements and attributes begin."""
_SEMANTICS: Final = {"GainMap": GAIN_MAP, "MotionPhoto": VIDEO}
_MARKS: Final = (b"hdr-gain-map", b"photos/1.0/c", b"HasExtendedXMP")
"""A packet without any of these has no claims, and need not be parsed."""
MAX_ELEMENTS: Final = 100_000


class Unreadable(ValueError):
    """A packet is not well-formed, or cannot be changed in place."""


class Value(NamedTuple):
    """The text of an attribute or of an element."""

    text: str
    start: int
    end: int
    """Its range, without quotes."""


class _Attribute(NamedTuple):
    name: str
    value: Value
    start: int
    end: int
    """From the space before it to the closing quote."""


@dataclass
class Element:
    """An element of a packet, and where it is."""

    name: str
    start: int
    opened: int
    """The end of its start tag."""
    closing: int = 0
    """The beginning of its end tag; `opened` without an end tag."""
    end: int = 0
    attributes: list[_Attribute] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)
    declares: list[bytes] = field(default_factory=list)
    """The text of its namespace declarations."""

    def walk(self) -> Iterator[Element]:
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def find(self, name: str) -> Element | None:
        return next((element for element in self.walk() if element.name == name), None)


_NAME = rb"[^\s=/>\"'<]+"
_IN_TAG: Final = re.compile(rb"\s+(%s)\s*=\s*(\"[^\"]*\"|'[^']*')" % _NAME)
_TAG_NAME: Final = re.compile(rb"<(%s)" % _NAME)


def scan(packet: bytes) -> Element:
    """Parse a packet; return its root element. Raises Unreadable."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    root: list[Element] = []
    open_elements: list[Element] = []
    count = 0

    def refuse(*_: object) -> None:
        raise Unreadable("it has a document type")

    def start(name: str, attributes: list[str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS:
            raise Unreadable(f"it has more than {MAX_ELEMENTS} elements")
        element = _tag(packet, parser.CurrentByteIndex, name, attributes)
        (open_elements[-1].children if open_elements else root).append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        element = open_elements.pop()
        at = parser.CurrentByteIndex
        if packet[element.opened - 2 : element.opened] == b"/>":
            element.closing = element.end = element.opened
        else:
            element.closing = at
            element.end = packet.find(b">", at) + 1

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except expat.ExpatError as error:
        raise Unreadable(str(error)) from error
    return root[0]


def _tag(packet: bytes, at: int, tag: str, flat: list[str]) -> Element:
    """The start tag at `at`. Raises Unreadable in encodings other than UTF-8."""
    head = _TAG_NAME.match(packet, at)
    if head is None:
        raise Unreadable("it is not in UTF-8")
    here, found, declares = head.end(), [], []
    names_and_values = iter(zip(flat[::2], flat[1::2], strict=True))
    while match := _IN_TAG.match(packet, here):
        here = match.end()
        if match[1] == b"xmlns" or match[1].startswith(b"xmlns:"):
            declares.append(match[0])
        elif (pair := next(names_and_values, None)) is not None:
            name, text = pair
            value = Value(text, match.start(2) + 1, match.end(2) - 1)
            found.append(_Attribute(name, value, match.start(), match.end()))
    opened = packet.find(b">", here) + 1
    if not opened or packet[here:opened].strip() not in (b">", b"/>"):
        raise Unreadable("a tag cannot be followed")
    return Element(tag, at, opened, attributes=found, declares=declares)


def edited(packet: bytes, changes: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Replace ranges. A range inside another one is ignored; an empty range is an insertion."""
    parts, at = [], 0
    for start, end, content in sorted(changes, key=lambda c: (c[0], c[0] != c[1], -c[1])):
        if start >= at:
            parts += [packet[at:start], content]
            at = end
    return b"".join([*parts, packet[at:]])


def is_claimed(packet: bytes) -> bool:
    """Whether a packet may have claims; fast, without parsing."""
    return any(mark in packet for mark in _MARKS)


# --- Claims -------------------------------------------------------------------------------------


def without(packet: bytes, gone: Collection[str]) -> bytes:
    """Remove the claims of these parts: "gain map", "video", "extended XMP". Raises Unreadable.

    Other items of a `Container:Directory` are removed, too. A directory in which only the primary
    picture remains is removed as a whole.
    """
    if not is_claimed(packet):
        return packet
    root = scan(packet)
    claims = tuple(name for kind in gone for name in _CLAIMS[kind])
    changes: list[tuple[int, int, bytes]] = []
    for element in root.walk():
        if claims and element.name.startswith(claims):
            changes.append((element.start, element.end, b""))
        claimed = [a for a in element.attributes if claims and a.name.startswith(claims)]
        about = {a.name for a in element.attributes if a not in claimed} <= {_RDF + "about"}
        if claimed and about and not element.children and element.name == _RDF + "Description":
            changes.append((element.start, element.end, b""))  # it has no other content
        changes += [(attribute.start, attribute.end, b"") for attribute in claimed]
        if element.name == _CONTAINER + "Directory":
            items = list(_items(packet, element))
            dropped = [item for item, semantic in items if not _stays(semantic, gone)]
            if any(semantic != "Primary" and _stays(semantic, gone) for _, semantic in items):
                changes += [(item.start, item.end, b"") for item in dropped]
            else:
                changes.append((element.start, element.end, b""))
    return edited(packet, changes)


def _stays(semantic: str, gone: Collection[str]) -> bool:
    return semantic == "Primary" or (semantic in _SEMANTICS and _SEMANTICS[semantic] not in gone)


def _items(packet: bytes, directory: Element) -> Iterator[tuple[Element, str]]:
    """Each `rdf:li` of a directory, and its semantic."""
    for element in directory.walk():
        if element.name == _RDF + "li":
            yield element, next((v.text for v in values(packet, element, _ITEM + "Semantic")), "")


def values(packet: bytes, element: Element, name: str) -> Iterator[Value]:
    """The values of a property, written as attributes or as elements."""
    for inner in element.walk():
        yield from (attribute.value for attribute in inner.attributes if attribute.name == name)
        if inner.name == name and not inner.children:
            text = packet[inner.opened : inner.closing].decode("utf-8", "replace").strip()
            yield Value(text, inner.opened, inner.closing)


def semantics(packet: bytes) -> list[str]:
    """The semantics of the items of the directory, and "hdrgm" if the packet has it."""
    if not is_claimed(packet):
        return []
    try:
        root = scan(packet)
    except Unreadable:
        return []
    found = [
        semantic
        for element in root.walk()
        if element.name == _CONTAINER + "Directory"
        for _, semantic in _items(packet, element)
    ]
    names = (name for e in root.walk() for name in (e.name, *(a.name for a in e.attributes)))
    return found + ["hdrgm"] * any(name.startswith(_HDRGM) for name in names)


def with_lengths(packet: bytes, gain_map: int | None, video: int | None) -> bytes:
    """Set the lengths of gain map and video, in bytes, and remove padding between them.

    None leaves a length unchanged. Raises Unreadable.
    """
    if not is_claimed(packet):
        return packet
    root = scan(packet)
    lengths = {"Primary": 0, "GainMap": gain_map, "MotionPhoto": video}
    changes: list[tuple[int, int, bytes]] = []

    def put(element: Element, name: str, number: int | None) -> None:
        if number is not None:
            text = b"%d" % number
            changes.extend((v.start, v.end, text) for v in values(packet, element, name))

    put(root, _CAMERA + "MicroVideoOffset", video)
    for element in root.walk():
        if element.name == _CONTAINER + "Directory":
            for item, semantic in _items(packet, element):
                put(item, _ITEM + "Length", lengths.get(semantic))
                put(item, _ITEM + "Padding", 0)
    return edited(packet, changes)


# --- Places -------------------------------------------------------------------------------------

_DC = "http://purl.org/dc/elements/1.1/ "
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/ "
_CORE = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/ "
_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ "
_PLACES: Final = frozenset(
    {
        *(_PHOTOSHOP + name for name in ("City", "State", "Country")),
        *(_CORE + name for name in ("Location", "CountryCode")),
        *(_EXTENSION + name for name in ("LocationShown", "LocationCreated")),
        _DC + "coverage",
        "http://ns.adobe.com/xmp/1.0/DynamicMedia/ shotLocation",
        *(
            f"http://www.w3.org/2003/01/geo/wgs84_pos# {name}"
            for name in ("lat", "long", "alt", "lat_long", "location", "Point")
        ),
    }
)
"""Properties for the place of a picture: IPTC Photo Metadata Standard, XMP Specification Part 2
and W3C Basic Geo. The address of the creator is no place of the picture."""
_POSITIONS: Final = re.compile(r"gps|.*(?:latitude|longitude|altitude)", re.IGNORECASE)
"""Local names in whatever namespace: those of EXIF, and what makers call alike, as DJI does."""
PLACE_MARKS: Final = (
    *(b":City", b":State", b":Country", b"Location", b":coverage", b"wgs84_pos"),
    *(b"Gps", b"atitude", b"ongitude"),
)
"""A packet that cannot be parsed, and has none of these, has no place by its field."""
_DESCRIPTIONS: Final = {
    **{_DC + name: f"dc:{name}" for name in ("description", "title", "subject")},
    **{
        _PHOTOSHOP + name: f"photoshop:{name}"
        for name in ("Headline", "Instructions", "CaptionWriter", "SupplementalCategories")
    },
    **{
        _CORE + name: f"Iptc4xmpCore:{name}"
        for name in ("AltTextAccessibility", "ExtDescrAccessibility", "Scene", "IntellectualGenre")
    },
    _EXTENSION + "Event": "Iptc4xmpExt:Event",
    "http://ns.adobe.com/exif/1.0/ UserComment": "exif:UserComment",
    "http://ns.adobe.com/tiff/1.0/ ImageDescription": "tiff:ImageDescription",
    "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject": "lr:hierarchicalSubject",
    "http://www.digikam.org/ns/1.0/ TagsList": "digiKam:TagsList",
}
"""Properties of free text, by the prefix that is usual."""


def _is_place(name: str) -> bool:
    return name in _PLACES or _POSITIONS.match(name.rpartition(" ")[2]) is not None


def without_places(packet: bytes) -> bytes:
    """Remove the properties that state where a picture was taken, or what place it shows.

    Structures go with all that they hold. Raises Unreadable.
    """
    changes: list[tuple[int, int, bytes]] = []
    for element in scan(packet).walk():
        if _is_place(element.name):
            changes.append((element.start, element.end, b""))
        changes += [(a.start, a.end, b"") for a in element.attributes if _is_place(a.name)]
    return edited(packet, changes)


def descriptions(packet: bytes) -> list[str]:
    """The names of the properties with free text that is not blank; or "packet", unparsed."""
    try:
        root = scan(packet)
    except Unreadable:
        return ["packet"]
    found: dict[str, None] = {}
    waiting = [(root, "")]
    while waiting:  # leaves alone are looked at, so that the time is linear
        element, inside = waiting.pop()
        inside = _DESCRIPTIONS.get(element.name, inside)
        waiting += [(child, inside) for child in reversed(element.children)]
        has_text = not element.children and packet[element.opened : element.closing].strip()
        if inside and has_text:
            found[inside] = None
        for attribute in element.attributes:
            if attribute.name in _DESCRIPTIONS and attribute.value.text.strip():
                found[_DESCRIPTIONS[attribute.name]] = None
    return list(found)


# --- Extended XMP -------------------------------------------------------------------------------


def extended_digest(packet: bytes) -> str:
    """The digest of the extended XMP that a packet refers to; empty: none."""
    if b"HasExtendedXMP" not in packet:
        return ""
    try:
        root = scan(packet)
    except Unreadable:
        return ""
    return next((v.text for v in values(packet, root, _NOTE + "HasExtendedXMP")), "")


def joined(packet: bytes, extension: bytes) -> bytes:
    """Put the descriptions of an extended packet into the main one. Raises Unreadable."""
    packet = without(packet, (EXTENDED,))
    rest, main = scan(extension), scan(packet)
    source, target = rest.find(_RDF + "RDF"), main.find(_RDF + "RDF")
    if source is None or target is None or target.closing == target.end:
        raise Unreadable("it has no descriptions")
    # Each description takes along the namespaces that are declared around it.
    around = _around(rest, source)
    content = edited(extension, [_declared(extension, child, around) for child in source.children])
    added = len(content) - len(extension)
    inner = content[source.opened : source.closing + added]
    return packet[: target.closing] + inner + packet[target.closing :]


def _around(root: Element, element: Element) -> list[bytes]:
    """The namespace declarations around an element and of itself, outermost first."""
    enclosing = (e for e in root.walk() if e.start <= element.start and e.end >= element.end)
    return [declaration for e in enclosing for declaration in e.declares]


def _declared(packet: bytes, element: Element, around: list[bytes]) -> tuple[int, int, bytes]:
    """The change that adds to an element the namespaces declared around it."""
    own = {declaration.split(b"=")[0].strip() for declaration in element.declares}
    more: dict[bytes, bytes] = {}
    for declaration in around:
        more[declaration.split(b"=")[0].strip()] = declaration  # the innermost one counts
    head = _TAG_NAME.match(packet, element.start)
    at = head.end() if head else element.start
    return at, at, b"".join(d for prefix, d in more.items() if prefix not in own)


_WRAPPER: Final = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
    b"</rdf:RDF></x:xmpmeta>",
)
_REFERENCE: Final = (
    b'<rdf:Description xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" rdf:about=""'
    b' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s"/>'
)


def _claims(element: Element) -> bool:
    names = (name for e in element.walk() for name in (e.name, *(a.name for a in e.attributes)))
    return any(name.startswith((_HDRGM, _CAMERA, _CONTAINER)) for name in names)


_PADDING: Final = re.compile(rb"\s{100,}(?=<\?xpacket end)")


def split(packet: bytes, limit: int) -> tuple[bytes, bytes]:
    """Divide a packet into one of at most `limit` bytes and an extended one (empty: none needed).

    Whole descriptions move, the largest first. Descriptions with claims move last, because readers
    look for them in the main packet. Raises Unreadable if the main packet stays too large.
    """
    if len(packet) > limit:
        packet = _PADDING.sub(b"\n", packet)
    if len(packet) <= limit:
        return packet, b""
    root = scan(packet)
    rdf = root.find(_RDF + "RDF")
    if rdf is None:
        raise Unreadable("it has no descriptions")
    around = _around(root, rdf)
    size, moved = len(packet) + len(_REFERENCE) + 32, []
    for child in sorted(rdf.children, key=lambda c: (_claims(c), c.start - c.end)):
        if size <= limit:
            break
        moved.append(child)
        size -= child.end - child.start
    if size > limit:
        raise Unreadable("its frame alone is too large")
    moved.sort(key=lambda child: child.start)
    pieces = []
    for child in moved:
        at, _, more = _declared(packet, child, around)
        pieces.append(packet[child.start : at] + more + packet[at : child.end])
    extension = _WRAPPER[0] + b"".join(pieces) + _WRAPPER[1]
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()
    reference = (rdf.opened, rdf.opened, _REFERENCE % digest)
    return edited(packet, [reference, *((c.start, c.end, b"") for c in moved)]), extension
