"""The commands that use latents for more than storing pictures.

Light to import: `aecodec --help` imports this module.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from aecodec import files
from aecodec.cli.console import EXIT_SOME_FAILED, Report, echo
from aecodec.cli.options import (
    FileName,
    Number,
    Whole,
    device_option,
    given,
    pixels_option,
    threads_option,
)
from aecodec.errors import AecodecError, InputError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from aecodec.arrays import Floats, Pixels
    from aecodec.codec import Codec
    from aecodec.image.picture import Picture
    from aecodec.uses.descriptors import Thumbnail
    from aecodec.uses.odd import Observation, Usual
    from aecodec.uses.similar import Index

# Before click 8.4 its types are not generic.
if TYPE_CHECKING:
    SizeType = click.ParamType[tuple[int, int]]
else:
    SizeType = click.ParamType

MOST_DREAMT = 8192
"""Pixels of a side of a picture from the prior."""

__all__ = ["dream", "mend", "odd", "similar"]


def _pictures(folder: str) -> Iterator[tuple[str, str, AecodecError | None]]:
    """The .aec files and the other pictures in a folder and below it: key, path, fault."""
    from aecodec.batch.select import Fault, Note, Selection

    inside = os.path.join(folder, "")
    said: set[str] = set()  # what is no picture of either kind comes twice
    for naming in (files.RESTORED, files.COMPRESSED):
        for item in Selection((folder,), None, naming, recursive=True):
            if isinstance(item, Fault | Note):
                if item.source in said:
                    continue
                said.add(item.source)
            if isinstance(item, Note):
                echo(f"aecodec: {files.shown(item.source)}: {item.text}", None, err=True)
                continue
            key = item.source.removeprefix(inside)
            yield key, item.source, item.error if isinstance(item, Fault) else None


@click.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True)
@click.option(
    "--query", metavar="FILE", help="Find the pictures that are most like this one, best first."
)
@click.option(
    "-n",
    "--count",
    type=Whole(1),
    default=10,
    show_default=True,
    help="How many pictures --query names at most.",
)
@click.option(
    "--threshold",
    type=Number(0.0, 1.0),
    default=0.8,
    show_default=True,
    help="How alike copies are at least; 1 is the same.",
)
@click.option(
    "--no-index",
    is_flag=True,
    help="Keep nothing for the next run. Else each folder gets an SQLite file, and the next run"
    " reads new and changed pictures alone.",
)
@threads_option("Threads to read pictures with.  [default: the cores]")
@pixels_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per group or picture.")
def similar(
    folders: tuple[str, ...],
    query: str | None,
    count: int,
    threshold: float,
    no_index: bool,
    threads: int | None,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Find copies of pictures: halved, recompressed, cut, framed, turned or mirrored.

    Takes .aec files and other pictures of folders and their subfolders. Of an .aec file it reads
    the hyperlatents alone, and runs no network.
    """
    from aecodec.machine import cores
    from aecodec.uses.descriptors import of_file, variants
    from aecodec.uses.similar import groups, nearest

    if given("count") and query is None:
        raise click.UsageError("--count says how many pictures --query names: give both")
    threads = threads or cores()
    read = functools.partial(of_file, max_pixels=max_pixels, threads=1)
    with Report(1, as_json, progress=False) as report:
        paths: list[str] = []
        parts: list[Floats] = []
        for folder in folders:
            with report.file(folder):
                found, views = _described(folder, report, read, keep=not no_index, threads=threads)
                paths += found
                parts.append(views)
        if not parts:
            return report.exit_code
        import numpy as np

        every = np.concatenate(parts)
        own = _distinct(paths)
        every, paths = every[own], [paths[place] for place in own]
        if query is None:
            _show_groups(groups(every, paths, threshold), len(paths), report)
            return report.exit_code
        with report.file(query):
            if not os.path.isfile(query):
                raise InputError("no such file")
            wanted = variants([of_file(query, max_pixels=max_pixels, threads=threads)])[0]
            for path, alike in nearest(every, paths, wanted, count):
                values = {
                    "path": path,
                    "likeness": round(alike, 4),
                    "copy": alike >= threshold,
                }
                mark = "  copy" if alike >= threshold else ""
                report.result(f"{alike:.3f}  {files.shown(path)}{mark}", values)
    return report.exit_code


