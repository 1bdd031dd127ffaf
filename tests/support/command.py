"""Runs the real command line in processes of its own, as a shell would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Likewise under nohup.
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

COMMAND = [sys.executable, "-m", "aecodec"]


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    before: Sequence[str] = (),
    env: dict[str, str] | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run `aecodec ARGUMENTS` to its end; `before` stands in front of it, as `nice` would."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [*before, *COMMAND, *map(os.fspath, arguments)],
        cwd=cwd,
        env=environment(env),
        timeout=120,
        check=False,
        **options,
    )


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start `aecodec ARGUMENTS` and leave it running."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(
        [*COMMAND, *map(os.fspath, arguments)],
        env=environment(options.pop("env", None)),
        **options,
    )


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would change the command's defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AECODEC_")}
    return {**kept, **(extra or {})}


def leftovers(folder: Path) -> list[str]:
    """Temporary files that a run has left in `folder`."""
    return sorted(path.name for path in folder.rglob(".aecodec-*"))


def lines(stream: bytes) -> list[str]:
    """What a command has written, line by line."""
    return stream.decode().splitlines()


def objects(stream: bytes) -> list[dict[str, object]]:
    """The objects that `--json` writes, one a line."""
    return [json.loads(line) for line in lines(stream)]


def one_fault(done: subprocess.CompletedProcess[bytes], fault: str) -> None:
    """Exactly one line on standard error, and it is `fault`."""
    assert lines(done.stderr) == [fault]


def take(shelf: Path, *names: str) -> None:
    """Copy files from the shelf into the current folder; `a.png=photo.png` renames one."""
    for name in names:
        new, _, old = name.partition("=")
        shutil.copy(shelf / (old or new), new)
