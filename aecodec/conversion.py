"""One file made from another: what `compress` and `decompress` do to each.

`codec.py` knows images and bytes, `files.py` paths; here a picture goes from one to the other.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from aecodec import files
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.codec import DEFAULT_EFFORT, DEFAULT_QUALITY
from aecodec.errors import InputError, OutputError

if TYPE_CHECKING:
    import PIL.Image

    from aecodec.codec import Codec
    from aecodec.image.pillow import Picture

__all__ = ["Encoding", "Outcome", "compress_file", "decompress_file"]


@dataclass(frozen=True)
class Outcome:
    """One file done: what the result line, or its JSON, says."""

    source: str
    target: str
    width: int
    height: int
    bytes_in: int
    bytes_out: int
    bpp: float
    seconds: float
    notes: tuple[str, ...] = ()
    left: bool = False
    """Nothing was written, since it would not have saved enough: see `Encoding.min_savings`. Then
    `bytes_out` is what the output would have had."""
    stale: bool = False
    """And what had been at `target` before is still there."""
    quality: int = DEFAULT_QUALITY
    """Of the `.aec` file: what a target has led to, or was asked for."""


@dataclass(frozen=True)
class Encoding:
    """How to compress: what the command line says, and what every worker is handed.

    Plain values alone, so that it can be pickled, and be written down with what was made by it.
    """

    quality: int = DEFAULT_QUALITY
    model: str | None = None
    keep: tuple[str, ...] = (
        "exif",
        "icc",
        "xmp",
        "resolution",
        "texts",
        "iptc",
        "gainmap",
        "video",
    )
    strip_gps: bool = False
    strict: bool = False
    effort: int = DEFAULT_EFFORT
    target_size: int | None = None
    """Bytes. At most one target is given; it takes the place of the quality."""
    target_bpp: float | None = None
    target_psnr: float | None = None
    target_ssimulacra2: float | None = None
    min_savings: float | None = None
    """Percent that the file must be smaller than its source; else the source is left alone."""

    @property
    def is_aimed(self) -> bool:
        """Whether a target decides about the quality: each picture then has its own."""
        targets = (
            self.target_size,
            self.target_bpp,
            self.target_psnr,
            self.target_ssimulacra2,
        )
        return any(target is not None for target in targets)

    def leaves(self, bytes_in: int, bytes_out: int) -> bool:
        """Whether a source of so many bytes is left alone, since an output of so many saves too
        little."""
        if self.min_savings is None:
            return False
        return bytes_out > (1.0 - self.min_savings / 100.0) * bytes_in or bytes_out >= bytes_in

    def load(self, source: str | bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
        """Read a picture with what is kept of its metadata. Raises what `image.load` raises."""
        from aecodec.image import pillow as image

        try:
            return image.load(
                source,
                max_pixels=max_pixels,
                keep=self.keep,
                strip_gps=self.strip_gps,
                strict=self.strict,
            )
        except InputError:
            if _is_compressed(source):
                advice = "`aecodec decompress` restores it"
                raise InputError("is an .aec file already", advice=advice) from None
            raise

    def encode(self, picture: Picture, coder: Codec | None = None, **run: Any) -> bytes:
        """The bytes of the `.aec` file, by `coder` or by one for `model` with threads and device.

        Raises what `codec.compress` raises.
        """
        from aecodec import codec

        how: dict[str, Any] = {
            "quality": self.quality,
            "effort": self.effort,
            "target_size": self.target_size,
            "target_bpp": self.target_bpp,
            "target_psnr": self.target_psnr,
            "target_ssimulacra2": self.target_ssimulacra2,
        }
        if coder is not None:
            return coder.compress(picture, **how)
        return codec.compress(picture, model=self.model, **run, **how)


def _is_compressed(source: str | bytes) -> bool:
    from aecodec.bitstream import MAGIC

    if isinstance(source, bytes):
        return source.startswith(MAGIC)
    with contextlib.suppress(OSError), open(source, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC
    return False


def compress_file(
    job: files.Job,
    encoding: Encoding,
    *,
    threads: int = 0,
    device: str = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    force: bool = False,
    inputs: frozenset[files.Identity] = frozenset(),
) -> Outcome:
    """Make an `.aec` file of a picture."""
    from aecodec import bitstream, metrics

    start = time.perf_counter()
    files.check_output(job.target, force=force, inputs=inputs)
    origin = files.read_picture(job.source)
    picture = encoding.load(origin, max_pixels)
    data = encoding.encode(picture, threads=threads, device=device)
    bytes_in = len(origin) if isinstance(origin, bytes) else os.path.getsize(origin)
    left = encoding.leaves(bytes_in, len(data))
    if not left:
        with files.writing(job.target, force=force) as file:
            file.write(data)
    return Outcome(
        source=job.source,
        target=job.target,
        width=picture.width,
        height=picture.height,
        bytes_in=bytes_in,
        bytes_out=len(data),
        bpp=metrics.bits_per_pixel(len(data), picture.width, picture.height),
        seconds=time.perf_counter() - start,
        notes=() if left else picture.notes,
        left=left,
        stale=left and os.path.lexists(job.target),
        quality=bitstream.parse_header(data)[0].quality,
    )


def _saved(picture: PIL.Image.Image, file: BinaryIO, target: str) -> tuple[str, ...]:
    """Write a picture to the temporary file of a target; what the format cannot hold."""
    from aecodec.image import pillow as image

    try:
        return image.save(picture, file, files.picture_format(target))
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.strerror:  # the system's fault, not the format's
            text = f"cannot write {files.shown(target)}: {files.reason(cause)}"
            raise OutputError(text) from cause
        raise


def decompress_file(
    job: files.Job,
    *,
    region: tuple[int, int, int, int] | None = None,
    preview: int | None = None,
    threads: int = 0,
    device: str = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    force: bool = False,
    inputs: frozenset[files.Identity] = frozenset(),
) -> Outcome:
    """Make a picture of an `.aec` file, in the format that the output's suffix names.

    With a region (x, y, width, height in pixels) of that part alone, with a preview (2, 4 or 8) at
    that fraction of the size. The outcome's width and height are those of what was made, its bits
    per pixel those of the whole `.aec` file.
    """
    from aecodec import bitstream, codec, metrics

    start = time.perf_counter()
    files.check_output(job.target, force=force, inputs=inputs)
    data = files.read_compressed(job.source)
    picture = codec.decompress(
        data,
        region=region,
        preview=preview,
        max_pixels=max_pixels,
        threads=threads,
        device=device,
    )
    header = bitstream.parse_header(data)[0]
    with files.writing(job.target, force=force) as file:
        notes = _saved(picture, file, job.target)
        size = file.seek(0, os.SEEK_END)
    return Outcome(
        source=job.source,
        target=job.target,
        width=picture.width,
        height=picture.height,
        bytes_in=len(data),
        bytes_out=size,
        bpp=metrics.bits_per_pixel(len(data), header.width, header.height),
        seconds=time.perf_counter() - start,
        notes=notes,
        quality=header.quality,
    )
