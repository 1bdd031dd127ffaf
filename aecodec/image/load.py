"""Loads pictures from files, Pillow images and arrays.

::

    file, bytes, PIL.Image, array --load--> Picture: rgb (H,W,3), alpha (H,W), metadata, notes

A file is read once. Pillow decodes the pixels, and a walker of `parts` accounts for everything
else. `load` converts every picture to eight bits and three channels, turns it upright, and adds a
note for every loss.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, Final, NamedTuple, TypeAlias, cast

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from aecodec import forks
from aecodec.arrays import Pixels
from aecodec.errors import AecodecError, InputError, one_line
from aecodec.geometry import DEFAULT_MAX_PIXELS, ceil_div
from aecodec.image import ancillary, colour, formats, limits, mending, metadata, raws, xmp
from aecodec.image.parts import Account, Fate, account_for
from aecodec.image.parts.account import DAMAGED, FRAMES, GAIN_MAP, VIDEO
from aecodec.image.parts.account import reduced as depth_note
from aecodec.image.picture import Mode, Picture
from aecodec.image.watch import WatchedFile
from aecodec.stages import stage

__all__ = ["load", "open_within"]

_File: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
Source: TypeAlias = "_File | Image.Image | Pixels"


@stage("reading the picture")
def load(
    source: Source,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    keep: Collection[str] = metadata.KINDS,
    strip_gps: bool = False,
    strict: bool = False,
) -> Picture:
    """Read a picture: a path, a file's bytes, an open binary file, a Pillow image, or an array.

    A Pillow image is not changed. An array is uint8: (H,W), (H,W,3), or (H,W,4) with alpha. Greys
    (H,W) may also be bool, uint16 (white is 65535), int32 or floats (the values tell what is
    white).

    ``keep`` names the kinds of metadata to keep (`metadata.KINDS`). Without the ICC profile, the
    colours are converted to sRGB, so that the picture looks the same. ``strip_gps`` removes
    positions and places by their fields, and drops what may hold one. A note names free text, which
    is kept unread. ``strict`` turns every note into an error. A Pillow image has only the metadata
    that Pillow read from its file.

    Raises InputError if a picture cannot be read completely, ValueError for an unknown kind of
    metadata, and TypeError for what is none of these.
    """
    if unknown := set(keep) - set(metadata.KINDS):
        raise ValueError(f"no such kind of metadata: {', '.join(sorted(unknown))}")
    wanted = _Wanted(max_pixels, keep, strip_gps)
    known = (np.ndarray, Image.Image, str, os.PathLike, bytes, bytearray, memoryview)
    is_file = hasattr(source, "seekable") and not isinstance(source, io.TextIOBase)
    if not isinstance(source, known) and not is_file:
        raise TypeError(
            "a picture is a path, bytes, an open binary file, a Pillow image or a NumPy array, "
            f"not {type(source).__name__}"
        )
    with _errors_named():
        if isinstance(source, np.ndarray):
            if _is_rgb(source):
                _check_sides(source.shape[1], source.shape[0], max_pixels)
                return Picture(np.ascontiguousarray(source), "RGB")
            source = _of_array(source)
        if isinstance(source, Image.Image):
            picture = _to_picture(source, None, wanted)
        else:
            picture = _from_file(WatchedFile(_contents(source, max_pixels)), wanted)
    if strict and picture.notes:
        raise InputError(f"refused by strict: {'; '.join(picture.notes)}")
    return picture


def _is_rgb(values: Pixels) -> bool:
    """Whether an array is a picture's as it is: a Pillow image would be two copies more."""
    return values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] == 3


def _of_array(values: Pixels) -> Image.Image:
    """Pillow makes an image of one dimension, too, and says little of what it refuses.

    Values of 8 bits in uint16 are refused: in 16 bits they are next to black, and no file says so.
    """
    try:
        if values.ndim in (2, 3):
            image = Image.fromarray(values)
            if image.mode.startswith("I;16") and 0 < values.max() <= 255:
                raise InputError(
                    f"an array of uint16 with values up to {values.max()} would be black: white is"
                    " 65535; give uint8 if it is 255"
                )
            return image
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"an array of {values.dtype} and shape {values.shape} is no picture: "
        "give uint8 of shape (H,W), (H,W,3), or (H,W,4) with alpha"
    )


