"""Repairs for pictures that Pillow misreads silently. Some of them are refused instead.

::

    opened image --before_load--> corrected arguments of its decoder, or InputError
    loaded image --Mend---------> the picture that the file holds

tests/image/test_mending.py writes every kind of TIFF that Pillow opens, and compares what Pillow
reads with what was written. A repair sets the raw mode of the decoder, or computes with the values.
Kinds without a repair are refused in one line.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, BinaryIO, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from aecodec.errors import InputError
from aecodec.image import colour
from aecodec.image.parts.account import DAMAGED, reduced
from aecodec.image.parts.directories import Tiff

__all__ = ["AEC", "COMPRESSED", "Mend", "before_load", "described"]

Mend: TypeAlias = Callable[[Image.Image, list[str]], Image.Image]
"""Takes a loaded image, returns the picture, and adds notes on what is lost."""

_GREY_TURNED, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3


class _Kind:
    """The tags of a TIFF on its pixels, with the defaults of TIFF 6.0."""

    def __init__(self, image: TiffImagePlugin.TiffImageFile) -> None:
        tags = image.tag_v2
        self.bits = max(_numbers(tags.get(258, 1)), default=1)
        self.photometric = tags.get(262, 0)
        self.planar = tags.get(284, 1) == 2
        self.format = max(_numbers(tags.get(339, 1)), default=1)
        self.extra = _numbers(tags.get(338, ()))
        self.turned_bits = tags.get(266, 1) == 2
        self.subsampling = _numbers(tags.get(530, (2, 2)))
        self.packed = tags.get(259, 1) != 1
        self.big_endian = tags.prefix == b"MM"


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(v for v in values if isinstance(v, int))


def before_load(image: Image.Image) -> Mend | None:
    """Correct the decoder of an opened image, and return a repair for the loaded one, or None.

    Raises InputError for pictures that Pillow misreads and that have no repair.
    """
    # What a format needs is imported for its pictures alone.
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        from aecodec.image import tiff_damage

        _set_right(image)
        return partial(_after_load, tiff_damage.is_damaged(image))
    mend: Callable[[Image.Image], Image.Image] | None = None
    if image.format == "JPEG2000":
        from aecodec.image import jpeg2000

        mend = jpeg2000.before_load(image)
    elif image.format == "PSD":
        from aecodec.image import photoshop_file

        mend = photoshop_file.before_load(image)
    elif image.format == "PNG":
        mend = _with_sixteen_bit_key(image)
    elif image.format == "XBM":
        mend = _with_black_ink
    elif image.format == "GIF" and (box := _smaller_frame(image)):
        return partial(_with_background, box, image.info["background"])
    if mend is not None:
        return partial(_mended_by, mend)
    if image.format == "SUN" and isinstance(image, ImageFile.ImageFile):
        image.tile = [
            tile._replace(args=_replaced(tile.args, _PADDED_FIRST)) for tile in image.tile
        ]
    if image.format == "TGA" and _has_attributes(image):
        return _without_attributes
    if image.format == "FITS" and (file := getattr(image, "fp", None)) is not None:
        from aecodec.image.parts import fits

        place = file.tell()
        file.seek(0)
        values, _, _ = fits.cards(memoryview(file.read(_FITS_HEADER)))
        file.seek(place)
        return partial(_fits, values)
    return None


def _mended_by(
    mend: Callable[[Image.Image], Image.Image], image: Image.Image, notes: list[str]
) -> Image.Image:
    return mend(image)


def _with_sixteen_bit_key(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """The transparency of a PNG of 16 bits a channel, which one colour of its 2**48 stands for.

    Pillow reads the upper byte of each channel, so that no colour is that one. Read as if it were
    of the other byte order, it has the lower bytes.
    """
    key = image.info.get("transparency")
    if image.mode != "RGB" or not isinstance(key, tuple):
        return None
    if not isinstance(image, ImageFile.ImageFile) or image.fp is None:
        return None
    if [tile.args for tile in image.tile][:1] != ["RGB;16B"]:
        return None
    from aecodec.image.jpeg2000 import contents

    data = bytes(contents(cast(BinaryIO, image.fp)))

    def mend(loaded: Image.Image) -> Image.Image:
        low = PngImagePlugin.PngImageFile(io.BytesIO(data))
        low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
        low.load()
        wanted = np.array(key, np.uint16)
        hidden = (np.asarray(loaded) == wanted >> 8) & (np.asarray(low) == wanted & 255)
        mended = loaded.copy()
        del mended.info["transparency"]
        mended.putalpha(Image.fromarray(np.where(hidden.all(axis=2), 0, 255).astype(np.uint8)))
        return mended

    return mend


def _smaller_frame(image: Image.Image) -> tuple[int, int, int, int] | None:
    """The box of a GIF's first image, if the screen around it has the background's colour."""
    boxes = [tuple(tile.extents) for tile in getattr(image, "tile", ()) if tile.extents]
    if "background" not in image.info or "transparency" in image.info or len(boxes) != 1:
        return None
    return boxes[0] if boxes[0] != (0, 0, *image.size) else None


def _with_background(
    box: tuple[int, int, int, int], background: int, image: Image.Image, notes: list[str]
) -> Image.Image:
    """A GIF whose screen has the colour of its background, and not the first of its palette."""
    if image.mode == "L":  # a palette that only counts up, which Pillow leaves out
        screen = Image.new("L", image.size, background)
        screen.paste(image.crop(box), box)
    else:
        notes.append("palette converted to RGB")
        palette = getattr(image, "global_palette", None)
        grey = bytes([background] * 3)
        colour = grey if palette is None else palette.palette[3 * background :][:3]
        screen = Image.new("RGB", image.size, tuple(bytes(colour).ljust(3, b"\0")))
        screen.paste(image.convert("RGB").crop(box), box)
    screen.info = dict(image.info)
    return screen


def _with_black_ink(image: Image.Image) -> Image.Image:
    """An XBM, whose bits of 1 are the foreground: black, as X11 and Netpbm have it."""
    mended = Image.eval(image.convert("L"), lambda value: 255 - value).convert("1")
    mended.info = dict(image.info)
    return mended


def _has_attributes(image: Image.Image) -> bool:
    """Whether pixels or palette of a TGA have 16 bits, of which one is an attribute."""
    palette = getattr(image.palette, "rawmode", None)
    return palette == "BGRA;15Z" or any(
        "BGRA;15" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def _without_attributes(image: Image.Image, notes: list[str]) -> Image.Image:
    """A TGA of 16 bits a pixel without its attribute bits, which Pillow takes for transparency.

    Programs disagree on what they mean. Taken for it, they would hide the colours of a picture.
    """
    if image.mode == "P":
        notes.append("palette converted to RGB")
    whole = image.convert("RGBA")
    low, high = whole.getchannel("A").getextrema()
    if low != high:
        notes.append("attribute bits of the pixels (TGA)")
    mended = whole.convert("RGB")
    mended.info = dict(image.info)
    return mended


def _set_right(image: TiffImagePlugin.TiffImageFile) -> None:
    """Correct the decoder of a TIFF."""
    kind = _Kind(image)
    if what := _refused(image.mode, kind):
        raise InputError(f"a TIFF of a kind that is not read: {what}")
    modes = _raw_modes(image.mode, kind)
    if not modes:
        return
    if not image.tile:
        raise InputError("Pillow has read this TIFF wrongly: give the file, not the image")
    image.tile = [tile._replace(args=_replaced(tile.args, modes)) for tile in image.tile]


def _replaced(args: Any, modes: Mapping[str, str]) -> Any:
    """A decoder's arguments, of which the first is the raw mode, or the only one."""
    if isinstance(args, str):
        return modes.get(args, args)
    return (modes.get(args[0], args[0]), *args[1:]) if isinstance(args, tuple) else args


