"""What the user sees of a command over some files: results, faults, progress, exit code.

Results go to standard output, one line or one JSON object a file. Messages go to standard error. A
fault is one line that names the file; then the next file follows.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from aecodec.errors import AecodecError, describe, is_out_of_memory
from aecodec.files import reason, shown

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_SOME_FAILED = 1

DEBUG = "aecodec.debug"
VERBOSE = "aecodec.verbose"
"""The keys of `--debug` and `--verbose` in click's `Context.meta`."""


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around code that needs an extra of the package: one line where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "aecodec"):
            raise
        raise AecodecError(
            f'this command needs {package}, which is not installed: pip install "aecodec[{extra}]"'
        ) from None


class Unwritable(click.ClickException):
    """Standard output takes nothing more. This is no file's fault."""

    exit_code = EXIT_SOME_FAILED

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write standard output: {reason(error)}")

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message, if standard error still works."""
        with contextlib.suppress(OSError):
            click.echo(f"aecodec: {self.format_message()}", file=file, err=True)


def echo(text: str, bar: Progress | None, *, err: bool) -> None:
    """Print a line, above the progress bar if there is one. Raises Unwritable."""
    if bar is not None:
        bar.stop()  # takes the bar off the screen
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error) from error
    if bar is not None:
        bar.start()


class Report:
    """One command over some files."""

    def __init__(
        self,
        total: int,
        as_json: bool,
        *,
        progress: bool = True,
        results_on_stderr: bool = False,
    ) -> None:
        self.exit_code = 0
        self._as_json = as_json
        self._results_on_stderr = results_on_stderr
        self._bar: Progress | None = None
        if progress and total > 1 and sys.stderr.isatty():
            self._bar = _progress_bar(total)

    def __enter__(self) -> Report:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextlib.contextmanager
    def file(self, source: str, **names: str) -> Iterator[None]:
        """Around the work on one file: prints its fault, so that the next file can follow."""
        try:
            yield
        except (BrokenPipeError, click.ClickException):
            raise
        except Exception as error:
            self.exit_code = EXIT_SOME_FAILED
            message = _fault(error)
            if debugging():
                self.say(traceback.format_exc().rstrip())
            self.say(f"aecodec: {shown(source)}: {message}")
            if self._as_json:
                fault = {"error": message, "error_type": type(error).__name__}
                self._print({"source": source, **names, "ok": False, **fault})
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])

    def result(self, sentence: str, values: dict[str, Any]) -> None:
        """Print a file's result."""
        if self._as_json:
            self._print({**values, "ok": True})
        else:
            self._echo(sentence, err=self._results_on_stderr)

    def say(self, text: str) -> None:
        """Print a message that is not a result."""
        self._echo(text, err=True)

    def _print(self, values: dict[str, Any]) -> None:
        self._echo(json.dumps(values), err=self._results_on_stderr)

    def _echo(self, text: str, *, err: bool) -> None:
        echo(text, self._bar, err=err)


def size(count: float) -> str:
    """Bytes with three figures and a decimal unit."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"


def _progress_bar(total: int) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("files", total=total)
    return bar


def _fault(error: Exception) -> str:
    known = isinstance(error, AecodecError) or is_out_of_memory(error) or debugging()
    return describe(error) + ("" if known else " (--debug shows the traceback)")


def verbose() -> bool:
    """Whether `--verbose` was given."""
    return bool(click.get_current_context().meta.get(VERBOSE))


def debugging() -> bool:
    """Whether `--debug` was given."""
    return bool(click.get_current_context().meta.get(DEBUG))
