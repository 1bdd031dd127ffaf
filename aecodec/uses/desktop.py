"""The entries by which a Linux desktop knows .aec files: MIME type, icon, thumbnailer, "open with".

::

    entries(command) --check, write--> DATA/mime/packages/aecodec.xml
                                       DATA/icons/hicolor/scalable/mimetypes/image-x-aec.svg
                                       DATA/thumbnailers/aecodec.thumbnailer
                                       DATA/applications/aecodec-open.desktop
    refresh(DATA)                      the desktop's own caches of them

DATA is a folder of the XDG Base Directory Specification: that of a user, or `SYSTEM`. The formats
are those of the Shared MIME-info, the Icon Theme and the Desktop Entry Specification of
freedesktop.org; thumbnailer entries are those of gnome-desktop, which others read as well.

The last line of each file says that aecodec wrote it, and has a checksum of the lines above. So a
file that somebody else wrote, or changed, is known and left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from aecodec import files
from aecodec.bitstream import MAGIC, MIME_TYPE
from aecodec.errors import AecodecError, OutputError, OutputExistsError

__all__ = [
    "SYSTEM",
    "Entry",
    "check_place",
    "check_system",
    "command_path",
    "entries",
    "outside_sandbox",
    "refresh",
    "users_folder",
]

SYSTEM: Final = "/usr/local/share"
"""DATA of all users: in XDG_DATA_DIRS by default, and not the distribution's own."""
SANDBOX: Final = "/usr"
"""All that a thumbnailer sees that gnome-desktop runs, apart from the picture."""

_LARGEST: Final = 2**16
"""Bytes of a file, at most, that aecodec may have written."""

_PICTURE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" viewBox="0 0 128 128">
  <defs>
    <linearGradient id="sky" x2="0" y2="1">
      <stop stop-color="#5aa9e6"/>
      <stop offset="1" stop-color="#d6ecfa"/>
    </linearGradient>
    <clipPath id="inside"><rect x="16" y="28" width="96" height="72" rx="3"/></clipPath>
  </defs>
  <rect x="8" y="20" width="112" height="88" rx="8" fill="#fdfdfb"
    stroke="#55606e" stroke-width="4"/>
  <g clip-path="url(#inside)">
    <rect x="16" y="28" width="96" height="72" fill="url(#sky)"/>
    <circle cx="38" cy="48" r="9" fill="#ffd34e"/>
    <path d="M8 104 44 60l20 24 18-22 38 42z" fill="#2f8f6b"/>
    <path d="M8 104 32 82l26 22z" fill="#23694f"/>
    <g fill="#fdfdfb">
      <path d="M100 28h12v12h-12zM88 40h12v12H88zM100 52h12v12h-12z"/>
      <path d="M76 28h12v12H76z" opacity=".6"/>
      <path d="M100 40h12v12h-12zM100 64h12v12h-12z" opacity=".45"/>
      <path d="M88 28h12v12H88zM88 52h12v12H88z" opacity=".25"/>
    </g>
  </g>
</svg>
"""
"""A photograph of which a corner is gone to squares, the latents."""

_BYTES: Final = "".join(f"\\x{byte:02x}" for byte in MAGIC)
_TYPE: Final = f"""\
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME_TYPE}">
    <comment>AEC picture</comment>
    <comment xml:lang="de">AEC-Bild</comment>
    <icon name="{MIME_TYPE.replace("/", "-")}"/>
    <generic-icon name="image-x-generic"/>
    <magic priority="60">
      <match type="string" offset="0" value="{_BYTES}"/>
    </magic>
    <glob pattern="*{files.SUFFIX}"/>
  </mime-type>