_PADDED_FIRST: Final = {"RGBX": "XRGB", "BGRX": "XBGR"}
"""The fourth byte of a pixel of a Sun raster stands before the colours, and not behind them."""


def _refused(mode: str, kind: _Kind) -> str:
    """The property of a TIFF for which it is refused, in words; empty: none."""
    if kind.planar and kind.turned_bits and kind.bits >= 8:
        return "separate planes, their bits in reverse order"
    if kind.planar and mode in ("LA", "La", "PA"):
        return "grey or palette and transparency in separate planes"
    if kind.planar and mode == "LAB":
        return "CIELab in separate planes"
    if kind.planar and kind.packed and mode == "RGBA" and not kind.extra:
        return "a fourth plane that is not said to be transparency"
    if kind.planar and not kind.packed and kind.bits == 16 and mode == "CMYK":
        return "16-bit CMYK in separate planes, not compressed"
    if kind.photometric == _YCBCR and not kind.packed and kind.subsampling != (1, 1):
        return "YCbCr with subsampling, not compressed"
    return ""


_NATIVE: Final = {
    "F;32F": "F;32NF",
    "F;32BF": "F;32NF",
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
}
"""libtiff returns values in the byte order of the machine."""


def _raw_modes(mode: str, kind: _Kind) -> dict[str, str]:
    """Raw modes, and those that replace them."""
    if kind.packed:
        swapped = kind.big_endian != (sys.byteorder == "big")
        signed = kind.format in (_SIGNED, _FLOAT) and kind.bits >= 16
        return _NATIVE if swapped and signed else {}
    if kind.planar and kind.bits == 16 and mode in ("RGB", "RGBA"):
        return {band: f"{band};16{'B' if kind.big_endian else 'L'}" for band in "RGBA"}
    if sys.byteorder == "big" and mode == "I" and kind.format == _UNSIGNED:
        return {"I;32N": "I;32"}  # Pillow opens those of little endian alone
    return {}


