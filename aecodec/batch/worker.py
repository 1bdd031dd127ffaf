"""The worker: one object that holds the weights and converts batch after batch.

The same class serves the processes of this machine (`pool.py`), those of a Dask cluster
(`cluster.py`) and, as it stands, Ray Data's `map_batches`::

    jobs, columns of equal length --Converter(task)--> results, columns of equal length

Jobs need the columns `source` and `target`; results have those of `Result`. A file that fails is a
row like the others, so no batch ever fails, and an output that is there already is never made
twice: a batch may be run again, by another worker, at any time.
"""

from __future__ import annotations

import dataclasses
import io
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from aecodec import files
from aecodec.batch import places
from aecodec.batch.places import Stamp
from aecodec.batch.select import picture_kinds
from aecodec.bitstream import DEFAULT_MAX_PIXELS, MAGIC
from aecodec.conversion import Encoding
from aecodec.errors import (
    AecodecError,
    CorruptError,
    InputError,
    OutputError,
    OutputExistsError,
    UnknownModelError,
    WeightsError,
    one_line,
    with_advice,
)
from aecodec.files import shown

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.networks.weights import Weights

__all__ = [
    "Converter",
    "Result",
    "Task",
    "Verb",
    "bits_per_pixel",
    "exists",
    "failure",
    "is_newer",
    "rows",
    "still_there",
]

Verb = Literal["compress", "decompress"]
_HEAD = 64  # bytes that tell what a file is


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be done with every file of a run: plain values, handed to every worker."""

    verb: Verb = "compress"
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    model_id: str | None = None
    """The id, in hexadecimal, of the weights that the client has under the encoding's name."""
    root: str | None = None
    """The folder that no output may leave, be it through a link."""
    force: bool = False
    skip_existing: bool = False
    remove: bool = False
    keep_dates: bool = False
    threads: int = 0
    """Of each worker; 0: as many as there are cores."""
    device: str = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS

    @property
    def replaces(self) -> bool:
        """Whether an output that is there may be replaced. With `remove` it may be all that is left
        of another picture, so that its age alone is no reason."""
        return self.force or (self.skip_existing and not self.remove)

    def options(self) -> dict[str, Any]:
        """What decides an output's bytes: files made with other options are other files."""
        if self.verb == "decompress":
            return {}
        return dataclasses.asdict(self.encoding)


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one file."""

    source: str
    target: str = ""
    key: str = ""
    status: Literal["done", "kept", "left", "failed"] = "done"
    """`kept`: its output was there already and up to date; `left`: it would not have become small
    enough, and was left alone."""
    width: int = 0
    height: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    """With `bpp`, of a file that was left alone: what its output would have had."""
    bpp: float = 0.0
    quality: int = 0
    """Of the `.aec` file; 0 where it was not looked at, or not made."""
    seconds: float = 0.0
    time_ns: int = 0
    """The source's time of last change when it was listed; with `bytes_in` its state."""
    notes: tuple[str, ...] = ()
    error: str = ""
    error_type: str = ""
    trace: str = ""


def rows(columns: Mapping[str, Sequence[Any]]) -> list[Result]:
    """A batch of results, as the worker returns it, as objects."""
    names = [field.name for field in dataclasses.fields(Result)]
    return [
        Result(**dict(zip(names, values, strict=True)))
        for values in zip(*(columns[name] for name in names), strict=True)
    ]


def failure(source: str, error: Exception, *, target: str = "", key: str = "") -> Result:
    """What is said of a file that failed: the error as one line."""
    trace = ""
    if isinstance(error, AecodecError):
        text = with_advice(error)
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    else:
        text = f"unexpected error: {type(error).__name__}: {one_line(error)}"
        trace = "".join(traceback.format_exception(error))
    return Result(
        source,
        target,
        key,
        "failed",
        error=text,
        error_type=type(error).__name__,
        trace=trace,
    )


def is_newer(output: Stamp, source: Stamp, *, stale: bool) -> bool:
    """Whether `--skip-existing` takes an output for up to date. `stale`: the manifest knows that it
    was made of another state of the source."""
    return output.time_ns >= source.time_ns and output.size > 0 and not stale