class _Wanted(NamedTuple):
    """The limit of pixels, and the metadata to keep."""

    max_pixels: int
    keep: Collection[str]
    strip_gps: bool


_LARGE: Final = 2**26
"""A larger file (bytes) must open as a picture before all of it is read."""


def _contents(source: _File, max_pixels: int) -> bytes:
    """The bytes of a file, read once: walker and decoder see the same even if it changes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return _contents(file, max_pixels)
    if source.seekable():
        size = source.seek(0, os.SEEK_END)
        if size > _LARGE:
            with open_within(source, max_pixels):
                pass
        source.seek(0)
        data = source.read(size)  # without a size, a buffered file makes two copies
        more = source.read()
        return data + more if more else data
    return source.read()


def _from_file(file: WatchedFile, wanted: _Wanted) -> Picture:
    """The picture of a file, with an account of all its parts. Closes the file."""
    data = file.getvalue()
    if kind := raws.kind_of(memoryview(data)):
        raise InputError(f"a camera raw ({kind}): develop it first")
    if data.startswith(mending.AEC):
        # With our plugin Pillow would read it, and a copy of a copy would be made without a word.
        raise InputError(mending.COMPRESSED)
    try:
        image = open_within(file, wanted.max_pixels)
    except UnidentifiedImageError:
        if what := mending.described(memoryview(data)):
            raise InputError(what) from None
        raise
    with image:
        account = account_for(data, str(image.format))
        del data
        if account.scan is not None:
            file.watch(account.scan)
        picture = _to_picture(image, account, wanted, file.close)
        if file.is_damaged:
            damage = f"{DAMAGED}: blocks of the picture are missing or wrong"
            picture = replace(picture, notes=(*picture.notes, damage))
    return picture


_PLAINER: Final = {"cannot load this image": "it holds no pixels, or ends before them"}
"""What Pillow says, in words that name the fault."""


@contextmanager
def _errors_named() -> Iterator[None]:
    """Translate the errors that Pillow raises for bad files, which have many types."""
    try:
        yield
    except AecodecError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("not a picture of a known kind, or its beginning is damaged") from error
    except MemoryError as error:
        raise InputError("not enough memory") from error
    except OSError as error:
        # Errors of the system have `strerror`; those of Pillow describe the file.
        text = error.strerror or one_line(error)
        raise InputError(f"cannot read the picture: {_PLAINER.get(text, text)}") from error
    except Exception as error:
        raise InputError(f"cannot read the picture: {one_line(error)}") from error


def open_within(source: BinaryIO, max_pixels: int) -> Image.Image:
    """Open a picture with `max_pixels` in place of Pillow's limit, which is a global variable.

    Pillow warns above `MAX_IMAGE_PIXELS` (89 million by default) and raises above twice as many.
    That is too little for some cameras. The lock covers only the opening, which is short. Pictures
    are decoded in parallel, except as `_prepare` describes.
    """
    with forks.gate, limits.OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the walkers report the same
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = ceil_div(max_pixels, 2)
        try:
            source.seek(0)
            formats.import_plugin_for(source.read(12))
            return Image.open(source)
        except UnidentifiedImageError:
            if not source.seek(0, os.SEEK_END):
                raise InputError("the file is empty") from None
            raise
        except Image.DecompressionBombError as error:
            # Only the text of the error states the number of pixels.
            found = re.search(r"\((\d+) pixels\)", str(error))
            raise _too_large(int(found[1]) if found else None, max_pixels) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _prepare(image: Image.Image) -> None:
    """Prepare the formats for which Pillow checks its limit a second time.

    The picture is within our own limit. If Pillow's limit is lower, it is raised to the size of the
    picture for a moment: while memory for a TIFF is allocated, or while a small format is loaded.
    """
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    if not tiff and image.format not in ("BLP", "ICNS"):
        return
    width, height = image.size
    with limits.at_least(width * height) as is_raised:
        if not is_raised:
            return
        if tiff:
            cast(TiffImagePlugin.TiffImageFile, image).load_prepare()
        else:
            image.load()


def _check_size(image: Image.Image, max_pixels: int) -> None:
    _check_sides(*image.size, max_pixels)


def _check_sides(width: int, height: int, max_pixels: int) -> None:
    if not width or not height:
        raise InputError(f"the picture is empty ({width}x{height})")
    if width * height > max_pixels:
        raise _too_large(width * height, max_pixels)


def _too_large(pixels: int | None, limit: int) -> InputError:
    """The error for a picture of so many pixels; None: the number is unknown.

    The way to raise the limit is advice, which only callers with such an option show.
    """
    if pixels is None:
        return InputError(
            f"more than the limit of {limit} pixels", advice="raise max_pixels: --max-pixels"
        )
    return InputError(
        f"{pixels} pixels, and the limit is {limit}",
        advice=f"raise max_pixels to at least {pixels} to read it: --max-pixels",
    )


# The operation that turns a picture upright, by its orientation tag. (ImageOps.exif_transpose does
# the same, but rewrites the EXIF, which loses unknown tags, and fails on some.)
_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_picture(
    image: Image.Image,
    account: Account | None,
    wanted: _Wanted,
    release: Callable[[], None] = lambda: None,
) -> Picture:
    """`account` is that of the image's file, if there is one.

    `release` is called when the file is not needed any more, before the arrays are made: files
    that are not compressed have as many bytes as these.
    """
    notes: list[str] = [] if account is None else list(account.notes)
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]  # Pillow's raw modes
    by_pillow = _turned_by_pillow(image)
    pixels = _decoded(image, account, stored, wanted.max_pixels, notes)
    # Earlier, Pillow would turn a TIFF by this EXIF. An AVIF is turned by Pillow's own.
    if account is not None and account.exif and image.format != "AVIF":
        image.info["exif"] = metadata.EXIF_PREFIX + account.exif
    if account is not None:
        notes += _unread(image, account)

    raw = _exif_of_avif(image, account, notes)
    orientation, exif = metadata.exif(
        image, notes, strip_gps=wanted.strip_gps, stored=raw, turned_from=by_pillow
    )
    turn = _TURNS.get(orientation)
    orientation = by_pillow if turn is None else orientation
    upright = pixels if turn is None else pixels.transpose(turn)
    flat = colour.to_eight_bits(colour.with_grey_scaled(upright, stored), notes)
    if flat.mode == "RGBA" and any("LA;16" in raw for raw in stored):
        flat = flat.convert("LA")  # Pillow has no 16-bit LA, and makes RGBA of it
    flat, profile = colour.matched(flat, _profile(upright, account, image.format, exif))
    icc = metadata.icc(upright, flat.mode, notes, profile)
    if icc is not None and "icc" not in wanted.keep:
        flat, exif = _in_srgb(flat, icc, exif, notes)
    others = ancillary.collect(
        image, account, wanted.keep, orientation, exif, notes, strip_gps=wanted.strip_gps
    )
    exif = exif if "exif" in wanted.keep else None
    packet = _packet(image, account, wanted, others, notes, orientation, flat.size)
    if wanted.strip_gps:
        from aecodec.image import places

        notes += places.unread(exif, packet, others.iptc, others.texts)
    release()
    rgb, alpha = _arrays(flat)
    return Picture(
        rgb=rgb,
        mode=cast(Mode, flat.mode),
        alpha=alpha,
        exif=exif,
        icc=icc if "icc" in wanted.keep else None,
        xmp=packet,
        notes=tuple(dict.fromkeys(_depth_once(notes, account))),
        **others._asdict(),
    )


def _in_srgb(
    image: Image.Image, icc: bytes, exif: bytes | None, notes: list[str]
) -> tuple[Image.Image, bytes | None]:
    """A picture without its profile, and EXIF that does not state other colours any more."""
    converted = colour.to_srgb(image, icc, notes)
    changed = converted is not image
    return converted, metadata.stating_srgb(exif) if exif and changed else exif


def _profile(
    image: Image.Image, account: Account | None, format: str | None, exif: bytes | None
) -> object:
    """The profile that a file has, or one of the colours that a camera's JPEG states in EXIF.

    A Pillow image has a format as long as its pixels are those of the file.
    """
    found = (account.icc if account else None) or image.info.get("icc_profile")
    if not found and exif and format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
        from aecodec.image import signalling

        return signalling.adobe_rgb() if metadata.states_adobe_rgb(exif) else None
    return found


def _turned_by_pillow(image: Image.Image) -> int:
    """The orientation from which Pillow turns a picture itself when it loads it: of a TIFF.

    It is that of the tag, or else of XMP.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in _TURNS else 1


