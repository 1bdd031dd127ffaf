"""Turns what an XMP packet says of places in a picture, such as where a face is.

::

    packet of the pixels as stored --turned--> packet of the upright picture

Regions are relative to the pixels as they are stored, not as the orientation shows them: those of
the Metadata Working Group ("Guidelines for Handling Image Metadata", version 2.0, 5.9) and of
Microsoft (WIC, "People Tagging"). Who stores the pixels in another orientation must turn them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, TypeAlias, TypeVar

from aecodec.image.xmp import Element, Value, edited, scan, values

__all__ = ["LYING", "moved", "turned", "without"]

LYING: Final = range(5, 9)
"""The orientations whose rows are the columns of the upright picture."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/ "
_AREA = "http://ns.adobe.com/xmp/sType/Area# "
_DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions# "
_RECTANGLE = "http://ns.microsoft.com/photo/1.2/t/Region# Rectangle"
_TIFF = "http://ns.adobe.com/tiff/1.0/ "
_OTHERS: Final = {
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ ImageRegion": "image regions (IPTC in XMP)",
    "http://ns.acdsee.com/regions/ Regions": "image regions (ACDSee in XMP)",
}
_MARKS: Final = (b"regions/", b"Region", b"YResolution")
"""A packet without any of these says nothing that turning the picture changes."""
_SOURCES: Final = {
    2: ("-x", "y"),
    3: ("-x", "-y"),
    4: ("x", "-y"),
    5: ("y", "x"),
    6: ("-y", "x"),
    7: ("-y", "-x"),
    8: ("y", "-x"),
}
"""For each orientation, what becomes x and y of the upright picture; -x is 1 - x."""

_STRUCTURES: Final = (
    _REGIONS + "Regions",
    "http://ns.microsoft.com/photo/1.2/ RegionInfo",
    *_OTHERS,
)
"""The properties that hold regions."""

Change: TypeAlias = "tuple[int, int, bytes]"
_Real = TypeVar("_Real", int, Decimal)


def turned(packet: bytes, orientation: int, size: tuple[int, int]) -> tuple[bytes, list[str]]:
    """Turn what a packet says of a picture in this orientation, and name what is not turned.

    ``size`` is the width and height after turning. Regions of the Metadata Working Group stay if
    the dimensions that they were applied to are those already. Raises Unreadable.
    """
    if orientation not in _SOURCES or not any(mark in packet for mark in _MARKS):
        return packet, []
    root = scan(packet)
    changes: list[Change] = []
    stays: dict[str, None] = {}
    if not _are_upright(packet, root, orientation, size):
        for element in root.walk():
            if element.name == _REGIONS + "Area":
                changes += _area(packet, element, orientation)
            elif element.name == _REGIONS + "AppliedToDimensions" and orientation in LYING:
                found = _properties(packet, element, _DIMENSIONS)
                changes += _exchanged(found.get("w"), found.get("h"))
    for value in values(packet, root, _RECTANGLE):
        changes += _rectangle(value, orientation)
    if orientation in LYING:
        across, down = (list(values(packet, root, f"{_TIFF}{c}Resolution")) for c in "XY")
        if len(across) == len(down) == 1:
            changes += _exchanged(across[0], down[0])
    for element in root.walk():
        for name in (element.name, *(attribute.name for attribute in element.attributes)):
            if name in _OTHERS:
                stays[_OTHERS[name]] = None
    return edited(packet, changes), list(stays)


def without(packet: bytes) -> bytes:
    """Remove all regions, which mean the whole picture. Raises Unreadable."""
    if not any(mark in packet for mark in _MARKS):
        return packet
    found = (element for element in scan(packet).walk() if element.name in _STRUCTURES)
    return edited(packet, [(element.start, element.end, b"") for element in found])


def _are_upright(packet: bytes, root: Element, orientation: int, size: tuple[int, int]) -> bool:
    """Whether the regions were made for the picture as it is after turning."""
    element = root.find(_REGIONS + "AppliedToDimensions")
    if element is None or orientation not in LYING:
        return False
    found = _properties(packet, element, _DIMENSIONS)
    width, height = (_number(found.get(name)) for name in "wh")
    if width is None or height is None or width == height or size[0] == size[1]:
        return False
    return (width > height) == (size[0] > size[1])


def _properties(packet: bytes, element: Element, namespace: str) -> dict[str, Value]:
    """The simple properties of a structure by their names without the namespace."""
    found: dict[str, Value] = {}
    inner = [child for child in element.children if child.name == _RDF + "Description"]
    for holder in (element, *inner):
        for attribute in holder.attributes:
            if attribute.name.startswith(namespace):
                found.setdefault(attribute.name.removeprefix(namespace), attribute.value)
        for child in holder.children:
            if child.name.startswith(namespace) and not child.children:
                text = packet[child.opened : child.closing].decode("utf-8", "replace").strip()
                value = Value(text, child.opened, child.closing)
                found.setdefault(child.name.removeprefix(namespace), value)
    return found


_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})\s*")
"""Without exponent: one of a million would be as many digits long."""


def _number(value: Value | None) -> Decimal | None:
    if value is None or not _NUMBER.fullmatch(value.text):
        return None
    return Decimal(value.text.strip())


def moved(orientation: int, x: _Real, y: _Real, size: tuple[int, int] = (1, 1)) -> list[_Real]:
    """Where a place in a picture of this orientation, width and height is after turning."""
    places = {"x": x, "y": y, "-x": size[0] - x, "-y": size[1] - y}
    return [places[source] for source in _SOURCES[orientation]]


def _text(number: Decimal) -> bytes:
    return f"{number:f}".encode()


def _area(packet: bytes, element: Element, orientation: int) -> Iterator[Change]:
    """The changes of an area: x and y are its centre, w and h its size, all from 0 to 1."""
    found = _properties(packet, element, _AREA)
    x, y = (_number(found.get(name)) for name in "xy")
    if x is None or y is None:
        return
    for name, number in zip("xy", moved(orientation, x, y), strict=True):
        yield found[name].start, found[name].end, _text(number)
    if orientation in LYING:
        yield from _exchanged(found.get("w"), found.get("h"))


def _rectangle(value: Value, orientation: int) -> Iterator[Change]:
    """The changes of a rectangle: its left, top, width and height, from 0 to 1, with commas."""
    parts = [_number(Value(part, 0, 0)) for part in value.text.split(",")]
    numbers = [part for part in parts if part is not None]
    if len(parts) != 4 or len(numbers) != 4:
        return
    left, top, width, height = numbers
    x, y = moved(orientation, left + width / 2, top + height / 2)
    if orientation in LYING:
        width, height = height, width
    corners = (x - width / 2, y - height / 2, width, height)
    yield value.start, value.end, b", ".join(map(_text, corners))


def _exchanged(one: Value | None, other: Value | None) -> Iterator[Change]:
    if one is not None and other is not None:
        yield one.start, one.end, other.text.encode()
        yield other.start, other.end, one.text.encode()