def exists(target: str, *, stale: bool = False, only_copy: bool = False) -> OutputExistsError:
    """Says that an output is there already, and what can be done about it. `stale`: the manifest
    does not know it to be made of the source as it is now. `only_copy`: what it was made of may
    have been deleted."""
    what = f"{shown(target)} exists already"
    if only_copy:
        earlier = ", of an earlier state" if stale else ""
        return OutputExistsError(f"{what}{earlier}, maybe the only copy: -f replaces it")
    if stale:
        return OutputExistsError(f"{what}, of an earlier state: -f or --skip-existing replaces it")
    return OutputExistsError(f"{what}: -f replaces it, --skip-existing leaves it")


def still_there(target: str, source: Stamp | None, *, stale: bool) -> tuple[str, ...]:
    """What is said of an output from before, if there is one, of a source that is left alone.

    It stays, since nothing is deleted that was not asked for; but nobody shall take it for the
    source's. `stale`: the manifest knows that it was made of another state.
    """
    try:
        there = places.stamp(target)
    except InputError:
        return ()
    if there is None:
        return ()
    earlier = stale or (source is not None and there.time_ns < source.time_ns)
    stays = ", made of an earlier state, is still there" if earlier else " stays, as it was"
    return (f"left alone; {shown(target)}{stays}",)


@dataclasses.dataclass(frozen=True)
class _Job:
    """A row of the batch."""

    source: str
    target: str
    key: str = ""
    size: int = -1
    """With `time_ns`, the source's state when it was listed; -1 where nobody looked."""
    time_ns: int = 0
    begun: bool = False
    """If the output is there, it was made with these options; it was absent when it was begun."""
    stale: bool = False
    """Its output, if there is one, was made from another state of the source."""

    @property
    def stamp(self) -> Stamp | None:
        return Stamp(self.size, self.time_ns) if self.size >= 0 else None


