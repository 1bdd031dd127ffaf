"""The manifest: what has been begun, done and given up, one JSON object a line, only ever added to.

::

    {"run": ID, "verb", "options", "model", "version", "time"}     a run begins
    {"begin": KEY, "run": ID, "name", "source_bytes", "source_time_ns"}    a worker is handed a file
    {"done": KEY, "run": ID, "name", "source_bytes", "source_time_ns", "bytes", ...}
    {"failed": KEY, "run": ID, "error", "error_type"}
    {"left": KEY, "run": ID, "source_bytes", "source_time_ns", "bytes"}
                                                        so many bytes would save too little
    {"kept": KEY, "run": ID}                            its output was newer

KEY is the source's path below the folder that was converted, `name` its output's file name.
`begin` is on the disk before a worker may touch the file, so an output that is there without its
`done` can be told from a stranger's file: the run was cut off in between, and the next one adopts
it if it is whole, and its source still in the state of `begin`. A line that was torn by a full disk
or a power cut is passed over. Two runs may add to one manifest at once: every line is one write to
a file opened for appending. Where a manifest has `kept` for a file that was left alone, or `begin`
without a state, as those of aecodec 0.1.0 do, nothing of its source's state is known: the one is
tried once more, the other adopted.

What is remembered of it is 24 bytes for every file that was done, hashes of its key, the state of
its source and the options: ten million files take 240 MB. One that was left alone takes 16, a hash
of all three and the size that it would have had.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from aecodec.batch.places import Stamp
from aecodec.errors import InputError, OutputError
from aecodec.files import TEMPORARY, reason, shown, sync_folder

__all__ = ["NAME", "Manifest"]

NAME = f"{TEMPORARY}manifest.jsonl"
_SYNC_SECONDS = 1.0


class _Begun(NamedTuple):
    """An output that was begun and not finished."""

    name: str
    state: Stamp | None  # the source's, where it is known


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
        self._done = array("Q")  # sorted
        self._known = array("Q")  # sorted: done with whatever options: keys, and keys with states
        self._others: set[int] = set()  # the like, of what other runs do at the same time
        self._left = array("Q")  # sorted: left alone with these options
        self._left_bytes = array("Q")  # for each of those, the output's bytes
        self._unfinished: dict[str, _Begun] = {}
        self._runs: dict[str, bytes] = {}
        self._read_to = 0
        self._descriptor: int | None = None
        self._synced = 0.0
        if path is None:
            return
        self._load(path)
        if read_only:
            return
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(path, flags, 0o666)
            sync_folder(os.path.dirname(path) or ".")
        except OSError as error:
            raise OutputError(f"cannot write the manifest: {reason(error)}") from error
        first = {"run": self._run, "verb": verb, "options": dict(options), **about}
        try:
            self._write([{**first, "time": round(time.time(), 3)}], sync=True)
        except OutputError:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    # --- What earlier runs have left ------------------------------------------------------------

    def _load(self, path: str) -> None:
        done, known = array("Q"), array("Q")
        left, left_bytes = array("Q"), array("Q")

        def keep(hashes: tuple[int, int], ours: int) -> None:
            done.append(ours)
            known.extend(hashes)

        def leave(ours: int, size: int) -> None:
            left_bytes.append(size)  # first: it alone may be no number, and they stay in step
            left.append(ours)

        begun = self._take(path, keep, leave)
        self._done, self._known = array("Q", sorted(done)), array("Q", sorted(known))
        order = sorted(range(len(left)), key=left.__getitem__)
        self._left = array("Q", map(left.__getitem__, order))
        self._left_bytes = array("Q", map(left_bytes.__getitem__, order))
        self._unfinished = begun

    def catch_up(self) -> None:
        """Read what other runs have added since. Raises InputError."""
        if self.path is not None:
            begun = self._take(
                self.path,
                lambda known, ours: self._others.update((ours, *known)),
                lambda ours, size: None,  # nobody asks for it once the workers are at it
            )
            self._unfinished.update(begun)

    def _take(
        self,
        path: str,
        done: Callable[[tuple[int, int], int], None],
        left: Callable[[int, int], None],
    ) -> dict[str, _Begun]:
        """Read on from where the last reading ended. `done` is told the hashes of each file that
        is done: of its key, of key and state, and of both with the options; `left` the last of
        them for each that was left alone, and the bytes it would have had. Returns what is begun
        with this run's options and not finished.
        """
        begun: dict[str, tuple[str, _Begun]] = {}
        try:
            with open(path, "rb") as file:
                file.seek(self._read_to)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # torn, or still being written
                    with contextlib.suppress(
                        ValueError, KeyError, TypeError, AttributeError, OverflowError
                    ):
                        self._take_line(json.loads(line), begun, done, left)
                        self._read_to += len(line)
                        continue
                    if self._read_to == 0 and not b'{"run":'.startswith(line.strip()[:7]):
                        raise InputError(f"{shown(path)} is no manifest of aecodec: its first line")
                    self._read_to += len(line)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"cannot read the manifest: {reason(error)}") from error
        return {
            key: what for key, (run, what) in begun.items() if self._runs.get(run) == self._options
        }

    def _take_line(
        self,
        record: Any,
        begun: dict[str, tuple[str, _Begun]],
        done: Callable[[tuple[int, int], int], None],
        left: Callable[[int, int], None],
    ) -> None:
        if record["run"] == self._run:
            return
        if "verb" in record:
            self._runs[record["run"]] = _digest(record["verb"], record["options"])
        elif "begin" in record:
            known = _state(record) if "source_bytes" in record else None
            begun[record["begin"]] = (
                record["run"],
                _Begun(posixpath.basename(record["name"]), known),
            )
        elif "done" in record:
            key = record["done"]
            begun.pop(key, None)
            self._unfinished.pop(key, None)
            state = _state(record)
            ours = _hash(key, state, self._runs[record["run"]])
            done((_hash(key), _hash(key, state)), ours)
        elif "left" in record:
            key = record["left"]
            begun.pop(key, None)
            self._unfinished.pop(key, None)
            left(_hash(key, _state(record), self._runs[record["run"]]), record["bytes"])
        else:
            key = record["failed"] if "failed" in record else record["kept"]
            begun.pop(key, None)
            self._unfinished.pop(key, None)

    def is_done(self, key: str, state: Stamp | None) -> bool:
        """Whether this source, in this state, was converted with these options."""
        if state is None:
            return False
        value = _hash(key, state, self._options)
        return value in self._others or _holds(self._done, value)

    def left_bytes(self, key: str, state: Stamp | None) -> int | None:
        """How many bytes the output would have had, if this source, in this state, was left alone
        with these options; else None.
        """
        if state is None:
            return None
        value = _hash(key, state, self._options)
        place = bisect_left(self._left, value)
        found = place < len(self._left) and self._left[place] == value
        return self._left_bytes[place] if found else None

    def has(self, key: str, state: Stamp | None) -> bool:
        """Whether a run with these options has done it, or has begun it and may be at it."""
        return self.unfinished(key, state) is not None or self.is_done(key, state)

    def is_stale(self, key: str, state: Stamp | None) -> bool:
        """Whether a source of this name was converted, or begun, but in another state than this."""
        if key in self._unfinished and self.unfinished(key, state) is None:
            return True
        name, both = _hash(key), _hash(key, state)
        return (name in self._others or _holds(self._known, name)) and not (
            both in self._others or _holds(self._known, both)
        )

    def unfinished(self, key: str, state: Stamp | None) -> str | None:
        """The name of an output that was begun with these options, from this source in this state,
        and is neither done nor failed."""
        begun = self._unfinished.get(key)
        if begun is None or (begun.state is not None and begun.state != state):
            return None
        return begun.name

    # --- What this run adds ---------------------------------------------------------------------

    def begin(self, jobs: Iterable[tuple[str, str, Stamp | None]]) -> None:
        """Write down, and make sure of it, that these (key, output's name, state) are begun."""
        lines: list[dict[str, Any]] = []
        for key, name, state in jobs:
            lines.append({"begin": key, "run": self._run, "name": name})
            if state is not None:
                lines[-1].update(source_bytes=state.size, source_time_ns=state.time_ns)
        self._write(lines, sync=True)

    def done(self, key: str, state: Stamp, values: Mapping[str, Any]) -> None:
        """Write down that a file is done; on the disk within about a second."""
        line = {"done": key, "run": self._run, **values}
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def left(self, key: str, state: Stamp, size: int) -> None:
        """Write down that an output of so many bytes would save too little, and is not made."""
        line = {"left": key, "run": self._run, "bytes": size}
        self._write([{**line, "source_bytes": state.size, "source_time_ns": state.time_ns}])

    def failed(self, key: str, error: str, error_type: str) -> None:
        """Write down why a file failed."""
        self._write([{"failed": key, "run": self._run, "error": error, "error_type": error_type}])

    def kept(self, key: str) -> None:
        """Write down that nothing was done: an output was there already."""
        self._write([{"kept": key, "run": self._run}])

    def _write(self, records: list[dict[str, Any]], *, sync: bool = False) -> None:
        if self._descriptor is None or not records:
            return
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        data = text.encode("ascii")  # json escapes the rest, and names that are no Unicode as well
        try:
            if not self._ends_with_newline():
                data = b"\n" + data
            while data:
                data = data[os.write(self._descriptor, data) :]
            now = time.monotonic()
            if sync or now - self._synced > _SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced = now
        except OSError as error:
            raise OutputError(
                f"cannot write the manifest {shown(self.path or '')}: {reason(error)}"
            ) from error

    def _ends_with_newline(self) -> bool:
        """Whether the next line starts on its own: a torn one has none at its end."""
        assert self._descriptor is not None
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


def _holds(values: array[int], value: int) -> bool:
    place = bisect_left(values, value)
    return place < len(values) and values[place] == value
