"""Pictures as Pillow knows them, to and from the arrays that the codec works on.

::

    file, bytes, PIL.Image --load--> Picture: rgb (H,W,3), alpha (H,W), metadata, notes
    file <--save-- PIL.Image <--to_pil-- rgb (H,W,3), mode, alpha, metadata

A file is read once: Pillow decodes it, and a walker of `parts` accounts for whatever else it holds.
The codec sees eight bits, three channels, the right way up. `load` brings every picture there and
notes what is lost on the way, so that a user can be told. `Picture.mode` says what the decoder
gives back: greyscale stays greyscale, and transparency stays.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from aecodec import forks, metrics
from aecodec.errors import AecodecError, InputError, OutputError, one_line
from aecodec.image import ancillary, colour, formats, mending, metadata, outputs, png, raws, xmp
from aecodec.image.ancillary import Ancillary
from aecodec.image.parts import Account, Attachment, Text, account_for
from aecodec.image.parts.account import DAMAGED, FRAMES, GAIN_MAP, VIDEO
from aecodec.image.parts.account import reduced as depth_note
from aecodec.image.watch import WatchedFile
from aecodec.stages import stage

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "Mode",
    "Picture",
    "PillowImage",
    "fidelity",
    "load",
    "pillow_info",
    "reduced",
    "save",
    "thumbnail",
    "to_pil",
]

DEFAULT_MAX_PIXELS: Final = 2**28
"""What `load` accepts unless told otherwise: as many pixels as a reader of .aec accepts."""

Mode: TypeAlias = Literal["L", "LA", "RGB", "RGBA"]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
_File: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
Source: TypeAlias = "_File | Image.Image | UInt8Array"
PillowImage: TypeAlias = Image.Image

_ALL_MODES: Final = ("L", "LA", "RGB", "RGBA")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture ready to be compressed. The arrays are not to be written to."""

    rgb: UInt8Array
    """(H, W, 3). In the modes L and LA the three channels are equal."""
    mode: Mode
    """What the decoder gives back."""
    alpha: UInt8Array | None = None
    """(H, W) in the modes LA and RGBA; 0 is transparent."""
    exif: bytes | None = field(default=None, repr=False)
    """A TIFF structure, without prefix; its orientation, if there is one, is 1."""
    icc: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    resolution: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    texts: tuple[Text, ...] = field(default=(), repr=False)
    """Comments and texts with keywords."""
    iptc: bytes | None = field(default=None, repr=False)
    """IPTC-IIM records."""
    gain_map: Attachment | None = field(default=None, repr=False)
    """A JPEG that brightens this picture on HDR screens; `GainMap` puts it back."""
    video: Attachment | None = field(default=None, repr=False)
    """What stands at the end of a motion photo."""
    notes: tuple[str, ...] = ()
    """What was lost, one phrase each."""

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])

    @property
    def metadata(self) -> dict[str, Any]:
        """What travels with the pixels, as `bitstream.pack` and `to_pil` take it."""
        return {name: getattr(self, name) for name in _METADATA}

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """(H,W): where something is to be seen, or None: everywhere."""
        return None if self.alpha is None else self.alpha != 0


_METADATA: Final = ("exif", "icc", "xmp", *Ancillary._fields)
"""The fields of a Picture that travel with the pixels."""

# --- Loading ------------------------------------------------------------------------------------


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
    with _errors_named():
        if isinstance(source, np.ndarray):
            source = Image.fromarray(source)
        if isinstance(source, Image.Image):
            picture = _to_picture(source, None, max_pixels, keep, strip_gps)
        else:
            picture = _from_file(_contents(source, max_pixels), max_pixels, keep, strip_gps)
    if strict and picture.notes:
        raise InputError(f"refused by strict: {'; '.join(picture.notes)}")
    return picture


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