def _after_load(damaged: bool, image: Image.Image, notes: list[str]) -> Image.Image:
    """Return the picture of a loaded TIFF, which mostly is the image itself."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    if damaged:
        notes.append(f"{DAMAGED}: blocks of the picture are missing or wrong")
    kind = _Kind(image)
    mended: Image.Image | None = None
    turned = kind.photometric == _GREY_TURNED
    if image.mode == "L" and kind.format == _SIGNED:
        values = np.asarray(image).view(np.int8).astype(np.int16) + 128
        notes.append("signed values of 8 bits: 128 added")
        mended = Image.fromarray(values.astype(np.uint8))
    elif kind.bits == 12 and image.mode.startswith("I;16"):
        notes.append(reduced(12))
        mended = _scaled_from_twelve(np.asarray(image))
    elif image.mode == "I" and kind.format == _UNSIGNED and kind.bits == 32:
        mended = colour.scaled(np.asarray(image).view(np.uint32), "32-bit", notes)
    elif image.mode in ("I;16", "I;16B") and turned:
        mended = Image.fromarray(65535 - np.asarray(image).astype(np.uint16))
    elif image.mode == "F" and turned:
        light = colour.scaled(np.asarray(image), "floating-point", notes)
        mended = Image.fromarray(255 - np.asarray(light))
    elif kind.photometric == _PALETTE and image.mode == "P":
        entries = _numbers(image.tag_v2.get(320, ()))
        if entries and 0 < max(entries) < 256:  # written as if the entries had 8 bits, not 16
            mended = Image.fromarray(np.asarray(image))
            mended.putpalette(np.array(entries, np.uint8).reshape(3, -1).T.tobytes())
    if mended is None:
        return image
    mended.info = dict(image.info)
    return mended


def _scaled_from_twelve(values: npt.NDArray[np.uint16]) -> Image.Image:
    return Image.fromarray(((values.astype(np.uint32) * 255 + 2047) // 4095).astype(np.uint8))


# --- FITS ---------------------------------------------------------------------------------------

_FITS_HEADER: Final = 2**20


def _fits(values: dict[str, str], image: Image.Image, notes: list[str]) -> Image.Image:
    """Compute the values of a FITS file: BZERO + BSCALE times the stored ones.

    Pillow ignores both, and reads signed 16-bit values as unsigned.
    """
    try:
        scale, zero = float(values.get("BSCALE", "1")), float(values.get("BZERO", "0"))
    except ValueError as error:
        raise InputError("FITS whose BSCALE or BZERO is no number") from error
    stored = np.asarray(image)
    if image.mode.startswith("I;16"):
        stored = stored.astype(np.uint16).view(np.int16)
    elif scale == 1 and zero == 0:
        return image
    if image.mode.startswith("I;16") and scale == 1 and zero == 32768:
        mended = Image.fromarray((stored.astype(np.int32) + 32768).astype(np.uint16))
    else:
        physical = stored * scale + zero if scale != 1 or zero != 0 else stored
        mended = colour.scaled(physical, f"{abs(int(values.get('BITPIX', '0')))}-bit", notes)
    mended.info = dict(image.info)
    return mended


# --- What is not read ---------------------------------------------------------------------------

_PHOTOMETRICS: Final = {
    0: "greyscale (white is zero)",
    1: "greyscale",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL (HDR)",
    32845: "LogLuv (HDR)",
}
_FORMATS: Final = {1: "", 2: " signed", 3: " floating-point", 5: " complex", 6: " complex"}
_COMPRESSIONS: Final = {
    6: "old JPEG",
    7: "JPEG",
    9: "JBIG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGILog",
    34677: "SGILog",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    34926: "zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_USUAL: Final = frozenset({1, 2, 3, 4, 5, 8, 32773, 32946})


AEC: Final = b"\x89AEC\r\n"
COMPRESSED: Final = "an .aec file: decompress it first"
_OTHER_KINDS: Final = (
    (0, AEC, COMPRESSED),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%PDF-", "PDF"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"P7\n", "PAM"),
    (0, b"PF\n", "PFM of three channels"),
    (0, b"AT&TFORM", "DjVu"),
)
"""Where a file has which bytes, and its kind."""
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1"})


def _other_kind(data: memoryview) -> str | None:
    start = bytes(data[:1024])
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "HEIC, which is not read"
    if b"<svg" in start:
        return "SVG, which is not read"
    for at, mark, kind in _OTHER_KINDS:
        if start[at : at + len(mark)] == mark:
            return kind if ":" in kind else f"{kind}, which is not read"
    return None


def described(data: memoryview) -> str | None:
    """Describe a file of another known kind, or a TIFF or PSD, that Pillow does not open.

    None for any other file.
    """
    if kind := _other_kind(data):
        return kind
    tiff = Tiff(data)
    directory = tiff.directory(tiff.first) if tiff.order else None
    if directory is None:
        from aecodec.image import photoshop_file

        return photoshop_file.described(data)
    entries = directory.entries
    if not {256, 257} <= entries.keys():
        return "a TIFF without a picture"
    bits = max(tiff.numbers(entries.get(258)), default=1)
    form = max(tiff.numbers(entries.get(339)), default=1)
    photometric = tiff.number(entries.get(262))
    words = ["BigTIFF, big endian"] if tiff.big and tiff.order == ">" else []
    words += [
        _PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}"),
        f"{bits}-bit{_FORMATS.get(form, ' unknown')} values",
    ]
    samples = tiff.number(entries.get(277), 1)
    if samples > 4:
        words.append(f"{samples} channels")
    if tiff.number(entries.get(284), 1) == 2:
        words.append("separate planes")
    compression = tiff.number(entries.get(259), 1)
    if compression not in _USUAL:
        words.append(f"compressed as {_COMPRESSIONS.get(compression, f'number {compression}')}")
    return f"a TIFF of a kind that is not read: {', '.join(words)}"
