"""`aecodec bench` and `aecodec compare` as commands, and their pages in a real browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bjontegaard
import browsers
import command
import numpy as np
import pytest
import samples
from paths import BENCHMARKS, ROOT
from PIL import Image

import aecodec

BOXES = {"astronaut.png": (100, 20, 292, 188), "<b>coffee & 'co'.png": (200, 100, 392, 292)}
QUALITIES = (5, 30, 70, 95)  # what --points 4 takes of aecodec's, and of JPEG's


@dataclass(frozen=True)
class Benched:
    """A finished run."""

    folder: Path
    done: subprocess.CompletedProcess[bytes]

    def arguments(self, *more: str) -> list[str | Path]:
        return [
            *("bench", self.folder / "photos", "--points", "4", "-f"),
            *("--codecs", "aecodec,jpeg,klt", "--results", self.folder / "points.jsonl"),
            *more,
        ]


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Benched:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "photos").mkdir()
    for name, box in BOXES.items():
        samples.photograph("coffee.png", box).save(folder / "photos" / name)
    made = Benched(folder, subprocess.CompletedProcess([], 0))
    outputs = {"--html": "report.html", "--json": "r.json", "--csv": "r.csv", "--curves": "curves"}
    flat = [str(part) for option, name in outputs.items() for part in (option, folder / name)]
    published = ("--published", str(BENCHMARKS / "published"))
    done = command.run(*made.arguments(*flat, *published, "--show-quality", "25"))
    assert done.returncode == 0, done.stderr.decode()
    return Benched(folder, done)


# --- the command ----------------------------------------------------------------------------------


def independent(quality: int) -> tuple[float, float]:
    """Mean bpp and PSNR by nothing but aecodec's two functions and Pillow."""
    rates, fidelity = [], []
    for box in BOXES.values():
        picture = samples.photograph("coffee.png", box)
        data = aecodec.compress(picture, quality)
        rates.append(8 * len(data) / (picture.width * picture.height))
        fidelity.append(samples.psnr(picture, aecodec.decompress(data)))
    return statistics.fmean(rates), statistics.fmean(fidelity)


def test_figures_are_those_of_an_independent_script(benched: Benched) -> None:
    document = json.loads((benched.folder / "r.json").read_text())
    curve = next(c for c in document["curves"] if c["name"] == "aecodec")
    assert curve["quality"] == list(QUALITIES)
    rates, fidelity = zip(*(independent(quality) for quality in QUALITIES), strict=True)
    assert curve["results"]["bpp"] == pytest.approx(rates, abs=1e-12)
    assert curve["results"]["psnr-rgb"] == pytest.approx(fidelity, abs=1e-9)

    anchor: tuple[list[float], list[float]] = ([], [])
    for quality in QUALITIES:
        points = []
        for box in BOXES.values():
            picture, file = samples.photograph("coffee.png", box), io.BytesIO()
            picture.save(file, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)
            rate = 8 * file.tell() / (picture.width * picture.height)
            points.append((rate, samples.psnr(picture, Image.open(file).convert("RGB"))))
        for values, mean in zip(anchor, np.mean(points, axis=0), strict=True):
            values.append(float(mean))
    expected = bjontegaard.bd_rate(
        *anchor, rates, fidelity, method="pchip", require_matching_points=False, min_overlap=0
    )
    found = document["bd_rate_percent"]["psnr"]["aecodec"]["jpeg"]
    assert found["mean_curves"] == pytest.approx(expected, abs=1e-3)
    assert found["images"] == 2
    assert found["from"] == pytest.approx(max(fidelity[0], anchor[1][0]), abs=1e-3)
    assert f"{expected:+.1f}" in benched.done.stdout.decode()


