"""The worker: an object that holds the weights and converts batches of files.

Worker processes (`pool.py`), Dask clusters (`cluster.py`) and Ray Data's `map_batches` use it::

    jobs, columns of equal length --Converter(task)--> results, columns of equal length

Jobs need the columns `source` and `target`; results have those of `Result`. A file that fails is a
row, too, so a batch never fails. Any worker may run a batch again at any time, because a complete
output is adopted, not made again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from aecodec import files, machine
from aecodec.batch import storage
from aecodec.batch.existing import Action, Existing, Output, decide, state_of
from aecodec.bitstream import DEFAULT_MAX_PIXELS, MAGIC
from aecodec.conversion import (
    Compression,
    Decompression,
    Encoding,
    Result,
    Run,
    Source,
    bits_per_pixel,
    convert,
)
from aecodec.errors import (
    AecodecError,
    CorruptError,
    InputError,
    OutputError,
    OutputExistsError,
    WeightsError,
    describe,
    is_out_of_memory,
)
from aecodec.files import UNDATED, Job, Stamp, shown

if TYPE_CHECKING:
    from aecodec.image.picture import Picture, PillowImage

__all__ = [
    "Converter",
    "Task",
    "Verb",
    "exists",
    "failure",
    "rows",
    "still_there",
]

Verb = Literal["compress", "decompress"]
_HEAD = 64  # bytes that identify the format of a file


@dataclasses.dataclass(frozen=True)
class Task:
    """The options of a run as plain values that every worker gets."""

    verb: Verb = "compress"
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    model_id: str | None = None
    """The id of the client's weights, in hexadecimal."""
    root: str | None = None
    """All outputs must lie in this folder, also after links are followed."""
    existing: Existing = Existing.REFUSE
    """The policy for outputs that exist."""
    remove: bool = False
    keep_dates: bool = False
    sync_names: bool = True
    """Whether an output's name outlasts a power cut before its result is told. Without, the client
    syncs the folders, many files at once. Deleting a source and replacing an output always wait for
    it."""
    threads: int = 0
    """Threads of each worker; 0: one for every core."""
    device: str = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS

    @property
    def run(self) -> Run:
        """How to run the networks, and on how large a picture."""
        return Run(self.threads, self.device, self.max_pixels)

    @property
    def replaces(self) -> bool:
        """Whether any existing output may be replaced."""
        return decide(Output.OLDER, self.existing, remove=self.remove) is Action.REPLACE

    def options(self) -> dict[str, Any]:
        """The options that decide the bytes of an output."""
        if self.verb == "decompress":
            return {}
        options = dataclasses.asdict(self.encoding)
        if self.encoding.denoise is None:  # manifests of before do not name it
            del options["denoise"]
        if not self.encoding.grain:
            del options["grain"]
        return options


def rows(columns: Mapping[str, Sequence[Any]]) -> list[Result]:
    """The columns that a worker returns, as objects."""
    names = [field.name for field in dataclasses.fields(Result)]
    return [
        Result(**dict(zip(names, values, strict=True)))
        for values in zip(*(columns[name] for name in names), strict=True)
    ]


def failure(source: str, error: Exception, *, target: str = "", key: str = "") -> Result:
    """The result of a file that failed, with the error as one line."""
    known = isinstance(error, AecodecError) or is_out_of_memory(error)
    trace = "" if known else "".join(traceback.format_exception(error))
    return Result(
        source,
        target,
        key,
        "failed",
        error=describe(error),
        error_type=type(error).__name__,
        trace=trace,
    )


def exists(
    target: str, *, stale: bool = False, older: bool = False, only_copy: bool = False
) -> OutputExistsError:
    """The error for an output that exists, with advice.

    `stale`: the source has changed since it was made. `older`: the source is newer by its date.
    `only_copy`: its source may be deleted.
    """
    what = f"{shown(target)} exists already"
    if only_copy:
        earlier = ", of an earlier state" if stale else ""
        return OutputExistsError(f"{what}{earlier}, maybe the only copy: -f replaces it")
    if stale:
        return OutputExistsError(f"{what}, of an earlier state: -f or --skip-existing replaces it")
    if older:
        text = f"{what}, older than its source: -f or --skip-existing replaces it"
        return OutputExistsError(text)
    return OutputExistsError(f"{what}: -f replaces it, --skip-existing leaves it")


