"""What a source file holds, part by part, and what becomes of each.

A *part* is whatever its format stores separately: a JPEG segment, a PNG chunk, a TIFF tag, a RIFF
chunk, an ISOBMFF box, bytes behind the picture. Every part has one of three fates:

- **kept**: the `.aec` file holds it, or what it says;
- **harmless**: nothing that anybody needs is lost with it. Each kind is listed with its reason;
- **lost**: the `.aec` file does not hold it. A user is told, `--strict` refuses the source, and
  `--rm` keeps it.

What a walker does not know is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

__all__ = [
    "DAMAGED",
    "FRAMES",
    "GAIN_MAP",
    "HARMLESS",
    "KEPT",
    "LOST",
    "MAX_PARTS",
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
"""The note for everything that is a further picture of the same file."""

DAMAGED: Final = "the file is damaged"
"""How the notes begin that say so."""

MAX_PARTS: Final = 500
"""Different parts that an account lists. A file with more of them is forged; the rest is lost."""


def reduced(bits: int) -> str:
    """The note for a picture of so many bits a channel."""
    return f"{bits} bits a channel reduced to 8"


class Fate(Enum):
    """What becomes of a part."""

    KEPT = "kept"
    HARMLESS = "harmless"
    LOST = "lost"


KEPT, HARMLESS, LOST = Fate.KEPT, Fate.HARMLESS, Fate.LOST
"""For the walkers' tables."""


@dataclass(frozen=True)
class Part:
    """One part of a source file.

    A walker's table of the parts that it knows consists of these, and `docs/parts.md` is made of
    the tables: each walker's module lists them all as `PARTS`.
    """

    name: str
    """As the format calls it: "APP13 Photoshop", "chunk tIME", "tag 33550 ModelPixelScale"."""
    fate: Fate
    text: str = ""
    """Of a lost part the note for the user, such as "GeoTIFF tags"; of a harmless one the reason;
    of a kept one where it goes, such as "EXIF"."""


class Text(NamedTuple):
    """A comment or a text that a source carries.

    Bytes that are no UTF-8 stand in it as `surrogateescape` has them, so that they come back as
    they were.
    """

    keyword: str
    """Empty for a comment without one, such as a JPEG's COM."""
    text: str
    language: str = ""
    translated: str = ""
    """The keyword in that language, as PNG's iTXt has it."""


@dataclass(frozen=True)
class Attachment:
    """Bytes that are kept as they are and put back where the output format has a place for them."""

    kind: str
    """"gain map" or "video"."""
    data: bytes = field(repr=False)
    detail: bytes = field(default=b"", repr=False)
    """What is needed to put it back, in a form that the writer of the format defines."""


@dataclass
class Account:
    """What a walker found: the parts in file order, and the content of those that are kept.

    A walker fills in what Pillow does not read, or reads wrongly. `None` and empty mean: nothing
    found by the walker; Pillow's reading stands.
    """

    parts: list[Part] = field(default_factory=list)
    resolution: tuple[float, float] | None = None
    """Pixels an inch, horizontal and vertical."""
    texts: list[Text] = field(default_factory=list)
    iptc: bytes | None = None
    """IPTC-IIM records, without a wrapper."""
    exif: bytes | None = None
    """A TIFF structure, without prefix, where Pillow reads none or not all of it."""
    icc: bytes | None = None
    """A profile that Pillow does not read, or one built from signalled colours."""
    xmp: bytes | None = None
    """The packet, with extended XMP joined."""
    attachments: list[Attachment] = field(default_factory=list)
    bits: int | None = None
    """Bits a channel where the file has more than 8 and Pillow's mode does not tell."""
    scan: tuple[int, int] | None = None
    """Where the entropy-coded data of a JPEG with a single scan begin and end (see `watch.py`)."""
    _known: set[Part] = field(default_factory=set, repr=False)

    def add(self, part: Part) -> None:
        """Account for a part. One that comes again is listed once."""
        if part in self._known or len(self.parts) > MAX_PARTS:
            return
        if len(self.parts) == MAX_PARTS:
            part = Part("further parts", Fate.LOST, f"more than {MAX_PARTS} kinds of parts")
        self._known.add(part)
        self.parts.append(part)

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
