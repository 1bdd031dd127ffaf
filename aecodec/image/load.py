"""Pictures from files, Pillow images and arrays, as the codec takes them.

::

    file, bytes, PIL.Image, array --load--> Picture: rgb (H,W,3), alpha (H,W), metadata, notes

A file is read once: Pillow decodes it, and a walker of `parts` accounts for whatever else it holds.
`load` brings every picture to eight bits, three channels, the right way up, and notes what is lost
on the way, so that a user can be told.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, Final, NamedTuple, TypeAlias, cast

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from aecodec import forks
from aecodec.arrays import Pixels
from aecodec.errors import AecodecError, InputError, one_line
from aecodec.geometry import DEFAULT_MAX_PIXELS, ceil_div
from aecodec.image import ancillary, colour, mending, metadata, raws, xmp
from aecodec.image.parts import Account, account_for
from aecodec.image.parts.account import DAMAGED, FRAMES, GAIN_MAP, VIDEO
from aecodec.image.parts.account import reduced as depth_note
from aecodec.image.picture import Mode, Picture
from aecodec.image.watch import WatchedFile
from aecodec.stages import stage

__all__ = ["load"]

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

    A Pillow image is left as it is. An array is of uint8: (H,W), (H,W,3), or (H,W,4) with alpha.
    Of the metadata, ``keep`` names the kinds that stay (`metadata.KINDS`); where the ICC profile
    does not, the colours are brought to sRGB, so that they still look the same. ``strip_gps`` takes
    the position out of EXIF and XMP, and drops what may hold one elsewhere. With ``strict``, what
    would be a note is an error. What a file holds beyond what Pillow reads is known of a file
    alone, not of a Pillow image. Raises InputError for whatever cannot be read completely, and
    ValueError for a kind of metadata that does not exist.
    """
    if unknown := set(keep) - set(metadata.KINDS):
        raise ValueError(f"no such kind of metadata: {', '.join(sorted(unknown))}")
    wanted = _Wanted(max_pixels, keep, strip_gps)
    with _errors_named():
        if isinstance(source, np.ndarray):
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            picture = _to_picture(source, None, wanted)
        else:
            picture = _from_file(_contents(source, max_pixels), wanted)
    if strict and picture.notes:
        raise InputError(f"refused by strict: {'; '.join(picture.notes)}")
    return picture


class _Wanted(NamedTuple):
    """The limit of pixels, and what of the metadata stays."""

    max_pixels: int
    keep: Collection[str]
    strip_gps: bool


_LARGE: Final = 2**26
"""Bytes of a file that is looked at before all of it is read: it may be no picture."""


