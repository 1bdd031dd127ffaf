"""Signals, the time that a command needs to start, help and unexpected errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import command
import pytest
from command import lines, run, take
from PIL import Image, features
from system import posix

from aecodec.cli.console import Report


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_keeps_what_is_done(shelf: Path, here: Path, name: str) -> None:
    take(shelf, "a.png=photo.png")
    os.mkfifo("b.png")  # nobody writes into it, so the run stops there
    process = command.start("compress", "a.png", "b.png", "-o", ".")
    deadline = time.monotonic() + 60
    while not Path("a.aec").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.Signals[name])
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line.split()[0] for line in lines(stdout)] == ["a.png"]
    assert b"interrupted" in stderr
    assert b"Traceback" not in stderr
    assert Path("a.aec").read_bytes() == (shelf / "photo.aec").read_bytes()
    assert sorted(p.name for p in here.iterdir()) == ["a.aec", "a.png", "b.png"]


@posix
def test_an_ignored_hangup_stays_ignored(shelf: Path, here: Path) -> None:
    os.mkfifo("b.png")
    process = command.start(
        "compress",
        "b.png",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
    )
    time.sleep(0.5)
    process.send_signal(signal.SIGHUP)
    Path("b.png").write_bytes((shelf / "photo.png").read_bytes())
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path("b.aec").exists()


# Runs a command within a process that then says which heavy modules it has loaded.
LOADED = """
import sys
from aecodec.cli import main
sys.argv = ["aecodec", *sys.argv[1:]]
code = main()
heavy = ("numpy", "PIL", "torch", "onnxruntime", "constriction", "rich.progress", "safetensors")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["info", "photo.aec"], ["verify", "photo.aec"]])
def test_light_commands_load_no_network(shelf: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=shelf, capture_output=True, check=True
    )
    assert done.stderr.decode().strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["info", "photo.aec"], ["verify", "photo.aec"]])
def test_light_commands_load_few_modules(shelf: Path, arguments: list[str]) -> None:
    """How long they take to start follows from that; benchmarks/speed.py measures it."""
    counted = LOADED.replace("[name for name in heavy if name in sys.modules]", "len(sys.modules)")
    done = subprocess.run(
        [sys.executable, "-I", "-c", counted, *arguments],
        cwd=shelf,
        capture_output=True,
        check=True,
    )
    assert int(done.stderr.decode()) < 200


@pytest.mark.parametrize(
    "name", ["photo.webp", "photo.tif", "photo.avif", "photo.jp2", "photo.jpg"]
)
def test_a_picture_loads_the_plugin_of_its_format_only(here: Path, name: str) -> None:
    """All of Pillow's take 40 ms, a tenth of the time for a small picture."""
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    Image.radial_gradient("L").convert("RGB").resize((40, 30)).save(name)
    code = LOADED.replace("heavy if", "['PIL.SunImagePlugin', 'PIL.Image'] if")
    for arguments in (
        ["compress", "--lossless", name, "-o", "a.aec"],
        ["decompress", "a.aec", "-o", f"new-{name}"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, check=True
        )
        assert lines(done.stderr)[-1] == "['PIL.Image']"


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("compress", "decompress", "info", "verify", "train", "export", "models"):
        assert f"  {name}" in done.stdout.decode()
        assert run(name, "--help").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["train", ".", "--out", "run", "--steps", "1"], ["export", ".", "--photographs", "."]],
)
def test_without_torch_training_says_what_to_install(here: Path, arguments: list[str]) -> None:
    blocked = here / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    )
    done = run(*arguments, env={"PYTHONPATH": str(blocked)})
    assert done.returncode == 1
    assert len(lines(done.stderr)) == 1
    assert done.stderr.endswith(
        b'this command needs torch, which is not installed: pip install "aecodec[train]"\n'
    )


def test_an_unexpected_error_is_one_line_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    def provoke(**meta: bool) -> str:
        with click.Context(click.Command("test")) as context:
            context.meta.update({f"aecodec.{key}": value for key, value in meta.items()})
            with Report(1, as_json=False) as report, report.file("photo.jpg"):
                raise KeyError("a bug\nof ours")
        assert report.exit_code == 1
        return capsys.readouterr().err

    assert provoke() == (
        "aecodec: photo.jpg: unexpected error: KeyError: 'a bug\\nof ours'"
        " (--debug shows the traceback)\n"
    )
    assert "Traceback (most recent call last)" in provoke(debug=True)


def test_debug_can_be_asked_for_in_three_ways(here: Path) -> None:
    for arguments, env in (
        (["--debug", "info", "missing"], {}),
        (["info", "missing", "--debug"], {}),
        (["info", "missing"], {"AECODEC_DEBUG": "1"}),
    ):
        assert b"Traceback" in run(*arguments, env=env).stderr
    assert b"Traceback" not in run("info", "missing").stderr