def _from_file(data: bytes, max_pixels: int, keep: Collection[str], strip_gps: bool) -> Picture:
    """A picture of a file of which everything is accounted for."""
    if kind := raws.kind_of(memoryview(data)):
        raise InputError(f"a camera raw ({kind}): develop it first")
    file = WatchedFile(data)
    try:
        image = _open(file, max_pixels)
    except UnidentifiedImageError:
        if what := mending.described(memoryview(data)):
            raise InputError(what) from None
        raise
    with image:
        account = account_for(data, str(image.format))
        if account.scan is not None:
            file.watch(account.scan)
        picture = _to_picture(image, account, max_pixels, keep, strip_gps)
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
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)
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


def _to_picture(
    image: Image.Image,
    account: Account | None,
    max_pixels: int,
    keep: Collection[str],
    strip_gps: bool,
) -> Picture:
    """`account` is that of the image's file, if there is one."""
    _check_size(image, max_pixels)
    if image.format in ("EPS", "WMF"):  # Pillow would start another program to render it
        raise InputError(f"{image.format} is a drawing, not a picture; render it first")

    notes: list[str] = [] if account is None else list(account.notes)
    # Of a JPEG with several pictures its walker knows which of them are pictures of their own.
    if getattr(image, "is_animated", False) and (account is None or image.format != "MPO"):
        notes.append(FRAMES)
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]  # Pillow's raw modes
    if any(";16" in raw for raw in stored):
        notes.append(depth_note(16))
    mend = mending.before_load(image)
    _prepare(image)
    image.load()
    _check_size(image, max_pixels)  # of some formats what is inside may have another size
    pixels = colour.with_depth(image if mend is None else mend(image, notes))
    if account is not None and account.exif:  # not before: Pillow would turn a TIFF by this EXIF
        image.info["exif"] = metadata.EXIF_PREFIX + account.exif

    orientation, exif = metadata.exif(image, notes, strip_gps=strip_gps)
    turn = _TURNS.get(orientation)
    upright = pixels if turn is None else pixels.transpose(turn)
    flat = colour.to_eight_bits(colour.with_grey_scaled(upright, stored), notes)
    if flat.mode == "RGBA" and any("LA;16" in raw for raw in stored):
        flat = flat.convert("LA")  # Pillow has no 16-bit LA, and makes RGBA of it
    found = (account.icc if account else None) or upright.info.get("icc_profile")
    flat, profile = colour.matched(flat, found)
    icc = metadata.icc(upright, flat.mode, notes, profile)
    if icc is not None and "icc" not in keep:
        flat = colour.to_srgb(flat, icc, notes)
    if "exif" not in keep:
        exif = None
    others = ancillary.collect(image, account, keep, orientation, exif, notes, strip_gps=strip_gps)
    packet = metadata.xmp(
        image,
        notes,
        turned=turn is not None,
        strip_gps=strip_gps,
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
        icc=icc if "icc" in keep else None,
        xmp=packet if "xmp" in keep else None,
        notes=tuple(dict.fromkeys(_depth_once(notes, account))),
        **others._asdict(),
    )


def _depth_once(notes: list[str], account: Account | None) -> list[str]:
    """The notes with a single one on the depth: the walker knows it better than Pillow's mode."""
    if account is None or account.bits is None:
        return notes
    own = depth_note(account.bits)
    depths = {depth_note(bits) for bits in range(9, 65)}
    return [own, *(note for note in notes if note not in depths)]


def _arrays(image: Image.Image) -> tuple[UInt8Array, UInt8Array | None]:
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


# --- Giving back --------------------------------------------------------------------------------


def to_pil(
    rgb: UInt8Array,
    mode: str,
    alpha: UInt8Array | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    **others: Any,
) -> Image.Image:
    """Put a decoded picture together, with its metadata in `image.info` under Pillow's keys.

    ``others`` are the fields of `ancillary.Ancillary`, as `Picture.metadata` has them.

    In the modes L and LA the grey is the rounded mean of the three decoded channels. They were
    equal before they were coded and differ by the coding error alone, of which the mean is the part
    that remains with the least square. (Luma weights would count on green for nothing.)
    """
    if mode not in _ALL_MODES:
        raise ValueError(f"mode must be one of {', '.join(_ALL_MODES)}, not {mode!r}")
    if (alpha is not None) != (mode in ("LA", "RGBA")):
        raise ValueError(f"mode {mode} {'needs' if alpha is None else 'has no'} alpha")
    if mode in ("L", "LA"):
        image = Image.fromarray(grey_of(rgb))
    else:
        image = Image.fromarray(np.ascontiguousarray(rgb))
    if alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    image.info.update(pillow_info(exif, icc, xmp, **others))
    return image


