"""Writes decoded pictures in the formats of Pillow.

::

    PIL.Image with metadata in `info` --save--> file, notes on what the format cannot hold
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import numpy as np
from PIL import ExifTags, Image

from aecodec.arrays import Pixels
from aecodec.errors import AecodecError, OutputError, one_line
from aecodec.image import ancillary, colour, formats, metadata, outputs, png
from aecodec.image.picture import MODES, Mode, grey_of, pillow_info
from aecodec.stages import stage

__all__ = ["LOSSY", "save", "save_bands"]


@dataclass(frozen=True)
class _Writer:
    """The properties of a format, and the options with the least loss."""

    modes: tuple[Mode, ...] = ("L", "RGB")
    metadata: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    colours: str = ""
    """A note on colours, where their loss is more than rounding."""
    transparency: str = ""
    """The same for transparency."""
    side: int | None = None
    """The largest side in pixels; of a larger picture Pillow would shrink it, or fail."""
    grey: Mapping[str, object] = field(default_factory=dict)
    """More options for greyscale."""


_ALL_METADATA: Final = ("exif", "icc_profile", "xmp")
_NAMES: Final = {"exif": "EXIF", "icc_profile": "ICC profile", "xmp": "XMP"}
_OF_JPEG: Final = {"quality": 95, "subsampling": "4:4:4"}
_SIDE_OF_JPEG: Final = 65500  # pixels; the limit of libjpeg
_WRITERS: Final[Mapping[str, _Writer]] = {
    "AVIF": _Writer(
        MODES,
        _ALL_METADATA,
        {"quality": 90, "subsampling": "4:4:4"},
        transparency="AVIF keeps the transparency only nearly",
        side=32768,  # libavif reads no larger one
        grey={"subsampling": "4:0:0"},
    ),
    "DDS": _Writer(MODES),
    "GIF": _Writer(colours="GIF has 256 colours", side=65535),
    "ICNS": _Writer(side=0),
    "ICO": _Writer(MODES, side=256),
    "JPEG": _Writer(("L", "RGB"), _ALL_METADATA, _OF_JPEG, side=_SIDE_OF_JPEG),
    "JPEG2000": _Writer(MODES),
    "MPO": _Writer(("L", "RGB"), _ALL_METADATA, _OF_JPEG, side=_SIDE_OF_JPEG),
    "PCX": _Writer(side=65535),
    "PDF": _Writer(options={"quality": 95}, side=_SIDE_OF_JPEG),
    "PNG": _Writer(MODES, _ALL_METADATA),
    "QOI": _Writer(("RGB", "RGBA")),
    "SGI": _Writer(("L", "RGB", "RGBA"), side=65535),
    "SPIDER": _Writer(("L",)),
    "TGA": _Writer(MODES, side=65535),
    "TIFF": _Writer(MODES, _ALL_METADATA, {"compression": "tiff_adobe_deflate"}),
    "WEBP": _Writer(("RGB", "RGBA"), _ALL_METADATA, {"lossless": True, "exact": True}, side=16383),
}
LOSSY: Final = frozenset({"AVIF", "JPEG", "MPO", "PDF"})
"""Formats that are written with small errors in every pixel, of which no note speaks."""
_PILLOWS_PNG: Final = frozenset(
    {"bits", "compress_level", "compress_type", "dictionary", "optimize", "save_all"}
)
"""Options that the fast PNG writer does not have."""
_JPEG_SEGMENT: Final = 65533  # bytes; what JPEG can hold of EXIF or XMP


@stage("writing the picture")
def save(
    image: Image.Image,
    target: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    *,
    threads: int = 1,
    bands: png.Bands | None = None,
    **options: object,
) -> tuple[str, ...]:
    """Write a picture, with its metadata where the format has a place for it.

    ``format`` is Pillow's name of the format. Without it, the suffix of the path decides, and an
    open file gets a PNG. ``threads`` is for the compression of a PNG. ``bands`` are the pixels of a
    PNG, in place of the picture's. ``options`` are Pillow's for the format; with an option on
    compression, Pillow writes the PNG.

    Returns notes on what the format cannot hold. Raises OutputError if the format cannot hold the
    transparency, or if the file cannot be written.
    """
    name = (format or _format_of(target)).upper()
    writer = _WRITERS.get(name, _Writer())
    notes: list[str] = []
    image = _fitted(image, name, writer, notes)
    more = writer.grey if image.mode in ("L", "LA") else {}
    keywords = {**writer.options, **more, **options}
    if name == "ICO":
        keywords.setdefault("sizes", [image.size])
    _add_metadata(image, name, writer, keywords, notes)
    try:
        if name == "TIFF":
            exif = keywords.pop("exif", None)
            keywords["exif"] = _tiff_tags(keywords.pop("xmp", None))
        output = outputs.Output(image, keywords, notes)
        if name == "TIFF" and isinstance(exif, bytes):
            _add_directories(output, exif.removeprefix(metadata.EXIF_PREFIX))
        outputs.give(output, name, ancillary.of(image))
        with _opened(target) as file:
            _write(output, name, file, threads, bands)
    except (AecodecError, MemoryError, BrokenPipeError):
        # From decoding the bands; or the reader of a pipe has ended.
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write the {name}: {error.strerror or one_line(error)}"
        ) from error
    except KeyError as error:  # Pillow's for a format that it does not know
        raise OutputError(f"{name} is not a format that can be written") from error
    except Exception as error:
        raise OutputError(f"cannot write the {name}: {one_line(error)}") from error
    return tuple(notes)


def save_bands(
    bands: Iterator[Pixels],
    shape: tuple[int, ...],
    file: BinaryIO,
    mode: str,
    alpha: Pixels | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    *,
    threads: int = 1,
    **others: Any,
) -> tuple[str, ...]:
    """Write a PNG of bands (rows,W,3) of the picture (H,W): never is all of it in memory.

    The other arguments are those of `to_pil`, threads, the result and the errors those of `save`.
    Errors of the bands' decoding come through.
    """
    image = Image.new(mode, (1, 1))  # for the metadata
    image.info.update(pillow_info(exif, icc, xmp, **others))
    rows = _rows(bands, mode, alpha)
    return save(image, file, "PNG", threads=threads, bands=png.Bands((shape[1], shape[0]), rows))


def _rows(bands: Iterator[Pixels], mode: str, alpha: Pixels | None) -> Iterator[Pixels]:
    """Bands (rows,W,3) in the channels of a mode, with its alpha (H,W)."""
    y = 0
    for band in bands:
        shown = grey_of(band)[..., None] if mode in ("L", "LA") else band
        if alpha is not None:
            shown = np.concatenate([shown, alpha[y : y + len(band), :, None]], axis=2)
        y += len(band)
        yield shown


def _add_metadata(
    image: Image.Image, name: str, writer: _Writer, keywords: dict[str, Any], notes: list[str]
) -> None:
    """Give Pillow EXIF, ICC profile and XMP of the picture; note what is not written."""
    for key in _ALL_METADATA:
        content = image.info.get(key)
        if not content:
            continue
        if key not in writer.metadata:
            notes.append(f"{name} is written without the {_NAMES[key]}")
        elif name == "AVIF" and key == "exif":
            keywords.setdefault(key, metadata.unoriented(content))
        elif name in ("JPEG", "MPO") and key == "exif" and len(content) > _JPEG_SEGMENT - 29:
            notes.append(f"the {_NAMES[key]} of {len(content)} bytes is too large for a JPEG")
            keywords.setdefault(key, b"")  # or some versions of Pillow take it from image.info
        else:
            keywords.setdefault(key, content)


def _write(
    output: outputs.Output, name: str, file: BinaryIO, threads: int, bands: png.Bands | None
) -> None:
    if name == "PNG" and not _PILLOWS_PNG & set(output.keywords):
        png.write(output.image, file, bands=bands, threads=threads, **output.keywords)
    elif output.finish is None:
        output.image.save(file, name, **output.keywords)
    else:
        buffer = io.BytesIO()
        output.image.save(buffer, name, **output.keywords)
        file.write(output.finish(buffer.getvalue()))


@contextmanager
def _opened(target: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """The file itself, or the one at a path, which is deleted again if writing it fails."""
    if not isinstance(target, str | os.PathLike):
        yield target
        return
    with open(target, "w+b") as file:  # some of Pillow's writers read what they wrote
        try:
            yield file
        except BaseException:
            os.unlink(target)
            raise


def _format_of(target: str | os.PathLike[str] | BinaryIO) -> str:
    if not isinstance(target, str | os.PathLike):
        return "PNG"
    suffix = os.path.splitext(os.fspath(target))[1].lower()
    name = formats.written_format(suffix)
    if name is None:
        raise OutputError(f"{suffix or 'no suffix'}: not a picture format that can be written")
    return name


def _fitted(image: Image.Image, name: str, writer: _Writer, notes: list[str]) -> Image.Image:
    """A picture in a mode that the format holds; OutputError where it would lose transparency."""
    if writer.side is not None and max(image.size) > writer.side:
        what = (
            f"nothing above {writer.side} x {writer.side} pixels" if writer.side else "no picture"
        )
        raise OutputError(f"{name} holds {what} as it is: choose another format")
    if image.mode not in writer.modes:
        transparent = image.has_transparency_data
        if transparent and "RGBA" not in writer.modes:
            raise OutputError(f"{name} cannot hold transparency: choose PNG, TIFF or WebP")
        grey = image.mode in ("1", "L") and "L" in writer.modes
        mode = "RGBA" if transparent else "L" if grey else "RGB"
        if mode not in writer.modes:
            raise OutputError(
                f"{name} holds no picture of the mode {image.mode}: choose another format"
            )
        if image.mode in ("L", "LA") and mode != "L" and "icc_profile" in writer.metadata:
            image = colour.with_rgb_profile(image, notes)
        image = image.convert(mode)
    if writer.colours and image.mode not in ("L", "LA"):
        notes.append(writer.colours)
    if writer.transparency and image.has_transparency_data:
        notes.append(writer.transparency)
    return image


def _add_directories(output: outputs.Output, exif: bytes) -> None:
    from aecodec.image import tiff_output

    output.stated = tiff_output.tags_of(exif)
    output.finish = lambda written: tiff_output.with_directories(written, exif)
    if tiff_output.has_maker_notes(exif):
        output.notes.append(tiff_output.MAKER_NOTES)
    if lost := tiff_output.lost_of(exif, has_profile="icc_profile" in output.keywords):
        output.notes.append(lost)


def _tiff_tags(xmp: object) -> Image.Exif:
    """What Pillow writes into a TIFF's own directory, beside the picture and its resolution."""
    tags = Image.Exif()
    if isinstance(xmp, bytes):
        tags[ExifTags.Base.XMLPacket] = xmp
    return tags
