"""Near-duplicates: descriptors of folders of pictures, kept in SQLite, and exact searches in them.

Two pictures are compared in 15 ways: each as a whole with what a copy of the other may show (all of
it, mirrored, or without a border: `descriptors.VIEWS`). Their likeness is the largest dot product.
It is exact: every picture is compared with every other one, by matrix products. For a library of
millions an approximate index would be needed, which this is not.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aecodec.errors import AecodecError, InputError, OutputError
from aecodec.uses.descriptors import LENGTH, VERSION, VIEWS, Thumbnail, of_file, variants

if TYPE_CHECKING:
    import numpy.typing as npt

    from aecodec.arrays import Floats

    Places = npt.NDArray[np.intp]

__all__ = ["INDEX", "SAME", "Group", "Index", "Neighbour", "groups", "likeness", "nearest"]

INDEX: Final = "aecodec-descriptors.sqlite"
"""The name of an index in the folder that it describes."""
SAME: Final = 0.8
"""The likeness from which pictures count as copies of one another."""
_AT_ONCE: Final = 1024
"""Pictures whose likeness to all others is in memory at once."""
_BATCH: Final = 64
"""Files between two commits: an interrupted run loses no more."""
_VIEWS_BYTES: Final = len(VIEWS) * LENGTH * 2
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS pictures (path BLOB PRIMARY KEY, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, views BLOB NOT NULL) WITHOUT ROWID"
)
_INSERT: Final = "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)"

Stamp = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""


class Neighbour(NamedTuple):
    """A picture and how alike it is, at most 1."""

    path: str
    likeness: float


class Group(NamedTuple):
    """Pictures that are copies of one another, and how alike each is to the most alike other."""

    members: tuple[Neighbour, ...]


def _read(path: str) -> Thumbnail:
    """The thumbnail of a file, made by one thread."""
    return of_file(path, threads=1)


def _attempt(read: Callable[[str], Thumbnail], path: str) -> Thumbnail | AecodecError:
    """The thumbnail of a file, or the fault."""
    try:
        return read(path)
    except AecodecError as error:
        return error
    except OSError as error:
        return InputError(error.strerror or str(error))


class Index:
    """The descriptors of the pictures of one folder, in an SQLite file.

    Safe against interruption: what is committed stays, and what is not is computed again. Where the
    file takes nothing more (a full disk, a read-only folder) it goes on in memory, and `fault` says
    why.

    Args: path: of the SQLite file, which is made if it is missing; None keeps it in memory.
    Raises: InputError: it is no such file. OutputError: it cannot be written.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.fault: OutputError | None = None
        with self._translated():
            if path is not None and os.path.exists(path) and not os.path.isfile(path):
                raise InputError(f"{path} is no file")
            self._db = sqlite3.connect(path or ":memory:")
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        if tables and "pictures" not in tables:
            raise InputError(f"{self.path} is a database of something else")
        if version == VERSION and tables:  # nothing to write: the file may be read-only
            return
        self._db.execute("DROP TABLE IF EXISTS pictures")
        self._db.execute(_TABLE)
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.commit()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(f"the index {self.path}: {error}") from None
        except sqlite3.DatabaseError:
            raise InputError(
                f"{self.path} is no index of descriptors", advice="delete it, and it is made anew"
            ) from None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement for each of these rows, in one transaction."""
        if not rows:
            return
        try:
            with self._translated(), self._db:
                self._db.executemany(statement, rows)
        except OutputError as error:
            if self.path is None or self.fault is not None:
                raise
            with self._translated():
                known = self._db.execute("SELECT * FROM pictures").fetchall()
            self._db.close()
            self.fault, self._db = error, sqlite3.connect(":memory:")
            with self._db:
                self._db.execute(_TABLE)
                self._db.executemany(_INSERT, known)
                self._db.executemany(statement, rows)

    def _damaged(self) -> InputError:
        return InputError(f"{self.path} is damaged", advice="delete it, and it is made anew")

    def update(
        self,
        sources: Iterable[tuple[str, str]],
        failed: Callable[[str, AecodecError], None],
        *,
        read: Callable[[str], Thumbnail] = _read,
        threads: int = 1,
    ) -> int:
        """Describe new and changed files, and forget those that are gone; how many were described.

        `sources` are keys, by which the index knows pictures, and the paths of their files.
        `failed` hears of files that cannot be read: they are not in the index. `read` returns the
        thumbnail of a file.
        """
        with self._translated():
            rows = self._db.execute("SELECT path, size, mtime_ns FROM pictures").fetchall()
        if not all(isinstance(key, bytes) for key, _, _ in rows):
            raise self._damaged()
        known = {os.fsdecode(key): (size, time) for key, size, time in rows}
        seen: set[str] = set()

        def fresh() -> Iterator[tuple[str, str, Stamp]]:
            for key, path in sources:
                seen.add(key)
                try:
                    status = os.stat(path)
                except OSError as error:
                    seen.discard(key)
                    failed(path, InputError(error.strerror or str(error)))
                    continue
                stamp = status.st_size, status.st_mtime_ns
                if known.get(key) != stamp:
                    yield key, path, stamp

        count = 0
        jobs = fresh()
        with ThreadPoolExecutor(threads) as pool:
            while batch := list(itertools.islice(jobs, _BATCH)):
                outcomes = pool.map(
                    _attempt, itertools.repeat(read), [path for _, path, _ in batch]
                )
                right: list[tuple[tuple[str, str, Stamp], Thumbnail]] = []
                for job, outcome in zip(batch, outcomes, strict=True):
                    if isinstance(outcome, Thumbnail):
                        right.append((job, outcome))
                    else:
                        seen.discard(job[0])
                        failed(job[1], outcome)
                self._store([job for job, _ in right], [thumbnail for _, thumbnail in right])
                count += len(right)
        gone = [(os.fsencode(key),) for key in known if key not in seen]
        self._write("DELETE FROM pictures WHERE path = ?", gone)
        return count

    def _store(
        self, jobs: Sequence[tuple[str, str, Stamp]], thumbnails: Sequence[Thumbnail]
    ) -> None:
        if not jobs:
            return
        rows = zip(jobs, variants(thumbnails).astype("<f2"), strict=True)
        self._write(
            _INSERT,
            [(os.fsencode(key), *stamp, views.tobytes()) for (key, _, stamp), views in rows],
        )

    def read(self) -> tuple[list[str], Floats]:
        """The keys of all pictures, in their order, and their descriptors (n,8,64)."""
        with self._translated():
            rows = self._db.execute("SELECT path, views FROM pictures ORDER BY path").fetchall()
        for key, views in rows:
            whole = isinstance(views, bytes) and len(views) == _VIEWS_BYTES
            if not whole or not isinstance(key, bytes):
                raise self._damaged()
        views = np.frombuffer(b"".join(views for _, views in rows), "<f2").astype(np.float32)
        found = views.reshape(-1, len(VIEWS), LENGTH)
        if not np.isfinite(found).all():
            raise self._damaged()
        return [os.fsdecode(key) for key, _ in rows], found


def likeness(some: Floats, others: Floats) -> Floats:
    """(n,m): how alike the pictures of descriptors (n,8,64) are to those of others (m,8,64)."""
    best: Floats = some[:, 0] @ others[:, 0].T
    for view in range(1, some.shape[1]):
        np.maximum(best, some[:, 0] @ others[:, view].T, out=best)
        np.maximum(best, some[:, view] @ others[:, 0].T, out=best)
    return best


def nearest(views: Floats, paths: Sequence[str], query: Floats, count: int) -> list[Neighbour]:
    """The `count` pictures of descriptors (n,8,64) that are most like a query (8,64), best
    first."""
    parts = [
        likeness(query[None], views[first : first + _AT_ONCE])[0]
        for first in range(0, len(views), _AT_ONCE)
    ]
    alike = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    order = np.argsort(-alike, kind="stable")[:count]
    return [Neighbour(paths[index], float(alike[index])) for index in order]


def _between(i: Places, j: Places, ours: Places, theirs: Places) -> list[list[int]]:
    """Each two groups that a pair of their members joins; of pairs (i,j) there may be millions."""
    both = np.stack([ours[i], theirs[j]])
    return np.unique(both[:, both[0] != both[1]], axis=1).T.tolist()  # type: ignore[no-any-return]


def groups(views: Floats, paths: Sequence[str], threshold: float = SAME) -> list[Group]:
    """The groups of copies among pictures of descriptors (n,8,64), the largest first.

    A picture belongs to a group if it is as alike as the threshold to one of its members.
    """
    parents = list(range(len(paths)))
    best = np.zeros(len(paths), np.float32)

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def roots(part: slice) -> Places:
        return np.array([root(index) for index in range(len(paths))[part]])

    for first in range(0, len(paths), _AT_ONCE):
        part = views[first : first + _AT_ONCE]
        for other in range(first, len(paths), _AT_ONCE):
            alike = likeness(part, views[other : other + _AT_ONCE])
            if first == other:  # each pair once
                alike[np.tri(len(alike), dtype=bool)] = -np.inf
            alike[alike < threshold] = -np.inf
            ours, theirs = (slice(start, start + _AT_ONCE) for start in (first, other))
            best[ours] = np.maximum(best[ours], alike.max(axis=1))
            best[theirs] = np.maximum(best[theirs], alike.max(axis=0))
            i, j = np.nonzero(alike > -np.inf)
            for a, b in _between(i, j, roots(ours), roots(theirs)):
                parents[root(b)] = root(a)
    found: dict[int, list[int]] = {}
    for index in range(len(paths)):
        found.setdefault(root(index), []).append(index)
    several = sorted((group for group in found.values() if len(group) > 1), key=len, reverse=True)
    return [Group(tuple(Neighbour(paths[i], float(best[i])) for i in group)) for group in several]
