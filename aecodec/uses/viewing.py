"""Pictures for a desktop: a thumbnail, and a decoded copy in the default viewer.

::

    .aec --thumbnail--> PNG of at most so many pixels a side, in sRGB
    .aec --(decompress)--> PNG of Copies --show--> the desktop's viewer

A viewer reads its file when it likes, and nobody hears when it is closed. So the copies stay for
`KEPT` seconds at least; whoever opens the next picture removes them.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aecodec import codec, files
from aecodec.bitstream import DEFAULT_MAX_PIXELS, parse_header
from aecodec.errors import AecodecError, OutputError

__all__ = ["Copies", "notify", "show", "thumbnail"]

KEPT: Final = 24 * 3600.0
"""Seconds that the copies are kept."""
_PREFIX: Final = "aecodec-open-"
_WAIT: Final = 10.0
"""Seconds to wait for what opens pictures. Where it is the viewer itself, it runs on."""


def thumbnail(
    data: bytes, longest: int, *, max_pixels: int = DEFAULT_MAX_PIXELS, threads: int = 0
) -> bytes:
    """A PNG of the picture of an .aec file, at `longest` pixels a side at most, never enlarged.

    It is upright, RGB or RGBA, without metadata, and in sRGB: file managers ignore profiles. It
    comes from a preview that is large enough, if there is one. Raises the errors of `decompress`.
    """
    from aecodec.image import picture
    from aecodec.image.colour import to_srgb
    from aecodec.image.save import save

    header = parse_header(data).header
    side = max(header.width, header.height)
    # A finer preview costs little more, and one of twice the size makes a sharper thumbnail.
    enough = [n for n in codec.PREVIEWS if side // n >= longest]
    scale = max((n for n in enough if side // n >= 2 * longest), default=min(enough, default=None))
    decoded = codec.decompress(
        data,
        preview=scale,
        max_pixels=max_pixels,
        threads=threads,
        device="cpu",  # a GPU takes longer to start than the thumbnail takes
    )
    small = picture.thumbnail(decoded, longest)
    profile = small.info.pop("icc_profile", None)
    if profile is not None:
        small = to_srgb(small, profile, [])
        small.info.clear()
    file = io.BytesIO()
    save(small, file, "PNG")
    return file.getvalue()


# --- Copies ---------------------------------------------------------------------------------------


class Copies:
    """A temporary folder for decoded pictures, which only this user may enter."""

    def __init__(self) -> None:
        """Make the folder, and remove those that are older than `KEPT`. Raises OutputError."""
        _clear()
        try:
            self._folder = tempfile.mkdtemp(prefix=_PREFIX)
        except OSError as error:
            raise OutputError(f"cannot make a temporary folder: {files.reason(error)}") from None
        self.pictures: list[str] = []
        """The paths of the copies that are complete."""

    def name_for(self, source: str) -> str:
        """The path of the next copy: viewers show its name, so it is that of the source."""
        stem = os.path.splitext(files.RESTORED.name(source))[0]
        # xdg-open 1.1 takes a backslash for the begin of an escape.
        stem = "".join(c if c.isprintable() and c != "\\" else "_" for c in stem)
        path, number = os.path.join(self._folder, f"{stem}.png"), 1
        while os.path.lexists(path):
            number += 1
            path = os.path.join(self._folder, f"{stem}-{number}.png")
        return path

    def discard(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _clear() -> None:
    """Remove this user's folders of copies that are older than `KEPT`."""
    limit = time.time() - KEPT
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(tempfile.gettempdir())):
            if not entry.name.startswith(_PREFIX):
                continue
            status = entry.stat(follow_symlinks=False)
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if ours and status.st_mtime < limit:
                shutil.rmtree(entry.path, ignore_errors=True)


# --- The desktop's programs -----------------------------------------------------------------------


def show(pictures: Sequence[str]) -> None:
    """Open PNG files in the desktop's default viewer: all in one where it takes several.

    Returns when they are open, or the viewer has run for a while. Raises AecodecError if nothing
    opens them.
    """
    launcher = _launcher() if len(pictures) > 1 else None
    if launcher is not None:
        _run([*launcher, *pictures])
        return
    if shutil.which("xdg-open") is None:
        raise AecodecError("nothing opens pictures here: xdg-open is missing (package xdg-utils)")
    for picture in pictures:
        _run(["xdg-open", picture])


def _launcher() -> list[str] | None:
    """A command that opens several PNG files at once in their default viewer, where there is one.

    `xdg-open` takes one file only.
    """
    if shutil.which("gio") is None or shutil.which("xdg-mime") is None:
        return None
    asked = ["xdg-mime", "query", "default", "image/png"]
    name = subprocess.run(asked, capture_output=True, text=True, errors="replace").stdout.strip()
    return next((["gio", "launch", path] for path in _entries_of(name)), None)


def _entries_of(name: str) -> Iterator[str]:
    """The files of a desktop entry, the one that counts first."""
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    for folder in (own, *shared.split(":")):
        place = Path(folder) / "applications"
        # By the specification, a folder's name is a part of the entry's: kde-x is kde/x, too.
        for part in (name, name.replace("-", "/", 1)):
            if name.endswith(".desktop") and (place / part).is_file():
                yield str(place / part)


def _run(command: list[str]) -> None:
    """Run a program that opens something. Raises AecodecError if it fails within a while."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise AecodecError(f"{command[0]} does not run: {files.reason(error)}") from None
    with contextlib.suppress(subprocess.TimeoutExpired):
        if code := process.wait(_WAIT):
            raise AecodecError(f"{command[0]} cannot open it (exit code {code})")


def notify(title: str, text: str) -> None:
    """Show a message on the desktop, if that is possible: whoever clicks sees no terminal."""
    program = shutil.which("notify-send")
    if program is not None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [program, "--app-name=aecodec", "--icon=image-x-aec", "--", title, text],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_WAIT,
            )
