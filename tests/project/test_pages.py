"""A newcomer with nothing but the pages: every command and every line of Python in them is run."""

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
from paths import DOCS, ROOT

GENERATED = {"cli.md", "format.md", "parts.md"}
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
    if path.name not in GENERATED
}
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
    "AECODEC_BENCH_CODECS": "aecodec,jpeg",  # where the page names none
}
MADE = {
    "README.md": {"photo.aec", "photo.png", "packed/people/1.aec"},
    "guide.md": {
        *("photo.aec", "part.png", "small.png", "large.png", "photo.png", "photo.tif"),
        *("packed/photo.aec", "piped.aec", "piped.png"),
    },
    "folders.md": {
        *("packed/people/1.aec", "restored/people/1.png", "listed/photos/cats/1.aec"),
        *("packed2/cats/1.aec", "photos/cats/1.jpg", "again.csv", "clustered/people/1.aec"),
    },
    "beyond-compression.md": {
        *("photos/aecodec-descriptors.sqlite", "mended.png", "mask.png", "heat"),
        *("dream.png", "varied.png", "smooth.png", "large.png"),
    },
    "desktop.md": {"thumbnail.png", "xdg/thumbnailers/aecodec.thumbnailer"},
    "training.md": {"weights/mine/config.json", "photo.aec"},
    "benchmarking.md": {"report.html", "results.json", "images.csv", "page.html"},
}
"""Files that are there after the commands of each page."""
PRINTED = {
    "README.md": [r"\d+ \(160, 120\)\n"],
    "beyond-compression.md": [r"1\.00\n", r"3 \(120, 160, 3\)\n", "", r"\(320, 240\)\n"],
    "guide.md": [r"160 120 \d+\.\d+\ntruncated: \d+ of \d+ bytes\n", r"\(\)\n", ""],
}
"""What the Python blocks of each page print; a block of torchvision's has its own test."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Every line of every shell block, without its comment."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


def make_desk(folder: Path) -> Path:
    """A folder such as a newcomer has: a photograph, a folder of more, one to train on."""
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


def test_every_page_with_commands_is_known() -> None:
    """A page that gets its first command gets a list of what it makes."""
    with_commands = {
        page
        for page in PAGES
        if any(not line.startswith(("make ", "pip ")) for line in commands(page))
    }
    assert with_commands == set(MADE)
    assert {page for page in PAGES if blocks(page, "python")} == set(PRINTED)


@pytest.mark.skipif(SHELL is None, reason="no bash to run the pages' commands")
@pytest.mark.parametrize("page", MADE)
def test_every_command_of_a_page_works_in_its_order(page: str, tmp_path: Path) -> None:
    if page == "desktop.md" and sys.platform != "linux":
        pytest.skip("this page is about desktops of Linux")
    desk = make_desk(tmp_path)
    lines = [line for line in commands(page) if not line.startswith(("make ", "pip "))]
    for line in lines:
        for long, short in SHORTER.items():
            line = line.replace(long, short)
        done = shell(line, desk, XDG_DATA_HOME=str(desk / "xdg"), **FEWER)
        assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"
        assert b"Traceback" not in done.stderr, line
    made = {path.relative_to(desk).as_posix() for path in desk.rglob("*")}
    assert MADE[page] <= made


@pytest.mark.parametrize("page", PRINTED)
def test_the_python_of_a_page_works(page: str, tmp_path: Path) -> None:
    desk = make_desk(tmp_path)
    found = [block for block in blocks(page, "python") if "torchvision" not in block]
    for block, printed in zip(found, PRINTED[page], strict=True):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=desk,
            env=environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert re.fullmatch(printed, done.stdout.decode()), done.stdout


def test_the_loader_works_in_torchvision(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    (loader,) = (block for block in blocks("guide.md", "python") if "torchvision" in block)
    (tmp_path / "packed" / "people").mkdir(parents=True)
    code = "\n".join(
        [
            "import aecodec",
            "from PIL import Image",
            "aecodec.register_pillow()",
            "Image.new('RGB', (40, 30), 'red').save('packed/people/1.aec')",
            loader,
            "image, label = pictures[0]",
            "print(image.size, pictures.classes[label])",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.stdout == b"(40, 30) people\n", done.stderr.decode()


def test_what_is_installed_by_pip_works(tmp_path: Path) -> None:
    """`pip install .` from a copy, without an index: what it needs is here already."""
    lines = [line for page in PAGES for line in commands(page) if line.startswith("pip ")]
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
        models = "python -m aecodec models --json"
        done = shell(models, tmp_path.parent, PYTHONPATH=str(target))
        assert str(target) in done.stdout.decode(), done.stderr.decode()


def test_every_make_target_of_the_pages_exists() -> None:
    """Each names only scripts that are there. What they run is tested on its own: the
    demonstration, the suite and the benchmark."""
    text = "\n".join(PAGES.values())
    named = {*re.findall(r"(?:`|^)make ([a-z]+)\b(?!-)", text, re.MULTILINE)}
    assert {"demo", "test", "bench", "check", "docs"} <= named
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    scripts = 0
    for target in sorted(named):
        done = subprocess.run(
            [make, "-n", target, "KODAK=x"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, (target, done.stderr)
        for script in re.findall(r"python (\S+\.py)", done.stdout.decode()):
            assert (ROOT / script).exists(), (target, script)
            scripts += 1
    assert scripts >= 3


def test_the_first_page_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 130
