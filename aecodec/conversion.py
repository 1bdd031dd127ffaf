"""One file made from another: the one way from a file to a file.

::

    Storage.read --> data --Compression.make or Decompression.make--> Made --Storage.writing--> file

`convert` goes it. The command line's single files are read and written by `Here`, those of whole
folders and of remote stores by `batch/worker.py`. `codec.py` knows images and bytes, `files.py`
paths; here a picture goes from one to the other.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Protocol

from aecodec import files, machine
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.codec import DEFAULT_EFFORT, DEFAULT_QUALITY
from aecodec.coding.strength import Strength
from aecodec.coding.target import Target
from aecodec.errors import InputError, OutputError
from aecodec.files import UNDATED, Job

if TYPE_CHECKING:
    from aecodec.bitstream import Container
    from aecodec.codec import Codec
    from aecodec.image.picture import Picture, PillowImage
    from aecodec.networks.weights import Weights

__all__ = [
    "Compression",
    "Decompression",
    "Encoding",
    "Here",
    "Made",
    "Result",
    "Run",
    "Source",
    "Storage",
    "bits_per_pixel",
    "convert",
]


@dataclass(frozen=True)
class Result:
    """What became of one file."""

    source: str
    target: str = ""
    key: str = ""
    status: Literal["done", "kept", "left", "failed"] = "done"
    """`kept`: its output was there already and up to date; `left`: nothing was written, since it
    would not have saved enough: see `Encoding.min_savings`."""
    width: int = 0
    height: int = 0
    """Of the picture that was read or, by decompression, written."""
    bytes_in: int = 0
    bytes_out: int = 0
    """With `bpp`, of a file that was left alone: what its output would have had."""
    bpp: float = 0.0
    """Bits of the whole `.aec` file for each pixel of its picture."""
    quality: int = 0
    """Of the `.aec` file: what a target has led to, or was asked for; 0 where it was not looked at,
    or not made."""
    seconds: float = 0.0
    time_ns: int = UNDATED
    """The source's time of last change when it was listed; with `bytes_in` its state."""
    notes: tuple[str, ...] = ()
    deleted: bool = False
    """Whether the source is gone, so that the output is the only copy."""
    error: str = ""
    error_type: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Run:
    """How to run the networks, and on how large a picture."""

    threads: int = 0
    """At most, of those that the cores allow; 0: one for every core."""
    device: str = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS

    def codec(self, weights: Weights) -> Codec:
        """A codec that runs so, with these weights."""
        from aecodec.codec import Codec
        from aecodec.networks.runtime import Options, cores

        return Codec(weights, Options(threads=min(self.threads, cores()), device=self.device))


@dataclass(frozen=True)
class Encoding:
    """The options of compression, from the command line to every worker.

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
    target: Target | None = None
    """It takes the place of the quality."""
    lossless: bool = False
    """Every tile is stored exactly, and the quality is ignored."""
    min_savings: float | None = None
    """The least saving in percent; a source that would save less is skipped."""
    denoise: Strength | None = None
    """The deviation of the noise to remove, or "auto"."""
    grain: bool = False
    """Whether the file describes the noise that was removed."""

    @property
    def is_aimed(self) -> bool:
        """Whether `target` or `lossless` decides the quality of a file."""
        return self.lossless or self.target is not None

    def leaves(self, bytes_in: int, bytes_out: int) -> bool:
        """Whether a source is skipped, because an output of so many bytes saves too little."""
        if self.min_savings is None:
            return False
        return bytes_out > (1.0 - self.min_savings / 100.0) * bytes_in or bytes_out >= bytes_in

    def load(self, source: str | bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
        """Read a picture with the metadata to keep. Raises the errors of `load`."""
        from aecodec.image.load import load

        try:
            picture = load(
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
        if not self.lossless and picture.is_hidden:
            picture = replace(picture, notes=(*picture.notes, _HIDDEN))
        return self.allowed(picture)

    def allowed(self, picture: Picture) -> Picture:
        """The picture. Raises InputError if it has notes, with `strict`."""
        if self.strict and picture.notes:
            raise InputError(f"refused by strict: {'; '.join(picture.notes)}")
        return picture

    def encode(
        self,
        picture: Picture,
        coder: Codec,
        without: str | None = None,
        importance: str | None = None,
    ) -> bytes:
        """The bytes of the `.aec` file, without what the mask in one file covers, and with more
        bits where another file has white.

        Raises what `codec.compress` raises.
        """
        how: dict[str, Any] = {
            "quality": self.quality,
            "effort": self.effort,
            "target": self.target,
            "lossless": self.lossless,
            "without": without,
            "importance": importance,
        }
        return coder.compress(picture, **how)


_HIDDEN = "colours of a picture that is transparent everywhere: --lossless keeps them"


def _is_compressed(source: str | bytes) -> bool:
    from aecodec.bitstream import MAGIC

    if isinstance(source, bytes):
        return source.startswith(MAGIC)
    with contextlib.suppress(OSError), open(source, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC
    return False


def bits_per_pixel(nbytes: int, width: int, height: int) -> float:
    """Bits for each pixel; 0 where the picture's size is unknown."""
    if not width or not height:
        return 0.0
    from aecodec import metrics

    return metrics.bits_per_pixel(nbytes, width, height)