def still_there(target: str, source: Stamp | None, *, stale: bool) -> tuple[str, ...]:
    """Notes on an old output beside a source that is skipped now.

    The output stays, but the user must not take it for the source's. `stale`: the source has
    changed since it was made.
    """
    try:
        there = storage.stamp(target)
    except InputError:
        return ()
    if there is None:
        return ()
    earlier = stale or (source is not None and there.time_ns < source.time_ns)
    stays = ", made of an earlier state, is still there" if earlier else " stays, as it was"
    return (f"left alone; {shown(target)}{stays}",)


def _job(row: Mapping[str, Any]) -> Job:
    """A row of a batch as a job (see `pool.columns`); it needs `source` and `target`."""
    row = {name: _plain(value) for name, value in row.items()}
    size = row.get("size", -1)  # -1: nobody looked
    return Job(
        storage.plain(row["source"]),
        storage.plain(row["target"]),
        row.get("key", ""),
        Stamp(size, row.get("time_ns", UNDATED)) if size >= 0 else None,
        row.get("begun", False),
        row.get("stale", False),
        row.get("only_copy", False),
    )


class _Files:
    """Reads the source of one job, writes its output, and knows what was read and written."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.content: bytes | None = None
        """The bytes of the output."""
        self.digest = b""
        """That of the source, if it is to be deleted."""

    def check(self, job: Job) -> None:
        """Does nothing: `Converter` has checked the target."""

    def read(self, job: Job, verb: str) -> Source:
        mode = storage.mode(job.source)
        data = storage.read(job.source, job.stamp.size if job.stamp else None)
        if self._task.remove:
            self.digest = _digest(data)
        return Source(data, len(data), mode)

    @contextlib.contextmanager
    def writing(self, job: Job, source: Source) -> Iterator[BinaryIO]:
        buffer = io.BytesIO()
        yield buffer
        content = self.content = buffer.getvalue()
        dates = None
        if self._task.keep_dates and (state := job.stamp or storage.stamp(job.source)):
            dates = state.dates
        force, mode = self._task.replaces, source.mode
        sync_name = self._task.sync_names or self._task.remove or force
        try:
            storage.write(
                job.target, content, force=force, dates=dates, mode=mode, sync_name=sync_name
            )
        except OutputExistsError:
            # Another run was faster. Its output serves if its bytes are the same.
            if storage.read(job.target) != content:
                raise


class Converter:
    """Converts files. Loads the weights once; safe to be called from several threads.

    Raises WeightsError if the weights cannot be used here or differ from the client's.
    """

    def __init__(self, task: Task) -> None:
        machine.require(machine.LEAST)
        from aecodec.networks import weights

        self.task = task
        self._is_picture: Callable[[bytes], bool] | None = None
        self._decompression = Decompression(task.run)
        self._how: Compression | Decompression = self._decompression
        if task.verb == "compress":
            self._weights = weights.by_name(task.encoding.model)
            if task.model_id is not None and self._weights.id.hex() != task.model_id:
                raise WeightsError(
                    f"the weights {self._weights.name} are {self._weights.id.hex()} where this "
                    f"worker runs, and {task.model_id} where it was started from"
                )
            self._how = Compression(task.encoding, task.run, self._weights)

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Convert a batch: columns of jobs in, columns of results out, row by row."""
        names = list(batch)
        results = [
            self._convert(_job(dict(zip(names, values, strict=True))))
            for values in zip(*batch.values(), strict=True)
        ]
        return {
            field.name: [getattr(result, field.name) for result in results]
            for field in dataclasses.fields(Result)
        }

    def _convert(self, job: Job) -> Result:
        start = time.perf_counter()
        try:
            result = self._make(job)
        except Exception as error:
            result = failure(job.source, error)
        return dataclasses.replace(
            result,
            key=job.key,
            target=job.target,
            time_ns=job.stamp.time_ns if job.stamp else UNDATED,
            seconds=time.perf_counter() - start,
        )

    def _make(self, job: Job) -> Result:
        self._check_place(job)
        earlier = self._use_earlier(job)
        if earlier is not None:
            return self._delete_source(job, earlier, None, b"")
        reached = _Files(self.task)
        try:
            result = convert(job, self._how, reached)
        except InputError:
            # Another run may have converted and deleted the source since it was listed.
            if job.begun and _is_gone(job) and self._is_whole(job) is not None:
                return self._adopt(job)
            raise
        if result.status == "left":
            notes = still_there(job.target, job.stamp, stale=job.stale)
            return dataclasses.replace(result, quality=0, notes=notes)
        return self._delete_source(job, result, reached.content, reached.digest)

    def _check_place(self, job: Job) -> None:
        """Refuse a target that a link leads out of the output folder, or that is an input."""
        target, root = job.target, self.task.root
        if target == job.source:
            raise OutputError(f"the output {shown(target)} would replace the input")
        if storage.is_remote(target):
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
        """Whether an existing target is an input by its first bytes."""
        try:
            start = storage.head(target, _HEAD)
        except InputError:
            return False  # writing will say why
        if self.task.verb == "decompress":
            return start.startswith(MAGIC)
        if self._is_picture is None:
            from aecodec.image.formats import photograph_kinds  # imports Pillow

            _, self._is_picture = photograph_kinds()
        return self._is_picture(start)

    # --- An output that is there already --------------------------------------------------------

    def _use_earlier(self, job: Job) -> Result | None:
        """The result for an existing output that is kept; None if the output is to be made.

        Raises OutputExistsError if the output may neither be kept nor replaced.
        """
        try:
            there = storage.stamp(job.target)
        except InputError:
            return None  # writing will say why
        if there is None:
            return None
        existing = self.task.existing
        ours = job.begun and self._is_whole(job) is not None
        # A request for the date is slow, and only these policies need the date.
        asks = existing in (Existing.KEEP, Existing.KEEP_OR_REPLACE) and not ours
        source = job.stamp or (storage.stamp(job.source) if asks else None)
        state = state_of(there, source, ours=ours, stale=job.stale)
        only_copy = self.task.remove or job.only_copy
        action = decide(state, existing, remove=only_copy)
        if action is Action.ADOPT:
            return self._adopt(job)
        if action is Action.KEEP and source is not None:
            was, became = source.size, there.size
            return Result(job.source, status="kept", bytes_in=was, bytes_out=became)
        if action is Action.REFUSE:
            older = source is not None and state is Output.OLDER
            raise exists(job.target, stale=job.stale, older=older, only_copy=only_copy)
        return None

    def _is_whole(self, job: Job) -> tuple[int, int, int] | None:
        """Width, height and quality of a complete output that these options could have made.

        None for any other output. The quality of a picture file is 0.
        """
        try:
            data = storage.read(job.target)
            if self.task.verb == "decompress":
                return (*self._decoded_size(data), 0)
            from aecodec import codec

            info = codec.read_info(data, max_pixels=self.task.max_pixels)
        except AecodecError:
            return None
        encoding = self.task.encoding
        if info.model != self._weights.id.hex():
            return None
        if not encoding.is_aimed and info.quality != encoding.quality:
            return None
        return info.width, info.height, info.quality

    def _adopt(self, job: Job) -> Result:
        width, height, quality = self._is_whole(job) or (0, 0, 0)
        source, target = job.stamp or storage.stamp(job.source), storage.stamp(job.target)
        bytes_in, bytes_out = (source.size if source else 0), (target.size if target else 0)
        compressed = bytes_out if self.task.verb == "compress" else bytes_in
        bpp = bits_per_pixel(compressed, width, height)
        sizes = width, height, bytes_in, bytes_out, bpp, quality
        return Result(job.source, "", "", "done", *sizes)

    # --- The conversion itself ------------------------------------------------------------------

    def _encode(self, data: bytes, target: str) -> tuple[bytes, tuple[str, ...]]:
        """The bytes of the output, and notes on losses."""
        buffer = io.BytesIO()
        notes = self._how.make(data, target).save(buffer)
        return buffer.getvalue(), notes

    def _restore(self, data: bytes) -> PillowImage:
        return self._decompression.decode(data)

    def _decoded_size(self, content: bytes) -> tuple[int, int]:
        """Width and height of a decoded output. Raises an AecodecError for damage."""
        from aecodec.image.load import load

        if self.task.verb == "compress":
            restored = self._restore(content)
            return restored.width, restored.height
        picture = load(content, max_pixels=self.task.max_pixels)
        return picture.width, picture.height

    def _read_back(self, content: bytes, target: str) -> tuple[int, int]:
        """The same of an output whose source is to be deleted. Raises OutputError."""
        try:
            return self._decoded_size(content)
        except InputError as error:
            text = f"{shown(target)} cannot be read back, so the source is kept: {error}"
            raise OutputError(text) from error

    # --- Deleting the source --------------------------------------------------------------------

    def _delete_source(
        self, job: Job, result: Result, content: bytes | None, digest: bytes
    ) -> Result:
        """Delete the source if the run has `--rm` and nothing forbids it. Returns the result.

        The output is read back first: it must be what was written, and decode to a picture of the
        same size. A picture that lost anything but precision keeps its source. So does one that is
        not what was read any more, by its ``digest``: programs that edit may set back the date.
        """
        if not self.task.remove or result.status == "kept":  # a date proves nothing
            return result
        if _leads_nowhere(job):
            return dataclasses.replace(result, notes=(*result.notes, _LINK_KEPT))
        adopted = content is None
        if content is None:
            if _is_gone(job):
                return dataclasses.replace(result, deleted=True)
            # Encoding again proves whether the output belongs to this source.
            source = storage.read(job.source)
            digest = _digest(source)
            content, notes = self._encode(source, job.target)
            result = dataclasses.replace(result, notes=notes)
        if result.notes:
            kept = "the source is kept, since not all of it is in the output"
            return dataclasses.replace(result, notes=(*result.notes, kept))
        if self.task.verb == "decompress" and (nearly := _only_nearly(job.target)):
            return dataclasses.replace(result, notes=(nearly,))
        written = storage.read(job.target)
        if written != content:
            raise CorruptError(f"{shown(job.target)} is not what it becomes: the source is kept")
        if self.task.verb == "compress":
            far = self._far_from_source(job, written, result, digest)
            if far:
                return dataclasses.replace(result, notes=(*result.notes, far))
        elif self._read_back(written, job.target) != (result.width, result.height):
            raise CorruptError(f"{shown(job.target)} is another picture: the source is kept")
        else:
            _read_again(job, digest)
        return _delete(job, result, adopted=adopted)

    def _far_from_source(self, job: Job, written: bytes, result: Result, digest: bytes) -> str:
        """A note if the decoded file differs from its source more than any photograph does.

        Empty if it does not. Raises CorruptError for a picture of another size, and InputError for
        a source that is another file by now.
        """
        restored = self._restore(written)
        if restored.size != (result.width, result.height):
            raise CorruptError(f"{shown(job.target)} is another picture: the source is kept")
        source = _read_again(job, digest)
        if source is None:
            return ""
        picture = self.task.encoding.load(source, self.task.max_pixels)
        return _unlike(picture, restored, written, self.task)


