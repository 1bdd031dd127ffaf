"""Local files: the name of each output, and writing an output whole or not at all.

`codec.py` works on pictures and bytes, this module works on paths. An output is written to a
temporary file in its own folder, synced, and renamed. At any moment it is absent, or the old one,
or whole. `-` means standard input or output.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pathlib
import shutil
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from aecodec.bitstream import MAX_HEADER_SIZE, parse_header
from aecodec.errors import (
    FormatError,
    InputError,
    LimitError,
    OutputError,
    OutputExistsError,
    one_line,
)

STDIO = "-"
SUFFIX = ".aec"

# A pipe does not tell its size beforehand.
MAX_STREAM_BYTES = 2 << 30
CHUNK_BYTES = 1 << 20

# How far an .aec file is read beyond the end stated in its header, to report what follows.
TRAILING_BYTES = 1 << 16

TEMPORARY = ".aecodec-"
"""The prefix of unfinished files, and of files that aecodec keeps for itself."""
OPEN_FILES = "/proc/self/fd"

Identity = tuple[int, int]
_MAX_LINKS = 40  # as many as Linux follows

ANYONE = 0o666
"""The permission bits of a file of which nothing is known; umask withholds some."""


class UsageFault(Exception):
    """The command line is contradictory; nothing was done."""


# ----------------------------------------------------------------------------------------- naming


UNDATED = -(2**63)
"""The time of a file in a store that gives it none. 0 is a date: that of 1970-01-01."""


class Stamp(NamedTuple):
    """What tells one state of a file from another: bytes, and nanoseconds since 1970."""

    size: int
    time_ns: int

    @property
    def dates(self) -> tuple[int, int] | None:
        """The times of access and change for a copy of it, where they are known."""
        return None if self.time_ns == UNDATED else (self.time_ns, self.time_ns)


@dataclass(frozen=True)
class Job:
    """One file that is made from another; either may be `-`."""

    source: str
    target: str
    key: str = ""
    """The source's path within a run over folders, with `/`: the manifest knows it by that. No two
    files of a run have the same."""
    stamp: Stamp | None = None
    """The source's state when it was listed; None where nobody looked."""
    begun: bool = False
    """The output was absent when a run with the same options began it: if it is there now, it was
    made by that run, which was cut off, or by another at the same time."""
    stale: bool = False
    """The output, if there is one, was made from another state of the source."""
    only_copy: bool = False
    """The output, if there is one, may be all that is left of a picture."""


@dataclass(frozen=True)
class Naming:
    """How to name an output in a folder."""

    drops: str | None  # the suffix that is removed; None: any suffix
    adds: str

    def name(self, source: str, *, whole: bool = False) -> str:
        """The name of the output for `source`; `whole` keeps the suffix of the source in it."""
        name = os.path.basename(source)
        stem, suffix = os.path.splitext(name)
        drops_other = self.drops is not None and suffix.lower() != self.drops
        if (
            whole or drops_other or suffix.lower() == self.adds
        ):  # no output is called as its source is
            stem = name
        return stem + self.adds

    def other(self, source: str, target: str) -> str:
        """The path that the output of `source` would have if no other name were in its way, or,
        if `target` is that already, if one were."""
        names = {self.name(source), self.name(source, whole=True)} - {os.path.basename(target)}
        return os.path.join(os.path.dirname(target), min(names, key=len)) if names else target


COMPRESSED = Naming(drops=None, adds=SUFFIX)
RESTORED = Naming(drops=SUFFIX, adds=".png")
NAMINGS = {"compress": COMPRESSED, "decompress": RESTORED}


def plan(sources: Sequence[str], output: str | None, naming: Naming) -> list[Job]:
    """Decide the name of every output before any work is done.

    Two sources that would become the same file keep their suffix (`a.jpg.aec`, `a.png.aec`). So
    does a source whose output would be another source.
    """
    if STDIO in sources:
        return [_plan_stdin(sources, output)]
    by_place: dict[str, str] = {}
    for source in sources:
        by_place.setdefault(entry(source), source)
    distinct = list(by_place.values())

    if output is not None and not _names_folder(output):
        if len(distinct) > 1:
            raise UsageFault(
                f"{len(distinct)} inputs cannot become one file: -o needs an existing folder, "
                f"and {shown(output)} is not a folder"
            )
        if output == STDIO:
            _refuse_terminal()
        return [Job(distinct[0], output)]
    if output is not None and not os.path.isdir(output):
        raise UsageFault(f"the output folder {shown(output)} does not exist")

    return plan_names(distinct, output, naming)