def _packet(
    image: Image.Image,
    account: Account | None,
    wanted: _Wanted,
    others: ancillary.Ancillary,
    notes: list[str],
    orientation: int,
    size: tuple[int, int],
) -> bytes | None:
    """The XMP of a picture of this size, which says what is true of it."""
    packet = metadata.xmp(
        image,
        notes,
        orientation=orientation,
        strip_gps=wanted.strip_gps,
        packet=account.xmp if account else None,
        gone=(
            xmp.EXTENDED,
            *((GAIN_MAP,) if others.gain_map is None else ()),
            *((VIDEO,) if others.video is None else ()),
        ),
        size=size,
    )
    return packet if "xmp" in wanted.keep else None


def _exif_of_avif(image: Image.Image, account: Account | None, notes: list[str]) -> bytes | None:
    """The EXIF of an AVIF as it is stored, empty if there is none; None for other formats."""
    if account is None or image.format != "AVIF":
        return None
    if account.exif:
        return account.exif
    found: bytes = image.info.get("exif", b"")
    made = Image.Exif()
    made.load(found)
    if set(made) == {ExifTags.Base.Orientation}:
        return b""
    if found and found == made.tobytes():  # Pillow may have made it
        notes.append("EXIF written anew for its orientation: a maker note in it may be damaged")
    return found.removeprefix(metadata.EXIF_PREFIX)


