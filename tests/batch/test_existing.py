"""The table of docs/folders.md: what happens to an output that exists already, cell by cell."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import albums
import pytest
from paths import DOCS
from plans import convert_here, results

from aecodec.batch import Existing, Plan, Task
from aecodec.batch.manifest import NAME
from aecodec.conversion import Encoding

TASK = Task(threads=1, encoding=Encoding(quality=20))
OPTIONS = {
    "no option": TASK,
    "`--skip-existing`": dataclasses.replace(TASK, existing=Existing.KEEP),
    "`-f`": dataclasses.replace(TASK, existing=Existing.REPLACE),
    "`--rm`": dataclasses.replace(TASK, remove=True),
    "`--rm --skip-existing`": dataclasses.replace(TASK, remove=True, existing=Existing.KEEP),
    "`--rm -f`": dataclasses.replace(TASK, remove=True, existing=Existing.REPLACE),
}
SOURCE, OUTPUT = Path("in/p.png"), Path("out/p.aec")


def run(task: Task) -> str:
    """Convert the only file; its status."""
    told = convert_here(Plan(task, ["in"], "out", recursive=True))
    return results(told)["p.png"].status


def picture(index: int) -> None:
    """Write another photograph as the source."""
    SOURCE.parent.mkdir(exist_ok=True)
    albums.photographs(index + 1)[index].save(SOURCE)


def another_file(seconds: int, content: bytes | None = None) -> None:
    """An output of which the manifest knows nothing, so many seconds younger than the source."""
    picture(0)
    if content is None:
        assert run(dataclasses.replace(TASK, encoding=Encoding(quality=60))) == "done"
        Path("out", NAME).unlink()
    else:
        OUTPUT.parent.mkdir()
        OUTPUT.write_bytes(content)
    changed = SOURCE.stat().st_mtime + seconds
    os.utime(OUTPUT, (changed, changed))


def up_to_date() -> None:
    picture(0)
    assert run(TASK) == "done"


def begun() -> None:
    up_to_date()
    manifest = Path("out", NAME)
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.startswith('{"done"')))


def of_an_earlier_state() -> None:
    up_to_date()
    picture(1)
    changed = SOURCE.stat().st_mtime
    os.utime(SOURCE, (changed - 10, changed - 10))  # by its date the output is newer


def itself_an_input() -> None:
    photograph = albums.photographs(3)[2]
    another_file(10, albums.encoded(photograph, "PNG"))


STATES = {
    "up to date": up_to_date,
    "begun by an interrupted run, and whole": begun,
    "another file, newer than the source": lambda: another_file(10),
    "another file, older than the source": lambda: another_file(-10),
    "made from an earlier state of the source": of_an_earlier_state,
    "empty": lambda: another_file(10, b""),
    "a picture": itself_an_input,
}


def table() -> dict[tuple[str, str], str]:
    """(state, options) -> what the page says."""
    page = (DOCS / "folders.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| the output is .*\n\|---.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    heads = re.findall(r"^\| (the output is .*) \|$", page, re.MULTILINE)[0].split(" | ")[1:]
    rows = [line.strip("| ").split(" | ") for line in lines[0].splitlines()]
    return {(row[0], head): cell for row in rows for head, cell in zip(heads, row[1:], strict=True)}


def test_the_table_is_complete() -> None:
    assert set(table()) == {(state, options) for state in STATES for options in OPTIONS}


@pytest.mark.parametrize(("state", "options"), table(), ids=" / ".join)
def test_an_output_that_exists(state: str, options: str, here: Path) -> None:
    STATES[state]()
    before, source = OUTPUT.read_bytes(), SOURCE.read_bytes()
    status = run(OPTIONS[options])
    unchanged, deleted = OUTPUT.read_bytes() == before, not SOURCE.exists()
    happened = {
        (True, False, False): "keep",
        (True, False, True): "error",
        (False, False, False): "replace",
        (True, True, False): "verify, delete source",
        (False, True, False): "replace, delete source",
    }[unchanged, deleted, status == "failed"]
    assert happened == table()[state, options]
    if happened.startswith("replace"):  # by what the source becomes
        made = OUTPUT.read_bytes()
        OUTPUT.unlink()
        Path("out", NAME).unlink()
        SOURCE.write_bytes(source)
        assert run(TASK) == "done"
        assert OUTPUT.read_bytes() == made