def _distinct(paths: Sequence[str]) -> list[int]:
    """The places of paths to different files; of a file with several, the first that is no link.

    A file is no copy of itself: whoever deletes all copies but one would lose it.
    """
    first: dict[object, int] = {}
    for place, path in enumerate(paths):
        known: object = path
        with contextlib.suppress(OSError):
            status = os.stat(path)
            known = status.st_dev, status.st_ino
        before = first.setdefault(known, place)
        if os.path.islink(paths[before]) and not os.path.islink(path):
            first[known] = place
    return sorted(first.values())


def _show_groups(found: Sequence[Any], count: int, report: Report) -> None:
    for number, group in enumerate(found, 1):
        lines = [f"group {number}: {len(group.members)} pictures"]
        lines += [f"  {near.likeness:.3f}  {files.shown(near.path)}" for near in group.members]
        members = [{"path": n.path, "likeness": round(n.likeness, 4)} for n in group.members]
        report.result("\n".join(lines), {"group": number, "members": members})
    if not found:
        report.say(f"{count} picture{'s' * (count != 1)}, and no copies among them")


def _described(
    folder: str, report: Report, read: Callable[[str], Thumbnail], *, keep: bool, threads: int
) -> tuple[list[str], Floats]:
    """The paths and the descriptors of a folder's pictures."""
    if not os.path.isdir(folder):
        raise InputError("is no folder" if os.path.exists(folder) else "no such folder")

    def failed(path: str, error: AecodecError) -> None:
        with report.file(path):
            raise error

    def sources() -> Iterator[tuple[str, str]]:
        for key, path, fault in _pictures(folder):
            if fault is None:
                yield key, path
            else:
                failed(path, fault)

    with _index(folder, report, keep) as index:
        index.update(sources(), failed, read=read, threads=threads)
        if index.fault is not None:
            _say_that_nothing_is_kept(folder, index.fault, report)
        keys, views = index.read()
    if not keys:
        raise InputError("there is no picture in this folder that can be read")
    return [os.path.join(folder, key) for key in keys], views


def _say_that_nothing_is_kept(folder: str, fault: OutputError, report: Report) -> None:
    report.say(f"{files.shown(folder)}: note: nothing new is kept for the next run: {fault}")


@contextlib.contextmanager
def _index(folder: str, report: Report, keep: bool) -> Iterator[Index]:
    """The index of a folder; in memory where none can be written."""
    from aecodec.uses.similar import INDEX, Index

    path = os.path.join(folder, INDEX) if keep else None
    try:
        found = Index(path)
    except OutputError as error:
        _say_that_nothing_is_kept(folder, error, report)
        found = Index(None)
    with found:
        yield found


picture_output_option = click.option(
    "-o",
    "--output",
    type=FileName(),
    metavar="PICTURE",
    required=True,
    help="The picture to write, such as a PNG.",
)


@click.command()
@click.argument("damaged", metavar="DAMAGED.aec")
@picture_output_option
@click.option(
    "--mask",
    metavar="FILE",
    help="Write a grey picture: white where the picture is drawn from its surroundings, grey where"
    " it is nearly right, black where it is exact.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing outputs.")