def test_every_output_says_the_same(benched: Benched) -> None:
    document = json.loads((benched.folder / "r.json").read_text())
    assert document["machine"]["cores"] >= 1
    with open(benched.folder / "r.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 2 * 4
    assert {line["picture"] for line in lines} == set(BOXES)
    for entry in document["curves"]:
        alone = json.loads((benched.folder / "curves" / f"{entry['name']}.json").read_text())
        assert alone == entry
        assert {"name", "description", "results"} <= set(entry)
        assert set(entry["results"]) == {
            *("bpp", "psnr-rgb", "ms-ssim-rgb", "ssimulacra2", "encoding_time", "decoding_time")
        }
        own = [line for line in lines if line["codec"] == entry["name"]]
        for index, quality in enumerate(entry["quality"]):
            of = [float(line["bpp"]) for line in own if float(line["quality"]) == quality]
            assert entry["results"]["bpp"][index] == pytest.approx(statistics.fmean(of), abs=1e-5)
        assert entry["megapixels_per_second"]["encoding"] > 0
        assert entry["apart"]["load_s"] > 0
    assert "VVC (VTM)" in document["bd_rate_percent"]["psnr"]


def test_a_second_run_measures_nothing(benched: Benched) -> None:
    before = (benched.folder / "points.jsonl").read_bytes()
    again = command.run(*benched.arguments("--csv", str(benched.folder / "again.csv")))
    assert again.returncode == 0, again.stderr.decode()
    assert (benched.folder / "points.jsonl").read_bytes() == before
    assert (benched.folder / "again.csv").read_text() == (benched.folder / "r.csv").read_text()


def test_existing_outputs_are_kept_without_force(benched: Benched) -> None:
    arguments = [a for a in benched.arguments("--csv", str(benched.folder / "r.csv")) if a != "-f"]
    before = (benched.folder / "r.csv").read_bytes()
    done = command.run(*arguments)
    assert done.returncode == 1
    assert b"exists already" in done.stderr
    assert (benched.folder / "r.csv").read_bytes() == before


def test_the_publishing_script(benched: Benched) -> None:
    pytest.importorskip("matplotlib")
    place = benched.folder / "published"
    (place / "results").mkdir(parents=True)
    (place / "docs").mkdir()
    (place / "docs" / "performance.md").write_text("linked to\n")
    shutil.copy(benched.folder / "r.json", place / "results" / "kodak.json")
    readme, page = place / "README.md", place / "docs" / "benchmarking.md"
    for path in (readme, page):
        path.write_text("before\n<!-- results:begin (x) -->\nold\n<!-- results:end -->\nafter\n")
    script = [sys.executable, BENCHMARKS / "publish.py", place / "results" / "kodak.json"]
    for _ in range(2):  # the second run finds the first one's markers
        made = [*script, "--readme", readme, "--page", page]
        subprocess.run(made, check=True, capture_output=True)
    document = json.loads((benched.folder / "r.json").read_text())
    bd = document["bd_rate_percent"]
    for path in (readme, page):
        text = path.read_text()
        assert text.startswith("before\n<!-- results:begin (x) -->\n")
        assert text.endswith("<!-- results:end -->\nafter\n")
        assert "old" not in text
        assert "\n| JPEG 4:2:0 | " in text
        for link in re.findall(r"(?:src|srcset)=\"([^\"]+)\"|\]\(([^)]+)\)", text):
            assert (path.parent / "".join(link)).exists()
    ours = [
        f"{bd[metric]['aecodec']['jpeg']['mean_curves']:+.1f} %"
        for metric in ("ssimulacra2", "ms_ssim", "psnr")
    ]
    assert f"| aecodec | {' | '.join(ours)} | " in readme.read_text()
    assert (
        f"| aecodec | model small-eye, default effort | {' | '.join(ours)} | " in page.read_text()
    )
    row = next(line for line in page.read_text().splitlines() if "| JPEG 4:2:0 (Pillow" in line)
    assert row.endswith(f"| {' | '.join(ours)} |")
    assert "| VVC (VTM), published |" in page.read_text()
    assert "published |" not in readme.read_text()
    with Image.open(place / "results" / "side-by-side.png") as sheet:
        assert sheet.width > 900
    svg = (place / "results" / "kodak-dark.svg").read_text()
    assert "<svg" in svg


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bench", "--codecs", "jpeg,gif"], 2, "no codec called 'gif'"),
        (["bench", "--codecs", ","], 2, "names no codec"),
        (["bench", "--codecs", "jpeg,aecodec@0"], 2, "effort must be 1 to 9, not '0'"),
        (["bench", "--codecs", "jpeg", "--json", ""], 2, "'' is no name of a file"),
        (["bench", "--codecs", "jpeg", "--curves", ""], 2, "'' is no name of a file"),
        (["bench", ""], 2, "'' is no name of a file"),
        (["compare", "a.png", "a.png", "--html", ""], 2, "'' is no name of a file"),
        (["bench", "--codecs", "aecodec:nope"], 1, "AECODEC_WEIGHTS names folders of further"),
        (["bench", "--codecs", "jpeg", "--anchor", "webp"], 2, "--anchor webp is not"),
        (["bench", "missing"], 1, "missing: no such file or folder"),
        (["bench", "."], 1, "no pictures in this folder"),
        (["bench", "a.png", "text.png"], 1, "text.png: "),
        (["bench", "a.png", "--codecs", "jpeg", "--results", "text.png"], 1, "no results file"),
        (["bench", "a.png", "--codecs", "jpeg", "--published", "text.png"], 1, "text.png: "),
        (["bench", "a.png", "--codecs", "jpeg", "--html", "a.png", "-f"], 1, "replace an input"),
        (["bench", "a.png", "--codecs", "jpeg", "--html", "x", "--csv", "./x"], 2, "two outputs"),
        (["bench", "a.png", "--json", "aecodec-bench.jsonl", "-f"], 2, "two outputs"),
        (["bench", "a.png", "--codecs", "jpeg", "--curves", "a.png"], 1, "cannot write a.png/jpeg"),
        (["bench", "a.png", "--codecs=jpeg", "--curves=text.png/x"], 1, "text.png/x: cannot be"),
        (["bench", "a.png", "--codecs=jpeg", "--html=x", "--show=nobody"], 2, "no such picture"),
        (["bench", "a.png", "--codecs", "jpeg", "--html", "no/x.html"], 1, "does not exist"),
        (
            ["bench", "a.png", "--codecs", "jpeg,webp", "--results", "no/b.jsonl"],
            1,
            "bench: cannot write the results file no/b.jsonl: no such file or directory\n",
        ),
        (
            ["bench", "a.png", "--codecs", "jpeg,webp", "--results", "folder"],
            1,
            "bench: folder: is a folder, not a results file\n",
        ),
        (["compare", "a.png", "b.png"], 1, "b.png: no such file"),
        (["compare", "a.png", "small.png"], 1, "small.png: 9x9 pixels, and the original has"),
        (["compare", "a.png", "text.png"], 1, "text.png: "),
        (["compare", "text.png", "a.png"], 1, "text.png: "),
        (["compare", "a.png", "-"], 1, "name a file"),
        (["compare", "a.png", "cut.aec"], 1, "cut.aec: truncated"),
        (["compare", "a.png", "a.png", "--html", "small.png"], 1, "exists already"),
        (["compare", "a.png"], 2, "Missing argument"),
    ],
)
def test_faults_are_named(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    if "." in arguments:
        (tmp_path / "text.txt").write_text("none")
    else:
        samples.photograph().save(tmp_path / "a.png")
        Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
        (tmp_path / "folder").mkdir()
        (tmp_path / "text.png").write_text("no picture")
        (tmp_path / "cut.aec").write_bytes(aecodec.compress(samples.photograph())[:-20])
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    done = command.run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr.decode()
    assert words in done.stderr.decode()
    assert done.stderr.count(b"aecodec: ") <= 1
    assert "Traceback" not in done.stderr.decode()
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert code != 2 or after == before  # nothing was measured


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the length of files to set")
@pytest.mark.parametrize("limit", [10, 1500])  # within the first line, and between two points
def test_a_results_file_that_takes_no_more_ends_the_run(tmp_path: Path, limit: int) -> None:
    import resource

    samples.photograph().save(tmp_path / "a.png")
    arguments = ("bench", "a.png", "--results", "b.jsonl", "--codecs")
    done = command.run(
        *arguments,
        "jpeg,webp",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1
    assert done.stderr == b"aecodec: bench: cannot write the results file b.jsonl: file too large\n"
    assert not done.stdout
    kept = (tmp_path / "b.jsonl").read_text().splitlines()
    assert len(kept) > 3 if limit > 1000 else not kept
    again = command.run(*arguments, "jpeg", "--points", "2", cwd=tmp_path)  # it can be gone on with
    assert again.returncode == 0, again.stderr.decode()


def test_one_output_on_standard_output_is_alone_there(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "a.png")
    start = ("bench", "a.png", "--codecs", "jpeg", "--points", "2")
    done = command.run(*start, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "aecodec bench"
    assert b"1 picture: BD-rate in %" in done.stderr
    done = command.run(*start, "--json", "-", "--csv", "-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"standard output is given for two outputs" in done.stderr


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        samples.photograph().save(tmp_path / name)
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "below").mkdir()
    samples.photograph().save(tmp_path / "below" / "d.png")
    done = command.run(
        *("bench", ".", "--codecs", "jpeg", "--points", "2", "--csv", "r.csv"), cwd=tmp_path
    )
    assert done.returncode == 1
    said = done.stderr.decode()
    assert "aecodec: ./b.png: " in said.replace("aecodec: b.png", "aecodec: ./b.png")
    assert "note: .: pictures in its subfolders are left out" in said
    with open(tmp_path / "r.csv", newline="") as file:
        assert {line["picture"] for line in csv.DictReader(file)} == {"a.png", "c.png"}


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8")
def test_names_that_are_no_utf8_are_written_as_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    samples.photograph().save(tmp_path / name)
    outputs = ("--json", "r.json", "--csv", "r.csv", "--html", "r.html")
    done = command.run("bench", ".", "--codecs", "jpeg", "--points", "2", *outputs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"\njpeg,\xff.png," in (tmp_path / "r.csv").read_bytes()
    assert json.loads((tmp_path / "r.json").read_text())["pictures"][0]["name"] == name
    done = command.run("compare", name, name, "--html", "c.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"<title>\xff.png</title>" in (tmp_path / "c.html").read_bytes()


def test_exact_and_small_pictures_are_named(tmp_path: Path) -> None:
    samples.photograph("coffee.png", (150, 80, 353, 250)).save(tmp_path / "photo.png")
    Image.new("RGB", (170, 160), "red").save(tmp_path / "red.png")
    done = command.run(
        *("bench", ".", "--codecs", "aecodec,jpeg", "--points", "3"),
        *("--json", "r.json", "--html", "r.html"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["notes"] == [
        "MS-SSIM is left out: red.png has a side below 161 pixels",
        "aecodec gives red.png back exactly at some quality. Equal pictures have no PSNR, so its"
        " mean curve by PSNR lacks these qualities",
    ]
    found = document["bd_rate_percent"]["psnr"]["aecodec"]["jpeg"]
    assert found["mean_curves"] is None
    assert found["images"] == 1
    ours = next(curve for curve in document["curves"] if curve["name"] == "aecodec")
    assert ours["results"]["psnr-rgb"] == [None, None, None]
    page = (tmp_path / "r.html").read_text()
    for note in document["notes"]:
        assert note in done.stderr.decode()
        assert f'<p class="card warn">{note}.</p>' in page
    assert "bytes than JPEG 4:2:0 at equal SSIMULACRA 2" in page  # there is no PSNR to say it by


def test_without_pictures_it_is_a_smoke_test_and_says_so(tmp_path: Path) -> None:
    done = command.run("bench", "--codecs", "jpeg", "--points", "2", "--csv", "r.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    said = done.stderr.decode()
    assert "a smoke test on sample photographs, no verdict" in said
    assert "these pictures were stored as JPEG, which favours JPEG: hubble_deep_field.jpg" in said
    assert "astronaut.png" in (tmp_path / "r.csv").read_text()


def without(package: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the command where `package` is not installed."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[0] = 'aecodec'\n"
        "from aecodec.cli import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=command.environment(),
        capture_output=True,
        check=False,
    )


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    samples.photograph().save(tmp_path / "a.png")
    one = ("bench", "a.png", "--points", "2", "--codecs")
    done = without("imagecodecs", *one, "jpeg,jxl,jpeg2000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    for name in (b"jxl", b"jpeg2000"):
        assert name + b": skipped: imagecodecs is not installed" in done.stderr
    for package in ("bjontegaard", "jinja2"):
        done = without(package, *one, "jpeg", "--html", "r.html", cwd=tmp_path)
        assert done.returncode == 1
        assert f"needs {package}, which is not installed".encode() in done.stderr
    assert not (tmp_path / "r.html").exists()
    done = without("jinja2", "compare", "a.png", "a.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()


def test_compare_says_what_is_so(tmp_path: Path) -> None:
    picture = samples.photograph("coffee.png", (150, 80, 353, 250))
    picture.save(tmp_path / "photo.png")
    (tmp_path / "photo.aec").write_bytes(aecodec.compress(picture, 40))
    picture.save(tmp_path / "photo.jpg", quality=40)
    files = ["photo.aec", "photo.jpg", "photo.png"]
    done = command.run("compare", "photo.png", *files, "--json", cwd=tmp_path)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["source"] for line in lines] == files
    for line in lines:
        assert line["ok"]
        assert line["bytes"] == os.path.getsize(tmp_path / line["source"])
        assert line["bytes_original"] == os.path.getsize(tmp_path / "photo.png")
    restored = aecodec.decompress((tmp_path / "photo.aec").read_bytes())
    assert lines[0]["psnr"] == pytest.approx(samples.psnr(picture, restored), abs=1e-9)
    assert 0.8 < lines[0]["ms_ssim"] < 1
    assert lines[2]["identical"]
    assert lines[2]["psnr"] is None
    table = command.run("compare", "photo.png", *files, cwd=tmp_path).stdout.decode()
    assert f"{lines[0]['psnr']:.2f}" in table
    assert "identical" in table
    size, share = (tmp_path / "photo.png").stat().st_size, lines[0]["bytes"]
    assert re.search(rf"photo\.png \(original\) +{size:,} +{8 * size / (203 * 170):.3f}", table)
    assert re.search(rf"photo\.aec +{share:,} +{100 * share / size:.1f} % +100\.0 %", table)
    alone = command.run("compare", "photo.png", "photo.jpg", cwd=tmp_path).stdout.decode()
    assert "of original" in alone
    assert "of first" not in alone

    some = command.run("compare", "photo.png", "gone.jpg", "photo.jpg", "--json", cwd=tmp_path)
    assert some.returncode == 1
    assert [json.loads(line)["ok"] for line in some.stdout.splitlines()] == [False, True]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_compare_leaves_out_what_a_pipe_does_not_tell(tmp_path: Path) -> None:
    """A pipe's picture can be an original, but has no bytes to measure a file by."""
    (tmp_path / "photo.aec").write_bytes(aecodec.compress(samples.photograph()))
    for arguments, code in ((("pipe", "photo.aec"), 0), (("photo.aec", "pipe"), 1)):
        for option in ((), ("--json",)):
            os.mkfifo(tmp_path / "pipe")
            running = command.start("compare", *arguments, *option, cwd=tmp_path)
            (tmp_path / "pipe").write_bytes((tmp_path / "photo.aec").read_bytes())
            out, err = running.communicate(timeout=60)
            assert running.returncode == code, err.decode()
            assert b"original" not in out
            assert (b"of first" in out) == (code == 0 and not option)
            assert (b"pipe: a pipe or a device has no size" in err) == (code == 1)
            os.unlink(tmp_path / "pipe")


def test_compare_counts_what_can_be_seen(tmp_path: Path) -> None:
    """Colours under full transparency are nobody's, and an encoder may do with them as it likes."""
    picture = samples.photograph("coffee.png", (150, 80, 353, 250)).convert("RGBA")
    alpha = np.full((picture.height, picture.width), 255, np.uint8)
    alpha[:80] = 0
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / "photo.png")
    other = np.array(picture)
    other[:80, :, :3] = 255 - other[:80, :, :3]
    other[80:, :, :3] ^= 4
    Image.fromarray(other).save(tmp_path / "other.png")
    done = command.run("compare", "photo.png", "other.png", "--json", cwd=tmp_path)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["psnr"] == pytest.approx(20 * np.log10(255 / 4), abs=1e-9)
    assert line["ms_ssim"] > 0.99
    page = command.run("compare", "photo.png", "other.png", "--html", "page.html", cwd=tmp_path)
    assert page.returncode == 0, page.stderr.decode()
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("36.09") == 2  # in the table, and under the picture


# --- the page -------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing(benched: Benched) -> None:
    page = (benched.folder / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)[^"'$]""", page)
    assert not re.findall(r"url\((?!data:|#)", page)
    assert "@import" not in page
    assert "<b>coffee" not in page  # the name of a file is text, wherever it stands
    assert len(page) < 2e6


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        running = browsers.launched(playwright)
        yield running
        running.close()


class Watched:
    """A page, and everything that it complains about or asks for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.own = file.as_uri()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *exception: object) -> None:
        self.context.close()
        if exception[0] is None:
            assert self.complaints == []
            outside = [u for u in self.requests if not u.startswith(("data:", "blob:"))]
            assert outside == [self.own]

    def divider(self) -> float:
        return float(self.page.locator("#position").input_value())

    def images_loaded(self) -> bool:
        found: bool = self.page.evaluate(
            "[...document.querySelectorAll('#stage img')]"
            ".every((i) => i.complete && i.naturalWidth > 0)"
        )
        return found

    def until(self, condition: str) -> None:
        """Wait; by asking from outside, since the page's policy forbids code from strings."""
        for _ in range(600):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never became true: {condition}")


SHOWN = "[...document.querySelectorAll('#stage img')].every((i) => i.naturalWidth > 0)"


def test_slider_moves_by_mouse_keyboard_and_range(benched: Benched, browser: Any) -> None:
    with Watched(browser, benched.folder / "report.html") as watched:
        page = watched.page
        watched.until(SHOWN)
        assert watched.divider() == 50
        stage = page.locator("#stage")
        stage.focus()
        page.keyboard.press("ArrowRight")
        assert watched.divider() == 52
        page.keyboard.press("Home")
        assert watched.divider() == 0
        box = stage.bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 2, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.3 * box["width"], y, steps=4)
        page.mouse.up()
        assert watched.divider() == pytest.approx(30, abs=0.6)
        clip = page.evaluate("document.getElementById('over').style.clipPath")  # inset(0 70% 0 0)
        assert float(re.findall(r"[\d.]+", clip)[1]) == pytest.approx(70, abs=0.6)
        page.locator("#position").fill("75")
        assert page.evaluate("document.getElementById('divider').style.left") == "75%"


def test_zoom_difference_and_bits(benched: Benched, browser: Any) -> None:
    with Watched(browser, benched.folder / "report.html") as watched:
        page = watched.page
        watched.until(SHOWN)
        scale = "new DOMMatrix(getComputedStyle(document.querySelector('#over img')).transform).a"
        before = page.evaluate(scale)
        page.locator("[data-zoom=in]").click()
        page.locator("[data-zoom=in]").click()
        assert page.evaluate(scale) == pytest.approx(before * 1.6**2, rel=0.01)
        assert page.evaluate(scale.replace("over", "under")) == page.evaluate(scale)
        page.locator("#stage").focus()
        shift = scale.replace(").a", ").e")
        left = page.evaluate(shift)
        page.keyboard.press("Shift+ArrowRight")
        assert page.evaluate(shift) < left
        page.keyboard.press("0")
        assert page.evaluate(scale) == before

        sources = "[...document.querySelectorAll('#stage img')].map((i) => i.src.slice(0, 5))"
        assert page.evaluate(sources) == ["data:", "data:"]
        page.keyboard.press("d")
        watched.until(f"{sources}.join() === 'blob:,blob:'")
        assert "− original" in page.locator("#cap-l").inner_text()
        page.locator("#left").select_option("0")  # the original less itself
        watched.until("document.getElementById('cap-l').textContent.startsWith('Original')")
        darkest = """async () => {
            const img = document.querySelector('#over img'); await img.decode();
            const canvas = document.createElement('canvas');
            canvas.width = img.naturalWidth; canvas.height = img.naturalHeight;
            const context = canvas.getContext('2d'); context.drawImage(img, 0, 0);
            return Math.max(...context.getImageData(0, 0, canvas.width, canvas.height).data
              .filter((_, i) => i % 4 < 3));
        }"""
        assert page.evaluate(darkest) == 0
        page.locator("#left").select_option("1")
        watched.until("document.getElementById('cap-l').textContent.startsWith('aecodec')")
        assert page.evaluate(darkest) > 40

        page.keyboard.press("b")
        watched.until("document.getElementById('cap-l').textContent === 'aecodec: bits'")
        assert page.locator("#heat").is_visible()
        assert "bits per pixel" in page.locator("#heat-max").inner_text()
        page.keyboard.press("b")
        watched.until(f"{sources}.join() === 'data:,data:'")
        page.locator("#scene").select_option("1")
        watched.until(SHOWN)
        assert watched.images_loaded()


def test_curves_tables_and_colours(benched: Benched, browser: Any) -> None:
    with Watched(browser, benched.folder / "report.html", color_scheme="dark") as watched:
        page = watched.page
        background = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(background)
        page.locator("#theme").click()
        assert page.evaluate(background) != dark
        page.locator("#theme").click()
        assert page.evaluate(background) == dark

        curves = page.locator("#curves svg g")
        count = curves.count()
        assert count == 3 + 13
        page.locator("#legend button").first.click()
        assert curves.count() == count - 1
        page.locator("#legend button").first.click()
        page.locator("#metric").select_option("ms_ssim")
        page.locator("#picture").select_option(index=1)
        assert curves.count() == 3  # published curves are means
        page.locator("#curves").focus()
        page.keyboard.press("ArrowRight")
        assert re.search(r"aecodec\n[\d.]+ bpp\n[\d.]+ dB", page.locator("#tip").inner_text())
        page.locator("[data-speed=decode]").click()
        assert "decoded megapixels" in page.locator("#speeds svg").inner_html()
        page.locator("[data-matrix='1']").click()
        assert page.locator("[data-panel='1']").is_visible()
        assert not page.locator("[data-panel='0']").is_visible()

        names = "[...document.querySelectorAll('#pictures tbody th')].map((t) => t.textContent)"
        first = page.evaluate(names)
        assert set(first) == set(BOXES)
        page.locator("#pictures thead button").first.click()
        up = page.evaluate(names)
        page.locator("#pictures thead button").first.click()
        assert page.evaluate(names) == up[::-1]
        page.locator("#pictures tbody button", has_text="coffee").click()
        watched.until("document.querySelector('#over img').alt.includes('coffee')")


def test_a_phone_scrolls_down_only(benched: Benched, browser: Any) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with Watched(browser, benched.folder / "report.html", **phone) as watched:
        page = watched.page
        watched.until(SHOWN)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        box = page.locator("#stage").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        session = watched.context.new_cdp_session(page)
        page.locator("#stage").scroll_into_view_if_needed()
        box = page.locator("#stage").bounding_box()
        y = box["y"] + box["height"] / 2
        for kind, share in (("touchStart", 0.5), ("touchMove", 0.6), ("touchMove", 0.8)):
            point = {"x": box["x"] + share * box["width"], "y": y}
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert watched.divider() == pytest.approx(80, abs=2)


def test_tables_need_no_script(benched: Benched, browser: Any) -> None:
    with Watched(browser, benched.folder / "report.html", java_script_enabled=False) as watched:
        text = watched.page.locator("body").inner_text()
        assert "The curves and the slider need JavaScript" in text
        document = json.loads((benched.folder / "r.json").read_text())
        value = document["bd_rate_percent"]["psnr"]["aecodec"]["jpeg"]["mean_curves"]
        assert f"{value:+.1f}" in text


def test_the_page_of_compare(tmp_path: Path, browser: Any) -> None:
    picture = samples.photograph("coffee.png", (150, 80, 353, 250))
    picture.save(tmp_path / "photo.png")
    (tmp_path / "photo.aec").write_bytes(aecodec.compress(picture, 40))
    picture.save(tmp_path / "photo.webp", quality=40)
    files = (tmp_path / "photo.aec", tmp_path / "photo.webp", "--html", "page.html")
    done = command.run("compare", tmp_path / "photo.png", *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert str(tmp_path) not in (tmp_path / "page.html").read_text()
    with Watched(browser, tmp_path / "page.html") as watched:
        watched.until(SHOWN)
        page = watched.page
        titles = page.locator("#left option").all_inner_texts()
        assert titles == ["Original", "photo.aec", "photo.webp"]
        assert page.locator("#cap-l").inner_text() == "photo.aec"
        assert page.locator("#cap-r").inner_text() == "photo.webp"
        page.locator("[data-mode=bits]").click()
        watched.until("document.getElementById('cap-l').textContent === 'photo.aec: bits'")
        size = (tmp_path / "photo.aec").stat().st_size
        assert f"{size:,}" in page.locator("table").inner_text()


def test_compare_takes_names_as_they_are_and_keeps_its_page_alone(tmp_path: Path) -> None:
    names = ["a.png", "x[red]y.png", ":smile:.png"]
    for name in names:
        samples.photograph().save(tmp_path / name)
    done = command.run("compare", *names, "--html", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"<!doctype html>")
    table = done.stderr.decode()
    assert all(name in table for name in names)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as full:
            done = command.run("compare", *names, cwd=tmp_path, stdout=full)
        fault = "aecodec: cannot write standard output: no space left on device"
        assert (done.returncode, command.lines(done.stderr)) == (1, [fault])


def test_compare_says_what_it_does_not_see(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "two.gif", save_all=True, append_images=[blue])
    red.save(tmp_path / "one.gif")
    Image.new("I;16", (64, 64), 258).save(tmp_path / "deep.png")
    done = command.run("compare", "two.gif", "one.gif", "--json", cwd=tmp_path)
    assert command.objects(done.stdout)[0]["identical"]
    note = "two.gif: note: several frames or pages: only the first is kept"
    assert command.lines(done.stderr) == [note]
    done = command.run("compare", "deep.png", "deep.png", cwd=tmp_path)
    assert command.lines(done.stderr) == ["deep.png: note: 16 bits a channel reduced to 8"] * 2


def test_compare_looks_at_colours_and_not_at_numbers(tmp_path: Path) -> None:
    photograph = samples.photograph()
    wide = aecodec.decompress((ROOT / "tests/conformance/good/icc-p3.aec").read_bytes())
    photograph.save(tmp_path / "wide.png", icc_profile=wide.info["icc_profile"])
    photograph.save(tmp_path / "plain.png")
    photograph.save(tmp_path / "named.png", icc_profile=samples.srgb())
    kept = command.run("compress", "wide.png", "--metadata", "none", "--lossless", cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    done = command.run("compare", "wide.png", "wide.aec", "plain.png", "--json", cwd=tmp_path)
    note = "note: has another colour profile than the original: compared in sRGB"
    assert command.lines(done.stderr) == [f"wide.aec: {note}", f"plain.png: {note}"]
    right, wrong = command.objects(done.stdout)
    assert right["identical"]
    assert not wrong["identical"]
    page = command.run("compare", "wide.png", "plain.png", "--html", "p.html", cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    text = (tmp_path / "p.html").read_text()
    scene = json.loads(re.search(r'id="scene-0">(.*?)</script>', text, re.DOTALL)[1])
    assert f"{wrong['psnr']:.2f} dB" in scene["views"][1]["detail"]
    first, second = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(view["uri"].partition(",")[2]))))
        for view in scene["views"]
    )
    assert (second == np.asarray(photograph)).all()
    assert samples.psnr(Image.fromarray(first), photograph) == pytest.approx(wrong["psnr"])
    assert f"plain.png: {note.removeprefix('note: ')}." in text
    done = command.run("compare", "named.png", "plain.png", "--json", cwd=tmp_path)
    assert not done.stderr
    assert command.objects(done.stdout)[0]["identical"]