# --- What is made ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What a source becomes, before it is written."""

    width: int
    height: int
    coded: tuple[int, int]
    """Width and height of the picture in the `.aec` file, of which this may be a part."""
    quality: int
    save: Callable[[BinaryIO], tuple[str, ...]]
    """Writes the output's bytes; says what is lost by them."""
    size: int | None = None
    """The output's bytes, where that is known before it is written."""


class _Codecs:
    """A run's codecs, one for each set of weights, made when it is first needed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[bytes, Codec] = {}

    def of(self, weights: Weights) -> Codec:
        if weights.id not in self._known:
            self._known[weights.id] = self._run.codec(weights)
        return self._known[weights.id]


class Compression:
    """From a picture to an `.aec` file. Safe to be shared between threads."""

    verb: Literal["compress"] = "compress"

    def __init__(
        self,
        encoding: Encoding,
        run: Run,
        weights: Weights | None = None,
        *,
        without: str | None = None,
        importance: str | None = None,
    ) -> None:
        """`weights` take the place of those that the encoding names, and are checked at once.

        `without` is the path of a mask: what it covers is drawn from its surroundings. `importance`
        is that of a picture that is white where more bits are to go.

        Raises KnownAnswerError where this machine does not compute what they expect.
        """
        self.encoding, self.run = encoding, run
        self._codecs, self._weights = _Codecs(run), weights
        self._without, self._importance = without, importance
        if weights is not None:
            self._codecs.of(weights)

    def load(self, data: str | bytes) -> Picture:
        """The picture in a file, given by its path or its bytes."""
        picture = self.encoding.load(data, self.run.max_pixels)
        if self._without is None:
            return picture
        from aecodec.image.masks import without_copies

        return self.encoding.allowed(without_copies(picture))

    def encode(self, picture: Picture) -> bytes:
        """The bytes of the `.aec` file. Raises what `codec.compress` raises."""
        return self.encoding.encode(picture, self._coder, self._without, self._importance)

    @property
    def _coder(self) -> Codec:
        from aecodec.networks import weights

        return self._codecs.of(self._weights or weights.by_name(self.encoding.model))

    def make(self, data: str | bytes, target: str) -> Made:
        """Encode the picture in a file, given by its path or its bytes."""
        from aecodec import bitstream

        picture = self.load(data)
        if self.encoding.denoise is not None:
            strength, grain = self.encoding.denoise, self.encoding.grain
            picture = self._coder.denoised(picture, strength, grain=grain)
        content = self.encode(picture)
        quality = bitstream.parse_header(content)[0].quality

        def save(file: BinaryIO) -> tuple[str, ...]:
            file.write(content)
            return picture.notes

        size = picture.width, picture.height
        return Made(*size, size, quality, save, len(content))


class Decompression:
    """From an `.aec` file to a picture. Safe to be shared between threads.

    With a region (x, y, width, height in pixels) to that part alone, with a preview (2, 4, 8 or 16)
    to a picture of that fraction of the size, with a scale of 2 to one of twice the size. Without
    grain no noise is added.
    """

    verb: Literal["decompress"] = "decompress"

    def __init__(
        self,
        run: Run,
        *,
        region: tuple[int, int, int, int] | None = None,
        preview: int | None = None,
        scale: int = 1,
        grain: bool = True,
    ) -> None:
        self.run, self._region, self._preview, self._scale = run, region, preview, scale
        self._grain = grain
        self._codecs = _Codecs(run)

    def decode(self, data: bytes) -> PillowImage:
        """The picture in an `.aec` file. Raises what `codec.decompress` raises."""
        container, coder = self._parse(data)
        if self._preview is not None:
            return coder.decode_preview(container, self._preview)
        limit = self.run.max_pixels
        return coder.decode(
            container, self._region, self._scale, grain=self._grain, max_pixels=limit
        )

    def _parse(self, data: bytes) -> tuple[Container, Codec]:
        from aecodec import bitstream, codec

        container = bitstream.parse(data, max_pixels=self.run.max_pixels)
        return container, self._codecs.of(codec.weights_for(container))

    def make(self, data: str | bytes, target: str) -> Made:
        """Decode an `.aec` file into the format that the target's suffix names."""
        assert isinstance(data, bytes)
        container, coder = self._parse(data)
        header = container.header
        name = files.picture_format(target)
        write: Callable[[BinaryIO], tuple[str, ...]]
        if name == "PNG" and self._preview is None:
            # Large pictures are written while they are decoded.
            part = self._region[2:] if self._region else (header.width, header.height)
            size = self._scale * part[0], self._scale * part[1]

            def write(file: BinaryIO) -> tuple[str, ...]:
                limit = self.run.max_pixels
                return coder.decode_to_png(
                    container, file, self._region, self._scale, grain=self._grain, max_pixels=limit
                )
        else:
            picture = self.decode(data)
            size = picture.size

            def write(file: BinaryIO) -> tuple[str, ...]:
                from aecodec.image.save import save
                from aecodec.networks.runtime import cores

                threads = min(self.run.threads or cores(), cores())
                return save(picture, file, name, threads=threads)

        def written(file: BinaryIO) -> tuple[str, ...]:
            return _written(write, file, target)

        return Made(*size, (header.width, header.height), header.quality, written)


