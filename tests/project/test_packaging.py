"""What is published: a wheel that works alone, and an sdist that builds the same wheel."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import command
import pytest
import samples
from paths import ROOT, WEIGHTS
from PIL import Image

import aecodec


def build(source: Path, target: str, into: Path) -> Path:
    """Build with the hatchling that is installed: no network, no environment of its own."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, int]:
    """Name and checksum of each file of a wheel, but for the list that names them."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            entry.filename: entry.CRC
            for entry in archive.infolist()
            if not entry.filename.endswith("RECORD")
        }


def test_the_wheel_holds_the_package_and_the_weights(wheel: Path) -> None:
    names = set(contents(wheel))
    assert "aecodec/py.typed" in names
    for path in (ROOT / "aecodec").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names
    weights = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert any(path.name == "config.json" for path in weights)
    for path in weights:
        assert f"aecodec/weights_data/{path.relative_to(WEIGHTS).as_posix()}" in names
    assert {name.partition("/")[0] for name in names} == {
        "aecodec",
        f"aecodec-{aecodec.__version__}.dist-info",
    }


def test_the_wheel_is_of_a_sensible_size_and_for_every_machine(wheel: Path) -> None:
    """Nothing of it is compiled; and no checkpoint, log or photograph has got into it."""
    assert wheel.name.endswith("-py3-none-any.whl")
    # Each of the three models takes some 8, and the other networks 1.4.
    assert wheel.stat().st_size < 27_000_000
    suffixes = {Path(name).suffix for name in contents(wheel)}
    assert suffixes <= {
        ".py",
        ".typed",
        ".onnx",
        ".safetensors",
        ".json",
        ".md",
        ".txt",
        "",
        ".html",
        ".css",
        ".js",
    }


def test_metadata(wheel: Path) -> None:
    information = f"aecodec-{aecodec.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{information}/METADATA"))
        entry_points = archive.read(f"{information}/entry_points.txt").decode()
        assert archive.read(f"{information}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["Version"] == aecodec.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "aecodec = aecodec.__main__:main" in entry_points
    needs = metadata.get_all("Requires-Dist") or []
    base = {need.split(">")[0] for need in needs if "extra ==" not in need}
    assert base == {
        "click",
        "constriction",
        "numpy",
        "onnxruntime",
        "pillow",
        "rich",
        "safetensors",
        "threadpoolctl",
        "zstandard",
    }
    assert "torch<2.14,>=2.6; extra == 'train'" in needs


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if "/.venv/" in name or "/runs/" in name]
        archive.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    unpacked = tmp_path / f"aecodec-{aecodec.__version__}"
    assert contents(build(unpacked, "wheel", tmp_path / "wheel")) == contents(wheel)


def test_the_installed_wheel_works_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-index", "--no-deps", "--target", str(site), str(wheel)),
        ],
        check=True,
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    samples.photograph().save(elsewhere / "photo.png")
    env = {"PYTHONPATH": str(site)}

    def run(*arguments: str) -> bytes:
        done = command.run(*arguments, cwd=elsewhere, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    models = [json.loads(line) for line in run("models", "--json").splitlines()]
    assert models
    assert all(Path(model["folder"]).is_relative_to(site / "aecodec") for model in models)
    run("compress", "photo.png")
    run("decompress", "photo.aec", "-o", "back.png")
    with Image.open(elsewhere / "photo.png") as photo, Image.open(elsewhere / "back.png") as back:
        assert samples.psnr(photo, back) > 25
    assert os.listdir(site / "aecodec" / "weights_data")