def _read_again(job: Job, digest: bytes) -> bytes | None:
    """The source, which must be what it was; None: another run has checked and deleted it.

    Raises InputError.
    """
    try:
        source = storage.read(job.source)
    except InputError:
        if _is_gone(job):
            return None
        raise
    if _digest(source) != digest:
        raise InputError(_CHANGED)
    return source


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data).digest()


_CHANGED = "has changed since it was read: it is kept"


def _unlike(picture: Picture, restored: PillowImage, written: bytes, task: Task) -> str:
    """A note if a decoded file differs from its source more than it may, or an empty string.

    Transparency is always kept exactly, and colours are where every tile is stored exactly.
    """
    from aecodec import bitstream
    from aecodec.image.picture import fidelity, fidelity_of_an_eighth, has_alpha_of

    container = bitstream.parse(written, max_pixels=task.max_pixels)
    quality, found = container.header.quality, fidelity(picture, restored)
    least = least_psnr(quality)
    if found < least:  # pictures of much fine detail have a low PSNR
        least = min(least, fidelity_of_an_eighth(picture) + _margin(quality))
    is_exact = len(container.exact) == container.header.tile_count
    if not has_alpha_of(picture, restored):
        reason = "its transparency is another"
    elif is_exact and task.encoding.denoise is None and found < math.inf:
        reason = f"{found:.1f} dB, where every tile is stored exactly"
    elif found < least:
        reason = f"{found:.1f} dB, where quality {quality} gives {least:.0f} at least"
    else:
        return ""
    return f"the source is kept, since the output is unlike it: {reason}"


