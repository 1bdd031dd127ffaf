"""The commands `aecodec bench` and `aecodec compare`: options, messages and exit codes.

Light to import, because `aecodec --help` imports this module. The commands import what they need
when they run. Where the extra `bench` is missing, they say so in one line.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aecodec import files
from aecodec.cli.console import Report, needs_extra, size
from aecodec.cli.options import (
    FileName,
    device_option,
    pixels_option,
    threads_option,
    tune_option,
)
from aecodec.errors import AecodecError, InputError, OutputError
from aecodec.networks.weights import TUNED

if TYPE_CHECKING:
    from aecodec.bench.codecs import Codec
    from aecodec.bench.compared import Compared, Original
    from aecodec.bench.comparison import Comparison
    from aecodec.bench.curves import Measured
    from aecodec.bench.measure import Store
    from aecodec.bench.pictures import Photograph
    from aecodec.bench.scenes import Scene

__all__ = ["bench", "compare"]

RESULTS = "aecodec-bench.jsonl"

F = TypeVar("F", bound=Callable[..., Any])


def _file(*names: str, text: str) -> Callable[[F], F]:
    return click.option(*names, type=FileName(), metavar="FILE", help=text)


@click.command()
@click.argument("pictures", type=FileName(), metavar="[FOLDER|FILE]...", nargs=-1)
@click.option(
    "--codecs",
    metavar="NAMES",
    default="aecodec,jpeg,webp,avif,avif-psnr,avif-ssimulacra2,jxl,jpeg2000",
    show_default=True,
    help="Names with commas. Others: jpeg444; klt (block PCA); aecodec-zstd (the same latents"
    " without the learned entropy model); aecodec:MODEL, aecodec:MODEL@EFFORT.",
)
@tune_option
@click.option(
    "--anchor",
    metavar="NAME",
    default="jpeg",
    show_default=True,
    help="The codec that BD-rates are against.",
)
@click.option("--points", type=click.IntRange(2), help="At most this many qualities of each codec.")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Repeats of each timing.",
)
@click.option(
    "--published",
    type=FileName(),
    metavar="PATH",
    multiple=True,
    help="Add the curves of a JSON file, or of a folder of them, in CompressAI's format.",
)
@click.option(
    "--results",
    type=FileName(),
    metavar="FILE",
    default=RESULTS,
    show_default=True,
    help="The file of measured points. A point that it holds is not measured again.",
)
@click.option("--again", is_flag=True, help="Measure the points of the results file again.")
@_file("--html", text="Write the report: one file, for any browser, without a network.")
@_file("--json", "json_file", text="Write curves and BD-rates.")
@_file("--csv", "csv_file", text="Write a line for each codec, picture and quality.")
@click.option(
    "--curves",
    "curves_folder",
    type=FileName(),
    metavar="FOLDER",
    help="Write a JSON file for each codec, in CompressAI's format.",
)
@click.option(
    "--show",
    metavar="NAMES|N",
    default="4",
    show_default=True,
    help="Pictures for the slider of the report: names with commas, or a number.",
)
@click.option(
    "--show-quality",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    help="Quality of aecodec in the slider. The other codecs get the same number of bytes.",
)
@click.option("-f", "--force", is_flag=True, help="Replace existing outputs.")
def bench(
    pictures: tuple[str, ...],
    codecs: str,
    tune: str | None,
    published: tuple[str, ...],
    **options: Any,
) -> int:
    """Compare aecodec with other codecs, by the bytes of whole files.

    Without pictures it runs on sample photographs. That is a smoke test and no verdict. Needs the
    extra `bench`.
    """
    names = list(
        dict.fromkeys(_tuned(name.strip(), tune) for name in codecs.split(",") if name.strip())
    )
    with (
        Report(1, as_json=False, progress=False) as report,
        report.file("bench"),
        needs_extra("bench"),
    ):
        _bench(report, pictures, names, published, options)
    return report.exit_code


def _bench(
    report: Report,
    sources: tuple[str, ...],
    names: Sequence[str],
    published: tuple[str, ...],
    options: dict[str, Any],
) -> None:
    from aecodec.bench import codecs, comparison, curves, measure, pictures
    from aecodec.cli import tables

    _refuse_unknown(names)
    paths = pictures.gather(sources) if sources else pictures.bundled()
    _check_outputs(names, options, files.identities(paths))
    _check_extra(options["html"])

    chosen: list[Codec] = []
    for name in names:
        try:
            chosen.append(codecs.find(name))
        except codecs.Unavailable as error:
            report.say(f"{name}: skipped: {error}")
    others = [
        curve
        for source in published
        for curve in curves.published(source, frozenset(codec.name for codec in chosen))
    ]
    if not chosen:
        raise AecodecError("none of the codecs is available here")
    overlaid = [curve.name for curve in others]
    _refuse_anchor(options["anchor"], [*(codec.name for codec in chosen), *overlaid])

    photographs = _read(report, sources, paths)
    if options["html"]:
        _shown(photographs, options["show"])  # a wrong name is found now
    store = measure.Store(options["results"], again=options["again"])
    store.check()
    _make_curves(options["curves_folder"])
    if store.damaged:
        results = files.shown(options["results"])
        report.say(f"note: {results}: {store.damaged} incomplete line(s) ignored")
    measured = _measure(report, chosen, photographs, store, options)
    if not measured:
        raise AecodecError("no codec could be measured")
    if options["anchor"] not in [*(codec.name for codec in measured), *overlaid]:
        anchor = options["anchor"]
        raise AecodecError(f"no BD-rates: {anchor} could not be measured; --anchor takes another")
    found = comparison.compare_all(
        photographs, measured, others, options["anchor"], measure.machine()
    )
    for note in found.notes():
        report.say(f"note: {note}")
    tables.show(found, _console(stderr=files.STDIO in _outputs(options)))
    _write(report, found, chosen, options)


def _read(report: Report, sources: Sequence[str], paths: Sequence[str]) -> list[Photograph]:
    """Read the pictures, and say what of them is left out. One that fails sets the exit code.

    Raises InputError where none can be read.
    """
    from aecodec.bench import comparison, pictures

    if not sources:
        report.say(
            "note: no pictures given: this is a smoke test on sample photographs, no verdict"
        )
    for source in sources:
        if os.path.isdir(source) and pictures.has_more_below(source):
            place = files.shown(source)
            report.say(f"note: {place}: pictures in its subfolders are left out")
    made: list[Photograph] = []
    for name, path in zip(pictures.names_of(paths), paths, strict=True):
        with report.file(path):
            made.append(pictures.read_one(path, name))
            for note in made[-1].notes:
                report.say(f"{files.shown(path)}: note: {note}")
    if not made:
        raise InputError("no picture could be read")
    if jpegs := [photograph.name for photograph in made if photograph.from_jpeg]:
        text = comparison.listed(jpegs)
        report.say(f"note: these pictures were stored as JPEG, which favours JPEG: {text}")
    return made


def _tuned(name: str, tune: str | None) -> str:
    """A codec's name with the weights that `--tune` chooses, where it names none itself."""
    kind, at, effort = name.partition("@")
    if tune is None or kind not in ("aecodec", "aecodec-zstd"):
        return name
    return f"{kind}:{TUNED[tune]}{at}{effort}"