</mime-info>
"""


class Entry:
    """One file of a desktop's data folder."""

    def __init__(self, folder: str, name: str, text: str) -> None:
        """`name` is the path below the data folder, `text` all but the last line."""
        self.folder, self.name, self.text = folder, name, text
        self.path = os.path.join(folder, name)

    def state(self) -> Literal["absent", "ours", "another's"]:
        """What is at the path now. `ours` is a file exactly as some version of aecodec wrote it."""
        try:
            status = os.lstat(self.path)
            small = stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST
            text = Path(self.path).read_bytes().decode() if small else ""
        except FileNotFoundError:
            return "absent"
        except (OSError, UnicodeDecodeError):
            text = ""
        return "ours" if _Mark.of(text) is not None else "another's"

    def check(self) -> None:
        """Raise OutputExistsError if another's file, folder or link has the name."""
        if self.state() == "another's":
            raise OutputExistsError(
                "exists, and is not as aecodec wrote it: it is left alone (move it away first)"
            )

    def write(self) -> bool:
        """Write the file, and the folders to it; false if it is there already as it should be.

        Raises OutputError; then no new folder stays.
        """
        old = _Mark.of(Path(self.path).read_text("utf-8")) if self.state() == "ours" else None
        if old is not None and old.digest == _digest(self.text):
            return False
        made = _make_folders(os.path.dirname(self.path))
        mark = _Mark(_digest(self.text), len(made) if old is None else old.folders)
        try:
            with files.writing(self.path, force=True) as file:
                file.write((self.text + mark.line(self.name)).encode())
        except BaseException:
            _remove_folders(made)
            raise
        return True

    def remove(self) -> list[str]:
        """Remove the file, which is ours, and the folders that were made for it and are empty now.

        Returns the notes of `refresh`. Raises OutputError.
        """
        try:
            mark = _Mark.of(Path(self.path).read_text("utf-8"))
            os.unlink(self.path)
        except OSError as error:
            raise OutputError(f"cannot be removed: {files.reason(error)}") from None
        notes = refresh(self.folder, (self.name,))
        if mark is not None:
            folders = [str(up) for up in list(Path(self.path).parents)[: mark.folders]]
            _remove_caches(folders)
            _remove_folders(folders)
        return notes


# --- How a file is known again --------------------------------------------------------------------


@dataclass(frozen=True)
class _Mark:
    """What the last line of a file says."""

    digest: str
    """SHA-256, in hexadecimal, of the lines above."""
    folders: int
    """How many folders above the file were made for it."""

    def line(self, name: str) -> str:
        """The line, as a comment of the file's format."""
        text = (
            f"Written by aecodec desktop install; folders made for it: {self.folders};"
            f" SHA-256 of the lines above: {self.digest}"
        )
        return f"<!-- {text} -->\n" if name.endswith((".xml", ".svg")) else f"# {text}\n"

    @classmethod
    def of(cls, text: str) -> _Mark | None:
        """The mark of a text; None if it has none, or if the text was changed since."""
        found = re.fullmatch(
            r"(.*\n)(?:<!--|#) Written by aecodec desktop install; folders made for it: (\d{1,2});"
            r" SHA-256 of the lines above: ([0-9a-f]{64})(?: -->)?\n",
            text,
            re.DOTALL,
        )
        if found is None or _digest(found[1]) != found[3]:
            return None
        return cls(found[3], int(found[2]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _make_folders(folder: str) -> list[str]:
    """Make a folder and those above it; those that were not there, the lowest first."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        try:
            os.mkdir(path)
        except OSError as error:
            raise OutputError(f"cannot make {files.shown(path)}: {files.reason(error)}") from None
    return missing


def _remove_folders(folders: Sequence[str]) -> None:
    """Remove the folders that are empty, in this order."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


# --- The desktop's own caches ---------------------------------------------------------------------

_CACHES: Final = {
    "mime": ("update-mime-database", "shared-mime-info"),
    "applications": ("update-desktop-database", "desktop-file-utils"),
}
"""By the folder in DATA: the program that makes its cache, and the package that brings it."""
_MIME_CACHE: Final = (
    *("XMLnamespaces", "aliases", "generic-icons", "globs", "globs2", "icons", "magic"),
    *("mime.cache", "subclasses", "treemagic", "types", "version"),
)
"""What update-mime-database writes besides a folder for each kind of type."""


def refresh(folder: str, names: Sequence[str]) -> list[str]:
    """Have the caches made anew that concern these files below a data folder.

    Returns a note for each program that is missing or fails: the desktop runs it some day.
    """
    notes = []
    kinds = {name.partition("/")[0] for name in names}
    for kind, (program, package) in _CACHES.items():
        place = os.path.join(folder, kind)
        if kind not in kinds or not os.path.isdir(place):
            continue
        if shutil.which(program) is None:
            notes.append(
                f"{program} is not installed (package {package}): run it on {files.shown(place)}"
            )
            continue
        done = subprocess.run([program, place], capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = " ".join(done.stderr.split())[:200]
            notes.append(f"{program} failed on {files.shown(place)}: {files.shown(said)}")
    if "icons" in kinds:  # by the specification, a newer folder makes the caches of icons void
        with contextlib.suppress(OSError):
            os.utime(os.path.join(folder, "icons", "hicolor"))
    return notes


def _remove_caches(folders: Sequence[str]) -> None:
    """Remove the caches in folders that install made, if they describe nothing any more."""
    for folder in folders:
        name = os.path.basename(folder)
        if name == "mime" and not os.listdir(os.path.join(folder, "packages")):
            for cache in _MIME_CACHE:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, cache))
            _remove_folders([os.path.join(folder, kind) for kind in ("packages", "image")])
        elif name == "applications" and os.listdir(folder) == ["mimeinfo.cache"]:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, "mimeinfo.cache"))


