"""The commands `aecodec desktop`: .aec files in the file managers and viewers of Linux.

Light to import: `aecodec --help` imports this module.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

import click

from aecodec import conversion, files, machine
from aecodec.cli.console import Report
from aecodec.cli.options import Whole, pixels_option, threads_option
from aecodec.errors import describe

if TYPE_CHECKING:
    from aecodec.uses.viewing import Copies

__all__ = ["desktop"]


@click.group()
def desktop() -> None:
    """Make a Linux desktop know .aec files: type, icon, thumbnails, opening."""


system_option = click.option(
    "--system", is_flag=True, help="For all users, in /usr/local/share; needs root."
)


@desktop.command()
@system_option
def install(system: bool) -> int:
    """Install MIME type, icon, thumbnailer and an entry to open .aec files.

    Without --system for this user alone, in $XDG_DATA_HOME. Each file that is written is named.
    Another's file of the same name is left alone. The default applications of other types stay.
    """
    from aecodec.uses import desktop as lib

    with Report(1, as_json=False, progress=False) as report, _readable_by_all(system):
        with report.file("desktop"):
            lib.check_system()
            command = lib.command_path()
            entries = lib.entries(lib.SYSTEM if system else lib.users_folder(), command)
            lib.check_place(entries)
        if report.exit_code:
            return report.exit_code
        others = [entry for entry in entries if entry.state() == "another's"]
        for entry in others:
            with report.file(entry.path):
                entry.check()
        if others:
            return report.exit_code
        for entry in entries:
            with report.file(entry.path):
                state = "written" if entry.write() else "is there already"
                report.result(f"{files.shown(entry.path)}: {state}", {})
        for note in lib.refresh(entries[0].folder, [entry.name for entry in entries]):
            report.say(f"aecodec: note: {note}")
        if (hidden := lib.outside_sandbox(command)) is not None:
            report.say(
                "aecodec: note: GNOME's Files shows no thumbnails of .aec: its sandbox sees only"
                f" {lib.SANDBOX}, and aecodec is in {files.shown(hidden)} (docs/desktop.md)"
            )
    return report.exit_code


@desktop.command()
@system_option
def remove(system: bool) -> int:
    """Remove what install wrote, and nothing else.

    A file that was changed since, or that another wrote, is left alone and named.
    """
    from aecodec.uses import desktop as lib

    with Report(1, as_json=False, progress=False) as report, _readable_by_all(system):
        with report.file("desktop"):
            lib.check_system()
            folder = lib.SYSTEM if system else lib.users_folder()
            entries = [e for e in lib.entries(folder, "aecodec") if e.state() != "absent"]
            lib.check_place(entries)
            if not entries:
                report.result(f"there is nothing to remove in {files.shown(folder)}", {})
        if report.exit_code:
            return report.exit_code
        for entry in reversed(entries):  # the first may have made the folders of all
            if entry.state() == "another's":
                left = "note: it is not as aecodec wrote it, and is left alone"
                report.say(f"aecodec: {files.shown(entry.path)}: {left}")
                continue
            with report.file(entry.path):
                notes = entry.remove()
                report.result(f"{files.shown(entry.path)}: removed", {})
                for note in notes:
                    report.say(f"aecodec: note: {note}")
    return report.exit_code


@contextlib.contextmanager
def _readable_by_all(system: bool) -> Iterator[None]:
    """Around writing for all users: root's umask may withhold what others need."""
    old = os.umask(0o022)
    if not system:
        os.umask(old)
    try:
        yield
    finally:
        os.umask(old)


# --------------------------------------------------------------------- what the desktop calls


@desktop.command()
@click.argument("source", metavar="INPUT")
@click.argument("target", metavar="OUTPUT")
@click.option(
    "--size",
    type=Whole(1, 4096),
    default=256,
    show_default=True,
    metavar="PIXELS",
    help="Of the longer side, at most.",
)
@threads_option("Threads to decode with.  [default: the cores]")
@pixels_option
def thumbnail(source: str, target: str, size: int, threads: int | None, max_pixels: int) -> int:
    """Write a thumbnail of an .aec file, as file managers ask for it.

    It is a PNG in sRGB, without metadata, and takes the place of what is in OUTPUT. A small picture
    is not enlarged.
    """
    from aecodec.uses import viewing

    with Report(1, as_json=False, progress=False) as report, report.file(source, target=target):
        machine.require(machine.LEAST)
        files.check_output(target, force=True, inputs=files.identities([source]))
        data = files.read_compressed(source)
        made = viewing.thumbnail(data, size, max_pixels=max_pixels, threads=threads or 0)
        # tumbler holds the file open, and reads what is in it then.
        files.fill(target, made, mode=files.mode_of(source))
    return report.exit_code


@desktop.command("open")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@threads_option("Threads to decode with.  [default: the cores]")
@pixels_option
def open_(inputs: tuple[str, ...], threads: int | None, max_pixels: int) -> int:
    """Show .aec files in the desktop's default viewer for PNG.

    The viewer gets read-only copies in a temporary folder of this user. They are removed when a
    picture is opened a day later or more, or with the system's temporary files. The .aec files
    stay as they are.
    """
    from aecodec.uses import desktop as lib
    from aecodec.uses import viewing

    how = conversion.Decompression(conversion.Run(threads or 0, max_pixels=max_pixels))
    shown = False
    with Report(len(inputs), as_json=False) as report:
        with report.file("desktop"):
            lib.check_system()
            copies = viewing.Copies()
        if report.exit_code:
            return report.exit_code
        try:
            for source in inputs:
                with _noticed(report, source):
                    _copy(source, copies, how, report)
            if copies.pictures:
                with _noticed(report, "desktop"):
                    viewing.show(copies.pictures)
                    shown = True
        finally:
            if not shown:
                copies.discard()
    return report.exit_code


class _ReadOnly(conversion.Here):
    """Outputs that nobody but the user may read, and nobody may change."""

    def writing(
        self, job: files.Job, source: conversion.Source
    ) -> AbstractContextManager[BinaryIO]:
        """See `conversion.Storage`."""
        return files.writing(job.target, force=False, mode=0o400, sync_name=False)


def _copy(source: str, copies: Copies, how: conversion.Decompression, report: Report) -> None:
    job = files.Job(source, copies.name_for(source))
    for note in conversion.convert(job, how, _ReadOnly()).notes:
        report.say(f"{files.shown(source)}: note: {note}")
    copies.pictures.append(job.target)
    report.result(f"{files.shown(source)} -> {files.shown(job.target)}", {})


@contextlib.contextmanager
def _noticed(report: Report, source: str) -> Iterator[None]:
    """Around the work on one file: a fault is shown on the desktop, too, if nobody sees it here."""
    with report.file(source):
        try:
            yield
        except Exception as error:
            if not sys.stderr.isatty():
                from aecodec.uses import viewing

                viewing.notify(files.shown(os.path.basename(source)), describe(error))
            raise