def _check_outputs(
    names: Sequence[str], options: dict[str, Any], inputs: frozenset[files.Identity]
) -> None:
    """Refuse outputs that cannot be written, or that are one file, before anything is measured."""
    outputs = _outputs(options)
    folder = options["curves_folder"]
    curves = [_curve(folder, name) for name in names] if folder else []
    places = {os.path.realpath(options["results"])}
    for output in (*outputs, *curves):
        place = output if output == files.STDIO else os.path.realpath(output)
        if place in places:
            raise click.UsageError(f"{_called(output)} is given for two outputs")
        places.add(place)
        if output in outputs or os.path.lexists(folder):  # else that folder is made
            files.check_output(output, force=options["force"], inputs=inputs)


def _outputs(options: dict[str, Any]) -> list[str]:
    """The files to write, but for those of `--curves`."""
    return [options[name] for name in ("html", "json_file", "csv_file") if options[name]]


def _called(output: str) -> str:
    """How a message calls an output."""
    return "standard output" if output == files.STDIO else files.shown(output)


def _make_curves(folder: str | None) -> None:
    """Make the folder for `--curves` before anything is measured in vain. Raises OutputError."""
    if not folder:
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        name = files.shown(folder)
        raise OutputError(f"{name}: cannot be made: {files.reason(error)}") from error


