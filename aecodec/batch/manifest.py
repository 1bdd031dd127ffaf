"""The manifest: the record of all runs, one JSON object a line. Lines are only added.

::

    {"run": ID, "verb", "options", "model", "version", "time"}     a run begins
    {"begin": KEY, "run": ID, "name", "source_bytes", "source_time_ns"}    a worker is handed a file
    {"replace": KEY, "run": ID}             the same, where an output is, or may be, there already
    {"done": KEY, "run": ID, "name", "source_bytes", "source_time_ns", "bytes", "deleted", ...}
    {"failed": KEY, "run": ID, "error", "error_type"}
    {"left": KEY, "run": ID, "source_bytes", "source_time_ns", "bytes", "width", "height"}
                                                       the output would save too few bytes
    {"kept": KEY, "run": ID}                            its output was newer

KEY is the source's path below the folder that was converted, `name` the file name of its output,
`deleted` whether the source was deleted after it. A run with `--rm` has `remove` in its first line.
The last line on a file counts: after a run with other options, an output is no longer that of the
first run.

`begin` and `replace` are on the disk before a worker writes the output. An output with a `begin`
and no `done` belongs to a run that was interrupted. The next run adopts it if it is complete and
its source has not changed since. An output with a `replace` and no `done` may be the old or the new
one, and counts as outdated. Readers ignore a line that a full disk or a power cut has torn. Two
runs may write to one manifest at once: every line is one write to a file opened for appending.
Some manifests have `kept` for a file that was skipped, or `begin` without the state of the source.
A run tries the first file again, and adopts the output of the second.

A run holds 40 bytes in memory for each file that was done: hashes of its key, of the state of its
source, of the options and of its output's name, and the size of the output. Ten million files take
400 MB. With `--rm` each takes 16 bytes more, which tell what outputs are the only copy. A file that
was skipped takes 32 bytes: one hash, the size that its output would have, and width and height.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import posixpath
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from aecodec.errors import InputError, OutputError, OutputExistsError
from aecodec.files import TEMPORARY, Stamp, reason, shown, sync_folder

__all__ = ["NAME", "Left", "Manifest"]

NAME = f"{TEMPORARY}manifest.jsonl"
_SYNC_SECONDS = 1.0


class Left(NamedTuple):
    """The output that a skipped file would have: bytes, and width and height in pixels.

    0 where a manifest does not say.
    """

    size: int
    width: int
    height: int


class _Open(NamedTuple):
    """An output that was begun and not finished."""

    run: str
    name: str | None  # None: the old output or the new one may be there
    state: Stamp | None  # the source's, where it is known


class _Made(NamedTuple):
    """The output that was made last, as hashes; 0 is unknown."""

    ours: int  # of key, state and options
    state: int  # of key and state
    size: int  # bytes + 1
    name: int  # of the output's name


class Manifest:
    """An open manifest: it answers questions on earlier runs, and takes the lines of this one.

    Args:
        path: the file; made if it is missing. None keeps no manifest.
        verb: `compress` or `decompress`.
        options: they decide the bytes of an output; a file done with other options is not done.
        about: further values for the first line of this run.
        read_only: writes nothing.
    Raises:
        InputError: it cannot be read.
        OutputError: it cannot be written.
    """

    def __init__(
        self,
        path: str | None,
        verb: str,
        options: Mapping[str, object],
        about: Mapping[str, object],
        *,
        read_only: bool = False,
    ) -> None:
        self.path = path
        self._run = os.urandom(4).hex()
        self._options = _digest(verb, options)
        # By the key's hash: what was made last, and what other runs make meanwhile.
        self._made = _Table(len(_Made._fields))
        self._later: dict[int, _Made] = {}
        # By the hash of key, state and options: what was left alone with some options.
        self._left = _Table(len(Left._fields))
        self._only = _OnlyCopies()
        self._open: dict[str, _Open] = {}
        self._runs: dict[str, bytes] = {}
        self._read_to = 0
        self._log: _Log | None = None
        if path is None:
            return
        self._take(path, self._made.add, self._left.add)
        self._made.sort()
        self._left.sort()
        self._only.sort()
        if read_only:
            return
        self._log = _Log(path)
        first = {"run": self._run, "verb": verb, "options": dict(options), **about}
        try:
            self._write([{**first, "time": round(time.time(), 3)}], sync=True)
        except OutputError:
            self._log.close()
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    # --- What earlier runs have left ------------------------------------------------------------

    def catch_up(self) -> None:
        """Read what other runs have added since. Raises InputError."""
        if self.path is not None:
            # Files that other runs skip are of no use once the workers have begun.
            self._take(self.path, self._later.__setitem__, lambda ours, would_be: None)

    def _take(
        self,
        path: str,
        made: Callable[[int, _Made], None],
        left: Callable[[int, Left], None],
    ) -> None:
        """Read the lines since the last reading.

        `made` gets the hash of a key and its output; `left` gets the hash of key, state and options
        of a skipped file.
        """
        try:
            with open(path, "rb") as file:
                file.seek(self._read_to)
                for line in file:
                    start = line.strip()[:7]
                    if self._read_to == 0 and not (start and b'{"run":'.startswith(start)):
                        raise InputError(f"{shown(path)} is no manifest of aecodec: its first line")
                    if not line.endswith(b"\n"):
                        break  # torn, or still being written
                    with contextlib.suppress(
                        ValueError, KeyError, TypeError, AttributeError, OverflowError
                    ):
                        self._take_line(json.loads(line), made, left)
                        self._read_to += len(line)
                        continue
                    self._read_to += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"cannot read the manifest {shown(path)}: {reason(error)}") from error

    def _take_line(
        self,
        record: Any,
        made: Callable[[int, _Made], None],
        left: Callable[[int, Left], None],
    ) -> None:
        run = record["run"]
        if run == self._run:
            return
        self._only.take(record)
        if "verb" in record:
            self._runs[run] = _digest(record["verb"], record["options"])
        elif "begin" in record:
            known = _state(record) if "source_bytes" in record else None
            self._open[record["begin"]] = _Open(run, posixpath.basename(record["name"]), known)
        elif "replace" in record:
            self._open[record["replace"]] = _Open(run, None, None)
        elif "done" in record:
            key, state = record["done"], _state(record)
            ours, size = _hash(key, state, self._runs[run]), record.get("bytes", -1)
            name = _hash(record["name"]) if "name" in record else 0
            made(_hash(key), _Made(ours, _hash(key, state), _count(size + 1), name))
            self._open.pop(key, None)
        elif "left" in record:
            key = record["left"]
            ours = _hash(key, _state(record), self._runs[run])
            sides = _count(record.get("width", 0)), _count(record.get("height", 0))
            left(ours, Left(_count(record["bytes"]), *sides))
            self._nothing_written(key, run)
        elif "kept" in record:
            self._nothing_written(record["kept"], run)
        elif record.get("error_type") == OutputExistsError.__name__:
            self._nothing_written(record["failed"], run)
        else:
            # A fault may come before or after the writing. So an output that was to be replaced
            # may be the old one or the new one; any other output may be a foreign file.
            key = record["failed"]
            begun = self._open.get(key)
            if begun is not None and begun.run == run and begun.name is not None:
                del self._open[key]
                made(_hash(key), _Made(0, 0, 0, 0))

    def _nothing_written(self, key: str, run: str) -> None:
        """The run wrote no output: the one that was made before it still counts."""
        begun = self._open.get(key)
        if begun is not None and begun.run == run:
            del self._open[key]

    def _last(self, key: str) -> _Made:
        value = _hash(key)
        if value in self._later:
            return self._later[value]
        return _Made(*(self._made.find(value) or (0, 0, 0, 0)))

    def is_done(self, key: str, state: Stamp | None) -> bool:
        """Whether the last output was made from this source, in this state, with these options."""
        if state is None or key in self._open:
            return False
        return self._last(key).ours == _hash(key, state, self._options)

    def bytes_of(self, key: str) -> int | None:
        """The bytes of the last output; None if unknown."""
        size = self._last(key).size
        return size - 1 if size else None

    def was_named(self, key: str, name: str) -> bool:
        """Whether the last output has this name."""
        return self._last(key).name == _hash(name)

    def is_only_copy(self, key: str, name: str) -> bool:
        """Whether an output of this name may be all that is left of a picture.

        It is where a run has deleted the source: this file's of before, or another one whose output
        had the name.
        """
        begun = self._open.get(key)
        if begun is not None and begun.run in self._only.runs:
            return True
        return self._only.has(key, name)

    def left_as(self, key: str, state: Stamp | None) -> Left | None:
        """The output that this source would have, if these options skipped it in this state."""
        if state is None:
            return None
        found = self._left.find(_hash(key, state, self._options))
        return None if found is None else Left(*found)

    def is_stale(self, key: str, state: Stamp | None) -> bool:
        """Whether the output, if it exists, was or may have been made from another state."""
        begun = self._open.get(key)
        if begun is not None:
            return begun.name is None or (begun.state is not None and begun.state != state)
        return self._last(key).state not in (0, _hash(key, state))

    def unfinished(self, key: str, state: Stamp | None) -> str | None:
        """The name of an output that was begun in this state with these options, and not ended."""
        begun = self._open.get(key)
        if begun is None or self._runs.get(begun.run) != self._options:
            return None
        return begun.name if begun.state in (None, state) else None

    # --- What this run adds ---------------------------------------------------------------------

    def begin(
        self, jobs: Iterable[tuple[str, str, Stamp | None]], replaced: Iterable[str] = ()
    ) -> None:
        """Record on the disk that these (key, output's name, state) begin.

        `replaced` are the keys whose outputs are being replaced.
        """
        lines: list[dict[str, Any]] = [{"replace": key, "run": self._run} for key in replaced]
        for key, name, state in jobs:
            lines.append({"begin": key, "run": self._run, "name": name})
            if state is not None:
                lines[-1].update(source_bytes=state.size, source_time_ns=state.time_ns)
        self._write(lines, sync=True)

    def done(self, key: str, state: Stamp, values: Mapping[str, Any]) -> None:
        """Record that a file is done; the line is on the disk within about a second."""
        line = {"done": key, "run": self._run, **values}
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def left(self, key: str, state: Stamp, would_be: Left) -> None:
        """Record that a file was skipped, because its output would save too few bytes."""
        line = {"left": key, "run": self._run, "bytes": would_be.size}
        line.update(width=would_be.width, height=would_be.height)
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def failed(self, key: str, error: str, error_type: str) -> None:
        """Record why a file failed."""
        self._write([{"failed": key, "run": self._run, "error": error, "error_type": error_type}])

    def kept(self, key: str) -> None:
        """Record that an existing output was kept."""
        self._write([{"kept": key, "run": self._run}])

    def _write(self, records: list[dict[str, Any]], *, sync: bool = False) -> None:
        if self._log is None or not records:
            return
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        # json escapes what is not ASCII, and names that are not Unicode too.
        self._log.append(text.encode("ascii"), sync=sync)


class _OnlyCopies:
    """The outputs whose sources were deleted."""

    def __init__(self) -> None:
        self.runs: set[str] = set()
        """The runs that delete sources."""
        self._table: _Table | None = None  # by the hash of an output's path: 1, or 0 if no more
        self._sorted = False

    def take(self, record: Mapping[str, Any]) -> None:
        """Take the next line of a manifest, until `sort`."""
        run = record["run"]
        if "verb" in record and record.get("remove"):
            self.runs.add(run)
        if self._sorted or "name" not in record:
            return
        if "begin" in record and run in self.runs:
            # Before it says `done`, it may be killed just after it has deleted the source.
            self._add(record["begin"], record["name"], is_only=True)
        elif "done" in record:
            self._add(record["done"], record["name"], is_only=bool(record.get("deleted")))

    def _add(self, key: str, name: str, *, is_only: bool) -> None:
        if self._table is None and is_only:
            self._table = _Table(1)
        if self._table is not None:
            self._table.add(_place(key, name), (int(is_only),))

    def sort(self) -> None:
        """Make `has` possible, after the last `take`."""
        self._sorted = True
        if self._table is not None:
            self._table.sort()

    def has(self, key: str, name: str) -> bool:
        """Whether the output of this name in the folder of this key is one."""
        return self._table is not None and self._table.find(_place(key, name)) == (1,)


class _Table:
    """Rows of numbers by a hash, in sorted arrays: memory for millions of files."""

    def __init__(self, width: int) -> None:
        self._keys = array("Q")
        self._columns = [array("Q") for _ in range(width)]

    def add(self, key: int, row: Sequence[int]) -> None:
        """Add a row; of several rows with one key the last counts."""
        self._keys.append(key)
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def sort(self) -> None:
        """Make `find` possible, after the last `add`."""
        import numpy as np

        if not self._keys:
            return
        values = np.frombuffer(self._keys, np.uint64)
        order = np.argsort(values, kind="stable")
        last = order[np.append(np.diff(values[order]) != 0, True)]

        def chosen(column: array[int]) -> array[int]:
            return array("Q", np.frombuffer(column, np.uint64)[last].tobytes())

        self._columns = [chosen(column) for column in self._columns]
        self._keys = chosen(self._keys)

    def find(self, key: int) -> tuple[int, ...] | None:
        """The row of a key, if there is one."""
        place = bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return tuple(column[place] for column in self._columns)


class _Log:
    """The file, open for appending. Raises OutputError where it cannot be written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._synced = 0.0
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(path, flags, 0o666)
            sync_folder(os.path.dirname(path) or ".")
        except OSError as error:
            raise OutputError(
                f"cannot write the manifest {shown(path)}: {reason(error)}"
            ) from error

    def append(self, lines: bytes, *, sync: bool) -> None:
        """Write whole lines at the end; with `sync` they are on the disk on return."""
        try:
            if os.fstat(self._descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "it has been deleted")
            if not self._ends_with_newline():
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            now = time.monotonic()
            if sync or now - self._synced > _SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = now
        except OSError as error:
            raise OutputError(
                f"cannot write the manifest {shown(self._path)}: {reason(error)}"
            ) from error

    def close(self) -> None:
        """Have everything on the disk, and close the file."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _ends_with_newline(self) -> bool:
        """False after a line that was torn."""
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if end == 0:
            return True
        os.lseek(self._descriptor, end - 1, os.SEEK_SET)
        return os.read(self._descriptor, 1) == b"\n"


def _digest(verb: str, options: Mapping[str, object]) -> bytes:
    text = json.dumps([verb, dict(options)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _state(record: Mapping[str, Any]) -> Stamp:
    return Stamp(record["source_bytes"], record["source_time_ns"])


def _hash(key: str, state: Stamp | None = None, options: bytes = b"") -> int:
    text = json.dumps([key, state]).encode("ascii") + options
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _place(key: str, name: str) -> int:
    """The hash of an output's path: it is in its source's folder, or in that one's mirror."""
    return _hash(posixpath.join(posixpath.dirname(key), posixpath.basename(name)))


def _count(value: int) -> int:
    """A number that fits the arrays. Raises OverflowError, TypeError."""
    return array("Q", [value])[0]