def _decoded(
    image: Image.Image,
    account: Account | None,
    stored: list[str],
    max_pixels: int,
    notes: list[str],
) -> Image.Image:
    """The pixels as stored, repaired where Pillow misreads them."""
    _check_size(image, max_pixels)
    if image.format in ("EPS", "WMF"):  # Pillow would start another program
        raise InputError(f"{image.format} is a drawing, not a picture; render it first")

    # The walker of JPEG tells further pictures from previews and gain maps.
    if getattr(image, "is_animated", False) and (account is None or image.format != "MPO"):
        notes.append(FRAMES)
    if any(";16" in raw and "BGR;16" not in raw for raw in stored):  # that is 5, 6 and 5 bits
        notes.append(depth_note(16))
    mend = mending.before_load(image)
    _prepare(image)
    image.load()
    _check_size(image, max_pixels)  # in some formats the embedded picture has another size
    return colour.with_depth(image if mend is None else mend(image, notes))


def _unread(image: Image.Image, account: Account) -> Iterator[str]:
    """Notes on metadata that a part of the file holds, and that nobody has read."""
    found = {
        "EXIF": account.exif or "exif" in image.info,
        "XMP": account.xmp or _XMP & image.info.keys(),
    }
    for kind, content in found.items():
        if not content and any(p.fate is Fate.KEPT and p.text == kind for p in account.parts):
            yield f"{kind} that cannot be read is dropped"


_XMP: Final = {"xmp", "XML:com.adobe.xmp"}


def _depth_once(notes: list[str], account: Account | None) -> list[str]:
    """The notes with one on the depth: that of the walker, which is exact."""
    if account is None or account.bits is None:
        return notes
    own = depth_note(account.bits)
    depths = {depth_note(bits) for bits in range(9, 65)}
    return [own, *(note for note in notes if note not in depths)]


def _arrays(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    """Return the colours and the alpha of a picture in one of the four modes.

    Works in strips that fit into a core's cache. Pillow's conversions and the bridge to numpy make
    three copies. Through main memory they would take four times as long.
    """
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if image.mode in ("LA", "RGBA") else None
    rows = max(1, 2**18 // width)
    for y in range(0, height, rows):
        # In some versions of Pillow `crop` checks its limit of pixels; `resize` does not.
        bottom = min(y + rows, height)
        box = (0, y, width, bottom)
        strip = image.resize((width, bottom - y), Image.Resampling.NEAREST, box)
        rgb[y : y + rows] = np.asarray(strip.convert("RGB"))
        if alpha is not None:
            alpha[y : y + rows] = np.asarray(strip.getchannel("A"))
    return rgb, alpha
