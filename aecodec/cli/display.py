"""What the user sees of a run over many files: results, faults, progress bar and summary."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, Final

import click

from aecodec.cli.console import debugging, echo, size
from aecodec.files import shown

if TYPE_CHECKING:
    from rich.progress import Progress

    from aecodec.batch import Result, Summary
    from aecodec.batch.run import Event

__all__ = ["REPORT_COLUMNS", "View"]

REPORT_COLUMNS = (
    "source",
    "target",
    "status",
    "width",
    "height",
    "bytes_in",
    "bytes_out",
    "bpp",
    "quality",
    "seconds",
    "error_type",
    "error",
    "notes",
)
_FAILURES_LISTED = 1000
_KINDS_OF_NOTES = 20


class View:
    """One run: a context manager that is told of every event."""

    def __init__(
        self,
        *,
        as_json: bool,
        lines: bool,
        dry_run: bool,
        table: IO[str] | None,
        aimed: bool = False,
    ) -> None:
        """`aimed`: a target chooses the quality, so the result names it."""
        self._as_json = as_json
        self._aimed = aimed
        self._lines = lines
        self._dry_run = dry_run
        self._table = csv.writer(table) if table is not None else None
        self._failures: list[tuple[str, str]] = []
        self._failed = self._done = self._kept = 0
        self._pixels = self._bytes_in = self._bytes_out = 0
        self._notes: Counter[str] = Counter()
        self._start = time.monotonic()
        self._bar: Progress | None = _bar() if sys.stderr.isatty() and not dry_run else None

    def __enter__(self) -> View:
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
                    "run the same command again for the rest",
                    err=True,
                )

    # --- While it runs --------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Take an event of `batch.convert`."""
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
            values["quality"] = event.quality or ""
            self._table.writerow([values[name] for name in REPORT_COLUMNS])
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
        if result.status in ("kept", "left"):
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
        for name in ("key", "time_ns", "trace", "deleted"):
            del values[name]
        values["quality"] = result.quality or None
        if self._dry_run:
            values["status"] = {"done": "would be done"}.get(result.status, result.status)
        if result.status != "failed":
            del values["error"], values["error_type"]
        return {**values, "ok": result.status != "failed"}

    def _line(self, result: Result) -> None:
        source, target = shown(result.source), shown(result.target)
        if result.status == "failed":
            return  # it is listed at the end
        if result.status == "kept":
            self._echo(f"{source}: {target} is up to date")
        elif result.status == "left":
            sizes = f"{size(result.bytes_in)} would become {size(result.bytes_out)}"
            self._echo(f"{source}: skipped, {sizes}")
        elif self._dry_run:
            self._echo(f"{source} -> {target}")
        else:
            sizes = f"{size(result.bytes_in)} -> {size(result.bytes_out)}"
            found = f"  quality {result.quality}" if self._aimed and result.quality else ""
            self._echo(f"{source} -> {target}  {sizes}  {result.bpp:.2f} bpp{found}")

    def _figures(self) -> str:
        rate = (self._done + self._kept + self._failed) / max(time.monotonic() - self._start, 1e-9)
        text = (
            f"{self._pixels / 1e6:.1f} MP  {size(self._bytes_in)} -> {size(self._bytes_out)}"
            f"  {_ratio(self._bytes_in, self._bytes_out)}  {rate:.1f} files/s"
        )
        return text + (f"  {self._failed} failed" if self._failed else "")

    def _echo(self, text: str, *, err: bool = False) -> None:
        echo(text, self._bar, err=err)

    # --- At the end -----------------------------------------------------------------------------

    def finished(self, summary: Summary) -> None:
        """Print the summary."""
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
            click.echo(f"aecodec: and {more:,} more: the manifest lists all", err=True)


_KINDS: Final = 5
"""The suffixes that are named of files that were ignored."""


def _sentence(summary: Summary, *, dry_run: bool) -> str:
    total = summary.done + summary.kept + summary.left + summary.failed
    parts = [
        f"{total:,} file{'s'[: total != 1]}: {summary.done:,} {'to do' if dry_run else 'done'}"
    ]
    if summary.kept:
        parts.append(f"{summary.kept:,} up to date")
    if summary.left:
        parts.append(f"{summary.left:,} skipped")
    if summary.failed:
        parts.append(f"{summary.failed:,} failed")
    if summary.passed:
        kinds = ", ".join(
            [*map(shown, summary.kinds[:_KINDS]), *["..."] * bool(summary.kinds[_KINDS:])]
        )
        kinds = f" ({kinds})" if kinds else ""
        parts.append(f"{summary.passed:,} of another kind ignored{kinds}")
    text = ", ".join(parts)
    if dry_run or not summary.bytes_out:
        return text
    seconds = max(summary.seconds, 1e-9)
    return (
        f"{text}; {summary.pixels / 1e6:,.1f} MP, "
        f"{size(summary.bytes_in)} -> {size(summary.bytes_out)} "
        f"({_ratio(summary.bytes_in, summary.bytes_out)}) in {seconds:,.1f} s, "
        f"{summary.done / seconds:.1f} files/s"
    )


def _ratio(bytes_in: int, bytes_out: int) -> str:
    if bytes_out > bytes_in > 0:
        return f"1:{bytes_out / bytes_in:.1f}"
    return f"{bytes_in / bytes_out:.1f}:1" if bytes_out else "-"


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
