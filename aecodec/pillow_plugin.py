"""`Image.open("x.aec")` and `image.save("x.aec")`: .aec as one of Pillow's formats.

::

    import aecodec.pillow_plugin              # or aecodec.register_pillow()

    picture = Image.open("photo.aec")         # header and metadata; the pixels when they are needed
    picture.save("again.aec", quality=60, effort=4, exif=..., icc_profile=..., xmp=..., comment=...)

`save` takes what `codec.compress` takes: quality, effort, target_size, target_bpp, target_psnr,
target_ssimulacra2, lossless, model, tune, without, denoise, grain, max_pixels, threads, device. As
with all of Pillow's formats other names are ignored. Metadata that it is not given is the picture's
own.

Whatever reads through Pillow (imageio, scikit-image, torchvision) reads .aec from then on. The
errors are `AecFileError`, which is both an OSError, as Pillow's callers expect, and an
`AecodecError`.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, cast

from PIL import Image, ImageFile

from aecodec import bitstream, codec
from aecodec.errors import AecodecError, one_line
from aecodec.files import SUFFIX
from aecodec.geometry import ceil_div
from aecodec.image import ancillary
from aecodec.image.load import load
from aecodec.image.picture import pillow_info

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["FORMAT", "MIME_TYPE", "AecFileError", "AecImageFile", "open", "register"]

FORMAT: Final = "AEC"
MIME_TYPE: Final = bitstream.MIME_TYPE
_CODING: Final = (
    "quality",
    "model",
    "tune",
    "effort",
    "target_size",
    "target_bpp",
    "target_psnr",
    "target_ssimulacra2",
    "lossless",
    "without",
    "importance",
    "denoise",
    "grain",
    "max_pixels",
    "threads",
    "device",
)

_MORE_OF_A_QUICK_ONE: Final = 1.5
"""Times the wanted size that a preview of 1/16 must have: `draft`."""


class AecFileError(AecodecError, OSError):
    """What went wrong with an .aec file, for those who go through Pillow.

    `__cause__` is the error of the codec itself.
    """


@contextmanager
def _errors_as_pillow_has_them() -> Iterator[None]:
    try:
        yield
    except AecodecError as error:
        raise AecFileError(one_line(error)) from error


class AecImageFile(ImageFile.ImageFile):
    """An .aec file opened by Pillow.

    `info` carries exif, icc_profile, xmp, dpi, comment, texts, iptc and quality; once the pixels
    are decoded gain_map and video as well.
    """

    format = FORMAT
    format_description = "Trained autoencoder"
    _coded = False  # whether the pixels are still to be decoded; unpickled ones are there already
    _preview: int | None = None

    def _open(self) -> None:
        assert self.fp is not None
        self._start = self.fp.tell()
        with _errors_as_pillow_has_them():
            front = bitstream.read_front(cast("BinaryIO", self.fp))
        header = front.header
        self._size = (header.width, header.height)
        self._pixels = header.width * header.height
        self._mode = header.mode.name
        self.info.update(pillow_info(**front.metadata))
        self.info["quality"] = header.quality
        self._coded = True

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Make `load` give a preview of 1/2 to 1/16: the smallest not smaller than `size`.

        Of 1/16, which shows half of what the file holds, it takes one at least half as large again.
        Pillow's own `thumbnail` asks for it. As with JPEG the mode stays, the result says what
        became of the picture, and None that nothing did.
        """
        if size is None or not self._coded or self._preview is not None:
            return None
        width, height = self.size
        for scale in reversed(codec.PREVIEWS):
            more = _MORE_OF_A_QUICK_ONE if scale == max(codec.PREVIEWS) else 1.0
            if width // scale >= more * size[0] and height // scale >= more * size[1]:
                self._preview = scale
                self._size = (ceil_div(width, scale), ceil_div(height, scale))
                return self.mode, (0, 0, width / scale, height / scale)
        return None

    def load(self) -> Any:  # Pillow's own type for it has moved between versions
        """Decode the pixels, once. Raises AecFileError."""
        if self._coded and self._im is None:
            with _errors_as_pillow_has_them():
                # Pillow has a limit of its own, which this many pixels have passed.
                decoded = codec.decompress(
                    self._read(), preview=self._preview, max_pixels=self._pixels
                )
            self.im = decoded.im
            self.info.update(decoded.info)
            self._coded = False
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check every checksum and close the file. Raises AecFileError."""
        with _errors_as_pillow_has_them():
            codec.verify(self._read())
        super().verify()

    def _read(self) -> bytes:
        if self.fp is None:
            raise ValueError("operation on a closed .aec file")
        self.fp.seek(self._start)
        return self.fp.read()


def _save(picture: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Write a picture; Pillow hands over what `save` was given as `picture.encoderinfo`."""
    options = picture.encoderinfo
    coding = {name: options[name] for name in _CODING if name in options}
    with _errors_as_pillow_has_them():
        limit = {"max_pixels": coding["max_pixels"]} if "max_pixels" in coding else {}
        ready = load(_with_metadata(picture, options), **limit)
        data = codec.compress(ready, **coding)
    for note in ready.notes:
        warnings.warn(f"{FORMAT}: {note}", stacklevel=3)
    file.write(data)


def _with_metadata(picture: Image.Image, options: Mapping[str, Any]) -> Image.Image:
    """Return the picture with the metadata that `save` was given in place of its own."""
    names = ("exif", "icc_profile", "xmp", "dpi", "comment")
    given = {name: options[name] for name in names if name in options}
    if not given:
        return picture
    changed = picture.copy()
    changed.format = picture.format  # what is true of this very picture alone stays
    for name, value in given.items():
        content = value.tobytes() if isinstance(value, Image.Exif) else value
        if isinstance(content, str):  # as for WebP and TIFF; Pillow itself reads bytes alone
            content = content.encode("utf-8", "surrogateescape")
        if name == "comment":  # a picture's own one is among its texts
            content = ancillary.commented(picture.info, content)
            name = "texts"
            changed.info.pop("comment", None)
        changed.info.pop(name, None)
        if content:
            changed.info[name] = content
    return changed


def register() -> None:
    """Make .aec one of Pillow's formats, in this process. Safe to call again."""
    Image.register_open(FORMAT, AecImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME_TYPE)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(bitstream.MAGIC)


def open(source: str | os.PathLike[str] | BinaryIO) -> Image.Image:
    """Open an .aec file as a Pillow image whose pixels are decoded when they are first needed.

    It closes the file by itself once it is decoded, so it serves as a loader::

        ImageFolder(root, loader=aecodec.open, is_valid_file=lambda p: p.endswith(".aec"))

    Raises AecFileError (an OSError) for what is no .aec file, here or when the pixels are decoded,
    the system's OSError for a path that cannot be opened, and TypeError for what is no source.
    """
    is_file = hasattr(source, "read") and not isinstance(source, io.TextIOBase)
    if not is_file and not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"a path or an open binary file is needed, not {type(source).__name__}; decompress"
            " takes bytes"
        )
    file = cast("BinaryIO", source)
    if is_file and not (file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")):
        source = io.BytesIO(file.read())  # as Pillow's own open does
    picture = AecImageFile(source)
    width, height = picture.size
    if width * height > bitstream.DEFAULT_MAX_PIXELS:
        picture.close()
        raise AecFileError(
            f"{width}x{height} is more than {bitstream.DEFAULT_MAX_PIXELS} pixels; "
            "aecodec.decompress takes a higher max_pixels"
        )
    return picture


register()
