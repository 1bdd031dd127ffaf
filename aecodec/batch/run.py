"""A run over many files, from the plan to the summary."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from aecodec import __version__, files
from aecodec.batch import pool, storage
from aecodec.batch.existing import Action, Output, decide, state_of
from aecodec.batch.manifest import NAME, Left, Manifest
from aecodec.batch.select import Fault, Item, Note, Selection
from aecodec.batch.storage import is_remote
from aecodec.batch.worker import Task, exists, failure, still_there
from aecodec.conversion import Result, bits_per_pixel
from aecodec.errors import InputError, OutputError
from aecodec.files import Job, Stamp, UsageFault, shown

__all__ = ["Convert", "Event", "Plan", "Summary", "convert"]

COUNTED_AHEAD = 100_000
"""Up to this many files are counted before the first one is converted."""
_BEGUN_AT_ONCE = 32
_SYNC_SECONDS = 1.0

Event: TypeAlias = "Result | Note | int"
"""The result of a file, a note for the user, or the number of files."""
Convert: TypeAlias = Callable[[Task, Iterator[Job]], Iterator[Result]]
"""Converts jobs in a pool, in this process, or on a cluster."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The inputs, outputs and options of a run."""

    task: Task
    inputs: Sequence[str]
    output: str | None = None
    recursive: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    files_from: str | None = None
    manifest: str | None = None
    processes: int = 0
    dry_run: bool = False

    def __post_init__(self) -> None:
        # `file://` addresses are local paths, too.
        object.__setattr__(self, "inputs", [storage.plain(path) for path in self.inputs])
        if self.output is not None:
            object.__setattr__(self, "output", storage.plain(self.output))

    @property
    def naming(self) -> files.Naming:
        return files.NAMINGS[self.task.verb]

    def manifest_path(self) -> str | None:
        """The manifest is in the output folder, or else in the only input folder, or here.

        None for single files, unless the user names a manifest.
        """
        if self.manifest is not None:
            return self.manifest
        if not self.recursive and self.files_from is None:
            return None
        place = self.output
        if place is None:
            place = self.inputs[0] if len(self.inputs) == 1 else os.curdir
        if not is_remote(place):
            return os.path.join(place if os.path.isdir(place) or self.output else os.curdir, NAME)
        digest = hashlib.blake2b(place.rstrip("/").encode(), digest_size=4).hexdigest()
        return f"aecodec-{posixpath.basename(place.rstrip('/'))}-{digest}.jsonl"


@dataclasses.dataclass
class Summary:
    """The totals of a run."""

    done: int = 0
    kept: int = 0
    left: int = 0
    failed: int = 0
    passed: int = 0
    kinds: tuple[str, ...] = ()
    """The suffixes of files that were passed over as no pictures, the most frequent first."""
    pixels: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    manifest: str | None = None
    manifest_fault: str | None = None


def convert(
    plan: Plan, tell: Callable[[Event], None], converted_by: Convert | None = None
) -> Summary:
    """Convert all files of a plan, and report each one at once.

    Args:
        plan: the inputs, outputs and options.
        tell: called with a Result for every file, with a Note for every skipped file, and for an
            old output that stays beside a skipped source. It is called once with an int, the
            number of files, unless there are very many.
        converted_by: converts the jobs; None takes worker processes of this machine.
    Raises:
        UsageFault: options contradict each other; nothing was done.
        AecodecError: no file can be converted, without weights or a manifest.
    """
    return _Run(plan, tell).convert(converted_by)