def _put(report: Report, path: str, text: str, *, force: bool) -> None:
    """Write a file, and say how large it is."""
    data = text.encode("utf-8", "surrogateescape")  # names of files may be no UTF-8
    with files.writing(path, force=force) as file:
        file.write(data)
    report.say(f"{_called(path)}: {size(len(data))}")


def _curve(folder: str, codec: str) -> str:
    """The file in a folder for the curve of a codec."""
    name = codec.replace(":", "-").replace("@", "-effort")
    return os.path.join(folder, f"{name}.json")


def _check_extra(html: str | None) -> None:
    """Report a missing package now, not after an hour of measuring."""
    import bjontegaard  # noqa: F401

    if html:
        import jinja2  # noqa: F401


def _refuse_unknown(names: Sequence[str]) -> None:
    from aecodec.bench import codecs

    for name in names:
        if not codecs.known(name):
            raise click.UsageError(
                f"no codec called {name!r}: choose from {', '.join(codecs.KINDS)}"
            )
        kind, at, effort = name.partition("@")
        if at and kind.startswith("aecodec") and effort not in codecs.EFFORTS:
            raise click.UsageError(f"{name}: effort must be 1 to 9, not {effort!r}")
    if not names:
        raise click.UsageError("--codecs names no codec")


def _refuse_anchor(anchor: str, there: Sequence[str]) -> None:
    if anchor not in there:
        raise click.UsageError(
            f"--anchor {anchor} is not among the compared codecs: {', '.join(there)}"
        )


def _measure(
    report: Report,
    chosen: Sequence[Codec],
    photographs: Sequence[Photograph],
    store: Store,
    options: dict[str, Any],
) -> list[Measured]:
    """Measure every codec on every picture. A codec that fails is left out, and sets the exit code.

    Raises OutputError if the results file cannot be written.
    """
    import dataclasses

    from aecodec.bench import measure
    from aecodec.bench.curves import Measured

    largest = max(photographs, key=lambda photograph: photograph.pixels)
    unkept: OutputError | None = None

    def measured(codec: Codec, advance: Any) -> Measured:
        points = {}
        for photograph in photographs:
            advance(f"{codec.name} {photograph.name}", 0)
            points[photograph.name] = list(
                measure.measure(
                    codec,
                    photograph,
                    store,
                    repeats=options["repeats"],
                )
            )
            advance(f"{codec.name} {photograph.name}", 1)
        return Measured(
            name=codec.name,
            title=codec.title,
            settings=codec.settings,
            versions=codec.versions,
            points=points,
            pixels={p.name: p.pixels for p in photographs},
            probe=measure.probe(codec, largest, store),
        )

    made = []
    with _progress(len(chosen) * len(photographs)) as advance:
        for full in chosen:
            codec = dataclasses.replace(full, qualities=_spread(full.qualities, options["points"]))
            with report.file(codec.name):
                try:
                    made.append(measured(codec, advance))
                except OutputError as error:
                    unkept = error
            if unkept is not None:  # reported once, not for every remaining codec
                raise unkept
    return made