def _only_nearly(target: str) -> str:
    """A note if the format of a picture file loses precision, or an empty string."""
    from aecodec.image.save import LOSSY

    name = files.picture_format(target)
    if name not in LOSSY:
        return ""
    return f"the source is kept, since {name} keeps its pixels only nearly"


_LINK_KEPT = "the source is kept: it is a link, and the file that it names is gone"


def _kept_for(lacking: Sequence[str]) -> str:
    return f"the source is kept, since its {', '.join(lacking)} cannot be kept with the output"


def _delete(job: Job, result: Result, *, adopted: bool) -> Result:
    """Delete a source whose output was verified, if it is as it was listed.

    `adopted`: an earlier run has made the output, and was cut off.
    """
    gone = dataclasses.replace(result, deleted=True)
    if _is_gone(job):  # another run has checked and deleted it
        return gone
    if job.stamp is not None and storage.stamp(job.source) != job.stamp:
        if _is_gone(job):  # since the line before
            return gone
        if _leads_nowhere(job):
            return dataclasses.replace(result, notes=(*result.notes, _LINK_KEPT))
        raise InputError(_CHANGED)
    if lacking := storage.replaced(job.source, job.target):
        return dataclasses.replace(result, notes=(*result.notes, _kept_for(lacking)))
    if adopted:  # the name may not be synced
        storage.sync(job.target)
    _remove(job)
    return gone


