"""AVIF and HEIF: boxes, items, properties, tracks.

::

    ftyp, meta --iinf, iref, ipma--> items: the primary picture, its pieces, its alpha
                                     Exif and XMP kept; thumbnails harmless; all others lost
                                     properties of the primary picture: depth, colours, crop
    moov -------------------------> more than one frame: lost
    other boxes, bytes behind ----> lost

ISO/IEC 23008-12 (HEIF), 14496-12 (ISOBMFF), 23000-22 (MIAF), AV1 Image File Format 1.1, AV1
Bitstream 5.5 (sequence header), 21496-1 (gain maps). libavif reads the picture for Pillow. It
composes grids, and returns irot and imir, Exif, XMP and ICC, but ignores other properties. In HEIF
irot and imir alone orient the picture. An orientation in EXIF or XMP is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aecodec.image import signalling
from aecodec.image.parts.account import (
    DAMAGED,
    FRAMES,
    GAIN_MAP,
    HARMLESS,
    KEPT,
    LOST,
    Account,
    Part,
    Text,
    reduced,
)
from aecodec.image.parts.av1 import sequence_colours
from aecodec.image.parts.boxes import BROKEN, Box, boxes, named, printable
from aecodec.image.parts.items import ItemReader, Items, number, string
from aecodec.image.parts.tiff import is_blank
from aecodec.image.parts.tiff_exif import MAX_VALUE

__all__ = ["PARTS", "walk"]

_STRUCTURE: Final = "the structure of the file"
_CREDENTIALS: Final = "content credentials"
_MOTION: Final = "video behind the picture (motion photo)"

_TOP: Final = {
    b"ftyp": Part("box ftyp", HARMLESS, "the kind of the file"),
    b"meta": Part("box meta", HARMLESS, _STRUCTURE),
    b"mdat": Part("box mdat", HARMLESS, "the coded data of the items"),
    b"free": Part("box free", HARMLESS, "is unused"),
    b"skip": Part("box skip", HARMLESS, "is unused"),
    b"wide": Part("box wide", HARMLESS, "is unused"),
    b"pnot": Part("box pnot", HARMLESS, "a small copy of the picture"),
    b"pdin": Part("box pdin", HARMLESS, "hints for downloading"),
    b"mpvd": Part("box mpvd", LOST, _MOTION),
    b"mpvf": Part("box mpvf", LOST, _MOTION),
    b"sefd": Part("box sefd", LOST, "Samsung's camera data"),
    b"jumb": Part("box jumb", LOST, _CREDENTIALS),
}
_UUIDS: Final = {
    bytes.fromhex("d8fec3d61b0e483c92975828877ec481"): Part("uuid C2PA", LOST, _CREDENTIALS),
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): Part("uuid XMP", KEPT, "XMP"),
}
_META: Final = frozenset(
    {b"hdlr", b"dinf", b"pitm", b"iloc", b"iinf", b"iref", b"iprp", b"idat", b"free", b"skip"}
)
_META_PART: Final = Part("boxes of the item structure", HARMLESS, _STRUCTURE)
_GROUPS: Final = {
    b"altr": Part("group altr", HARMLESS, "says which items stand for one another"),
    b"ster": Part("group ster", LOST, "stereo pair"),
    b"brst": Part("group brst", LOST, "burst of pictures"),
    b"eqiv": Part("group eqiv", HARMLESS, "says which items stand for one another"),
}

_PRIMARY: Final = Part("the primary item", KEPT, "the picture")
_PIECES: Final = Part("items of which the primary one is made", KEPT, "the picture")
_ALPHA: Final = Part("auxiliary item: alpha", KEPT, "transparency")
_THUMBNAIL: Final = Part("item that is a thumbnail", HARMLESS, "a small copy of the picture")
_EXIF: Final = Part("item Exif", KEPT, "EXIF")
_XMP: Final = Part("item mime application/rdf+xml", KEPT, "XMP")
_SECOND: Final = Part("Exif or XMP of another item", LOST, "metadata of a further picture")
_TMAP: Final = Part("item tmap", LOST, GAIN_MAP)
_FURTHER: Final = Part("further picture items", LOST, "further pictures")
_OTHER_AUX: Final = Part("auxiliary item of another kind", LOST, "auxiliary picture")
_OTHER_ITEM: Final = Part("any other item", LOST, "item of the kind N")
_MANY_ITEMS: Final = Part("more items than are read", LOST, "more items than are read")
_NO_META: Final = Part("no item structure", LOST, f"{DAMAGED}: item structure")
_MATTES: Final = "mattes for portrait effects"
_AUXILIARIES: Final = (
    ("urn:mpeg:mpegb:cicp:systems:auxiliary:alpha", _ALPHA),
    ("urn:mpeg:hevc:2015:auxid:1", _ALPHA),
    ("urn:mpeg:mpegb:cicp:systems:auxiliary:depth", Part("auxiliary: depth", LOST, "depth map")),
    ("urn:mpeg:hevc:2015:auxid:2", Part("auxiliary: depth (HEVC)", LOST, "depth map")),
    ("urn:com:apple:photo:2020:aux:hdrgainmap", Part("auxiliary: gain map", LOST, GAIN_MAP)),
    ("urn:com:apple:photo:2018:aux:portrait", Part("auxiliary: portrait matte", LOST, _MATTES)),
    ("urn:com:apple:photo:2019:aux:semantic", Part("auxiliary: semantic matte", LOST, _MATTES)),
    ("urn:com:apple:photo:2020:aux:semantic", Part("auxiliary: sky matte", LOST, _MATTES)),
)

_CODEC: Final = "says how the picture is coded"
_HDR_METADATA: Final = "HDR metadata (light levels, mastering display)"
_PROPERTIES: Final = {
    b"av1C": Part("property av1C", HARMLESS, _CODEC),
    b"hvcC": Part("property hvcC", HARMLESS, _CODEC),
    b"avcC": Part("property avcC", HARMLESS, _CODEC),
    b"vvcC": Part("property vvcC", HARMLESS, _CODEC),
    b"jpgC": Part("property jpgC", HARMLESS, _CODEC),
    b"j2kH": Part("property j2kH", HARMLESS, _CODEC),
    b"a1op": Part("property a1op", HARMLESS, _CODEC),
    b"a1lx": Part("property a1lx", HARMLESS, _CODEC),
    b"lsel": Part("property lsel", HARMLESS, _CODEC),
    b"tols": Part("property tols", HARMLESS, _CODEC),
    b"lhvC": Part("property lhvC", HARMLESS, _CODEC),
    b"ispe": Part("property ispe", HARMLESS, "the size of the picture"),
    b"pixi": Part("property pixi, 8 bits", HARMLESS, "the depth of the picture"),
    b"colr": Part("property colr", KEPT, "ICC"),
    b"irot": Part("property irot", HARMLESS, "the pixels are turned upright"),
    b"imir": Part("property imir", HARMLESS, "the pixels are turned upright"),
    b"auxC": Part("property auxC", HARMLESS, "the kind of an auxiliary item"),
    b"clap": Part("property clap", LOST, "crop (clean aperture)"),
    b"clli": Part("property clli", LOST, _HDR_METADATA),
    b"mdcv": Part("property mdcv", LOST, _HDR_METADATA),
    b"cclv": Part("property cclv", LOST, _HDR_METADATA),
    b"amve": Part("property amve", LOST, _HDR_METADATA),
    b"altt": Part("property altt", KEPT, "text Alternative text"),
    b"udes": Part("property udes", KEPT, "texts Title, Description, Keywords"),
    b"crtt": Part("property crtt", LOST, "time of creation (HEIF)"),
    b"mdft": Part("property mdft", LOST, "time of the last change (HEIF)"),
    b"rloc": Part("property rloc", HARMLESS, _STRUCTURE),
    b"free": Part("property free", HARMLESS, "is unused"),
}
_SQUARE: Final = Part("property pasp of 1:1", HARMLESS, "pixels are square")
_NOT_SQUARE: Final = Part("property pasp", LOST, "pixels that are not square")
_DEPTH: Final = Part("depth above 8 bits", LOST, reduced(10))
_OTHER_PROPERTY: Final = Part("any other property of the picture", LOST, "property N")
_COLOURS: Final = Part("colours that need no profile", HARMLESS, "sRGB, which none means, too")
_HDR: Final = Part("colours of high dynamic range", LOST, "HDR colour (nclx, PQ)")

_FRAMES: Final = Part("box moov, several frames", LOST, FRAMES)
_ONE_FRAME: Final = Part("box moov, one frame", HARMLESS, "the picture once more, as a track")
_SOUND: Final = Part("track of sound", LOST, "sound")
_OTHER_BOX: Final = Part("any other box", LOST, "box N")
_CUT: Final = Part("box that breaks off", LOST, f"{DAMAGED}: the end of the file is missing")
_BEHIND: Final = Part("bytes that are no box", LOST, "data behind the picture")

PARTS: Final = (
    *_TOP.values(),
    *_UUIDS.values(),
    _META_PART,
    *_GROUPS.values(),
    _PRIMARY,
    _PIECES,
    _THUMBNAIL,
    _EXIF,
    _XMP,
    _SECOND,
    _TMAP,
    *dict.fromkeys(part for _, part in _AUXILIARIES),
    _OTHER_AUX,
    _FURTHER,
    _OTHER_ITEM,
    _MANY_ITEMS,
    _NO_META,
    *_PROPERTIES.values(),
    _SQUARE,
    _NOT_SQUARE,
    _DEPTH,
    _COLOURS,
    _HDR,
    _OTHER_PROPERTY,
    _FRAMES,
    _ONE_FRAME,
    _SOUND,
    _OTHER_BOX,
    _CUT,
    _BEHIND,
)

_MAX_XMP: Final = 2**23


def walk(data: memoryview, account: Account) -> None:
    """Account for every box of an AVIF or HEIF file."""
    _Walk(data, account).walk()


def _clean(text: str) -> str:
    """A name from the file, made printable and short."""
    return "".join(c if c.isprintable() else "?" for c in text[:80]) or "unknown"


class _Walk:
    """One walk through a file."""

    def __init__(self, data: memoryview, account: Account) -> None:
        self.data = data
        self.account = account

    def walk(self) -> None:
        seen = False
        moov: memoryview | None = None
        for box in boxes(self.data):
            if box.type == b"meta" and not seen:
                seen = True
                self.account.add(_TOP[b"meta"])
                self._meta(box.content)
            elif box.type == b"moov" and moov is None:
                moov = box.content
            elif box.type == b"uuid":
                self._uuid(box.content)
            elif box.type == BROKEN:
                self._broken(box.content)
            elif box.type in _TOP and box.type != b"meta":
                self.account.add(_TOP[box.type])
            else:
                self.account.lost(f"box {named(box)}", f"box {named(box)}")
        if moov is not None:
            self._movie(moov)
        if not seen and moov is None:
            self.account.add(_NO_META)

    def _uuid(self, content: memoryview) -> None:
        identity = bytes(content[:16])
        part = _UUIDS.get(identity)
        if part is None:
            self.account.lost(f"uuid {identity.hex()}", f"box of private data {identity.hex()[:8]}")
            return
        self.account.add(part)
        if part.fate is KEPT and len(content) < _MAX_XMP:
            self.account.take("xmp", bytes(content[16:]))

    def _broken(self, content: memoryview) -> None:
        if is_blank(content):
            return
        kind = bytes(content[4:8])
        known = kind in _TOP or kind in (b"moov", b"uuid")
        self.account.add(_CUT if known else _BEHIND)

    # --- Items ----------------------------------------------------------------------------------

    def _meta(self, content: memoryview) -> None:
        reader = ItemReader()
        items = reader.items
        self.account.add(_META_PART)
        for box in boxes(content[4:]):
            if box.type == b"pitm":
                reader.primary(box.content)
            elif box.type == b"iinf":
                reader.item_infos(box.content)
            elif box.type == b"iref":
                reader.references(box.content)
            elif box.type == b"iprp":
                reader.property_boxes(box.content)
            elif box.type == b"iloc":
                reader.locations(box.content)
            elif box.type == b"idat":
                items.idat = box.content
            elif box.type == b"grpl":
                for group in boxes(box.content):
                    other = Part(f"group {named(group)}", LOST, f"group {named(group)} of pictures")
                    self.account.add(_GROUPS.get(group.type, other))
            elif box.type == b"uuid":
                self._uuid(box.content)
            elif box.type == BROKEN:
                self.account.add(_NO_META)
            elif box.type not in _META:
                self.account.lost(f"box {named(box)}", f"box {named(box)}")
        if reader.is_exhausted:
            self.account.add(_MANY_ITEMS)
        if items.primary not in items.kinds:
            self.account.add(_NO_META)
            return
        _ItemWalk(self.data, items, self.account).walk()
        _PictureWalk(self.data, items, self.account).walk()

    # --- Sequences ------------------------------------------------------------------------------

    def _movie(self, content: memoryview) -> None:
        """Tracks: more frames, sound; and the colours of the frames."""
        frames = 0
        for box in boxes(content):
            if box.type == b"trak":
                frames = max(frames, self._track(box.content))
            elif box.type in (b"mvhd", b"free", b"skip", b"iods", b"mvex"):
                continue
            else:
                self.account.lost(f"box moov/{named(box)}", f"box {named(box)} of the sequence")
        self.account.add(_FRAMES if frames > 1 else _ONE_FRAME)

    def _track(self, content: memoryview) -> int:
        media = _inside(content, b"mdia")
        handler = bytes(_inside(media, b"hdlr")[8:12])
        table = _inside(_inside(media, b"minf"), b"stbl")
        sizes = _inside(table, b"stsz")
        if handler == b"soun":
            self.account.add(_SOUND)
            return 0
        if handler not in (b"pict", b"vide", b"auxv"):
            name = printable(handler)
            self.account.lost(f"track {name}", f"track {name} of the sequence")
            return 0
        if handler != b"auxv":
            self._track_colours(_inside(table, b"stsd"))
        return max(number(sizes, 8, 4), 1)

    def _track_colours(self, descriptions: memoryview) -> None:
        """The sample entry of a track has the same boxes as the properties of an item."""
        for entry in boxes(descriptions[8:]):
            inner = list(boxes(entry.content[78:]))
            _PictureWalk(self.data, Items(), self.account).coded(inner, inner, 0)
            for box in inner:
                if box.type in (b"clap", b"clli", b"mdcv", b"cclv", b"amve"):
                    self.account.add(_PROPERTIES[box.type])
            return


class _ItemWalk:
    """Accounts for the items."""

    def __init__(self, data: memoryview, items: Items, account: Account) -> None:
        self.data = data
        self.items = items
        self.account = account

    def walk(self) -> None:
        """Account for every item but the primary one's properties."""
        account = self.account
        main = self._with_pieces([self.items.primary])
        alphas = {
            item
            for item in self.items.referring.get((b"auxl", self.items.primary), ())
            if self._auxiliary(item) is _ALPHA
        }
        alphas = self._with_pieces(sorted(alphas))
        maps = [item for item, (kind, _) in self.items.kinds.items() if kind == b"tmap"]
        gains = self._with_pieces(maps) - main
        thumbnails = set(self.items.referring.get((b"thmb", self.items.primary), ()))
        account.add(_PRIMARY)
        for item, (kind, what) in self.items.kinds.items():
            if item == self.items.primary:
                continue
            if item in main:
                account.add(_PIECES)
            elif item in alphas:
                account.add(_ALPHA)
            elif item in thumbnails:
                account.add(_THUMBNAIL)
            elif kind in (b"Exif", b"mime"):
                self._metadata(item, kind, what)
            elif item in gains:
                account.add(_TMAP)
            elif kind == b"uri ":
                account.lost(f"item uri {_clean(what)}", f"item of the kind {_clean(what)}")
            elif any(True for _ in self._auxiliaries(item)):
                part = self._auxiliary(item)
                account.add(_OTHER_AUX if part is _ALPHA else part)
            elif self._is_piece(item):
                continue  # its owner is accounted for
            elif kind in _PICTURES:
                account.add(_FURTHER)
            else:
                name = printable(kind)
                account.lost(f"item {name}", _OTHER_ITEM.text.replace("N", name))

    def _with_pieces(self, start: list[int]) -> set[int]:
        """These items, and all their pieces."""
        found = set(start)
        queue = list(start)
        while queue:
            for piece in self.items.referred.get((b"dimg", queue.pop()), ()):
                if piece not in found:
                    found.add(piece)
                    queue.append(piece)
        return found

    def _is_piece(self, item: int) -> bool:
        return (b"dimg", item) in self.items.referring

    def _auxiliaries(self, item: int) -> Iterator[str]:
        for box in self.items.properties_of(item):
            if box.type == b"auxC":
                yield string(box.content, 4)[0].lower()

    def _auxiliary(self, item: int) -> Part:
        """The kind of an auxiliary item."""
        for urn in self._auxiliaries(item):
            for begins, part in _AUXILIARIES:
                if urn.startswith(begins):
                    return part
        return _OTHER_AUX

    def _metadata(self, item: int, kind: bytes, what: str) -> None:
        account = self.account
        part = _EXIF if kind == b"Exif" else _XMP
        if kind == b"mime" and what.lower() != "application/rdf+xml":
            account.lost(f"item mime {_clean(what)}", f"data of the kind {_clean(what)}")
            return
        described = list(self.items.referred.get((b"cdsc", item), ()))
        first = part not in account.parts
        if first and (not described or self.items.primary in described):
            account.add(part)
            if kind == b"Exif":
                self._exif(item)
        elif described and self.items.primary not in described and self._only_gain(described):
            account.add(_TMAP)
        else:
            account.add(_SECOND)

    def _exif(self, item: int) -> None:
        """Take EXIF as it is. Pillow writes it anew if it states another orientation than irot."""
        content = self.items.content(item, self.data, MAX_VALUE)
        tiff = content[4 + int.from_bytes(content[:4], "big") :]
        if len(content) < MAX_VALUE and tiff.startswith((b"II*\0", b"MM\0*")):
            self.account.take("exif", tiff)

    def _only_gain(self, described: list[int]) -> bool:
        return all(self.items.kinds.get(item, (b"", ""))[0] == b"tmap" for item in described)


