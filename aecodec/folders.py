"""`compress` and `decompress` over whole folders: their options, and what the user sees of a run.

The run itself is `batch`; here it is asked for, shown while it goes, and summed up.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from aecodec import files
from aecodec.console import EXIT_SOME_FAILED, debugging, size
from aecodec.errors import AecodecError, with_advice
from aecodec.files import shown

if TYPE_CHECKING:
    from rich.progress import Progress

    from aecodec.batch import Plan, Result, Summary
    from aecodec.batch.run import Event

__all__ = ["Folders", "folder_options"]

F = TypeVar("F", bound=Callable[..., Any])

_REPORT_COLUMNS = (
    "source",
    "target",
    "status",
    "width",
    "height",
    "bytes_in",
    "bytes_out",
    "bpp",
    "seconds",
    "error_type",
    "error",
    "notes",
)
_FAILURES_LISTED = 1000
_KINDS_OF_NOTES = 20


def folder_options(command: F) -> F:
    """Adds the options of whole folders; the command gets them as one `folders: Folders`."""
    names = [field.name for field in fields(Folders)]

    @functools.wraps(command)
    def with_folders(*positional: Any, **named: Any) -> Any:
        given = {name: named.pop(name) for name in names}
        return command(*positional, folders=Folders(**given), **named)

    wrapped: Any = with_folders
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return cast(F, wrapped)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-r", "--recursive", is_flag=True, help="Convert all that is in a folder."),
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Take only names that fit, or paths if there is a / in it; repeatable.",
    ),
    click.option(
        "--exclude", multiple=True, metavar="GLOB", help="Leave out what fits, folders, too."
    ),
    click.option(
        "--files-from",
        metavar="LIST",
        help="Convert what a file names, one a line or between NULs; - is standard input.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Leave outputs that are newer than their source; make the others anew.",
    ),
    click.option(
        "--rm",
        "remove",
        is_flag=True,
        help="Delete each source once its output is written, synced and verified by decoding.",
    ),
    click.option("--keep-dates", is_flag=True, help="Give outputs their source's date."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(0),
        help="Worker processes; 0: as many as pay.  [default for folders: 0]",
    ),
    click.option("--report", metavar="CSV", help="Write a table with a line for every file."),
    click.option("--manifest", metavar="FILE", help="Where to remember what is done."),
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Work on a Dask cluster: its scheduler's tcp://HOST:PORT, or local.",
    ),
)


@dataclass(frozen=True)
class Folders:
    """What the options of whole folders say."""

    recursive: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    files_from: str | None
    skip_existing: bool
    remove: bool
    keep_dates: bool
    dry_run: bool
    jobs: int | None
    report: str | None
    manifest: str | None
    cluster: str | None

    def are_meant(self, inputs: tuple[str, ...], output: str | None) -> bool:
        """Whether this is a run of `batch`, and not of a few files, one after the other."""
        given = {**asdict(self), "jobs": self.jobs is not None}
        remote = any("://" in path for path in (*inputs, output or ""))
        return any(given.values()) or remote

    def convert(
        self,
        inputs: tuple[str, ...],
        output: str | None,
        *,
        force: bool,
        as_json: bool,
        encoding: files.Encoding | None = None,
    ) -> int:
        """Compress with `encoding`, or restore without; show it, and return the exit code."""
        from aecodec import batch

        if not inputs and self.files_from is None:
            raise click.UsageError("Missing argument 'INPUT...'.")
        task = batch.Task(
            verb="compress" if encoding is not None else "decompress",
            encoding=encoding or files.Encoding(),
            force=force,
            skip_existing=self.skip_existing,
            remove=self.remove,
            keep_dates=self.keep_dates,
        )
        if files.STDIO in inputs or output == files.STDIO:
            raise click.UsageError("standard input and output ('-') are for single files")
        if (self.include or self.exclude) and not self.recursive and self.files_from is None:
            raise click.UsageError("--include and --exclude choose from a folder: add -r")
        plan = batch.Plan(
            task,
            inputs,
            output,
            recursive=self.recursive,
            include=self.include,
            exclude=self.exclude,
            files_from=self.files_from,
            manifest=self.manifest,
            processes=self.jobs or 0,
            dry_run=self.dry_run,
        )
        try:
            with contextlib.ExitStack() as stack:
                table = stack.enter_context(_table(self.report)) if self.report else None
                return _shown(plan, self, as_json, table)
        except files.UsageFault as fault:
            raise click.UsageError(str(fault)) from None
        except AecodecError as error:
            click.echo(f"aecodec: {with_advice(error)}", err=True)
            return EXIT_SOME_FAILED


def _shown(plan: Plan, folders: Folders, as_json: bool, table: IO[str] | None) -> int:
    """Convert, with everything that is to be seen of it."""
    from aecodec import batch

    converted_by = None
    if folders.cluster is not None and not folders.dry_run:
        from aecodec import cluster

        converted_by = cluster.connected(folders.cluster, folders.jobs or 0)
    view = _View(
        as_json=as_json,
        lines=plan.dry_run or not (plan.recursive or plan.files_from is not None),
        dry_run=plan.dry_run,
        table=table,
    )
    with view:
        summary = batch.convert(plan, view.tell, converted_by)
        view.finished(summary)
    return EXIT_SOME_FAILED if summary.failed or summary.manifest_fault else 0


@contextlib.contextmanager
def _table(path: str) -> Iterator[IO[str]]:
    """The file of `--report`. It replaces an earlier report, and nothing else."""
    first = ",".join(_REPORT_COLUMNS)
    try:
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as old:
            if old.read(len(first)) not in (first.encode(), b""):
                raise files.UsageFault(
                    f"--report {shown(path)}: that file is there, and no report of an earlier run"
                )
        table = open(  # noqa: SIM115 (closed below; only opening is translated)
            path, "w", newline="", encoding="utf-8", errors="surrogateescape"
        )
    except (OSError, ValueError) as error:
        raise files.UsageFault(f"--report {shown(path)}: {files.reason(error)}") from None
    with table:
        csv.writer(table).writerow(_REPORT_COLUMNS)
        yield table


class _View:
    """A run as the user sees it: results, faults, the bar, and at the end the sum."""

    def __init__(self, *, as_json: bool, lines: bool, dry_run: bool, table: IO[str] | None) -> None:
        self._as_json = as_json
        self._lines = lines
        self._dry_run = dry_run
        self._table = csv.writer(table) if table is not None else None
        self._table_file = table
        self._failures: list[tuple[str, str]] = []
        self._failed = self._done = self._kept = 0
        self._pixels = self._bytes_in = self._bytes_out = 0
        self._notes: Counter[str] = Counter()
        self._start = time.monotonic()
        self._bar: Progress | None = _bar() if sys.stderr.isatty() and not dry_run else None

    def __enter__(self) -> _View:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if kind is not None:
            self._list_failures()
            if issubclass(kind, KeyboardInterrupt):
                click.echo(
                    f"aecodec: {self._done:,} done, {self._failed:,} failed; "
                    "the same command again does the rest",
                    err=True,
                )

    # --- While it runs --------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Take up what `batch.convert` tells."""
        if isinstance(event, int):
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], total=event)
            return
        from aecodec.batch.select import Note

        if isinstance(event, Note):
            self._echo(f"aecodec: {shown(event.source)}: {event.text}", err=True)
            return
        self._count(event)
        if self._as_json:
            self._echo(json.dumps(self._values(event)))
        elif self._lines:
            self._line(event)
        if self._table is not None:
            values = {**asdict(event), "notes": "; ".join(event.notes)}
            self._table.writerow([values[name] for name in _REPORT_COLUMNS])
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], advance=1, text=self._figures())

    def _count(self, result: Result) -> None:
        if result.status == "failed":
            self._failed += 1
            if len(self._failures) < _FAILURES_LISTED:
                self._failures.append((result.source, result.error))
            if result.trace and debugging():
                self._echo(result.trace.rstrip(), err=True)
            return
        if result.status == "kept":
            self._kept += 1
            return
        self._done += 1
        self._pixels += result.width * result.height
        self._bytes_in += result.bytes_in
        self._bytes_out += result.bytes_out
        for note in result.notes:
            if note in self._notes or len(self._notes) < _KINDS_OF_NOTES:
                self._notes[note] += 1

    def _values(self, result: Result) -> dict[str, Any]:
        values = asdict(result)
        for name in ("key", "time_ns", "trace"):
            del values[name]
        if self._dry_run:
            values["status"] = {"done": "would be done"}.get(result.status, result.status)
        if result.status != "failed":
            del values["error"], values["error_type"]
        return {**values, "ok": result.status != "failed"}

    def _line(self, result: Result) -> None:
        source, target = shown(result.source), shown(result.target)
        if result.status == "failed":
            return  # it is among those listed at the end
        if result.status == "kept":
            self._echo(f"{source}: {target} is up to date")
        elif self._dry_run:
            self._echo(f"{source} -> {target}")
        else:
            sizes = f"{size(result.bytes_in)} -> {size(result.bytes_out)}"
            self._echo(f"{source} -> {target}  {sizes}  {result.bpp:.2f} bpp")

    def _figures(self) -> str:
        rate = (self._done + self._kept + self._failed) / max(time.monotonic() - self._start, 1e-9)
        ratio = self._bytes_in / self._bytes_out if self._bytes_out else 0.0
        text = (
            f"{self._pixels / 1e6:.1f} MP  {size(self._bytes_in)} -> {size(self._bytes_out)}"
            f"  {ratio:.1f}:1  {rate:.1f} files/s"
        )
        return text + (f"  {self._failed} failed" if self._failed else "")

    def _echo(self, text: str, *, err: bool = False) -> None:
        if self._bar is None:
            click.echo(text, err=err)
            return
        self._bar.stop()  # takes the bar off the screen
        click.echo(text, err=err)
        self._bar.start()

    # --- At the end -----------------------------------------------------------------------------

    def finished(self, summary: Summary) -> None:
        """Print what is said at the end."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        for note, count in self._notes.most_common():
            click.echo(f"aecodec: note on {count:,} file{'s'[: count != 1]}: {note}", err=True)
        self._list_failures()
        if summary.manifest_fault:
            click.echo(f"aecodec: {summary.manifest_fault}", err=True)
        click.echo(_sentence(summary, dry_run=self._dry_run), err=self._as_json)

    def _list_failures(self) -> None:
        for source, error in self._failures:
            click.echo(f"aecodec: {shown(source)}: {error}", err=True)
        if self._failed > len(self._failures):
            more = self._failed - len(self._failures)
            click.echo(f"aecodec: and {more:,} more: the manifest names them all", err=True)


def _sentence(summary: Summary, *, dry_run: bool) -> str:
    total = summary.done + summary.kept + summary.failed
    parts = [
        f"{total:,} file{'s'[: total != 1]}: {summary.done:,} {'to do' if dry_run else 'done'}"
    ]
    if summary.kept:
        parts.append(f"{summary.kept:,} up to date")
    if summary.failed:
        parts.append(f"{summary.failed:,} failed")
    if summary.passed:
        parts.append(f"{summary.passed:,} of another kind passed over")
    text = ", ".join(parts)
    if dry_run or not summary.bytes_out:
        return text
    seconds = max(summary.seconds, 1e-9)
    return (
        f"{text}; {summary.pixels / 1e6:,.1f} MP, "
        f"{size(summary.bytes_in)} -> {size(summary.bytes_out)} "
        f"({summary.bytes_in / summary.bytes_out:.1f}:1) in {seconds:,.1f} s, "
        f"{summary.done / seconds:.1f} files/s"
    )


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("files  {task.fields[text]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("files", total=None, text="")
    return bar