def _plan_stdin(sources: Sequence[str], output: str | None) -> Job:
    if len(sources) > 1:
        raise UsageFault("standard input ('-') must be the only input")
    if sys.stdin is None:
        raise UsageFault("standard input is closed: redirect a file or a pipe into it")
    if sys.stdin.isatty():
        raise UsageFault("standard input is a terminal: redirect a file or a pipe into it")
    if output is None or output == STDIO:
        _refuse_terminal()
        return Job(STDIO, STDIO)
    if _names_folder(output):
        raise UsageFault("standard input has no name: with -o give a file, not a folder")
    return Job(STDIO, output)


def plan_names(sources: Sequence[str], folder: str | None, naming: Naming) -> list[Job]:
    def target(source: str, whole: bool) -> str:
        place = os.path.dirname(source) if folder is None else folder
        return os.path.join(place, naming.name(source, whole=whole))

    def key(path: str) -> str:
        return os.path.abspath(path).casefold()  # as on file systems that fold case

    whole: set[str] = set()
    taken = {key(source): source for source in sources}
    while True:
        targets = {source: target(source, source in whole) for source in sources}
        by_key: dict[str, list[str]] = {}
        for source in sources:
            by_key.setdefault(key(targets[source]), []).append(source)
        clashing = {source for group in by_key.values() if len(group) > 1 for source in group}
        clashing |= {source for source in sources if key(targets[source]) in taken}
        if clashing <= whole:
            break
        whole |= clashing

    owner: dict[str, str] = {}
    for source in sources:
        place = os.path.abspath(targets[source])
        other = taken.get(key(place))
        if other is not None and os.path.abspath(other) == place:
            raise UsageFault(
                f"{shown(source)} would become {shown(targets[source])}, which is an input: "
                "compress them in two runs, or rename one"
            )
        first = owner.setdefault(place, source)
        if first != source:
            raise UsageFault(
                f"{shown(first)} and {shown(source)} would both become {shown(targets[source])}: "
                "compress them in two runs, or rename one"
            )
    return [Job(source, targets[source]) for source in sources]


def _names_folder(path: str) -> bool:
    return path.endswith((os.sep, "/")) or os.path.isdir(path)


def _refuse_terminal() -> None:
    if sys.stdout is None:
        raise UsageFault("standard output is closed: use -o FILE, or redirect it")
    if sys.stdout.isatty():
        raise UsageFault("standard output is a terminal: use -o FILE, or redirect it")


def shown(path: str) -> str:
    """`path` as one printable line, whatever its name holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


# ---------------------------------------------------------------------------------------- reading


def identities(sources: Sequence[str]) -> frozenset[Identity]:
    """What the file system knows the inputs by. No output may be one of them."""
    found = set()
    for source in sources:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(source)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def mode_of(source: str) -> int:
    """The permission bits that an output made of `source` may have at most: none that it has not.

    Standard input has those of the file that is redirected into it; pipes and devices say nothing
    about what goes through them.
    """
    try:
        status = os.fstat(sys.stdin.fileno()) if source == STDIO else os.stat(source)
    except (OSError, ValueError, AttributeError):
        return ANYONE
    if not stat.S_ISREG(status.st_mode):
        return ANYONE
    return stat.S_IMODE(status.st_mode) & ANYONE & ~_only_listed(source)


_GROUP, _MASK = 0x04, 0x10
"""Tags of the entries of an access control list (acl(5))."""


def _only_listed(source: str) -> int:
    """The bits of the group that an access control list gives to others than the group.

    Where there is a list, the bits of the group are the most that it gives to anybody.
    """
    held = b"" if source == STDIO else attributes(source).get(_ACCESS, b"")
    whole = held[4 : 4 + max(len(held) - 4, 0) // 8 * 8]
    entries: dict[int, int] = {tag: bits for tag, bits, _ in struct.iter_unpack("<HHI", whole)}
    if _MASK not in entries:
        return 0
    return 0o070 & ~((entries.get(_GROUP, 0) & entries[_MASK]) << 3)


_ACCESS = "system.posix_acl_access"
_LIST = "access control list"


def replaced(source: str, target: str) -> tuple[str, ...]:
    """Give an output the date and the extended attributes of its source, to take its place.

    Owner and group, too, as far as the system allows: who runs as root gets no pictures of others.
    Returns the names of what the output lacks: attributes of a user's programs (`user.*`) that its
    file system does not take, and "access control list" for permissions beyond the bits, which are
    compared and not copied. Python shows attributes on Linux alone.
    """
    wanted = attributes(source)
    _give_owner(source, target)
    with contextlib.suppress(OSError):
        status = os.stat(source)
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
    for name in wanted.keys() - {_ACCESS}:
        with contextlib.suppress(OSError):
            os.setxattr(target, name, wanted[name])
    if wanted:
        _sync(target)
    there = attributes(target)
    lacking = sorted(name for name, value in wanted.items() if there.get(name) != value)
    return tuple(_LIST if name == _ACCESS else f"attribute {shown(name)}" for name in lacking)


def _give_owner(source: str, target: str) -> None:
    """Give a file the owner and the group of another, or the group alone, or neither."""
    if not hasattr(os, "fchown"):
        return
    with contextlib.suppress(OSError):
        wanted = os.stat(source)
        descriptor = os.open(os.path.realpath(target), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            there = os.fstat(descriptor)
            if there.st_nlink != 1:  # another's file, which somebody has linked here
                return
            for owner in (wanted.st_uid, -1):
                with contextlib.suppress(PermissionError):
                    if (there.st_uid, there.st_gid) != (wanted.st_uid, wanted.st_gid):
                        os.fchown(descriptor, owner, wanted.st_gid)
                    return
        finally:
            os.close(descriptor)


def attributes(path: str) -> dict[str, bytes]:
    """The extended attributes of a file that are no business of the system's, by name."""
    found = {}
    with contextlib.suppress(OSError, AttributeError):  # none here, or no such system
        for name in os.listxattr(path):
            if name.startswith("user.") or name == _ACCESS:
                found[name] = os.getxattr(path, name)
    return found