class _PictureWalk:
    """Accounts for the properties, the depth and the colours of a coded picture."""

    def __init__(self, data: memoryview, items: Items, account: Account) -> None:
        self.data = data
        self.items = items
        self.account = account

    def walk(self) -> None:
        """The properties of the primary item, and of the pieces where it has none."""
        own = list(self.items.properties_of(self.items.primary))
        pieces = list(self.items.referred.get((b"dimg", self.items.primary), ()))
        coded = own or []
        for piece in pieces[:1]:
            coded = [*own, *self.items.properties_of(piece)]
        for box in own:
            self._property(box)
        colours = own if any(box.type == b"colr" for box in own) else coded
        self.coded(coded, colours, pieces[0] if pieces else self.items.primary)

    def coded(self, properties: list[Box], colours: list[Box], item: int) -> None:
        """Depth and colours, by the properties, and by the data of an item (0: none)."""
        bits, said = self._depth_and_colours(properties, item)
        self._depth(bits)
        self._colours([box.content for box in colours if box.type == b"colr"], said)

    def _property(self, box: Box) -> None:
        account = self.account
        content = box.content
        if box.type == b"pasp":
            square = content[:4] == content[4:8]
            account.add(_SQUARE if square else _NOT_SQUARE)
        elif box.type == b"altt":
            text, after = string(content, 4)
            account.texts.append(Text("Alternative text", text, string(content, after)[0]))
            account.add(_PROPERTIES[b"altt"])
        elif box.type == b"udes":
            language, at = string(content, 4)
            for keyword in ("Title", "Description", "Keywords"):
                text, at = string(content, at)
                if text:
                    account.texts.append(Text(keyword, text, language))
            account.add(_PROPERTIES[b"udes"])
        elif box.type == b"colr":
            pass  # together with what the coded picture says
        elif box.type in _PROPERTIES:
            account.add(_PROPERTIES[box.type])
        else:
            account.lost(f"property {named(box)}", f"property {named(box)}")

    def _depth_and_colours(self, properties: list[Box], item: int) -> tuple[int, tuple[int, int]]:
        """Bits a channel, and primaries and transfer of the coded picture (2: not said)."""
        bits = 8
        said = (2, 2)
        for box in properties:
            if box.type == b"pixi":
                count = number(box.content, 4, 1)
                bits = max(bits, *bytes(box.content[5 : 5 + count]), 0)
            elif box.type == b"hvcC":
                bits = max(bits, (number(box.content, 17, 1) & 7) + 8)
            elif box.type == b"av1C":
                flags = number(box.content, 2, 1)
                if flags & 0x40:
                    bits = max(bits, 12 if flags & 0x20 else 10)
                head = bytes(box.content[4:4096]) or self._start_of(item)
                said = sequence_colours(head)
        return bits, said

    def _start_of(self, item: int) -> bytes:
        """The first bytes of an item's data."""
        return self.items.content(item, self.data, 4096)

    def _depth(self, bits: int) -> None:
        if bits > 8:
            self.account.bits = bits
            self.account.lost(_DEPTH.name, reduced(bits))

    def _colours(self, boxes_of_colour: list[memoryview], said: tuple[int, int]) -> None:
        """The profile, which Pillow reads, or the code points of colr or of the coded picture."""
        profile = False
        points = None
        for content in boxes_of_colour:
            kind = bytes(content[:4])
            if kind in (b"prof", b"rICC"):
                profile = True
                self.account.add(_PROPERTIES[b"colr"])
            elif kind == b"nclx" and len(content) >= 10:
                points = number(content, 4, 2), number(content, 6, 2)
            else:
                self.account.lost("property colr of another kind", "colours of an unknown kind")
        primaries, transfer = points or said
        if profile and transfer not in (16, 18):
            return
        signal = signalling.from_code_points(primaries, transfer, said_by="nclx")
        if signal.note:
            self.account.lost("colr nclx", signal.note)
        elif signal.icc:
            self.account.kept("property colr", "ICC")
            self.account.icc = signal.icc
        else:
            self.account.add(_COLOURS)


_PICTURES: Final = frozenset(
    {
        b"av01",
        b"hvc1",
        b"hev1",
        b"lhv1",
        b"avc1",
        b"vvc1",
        b"jpeg",
        b"j2k1",
        b"grid",
        b"iden",
        b"iovl",
    }
    | {b"unci", b"hvt1", b"evc1", b"av1i"}
)


def _inside(content: memoryview, kind: bytes) -> memoryview:
    """The content of the first box of a type; empty if there is none."""
    return next((box.content for box in boxes(content) if box.type == kind), content[:0])
