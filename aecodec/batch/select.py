"""Which files a run converts, and what each becomes: folders, lists of names, single files.

Memory holds one folder at a time, or 24 bytes for each line of a list, never all files of a run. A
file belongs to the run if its suffix or its first bytes are those of a picture (to decompress: of
an .aec file). If such a file turns out to be broken, it fails and is reported.
"""

from __future__ import annotations

import codecs
import dataclasses
import fnmatch
import hashlib
import io
import os
import posixpath
import shutil
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TypeAlias

from aecodec import files
from aecodec.batch import storage
from aecodec.batch.storage import Entry, is_remote
from aecodec.bitstream import MAGIC
from aecodec.errors import AecodecError, InputError, OutputError
from aecodec.files import TEMPORARY, Job, Naming, UsageFault, shown

__all__ = ["Fault", "Item", "Note", "Selection"]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A file or folder that cannot be converted, found before any work was done on it."""

    source: str
    error: AecodecError


@dataclasses.dataclass(frozen=True)
class Note:
    """A message for the user: why a file is skipped, or that an output is outdated."""

    source: str
    text: str


Item: TypeAlias = "Job | Fault | Note"


def _kinds(*, compressed: bool) -> tuple[frozenset[str], Callable[[bytes], bool]]:
    """The suffixes of the wanted files, and a test of a file's first bytes."""
    if compressed:
        return frozenset({files.SUFFIX}), lambda start: start.startswith(MAGIC)
    from aecodec.image.formats import photograph_kinds  # imports Pillow

    return photograph_kinds()


_DOUBLE = "._"
_APPLE_DOUBLE = b"\0\x05\x16\x07"
"""Beside a file `a.jpg`, macOS writes `._a.jpg` with its attributes on disks that have none
(AppleSingle/AppleDouble Formats, 1990)."""


