"""The manifest: what has been begun, done and given up, one JSON object a line, only ever added to.

::

    {"run": ID, "verb", "options", "model", "version", "time"}     a run begins
    {"begin": KEY, "run": ID, "name", "source_bytes", "source_time_ns"}    a worker is handed a file
    {"replace": KEY, "run": ID}             the same, where an output is, or may be, there already
    {"done": KEY, "run": ID, "name", "source_bytes", "source_time_ns", "bytes", ...}
    {"failed": KEY, "run": ID, "error", "error_type"}
    {"left": KEY, "run": ID, "source_bytes", "source_time_ns", "bytes", "width", "height"}
                                                        so many bytes would save too little
    {"kept": KEY, "run": ID}                            its output was newer

KEY is the source's path below the folder that was converted, `name` its output's file name.
Of several lines on a file the last counts: an output that was made with some options, and again
with others, is not what the former would make.

`begin` and `replace` are on the disk before a worker may touch the file. So an output that is there
with a `begin` but without its `done` can be told from a stranger's file: the run was cut off in
between, and the next one adopts it if it is whole, and its source still in the state of `begin`.
After `replace` alone nobody knows which of two outputs it is: it counts as outdated. A line that
was torn by a full disk or a power cut is passed over. Two runs may add to one manifest at once:
every line is one write to a file opened for appending. Where a manifest has `kept` for a file that
was left alone, or `begin` without a state, as those of aecodec 0.1.0 do, nothing of its source's
state is known: the one is tried once more, the other adopted.

What is remembered of it is 40 bytes for every file that was done, hashes of its key, the state of
its source, the options and its output's name, and its output's size: ten million files take
400 MB. One that was left alone takes 32: a hash of all three, the length that it would have had,
width and height.
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
    """What a file would have become that was left alone: bytes, and the picture's size in pixels;
    0 where a manifest does not say."""

    size: int
    width: int
    height: int


class _Open(NamedTuple):
    """An output that was begun and not finished."""

    run: str
    name: str | None  # None: it was to replace one, and which of the two is there nobody knows
    state: Stamp | None  # the source's, where it is known


class _Made(NamedTuple):
    """What is known of the output that was made last: hashes, 0 where nothing is known."""

    ours: int  # of key, state and options
    state: int  # of key and state
    size: int  # bytes + 1
    name: int  # of the output's name


class Manifest:
    """An open manifest: what it says of earlier runs, and this run's lines.

    Args:
        path: the file; made if it is missing. None keeps no manifest.
        verb: `compress` or `decompress`.
        options: what decides an output's bytes; files done with others are not done.
        about: anything else worth writing down about this run.
        read_only: reads what it says and adds nothing.
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
        self._open: dict[str, _Open] = {}
        self._runs: dict[str, bytes] = {}
        self._read_to = 0
        self._log: _Log | None = None
        if path is None:
            return
        self._take(path, self._made.add, self._left.add)
        self._made.sort()
        self._left.sort()
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
            # What they leave alone nobody asks for, once the workers are at it.
            self._take(self.path, self._later.__setitem__, lambda ours, would_be: None)

    def _take(
        self,
        path: str,
        made: Callable[[int, _Made], None],
        left: Callable[[int, Left], None],
    ) -> None:
        """Read on from where the last reading ended. `made` is told the hash of each key and what
        was made of it, `left` the hash of key, state and options of what was left alone."""
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
            raise InputError(f"cannot read the manifest: {reason(error)}") from error

    def _take_line(
        self,
        record: Any,
        made: Callable[[int, _Made], None],
        left: Callable[[int, Left], None],
    ) -> None:
        run = record["run"]
        if run == self._run:
            return
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
            # Most faults come before the writing, but not all. Of what was to be replaced nobody
            # knows which of two outputs it is; else one that is there may be a stranger's.
            key = record["failed"]
            begun = self._open.get(key)
            if begun is not None and begun.run == run and begun.name is not None:
                del self._open[key]
                made(_hash(key), _Made(0, 0, 0, 0))

    def _nothing_written(self, key: str, run: str) -> None:
        """What this run has begun has come to nothing: what was made before is as it was."""
        begun = self._open.get(key)
        if begun is not None and begun.run == run:
            del self._open[key]

    def _last(self, key: str) -> _Made:
        value = _hash(key)
        if value in self._later:
            return self._later[value]
        return _Made(*(self._made.find(value) or (0, 0, 0, 0)))

    def is_done(self, key: str, state: Stamp | None) -> bool:
        """Whether the output that was made last is of this source, in this state, and made with
        these options."""
        if state is None or key in self._open:
            return False
        return self._last(key).ours == _hash(key, state, self._options)

    def bytes_of(self, key: str) -> int | None:
        """How long the output is that was made last, where that is known."""
        size = self._last(key).size
        return size - 1 if size else None

    def was_named(self, key: str, name: str) -> bool:
        """Whether an earlier run has given the output that was made last this name."""
        return self._last(key).name == _hash(name)

    def left_as(self, key: str, state: Stamp | None) -> Left | None:
        """What the output would have been, if this source, in this state, was left alone with these
        options; else None.
        """
        if state is None:
            return None
        found = self._left.find(_hash(key, state, self._options))
        return None if found is None else Left(*found)

    def is_stale(self, key: str, state: Stamp | None) -> bool:
        """Whether the output of this source, if there is one, was made, or begun, from another
        state of it than this, or may have been."""
        begun = self._open.get(key)
        if begun is not None:
            return begun.name is None or (begun.state is not None and begun.state != state)
        return self._last(key).state not in (0, _hash(key, state))

    def unfinished(self, key: str, state: Stamp | None) -> str | None:
        """The name of an output that was begun with these options, from this source in this state,
        and is neither done nor failed."""
        begun = self._open.get(key)
        if begun is None or self._runs.get(begun.run) != self._options:
            return None
        return begun.name if begun.state in (None, state) else None

    # --- What this run adds ---------------------------------------------------------------------

    def begin(
        self, jobs: Iterable[tuple[str, str, Stamp | None]], replaced: Iterable[str] = ()
    ) -> None:
        """Write down, and make sure of it, that these (key, output's name, state) are begun, and
        that the outputs of other keys are being replaced."""
        lines: list[dict[str, Any]] = [{"replace": key, "run": self._run} for key in replaced]
        for key, name, state in jobs:
            lines.append({"begin": key, "run": self._run, "name": name})
            if state is not None:
                lines[-1].update(source_bytes=state.size, source_time_ns=state.time_ns)
        self._write(lines, sync=True)

    def done(self, key: str, state: Stamp, values: Mapping[str, Any]) -> None:
        """Write down that a file is done; on the disk within about a second."""
        line = {"done": key, "run": self._run, **values}
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def left(self, key: str, state: Stamp, would_be: Left) -> None:
        """Write down that an output of so many bytes would save too little, and is not made."""
        line = {"left": key, "run": self._run, "bytes": would_be.size}
        line.update(width=would_be.width, height=would_be.height)
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def failed(self, key: str, error: str, error_type: str) -> None:
        """Write down why a file failed."""
        self._write([{"failed": key, "run": self._run, "error": error, "error_type": error_type}])

    def kept(self, key: str) -> None:
        """Write down that nothing was done: an output was there already."""
        self._write([{"kept": key, "run": self._run}])

    def _write(self, records: list[dict[str, Any]], *, sync: bool = False) -> None:
        if self._log is None or not records:
            return
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        # json escapes what is not ASCII, and names that are not Unicode too.
        self._log.append(text.encode("ascii"), sync=sync)


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
            raise OutputError(f"cannot write the manifest: {reason(error)}") from error

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


def _count(value: int) -> int:
    """A number that fits the arrays. Raises OverflowError, TypeError."""
    return array("Q", [value])[0]
