"""A newcomer with nothing but the README: every command and every line of Python in it is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from command import environment
from paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = shutil.which("bash")

# What would take hours, or never end by itself.
SHORTER = {
    "--size small": "--size tiny",
    "--minutes 600": "--steps 2 --batch 1 --crop 64 --device cpu",
    "tensorboard --logdir": "tensorboard --inspect --logdir",
}
FEWER = {
    "AECODEC_BENCH_POINTS": "4",
    "AECODEC_BENCH_SHOW": "1",
    "AECODEC_BENCH_CODECS": "aecodec,jpeg",  # where the README names none
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line of every shell block, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as a newcomer has: a photograph, a folder of more, one to train on."""
    folder = tmp_path_factory.mktemp("desk")
    samples.photograph().save(folder / "photo.jpg", quality=92)
    samples.photograph("coffee.png").save(folder / "other.jpg", quality=92)
    for name, source in (("people", "astronaut.png"), ("cats", "chelsea.png")):
        (folder / "photos" / name).mkdir(parents=True)
        samples.photograph(source).save(folder / "photos" / name / "1.jpg", quality=92)
    (folder / "PHOTOS").mkdir()
    for name in ("astronaut", "coffee", "chelsea"):
        for x in (0, 130):
            part = samples.photograph(f"{name}.png", (x, 60, x + 192, 252))
            part.save(folder / "PHOTOS" / f"{name}{x}.png")
    return folder


def shell(line: str, desk: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    assert SHELL is not None
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [SHELL, "-euo", "pipefail", "-c", line],
        cwd=desk,
        env=environment({"PATH": here, "OMP_NUM_THREADS": "1", **env}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(SHELL is None, reason="no bash to run the README's commands")
def test_every_aecodec_command_works_in_the_order_of_the_readme(desk: Path) -> None:
    lines = [line for line in commands() if not line.startswith(("make ", "pip "))]
    assert len(lines) > 15
    for line in lines:
        for long, short in SHORTER.items():
            line = line.replace(long, short)
        done = shell(line, desk, AECODEC_WEIGHTS=str(desk / "weights"), **FEWER)
        assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"
        assert b"Traceback" not in done.stderr, line

    made = {path.relative_to(desk).as_posix() for path in desk.rglob("*.aec")}
    assert {"photo.aec", "piped.aec", "packed/people/1.aec", "packed/photo.aec"} <= made
    assert (desk / "photo.png").exists()
    assert (desk / "photo.tif").exists()


def test_the_python_works(desk: Path) -> None:
    (block, loader) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=desk, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    first, second = done.stdout.decode().splitlines()
    assert re.fullmatch(r"160 120 \d+\.\d+", first)
    assert re.fullmatch(r"truncated: \d+ of \d+ bytes", second)
    assert "loader=aecodec.open" in loader  # run by the next test, where torchvision is there


def test_the_loader_works_in_torchvision(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    (tmp_path / "packed" / "people").mkdir(parents=True)
    code = "\n".join(
        [
            "import aecodec",
            "from PIL import Image",
            "aecodec.register_pillow()",
            "Image.new('RGB', (40, 30), 'red').save('packed/people/1.aec')",
            blocks("python")[1],
            "image, label = pictures[0]",
            "print(image.size, pictures.classes[label])",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.stdout == b"(40, 30) people\n", done.stderr.decode()


def test_what_is_installed_by_pip_works(desk: Path, tmp_path: Path) -> None:
    """`pip install .` from a copy, without an index: what it needs is here already."""
    lines = [line for line in commands() if line.startswith("pip ")]
    assert lines[0] == "pip install ."
    names = ("aecodec", "weights", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE")
    for name in names:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    for number, line in enumerate(dict.fromkeys(lines)):
        target = tmp_path / f"site{number}"
        pip = {
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: yes, none
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_TARGET": str(target),
        }
        done = shell(line, tmp_path, **pip)
        assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"
        done = shell("python -m aecodec models --json", desk, PYTHONPATH=str(target))
        assert str(target) in done.stdout.decode(), done.stderr.decode()


def test_every_make_target_of_the_readme_exists() -> None:
    """What they run is tested on its own: the demonstration, the suite and the benchmark."""
    named = {*re.findall(r"\bmake ([a-z]+)\b(?!-)", README)}
    assert {"demo", "test", "bench", "check"} <= named
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    for target in sorted(named):
        done = subprocess.run(
            [make, "-n", target, "KODAK=x"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, (target, done.stderr)