@dataclasses.dataclass
class Selection:
    """The inputs and outputs of a run, as the command line names them.

    `output` is the folder that mirrors the inputs; None puts every output beside its source.
    `links` follows links to folders. `passed` counts the files that do not belong to the run.
    """

    inputs: Sequence[str]
    output: str | None
    naming: Naming
    recursive: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    files_from: str | None = None
    links: bool = True
    passed: int = 0
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    """Of those that are no pictures, by their suffix."""

    def __post_init__(self) -> None:
        self._suffixes, self._is_wanted = _kinds(compressed=self.naming is files.RESTORED)
        self._is_target = self._output_file()
        if self.files_from is not None and len(self.inputs) > 1:
            raise UsageFault("--files-from takes one folder: the names are relative to it")
        self._list = None
        if self.files_from is not None:
            base = self.inputs[0] if self.inputs else ""
            self._list = _List(_spool(self.files_from), base, self.output, self.naming)
        folders = [path for path in self.inputs if not is_remote(path) and os.path.isdir(path)]
        names = [os.path.basename(os.path.abspath(path)) for path in folders]
        self._several = len(self.inputs) > 1
        if self.output is not None and self._several and len(set(names)) < len(names):
            raise UsageFault("two of these folders have the same name: their outputs would mix")

    def _output_file(self) -> bool:
        """Whether -o names the output file of a single input."""
        if self.output is None or self.recursive or len(self.inputs) != 1 or self.files_from:
            return False
        if self.output.endswith(("/", os.sep)) or os.path.isdir(self.output):
            return False
        return bool(posixpath.splitext(self.output)[1])

    @property
    def root(self) -> str | None:
        """The folder that no output may leave."""
        return None if self._is_target else self.output

    def __iter__(self) -> Iterator[Item]:
        if self._list is not None:
            yield from self._listed(self._list)
            return
        single: list[str] = []
        for path in self.inputs:
            try:
                is_folder = self.recursive and storage.is_folder(path)
            except AecodecError as error:
                yield Fault(path, error)
                continue
            if is_folder:
                inside = os.path.basename(os.path.abspath(path)) if self._several else ""
                if is_remote(path) and self._several:
                    inside = posixpath.basename(path.rstrip("/"))
                if self.output is not None:
                    yield from self._tree(path, inside)
                else:
                    whole = path.rstrip("/") if is_remote(path) else os.path.abspath(path)
                    yield from self._tree(path, "", known_as=whole if self._several else "")
            else:
                single.append(path)
        yield from self._singles(single)

    # --- Single files ---------------------------------------------------------------------------

    def _singles(self, paths: Sequence[str]) -> Iterator[Item]:
        if self._is_target and self.output is not None:
            targets = {paths[0]: self.output} if paths else {}
        else:
            distinct = list({_entry(path): path for path in reversed(paths)}.values())[::-1]
            jobs = files.plan_names(distinct, self.output, self.naming)
            targets = {job.source: job.target for job in jobs}
        for source, target in targets.items():
            key = source if is_remote(source) else os.path.abspath(source)
            yield from self._job(key, source, target)

    def _job(self, key: str, source: str, target: str) -> Iterator[Item]:
        try:
            stamp = storage.stamp(source)
            if stamp is None:
                raise InputError("no such file") if is_remote(source) else files.missing(source)
            if storage.is_folder(source):
                raise InputError("is a folder: -r converts what is in it")
        except AecodecError as error:
            yield Fault(source, error)
        else:
            yield Job(source, target, key, stamp)

    # --- Folders --------------------------------------------------------------------------------

    def _tree(self, root: str, inside: str, known_as: str = "") -> Iterator[Item]:
        """The files of a tree; `inside` is its path in the output folder.

        Without an output folder, `known_as` keeps keys of several trees apart.
        """
        own_output = self._identity(self.output) if self.output is not None else None
        start = self._identity(root)
        waiting: list[tuple[str, str, tuple[files.Identity, ...]]] = [
            (root, inside, (start,) if start is not None else ())
        ]
        while waiting:
            folder, relative, above = waiting.pop()
            try:
                found = storage.entries(folder)
            except AecodecError as error:
                yield Fault(folder, error)
                continue
            wanted: dict[str, Entry] = {}
            below: list[tuple[str, str, tuple[files.Identity, ...]]] = []
            for entry in found:
                key = f"{relative}/{entry.name}" if relative else entry.name
                if entry.name.startswith(TEMPORARY) or self._excluded(key):
                    continue
                if entry.fault is not None:
                    if not entry.is_file or self._may_be_meant(key):
                        yield Fault(entry.path, entry.fault)
                elif not entry.is_folder:
                    verdict = self._verdict(entry, key)
                    if verdict is None:
                        wanted[entry.path] = entry
                    elif not isinstance(verdict, bool):
                        yield verdict
                elif entry.identity is not None and entry.identity == own_output:
                    continue
                elif entry.is_link and not self.links:
                    yield Note(entry.path, "is a link to a folder: not followed with --rm")
                elif entry.identity is not None and entry.identity in above:
                    yield Note(entry.path, "is a link back to a folder that holds it: not followed")
                else:
                    ids = (*above, entry.identity) if entry.identity is not None else above
                    below.append((entry.path, key, ids))
            yield from self._folder(wanted, relative, known_as)
            waiting.extend(reversed(below))

    def _identity(self, path: str) -> files.Identity | None:
        found = files.identities([path])
        return next(iter(found), None)

    def _folder(
        self, wanted: dict[str, Entry], relative: str, known_as: str = ""
    ) -> Iterator[Item]:
        """The jobs of one folder, where two files may want the same output."""
        place = None
        if self.output is not None:
            place = storage.join(self.output, relative) if relative else self.output
        for job in files.plan_names(list(wanted), place, self.naming):
            entry = wanted[job.source]
            key = f"{relative}/{entry.name}" if relative else entry.name
            if self.output is not None and _leaves(key):
                yield Fault(job.source, OutputError("would leave the output folder"))
            else:
                known = posixpath.join(known_as, key)
                yield Job(job.source, job.target, known, entry.stamp)

    def _excluded(self, key: str) -> bool:
        return _matches(key, self.exclude)

    def _may_be_meant(self, key: str) -> bool:
        """Whether a file that cannot be read may belong to this run."""
        return not self.include or _matches(key, self.include)

    def _verdict(self, entry: Entry, key: str) -> Fault | Note | bool | None:
        """None for a file of this run, False for any other."""
        if self.include and not _matches(key, self.include):
            self.passed += 1
            return False
        by_suffix = os.path.splitext(entry.name)[1].lower() in self._suffixes
        if not entry.is_file:
            if entry.stamp is not None:
                return Note(entry.path, f"{_kind(entry.path)}: passed over")
            return Fault(entry.path, files.missing(entry.path)) if by_suffix else False
        may_be_double = entry.name.startswith(_DOUBLE)
        if by_suffix and not may_be_double:
            return None
        try:
            start = storage.head(entry.path, entry.stamp.size if entry.stamp else 0)
        except AecodecError as error:
            return Fault(entry.path, error)
        is_double = may_be_double and start.startswith(_APPLE_DOUBLE)
        if not is_double and (by_suffix or self._is_wanted(start)):
            return None
        self.passed += 1
        kind = f"{_DOUBLE}*" if is_double else os.path.splitext(entry.name)[1].lower()
        self.kinds[kind] += 1
        return False

    # --- Lists ----------------------------------------------------------------------------------

    def _listed(self, listed: _List) -> Iterator[Item]:
        """The files that a list names.

        The list is read twice or more: the first time shows which files want the same output.
        Standard input is copied to a temporary file for that.
        """
        with listed.spool:
            whole, twice = listed.clashes()
            seen: set[int] = set()
            for name in listed.names():
                source, key = listed.place(name)
                mark = _mark_of_file(source)
                if mark in twice:
                    if mark in seen:
                        continue
                    seen.add(mark)
                if self._excluded(key) or (self.include and not _matches(key, self.include)):
                    self.passed += 1
                elif self.recursive and storage.is_folder(source):
                    if self.output is not None:
                        yield from self._tree(source, key)
                    else:
                        yield from self._tree(source, "", known_as="" if key == "." else key)
                elif self.output is not None and _leaves(key):
                    yield Fault(source, OutputError("would leave the output folder"))
                else:
                    yield from self._job(key, source, listed.target(source, key, mark in whole))


