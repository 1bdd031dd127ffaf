"""Frozen with PyInstaller, or imported from a zip: it works, or says what is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import albums
import command
import pytest
import samples
from paths import ROOT

# Imported by some command of ours, and not by those that are frozen here: minutes and gigabytes.
LEFT_OUT = [
    "torch",
    "tensorboard",
    "onnx",
    "scipy",
    "skimage",
    "matplotlib",
    "imagecodecs",
    "distributed",
    "dask",
    "fsspec",
    "s3fs",
    "boto3",
    "botocore",
    "aiobotocore",
    "pytest",
    "hypothesis",
    "mypy",
    "IPython",
    "pandas",
    "playwright",
    "bjontegaard",
    "jinja2",
]
MAIN = """
import sys
from aecodec.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-folder bundle of the command line, with the small weights where the wheel has them."""
    if importlib.util.find_spec("PyInstaller") is None:
        pytest.skip("this test needs PyInstaller")
    folder = tmp_path_factory.mktemp("frozen")
    (folder / "main.py").write_text(MAIN)
    made = subprocess.run(
        [
            *(sys.executable, "-m", "PyInstaller", "--onedir", "--name", "app", "-y"),
            *("--log-level", "WARN", "--paths", str(ROOT)),
            *("--add-data", f"{ROOT / 'weights' / 'small'}:aecodec/weights_data/small"),
            *(part for name in LEFT_OUT for part in ("--exclude-module", name)),
            "main.py",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert made.returncode == 0, made.stderr
    return folder / "dist" / "app"


def test_a_frozen_program_converts_whole_folders(app: Path, here: Path) -> None:
    """Its worker processes are the program itself, which begins anew in each."""
    names = albums.fill(here / "in", 4)
    program = str(app / "app")
    for arguments in (
        ["compress", "in", "-o", "out", "-r", "-j", "2"],
        ["decompress", "out", "-o", "back", "-r", "-j", "2"],
        ["verify", "-r", "--full", "out"],
    ):
        done = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            env=command.environment(),
        )
        assert done.returncode == 0 and not done.stderr, (arguments, done.stderr)
    assert albums.files(here / "out") == albums.becomes(names)
    assert albums.files(here / "back") == albums.becomes(names, ".png")


def test_a_frozen_program_without_weights_says_so(app: Path, here: Path) -> None:
    samples.photograph().save("a.png")
    weights = app / "_internal" / "aecodec" / "weights_data"
    away = app / "weights_data"
    weights.rename(away)
    try:
        done = subprocess.run(
            [str(app / "app"), "compress", "a.png"],
            capture_output=True,
            text=True,
            timeout=300,
            env=command.environment(),
        )
    finally:
        away.rename(weights)
    assert done.returncode == 1
    assert done.stderr == (
        "aecodec: a.png: no weights called 'small' (installed: none): this program was frozen "
        "without them; PyInstaller needs --collect-data aecodec\n"
    )


def test_from_a_zip_weights_are_missed_in_one_line(here: Path) -> None:
    with zipfile.ZipFile("aecodec.zip", "w") as archive:
        for path in (ROOT / "aecodec").rglob("*.py"):
            archive.write(path, path.relative_to(ROOT))
    samples.photograph().save("a.png")
    zipped = {"PYTHONPATH": str(here / "aecodec.zip")}
    done = command.run("compress", "a.png", env=zipped)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "aecodec is in the archive" in line and "AECODEC_WEIGHTS" in line
    env = {**zipped, "AECODEC_WEIGHTS": str(ROOT / "weights")}
    done = command.run("compress", "a.png", env=env)
    assert done.returncode == 0, done.stderr