class Converter:
    """Converts files. Loads the weights once; safe to be called from several threads.

    Raises WeightsError if they are not usable here, or not the client's.
    """

    def __init__(self, task: Task) -> None:
        from aecodec.networks import weights

        self.task = task
        self._coders: dict[bytes, Codec] = {}
        self._is_picture: Callable[[bytes], bool] | None = None
        if task.verb == "compress":
            loaded = weights.by_name(task.encoding.model)
            if task.model_id is not None and loaded.id.hex() != task.model_id:
                raise WeightsError(
                    f"the weights {loaded.name} are {loaded.id.hex()} where this worker runs, "
                    f"and {task.model_id} where it was started from"
                )
            self._encoder = self._coder(loaded)

    def _coder(self, weights: Weights) -> Codec:
        from aecodec.codec import Codec
        from aecodec.networks.runtime import Options, cores

        if weights.id not in self._coders:
            threads = min(self.task.threads, cores())
            options = Options(threads=threads, device=self.task.device)
            self._coders[weights.id] = Codec(weights, options)
        return self._coders[weights.id]

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Convert a batch: columns of jobs in, columns of results out, row by row."""
        names = [field.name for field in dataclasses.fields(_Job) if field.name in batch]
        results = [
            self._convert(_Job(**{n: _plain(v) for n, v in zip(names, values, strict=True)}))
            for values in zip(*(batch[name] for name in names), strict=True)
        ]
        return {
            field.name: [getattr(result, field.name) for result in results]
            for field in dataclasses.fields(Result)
        }

    def _convert(self, job: _Job) -> Result:
        start = time.perf_counter()
        try:
            result = self._made(job)
        except Exception as error:
            result = failure(job.source, error)
        return dataclasses.replace(
            result,
            key=job.key,
            target=job.target,
            time_ns=job.time_ns,
            seconds=time.perf_counter() - start,
        )

    def _made(self, job: _Job) -> Result:
        self._check_place(job)
        earlier = self._earlier(job)
        if earlier is not None:
            return self._cleared(job, earlier, None)
        try:
            data = places.read(job.source, job.size if job.size >= 0 else None)
        except InputError:
            # Another run may have converted and deleted it since this one listed it.
            if job.begun and self._is_gone(job) and self._is_whole(job) is not None:
                return self._adopted(job)
            raise
        content, width, height, quality, notes = self._encoded(data, job.target)
        result = Result(
            job.source,
            status="done",
            width=width,
            height=height,
            bytes_in=len(data),
            bytes_out=len(content),
            bpp=self._bpp(len(data), len(content), width, height),
            quality=quality,
            notes=notes,
        )
        if self.task.verb == "compress" and self.task.encoding.leaves(len(data), len(content)):
            # What the picture would have lost is of no interest: it has lost nothing.
            notes = still_there(job.target, job.stamp, stale=job.stale)
            return dataclasses.replace(result, status="left", quality=0, notes=notes)
        dates = (job.time_ns, job.time_ns) if self.task.keep_dates and job.time_ns else None
        try:
            places.write(job.target, content, force=self.task.replaces, dates=dates)
        except OutputExistsError:
            # Another run has been faster. Its file is as good as ours if it is the same.
            if places.read(job.target) != content:
                raise
        return self._cleared(job, result, content)

    def _check_place(self, job: _Job) -> None:
        """Refuse a target that a link leads out of the output folder, or that is an input."""
        target, root = job.target, self.task.root
        if target == job.source:
            raise OutputError(f"the output {shown(target)} would replace the input")
        if places.is_remote(target):
            return
        if root is not None:
            real = os.path.join(os.path.realpath(root), "")
            if not os.path.realpath(target).startswith(real):
                raise OutputError(f"{shown(target)} would leave the output folder through a link")
        if not self.task.replaces:
            return  # writing replaces nothing
        there = files.identities([target])
        if there & files.identities([job.source]):
            raise OutputError(f"the output {shown(target)} would replace the input")
        if there and self._is_input(target):
            kind = "a picture" if self.task.verb == "compress" else "an .aec file"
            raise OutputError(f"{shown(target)} is {kind} itself: it is not replaced")

    def _is_input(self, target: str) -> bool:
        """Whether a file's first bytes are not an output's, but what outputs are made of."""
        try:
            start = places.head(target, _HEAD)
        except InputError:
            return False  # writing will say why
        if self.task.verb == "decompress":
            return start.startswith(MAGIC)
        if self._is_picture is None:
            _, self._is_picture = picture_kinds()
        return self._is_picture(start)

    # --- An output that is there already --------------------------------------------------------

    def _earlier(self, job: _Job) -> Result | None:
        """What an earlier run has made of it; None if it is to be made now."""
        try:
            there = places.stamp(job.target)
        except InputError:
            return None  # writing will say why
        if there is None:
            return None
        if job.begun and self._is_whole(job) is not None:
            return self._adopted(job)
        if self.task.skip_existing:
            stamp = job.stamp or places.stamp(job.source)
            if stamp and is_newer(there, stamp, stale=job.stale):
                was, became = stamp.size, there.size
                return Result(job.source, status="kept", bytes_in=was, bytes_out=became)
        if self.task.replaces:
            return None
        raise exists(job.target, stale=job.stale, only_copy=self.task.remove)

    def _is_whole(self, job: _Job) -> tuple[int, int, int] | None:
        """The size of the picture in an output that is there, whole, and made with these options,
        and the quality of an `.aec` file; else None."""
        try:
            data = places.read(job.target)
            if self.task.verb == "decompress":
                return (*self._decoded(data), 0)
            from aecodec import codec

            info = codec.read_info(data, max_pixels=self.task.max_pixels)
        except AecodecError:
            return None
        encoding = self.task.encoding
        if info.model != self._encoder.weights.id.hex():
            return None
        if not encoding.is_aimed and info.quality != encoding.quality:
            return None
        return info.width, info.height, info.quality

    def _adopted(self, job: _Job) -> Result:
        width, height, quality = self._is_whole(job) or (0, 0, 0)
        source, target = job.stamp or places.stamp(job.source), places.stamp(job.target)
        bytes_in, bytes_out = (source.size if source else 0), (target.size if target else 0)
        bpp = self._bpp(bytes_in, bytes_out, width, height)
        sizes = width, height, bytes_in, bytes_out, bpp, quality
        return Result(job.source, "", "", "done", *sizes)

    # --- The conversion itself ------------------------------------------------------------------

    def _encoded(self, data: bytes, target: str) -> tuple[bytes, int, int, int, tuple[str, ...]]:
        """The output's bytes, the picture's width and height, the `.aec` file's quality, and what
        was lost."""
        from aecodec import bitstream
        from aecodec.image import pillow as image

        if self.task.verb == "compress":
            picture = self.task.encoding.load(data, self.task.max_pixels)
            content = self.task.encoding.encode(picture, self._encoder)
            quality = bitstream.parse_header(content)[0].quality
            return content, picture.width, picture.height, quality, picture.notes
        restored = self._restored(data)
        buffer = io.BytesIO()
        notes = image.save(restored, buffer, files.picture_format(target))
        quality = bitstream.parse_header(data)[0].quality
        return buffer.getvalue(), restored.width, restored.height, quality, notes

    def _restored(self, data: bytes) -> Any:
        from aecodec import bitstream
        from aecodec.networks import weights

        container = bitstream.parse(data, max_pixels=self.task.max_pixels)
        try:
            coder = self._coder(weights.by_id(container.header.model_id))
        except UnknownModelError as error:
            raise UnknownModelError(error.model_id, tuple(weights.folders())) from None
        return coder.decode(container)

    def _decoded(self, content: bytes) -> tuple[int, int]:
        """Decode an output; its picture's width and height. Raises an AecodecError for damage."""
        from aecodec.image import pillow as image

        if self.task.verb == "compress":
            restored = self._restored(content)
            return restored.width, restored.height
        picture = image.load(content, max_pixels=self.task.max_pixels)
        return picture.width, picture.height

    def _bpp(self, bytes_in: int, bytes_out: int, width: int, height: int) -> float:
        """Bits for each pixel of the compressed side."""
        compressed = bytes_out if self.task.verb == "compress" else bytes_in
        return bits_per_pixel(compressed, width, height)

    # --- Deleting the source --------------------------------------------------------------------

    def _cleared(self, job: _Job, result: Result, content: bytes | None) -> Result:
        """The result, after the source was deleted if it is to be and may be.

        It may be once the output, read back, is what was written and decodes to a picture of its
        size; and never if the picture has lost anything but precision on the way.
        """
        if not self.task.remove or result.status == "kept":  # kept: by its date, so who knows
            return result
        if content is None:
            if self._is_gone(job):
                return result
            # Made anew, it shows beyond doubt whether the output is this source's.
            content, *_, notes = self._encoded(places.read(job.source), job.target)
            result = dataclasses.replace(result, notes=notes)
        if result.notes:
            kept = "the source is kept, since not all of it is in the output"
            return dataclasses.replace(result, notes=(*result.notes, kept))
        written = places.read(job.target)
        if written != content:
            raise CorruptError(f"{shown(job.target)} is not what it becomes: the source is kept")
        if self.task.verb == "compress":
            far = self._far_from_source(job, written, result)
            if far:
                return dataclasses.replace(result, notes=(*result.notes, far))
        elif self._decoded(written) != (result.width, result.height):
            raise CorruptError(f"{shown(job.target)} is another picture: the source is kept")
        if self._is_gone(job):  # by another run, which has made sure of the same
            return result
        if job.stamp is not None and places.stamp(job.source) != job.stamp:
            if self._is_gone(job):  # since the line before
                return result
            raise InputError("has changed since it was read: it is kept")
        try:
            places.remove(job.source)
        except OutputError:
            if not self._is_gone(job):
                raise
        return result

    def _far_from_source(self, job: _Job, written: bytes, result: Result) -> str:
        """What is said if the decoded `.aec` file is less like its source than a photograph ever
        is at its quality; empty: nothing. Raises CorruptError for a picture of another size."""
        from aecodec import bitstream
        from aecodec.image import pillow as image

        restored = self._restored(written)
        if restored.size != (result.width, result.height):
            raise CorruptError(f"{shown(job.target)} is another picture: the source is kept")
        picture = self.task.encoding.load(places.read(job.source), self.task.max_pixels)
        quality = bitstream.parse_header(written)[0].quality
        least, found = least_psnr(quality), image.fidelity(picture, restored)
        if found >= least:
            return ""
        return (
            f"the source is kept, since the output is unlike it: {found:.1f} dB, "
            f"where quality {quality} gives {least:.0f} at least"
        )

    def _is_gone(self, job: _Job) -> bool:
        """Whether there is no source any more: another run has deleted it."""
        return places.stamp(job.source) is None


def least_psnr(quality: int) -> float:
    """The PSNR in dB below which a source is not deleted, at a quality from 1 to 100.

    From 16 to 32 dB. The worst of 40 photographs (Kodak's 24 and 16 of scikit-image) have 19.7 dB
    at quality 1, 31.9 at 75 and 37.3 at 100, that is 3.7, 4.0 and 5.3 above. Below it are pictures
    that the networks do not render, such as colours that change from pixel to pixel.
    """
    return 16.0 + 16.0 * (quality - 1) / 99


def bits_per_pixel(nbytes: int, width: int, height: int) -> float:
    """Bits for each pixel; 0 where the picture's size is unknown."""
    return 8.0 * nbytes / (width * height) if width and height else 0.0


def _plain(value: Any) -> Any:
    """numpy's scalars, of which Ray's columns are made, as Python's."""
    return value.item() if hasattr(value, "item") else value