@dataclasses.dataclass(frozen=True)
class _List:
    """A list of files, relative to `base`. It can be read again and again."""

    spool: IO[bytes]
    base: str
    output: str | None
    naming: Naming

    def names(self) -> Iterator[str]:
        """The names: between NULs if there is one in the list's first part, else lines."""
        self.spool.seek(0)
        separator = b"\0" if b"\0" in self.spool.read(1 << 16) else b"\n"
        self.spool.seek(0)
        rest = b""
        while part := self.spool.read(1 << 16):
            *whole, rest = (rest + part).split(separator)
            yield from (os.fsdecode(name) for name in map(_line(separator), whole) if name)
        if last := _line(separator)(rest):
            yield os.fsdecode(last)

    def place(self, name: str) -> tuple[str, str]:
        """The source of a name, and its key: the path below `base`, or else the whole path."""
        base, name = self.base, storage.plain(name)
        if is_remote(name):
            prefix = base.rstrip("/") + "/"
            below = name[len(prefix) :] if base and name.startswith(prefix) else None
            key = below if below is not None else name.partition("://")[2]
            return name, posixpath.normpath(key)
        if is_remote(base):
            return storage.join(base, name), posixpath.normpath(name)
        source = os.path.join(base, name)
        key = os.path.relpath(source, base or ".").replace(os.sep, "/")
        return source, key

    def target(self, source: str, key: str, whole: bool) -> str:
        name = self.naming.name(source, whole=whole)
        if self.output is not None:
            return storage.join(self.output, posixpath.join(posixpath.dirname(key), name))
        if is_remote(source):
            return storage.join(posixpath.dirname(source), name)
        return os.path.join(os.path.dirname(source), name)

    def clashes(self) -> tuple[set[int], set[int]]:
        """Two sets of hashes: sources that keep their suffix, and sources that are named twice.

        A source keeps its suffix where two sources want one output, or an output is a source.
        """
        whole: set[int] = set()
        twice: set[int] = set()
        while True:
            sources, targets, places_of = array("Q"), array("Q"), array("Q")
            for name in self.names():
                source, key = self.place(name)
                mark = _mark_of_file(source)
                sources.append(mark)
                places_of.append(_mark(source.casefold()))
                targets.append(_mark(self.target(source, key, mark in whole).casefold()))
            import numpy as np

            pairs = np.stack([np.frombuffer(a, np.uint64) for a in (targets, sources)], axis=1)
            distinct = np.unique(pairs, axis=0)
            marks, times = np.unique(pairs[:, 1], return_counts=True)
            twice.update(map(int, marks[times > 1]))
            _, first, owners = np.unique(distinct[:, 0], return_index=True, return_counts=True)
            clashing = {int(mark) for mark in distinct[np.isin(distinct[:, 0], places_of), 1]}
            clashing |= {
                int(mark)
                for start, count in zip(first[owners > 1], owners[owners > 1], strict=True)
                for mark in distinct[start : start + count, 1]
            }
            if clashing <= whole:
                return whole, twice
            whole |= clashing


