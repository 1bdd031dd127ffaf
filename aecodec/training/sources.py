"""Where photographs come from, and under which licence: `sources.csv` beside them.

::

    name,source,licence
    meadow.jpg,my own camera,CC0-1.0
    bsds_*,BSDS500,non-commercial research
    *,Wikimedia Commons,CC-BY-4.0

A table of comma-separated values (RFC 4180) in UTF-8. It may have further columns. A name is
relative to the folder of the table, with ``/`` between folders, and ``*`` in it stands for any
characters, also for ``/``. The nearest table that states a picture counts: that of its own folder,
then those of the folders above. Within a table a whole name counts before patterns. Two patterns
that state different things about one picture are an error, but for the pattern ``*``, which counts
last. An empty licence is none.

A run keeps a table of the same form: `RUN/sources.csv` has a line for every picture that its
weights have seen, with its size and its use. So it also names the pictures of earlier starts.
"""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
import io
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = [
    "HELD_OUT",
    "TABLE",
    "TRAINED",
    "Picture",
    "Sources",
    "Stated",
    "allowed",
    "check_free",
    "keep_record",
    "read_record",
    "summary",
]

TABLE: Final = "sources.csv"
COLUMNS: Final = ("name", "source", "licence")
RECORD: Final = (*COLUMNS, "megapixels", "use")
TRAINED: Final = "trained"
HELD_OUT: Final = "held out"
"""The uses of a picture: its crops are trained on, or it chooses between weights."""


@dataclasses.dataclass(frozen=True)
class Stated:
    """What is said of a picture. Either text may be empty."""

    source: str = ""
    licence: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A line of a run's record. The name is relative to the folder of photographs."""

    name: str
    stated: Stated
    megapixels: float
    use: str


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line of a table, by its number in the file."""

    number: int
    values: dict[str, str]

    @property
    def stated(self) -> Stated:
        return Stated(self.values["source"], self.values["licence"])


@dataclasses.dataclass
class _Table:
    """What one file states: by whole names, and by patterns."""

    path: pathlib.Path
    names: dict[str, _Line]
    patterns: dict[str, _Line]
    used: set[int] = dataclasses.field(default_factory=set)  # numbers of lines that matched

    def find(self, name: str) -> Stated | None:
        """What is stated of a picture by its name relative to the table, if anything is."""
        lines = [self.names[name]] if name in self.names else self._matching(name)
        self.used.update(line.number for line in lines)
        if len({line.stated for line in lines}) > 1:
            first, second = lines[0], next(x for x in lines if x.stated != lines[0].stated)
            raise ValueError(
                f"{self.path}, line {second.number}: it says something else about {name} than"
                f" line {first.number}; give the whole name in a line of its own"
            )
        return lines[0].stated if lines else None

    def _matching(self, name: str) -> list[_Line]:
        found = [line for text, line in self.patterns.items() if text != "*" and _fits(name, text)]
        rest = self.patterns.get("*")
        return found or ([rest] if rest is not None else [])


class Sources:
    """What the tables in a folder of photographs, and in its subfolders, state.

    Tables are read when a picture beside or below them is looked up. Raises ValueError, which names
    file and line, for a table that cannot be understood.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._tables: dict[pathlib.Path, _Table | None] = {}

    def of(self, path: pathlib.Path) -> Stated:
        """What is stated of a picture under the folder; nothing, if no table states it."""
        for folder in path.parents:
            table = self._table(folder)
            if table is not None:
                stated = table.find(_normal(path.relative_to(folder).as_posix()))
                if stated is not None:
                    return stated
            if folder == self.folder:
                break
        return Stated()

    def name(self, path: pathlib.Path) -> str:
        """The picture's name in the record of a run."""
        return _normal(path.relative_to(self.folder).as_posix())

    def allowed(self, paths: list[pathlib.Path], licences: tuple[str, ...]) -> list[pathlib.Path]:
        """The pictures whose licence fits one of these patterns; all, if there is no pattern.

        Raises ValueError if none is left.
        """
        left = [p for p in paths if allowed(self.of(p), licences)]
        if not left:
            wanted = " or ".join(licences)
            raise ValueError(
                f"{self.folder}: none of {len(paths)} photographs has the licence {wanted};"
                f" {self.folder / TABLE} says which licence each has"
            )
        return left

    def unused(self) -> list[str]:
        """Lines that match no picture looked up so far, as "FILE, line N: NAME"."""
        return [
            f"{table.path}, line {line.number}: {name}"
            for table in self._tables.values()
            if table is not None
            for name, line in (table.names | table.patterns).items()
            if line.number not in table.used and name != "*"
        ]

    def _table(self, folder: pathlib.Path) -> _Table | None:
        if folder not in self._tables:
            path = folder / TABLE
            self._tables[folder] = _read_table(path) if path.is_file() else None
        return self._tables[folder]


def allowed(stated: Stated, licences: tuple[str, ...]) -> bool:
    """Whether a licence fits one of the patterns, in whatever case. All fit no pattern.

    Where none is stated, only the empty pattern fits.
    """
    licence = stated.licence.casefold()
    if not licence and licences:
        return "" in licences
    return not licences or any(_fits(licence, pattern.casefold()) for pattern in licences)