def _links_first(ahead: list[Item], later: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """The items in parts: first the links of `ahead`, those that lead to other links before these.

    A file that is deleted earlier would leave the links to it without a picture.
    """
    depths = list(map(_link_depth, ahead))
    for depth in sorted({*depths} - {0}, reverse=True):
        yield iter([item for item, own in zip(ahead, depths, strict=True) if own == depth])
    files_alone = [item for item, own in zip(ahead, depths, strict=True) if not own]
    if files_alone or len(ahead) in (0, COUNTED_AHEAD):
        yield _rest(files_alone, later)


def _link_depth(item: Item) -> int:
    """How many links lead to the file of a job."""
    is_local = isinstance(item, Job) and not is_remote(item.source)
    return files.link_depth(item.source) if is_local else 0


def _rest(ahead: list[Item], later: Iterator[Item]) -> Iterator[Item]:
    ahead.reverse()
    while ahead:  # what is done is not kept
        yield ahead.pop()
    yield from later


class _Run:
    def __init__(self, plan: Plan, tell: Callable[[Event], None]) -> None:
        self.plan = plan
        self.tell = tell
        self.summary = Summary()
        self.start = time.perf_counter()
        self.selection = Selection(
            plan.inputs,
            plan.output,
            plan.naming,
            plan.recursive,
            plan.include,
            plan.exclude,
            plan.files_from,
            links=not plan.task.remove,
        )
        self.task = dataclasses.replace(plan.task, root=self.selection.root)
        self._check()

    def _check(self) -> None:
        remote = [p for p in (*self.plan.inputs, self.plan.output or "") if is_remote(p)]
        for path in remote:
            storage.connect(path)
        if self.task.keep_dates and is_remote(self.plan.output or ""):
            raise UsageFault("--keep-dates: a remote store sets the dates of its files itself")
        if self.plan.output is not None and self.plan.naming is files.RESTORED:
            files.picture_format(self.plan.output if self.selection.root is None else "x.png")

    def convert(self, converted_by: Convert | None) -> Summary:
        if self.task.verb == "compress":
            from aecodec.networks import weights

            model = weights.by_name(self.task.encoding.model).id.hex()
            self.task = dataclasses.replace(self.task, model_id=model)
        path = self.plan.manifest_path()
        dry = self.plan.dry_run
        if (
            path is not None
            and not dry
            and self.plan.output is not None
            and not is_remote(self.plan.output)
        ):
            storage.make_folder(self.plan.output)
        options = {**self.task.options(), "model": self.task.model_id}
        about = {"version": __version__, **({"remove": True} if self.task.remove else {})}
        with Manifest(path, self.task.verb, options, about, read_only=dry) as manifest:
            self.manifest = manifest
            self.results = _Results(manifest, self.plan.naming, self.tell, self.summary)
            self.summary.manifest = path
            parts = self._counted(iter(self.selection))
            if dry:
                for job in self._to_do(itertools.chain.from_iterable(parts)):
                    self.results.count(self._foreseen(job))
            else:
                workers = converted_by or self._workers()
                try:
                    for items in parts:
                        for result in workers(self.task, self._record_begin(self._to_do(items))):
                            self.results.record(result)
                finally:
                    self.results.sync_names()
        self.summary.passed = self.selection.passed
        self.summary.kinds = tuple(kind for kind, _ in self.selection.kinds.most_common() if kind)
        self.summary.seconds = time.perf_counter() - self.start
        return self.summary

    def _workers(self) -> Convert:
        self.task = dataclasses.replace(self.task, sync_names=False)
        self.results.new_names = _NewNames()
        paths = (*self.plan.inputs, self.plan.output or "")
        if not all(map(storage.shared_by_processes, paths)):
            return pool.convert_here
        processes = self.plan.processes or pool.processes_that_pay()
        if not self.task.threads:
            self.task = dataclasses.replace(self.task, threads=pool.threads_for(processes))
        return lambda task, jobs: pool.run(task, jobs, processes)

    def _foreseen(self, job: Job) -> Result:
        """The result to expect for a file, without reading it."""
        result = Result(job.source, job.target, job.key)
        try:
            there = storage.stamp(job.target)
        except InputError as error:
            return failure(job.source, error, target=job.target, key=job.key)
        # An output that was begun is taken to be complete; a worker will check it.
        state = state_of(there, job.stamp, ours=job.begun, stale=job.stale)
        only_copy = self.task.remove or job.only_copy
        action = decide(state, self.task.existing, remove=only_copy)
        if action is Action.KEEP:
            return dataclasses.replace(result, status="kept")
        if action is Action.REFUSE:
            older = job.stamp is not None and state is Output.OLDER
            refused = exists(job.target, stale=job.stale, older=older, only_copy=only_copy)
            return failure(job.source, refused, target=job.target, key=job.key)
        return result

    # --- From the selection to the workers ------------------------------------------------------

    def _counted(self, items: Iterator[Item]) -> Iterator[Iterator[Item]]:
        """The same items in parts; they are counted first, unless there are very many."""
        ahead = list(itertools.islice(items, COUNTED_AHEAD))
        if len(ahead) < COUNTED_AHEAD:
            self.tell(sum(not isinstance(item, Note) for item in ahead))
        return _links_first(ahead, items) if self.task.remove else iter([_rest(ahead, items)])

    def _to_do(self, items: Iterator[Item]) -> Iterator[Job]:
        """The jobs to do. Everything else is reported."""
        for item in items:
            if isinstance(item, Note):
                self.tell(item)
            elif isinstance(item, Fault):
                self.results.record(failure(item.source, item.error))
            else:
                yield from self._remaining(item)

    def _remaining(self, job: Job) -> Iterator[Job]:
        """The job with its state in the manifest, unless it is done already."""
        if self.manifest.is_done(job.key, job.stamp) and self._is_there(job):
            if self.task.remove and not self.plan.dry_run:
                # It is verified, and its source deleted.
                yield dataclasses.replace(job, begun=True)
            else:
                size = job.stamp.size if job.stamp else 0
                self.results.tell_of_earlier_name(job.source, job.target, job.key)
                self.results.count(Result(job.source, job.target, job.key, "kept", bytes_in=size))
            return
        name = self.manifest.unfinished(job.key, job.stamp)
        if name is not None:
            folder = job.target[: len(job.target) - len(posixpath.basename(job.target))]
            yield dataclasses.replace(job, target=folder + name, begun=True)
            return
        job = dataclasses.replace(
            job,
            stale=self.manifest.is_stale(job.key, job.stamp),
            only_copy=self.manifest.is_only_copy(job.key, posixpath.basename(job.target)),
        )
        would_be = self.manifest.left_as(job.key, job.stamp)
        if would_be is not None and self._would_be_tried(job):
            self.results.count(self._left_again(job, would_be))
        else:
            yield job

    def _would_be_tried(self, job: Job) -> bool:
        """Whether a worker would compress it in spite of an existing output.

        Remote outputs are not looked at.
        """
        return is_remote(job.target) or self._foreseen(job).status == "done"

    def _left_again(self, job: Job, would_be: Left) -> Result:
        """The result for a file that an earlier run skipped."""
        notes: tuple[str, ...] = ()
        if not is_remote(job.target):
            notes = still_there(job.target, job.stamp, stale=job.stale)
        return Result(
            job.source,
            job.target,
            job.key,
            "left",
            width=would_be.width,
            height=would_be.height,
            bytes_in=job.stamp.size if job.stamp else 0,
            bytes_out=would_be.size,
            bpp=bits_per_pixel(would_be.size, would_be.width, would_be.height),
            notes=notes,
        )

    def _is_there(self, job: Job) -> bool:
        """Whether the output exists with the size that was written.

        Remote outputs are taken to exist: a request for each file takes too long.
        """
        if is_remote(job.target):
            return True
        try:
            there = os.stat(job.target).st_size
        except (OSError, ValueError):
            return False
        return self.manifest.bytes_of(job.key) in (None, there)

    def _record_begin(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """The same jobs, once the manifest has recorded that they begin."""
        waiting: list[Job] = []
        limit = 1  # small at first, so that the workers do not wait
        for job in jobs:
            waiting.append(job)
            if len(waiting) >= limit:
                yield from self._write_down(waiting)
                waiting, limit = [], min(2 * limit, _BEGUN_AT_ONCE)
        yield from self._write_down(waiting)

    def _write_down(self, jobs: list[Job]) -> list[Job]:
        waiting = [job for job in jobs if not job.begun]
        replaced = {job.key for job in waiting if self._is_replaced(job)}
        new = {job.key for job in waiting if job.key not in replaced and not self._is_taken(job)}
        ours = set(new)
        if len(new) < len(waiting):
            self.manifest.catch_up()  # another run may be at work here
            ours.update(job.key for job in jobs if self._is_others(job))
        try:
            begun = (job for job in jobs if job.key in new)
            self.manifest.begin(
                ((job.key, posixpath.basename(job.target), job.stamp) for job in begun),
                replaced - ours,
            )
        except OutputError as error:
            for job in jobs:
                self.results.count(failure(job.source, error, target=job.target, key=job.key))
            return []
        return [dataclasses.replace(job, begun=True) if job.key in ours else job for job in jobs]

    def _is_others(self, job: Job) -> bool:
        """Whether another run with the same options has made or begun the output."""
        if self.manifest.unfinished(job.key, job.stamp) is not None:
            return True
        return self.manifest.is_done(job.key, job.stamp) and self._is_there(job)

    def _is_replaced(self, job: Job) -> bool:
        """Whether a worker will replace an output; for a remote one, whether it may."""
        if not self.task.replaces:
            return False
        if is_remote(job.target):
            return True
        return os.path.lexists(job.target) and self._foreseen(job).status == "done"

    def _is_taken(self, job: Job) -> bool:
        """Whether a foreign file has the target's name already.

        If it were recorded as begun, the next run could adopt it.
        """
        if not is_remote(job.target):
            return os.path.lexists(job.target)
        return self.task.remove and storage.stamp(job.target) is not None


class _NewNames:
    """Syncs the folders of new outputs about once a second, for all files of that time together.

    If a power cut removes a name before, the next run makes the file again: it checks that an
    output exists even if the manifest calls it done.
    """

    def __init__(self) -> None:
        self._folders: set[str] = set()
        self._synced = time.monotonic()

    def add(self, target: str) -> None:
        """Add a new output."""
        if is_remote(target):
            return
        self._folders.add(os.path.dirname(os.path.realpath(target)))
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Sync all folders with new names now."""
        for folder in self._folders:
            files.sync_folder(folder)
        self._folders.clear()
        self._synced = time.monotonic()


@dataclasses.dataclass
class _Results:
    """Passes results on to the manifest, the summary and the caller."""

    manifest: Manifest
    naming: files.Naming
    tell: Callable[[Event], None]
    summary: Summary
    new_names: _NewNames | None = None
    """None where the workers sync the names of their outputs."""

    def sync_names(self) -> None:
        """Make the names of all outputs so far outlast a power cut."""
        if self.new_names is not None:
            self.new_names.sync()

    def record(self, result: Result) -> None:
        """Record a result, and report it."""
        try:
            if result.error_type == pool.WorkerDiedError.__name__:
                pass  # it may have finished the file: the next run adopts a complete output
            elif result.status == "failed":
                self.manifest.failed(result.key or result.source, result.error, result.error_type)
            elif result.status == "kept":
                self.manifest.kept(result.key)
            elif result.status == "left":
                state = Stamp(result.bytes_in, result.time_ns)
                would_be = Left(result.bytes_out, result.width, result.height)
                self.manifest.left(result.key, state, would_be)
            else:
                values = {
                    "name": posixpath.basename(result.target),
                    "bytes": result.bytes_out,
                    "quality": result.quality,
                    "width": result.width,
                    "height": result.height,
                    "seconds": round(result.seconds, 4),
                }
                if result.deleted:
                    values["deleted"] = True
                if self.new_names is not None:
                    self.new_names.add(result.target)
                self.manifest.done(result.key, Stamp(result.bytes_in, result.time_ns), values)
                self.tell_of_earlier_name(result.source, result.target, result.key)
        except OutputError as error:  # nothing is lost: the next run adopts the output
            self.summary.manifest_fault = str(error)
        self.count(result)

    def tell_of_earlier_name(self, source: str, target: str, key: str) -> None:
        """Report an old output under another name.

        The name of an output changes when another source of the same stem comes or goes.
        """
        other = self.naming.other(source, target)
        if not self.manifest.was_named(key, posixpath.basename(other)):
            return
        with contextlib.suppress(InputError):
            if storage.stamp(other) is not None:
                text = f"{files.shown(other)}, its output of before, stays beside {shown(target)}"
                self.tell(Note(source, text))

    def count(self, result: Result) -> None:
        summary = self.summary
        if result.status == "failed":
            summary.failed += 1
        elif result.status == "kept":
            summary.kept += 1
        elif result.status == "left":
            summary.left += 1
            for text in result.notes:
                self.tell(Note(result.source, text))
        else:
            summary.done += 1
            summary.pixels += result.width * result.height
            summary.bytes_in += result.bytes_in
            summary.bytes_out += result.bytes_out
        self.tell(result)
