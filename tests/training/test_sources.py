"""The record of sources and licences: read, kept in a run, and written into the model card."""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import command
import pytest
from paths import DOCS

from aecodec.training import export as exporter
from aecodec.training.card import renewed_card
from aecodec.training.checkpoint import load_ema, read_facts
from aecodec.training.sources import TRAINED, Sources, Stated, read_record
from aecodec.training.trainer import Settings, train

FREE = "name,source,licence\nastronaut*,NASA,CC0-1.0\ncoffee*,R. Michel,CC-BY-4.0\n"
SETTINGS = Settings(size="tiny", steps=1, batch=1, crop=64, validation=2)


def _stated(folder: Path, names: list[str]) -> list[Stated]:
    sources = Sources(folder)
    return [sources.of(folder / name) for name in names]


@pytest.fixture
def pictures(photographs: Path, tmp_path: Path) -> Path:
    """Two pictures each called astronaut, chelsea, coffee and rocket."""
    return Path(shutil.copytree(photographs, tmp_path / "photographs"))


# --- The table ----------------------------------------------------------------------------------


def test_the_example_of_the_page_states_what_it_says(tmp_path: Path) -> None:
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    (tmp_path / "sources.csv").write_text(example, encoding="utf-8")
    names = ["meadow.jpg", "harbour/old/1.png", "bsds_100075.jpg", "meadow2.jpg"]
    assert _stated(tmp_path, names) == [
        Stated("my own camera", "CC0-1.0"),
        Stated("City of Bremen, press photographs", "CC-BY-4.0"),
        Stated("BSDS500", "non-commercial research"),
        Stated("Wikimedia Commons", "CC-BY-SA-4.0"),
    ]


def test_the_nearest_table_that_states_a_picture_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "sources.csv").write_text("name,source,licence\n*,outer,X\n")
    (tmp_path / "a" / "sources.csv").write_text("licence,name,source\nY,b/1.png,inner\n")
    names = ["1.png", "a/1.png", "a/b/1.png"]
    outer, inner = Stated("outer", "X"), Stated("inner", "Y")
    assert _stated(tmp_path, names) == [outer, outer, inner]
    # A folder above the given one is not this training's.
    assert Sources(tmp_path / "a").of(tmp_path / "a" / "1.png") == Stated()


def test_names_are_found_as_spreadsheets_and_other_systems_write_them(tmp_path: Path) -> None:
    text = "\ufeffName,Source,Licence,url\r\n\r\nT\u00fcr  1.png,S,L,u\r\n[1]?.png,T, M ,\r\n"
    (tmp_path / "sources.csv").write_bytes(text.encode())
    names = ["Tu\u0308r  1.png", "[1]?.png", "1x.png"]
    assert _stated(tmp_path, names) == [Stated("S", "L"), Stated("T", "M"), Stated()]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "line 1: the columns are missing: name,source,licence"),
        (b"\nname,source\na,b\n", "line 2: the column licence is missing"),
        (b"name;source;licence\n", "line 1: the column name is missing"),
        (b"name,name,source,licence\n", "line 1: the column name is there twice"),
        (b"name,source,licence\na,b,c\nd,\xe9,f\n", "line 3: this is not UTF-8"),
        ("name,source,licence\n".encode("utf-16"), "line 1: this is not UTF-8"),
        (b"name,source,licence\na,b,c\n\na,b,d\n", "line 4: a has another source or licence"),
        (b"name,source,licence\na*,b,c\na*,x,c\n", "line 3: a\\* has another source or licence"),
        (b"name,source,licence\na,b,c,d\n", "line 2: 4 columns, where the first line has 3"),
        (b"name,source,licence\n,b,c\n", "line 2: the name is empty"),
        (b'name,source,licence\n"a\nb",b,c\n"x,y,z\n', "line 4: this is no CSV"),
        (b"name,source,licence\n1*,b,c\n*g,b,d\n", "line 3: it says something else about 1.png"),
    ],
)
def test_a_bad_table_is_one_line_with_file_and_line(
    tmp_path: Path, text: bytes, fault: str
) -> None:
    path = tmp_path / "sources.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}, {fault}") as caught:
        Sources(tmp_path).of(tmp_path / "1.png")
    assert "\n" not in str(caught.value)


def test_a_licence_is_chosen_by_patterns_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text(
        "name,source,licence\n1,,CC-BY-4.0\n2,,CC-BY-NC-4.0\n3,,CC0-1.0\n4,x,\n"
    )
    paths = [tmp_path / name for name in "12345"]
    sources = Sources(tmp_path)

    def left(*patterns: str) -> str:
        return "".join(p.name for p in sources.allowed(paths, patterns))

    assert left() == "12345"
    assert left("cc0-1.0") == "3"
    assert left("CC-BY-*") == "12"
    assert left("CC0-1.0", "CC-BY-4.0") == "13"
    assert left("*") == "123"
    assert left("") == "45"
    with pytest.raises(ValueError, match=r"none of 5 photographs has the licence MIT or GPL\*"):
        left("MIT", "GPL*")


# --- A run --------------------------------------------------------------------------------------