def _sync(path: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_compressed(source: str) -> bytes:
    """The bytes of an `.aec` file, or the first bytes of a file that is none.

    A film or an endless device, given by mistake, is refused at once and not read.
    """
    with _opened(source) as file:
        head = _read(file, MAX_HEADER_SIZE)
        try:
            size = parse_header(head).file_size
        except FormatError:
            return head  # whoever parses it says what is wrong with it
        if size > MAX_STREAM_BYTES:
            raise LimitError(f"{size} bytes, and the limit is {MAX_STREAM_BYTES}")
        return head + _read(file, size - len(head) + TRAILING_BYTES)


def read_picture(source: str) -> str | bytes:
    """The path of a regular file, or the bytes of anything that is not seekable."""
    if source != STDIO:
        with reading(source):
            if stat.S_ISREG(os.stat(source).st_mode):
                return source
    with _opened(source) as file:
        data = _read(file, MAX_STREAM_BYTES + 1)
    if len(data) > MAX_STREAM_BYTES:
        raise LimitError(f"longer than {MAX_STREAM_BYTES >> 30} GiB")
    return data


def _read(file: BinaryIO, limit: int) -> bytes:
    """Read to the end, or to the limit. Memory grows with the data, not with the limit."""
    parts: list[bytes] = []
    with reading():
        while limit and (part := file.read(min(limit, CHUNK_BYTES))):
            parts.append(part)
            limit -= len(part)
    return b"".join(parts)


@contextlib.contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source == STDIO:
        yield sys.stdin.buffer
        return
    with reading(source):
        file = open(source, "rb")  # noqa: SIM115 (closed below; only opening is translated)
    with file:
        yield file


def link_of(path: str) -> str | None:
    """What a symbolic link names, as it says it; None for a path that is no link."""
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None


def missing(path: str) -> InputError:
    """The error for an input that is not there, or is a link to what is not there."""
    named = link_of(path)
    if named is None:
        return InputError("no such file")
    return InputError(f"is a link to {shown(named)}, which is not there")


def entry(path: str) -> str:
    """One text for all paths to one entry of a folder. A link is another entry than its file."""
    folder, name = os.path.split(path.rstrip(os.sep) or path)
    if name in ("", os.curdir, os.pardir):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(folder), name)  # what is above a folder, links decide


def link_depth(path: str) -> int:
    """How many links follow one another to a file; 0 for a path that is no link."""
    depth = 0
    while depth < _MAX_LINKS and (named := link_of(path)) is not None:
        path = os.path.join(os.path.dirname(path), named)
        depth += 1
    return depth