def _written(
    write: Callable[[BinaryIO], tuple[str, ...]], file: BinaryIO, target: str
) -> tuple[str, ...]:
    """What `write` returns; the system's faults are said with the target's name."""
    try:
        return write(file)
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.strerror:  # the system's fault, not the format's
            text = f"cannot write {files.shown(target)}: {files.reason(cause)}"
            raise OutputError(text) from cause
        raise


# --- Where it comes from, and where it goes ------------------------------------------------------


class Source(NamedTuple):
    """A source as it was read."""

    data: str | bytes
    """Its bytes; or its path, where what reads it can seek in it."""
    size: int
    mode: int
    """The permission bits that an output may have."""


class Storage(Protocol):
    """What reads sources and writes outputs."""

    def check(self, job: Job) -> None:
        """Refuse, before any work is done, an output that could not or must not be written."""

    def read(self, job: Job, verb: str) -> Source:
        """The source. Raises InputError."""

    def writing(self, job: Job, source: Source) -> AbstractContextManager[BinaryIO]:
        """A seekable file that becomes the output if the block succeeds. Raises OutputError."""


@dataclass(frozen=True)
class Here:
    """Files of this machine, standard input and standard output: what a command line names."""

    force: bool = False
    """Replaces an output that exists."""
    inputs: frozenset[files.Identity] = frozenset()
    """Those of the whole run: no output may replace one."""

    def check(self, job: Job) -> None:
        files.check_output(job.target, force=self.force, inputs=self.inputs)

    def read(self, job: Job, verb: str) -> Source:
        mode = files.mode_of(job.source)
        is_picture = verb == "compress"
        data = (files.read_picture if is_picture else files.read_compressed)(job.source)
        return Source(data, len(data) if isinstance(data, bytes) else os.path.getsize(data), mode)

    def writing(self, job: Job, source: Source) -> AbstractContextManager[BinaryIO]:
        return files.writing(job.target, force=self.force, mode=source.mode)


def convert(job: Job, how: Compression | Decompression, storage: Storage) -> Result:
    """Make one file from another.

    Raises an AecodecError that says what is wrong with the source, the output or what is asked for.
    """
    start = time.perf_counter()
    machine.require(machine.LEAST)
    storage.check(job)
    source = storage.read(job, how.verb)
    made = how.make(source.data, job.target)
    result = Result(
        job.source,
        job.target,
        job.key,
        width=made.width,
        height=made.height,
        bytes_in=source.size,
        quality=made.quality,
    )
    if (
        isinstance(how, Compression)
        and made.size is not None
        and how.encoding.leaves(source.size, made.size)
    ):
        # What the picture would have lost is of no interest: it has lost nothing.
        result = replace(result, status="left", bytes_out=made.size)
    else:
        with storage.writing(job, source) as file:
            notes = made.save(file)
            result = replace(result, notes=notes, bytes_out=file.seek(0, os.SEEK_END))
    compressed = result.bytes_out if isinstance(how, Compression) else result.bytes_in
    return replace(
        result,
        bpp=bits_per_pixel(compressed, *made.coded),
        seconds=time.perf_counter() - start,
    )
