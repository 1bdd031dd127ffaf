"""Reading, writing and listing files: local ones and, through fsspec, those of remote stores.

A path with a protocol (`s3://bucket/key`) is remote. fsspec is imported for the first of these. All
other paths are local, and written by `files.writing`. Failures are InputError or OutputError.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from aecodec import files
from aecodec.errors import (
    AecodecError,
    InputError,
    LimitError,
    OutputError,
    OutputExistsError,
    one_line,
)
from aecodec.files import UNDATED, Stamp, reason, shown

__all__ = [
    "UNDATED",
    "Entry",
    "Stamp",
    "StoreMissing",
    "connect",
    "entries",
    "head",
    "is_folder",
    "is_remote",
    "join",
    "kind_of",
    "make_folder",
    "mode",
    "plain",
    "read",
    "remove",
    "shared_by_processes",
    "stamp",
    "sync",
    "write",
]

_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL_URL = re.compile(r"(?:file|local)://(?:localhost(?=/))?", re.IGNORECASE)
# Stores that write an object whole or not at all. On others a file is renamed into place.
_OBJECT_STORES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a"}
)
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "azure", "az": "azure"}


class StoreMissing(files.UsageFault):
    """No installed package implements the protocol."""


class Entry(NamedTuple):
    """One entry of a folder."""

    name: str
    path: str
    is_folder: bool
    is_file: bool  # neither: a pipe, a socket, a device, or a link to nothing
    is_link: bool
    stamp: Stamp | None
    identity: files.Identity | None = None
    fault: InputError | None = None
    """Why it cannot be read. `is_folder` and `is_file` are then only what the listing says."""


def is_remote(path: str) -> bool:
    """Whether a path has the protocol of a remote store."""
    return _PROTOCOL.match(path) is not None


def plain(path: str) -> str:
    """The local path of a `file://` address; every other path unchanged."""
    found = _LOCAL_URL.match(path)
    if found is None:
        return path
    rest = path[found.end() :]
    return rest[1:] if re.match("/[A-Za-z]:[/\\\\]", rest) else rest  # file:///C:/ on Windows


def join(folder: str, relative: str) -> str:
    """The path of `relative`, with `/` as separator, in `folder`."""
    if is_remote(folder):
        return folder.rstrip("/") + "/" + relative
    return os.path.join(folder, *relative.split("/")) if folder else relative


def shared_by_processes(path: str) -> bool:
    """False for stores in the memory of one process, which workers cannot reach."""
    return not path.startswith("memory:")


def connect(url: str) -> None:
    """Check that a store can be reached. Raises StoreMissing."""
    _store(url)


def _store(url: str) -> tuple[Any, str]:
    """fsspec's file system and the path within it. fsspec keeps one for each store."""
    protocol = url.partition(":")[0]
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        extra = _EXTRAS.get(protocol)
        advice = f': pip install "aecodec[{extra}]"' if extra else f": {one_line(error)}"
        raise StoreMissing(f"{protocol}:// needs a package that is not installed{advice}") from None
    except Exception as error:  # such as missing credentials: each store has its own errors
        raise InputError(f"cannot reach {shown(url)}: {one_line(error)}") from error
    return fs, str(path)


# ---------------------------------------------------------------------------------------- reading


def stamp(path: str) -> Stamp | None:
    """The state of a file, None where there is none. Raises InputError."""
    if not is_remote(path):
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {reason(error)}") from error
        return Stamp(status.st_size, status.st_mtime_ns)
    fs, inner = _store(path)
    with _reading():
        try:
            return _remote_stamp(fs.info(inner))
        except FileNotFoundError:
            return None


def _remote_stamp(info: dict[str, Any]) -> Stamp:
    """The state in an entry of a listing; each store has its own name for the time."""
    for name in ("LastModified", "mtime", "updated", "last_modified", "created"):
        moment = info.get(name)
        if isinstance(moment, str):
            with contextlib.suppress(ValueError):
                moment = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
        if isinstance(moment, datetime.datetime):
            return Stamp(int(info.get("size") or 0), round(moment.timestamp() * 1e9))
        if isinstance(moment, int | float):
            return Stamp(int(info.get("size") or 0), round(moment * 1e9))
    return Stamp(int(info.get("size") or 0), UNDATED)