def _remove(job: Job) -> None:
    """Delete the source, unless another run was faster."""
    try:
        storage.remove(job.source)
    except OutputError:
        if not _is_gone(job):
            raise


def _is_gone(job: Job) -> bool:
    """Whether there is no source any more: another run has deleted it. Not so for a dead link."""
    return storage.stamp(job.source) is None and not _is_link(job)


def _leads_nowhere(job: Job) -> bool:
    """Whether the source is a link, and what it names is not there any more."""
    return _is_link(job) and storage.stamp(job.source) is None


def _is_link(job: Job) -> bool:
    return not storage.is_remote(job.source) and files.link_of(job.source) is not None


def least_psnr(quality: int) -> float:
    """The PSNR in dB below which most sources are not deleted, at a quality from 1 to 100.

    From 16 to 32 dB. 29 photographs (24 of Kodak, 5 of scikit-image) stay 3.2 dB above it or more;
    of 160 smaller and noisier ones four are below it at quality 90.
    """
    return 16.0 + 16.0 * (quality - 1) / 99


def _margin(quality: int) -> float:
    """The margin in dB above the PSNR of a copy at an eighth of the size that is enough, too.

    From 1 to 7 dB. Of the 160 photographs of `least_psnr`, those below that floor have 2.4 dB at
    quality 10, and 8.5 or more from quality 75 on. Where the networks fail, for example on colours
    that change from pixel to pixel, they have none.
    """
    return 1.0 + 6.0 * (quality - 1) / 99


def _plain(value: Any) -> Any:
    """numpy's scalars, of which Ray's columns are made, as Python's."""
    return value.item() if hasattr(value, "item") else value
