"""The scripts that make the published figures run, and say what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import command
import pytest
import samples
from paths import BENCHMARKS

import aecodec


def script(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, *arguments],
        capture_output=True,
        check=False,
        env=command.environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_kodak_on_two_small_photographs(tmp_path: Path) -> None:
    boxes = {"astronaut.png": (100, 20, 292, 148), "coffee.png": (200, 100, 392, 228)}
    for name, box in boxes.items():
        samples.photograph(name, box).save(tmp_path / name)
    out = tmp_path / "out" / "results.json"
    text = script("kodak.py", tmp_path, "--qualities", "20,50,80", "--json", out)
    assert "BD-rate" in text
    results = json.loads(out.read_text())

    assert results["images"] == sorted(boxes)
    assert results["versions"]["aecodec"] == aecodec.__version__
    ours = results["codecs"]["aecodec"]
    assert [point["quality"] for point in ours["curve"]] == [20, 50, 80]
    for index, quality in enumerate((20, 50, 80)):
        sizes = []
        for name, box in boxes.items():
            data = aecodec.compress(samples.photograph(name, box), quality)
            sizes.append(len(data))
            assert ours["images"][name][index]["nbytes"] == len(data)
        mean = sum(8 * size / (192 * 128) for size in sizes) / 2
        assert ours["curve"][index]["bpp"] == pytest.approx(mean)
    assert set(results["bd_rate"]) == {"aecodec"}
    assert results["bd_rate"]["aecodec"]["jpeg"]["mean_curves"] < 0

    again = tmp_path / "again.json"
    script("kodak.py", tmp_path, "--qualities", "50", "--reuse", out, "--json", again)
    reused = json.loads(again.read_text())
    assert reused["codecs"]["jpeg"] == results["codecs"]["jpeg"]
    assert [point["quality"] for point in reused["codecs"]["aecodec"]["curve"]] == [50]


def test_interpolated_bytes() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from measure import Point, bytes_at
    finally:
        sys.path.pop(0)
    points = [Point(90, 400, 40.0, 0, 0), Point(10, 100, 30.0, 0, 0)]
    assert bytes_at(points, 35.0) == pytest.approx(200)
    assert bytes_at(points, 30.0) == pytest.approx(100)
    assert bytes_at(points, 40.0) == pytest.approx(400)
    assert bytes_at(points, 29.9) is None
    assert bytes_at(points, 40.1) is None


def test_efforts_on_a_small_photograph(tmp_path: Path) -> None:
    for name in ("one", "two"):
        samples.photograph(box=(100, 20, 292, 148)).save(tmp_path / f"{name}.png")
    out = tmp_path / "results.json"
    arguments = ("--pictures", "two", "--efforts", "1,3,6", "--json", out)
    text = script("efforts.py", tmp_path, *arguments)
    assert "s/MP" in text
    results = json.loads(out.read_text())
    assert results["pictures"] == ["two.png"]
    found = [entry["bd_rate_effort_1"] for entry in results["measured"]]
    assert found[0] == {"ssimulacra2": 0.0, "psnr": 0.0}
    assert found[2]["ssimulacra2"] < found[1]["ssimulacra2"] < 0.0


def test_targets_on_a_small_photograph(tmp_path: Path) -> None:
    samples.photograph(box=(40, 20, 248, 196)).save(tmp_path / "one.png")
    out = tmp_path / "results.json"
    script("targets.py", tmp_path, "--only", "CLOSE", "--qualities", "55", "--json", out)
    results = json.loads(out.read_text())
    found = {row["changed"]: row for row in results["measured"]}
    assert set(found) == {"as it is", "CLOSE 0.98", "CLOSE 0.99", "CLOSE 0.999"}
    assert all(0.9 < row["share"] <= 1.0 and row["psnr"] > 25.0 for row in found.values())
    assert found["CLOSE 0.98"]["files"] < found["CLOSE 0.999"]["files"]


def test_seams_on_small_photographs(tmp_path: Path) -> None:
    for name, box in (("one", (100, 20, 300, 150)), ("two", (0, 0, 130, 60))):
        samples.photograph(box=box).save(tmp_path / f"{name}.png")
    out = tmp_path / "results.json"
    arguments = ("--tile", "64", "--other", "128", "--qualities", "60", "--json", out)
    script("seams.py", tmp_path, *arguments)
    results = json.loads(out.read_text())
    (found,) = results["measured"]
    # Along a border at 64 or 192, and not at 128, where the others have theirs: of 200 x 130 pixels
    # 16 columns of 192 and 8 rows of 124, of 130 x 60 pixels 8 columns.
    places = 192 * 124 - (192 - 16) * (124 - 8) + 8 * 60
    assert found["share_of_pixels"] == pytest.approx(places / (200 * 130 + 130 * 60))
    assert -0.5 < found["squared_error_excess"] < 1.0
    assert found["bytes_more"] > 0