def mode(path: str) -> int:
    """The permission bits for the output of a file; those of a remote file say nothing."""
    return files.ANYONE if is_remote(path) else files.mode_of(path)


def read(path: str, size: int | None = None, limit: int = files.MAX_STREAM_BYTES) -> bytes:
    """All bytes of a file. Raises InputError, and LimitError beyond `limit` bytes.

    `size` from a listing saves a request to a remote store.
    """
    if is_remote(path):
        fs, inner = _store(path)
        with _reading():
            if (fs.size(inner) if size is None else size) > limit:
                raise LimitError(f"longer than {limit >> 20} MiB")
            return bytes(fs.cat_file(inner))
    with _regular(path) as file:
        expected = os.fstat(file.fileno()).st_size
        if expected <= limit:
            data = file.read(expected + 1)
            while len(data) > expected and (part := file.read(files.CHUNK_BYTES)):  # it grows
                data += part
                if len(data) > limit:
                    break
    if expected > limit or len(data) > limit:
        raise LimitError(f"longer than {limit >> 20} MiB")
    return data


def head(path: str, size: int, length: int = 64) -> bytes:
    """The first bytes of a file that has `size` bytes. Raises InputError."""
    length = min(length, size)  # some stores refuse a range that goes beyond the end
    if not length:
        return b""
    if is_remote(path):
        fs, inner = _store(path)
        with _reading():
            return bytes(fs.cat_file(inner, start=0, end=length))
    with _regular(path) as file:
        return file.read(length)


@contextlib.contextmanager
def _regular(path: str) -> Iterator[io.BufferedReader]:
    """Open a regular file. A named pipe is refused, because opening it could block."""
    with _reading():
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise files.missing(path) from None
        with open(descriptor, "rb") as file:
            kind = kind_of(os.fstat(descriptor).st_mode)
            if kind != "file":
                raise InputError(f"is a {kind}, not a file")
            yield file


def kind_of(mode: int) -> str:
    """The kind of a file: file, folder, named pipe, socket or device."""
    for test, name in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return name
    return "device"


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        with files.reading():
            yield
    except (AecodecError, MemoryError):
        raise
    except Exception as error:  # the errors of stores have no common base class
        raise InputError(f"cannot be read: {reason(error)}") from error


def entries(folder: str) -> list[Entry]:
    """The entries of a folder, sorted by name. Raises InputError."""
    found = _remote_entries(folder) if is_remote(folder) else _local_entries(folder)
    return sorted(found, key=lambda entry: os.fsencode(entry.name))


def _local_entries(folder: str) -> Iterator[Entry]:
    with _reading(), os.scandir(folder or ".") as found:
        for entry in found:
            path = os.path.join(folder, entry.name)
            try:
                status = entry.stat()
            except OSError as error:
                yield _unseen(entry, path, error)
                continue
            yield Entry(
                entry.name,
                path,
                stat.S_ISDIR(status.st_mode),
                stat.S_ISREG(status.st_mode),
                entry.is_symlink(),
                Stamp(status.st_size, status.st_mtime_ns),
                (status.st_dev, status.st_ino),
            )


def _unseen(entry: os.DirEntry[str], path: str, error: OSError) -> Entry:
    """An entry that the system cannot describe beyond its name and, mostly, its kind."""
    is_link = entry.is_symlink()
    # A link to nothing or to itself, or the file has just vanished.
    if isinstance(error, FileNotFoundError) or (is_link and error.errno == errno.ELOOP):
        return Entry(entry.name, path, False, False, is_link, None)
    fault = InputError(f"cannot be read: {reason(error)}")
    is_folder = is_file = False
    with contextlib.suppress(OSError):
        is_folder = entry.is_dir(follow_symlinks=False)
        is_file = entry.is_file(follow_symlinks=False)
    return Entry(entry.name, path, is_folder, is_file, is_link, None, None, fault)


