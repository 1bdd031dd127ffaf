"""The options of `compress` and `decompress` for whole folders, and the start of a run.

`batch` does the run, `display` shows it.
"""

from __future__ import annotations

import contextlib
import csv
import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from aecodec import conversion, files
from aecodec.cli.console import EXIT_SOME_FAILED
from aecodec.cli.display import REPORT_COLUMNS, View
from aecodec.cli.options import FileName, Whole
from aecodec.errors import AecodecError, with_advice
from aecodec.files import shown

if TYPE_CHECKING:
    from aecodec.batch import Plan

__all__ = ["Folders", "folder_options"]

F = TypeVar("F", bound=Callable[..., Any])


def folder_options(command: F) -> F:
    """Add the options for whole folders; the command gets them as one `folders: Folders`."""
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
    click.option(
        "-r", "--recursive", is_flag=True, help="Convert all files of a folder and its subfolders."
    ),
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Take only names that match (paths if it contains a /). Repeatable.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave out files and folders that match. Repeatable.",
    ),
    click.option(
        "--files-from",
        type=FileName(),
        metavar="LIST",
        help="Convert the files named in LIST, one a line or separated by NUL; -: standard input.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Keep outputs that are newer than their source, replace others (with --rm: refuse).",
    ),
    click.option(
        "--rm",
        "remove",
        is_flag=True,
        help="Delete each source after its output was written, synced and verified by decoding. "
        "The output gets its date.",
    ),
    click.option("--keep-dates", is_flag=True, help="Give each output the date of its source."),
    click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing."),
    click.option(
        "-j",
        "--jobs",
        type=Whole(0),
        help="Worker processes; 0: chosen by the number of cores.  [default for folders: 0]",
    ),
    click.option(
        "--report",
        type=FileName(),
        metavar="CSV",
        help="Write a CSV table with a line for every file.",
    ),
    click.option(
        "--manifest",
        type=FileName(),
        metavar="FILE",
        help="The record of the run.  [default: in the output folder]",
    ),
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Run on a Dask cluster: tcp://HOST:PORT of its scheduler, or local.",
    ),
)


@dataclass(frozen=True)
class Folders:
    """The values of the options for whole folders."""

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
        """Whether this is a run of `batch`, and not a few files one after the other."""
        given = {**asdict(self), "jobs": self.jobs is not None}
        remote = any("://" in path for path in (*inputs, output or ""))
        return any(given.values()) or remote

    def convert(
        self,
        inputs: tuple[str, ...],
        output: str | None,
        run: conversion.Run,
        encoding: conversion.Encoding | None = None,
        *,
        force: bool,
        as_json: bool,
    ) -> int:
        """Compress with `encoding`, or decompress without; show it, and return the exit code."""
        from aecodec import batch

        if not inputs and self.files_from is None:
            raise click.UsageError("Missing argument 'INPUT...'.")
        task = batch.Task(
            verb="compress" if encoding is not None else "decompress",
            encoding=encoding or conversion.Encoding(),
            existing=batch.Existing.of(force=force, skip_existing=self.skip_existing),
            remove=self.remove,
            keep_dates=self.keep_dates,
            **asdict(run),
        )
        if files.STDIO in inputs or output == files.STDIO:
            raise click.UsageError("standard input and output ('-') are for single files")
        if (self.include or self.exclude) and not self.recursive and self.files_from is None:
            raise click.UsageError("--include and --exclude need a folder: add -r")
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
                return _run_and_report(plan, self, as_json, table)
        except files.UsageFault as fault:
            raise click.UsageError(str(fault)) from None
        except AecodecError as error:
            click.echo(f"aecodec: {with_advice(error)}", err=True)
            return EXIT_SOME_FAILED


def _run_and_report(plan: Plan, folders: Folders, as_json: bool, table: IO[str] | None) -> int:
    """Convert, and show progress, results and faults."""
    from aecodec import batch

    converted_by = None
    if folders.cluster is not None and not folders.dry_run:
        from aecodec.batch import cluster

        converted_by = cluster.connected(folders.cluster, folders.jobs or 0)
    view = View(
        as_json=as_json,
        lines=plan.dry_run or not (plan.recursive or plan.files_from is not None),
        dry_run=plan.dry_run,
        table=table,
        aimed=plan.task.encoding.is_aimed,
    )
    with view:
        summary = batch.convert(plan, view.tell, converted_by)
        view.finished(summary)
    return EXIT_SOME_FAILED if summary.failed or summary.manifest_fault else 0


@contextlib.contextmanager
def _table(path: str) -> Iterator[IO[str]]:
    """The file of `--report`. It replaces an earlier report, and no other file."""
    first = ",".join(REPORT_COLUMNS)
    try:
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as old:
            if old.read(len(first)) not in (first.encode(), b""):
                raise files.UsageFault(
                    f"--report {shown(path)}: this file exists, and is no report of a run"
                )
        table = open(  # noqa: SIM115 (closed below; only opening is translated)
            path, "w", newline="", encoding="utf-8", errors="surrogateescape"
        )
    except (OSError, ValueError) as error:
        raise files.UsageFault(f"--report {shown(path)}: {files.reason(error)}") from None
    with table:
        csv.writer(table).writerow(REPORT_COLUMNS)
        yield table