# --- What is installed ----------------------------------------------------------------------------


def entries(folder: str, command: str) -> list[Entry]:
    """The files of a data folder by which the desktop runs the program at the path `command`."""
    kind = MIME_TYPE.replace("/", "-")
    program, quoted = _escaped(command), _escaped(_quoted(command))
    if "%" in command:  # GLib looks for the program before it makes %% a single one
        quoted = f"env {quoted}"
    thumbnailer = (
        "[Thumbnailer Entry]\n"
        f"TryExec={program}\n"
        f"Exec={quoted} desktop thumbnail --size %s -- %i %o\n"
        f"MimeType={MIME_TYPE};\n"
    )
    viewer = (
        "[Desktop Entry]\n"
        "Type=Application\n"
        "Name=View AEC Picture\n"
        "Name[de]=AEC-Bild ansehen\n"
        "Comment=Decodes the picture and shows it in the viewer for PNG\n"
        "Comment[de]=Dekodiert das Bild und zeigt es im Betrachter für PNG\n"
        f"Icon={kind}\n"
        f"TryExec={program}\n"
        f"Exec={quoted} desktop open -- %F\n"
        f"MimeType={MIME_TYPE};\n"
        "Categories=Graphics;Viewer;\n"
        "NoDisplay=true\n"
        "StartupNotify=true\n"
    )
    return [
        Entry(folder, "mime/packages/aecodec.xml", _TYPE),
        Entry(folder, f"icons/hicolor/scalable/mimetypes/{kind}.svg", _PICTURE),
        Entry(folder, "thumbnailers/aecodec.thumbnailer", thumbnailer),
        Entry(folder, "applications/aecodec-open.desktop", viewer),
    ]


def _quoted(argument: str) -> str:
    """An argument of a key Exec, as the Desktop Entry Specification quotes it."""
    doubled = argument.replace("%", "%%")
    if re.fullmatch(r"[\w@%+=:,./-]+", argument, re.ASCII):
        return doubled
    return '"' + re.sub(r'(["`$\\])', r"\\\1", doubled) + '"'


def _escaped(value: str) -> str:
    """The value of a key that is a string."""
    return value.replace("\\", "\\\\")


def check_system() -> None:
    """Raise AecodecError on systems whose desktops do not know these entries."""
    if not (sys.platform == "linux" or "bsd" in sys.platform):
        name = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)
        raise AecodecError(f"this is for the desktops of Linux, and there is none on {name}")


def users_folder() -> str:
    """The user's data folder: $XDG_DATA_HOME, or ~/.local/share."""
    given = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(given):  # by the specification, a relative one is not valid
        return os.path.normpath(given)
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise OutputError("the user has no home folder: set HOME or XDG_DATA_HOME")
    return os.path.join(home, ".local", "share")


def check_place(entries: Sequence[Entry]) -> None:
    """Raise OutputError if some file could not be written or removed, before any is."""
    for entry in entries:
        folder = os.path.dirname(entry.path)
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            raise OutputError(f"{files.shown(folder)} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            root = " (--system needs root)" if entry.folder == SYSTEM else ""
            raise OutputError(f"no permission to write in {files.shown(folder)}{root}")


def command_path() -> str:
    """The path of the command `aecodec` of this very installation.

    Raises AecodecError if there is none, or if its name has what no desktop entry can hold.
    """
    for path in _candidates():
        if os.path.isfile(path) and os.access(path, os.X_OK):
            break
    else:
        raise AecodecError(
            f"there is no command aecodec beside {files.shown(sys.executable)}, which the desktop"
            " could run: install aecodec with pip"
        )
    if not path.isprintable() or ("%" in path and "=" in path):
        raise AecodecError(f"{files.shown(path)}: a desktop entry cannot name such a path")
    return path


def _candidates() -> Iterator[str]:
    if getattr(sys, "frozen", False):
        yield os.path.abspath(sys.executable)
        return
    # First what was called: it may be a link that stays when the installation moves, as pipx has.
    if os.path.basename(sys.argv[0]) == "aecodec":
        yield os.path.abspath(sys.argv[0])
    yield os.path.join(sysconfig.get_path("scripts"), "aecodec")
    with contextlib.suppress(KeyError):
        yield os.path.join(sysconfig.get_path("scripts", f"{os.name}_user"), "aecodec")


def outside_sandbox(command: str) -> str | None:
    """A folder of this installation that gnome-desktop's sandbox hides; None if there is none."""
    for path in (command, sys.executable, sys.prefix, sys.base_prefix, __file__):
        for seen in (os.path.abspath(path), os.path.realpath(path)):
            if os.path.commonpath([seen, SANDBOX]) != SANDBOX:
                return os.path.dirname(seen) if os.path.isfile(seen) else seen
    return None