def _contents(source: _File, max_pixels: int) -> bytes:
    """The bytes of a file. What is walked is what is decoded, even if the file changes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return _contents(file, max_pixels)
    if source.seekable():
        if source.seek(0, os.SEEK_END) > _LARGE:
            with _open(source, max_pixels):
                pass
        source.seek(0)
    return source.read()


def _from_file(data: bytes, wanted: _Wanted) -> Picture:
    """A picture of a file of which everything is accounted for."""
    if kind := raws.kind_of(memoryview(data)):
        raise InputError(f"a camera raw ({kind}): develop it first")
    file = WatchedFile(data)
    try:
        image = _open(file, wanted.max_pixels)
    except UnidentifiedImageError:
        if what := mending.described(memoryview(data)):
            raise InputError(what) from None
        raise
    with image:
        account = account_for(data, str(image.format))
        if account.scan is not None:
            file.watch(account.scan)
        picture = _to_picture(image, account, wanted)
        if file.is_damaged:
            damage = f"{DAMAGED}: blocks of the picture are missing or wrong"
            picture = replace(picture, notes=(*picture.notes, damage))
    return picture


@contextmanager
def _errors_named() -> Iterator[None]:
    """Translate whatever Pillow raises for a bad file; there is no end to the kinds."""
    try:
        yield
    except AecodecError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("not a picture of a known kind, or its beginning is damaged") from error
    except MemoryError as error:
        raise InputError("not enough memory") from error
    except OSError as error:
        # Those of the system have a text of their own; Pillow's say what is wrong with the file.
        raise InputError(f"cannot read the picture: {error.strerror or one_line(error)}") from error
    except Exception as error:
        raise InputError(f"cannot read the picture: {one_line(error)}") from error


_OPENING: Final = forks.Lock()


def _open(source: BinaryIO, max_pixels: int) -> Image.Image:
    """Open a picture with a limit of our own in place of Pillow's, which is a global variable.

    Pillow warns above `MAX_IMAGE_PIXELS` (89 million, by default) and raises above twice as many:
    too little for the cameras that we want to serve. The lock covers the opening alone, which is
    short; pictures are decoded side by side, but for what `_prepare` says.
    """
    with forks.gate, _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they are about, the walkers say
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = ceil_div(max_pixels, 2)
        try:
            return Image.open(source)
        except UnidentifiedImageError:
            if not source.seek(0, os.SEEK_END):
                raise InputError("the file is empty") from None
            raise
        except Image.DecompressionBombError as error:
            # Only its text says how many they are.
            found = re.search(r"\((\d+) pixels\)", str(error))
            raise _too_large(int(found[1]) if found else None, max_pixels) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _prepare(image: Image.Image) -> None:
    """Have Pillow check its limit once more, where it does so when it loads a picture.

    The picture has passed our own limit. Pillow's is raised to its size, where that is less, while
    a TIFF's memory is taken, or one of the small formats is loaded that can't be prepared: no other
    thread is left with a lower limit meanwhile, nor with none.
    """
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    if not tiff and image.format not in ("BLP", "ICNS"):
        return
    width, height = image.size
    with forks.gate, _OPENING:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is None or width * height <= limit:
            return
        Image.MAX_IMAGE_PIXELS = width * height
        try:
            if tiff:
                cast(TiffImagePlugin.TiffImageFile, image).load_prepare()
            else:
                image.load()
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if not width or not height:
        raise InputError(f"the picture is empty ({width}x{height})")
    if width * height > max_pixels:
        raise _too_large(width * height, max_pixels)


def _too_large(pixels: int | None, limit: int) -> InputError:
    """What is said of a picture of so many pixels, if that is known.

    How to raise the limit is advice: what has no such option says the rest alone.
    """
    if pixels is None:
        return InputError(
            f"more than the limit of {limit} pixels", advice="raise max_pixels: --max-pixels"
        )
    return InputError(
        f"{pixels} pixels, and the limit is {limit}",
        advice=f"raise max_pixels to at least {pixels} to read it: --max-pixels",
    )


# What brings a picture upright, by its orientation tag. (ImageOps.exif_transpose does the same, and
# writes the EXIF anew meanwhile, which loses whatever Pillow does not know and fails on some.)
_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_picture(image: Image.Image, account: Account | None, wanted: _Wanted) -> Picture:
    """`account` is that of the image's file, if there is one."""
    notes: list[str] = [] if account is None else list(account.notes)
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]  # Pillow's raw modes
    pixels = _decoded(image, account, stored, wanted.max_pixels, notes)
    if account is not None and account.exif:  # not before: Pillow would turn a TIFF by this EXIF
        image.info["exif"] = metadata.EXIF_PREFIX + account.exif

    orientation, exif = metadata.exif(image, notes, strip_gps=wanted.strip_gps)
    turn = _TURNS.get(orientation)
    upright = pixels if turn is None else pixels.transpose(turn)
    flat = colour.to_eight_bits(colour.with_grey_scaled(upright, stored), notes)
    if flat.mode == "RGBA" and any("LA;16" in raw for raw in stored):
        flat = flat.convert("LA")  # Pillow has no 16-bit LA, and makes RGBA of it
    found = (account.icc if account else None) or upright.info.get("icc_profile")
    flat, profile = colour.matched(flat, found)
    icc = metadata.icc(upright, flat.mode, notes, profile)
    if icc is not None and "icc" not in wanted.keep:
        flat = colour.to_srgb(flat, icc, notes)
    if "exif" not in wanted.keep:
        exif = None
    others = ancillary.collect(
        image, account, wanted.keep, orientation, exif, notes, strip_gps=wanted.strip_gps
    )
    packet = metadata.xmp(
        image,
        notes,
        turned=turn is not None,
        strip_gps=wanted.strip_gps,
        packet=account.xmp if account else None,
        gone=(
            xmp.EXTENDED,
            *((GAIN_MAP,) if others.gain_map is None else ()),
            *((VIDEO,) if others.video is None else ()),
        ),
        size=flat.size,
    )
    rgb, alpha = _arrays(flat)
    return Picture(
        rgb=rgb,
        mode=cast(Mode, flat.mode),
        alpha=alpha,
        exif=exif,
        icc=icc if "icc" in wanted.keep else None,
        xmp=packet if "xmp" in wanted.keep else None,
        notes=tuple(dict.fromkeys(_depth_once(notes, account))),
        **others._asdict(),
    )


def _decoded(
    image: Image.Image,
    account: Account | None,
    stored: list[str],
    max_pixels: int,
    notes: list[str],
) -> Image.Image:
    """The pixels as they are stored, mended where Pillow gets them wrong."""
    _check_size(image, max_pixels)
    if image.format in ("EPS", "WMF"):  # Pillow would start another program to render it
        raise InputError(f"{image.format} is a drawing, not a picture; render it first")

    # Of a JPEG with several pictures its walker knows which of them are pictures of their own.
    if getattr(image, "is_animated", False) and (account is None or image.format != "MPO"):
        notes.append(FRAMES)
    if any(";16" in raw for raw in stored):
        notes.append(depth_note(16))
    mend = mending.before_load(image)
    _prepare(image)
    image.load()
    _check_size(image, max_pixels)  # of some formats what is inside may have another size
    return colour.with_depth(image if mend is None else mend(image, notes))


def _depth_once(notes: list[str], account: Account | None) -> list[str]:
    """The notes with a single one on the depth: the walker knows it better than Pillow's mode."""
    if account is None or account.bits is None:
        return notes
    own = depth_note(account.bits)
    depths = {depth_note(bits) for bits in range(9, 65)}
    return [own, *(note for note in notes if note not in depths)]


def _arrays(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    """Return the colours and the alpha of a picture in one of the four modes.

    Goes in strips that stay in a core's cache: Pillow's conversions and its bridge to numpy make
    three copies on the way, which take four times as long where each goes through the memory (and
    for a hundred million pixels would be a gigabyte).
    """
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if image.mode in ("LA", "RGBA") else None
    rows = max(1, 2**18 // width)
    for y in range(0, height, rows):
        # Not `crop`, which in some versions of Pillow minds the limit that `_open` sets aside.
        bottom = min(y + rows, height)
        box = (0, y, width, bottom)
        strip = image.resize((width, bottom - y), Image.Resampling.NEAREST, box)
        rgb[y : y + rows] = np.asarray(strip.convert("RGB"))
        if alpha is not None:
            alpha[y : y + rows] = np.asarray(strip.getchannel("A"))
    return rgb, alpha