def _train(pictures: Path, run: Path, start_from: Path | None = None, **changes: Any) -> None:
    settings = dataclasses.replace(SETTINGS, **changes)
    train(pictures, run, settings, device="cpu", threads=1, start_from=start_from)


def test_a_run_says_and_keeps_what_it_has_seen(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over a second start, on which pictures have gone and a licence was corrected."""
    table, run = pictures / "sources.csv", tmp_path / "run"
    table.write_text(FREE + "rocket*,a | b,\nlost.png,x,y\n")
    _train(pictures, run)
    said = capsys.readouterr().err
    assert f"4 of 8 photographs have no stated licence ({table} can state them)\n" in said
    assert f"{table}, line 5: lost.png matches no photograph\n" in said
    with open(run / "sources.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"][:-5] for row in rows] == sorted(
        2 * ["astronaut", "chelsea", "coffee", "rocket"]
    )
    assert sorted(row["use"] for row in rows) == 2 * ["held out"] + 6 * ["trained"]
    assert {row["megapixels"] for row in rows} == {"0.036864"}
    trained = [row for row in rows if row["use"] == "trained"]
    facts = read_facts(run / "checkpoint.safetensors")
    assert sum(row["pictures"] for row in facts["sources"]) == 6
    assert not facts["unrecorded"]

    first, second = trained[0]["name"], trained[1]["name"]
    (pictures / first).unlink()
    table.write_text(f"name,source,licence\n{second},corrected,NC\n*,rest,CC0-1.0\n")
    _train(pictures, run, steps=2)
    assert "0 of 7 photographs have no stated licence\n" in capsys.readouterr().err
    record = read_record(run)
    assert len(record) == 8
    assert record[first].stated == Stated("NASA", "CC0-1.0")
    assert record[second].stated == Stated("corrected", "NC")
    assert sum(p.use == TRAINED for p in record.values()) >= 6

    (run / "sources.csv").unlink()
    _train(pictures, run, steps=3)
    assert read_facts(run / "checkpoint.safetensors")["unrecorded"] == 2
    (run / "sources.csv").write_text("name,source,licence,megapixels,use\n1,a,b,big,trained\n")
    with pytest.raises(ValueError, match=r"sources.csv, line 2: 'big' is no number of megapixels"):
        _train(pictures, run, steps=4)


def test_a_run_on_chosen_licences_trains_on_no_other(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does its export count on them; and its card says what the weights began with."""
    table, run, mine = pictures / "sources.csv", tmp_path / "run", tmp_path / "mine"
    table.write_text(FREE + "rocket*,a | b,NC\n")
    _train(pictures, tmp_path / "before")
    _train(pictures, run, licences=("CC*",), start_from=tmp_path / "before")
    other = f"{tmp_path / 'before'}: these weights were trained on pictures of other licences: NC"
    assert f"{other}, not stated\n" in capsys.readouterr().err
    assert {p.stated.licence for p in read_record(run).values()} == {"CC0-1.0", "CC-BY-4.0"}

    with pytest.raises(ValueError, match=r"was begun --licence CC\*; choose another --out"):
        _train(pictures, run, steps=2)
    table.write_text(FREE.replace("CC0-1.0", "NC") + "rocket*,x,CC0-1.0\n")
    with pytest.raises(ValueError, match=r"trained on astronaut[01]\.png, whose licence is NC now"):
        _train(pictures, run, steps=2, licences=("CC*",))
    table.write_text(FREE + "rocket*,a | b,NC\n")

    table.rename(table.with_suffix(".old"))
    with pytest.raises(ValueError, match=r"none of 8 photographs has the licence CC\*"):
        exporter.export(run, mine, photographs=pictures, pictures=3)
    table.with_suffix(".old").rename(table)
    exporter.export(run, mine, photographs=pictures, pictures=3)
    card = (mine / "README.md").read_text("utf-8")
    now, earlier = card.split(
        "The training began with weights of 1 steps. About their photographs:"
    )
    assert "\n| NASA | CC0-1.0 | " in now
    assert "\n| R. Michel | CC-BY-4.0 | " in now
    assert "NC" not in now
    assert "\n| a \\| b | NC | " in earlier
    assert "\n| not stated | not stated | " in earlier
    assert load_ema(mine)[1]["sources"] == read_facts(run / "checkpoint.safetensors")["sources"]

    # A second export renews the table, and keeps what was written into the card since.
    facts = load_ema(run)[1] | {"origin": {}}
    (mine / "README.md").write_text(card.replace("To be completed:", "Completed:"), "utf-8")
    again = renewed_card((mine / "README.md").read_text("utf-8"), facts)
    assert "Completed:" in again
    assert "| NASA |" in again
    assert "The training began" not in again


def test_none_left_of_a_licence_is_one_line(pictures: Path, tmp_path: Path) -> None:
    (pictures / "sources.csv").write_text(FREE)
    options = ("--out", tmp_path / "run", "--steps", "1", "--licence", "MIT")
    result = command.run("train", pictures, *options)
    assert result.returncode == 1
    assert b"none of 8 photographs has the licence MIT; " in result.stderr
    assert result.stderr.count(b"\n") == 1
