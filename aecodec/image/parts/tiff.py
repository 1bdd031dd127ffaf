"""TIFF: the tags of the picture's directory, further directories, and other bytes.

::

    first directory --tags-------> EXIF, IPTC, XMP, ICC, resolution; layout; the rest is lost
                    --34665------> Exif directory: kept in EXIF
                    --34853------> GPS directory: kept in EXIF
                    --330--------> SubIFDs: further pictures, lost
                    --next-------> pages, reduced copies, masks: lost
    bytes behind the last one that is referred to: lost

TIFF 6.0 with Adobe's supplements and technical notes, TIFF/EP, Exif 3.0, GeoTIFF 1.1, BigTIFF.
`tiff_exif.py` copies the tags that EXIF keeps. Maker notes are lost, because they hold offsets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from aecodec.geometry import ceil_div
from aecodec.image import signalling
from aecodec.image.parts import photoshop
from aecodec.image.parts.account import (
    DAMAGED,
    FRAMES,
    HARMLESS,
    KEPT,
    LOST,
    Account,
    Part,
    Text,
    reduced,
)
from aecodec.image.parts.directories import Directory, Entry, Tiff
from aecodec.image.parts.tiff_exif import (
    EXIF,
    EXIF_TAGS,
    GPS,
    INTEROP,
    KEPT_IN_EXIF,
    MAX_VALUE,
    OTHER_TYPE,
    TOO_LARGE,
    copied_exif,
)

__all__ = ["LAYOUT", "PARTS", "is_blank", "walk"]

# --- Tags ---------------------------------------------------------------------------------------

_MAKER_NOTE: Final = 37500
_DESCRIPTION: Final = 270
LAYOUT: Final = {
    254: "NewSubfileType",
    255: "SubfileType",
    256: "ImageWidth",
    257: "ImageLength",
    258: "BitsPerSample",
    259: "Compression",
    262: "PhotometricInterpretation",
    263: "Threshholding",
    264: "CellWidth",
    265: "CellLength",
    266: "FillOrder",
    273: "StripOffsets",
    277: "SamplesPerPixel",
    278: "RowsPerStrip",
    279: "StripByteCounts",
    280: "MinSampleValue",
    281: "MaxSampleValue",
    284: "PlanarConfiguration",
    288: "FreeOffsets",
    289: "FreeByteCounts",
    292: "T4Options",
    293: "T6Options",
    317: "Predictor",
    320: "ColorMap",
    321: "HalftoneHints",
    322: "TileWidth",
    323: "TileLength",
    324: "TileOffsets",
    325: "TileByteCounts",
    326: "BadFaxLines",
    327: "CleanFaxData",
    328: "ConsecutiveBadFaxLines",
    333: "InkNames",
    334: "NumberOfInks",
    338: "ExtraSamples",
    339: "SampleFormat",
    340: "SMinSampleValue",
    341: "SMaxSampleValue",
    347: "JPEGTables",
    512: "JPEGProc",
    513: "JPEGInterchangeFormat",
    514: "JPEGInterchangeFormatLength",
    515: "JPEGRestartInterval",
    517: "JPEGLosslessPredictors",
    518: "JPEGPointTransforms",
    519: "JPEGQTables",
    520: "JPEGDCTables",
    521: "JPEGACTables",
    530: "YCbCrSubSampling",
    531: "YCbCrPositioning",
    559: "StripRowCounts",
}
_HOW_STORED: Final = "says how the pixels are stored"

_GEO: Final = "GeoTIFF tags"
_MICROSCOPE: Final = "microscope data"
_PRESS: Final = "tags for the press (TIFF/IT)"
_FAX: Final = "fax transmission details"

_OTHERS: Final = {
    274: Part("tag 274 Orientation", HARMLESS, "the pixels are turned upright"),
    34675: Part("tag 34675 ICC profile", KEPT, "ICC"),
    290: Part("tag 290 GrayResponseUnit", HARMLESS, "the unit of tag 291"),
    291: Part("tag 291 GrayResponseCurve", LOST, "response curve of the greys"),
    300: Part("tag 300 ColorResponseUnit", LOST, "response curve of the colours"),
    343: Part("tag 343 ClipPath", LOST, "clipping path"),
    344: Part("tag 344 XClipPathUnits", LOST, "clipping path"),
    345: Part("tag 345 YClipPathUnits", LOST, "clipping path"),
    346: Part("tag 346 Indexed", HARMLESS, _HOW_STORED),
    351: Part("tag 351 OPIProxy", LOST, "link to a finer picture elsewhere (OPI)"),
    32781: Part("tag 32781 ImageID", LOST, "link to a finer picture elsewhere (OPI)"),
    32932: Part("tag 32932 Wang annotation", LOST, "annotations"),
    33550: Part("tag 33550 ModelPixelScale", LOST, _GEO),
    33920: Part("tag 33920 Intergraph matrix", LOST, _GEO),
    33922: Part("tag 33922 ModelTiepoint", LOST, _GEO),
    34264: Part("tag 34264 ModelTransformation", LOST, _GEO),
    34735: Part("tag 34735 GeoKeyDirectory", LOST, _GEO),
    34736: Part("tag 34736 GeoDoubleParams", LOST, _GEO),
    34737: Part("tag 34737 GeoAsciiParams", LOST, _GEO),
    42112: Part("tag 42112 GDAL metadata", LOST, "GDAL metadata"),
    42113: Part("tag 42113 GDAL no-data value", LOST, "GDAL metadata"),
    50844: Part("tag 50844 RPCCoefficient", LOST, _GEO),
    50838: Part("tag 50838 ImageJ byte counts", LOST, "ImageJ metadata"),
    50839: Part("tag 50839 ImageJ metadata", LOST, "ImageJ metadata"),
    51123: Part("tag 51123 MicroManager metadata", LOST, _MICROSCOPE),
    33628: Part("tag 33628 MetaMorph UIC1", LOST, _MICROSCOPE),
    33629: Part("tag 33629 MetaMorph UIC2", LOST, _MICROSCOPE),
    33630: Part("tag 33630 MetaMorph UIC3", LOST, _MICROSCOPE),
    33631: Part("tag 33631 MetaMorph UIC4", LOST, _MICROSCOPE),
    34118: Part("tag 34118 Zeiss SEM", LOST, _MICROSCOPE),
    34361: Part("tag 34361 FluoView header", LOST, _MICROSCOPE),
    34362: Part("tag 34362 FluoView stamp", LOST, _MICROSCOPE),
    34412: Part("tag 34412 Zeiss LSM", LOST, _MICROSCOPE),
    34680: Part("tag 34680 FEI SFEG", LOST, _MICROSCOPE),
    34682: Part("tag 34682 FEI HELIOS", LOST, _MICROSCOPE),
    33445: Part("tag 33445 MD file tag", LOST, "gel scanner data"),
    33446: Part("tag 33446 MD scale", LOST, "gel scanner data"),
    33447: Part("tag 33447 MD colour table", LOST, "gel scanner data"),
    33448: Part("tag 33448 MD laboratory", LOST, "gel scanner data"),
    33449: Part("tag 33449 MD sample", LOST, "gel scanner data"),
    33450: Part("tag 33450 MD date", LOST, "gel scanner data"),
    33451: Part("tag 33451 MD time", LOST, "gel scanner data"),
    33452: Part("tag 33452 MD units", LOST, "gel scanner data"),
    34908: Part("tag 34908 FaxRecvParams", LOST, _FAX),
    34909: Part("tag 34909 FaxSubAddress", LOST, _FAX),
    34910: Part("tag 34910 FaxRecvTime", LOST, _FAX),
    34911: Part("tag 34911 FaxDCS", LOST, _FAX),
    37398: Part("tag 37398 TIFF/EP standard", HARMLESS, "the version of the standard"),
    37439: Part("tag 37439 StoNits", LOST, "absolute luminance (HDR)"),
    50255: Part("tag 50255 Oce annotation", LOST, "annotations"),
    50341: Part("tag 50341 print image matching", HARMLESS, "settings for printing"),
    50784: Part("tag 50784 Alias layers", LOST, "layers"),
    52545: Part("tag 52545 C2PA", LOST, "content credentials"),
    59932: Part("tag 59932 padding", HARMLESS, "is empty"),
    59933: Part("tag 59933 offset schema", HARMLESS, "says where Windows moved something"),
} | {tag: Part(f"tag {tag} TIFF/IT", LOST, _PRESS) for tag in range(34016, 34031)}

_XMP: Final = Part("tag 700 XMP", KEPT, "XMP")
_IPTC: Final = Part("tag 33723 IPTC", KEPT, "IPTC")
_PHOTOSHOP: Final = Part("tag 34377 Photoshop resources", KEPT, "see Photoshop")
_LAYERS: Final = Part("tag 37724 ImageSourceData", LOST, "layers (Photoshop)")
_NO_LAYERS: Final = Part("tag 37724 ImageSourceData, without layers", HARMLESS, "is empty")
_UNKNOWN_LAYERS: Final = Part("tag 37724 ImageSourceData, other", LOST, "Photoshop data")
_TRANSFER: Final = Part("tag 301 TransferFunction", LOST, "transfer function of the colours")
_SAID_BY_ICC: Final = "the ICC profile says it"
_WHITE_POINT, _PRIMARIES, _TRANSFER_FUNCTION = 318, 319, 301
_CHROMATICITIES: Final = Part("tags 318 WhitePoint, 319 PrimaryChromaticities", KEPT, "ICC")
_EXIF_PART: Final = Part("tag 34665 Exif directory", KEPT, "EXIF")
_GPS_PART: Final = Part("tag 34853 GPS directory", KEPT, "EXIF")
_NOTES: Final = Part(
    "tag 37500 MakerNote", LOST, "maker notes, whose inner offsets do not survive being moved"
)
_POINTER: Final = Part(
    "directory within the Exif directory", LOST, "directory of private EXIF tags"
)
_PRIVATE: Final = Part("any tag from 32768 on that is not known", LOST, "private tag N")
_UNKNOWN: Final = Part("any other tag that is not known", LOST, "unknown tag N")

_REPEATED: Final = Part("a tag that is repeated with another value", LOST, "second tag N")
_SECOND_TEXT: Final = Part("tag 270 ImageDescription, a second one", KEPT, "text Description")
_CHANNELS: Final = Part("channels beyond colour and alpha", LOST, "further channels")
_DEPTH: Final = Part("tag 258 BitsPerSample above 8", LOST, reduced(16))
_PALETTE: Final = Part(
    "tag 320 ColorMap of 16 bits", LOST, "palette of 16 bits a channel reduced to 8"
)
_VOLUME: Final = Part("tag 32997 ImageDepth", LOST, "slices of a volume")
_INKS: Final = Part("tag 332 InkSet other than CMYK", LOST, "inks other than CMYK")
_RANGE: Final = Part("tag 336 DotRange", LOST, "range of the ink values")
_BLACK_WHITE: Final = Part(
    "tag 532 ReferenceBlackWhite", LOST, "reference values of black and white"
)
_COEFFICIENTS: Final = Part("tag 529 YCbCrCoefficients", LOST, "YCbCr coefficients")
_DEFAULT: Final = Part("tags 332, 336, 529, 532 of default values", HARMLESS, _HOW_STORED)

_PAGES: Final = Part("following directories", LOST, FRAMES)
_IMAGEJ: Final = Part("ImageJ stack", LOST, FRAMES)
_REDUCED: Final = Part("directories of reduced resolution", LOST, "reduced-resolution images")
_MASK: Final = Part("directory of a transparency mask", LOST, "transparency mask")
_SUBIFDS: Final = Part("tag 330 SubIFDs", LOST, "further pictures (SubIFDs)")
_MANY: Final = Part("more directories than are read", LOST, "more directories than are read")
_BROKEN: Final = Part("directory that cannot be read", LOST, f"{DAMAGED}: TIFF directory")
_SHORT: Final = Part("pixels beyond the end", LOST, f"{DAMAGED}: pixels are missing at the end")
_OUTSIDE: Final = Part("value beyond the end", LOST, f"{DAMAGED}: a tag's value is missing")
_BEHIND: Final = Part("bytes behind the last part", LOST, "data behind the picture")
_UNUSED: Final = Part("bytes between the parts", HARMLESS, "nothing in the file refers to them")

PARTS: Final = (
    *(Part(f"tag {tag} {name}", KEPT, "EXIF") for tag, name in KEPT_IN_EXIF.items()),
    Part("tags of TIFF/EP that Exif has, too", KEPT, "EXIF"),
    _EXIF_PART,
    _GPS_PART,
    _NOTES,
    _POINTER,
    _XMP,
    _IPTC,
    _PHOTOSHOP,
    _LAYERS,
    _NO_LAYERS,
    _UNKNOWN_LAYERS,
    *(Part(f"tag {tag} {name}", HARMLESS, _HOW_STORED) for tag, name in LAYOUT.items()),
    *_OTHERS.values(),
    _CHROMATICITIES,
    _TRANSFER,
    _CHANNELS,
    _DEPTH,
    _PALETTE,
    _VOLUME,
    _INKS,
    _RANGE,
    _BLACK_WHITE,
    _COEFFICIENTS,
    _DEFAULT,
    _PAGES,
    _IMAGEJ,
    _REDUCED,
    _MASK,
    _SUBIFDS,
    _PRIVATE,
    _UNKNOWN,
    OTHER_TYPE,
    _REPEATED,
    _SECOND_TEXT,
    TOO_LARGE,
    _MANY,
    _BROKEN,
    _SHORT,
    _OUTSIDE,
    _BEHIND,
    _UNUSED,
)

_MAX_BLOCKS: Final = 10_000
"""The largest number of blocks of Photoshop's layers that are read."""
_MAX_DIRECTORIES: Final = 1000
_Array: TypeAlias = npt.NDArray[Any]
_MAX_ENTRIES: Final = 20_000
"""The largest number of entries of all directories together."""