def _spread(qualities: tuple[float, ...], count: int | None) -> tuple[float, ...]:
    """At most `count` of them, evenly spread, with the first and the last."""
    if count is None or count >= len(qualities):
        return qualities
    last = len(qualities) - 1
    return tuple(qualities[round(i * last / (count - 1))] for i in range(count))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield lambda text, by: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = (BarColumn(), MofNCompleteColumn(), Left(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda text, by: bar.update(task, description=text, advance=by)


def _console(*, stderr: bool = False) -> Any:
    """Where tables go. What looks like markup in them is part of a file's name."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 140
    return Console(width=width, stderr=stderr, markup=False, emoji=False)


def _write(
    report: Report, found: Comparison, chosen: Sequence[Codec], options: dict[str, Any]
) -> None:
    import json

    from aecodec.bench import comparison

    def put(path: str, text: str) -> None:
        _put(report, path, text, force=options["force"])

    if options["json_file"]:
        put(options["json_file"], comparison.to_json(found))
    if options["csv_file"]:
        put(options["csv_file"], comparison.to_csv(found))
    if options["curves_folder"]:
        for codec in found.measured:
            path = _curve(options["curves_folder"], codec.name)
            put(path, json.dumps(comparison.compressai(codec), indent=1) + "\n")
    if options["html"]:
        from aecodec.bench import report as page

        scenes = _scenes(report, found, chosen, options)
        put(options["html"], page.of_comparison(found, scenes))


def _scenes(
    report: Report, found: Comparison, chosen: Sequence[Codec], options: dict[str, Any]
) -> list[Scene]:
    from aecodec.bench import scenes

    ours = [codec for codec in chosen if codec.name.partition(":")[0] == "aecodec"]
    peers = [codec for codec in chosen if codec.suffix]
    if not ours or not peers:
        return []
    made = [
        scenes.at_equal_size(photograph, ours[0], peers, options["show_quality"])
        for photograph in _shown(found.pictures, options["show"])
    ]
    return scenes.slimmed(made, lambda text: report.say(f"note: {text}"))


def _shown(pictures: Sequence[Photograph], wanted: str) -> list[Photograph]:
    """The pictures that `--show` names, or as many as it says, evenly spread."""
    if wanted.isdecimal():
        count = min(int(wanted), len(pictures))
        return [pictures[i * len(pictures) // count] for i in range(count)]
    by_name = {name: p for p in pictures for name in (p.name, Path(p.name).stem)}
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in by_name:
            raise click.UsageError(f"--show {name}: no such picture among those compared")
    return [by_name[name] for name in dict.fromkeys(names)]


# ----------------------------------------------------------------------------------------- compare


@click.command()
@click.argument("original", type=FileName(), metavar="ORIGINAL")
@click.argument("others", type=FileName(), metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
@threads_option("Threads to decode with.  [default: the cores]")
@device_option
@pixels_option
@_file("--html", text="Write a page with the pictures side by side (needs the extra `bench`).")
@click.option("-f", "--force", is_flag=True, help="Replace an existing page.")
def compare(
    original: str,
    others: tuple[str, ...],
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
    html: str | None,
    force: bool,
) -> int:
    """Compare files with the original: bytes, PSNR, MS-SSIM, SSIMULACRA 2.

    FILE is an .aec file or any picture. Its bytes are also given in per cent of ORIGINAL and, if
    there are several files, of the first one. Fully transparent parts of ORIGINAL do not count.
    Transparency itself is not compared. Where colour profiles differ, colours are compared in sRGB.
    """
    from aecodec.bench import compared
    from aecodec.cli import tables

    run: dict[str, Any] = {"threads": threads or 0, "device": device, "max_pixels": max_pixels}
    done: list[compared.Compared] = []
    to_stdout = html == files.STDIO  # then no line gets between the page's bytes
    with Report(len(others), as_json, progress=False, results_on_stderr=to_stdout) as report:
        with report.file(original):
            if html:
                known = files.identities([original, *others])
                files.check_output(html, force=force, inputs=known)
                with needs_extra("bench"):
                    import jinja2  # noqa: F401
            reference = compared.Original.read(original, **run)
            for note in compared.not_seen(reference.picture):
                report.say(f"{files.shown(original)}: note: {note}")
        if report.exit_code:
            return report.exit_code
        for path in others:
            with report.file(path):
                one = compared.compare(reference.picture, path, **run)
                done.append(one)
                for note in one.notes:
                    report.say(f"{files.shown(path)}: note: {note}")
                if as_json:
                    report.result("", one.as_json(reference.nbytes))
        if done and not as_json:
            tables.show_files(*compared.figures(done, reference), _console(stderr=to_stdout))
        if done and html:
            with report.file(html):
                _put(report, html, _page_of(reference, done), force=force)
    return report.exit_code


def _page_of(original: Original, done: Sequence[Compared]) -> str:
    """The page of `compare`. The pictures in it are in sRGB, because they have no profile there."""
    from aecodec.bench import compared, scenes
    from aecodec.bench import report as page

    picture, title = original.picture, os.path.basename(original.path)
    names = compared.short_names(done)  # a page that is passed on shows no folders
    views = [
        scenes.original_view(compared.in_srgb(picture.rgb, picture), original.nbytes),
        *(scenes.view_of(name, one) for name, one in zip(names, done, strict=True)),
    ]
    bits = scenes.bits_of(done[0].path)
    scene = scenes.Scene(title, picture.width, picture.height, tuple(views), bits=bits)
    _, rows = compared.figures(done)
    lines = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    notes = [(title, compared.not_seen(picture))]
    notes += [(name, one.notes) for name, one in zip(names, done, strict=True)]
    return page.of_files(title, lines, scene, notes)