def _entry(path: str) -> str:
    """One text for all paths to one entry of a folder. A link is another entry than its file."""
    if is_remote(path):
        return path
    return files.entry(path)


def _kind(path: str) -> str:
    try:
        return f"is a {storage.kind_of(os.stat(path).st_mode)}, not a file"
    except OSError:
        return "has vanished"


def _matches(key: str, patterns: Sequence[str]) -> bool:
    """Whether a glob fits the name, or, if there is a `/` in it, the path. Case doesn't matter."""
    path = key.casefold()
    name = posixpath.basename(path)
    globs = (pattern.strip("/").casefold() for pattern in patterns)
    return any(fnmatch.fnmatchcase(path if "/" in glob else name, glob) for glob in globs)


def _leaves(key: str) -> bool:
    """Whether a relative path leads out of its folder at any step."""
    depth = 0
    for part in key.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return True
    return key.startswith("/") or os.path.isabs(key)


def _mark(text: str) -> int:
    digest = hashlib.blake2b(os.fsencode(text), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _mark_of_file(source: str) -> int:
    """One mark for all spellings of a path, such as `a.jpg` and `./a.jpg`."""
    if is_remote(source):
        return _mark(source)
    # What is above a folder depends on links, and to follow them takes long.
    return _mark(_entry(source) if os.pardir in source else os.path.abspath(source))


def _spool(path: str) -> IO[bytes]:
    if path == files.STDIO:
        if sys.stdin is None:
            raise UsageFault("the list is to come from standard input, and that is closed")
        if sys.stdin.isatty():
            raise UsageFault("the list is to come from standard input, and that is a terminal")
        source: IO[bytes] = sys.stdin.buffer
    else:
        try:
            source = open(path, "rb")  # noqa: SIM115 (closed below or by the caller)
        except (OSError, ValueError) as error:
            raise UsageFault(f"the list {shown(path)}: {files.reason(error)}") from None
        if source.seekable():
            return _unmarked(source, path)
    spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the caller)
    shutil.copyfileobj(source, spool)
    if path != files.STDIO:
        source.close()
    return _unmarked(spool, path)


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "surrogateescape"),
    (codecs.BOM_UTF16_LE, "utf-16", "strict"),
    (codecs.BOM_UTF16_BE, "utf-16", "strict"),
)
"""How text begins that Windows' editors and shells write, its encoding, and what of other bytes."""


def _unmarked(source: IO[bytes], path: str) -> IO[bytes]:
    """A list whose bytes are those of names, of one that may be text with a byte-order mark.

    A name may begin with the bytes of UTF-16's mark, so that text must have a point, a slash or an
    end of a line, too.
    """
    source.seek(0)
    head = source.read(1 << 16)
    source.seek(0)
    for mark, encoding, errors in _MARKS:
        likely = encoding != "utf-16" or set("./\\\n") & set(head.decode(encoding, "ignore"))
        if not head.startswith(mark) or not likely:
            continue
        spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the caller)
        try:
            with io.TextIOWrapper(source, encoding, errors, newline="") as text:
                while part := text.read(1 << 16):
                    spool.write(os.fsencode(part))
        except UnicodeError:
            spool.close()
            raise UsageFault(f"the list {shown(path)} begins as {encoding} and is not") from None
        return spool
    return source


def _line(separator: bytes) -> Callable[[bytes], bytes]:
    return (lambda name: name.removesuffix(b"\r")) if separator == b"\n" else (lambda name: name)
