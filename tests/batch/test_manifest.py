"""The manifest: torn lines, cut files, what it remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aecodec.batch.manifest import Left, Manifest
from aecodec.errors import InputError
from aecodec.files import Stamp


def test_a_torn_last_line_is_passed_over(here: Path) -> None:
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        manifest.begin([(key, f"{key}.aec", Stamp(1, 2)) for key in "abc"])
        manifest.done("a", Stamp(1, 2), {})
        manifest.failed("c", "why", "InputError")
    whole = Path("m").read_bytes()
    Path("m").write_bytes(whole + b'{"done":"b","ru')
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        assert manifest.is_done("a", Stamp(1, 2))
        assert not manifest.is_done("a", Stamp(1, 3))
        assert manifest.is_stale("a", Stamp(1, 3))
        assert not manifest.is_done("b", Stamp(1, 2))
        assert manifest.unfinished("b", Stamp(1, 2)) == "b.aec"
        assert manifest.unfinished("b", Stamp(1, 3)) is None
        assert manifest.is_stale("b", Stamp(1, 3))
        assert not manifest.is_stale("b", Stamp(1, 2))
        assert manifest.unfinished("c", Stamp(1, 2)) is None
        manifest.done("b", Stamp(3, 4), {})
    with Manifest("m", "compress", {"q": 1}, {}, read_only=True) as manifest:
        assert manifest.is_done("b", Stamp(3, 4))
    with Manifest("m", "compress", {"q": 2}, {}, read_only=True) as manifest:
        assert not manifest.is_done("b", Stamp(3, 4))
        assert not manifest.is_stale("b", Stamp(3, 4))


def test_the_last_line_on_a_file_counts(here: Path) -> None:
    def add(options: dict[str, int], *lines: str) -> None:
        with Manifest("m", "compress", options, {}) as manifest:
            for line in lines:
                if line == "begin":
                    manifest.begin([("a", "a.aec", Stamp(1, 2))])
                elif line == "replace":
                    manifest.begin([], ["a"])
                elif line == "done":
                    manifest.done("a", Stamp(1, 2), {"bytes": options["q"]})
                elif line == "failed":
                    manifest.failed("a", "why", "InputError")
                elif line == "refused":
                    manifest.failed("a", "why", "OutputExistsError")
                elif line == "left":
                    manifest.left("a", Stamp(1, 2), Left(1, 2, 3))
                else:
                    manifest.kept("a")

    def known(q: int) -> tuple[bool, bool, int | None]:
        with Manifest("m", "compress", {"q": q}, {}, read_only=True) as manifest:
            done, stale = (say("a", Stamp(1, 2)) for say in (manifest.is_done, manifest.is_stale))
            return done, stale, manifest.bytes_of("a")

    add({"q": 1}, "begin", "done")
    assert known(1) == (True, False, 1)
    add({"q": 2}, "replace", "done")
    assert [known(q) for q in (1, 2)] == [(False, False, 2), (True, False, 2)]
    for end in ("kept", "left"):  # nothing came of it
        add({"q": 1}, "replace", end)
        assert [known(q) for q in (1, 2)] == [(False, False, 2), (True, False, 2)]
    for lines in (["replace"], ["replace", "failed"]):
        add({"q": 1}, *lines)
        assert [known(q)[:2] for q in (1, 2)] == [(False, True)] * 2
        add({"q": 2}, "replace", "done")
    add({"q": 1}, "failed")  # it was never begun: something was in the way
    assert known(2) == (True, False, 2)
    add({"q": 1}, "begin")  # so it was deleted, and is now being made with other options
    assert known(2)[:2] == (False, False)
    for end in ("kept", "left", "refused"):
        add({"q": 1}, "begin", end)
        assert known(2) == (True, False, 2)
    add({"q": 1}, "begin", "failed")  # whatever is there, it is not what once was
    assert known(2) == (False, False, None)


def test_what_was_left_alone_is_remembered_with_its_state(here: Path) -> None:
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        manifest.begin([(key, "x.aec", Stamp(9, 2)) for key in "abc"])
        for size, key in enumerate("cab"):
            manifest.left(key, Stamp(9, 2), Left(5 + size, 4, 3))
    with open("m", "a") as file:  # nonsense does not get them out of step
        for size in ("-1", "1e99", '"many"', str(1 << 64)):
            line = Path("m").read_text().splitlines()[-1].replace(":7,", f":{size},")
            print(line.replace('"b"', '"d"'), file=file)
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        found = [manifest.left_as(key, Stamp(9, 2)) for key in "abcd"]
        assert found == [(6, 4, 3), (7, 4, 3), (5, 4, 3), None]
        assert manifest.left_as("a", Stamp(9, 3)) is None
        assert manifest.left_as("a", None) is None
        assert manifest.unfinished("a", Stamp(9, 2)) is None
        assert not manifest.is_done("a", Stamp(9, 2))
        assert not manifest.is_stale("a", Stamp(9, 3))  # there is no output that could be
    with Manifest("m", "compress", {"q": 2}, {}) as manifest:
        assert manifest.left_as("a", Stamp(9, 2)) is None


def test_a_manifest_that_knows_no_state_of_what_was_left_alone(here: Path) -> None:
    first = {"run": "1", "verb": "compress", "options": {"q": 1}}
    begun = {"begin": "a", "run": "1", "name": "a.aec"}
    records = (first, begun, {"kept": "a", "run": "1"})
    Path("m").write_text("".join(json.dumps(record) + "\n" for record in records))
    with Manifest("m", "compress", {"q": 1}, {}) as manifest:
        assert manifest.unfinished("a", Stamp(9, 2)) is None
        assert manifest.left_as("a", Stamp(9, 2)) is None


def test_every_cut_of_a_manifest_can_be_read(here: Path) -> None:
    with Manifest("m", "compress", {}, {}) as manifest:
        manifest.begin([("a\n\udcff", "x", Stamp(1, 2))])
        manifest.done("a\n\udcff", Stamp(1, 2), {})
    whole = Path("m").read_bytes()
    for length in range(len(whole)):
        Path("cut").write_bytes(whole[:length])
        with Manifest("cut", "compress", {}, {}) as manifest:
            assert not manifest.is_done("a\n\udcff", Stamp(1, 2)) or length == len(whole) - 1


def test_a_file_that_is_no_manifest_is_left_alone(here: Path) -> None:
    Path("m").write_text("my letter\n")
    with pytest.raises(InputError, match="no manifest"):
        Manifest("m", "compress", {}, {})
    assert Path("m").read_text() == "my letter\n"


def test_it_knows_which_outputs_are_the_only_copies(here: Path) -> None:
    def add(about: dict[str, bool], *lines: str) -> None:
        with Manifest("m", "compress", {}, about) as manifest:
            for line in lines:
                key = f"s/a.{line.partition(' ')[2]}"
                if line.startswith("begin"):
                    manifest.begin([(key, "a.aec", Stamp(1, 2))])
                elif line.startswith("refused"):
                    manifest.failed(key, "why", "OutputExistsError")
                else:
                    deleted = {"deleted": True} if line.startswith("deleted") else {}
                    manifest.done(key, Stamp(1, 2), {"name": "a.aec", **deleted})

    def known() -> bool:
        with Manifest("m", "compress", {}, {}, read_only=True) as manifest:
            assert not manifest.is_only_copy("a.png", "a.aec")  # of another folder
            assert not manifest.is_only_copy("s/a.png", "a.png.aec")
            assert manifest.is_only_copy("s/a.png", "a.aec") == manifest.is_only_copy(
                "s/a.jpg", "a.aec"
            )
            return manifest.is_only_copy("s/a.png", "a.aec")

    remove = {"remove": True}
    add({}, "begin jpg", "done jpg")
    assert not known()
    add(remove, "begin jpg")  # and it was killed
    assert known()
    add(remove, "done jpg")  # and the source was kept, with a note
    assert not known()
    add(remove, "deleted jpg")
    assert known()
    add({}, "begin png", "refused png")  # in a store where nobody looks before
    assert known()
    add({}, "done png")  # by -f
    assert not known()