def summary(record: Iterable[Picture]) -> list[dict[str, Any]]:
    """The trained pictures and their megapixels for each source and licence, for JSON."""
    sums: dict[Stated, tuple[int, float]] = {}
    for picture in record:
        if picture.use == TRAINED:
            count, megapixels = sums.get(picture.stated, (0, 0.0))
            sums[picture.stated] = count + 1, megapixels + picture.megapixels
    return [
        {**dataclasses.asdict(stated), "pictures": count, "megapixels": round(megapixels, 3)}
        for stated, (count, megapixels) in sorted(sums.items(), key=lambda item: -item[1][1])
    ]


def read_record(run: pathlib.Path) -> dict[str, Picture]:
    """The record in a run's folder, by the names of its pictures; empty if there is none yet.

    Raises ValueError, which names file and line.
    """
    path = run / TABLE
    if not path.is_file():
        return {}
    record = {}
    for line in _lines(path, RECORD):
        value = line.values
        try:
            megapixels = float(value["megapixels"])
        except ValueError:
            raise ValueError(
                f"{path}, line {line.number}: {value['megapixels']!r} is no number of megapixels"
            ) from None
        record[value["name"]] = Picture(value["name"], line.stated, megapixels, value["use"])
    return record


def check_free(run: pathlib.Path, photographs: pathlib.Path) -> None:
    """Refuse a folder for a new run in which its record would replace a table of the user's.

    The record of a run that was killed before its first checkpoint may be there. Raises ValueError.
    """
    if run.is_dir() and run.samefile(photographs):
        raise ValueError(f"{run}: the photographs are in this folder; choose another --out")
    path = run / TABLE
    if not os.path.lexists(path):
        return
    try:
        read_record(run)
    except ValueError:
        raise ValueError(
            f"{path} is there already, and is no record of a training; choose another --out"
        ) from None


def keep_record(
    run: pathlib.Path,
    sources: Sources,
    trained: Mapping[pathlib.Path, int],
    held_out: Mapping[pathlib.Path, int],
    *,
    goes_on: bool,
) -> list[Picture]:
    """Write the record of a run: the pictures of this start, and if it goes on, of those before.

    What was once trained on stays so. What the tables state today of an earlier picture that is
    still there replaces what they stated before.

    Args:
        trained, held_out: the number of pixels of each picture by its path.
    Returns: the whole record.
    Raises: ValueError for an earlier record that cannot be understood.
    """
    record = read_record(run) if goes_on else {}
    for name, before in record.items():
        path = sources.folder / name
        if path.is_file():
            record[name] = dataclasses.replace(before, stated=sources.of(path))
    for use, pictures in ((HELD_OUT, held_out), (TRAINED, trained)):
        for path, pixels in pictures.items():
            name = sources.name(path)
            once = TRAINED if name in record and record[name].use == TRAINED else use
            record[name] = Picture(name, sources.of(path), pixels / 1e6, once)
    _write_record(run, record.values())
    return list(record.values())


def _write_record(run: pathlib.Path, record: Iterable[Picture]) -> None:
    """Replace the record in a run's folder, sorted by name; whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RECORD)
    for p in sorted(record, key=lambda p: p.name):
        row = p.name, p.stated.source, p.stated.licence, f"{p.megapixels:.6f}", p.use
        writer.writerow(row)
    temporary = run / f"{TABLE}.partial"
    # A name that is no text in this system's encoding stands with question marks.
    temporary.write_bytes(text.getvalue().encode("utf-8", "replace"))
    os.replace(temporary, run / TABLE)


def _read_table(path: pathlib.Path) -> _Table:
    table = _Table(path, {}, {})
    for line in _lines(path, COLUMNS):
        name = line.values["name"].removeprefix("./")
        if not name:
            raise ValueError(f"{path}, line {line.number}: the name is empty")
        lines = table.patterns if "*" in name else table.names
        before = lines.setdefault(name, line)
        if before.stated != line.stated:
            raise ValueError(
                f"{path}, line {line.number}: {name} has another source or licence in"
                f" line {before.number}"
            )
    return table


def _lines(path: pathlib.Path, columns: tuple[str, ...]) -> list[_Line]:
    """The lines below the first one, which names the columns. Empty lines are left out."""
    rows = _rows(path)
    if not rows:
        raise ValueError(f"{path}, line 1: the columns are missing: {','.join(columns)}")
    number, head = rows[0]
    head = [name.strip().lower() for name in head]
    for name in columns:
        if head.count(name) != 1:
            fault = "is missing" if name not in head else "is there twice"
            wanted = ",".join(columns)
            raise ValueError(f"{path}, line {number}: the column {name} {fault}; give {wanted}")
    lines = []
    for number, row in rows[1:]:
        if len(row) != len(head):
            raise ValueError(
                f"{path}, line {number}: {len(row)} columns, where the first line has {len(head)};"
                " a text with a comma needs quotation marks"
            )
        cells = (" ".join(_normal(text).split()) for text in row)
        values = dict(zip(head, cells, strict=True))
        values["name"] = _normal(row[head.index("name")]).strip()  # a name may have two spaces
        lines.append(_Line(number, values))
    return lines


def _rows(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its first line."""
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # the mark that spreadsheets write
    except OSError as error:
        raise ValueError(f"{path}: it cannot be read: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {number}: this is not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, number = [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((number, row))
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {number}: this is no CSV: {error}") from None
    return rows


def _fits(text: str, pattern: str) -> bool:
    """Whether a text fits a pattern, in which ``*`` alone has a meaning."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def _normal(text: str) -> str:
    """In one Unicode form: macOS gives names in another one than most editors write."""
    return unicodedata.normalize("NFC", text)
