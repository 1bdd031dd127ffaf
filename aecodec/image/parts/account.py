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

__all__ = ["Account", "Attachment", "Fate", "Part", "Text"]


class Fate(Enum):
    """What becomes of a part."""

    KEPT = "kept"
    HARMLESS = "harmless"
    LOST = "lost"


@dataclass(frozen=True)
class Part:
    """One part of a source file."""

    name: str
    """As the format calls it: "APP13 Photoshop", "chunk tIME", "tag 33550 ModelPixelScale"."""
    fate: Fate
    text: str = ""
    """Of a lost part the note for the user, such as "GeoTIFF tags"; of a harmless one the reason;
    of a kept one where it goes, such as "EXIF"."""


@dataclass(frozen=True)
class Text:
    """A comment or a text that a source carries."""

    keyword: str
    """Empty for a comment without one, such as a JPEG's COM."""
    text: str
    language: str = ""


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
    icc: bytes | None = None
    """A profile that Pillow does not read, or one built from signalled colours."""
    xmp: bytes | None = None
    """The packet, with extended XMP joined."""
    attachments: list[Attachment] = field(default_factory=list)
    bits: int | None = None
    """Bits a channel where the file has more than 8 and Pillow's mode does not tell."""

    def kept(self, name: str, where: str = "") -> None:
        self.parts.append(Part(name, Fate.KEPT, where))

    def harmless(self, name: str, reason: str) -> None:
        self.parts.append(Part(name, Fate.HARMLESS, reason))

    def lost(self, name: str, note: str) -> None:
        self.parts.append(Part(name, Fate.LOST, note))

    @property
    def notes(self) -> Iterator[str]:
        """The notes of what is lost, each once, in the order found."""
        yield from dict.fromkeys(part.text for part in self.parts if part.fate is Fate.LOST)
