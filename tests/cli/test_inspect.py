"""info, verify, models and --json."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from command import lines, one_fault, run, take
from paths import GOLDEN, WEIGHTS
from system import posix

from aecodec.networks import weights


def test_json_is_an_object_a_line_with_errors_too(shelf: Path, here: Path) -> None:
    take(shelf, "photo.png", "bad.jpg")
    done = run("compress", "--json", "photo.png", "bad.jpg")
    assert done.returncode == 1
    good, bad = map(json.loads, lines(done.stdout))
    assert good["ok"] is True
    assert (good["source"], good["target"]) == ("photo.png", "photo.aec")
    assert (good["width"], good["height"]) == (160, 120)
    assert good["bytes_in"] == Path("photo.png").stat().st_size
    assert good["bytes_out"] == Path("photo.aec").stat().st_size
    assert good["bpp"] == pytest.approx(8 * good["bytes_out"] / (160 * 120))
    assert bad["ok"] is False
    assert bad["source"] == "bad.jpg"
    assert bad["error"]
    assert bad["error_type"] == "InputError"
    one_fault(done, f"aecodec: bad.jpg: {bad['error']}")


def test_info(shelf: Path) -> None:
    done = run("info", "photo.aec", "rocket.aec", cwd=shelf)
    assert done.returncode == 0
    assert done.stderr == b""
    text = done.stdout.decode()
    size = (shelf / "photo.aec").stat().st_size
    for part in ("photo.aec", "rocket.aec", "160 x 120, RGB", "75", f"{size:,} (", "TILE"):
        assert part in text


def test_info_as_json(shelf: Path) -> None:
    done = run("info", "--json", "photo.aec", "damaged.aec", cwd=shelf)
    assert done.returncode == 1
    good, bad = map(json.loads, lines(done.stdout))
    size = (shelf / "photo.aec").stat().st_size
    assert {k: good[k] for k in ("source", "width", "height", "mode", "quality", "nbytes")} == {
        "source": "photo.aec",
        "width": 160,
        "height": 120,
        "mode": "RGB",
        "quality": 75,
        "nbytes": size,
    }
    assert good["bpp"] == pytest.approx(8 * size / (160 * 120))
    assert len(bytes.fromhex(good["model"])) == 8
    assert good["model_name"] == weights.DEFAULT_MODEL
    assert [name for name, _ in good["sections"]] == ["TILE"]
    assert (bad["source"], bad["ok"]) == ("damaged.aec", False)


def test_info_names_the_weights(shelf: Path, here: Path) -> None:
    """As they are called here: another folder may stand before the installed ones, broken folders
    are no fault of the file, and of weights that are not here the id is all that is known."""
    listed = {
        model["name"]: model["id"]
        for model in map(json.loads, lines(run("models", "--json").stdout))
    }
    shutil.copy(GOLDEN / "base-q75.aec", "base.aec")
    shutil.copy(GOLDEN / "rgb-q75.aec", "small.aec")
    shutil.copy(GOLDEN / "small-eye-q75.aec", "small-eye.aec")
    done = run("info", *(f"{name}.aec" for name in sorted(listed)))
    for name, model in listed.items():
        assert f"  model    {name} ({model})\n" in done.stdout.decode()

    (here / "weights" / "small").mkdir(parents=True)  # takes the name of the installed weights
    (here / "weights" / "small" / "config.json").write_text("{}")
    elsewhere = {"AECODEC_WEIGHTS": str(here / "weights")}
    done = run("info", "small.aec", "base.aec", env=elsewhere)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"  model    {listed['small']} (not installed)\n" in done.stdout.decode()
    assert f"  model    base ({listed['base']})\n" in done.stdout.decode()
    done = run("info", "small.aec", "--json", env=elsewhere)
    assert json.loads(done.stdout)["model_name"] is None
    assert json.loads(done.stdout)["model"] == listed["small"]


def test_unusable_weights_stop_no_file_of_others(here: Path) -> None:
    """Such as an older version exported: they are named, and what to do, when asked for."""
    shutil.copy(GOLDEN / "base-q75.aec", "base.aec")
    shutil.copytree(weights.folders()["small"], here / "weights" / "mine")
    (here / "weights" / "mine" / "synthesis16.onnx").rename(here / "synthesis.onnx")
    elsewhere = {"AECODEC_WEIGHTS": str(here / "weights")}
    done = run("decompress", "base.aec", "-o", "base.png", env=elsewhere)
    assert (done.returncode, done.stderr) == (0, b"") and Path("base.png").exists()
    done = run("compress", "base.png", "--model", "mine", "-o", "mine.aec", env=elsewhere)
    (line,) = lines(done.stderr)
    assert done.returncode == 1 and not Path("mine.aec").exists()
    assert "synthesis16.onnx can't be read: it is missing" in line and "exported again" in line


def test_verify(shelf: Path) -> None:
    for full in ([], ["--full"]):
        done = run("verify", *full, "photo.aec", "damaged.aec", "rocket.aec", cwd=shelf)
        assert done.returncode == 1
        assert lines(done.stdout) == ["photo.aec: ok", "rocket.aec: ok"]
        assert len(lines(done.stderr)) == 1


@posix
def test_folders_are_looked_through(shelf: Path, here: Path) -> None:
    """Sorted, whatever the case of the suffix, and in no circle; what is named is always taken."""
    Path("packed/alps").mkdir(parents=True)
    for name in ("packed/b.aec", "packed/A.AEC", "packed/alps/c.Aec", "named.dat"):
        shutil.copy(shelf / "photo.aec", name)
    shutil.copy(shelf / "photo.aec", "packed/none.txt")
    shutil.copy(shelf / "short.aec", "packed/alps/bad.aec")
    os.symlink("..", "packed/alps/loop")
    os.symlink("nowhere", "packed/gone.aec")
    good = ["packed/A.AEC", "packed/b.aec", "packed/alps/c.Aec", "named.dat"]
    circle = "aecodec: packed/alps/loop: is a link back to a folder that holds it: not followed"

    for full in ([], ["--full"]):
        done = run("verify", *full, "-r", "packed", "named.dat")
        assert done.returncode == 1
        assert lines(done.stdout) == [f"{name}: ok" for name in good]
        faults = lines(done.stderr)
        assert len(faults) == 3
        assert "aecodec: packed/gone.aec: is a link to nowhere, which is not there" in faults
        assert circle in faults
        assert faults[-1].startswith("aecodec: packed/alps/bad.aec: truncated")

    done = run("info", "--json", "-r", "packed", "named.dat")
    assert done.returncode == 1
    found = [json.loads(line) for line in lines(done.stdout)]
    assert [one["source"] for one in found if one["ok"]] == good
    assert [one["source"] for one in found if not one["ok"]] == [
        "packed/gone.aec",
        "packed/alps/bad.aec",
    ]
    for name in ("bad.aec", "loop"):
        Path("packed/alps", name).unlink()
    Path("packed/gone.aec").unlink()
    done = run("verify", "-r", "packed")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_a_folder_with_nothing_to_look_at(shelf: Path, here: Path, verb: str) -> None:
    take(shelf, "photo.aec")
    Path("folder/below").mkdir(parents=True)
    Path("folder/notes.txt").write_text("no picture")
    done = run(verb, "-r", "folder", "photo.aec")
    assert done.returncode == 1
    one_fault(done, "aecodec: folder: there is no .aec file in this folder")
    assert lines(done.stdout)[0].startswith("photo.aec")

    done = run(verb, "folder", "photo.aec")
    assert done.returncode == 1
    one_fault(done, "aecodec: folder: is a folder, not a file: -r takes its files")
    assert lines(done.stdout)[0].startswith("photo.aec")


def test_models_are_listed(shelf: Path) -> None:
    done = run("models", "--json")
    assert done.returncode == 0
    listed = [json.loads(line) for line in lines(done.stdout)]
    info = json.loads(run("info", "--json", "photo.aec", cwd=shelf).stdout)
    assert info["model"] in [model["id"] for model in listed]
    assert all(model["name"] for model in listed)


def test_weights_that_cannot_be_loaded_are_not_listed_as_good(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS / "small", tmp_path / "mine")
    (tmp_path / "mine" / "id.txt").unlink()  # as in weights that were exported before
    (tmp_path / "mine" / "config.json").write_text('{"name": 1')
    done = run("models", "--json", env={"AECODEC_WEIGHTS": str(tmp_path)})
    assert done.returncode == 1
    listed = {one["source"]: one for one in map(json.loads, lines(done.stdout)) if not one["ok"]}
    assert list(listed) == ["mine"]
    assert "not a usable folder of weights" in listed["mine"]["error"]
    assert len(lines(done.stdout)) > 3


@pytest.mark.parametrize("name", ["small", "small-eye", "denoiser"])
def test_a_model_card_says_what_may_be_done_with_it(name: str) -> None:
    done = run("models", "show", name)
    assert done.returncode == 0
    card = done.stdout.decode()
    assert card.startswith(f"# {name}\n")
    assert "Apache-2.0" in card and "non-commercial" in card