@contextlib.contextmanager
def reading(path: str = "") -> Iterator[None]:
    """Name what the system says of a file that cannot be read. Raises InputError."""
    try:
        yield
    except IsADirectoryError:
        raise InputError("is a folder, not a file") from None
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise InputError("is a socket, not a file") from None
        raise InputError(f"cannot be read: {reason(error)}") from error


# ---------------------------------------------------------------------------------------- writing


def check_output(target: str, *, force: bool, inputs: frozenset[Identity] = frozenset()) -> None:
    """Refuse an output that cannot or must not be written, before any work is done."""
    if target == STDIO:
        return
    try:
        status = os.stat(target)
    except FileNotFoundError:
        if os.path.islink(target) and not force:
            raise OutputExistsError(f"{shown(target)} exists already: -f replaces it") from None
        folder = os.path.dirname(os.path.realpath(target))
        if not os.path.isdir(folder):
            raise OutputError(
                f"the output folder {shown(os.path.dirname(target))} does not exist"
            ) from None
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {shown(target)}: {reason(error)}") from error
    else:
        if (status.st_dev, status.st_ino) in inputs:
            raise OutputError(f"the output {shown(target)} would replace an input of this run")
        if stat.S_ISDIR(status.st_mode):
            raise OutputError(f"the output {shown(target)} is a folder")
        if not stat.S_ISREG(status.st_mode):
            return  # a pipe or a device: nothing in it is replaced
        if not force:
            raise OutputExistsError(f"{shown(target)} exists already: -f replaces it")
        folder = os.path.dirname(os.path.realpath(target))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {shown(target)}: its folder is read-only")


@contextlib.contextmanager
def writing(
    target: str,
    *,
    force: bool,
    dates: tuple[int, int] | None = None,
    mode: int = ANYONE,
    sync_name: bool = True,
) -> Iterator[BinaryIO]:
    """A seekable binary file that becomes `target` if, and only if, the block succeeds.

    A pipe, a device or standard output gets everything at the end, or nothing. `dates` are the
    times of access and change in nanoseconds. A regular file has them before it gets its name. From
    its first byte on it has at most the permission bits `mode`, less those that umask withholds,
    and no bit that a file which it replaces lacks. What it holds outlasts a power cut; its name
    does too, unless the caller syncs the folder itself, without `sync_name`.
    """
    if target != STDIO and not _is_special(target):
        with _replacing(target, force=force, dates=dates, mode=mode) as file:
            yield file
        if sync_name:
            sync_folder(os.path.dirname(os.path.realpath(target)))
        return
    buffer = io.BytesIO()
    yield buffer
    with _writing(target):
        if target == STDIO:
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
            return
        with open(target, "wb", buffering=0) as stream:
            if stream.isatty():
                raise OutputError(f"{shown(target)} is a terminal")
            rest = buffer.getbuffer()
            while rest:
                rest = rest[stream.write(rest) :]