def grey_of(rgb: UInt8Array) -> UInt8Array:
    """The rounded mean (H,W) of three channels that were equal before they were coded."""
    total = rgb[..., 0].astype(np.uint16)
    total += rgb[..., 1]
    total += rgb[..., 2]
    total += 1
    return (total // 3).astype(np.uint8)


def fidelity(picture: Picture, decoded: Image.Image) -> float:
    """The PSNR in dB of a decoded picture, where the original is visible."""
    shown = np.asarray(decoded)
    if picture.mode in ("L", "LA"):
        grey = shown if shown.ndim == 2 else shown[..., 0]
        return metrics.psnr(picture.rgb[..., 0], grey, picture.visible)
    return metrics.psnr(picture.rgb, shown[..., :3], picture.visible)


def thumbnail(image: Image.Image, longest: int) -> Image.Image:
    """A small copy, RGB or RGBA, of at most `longest` pixels a side; it keeps the ICC profile."""
    small = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    profile = image.info.get("icc_profile")
    small.info = {} if profile is None else {"icc_profile": profile}
    return small


def reduced(plane: UInt8Array, scale: int) -> UInt8Array:
    """A plane (H,W) at 1/scale of its height and width, rounded up: the means of its squares."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).reduce(scale))


def pillow_info(
    exif: bytes | None, icc: bytes | None, xmp: bytes | None, **others: Any
) -> dict[str, Any]:
    """Return metadata under the keys, and in the form, that `image.info` has it."""
    found = {"exif": exif and metadata.EXIF_PREFIX + exif, "icc_profile": icc, "xmp": xmp}
    there: dict[str, Any] = {key: content for key, content in found.items() if content}
    return {**there, **ancillary.into_info(Ancillary(**others), exif)}


@dataclass(frozen=True)
class _Writer:
    """What a format can hold, and how to lose nothing more in it than we must."""

    modes: tuple[Mode, ...] = ("L", "RGB")
    metadata: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    colours: str = ""
    """What becomes of colours, where that is worse than rounding."""
    transparency: str = ""
    """The same of transparency."""
    side: int | None = None
    """Pixels, at most: what is larger would be made smaller."""


_ALL_METADATA: Final = ("exif", "icc_profile", "xmp")
_NAMES: Final = {"exif": "EXIF", "icc_profile": "ICC profile", "xmp": "XMP"}
_WRITERS: Final[Mapping[str, _Writer]] = {
    "AVIF": _Writer(
        _ALL_MODES,
        _ALL_METADATA,
        {"quality": 90, "subsampling": "4:4:4"},
        transparency="AVIF keeps the transparency only nearly",
    ),
    "DDS": _Writer(_ALL_MODES),
    "GIF": _Writer(colours="GIF has 256 colours"),
    "ICNS": _Writer(side=0),
    "ICO": _Writer(_ALL_MODES, side=256),
    "JPEG": _Writer(metadata=_ALL_METADATA, options={"quality": 95, "subsampling": "4:4:4"}),
    "JPEG2000": _Writer(_ALL_MODES),
    "MPO": _Writer(metadata=_ALL_METADATA, options={"quality": 95, "subsampling": "4:4:4"}),
    "PDF": _Writer(options={"quality": 95}),
    "PNG": _Writer(_ALL_MODES, _ALL_METADATA),
    "QOI": _Writer(("RGB", "RGBA")),
    "SGI": _Writer(("L", "RGB", "RGBA")),
    "TGA": _Writer(_ALL_MODES),
    "TIFF": _Writer(_ALL_MODES, _ALL_METADATA, {"compression": "tiff_adobe_deflate"}),
    "WEBP": _Writer(("RGB", "RGBA"), _ALL_METADATA, {"lossless": True, "exact": True}),
}
_PILLOWS_PNG: Final = frozenset(
    {"bits", "compress_level", "compress_type", "dictionary", "optimize", "save_all"}
)
"""Options of a PNG that its quick writer does not have."""
_JPEG_SEGMENT: Final = 65533  # bytes; what JPEG can hold of EXIF or XMP


@stage("writing the picture")
def save(
    image: Image.Image,
    target: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    *,
    threads: int = 1,
    **options: object,
) -> tuple[str, ...]:
    """Write a picture, with its metadata where the format has a place for it.

    ``format`` is Pillow's name; without it the suffix of the path decides, and an open file gets a
    PNG. ``threads`` compress a PNG. ``options`` are Pillow's for the format; with one of them that
    concerns compression, Pillow writes the PNG. Returns notes on what the format cannot hold.
    Raises OutputError if that is the transparency, or if the file cannot be written.
    """
    name = (format or _format_of(target)).upper()
    writer = _WRITERS.get(name, _Writer())
    notes: list[str] = []
    if writer.side is not None and max(image.size) > writer.side:
        what = (
            f"nothing above {writer.side} x {writer.side} pixels" if writer.side else "no picture"
        )
        raise OutputError(f"{name} holds {what} as it is: choose another format")
    if image.mode not in writer.modes:
        image = _fitted(image, name, writer)
    if writer.colours and image.mode not in ("L", "LA"):
        notes.append(writer.colours)
    if writer.transparency and image.has_transparency_data:
        notes.append(writer.transparency)

    keywords = {**writer.options, **options}
    if name == "ICO":
        keywords.setdefault("sizes", [image.size])
    for key in _ALL_METADATA:
        content = image.info.get(key)
        if not content:
            continue
        if key not in writer.metadata:
            notes.append(f"{name} has no place for the {_NAMES[key]}")
        elif name in ("JPEG", "MPO") and key == "exif" and len(content) > _JPEG_SEGMENT - 29:
            notes.append(f"the {_NAMES[key]} of {len(content)} bytes is too large for a JPEG")
            keywords.setdefault(key, b"")  # or some versions of Pillow take it from image.info
        else:
            keywords.setdefault(key, content)
    try:
        if name == "TIFF":
            tags = _tiff_tags(keywords.pop("exif", None), keywords.pop("xmp", None))
            keywords["exif"] = tags
            if "compression" not in options and any(d in tags for d in metadata.SUBDIRECTORIES):
                del keywords["compression"]  # libtiff, which compresses, cannot write those
        output = outputs.Output(image, keywords, notes)
        outputs.give(output, name, ancillary.of(image))
        with _opened(target) as file:
            if name == "PNG" and not _PILLOWS_PNG & set(keywords):
                png.write(output.image, file, threads=threads, **keywords)
            elif output.finish is None:
                output.image.save(file, name, **keywords)
            else:
                buffer = io.BytesIO()
                output.image.save(buffer, name, **keywords)
                file.write(output.finish(buffer.getvalue()))
    except BrokenPipeError:  # nobody reads on: no fault of the output
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


def _fitted(image: Image.Image, name: str, writer: _Writer) -> Image.Image:
    """Bring a picture to a mode that the format holds, but never drop its transparency."""
    transparent = image.has_transparency_data
    if transparent and "RGBA" not in writer.modes:
        raise OutputError(f"{name} cannot hold transparency: choose PNG, TIFF or WebP")
    grey = image.mode in ("1", "L") and "L" in writer.modes
    return image.convert("RGBA" if transparent else "L" if grey else "RGB")


def _tiff_tags(exif: object, xmp: object) -> Image.Exif:
    """Gather what goes in a TIFF's own directory, without the layout of another file."""
    tags = Image.Exif()
    if isinstance(exif, bytes):
        source = Image.Exif()
        source.load(exif)
        if kept := metadata.descriptive_tags(source):
            tags.load(kept)
            metadata.as_stored(tags)
    if isinstance(xmp, bytes):
        tags[ExifTags.Base.XMLPacket] = xmp
    return tags
