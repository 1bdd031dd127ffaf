"""The account of a source file: its parts, and the fate of each.

A *part* is a unit of the format: a JPEG segment, a PNG chunk, a TIFF tag, a RIFF chunk, an ISOBMFF
box, or bytes behind the picture. Every part has one of three fates:

- **kept**: the `.aec` file holds it or its information;
- **harmless**: nobody needs it. Each kind is listed with its reason;
- **lost**: the `.aec` file does not hold it. The user gets a note, `--strict` refuses the source,
  and `--rm` keeps it.

A part that the walker does not know is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, NamedTuple

__all__ = [
    "DAMAGED",
    "FRAMES",
    "GAIN_MAP",
    "HARMLESS",
    "KEPT",
    "LOST",
    "MAX_PARTS",
    "SECOND",
    "VIDEO",
    "Account",
    "Attachment",
    "Fate",
    "Part",
    "Text",
    "reduced",
]

GAIN_MAP: Final = "gain map"
VIDEO: Final = "video"
"""The kinds of attachments."""

FRAMES: Final = "several frames or pages: only the first is kept"
"""The note for further pictures of the same file."""

DAMAGED: Final = "the file is damaged"
"""The beginning of notes on damage."""

MAX_PARTS: Final = 500
"""The largest number of different parts in an account. Only forged files have more."""


def reduced(bits: int) -> str:
    """The note for a picture of so many bits a channel."""
    return f"{bits} bits a channel reduced to 8"


class Fate(Enum):
    """The fate of a part."""

    KEPT = "kept"
    HARMLESS = "harmless"
    LOST = "lost"


KEPT, HARMLESS, LOST = Fate.KEPT, Fate.HARMLESS, Fate.LOST
"""For the walkers' tables."""


@dataclass(frozen=True)
class Part:
    """One part of a source file.

    Each walker lists all parts that it knows as `PARTS`. `docs/parts.md` is generated from these.
    """

    name: str
    """The name in the format: "APP13 Photoshop", "chunk tIME", "tag 33550 ModelPixelScale"."""
    fate: Fate
    text: str = ""
    """Lost: the note, such as "GeoTIFF tags". Harmless: the reason. Kept: where, such as "EXIF"."""


SECOND: Final = {
    kind: Part(f"second {name}", Fate.LOST, f"second {name}")
    for kind, name in (
        ("exif", "EXIF"),
        ("icc", "ICC profile"),
        ("xmp", "XMP packet"),
        ("iptc", "IPTC block"),
    )
}
"""Metadata of which an `.aec` file holds one of each kind."""


class Text(NamedTuple):
    """A comment or a text.

    Bytes that are not UTF-8 are decoded by `surrogateescape`, so that they survive unchanged.
    """

    keyword: str
    """Empty for a comment without one, such as a JPEG's COM."""
    text: str
    language: str = ""
    translated: str = ""
    """The keyword in that language, as PNG's iTXt has it."""


@dataclass(frozen=True)
class Attachment:
    """Bytes that are kept unchanged, and written back if the output format can hold them."""

    kind: str
    """"gain map" or "video"."""
    data: bytes = field(repr=False)
    detail: bytes = field(default=b"", repr=False)
    """The data to write it back, in a form that the writer of the format defines."""


@dataclass
class Account:
    """The parts of a file in their order, and the content of those that are kept.

    A walker fills in content that Pillow does not read or misreads. For None and empty values, the
    reading of Pillow counts.
    """

    parts: list[Part] = field(default_factory=list)
    resolution: tuple[float, float] | None = None
    """Pixels an inch, horizontal and vertical."""
    texts: list[Text] = field(default_factory=list)
    iptc: bytes | None = None
    """IPTC-IIM records, without a wrapper."""
    exif: bytes | None = None
    """A TIFF structure, without prefix, if Pillow does not read all of it."""
    icc: bytes | None = None
    """A profile that Pillow does not read, or one built from signalled colours."""
    xmp: bytes | None = None
    """The packet, with extended XMP joined."""
    attachments: list[Attachment] = field(default_factory=list)
    bits: int | None = None
    """Bits a channel, if they are more than 8 and Pillow's mode does not show it."""
    scan: tuple[int, int] | None = None
    """Where the entropy-coded data of a JPEG with a single scan begin and end (see `watch.py`)."""
    _known: set[Part] = field(default_factory=set, repr=False)

    def add(self, part: Part) -> None:
        """Account for a part. A repeated part is listed once."""
        if part in self._known or len(self.parts) > MAX_PARTS:
            return
        if len(self.parts) == MAX_PARTS:
            part = Part("further parts", Fate.LOST, f"more than {MAX_PARTS} kinds of parts")
        self._known.add(part)
        self.parts.append(part)

    def take(self, kind: Literal["exif", "icc", "xmp", "iptc"], content: bytes) -> None:
        """Keep the content of a kind of metadata. The first counts; another one is lost."""
        first = getattr(self, kind)
        if not first:
            setattr(self, kind, content or None)
        elif content and content != first:
            self.add(SECOND[kind])

    def kept(self, name: str, where: str = "") -> None:
        self.add(Part(name, Fate.KEPT, where))

    def harmless(self, name: str, reason: str) -> None:
        self.add(Part(name, Fate.HARMLESS, reason))

    def lost(self, name: str, note: str) -> None:
        self.add(Part(name, Fate.LOST, note))

    @property
    def notes(self) -> Iterator[str]:
        """The notes of what is lost, each once, in the order found."""
        yield from dict.fromkeys(part.text for part in self.parts if part.fate is Fate.LOST)