@threads_option("Threads to decode with.  [default: the cores]")
@device_option
@pixels_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def mend(
    damaged: str,
    output: str,
    mask: str | None,
    force: bool,
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Save what is whole of a damaged .aec file.

    Whole tiles come back bit for bit. Missing ones are drawn from what surrounds them, and named.
    The exit code is 1 if anything is missing, and 0 if the file is whole.
    """
    from aecodec.image.picture import to_pil
    from aecodec.image.save import save
    from aecodec.uses.mend import mend as mended

    names = [output] if mask is None else [output, mask]
    try:
        formats = [files.picture_format(name) for name in names]
    except files.UsageFault as fault:
        raise click.UsageError(str(fault)) from None
    if mask is not None and os.path.realpath(mask) == os.path.realpath(output):
        raise click.UsageError("-o and --mask name one file")
    with _report(names, as_json) as report, report.file(damaged, target=output):
        inputs = files.identities([damaged])
        for name in names:
            files.check_output(name, force=force, inputs=inputs)
        found = mended(_all_of(damaged), max_pixels=max_pixels, threads=threads or 0, device=device)
        grey = to_pil(found.mask[..., None].repeat(3, axis=2), "L")
        pictures = [found.image, grey]
        for name, format_, picture in zip(names, formats, pictures, strict=False):
            with files.writing(name, force=force, mode=files.mode_of(damaged)) as file:
                for note in save(picture, file, format_):
                    report.say(f"{files.shown(damaged)}: note: {note}")
        for number, box in zip(found.missing, found.boxes, strict=True):
            place = f"{box.w} x {box.h} pixels at {box.x},{box.y}"
            report.say(f"{files.shown(damaged)}: tile {number} is lost: {place}")
        if found.lost:
            report.say(f"{files.shown(damaged)}: lost: {', '.join(found.lost)}")
        exact = float((found.mask == 0).mean())
        values = {
            "source": damaged,
            "target": output,
            "tiles": found.tiles,
            "missing": [
                {"tile": number, "x": box.x, "y": box.y, "width": box.w, "height": box.h}
                for number, box in zip(found.missing, found.boxes, strict=True)
            ],
            "lost": list(found.lost),
            "exact": exact,
            "whole": found.whole,
        }
        right = found.tiles - len(found.missing)
        report.result(
            f"{files.shown(damaged)} -> {files.shown(output)}  {right} of {found.tiles} tiles are"
            f" whole, {100 * exact:.1f} % of the pixels exact",
            values,
        )
        if not found.whole:
            report.exit_code = EXIT_SOME_FAILED
    return report.exit_code


def _report(outputs: Sequence[str], as_json: bool) -> Report:
    """The report of a command that writes pictures: no line of it gets between their bytes."""
    return Report(1, as_json, progress=False, results_on_stderr=files.STDIO in outputs)


def _all_of(source: str) -> bytes:
    """The bytes of a damaged file: more than its header says, if there are more."""
    from aecodec.errors import LimitError

    data = files.read_picture(source)
    if isinstance(data, bytes):
        return data
    if os.path.getsize(data) > files.MAX_STREAM_BYTES:
        raise LimitError(f"longer than {files.MAX_STREAM_BYTES >> 30} GiB")
    try:
        with open(data, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"cannot be read: {files.reason(error)}") from None


@click.command()
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--normal",
    metavar="FOLDER",
    help="Usual pictures to compare with.  [default: the pictures of FOLDER that are most alike]",
)
@click.option(
    "-n",
    "--count",
    type=Whole(1),
    default=20,
    show_default=True,
    help="How many pictures to name at most, the oddest first.",
)
@click.option(
    "--heat",
    metavar="FOLDER",
    help="Write a picture of each of them into this folder, with its odd parts in red.",
)
@click.option("-f", "--force", is_flag=True, help="Write into a --heat folder that is not empty.")
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    help="The weights to use (see: aecodec models).  [default: those for PSNR]",
)
@threads_option("Threads to compute with.  [default: the cores]")
@device_option
@pixels_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture.")
def odd(
    folder: str,
    normal: str | None,
    count: int,
    heat: str | None,
    force: bool,
    model: str | None,
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Rank pictures by how unlike the others they are: broken ones first.

    A score above 1 is odder than 98 % of usual pictures. The reason names what is odd.
    """
    from aecodec.codec import shared
    from aecodec.networks import weights
    from aecodec.uses.odd import Usual

    with Report(1, as_json, progress=False) as report, report.file(folder):
        if heat is not None:
            _check_heat(heat, folder, force)
        coder = shared(weights.by_name(model or weights.TUNED["psnr"]), threads or 0, device)
        seen = list(_observed(folder, report, coder, max_pixels, heat=heat))
        if not seen:
            raise InputError("there is no picture in this folder that can be read")
        if normal is None:
            usual = Usual([observation for _, observation in seen], mixed=True)
        else:
            known = _observed(normal, report, coder, max_pixels, heat=heat)
            usual = _usual(normal, [found for _, found in known])
        judged = [(usual.judge(observation), path) for path, observation in seen]
        judged.sort(key=lambda found: -found[0].score)
        for number, (judgement, path) in enumerate(judged[:count], 1):
            values = {
                "path": path,
                "score": round(judgement.score, 3),
                "reason": judgement.reason,
                "figures": {name: round(value, 3) for name, value in judgement.figures.items()},
            }
            with report.file(path):
                if heat is not None:
                    values["heat"] = _write_heat(heat, number, path, judgement.heat, max_pixels)
                report.result(
                    f"{judgement.score:6.2f}  {files.shown(path)}  {judgement.reason}", values
                )
    return report.exit_code


def _usual(normal: str, observations: Sequence[Observation]) -> Usual:
    """What is usual by the folder `--normal`, which is named where it cannot say that."""
    from aecodec.uses.odd import Usual

    try:
        return Usual(observations)
    except InputError as error:
        raise InputError(f"--normal {files.shown(normal)}: {error}") from None


def _check_heat(heat: str, folder: str, force: bool) -> None:
    """Refuse a folder for `--heat` that cannot or must not be written into, before any work."""
    if os.path.realpath(heat) == os.path.realpath(folder):
        raise OutputError("--heat is the folder of the pictures: name another one")
    if not os.path.lexists(heat):
        return
    if not os.path.isdir(heat):
        raise OutputError(f"{files.shown(heat)} is no folder")
    if not force and os.listdir(heat):
        raise OutputExistsError(f"{files.shown(heat)} is not empty: -f writes into it")


def _observed(
    folder: str, report: Report, coder: Codec, max_pixels: int, *, heat: str | None
) -> Iterator[tuple[str, Observation]]:
    """The pictures of a folder, as paths and what is kept of them; but for those in `heat`."""
    from aecodec.uses.odd import observe

    if not os.path.isdir(folder):
        raise InputError(f"{files.shown(folder)} is no folder")
    made = None if heat is None else os.path.join(os.path.realpath(heat), "")
    if made is not None and not made.startswith(os.path.join(os.path.realpath(folder), "")):
        made = None
    left_out = 0
    for _, path, fault in _pictures(folder):
        if made is not None and os.path.realpath(path).startswith(made):
            left_out += 1
            continue
        with report.file(path):
            if fault is not None:
                raise fault
            yield path, observe(_pixels_of(path, max_pixels), coder)
    if heat is not None and left_out:
        files_ = f"{left_out} picture{'s' * (left_out != 1)}"
        report.say(f"{files.shown(heat)}: note: {files_} of this folder are not looked at")


def _pixels_of(path: str, max_pixels: int) -> Pixels:
    """The pixels (H,W,3) of an .aec file or another picture."""
    from aecodec.bench.compared import picture_of

    return picture_of(path, max_pixels=max_pixels).rgb


def _write_heat(folder: str, number: int, path: str, heat: Floats, max_pixels: int) -> str:
    """Write a picture with its odd parts in red, and return its name."""
    import numpy as np

    from aecodec.image.picture import to_pil
    from aecodec.image.save import save
    from aecodec.image.small import shrunk

    small = shrunk(_pixels_of(path, max_pixels), 512)
    height, width = small.shape[:2]
    redness = np.clip(heat, 0.0, 2.0).repeat(64, axis=0).repeat(64, axis=1)[:height, :width] / 2.0
    grey = small.mean(axis=2, keepdims=True) * 0.7
    red = np.array([255.0, 30.0, 0.0])
    shown = grey + (0.7 * redness[..., None]) * (red - grey)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {files.shown(folder)}: {files.reason(error)}") from None
    stem = os.path.splitext(os.path.basename(path))[0]
    target = os.path.join(folder, _shortened(f"{number:03d}-{stem}", ".png"))
    with files.writing(target, force=True, mode=0o644) as file:
        save(to_pil(np.rint(shown).astype(np.uint8), "RGB"), file, "PNG")
    return target


def _shortened(stem: str, suffix: str) -> str:
    """A file's name that file systems take: of 255 bytes at most."""
    while len(os.fsencode(stem + suffix)) > 255:
        stem = stem[:-1]
    return stem + suffix


class _Size(SizeType):
    """WIDTHxHEIGHT in pixels."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        sides = [int(side) if side.isdecimal() and len(side) < 6 else 0 for side in (width, height)]
        if not all(0 < side <= MOST_DREAMT for side in sides):
            self.fail(f"{value!r} is not a size: give 512x384; a side has at most {MOST_DREAMT}")
        return sides[0], sides[1]


@click.command()
@picture_output_option
@click.option("--size", type=_Size(), default="512x384", show_default=True, help="Of the picture.")
@click.option(
    "-q",
    "--quality",
    type=Whole(1, 100),
    default=75,
    show_default=True,
    help="Of the latents: more is finer.",
)
@click.option(
    "--seed", type=Whole(0), default=0, show_default=True, help="Another seed, another picture."
)
@click.option("--like", metavar="FILE", help="Vary this picture. The size is then its own.")
@click.option(
    "--strength",
    type=Number(0.0, 10.0),
    default=0.5,
    show_default=True,
    help="How far --like goes: 0 is the picture, 1 a strong change.",
)
@click.option("-m", "--model", metavar="NAME", help="The weights to use (see: aecodec models).")
@click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
@threads_option("Threads to compute with.  [default: the cores]")
def dream(
    output: str,
    size: tuple[int, int],
    quality: int,
    seed: int,
    like: str | None,
    strength: float,
    model: str | None,
    force: bool,
    threads: int | None,
) -> int:
    """Draw a picture from the prior, or vary one.

    These are textures and variations. The prior knows how latents vary, and nothing of objects:
    this is no picture generator.
    """
    from aecodec.image.save import save
    from aecodec.uses.dream import draw, variation

    if like is not None and (given("size") or given("quality")):
        raise click.UsageError("--size and --quality are for pictures without --like")
    if like is None and given("strength"):
        raise click.UsageError("--strength says how far --like goes: give both")
    try:
        format_ = files.picture_format(output)
    except files.UsageFault as fault:
        raise click.UsageError(str(fault)) from None
    with _report([output], as_json=False) as report, report.file(like or output):
        inputs = files.identities([like] if like else [])
        files.check_output(output, force=force, inputs=inputs)
        if like is None:
            picture = draw(*size, quality=quality, seed=seed, model=model, threads=threads or 0)
        else:
            from aecodec.image.load import load

            source = load(files.read_picture(like))
            for note in (*source.notes, *_left_out(source)):
                report.say(f"{files.shown(like)}: note: {note}")
            picture = variation(source, strength, seed, model=model, threads=threads or 0)
        with files.writing(output, force=force, mode=0o666) as file:
            for note in save(picture, file, format_):
                report.say(f"{files.shown(output)}: note: {note}")
        report.result(f"{files.shown(output)}  {picture.width} x {picture.height}", {})
    return report.exit_code


def _left_out(source: Picture) -> list[str]:
    """What is said of the metadata that a variation does not keep."""
    kinds = [name for name, value in source.metadata.items() if value and name != "icc"]
    named = ", ".join(kind.replace("_", " ") for kind in kinds)
    return [f"a variation has no metadata but the colour profile: without {named}"] * bool(kinds)