def _remote_entries(folder: str) -> Iterator[Entry]:
    fs, inner = _store(folder)
    with _reading():
        listed = fs.ls(inner, detail=True)
    for info in listed:
        path = str(info["name"]).rstrip("/")
        name = posixpath.basename(path)
        if not name or path == inner.rstrip("/"):  # the entry of the folder itself
            continue
        is_folder = info.get("type") == "directory"
        yield Entry(
            name, fs.unstrip_protocol(path), is_folder, not is_folder, False, _remote_stamp(info)
        )


# ---------------------------------------------------------------------------------------- writing


def write(
    target: str,
    data: bytes,
    *,
    force: bool,
    dates: tuple[int, int] | None = None,
    mode: int = files.ANYONE,
    sync_name: bool = True,
) -> None:
    """Write a whole file, or none. Missing folders are made. Raises OutputError.

    `dates`, `mode` and `sync_name` are for files of this machine: see `files.writing`. Without
    `force` an existing file is refused (OutputExistsError), even if it was created a moment ago.
    """
    if is_remote(target):
        _write_remote(target, data, force=force)
        return
    make_folder(os.path.dirname(target))
    files.check_output(target, force=force)
    _refuse_pipe(target)
    with files.writing(target, force=force, dates=dates, mode=mode, sync_name=sync_name) as file:
        file.write(data)


def _refuse_pipe(target: str) -> None:
    """A named pipe would block the run until somebody reads it."""
    with contextlib.suppress(OSError, ValueError):
        kind = kind_of(os.stat(target).st_mode)
        if kind in ("named pipe", "socket"):
            raise OutputError(f"the output {shown(target)} is a {kind}")


def make_folder(folder: str) -> None:
    """Make a folder of this machine and its parents, and sync them to the disk.

    Raises OutputError.
    """
    if not folder or os.path.isdir(folder):
        return
    make_folder(os.path.dirname(folder))
    try:
        os.mkdir(folder)
    except FileExistsError:
        if os.path.isdir(folder):  # another worker was faster
            return
        raise OutputError(f"cannot make the folder {shown(folder)}: a file is there") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot make the folder {shown(folder)}: {reason(error)}") from error
    files.sync_folder(os.path.dirname(folder) or ".")


def _write_remote(target: str, data: bytes, *, force: bool) -> None:
    fs, inner = _store(target)
    protocol = target.partition(":")[0]
    try:
        if protocol in _OBJECT_STORES:
            fs.pipe_file(inner, data, mode="overwrite" if force else "create")
            return
        fs.makedirs(posixpath.dirname(inner), exist_ok=True)
        temporary = posixpath.join(
            posixpath.dirname(inner), f"{files.TEMPORARY}{os.urandom(8).hex()}.tmp"
        )
        try:
            fs.pipe_file(temporary, data)
            if not force and fs.exists(inner):
                raise FileExistsError
            fs.mv(temporary, inner)
        except BaseException:
            with contextlib.suppress(Exception):
                fs.rm_file(temporary)
            raise
    except Exception as error:
        # The answers of S3 where the object exists (412) or is being written (409).
        if isinstance(error, FileExistsError) or "PreconditionFailed" in str(error):
            raise OutputExistsError(f"{shown(target)} exists already: -f replaces it") from None
        raise OutputError(f"cannot write {shown(target)}: {reason(error)}") from error


def sync(path: str) -> None:
    """Make a file of this machine outlast a power cut, with its name; a store does so itself."""
    if not is_remote(path):
        files.sync(path)


def replaced(source: str, target: str) -> tuple[str, ...]:
    """Give an output what it needs to take its source's place: see `files.replaced`.

    A remote file has neither a date that can be set nor attributes.
    """
    return () if is_remote(source) else files.replaced(source, target)


def remove(path: str) -> None:
    """Delete a file. Raises OutputError."""
    try:
        if is_remote(path):
            fs, inner = _store(path)
            fs.rm_file(inner)
        else:
            os.unlink(path)
    except Exception as error:
        raise OutputError(f"cannot be deleted: {reason(error)}") from error


def is_folder(path: str) -> bool:
    """Whether a path is a folder: remotely, whether any object is below it. Raises InputError."""
    if not is_remote(path):
        return os.path.isdir(path)
    fs, inner = _store(path)
    with _reading():
        return bool(fs.isdir(inner))