@contextlib.contextmanager
def making_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder that takes its name when all is done; what had that name goes then.

    Raises OutputError.
    """
    real = target.resolve()  # a link stays a link, and what it names is replaced
    with _writing(str(target)):
        work = real.parent / f"{TEMPORARY}{os.urandom(8).hex()}.tmp"
        work.mkdir(mode=0o700)
    try:
        made = work / "new"
        made.mkdir()
        yield made
        try:
            if os.path.lexists(real):
                os.rename(real, work / "old")
            os.rename(made, real)
        except BaseException:  # an interruption, too, leaves what was there
            if not os.path.lexists(real):
                with contextlib.suppress(OSError):
                    os.rename(work / "old", real)
            raise
    except OSError as error:
        named = isinstance(error.filename, str | bytes | os.PathLike)
        name = os.fsdecode(error.filename) if named else ""
        # The fault may be that of a file from which the folder is made.
        other = f"{shown(name)}: " if name and not name.startswith((str(work), str(real))) else ""
        raise OutputError(f"cannot write {shown(str(target))}: {other}{reason(error)}") from error
    finally:
        # What was there, and could not be put back, stays.
        if os.path.lexists(real) or not os.path.lexists(work / "old"):
            shutil.rmtree(work, ignore_errors=True)


def fill(target: str, data: bytes, *, mode: int = ANYONE) -> None:
    """Write `data` into a regular file that is there, which stays the same file; or as `writing`.

    For a file that its owner holds open to read the result. Raises OutputError. If the disk is full
    the file is left empty.
    """
    if not os.path.isfile(target):
        with writing(target, force=False, mode=mode, sync_name=False) as new:
            new.write(data)
        return
    with _writing(target), open(target, "r+b", buffering=0) as file:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
            file.truncate()
        except OSError:
            file.truncate(0)
            raise


@contextlib.contextmanager
def _replacing(
    target: str, *, force: bool, dates: tuple[int, int] | None, mode: int
) -> Iterator[BinaryIO]:
    real = os.path.realpath(target)  # a link stays a link, and what it names is replaced
    folder = os.path.dirname(real)
    temporary = os.path.join(folder, f"{TEMPORARY}{os.urandom(8).hex()}.tmp")
    try:
        with _writing(target):
            mode &= mode_of(real)
            descriptor = _nameless(folder, mode)
            named = descriptor is None
            if descriptor is None:
                descriptor = os.open(temporary, _NEW, mode)
            with open(descriptor, "w+b") as file:
                yield file
                file.flush()
                if dates is not None and not named:
                    os.utime(descriptor, ns=dates)
                os.fsync(descriptor)
                if not named:
                    named = not _name(file, temporary if force else real)
                    if named:  # it could not be named: a copy that has a name takes its place
                        with open(os.open(temporary, _NEW, mode), "wb") as copy:
                            file.seek(0)
                            shutil.copyfileobj(file, copy)
                            copy.flush()
                            os.fsync(copy.fileno())
            if dates is not None and named:
                os.utime(temporary, ns=dates)
            if named or force:
                _publish(temporary, real, force=force)
    finally:  # after an interruption too, wherever it struck
        with contextlib.suppress(OSError):
            os.unlink(temporary)


_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def _nameless(folder: str, mode: int) -> int | None:
    """Open a file that has no name yet, so that not even a killed process leaves it behind.

    None where the system cannot do that: only Linux can, on most file systems.
    """
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not os.path.isdir(OPEN_FILES):
        return None
    try:
        return os.open(folder, os.O_RDWR | flag, mode)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            return None
        raise


def _name(file: BinaryIO, name: str) -> bool:
    """Name an open file without a name; false where the file system does not allow it."""
    descriptor = file.fileno()
    try:  # `src_dir_fd` has no effect, but without it Python takes link(2), which cannot do this
        os.link(f"{OPEN_FILES}/{descriptor}", name, src_dir_fd=descriptor)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _publish(temporary: str, target: str, *, force: bool) -> None:
    """Name the finished file. Without `force` it never takes the name of another file."""
    if force:
        os.replace(temporary, target)
    elif os.name == "nt":
        os.rename(temporary, target)  # refuses an existing target there
    else:
        try:
            os.link(temporary, target)  # refuses one here, where a rename would not
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            os.replace(temporary, target)


def sync(path: str) -> None:
    """Make a file that is there outlast a power cut, with its name."""
    _sync(path)
    sync_folder(os.path.dirname(os.path.realpath(path)))


def sync_folder(folder: str) -> None:
    """Make the rename survive a power cut, where a folder can be synced."""
    _sync(folder)


@contextlib.contextmanager
def _writing(target: str) -> Iterator[None]:
    name = "standard output" if target == STDIO else shown(target)
    try:
        yield
    except FileExistsError:
        raise OutputExistsError(f"{name} exists already: -f replaces it") from None
    except BrokenPipeError:
        raise OutputError(f"cannot write {name}: its reader has closed it") from None
    except OSError as error:
        raise OutputError(f"cannot write {name}: {reason(error)}") from error


def _is_special(target: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except (OSError, ValueError):
        return False


def reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or one_line(error)
    return text[0].lower() + text[1:]


def picture_format(target: str) -> str:
    """Pillow's name of the format for the suffix of `target`; PNG if it has none."""
    suffix = os.path.splitext(target)[1].lower()
    if target == STDIO or not suffix:
        return "PNG"
    from aecodec.image.formats import written_format

    name = written_format(suffix)
    if name is None:
        raise UsageFault(
            f"{suffix} is not a picture format that can be written: try .png, .tiff, .webp or .jpg"
        )
    return name


def refuse_picture_name(target: str) -> None:
    """Raise `UsageFault` if an .aec file would have the suffix of another format of pictures."""
    stem, suffix = os.path.splitext(target)
    if target == STDIO or suffix.lower() in ("", SUFFIX):
        return
    from aecodec.image.formats import known_suffixes

    if suffix.lower() in known_suffixes():
        raise UsageFault(
            f"{shown(target)}: compress writes .aec files, and other programs would take this one"
            f" for another format: try {shown(stem + SUFFIX)}"
        )