def walk(data: memoryview, account: Account) -> None:
    """Account for every tag and directory of a TIFF."""
    tiff = Tiff(data)
    first = tiff.directory(tiff.first) if tiff.order else None
    if first is None:
        account.add(_BROKEN)
        return
    _Walk(tiff, account, first).walk()


class _Walk:
    """One walk through a TIFF; `reach` is the end of the last byte that is referred to."""

    def __init__(self, tiff: Tiff, account: Account, first: Directory) -> None:
        self.tiff = tiff
        self.account = account
        self.first = first
        self.reach = 16 if tiff.big else 8
        self.left = _MAX_ENTRIES

    def walk(self) -> None:
        self._visit(self.first)
        for tag in self.first.entries:
            self._tag(tag, self.first.entries[tag])
        pixels = _Pixels(self.tiff, self.account, self.first)
        pixels.colours()
        pixels.samples()
        self._others()
        if exif := copied_exif(self.tiff, self.first, self.account):
            self.account.exif = exif
        unit = self.tiff.number(self.first.entries.get(296), 2)
        per_inch = {2: 1.0, 3: 2.54}.get(unit)
        across = self.tiff.ratios(self.first.entries.get(282), 1)
        down = self.tiff.ratios(self.first.entries.get(283), 1)
        if per_inch and across and down and across[0] > 0 and down[0] > 0:
            self.account.resolution = across[0] * per_inch, down[0] * per_inch
        self._behind()

    # --- Directories ----------------------------------------------------------------------------

    def _visit(self, directory: Directory) -> bool:
        """Note the end of a directory and its values; False after too many entries."""
        self.left -= len(directory.entries) + 1
        if self.left < 0:
            self.account.add(_MANY)
            return False
        if directory.broken:
            self.account.add(_BROKEN)
        self.reach = max(self.reach, directory.end)
        for entry in (*directory.entries.values(), *directory.repeated):
            if entry.at < 0:
                self.account.add(_OUTSIDE)
            else:
                self.reach = max(self.reach, entry.at + entry.size)
        for entry in directory.repeated:
            self._again(entry, directory.entries[entry.tag])
        for starts, lengths in ((273, 279), (324, 325), (288, 289), (513, 514)):
            if starts in directory.entries:
                end = self._end_of_pixels(directory, starts, lengths)
                if end > len(self.tiff.data) and starts != 288:
                    self.account.add(_SHORT)
                self.reach = max(self.reach, end)
        return True

    def _again(self, entry: Entry, first: Entry) -> None:
        """A tag that is repeated, which TIFF does not allow."""
        value = self.tiff.bytes_of(entry)
        if value == self.tiff.bytes_of(first) and entry.type == first.type:
            return
        if entry.tag == _DESCRIPTION and len(value) <= MAX_VALUE:  # as tifffile writes
            self.account.add(_SECOND_TEXT)
            text = bytes(value).rstrip(b"\0").decode("utf-8", "surrogateescape")
            self.account.texts.append(Text("Description", text))
        else:
            self.account.lost(f"tag {entry.tag}, a second one", f"second tag {entry.tag}")

    def _end_of_pixels(self, directory: Directory, starts: int, lengths: int) -> int:
        """The end of the last strip or tile; the end of the file if it is not stated."""
        offsets = _array(self.tiff, directory.entries[starts])
        counts = _array(self.tiff, directory.entries.get(lengths))
        if not len(counts) or len(counts) != len(offsets):
            return self._end_without_counts(directory, offsets)
        end = 0
        for at in range(0, len(offsets), _CHUNK):
            part = offsets[at : at + _CHUNK].astype(np.float64) + counts[at : at + _CHUNK]
            end = max(end, int(part.max()))
        return end

    def _end_without_counts(self, directory: Directory, offsets: _Array) -> int:
        """The end of the pixels in a single uncompressed strip without a stated length."""
        numbers = self.tiff.number
        entries = directory.entries
        bits = sum(self.tiff.numbers(entries.get(258))) or 1
        row = ceil_div(numbers(entries.get(256)) * bits, 8)
        if len(offsets) == 1 and numbers(entries.get(259), 1) == 1:
            return int(offsets[0]) + row * numbers(entries.get(257))
        return len(self.tiff.data)

    def _others(self) -> None:
        """The directories of further pictures."""
        tiff = self.tiff
        seen = 0
        following = tiff.chain(self.first.next, _MAX_DIRECTORIES + 1)
        for directory in following:
            seen += 1
            if seen > _MAX_DIRECTORIES or directory.at == self.first.at:
                self.account.add(_MANY if seen > _MAX_DIRECTORIES else _BROKEN)
                break
            if not self._visit(directory):
                break
            self._further(directory, _PAGES)
        if self.first.next and not seen:
            self.account.add(_BROKEN)
        pointers = self.first.entries.get(330)
        if pointers is None:
            return
        offsets = tiff.numbers(pointers, _MAX_DIRECTORIES)
        if not offsets or pointers.count > _MAX_DIRECTORIES:
            self.account.add(_SUBIFDS)
        for offset in offsets:
            for directory in tiff.chain(offset, _MAX_DIRECTORIES):
                if not self._visit(directory):
                    return
                self._further(directory, _SUBIFDS)

    def _further(self, directory: Directory, part: Part) -> None:
        """One more picture: a mask, a reduced copy, or another one."""
        kind = self.tiff.number(directory.entries.get(254))
        old = self.tiff.number(directory.entries.get(255))
        if kind & 4:
            part = _MASK
        elif kind & 1 or old == 2:
            part = _REDUCED
        self.account.add(part)

    def _behind(self) -> None:
        """Account for bytes behind all that is referred to."""
        data = self.tiff.data
        if self.reach < len(data) and not is_blank(data[self.reach :]):
            description = self.tiff.text(self.first.entries.get(270), 4096)
            stack = description.startswith("ImageJ=") and "images=" in description
            self.account.add(_IMAGEJ if stack else _BEHIND)

    # --- Tags -----------------------------------------------------------------------------------

    def _tag(self, tag: int, entry: Entry) -> None:
        account = self.account
        if tag in KEPT_IN_EXIF:
            account.kept(f"tag {tag} {KEPT_IN_EXIF[tag]}", "EXIF")
        elif tag in EXIF_TAGS:
            account.kept(f"tag {tag}", "EXIF")
        elif tag in LAYOUT:
            account.harmless(f"tag {tag} {LAYOUT[tag]}", _HOW_STORED)
        elif tag in _OTHERS:
            account.add(_OTHERS[tag])
        elif (handler := _HANDLERS.get(tag)) is not None:
            handler(self, entry, self.tiff.bytes_of(entry))
        elif tag not in _SEEN_ELSEWHERE:
            kind = _PRIVATE if tag >= 32768 else _UNKNOWN
            account.lost(f"tag {tag}", kind.text.replace("N", str(tag)))

    def _xmp(self, entry: Entry, value: memoryview) -> None:
        if len(value) > MAX_VALUE:
            self.account.lost(_XMP.name, TOO_LARGE.text)
            return
        self.account.add(_XMP)
        self.account.take("xmp", bytes(value).rstrip(b"\0"))

    def _iptc(self, entry: Entry, value: memoryview) -> None:
        """IPTC: some writers pad it, and some of those that store LONGs swap its bytes."""
        if len(value) > MAX_VALUE:
            self.account.lost(_IPTC.name, TOO_LARGE.text)
            return
        content = bytes(value)
        if entry.type == 4 and content[3:4] == b"\x1c" != content[:1]:
            whole = content[: len(content) // 4 * 4]
            content = np.frombuffer(whole, "<u4").astype(">u4").tobytes()
        end = _end_of_iptc(content)
        if is_blank(memoryview(content)[end:]):
            content = content[:end]
        self.account.add(_IPTC)
        self.account.take("iptc", content)

    def _photoshop(self, entry: Entry, value: memoryview) -> None:
        self.account.add(_PHOTOSHOP)
        photoshop.walk(value, self.account)

    def _layers(self, entry: Entry, value: memoryview) -> None:
        """Photoshop's layers: "Adobe Photoshop Document Data Block", then blocks of a PSD."""
        at = bytes(value[:64]).find(b"\0") + 1
        empty = at > 0
        for _ in range(_MAX_BLOCKS):
            head = bytes(value[at : at + 12])
            if len(head) < 12 or head[:4] not in (b"8BIM", b"MIB8"):
                break
            little = head[:4] == b"MIB8"
            key = head[4:8][:: -1 if little else 1]
            size = int.from_bytes(head[8:], "little" if little else "big")
            if size and key in (b"Layr", b"Lr16", b"Lr32"):
                self.account.add(_LAYERS)
                return
            # Blocks of layers or of the document, which are always written.
            if size and key not in (b"LMsk", b"Patt", b"FMsk", b"Mtrn", b"MTrn", b"Mt16", b"Mt32"):
                empty = False
            at += 12 + ceil_div(size, 4) * 4
        self.account.add(_NO_LAYERS if empty and is_blank(value[at:]) else _UNKNOWN_LAYERS)

    def _exif_directory(self, entry: Entry, value: memoryview) -> None:
        self.account.add(_EXIF_PART if entry.tag == EXIF else _GPS_PART)
        directory = self.tiff.directory(self.tiff.number(entry))
        if directory is None:
            self.account.add(_BROKEN)
            return
        if not self._visit(directory):
            return
        for inner in directory.entries.values():
            if inner.tag == _MAKER_NOTE:
                self.account.add(_NOTES)
            elif inner.tag == INTEROP and entry.tag == EXIF:
                interop = self.tiff.directory(self.tiff.number(inner))
                if interop is None or not self._visit(interop):
                    self.account.add(_BROKEN)
            elif inner.type in (13, 18):
                self.account.add(_POINTER)


class _Pixels:
    """Accounts for the tags that define the meaning of pixel values."""

    def __init__(self, tiff: Tiff, account: Account, first: Directory) -> None:
        self.tiff = tiff
        self.account = account
        self.first = first

    def colours(self) -> None:
        """White point, primaries and transfer function, where no profile states them."""
        entries = self.first.entries
        profile = 34675 in entries or self.account.icc is not None
        if _TRANSFER_FUNCTION in entries:
            if profile:
                self.account.harmless(_TRANSFER.name, _SAID_BY_ICC)
            else:
                self.account.add(_TRANSFER)
        if _PRIMARIES not in entries:
            if _WHITE_POINT in entries:
                self.account.harmless("tag 318 WhitePoint", "without primaries it says nothing")
            return
        if profile or _TRANSFER_FUNCTION in entries:
            self.account.harmless(_CHROMATICITIES.name, _SAID_BY_ICC)
            return
        white = self.tiff.ratios(entries.get(_WHITE_POINT), 2) or (0.3127, 0.3290)
        xy = self.tiff.ratios(entries[_PRIMARIES], 6)
        if len(white) != 2 or len(xy) != 6:
            self.account.lost(_CHROMATICITIES.name, "colours that cannot be read (TIFF tag 319)")
            return
        signal = signalling.from_chromaticities(
            signalling.Chromaticities((white[0], white[1]), *zip(xy[::2], xy[1::2], strict=True)),
            signalling.SRGB_CURVE,
            said_by="TIFF tags",
            grey=self.tiff.number(entries.get(262)) < 2,
        )
        if signal.note:
            self.account.lost(_CHROMATICITIES.name, signal.note)
        else:
            self.account.add(_CHROMATICITIES)
            self.account.icc = signal.icc

    def samples(self) -> None:
        """The samples of a pixel: depth, channels, palette, ranges."""
        entries = self.first.entries
        account, tiff = self.account, self.tiff
        photometric = tiff.number(entries.get(262))
        bits = min(max((1, *tiff.numbers(entries.get(258)))), 64)
        if 8 < bits <= 16 and 3 not in tiff.numbers(entries.get(339)):
            account.lost(_DEPTH.name, reduced(bits))
            account.bits = bits
        extra = tiff.numbers(entries.get(338))
        # Photoshop and Corel have alpha without, or with 999.
        if any(kind == 0 for kind in extra) or len(extra) > 1:
            account.add(_CHANNELS)
        if tiff.number(entries.get(32997), 1) > 1:
            account.add(_VOLUME)
        if photometric == 3:
            self._palette(entries.get(320))
        if photometric == 5 and tiff.number(entries.get(332), 1) != 1:
            account.add(_INKS)
        top = 2**bits - 1
        ranges = tiff.numbers(entries.get(336))
        if ranges and any(value != (0, top)[i % 2] for i, value in enumerate(ranges)):
            account.add(_RANGE)
        self._references(photometric, top)
        if entries.keys() & {332, 336, 529, 532, 32997, 32998}:
            account.add(_DEFAULT)

    def _references(self, photometric: int, top: int) -> None:
        """Tags that change the meaning of YCbCr and RGB values. libtiff uses them for YCbCr."""
        entries = self.first.entries
        minded = photometric == 6 and self.tiff.number(entries.get(259), 1) not in (1, 6, 7)
        values = self.tiff.ratios(entries.get(532))
        middle = (top + 1) / 2
        usual = (0, top, middle, top, middle, top) if photometric == 6 else (0, top) * 3
        if (
            values
            and not minded
            and any(abs(a - b) > 0.5 for a, b in zip(values, usual, strict=False))
        ):
            self.account.add(_BLACK_WHITE)
        weights = self.tiff.ratios(entries.get(529)) if photometric == 6 and not minded else ()
        if any(abs(a - b) > 0.001 for a, b in zip(weights, (0.299, 0.587, 0.114), strict=False)):
            self.account.add(_COEFFICIENTS)

    def _palette(self, entry: Entry | None) -> None:
        values = _array(self.tiff, entry)[: 3 * 65536]
        low = values & 255
        if len(values) and values.max() > 255 and ((low != 0) & (low != values >> 8)).any():
            self.account.add(_PALETTE)


def _array(tiff: Tiff, entry: Entry | None) -> _Array:
    """A value as an array of integers, without a copy."""
    code = {3: "u2", 4: "u4", 13: "u4", 16: "u8"}.get(entry.type) if entry else None
    if entry is None or entry.at < 0 or code is None:
        return np.empty(0, np.uint32)
    return np.frombuffer(tiff.data, tiff.order + code, entry.count, entry.at)


_CHUNK: Final = 65536
_SEEN_ELSEWHERE: Final = frozenset({301, 318, 319, 330, 332, 336, 529, 532, 32997, 32998})
_HANDLERS: Final[dict[int, Callable[[_Walk, Entry, memoryview], None]]] = {
    700: _Walk._xmp,
    33723: _Walk._iptc,
    34377: _Walk._photoshop,
    37724: _Walk._layers,
    EXIF: _Walk._exif_directory,
    GPS: _Walk._exif_directory,
}


def is_blank(data: memoryview) -> bool:
    """Whether all bytes are zero, read in pieces."""
    return not any(
        np.frombuffer(data[at : at + _CHUNK], np.uint8).any() for at in range(0, len(data), _CHUNK)
    )


def _end_of_iptc(content: bytes) -> int:
    """The end of the last complete record of IPTC-IIM."""
    at = 0
    while content[at : at + 1] == b"\x1c" and at + 5 <= len(content):
        size = int.from_bytes(content[at + 3 : at + 5], "big")
        start = at + 5
        if size & 0x8000:  # extended: the length of the length
            start += size & 0x7FFF
            if size & 0x7FFF > 8:
                break
            size = int.from_bytes(content[at + 5 : start], "big")
        if start + size > len(content):
            break
        at = start + size
    return at
