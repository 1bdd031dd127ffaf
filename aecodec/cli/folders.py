"""`compress` and `decompress` over whole folders: their options, and how a run is started.

The run itself is `batch`, and what the user sees of it is `display`.
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
from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.cli.console import EXIT_SOME_FAILED
from aecodec.cli.display import REPORT_COLUMNS, View
from aecodec.cli.options import Whole
from aecodec.errors import AecodecError, with_advice
from aecodec.files import shown

if TYPE_CHECKING:
    from aecodec.batch import Plan

__all__ = ["Folders", "folder_options"]

F = TypeVar("F", bound=Callable[..., Any])


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
        help="Leave outputs newer than their source; make others anew, or with --rm refuse them.",
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
        type=Whole(0),
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
        threads: int = 0,
        device: str = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        encoding: conversion.Encoding | None = None,
    ) -> int:
        """Compress with `encoding`, or restore without; show it, and return the exit code."""
        from aecodec import batch

        if not inputs and self.files_from is None:
            raise click.UsageError("Missing argument 'INPUT...'.")
        task = batch.Task(
            verb="compress" if encoding is not None else "decompress",
            encoding=encoding or conversion.Encoding(),
            force=force,
            skip_existing=self.skip_existing,
            remove=self.remove,
            keep_dates=self.keep_dates,
            threads=threads,
            device=device,
            max_pixels=max_pixels,
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
    """The file of `--report`. It replaces an earlier report, and nothing else."""
    first = ",".join(REPORT_COLUMNS)
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
        csv.writer(table).writerow(REPORT_COLUMNS)
        yield table
