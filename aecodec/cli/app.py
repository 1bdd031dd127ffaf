"""The commands `aecodec`: options, messages and exit codes.

Exit codes: 0 all done, 1 some file failed (the others are done), 2 wrong usage, 130 interrupted.
Results go to standard output, messages to standard error. numpy, ONNX Runtime, rich and torch are
imported by the commands that need them, when they need them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import click

from aecodec import __version__, conversion, files, machine, stages
from aecodec.cli.console import EXIT_SOME_FAILED, Report, Unwritable, echo, size, verbose
from aecodec.cli.folders import Folders, folder_options
from aecodec.cli.options import (
    Count,
    Denoise,
    FileName,
    Number,
    RegionType,
    Whole,
    device_option,
    given,
    pixels_option,
    threads_option,
    tune_option,
)
from aecodec.codec import DEFAULT_EFFORT, DEFAULT_QUALITY, EFFORTS, PREVIEWS, SCALES
from aecodec.coding.strength import Strength
from aecodec.coding.target import Target
from aecodec.errors import AecodecError, InputError, WeightsError, is_out_of_memory
from aecodec.networks.weights import chosen

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from aecodec.cli import (  # noqa: F401 named, so that bundlers take them
        bench,
        desktop,
        gallery,
        training,
        uses,
    )

EXIT_INTERRUPTED = 130
_FOLDER = "is a folder, not a file: -r takes its files"


F = TypeVar("F", bound=Callable[..., Any])


def main() -> int:
    """Run the command line and return its exit code: the entry point `aecodec`."""
    for name in ("SIGTERM", "SIGHUP"):  # like Ctrl-C: clean up, then exit
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, interrupt)
    for stream in (sys.stdout, sys.stderr):  # every file name can be printed
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.filterwarnings("ignore", module=r"PIL\.")  # notes say the same in our words
    machine.spare_addresses()
    try:
        code = commands.main(prog_name="aecodec", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(code or 0)
    except click.ClickException as error:
        if isinstance(error, click.BadParameter):
            _name_the_variable(error)
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("aecodec: interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # as in `aecodec info *.aec | head`
        return EXIT_SOME_FAILED
    except OSError as error:
        if is_out_of_memory(error):
            click.echo("aecodec: not enough memory", err=True)
            return EXIT_SOME_FAILED
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if last.f_globals["__name__"] not in ("click.utils", "rich.console", __name__):
            raise  # it was not an error of printing
        Unwritable(error).show()
        return EXIT_SOME_FAILED
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        click.echo("aecodec: not enough memory", err=True)
        return EXIT_SOME_FAILED
    finally:
        if not _takes_more():  # else Python tries once more, and prints the error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _takes_more() -> bool:
    """Whether standard output, if it is open, has taken everything."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return False
    return True


def _name_the_variable(error: click.BadParameter) -> None:
    """Name the variable if a wrong value comes from the environment."""
    context, option = error.ctx, error.param
    if context is None or not isinstance(option, click.Option) or option.name is None:
        return
    if context.get_parameter_source(option.name) is click.core.ParameterSource.ENVIRONMENT:
        error.param_hint = f"'{_variable(context, option.name)}'"
        if isinstance(option.envvar, str) and option.envvar in os.environ:
            error.param_hint = f"'{option.envvar}'"


def _variable(context: click.Context, name: str) -> str:
    """The environment variable of an option, as `auto_envvar_prefix` defines it."""
    return f"{context.auto_envvar_prefix}_{name.upper()}"


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


# ---------------------------------------------------------------------------------------- options


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    key = f"aecodec.{parameter.name}"
    context.meta[key] = context.meta.get(key, False) or value


def debug_option(command: F) -> F:
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        envvar="AECODEC_DEBUG",
        help="Show the traceback of an unexpected error.",
    )(command)


def _file_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    """Leave the completion of file names to the shell."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def output_options(command: F) -> F:
    for option in (
        debug_option,
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print the time of each stage (single files only).",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file."),
        threads_option(
            "Threads of each process, at most the number of cores."
            "  [default: the cores, divided among the processes]"
        ),
        device_option,
        pixels_option,
        click.option("-f", "--force", is_flag=True, help="Replace existing outputs."),
        click.option(
            "-o",
            "--output",
            type=FileName(),
            metavar="PATH",
            shell_complete=_file_names,
            help="Output file or folder. With -r or --files-from the folder is created.",
        ),
    ):
        command = option(command)
    return command


# Not required by click, because --files-from may replace it.
inputs_argument = click.argument(
    "inputs", type=FileName(), metavar="INPUT...", nargs=-1, shell_complete=_file_names
)
files_argument = click.argument(
    "inputs",
    type=FileName(),
    metavar="INPUT...",
    nargs=-1,
    required=True,
    shell_complete=_file_names,
)
recursive_option = click.option(
    "-r", "--recursive", is_flag=True, help="Take all .aec files of a folder and its subfolders."
)


class _Commands(click.Group):
    """The commands in the order of this module, the common ones first.

    Those of other modules are imported when they are asked for: an import takes longer than many a
    command.
    """

    elsewhere: ClassVar = {
        "similar": "uses",
        "odd": "uses",
        "mend": "uses",
        "dream": "uses",
        "gallery": "gallery",
        "desktop": "desktop",
        "compare": "bench",
        "bench": "bench",
        "train": "training",
        "export": "training",
    }
    """By the command's name: its module in this package."""

    def list_commands(self, context: click.Context) -> list[str]:
        here = list(self.commands)
        first = here.index("verify") + 1
        return [
            *here[:first],
            *self.elsewhere,
            *(c for c in here[first:] if c not in self.elsewhere),
        ]

    def get_command(self, context: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.elsewhere and cmd_name not in self.commands:
            module = importlib.import_module(f"aecodec.cli.{self.elsewhere[cmd_name]}")
            self.add_command(debug_option(getattr(module, cmd_name)))
        return super().get_command(context, cmd_name)


class _Region(RegionType):
    """X,Y,W,H in pixels."""

    name = "X,Y,W,H"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int, int, int]:
        if isinstance(value, tuple):
            return value
        # Python refuses numbers of thousands of digits; no picture needs 15.
        found = re.fullmatch(",".join([r"(\d{1,15})"] * 4), str(value).replace(" ", ""))
        if not found or not int(found[3]) or not int(found[4]):
            self.fail(f"{value!r} is not a region: give X,Y,W,H in pixels, such as 0,0,640,480")
        x, y, w, h = (int(part) for part in found.groups())
        return x, y, w, h


METADATA = conversion.Encoding.keep


def _kinds_of_metadata(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, ...]:
    """The kinds of metadata to keep, from `all`, `none`, or a list such as `exif,icc`."""
    given = {kind.strip() for kind in value.lower().split(",")}
    if given in ({"all"}, {"none"}):
        return METADATA if given == {"all"} else ()
    if unknown := given - set(METADATA):
        raise click.BadParameter(
            f"{', '.join(sorted(unknown)) or 'nothing'} is not a kind of metadata: "
            f"give all, none, or some of {','.join(METADATA)}"
        )
    return tuple(kind for kind in METADATA if kind in given)


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "AECODEC",
        "max_content_width": 100,
    },
)
@click.version_option(
    __version__, "-V", "--version", prog_name="aecodec", message="%(prog)s %(version)s"
)
@debug_option
def commands() -> None:
    """Compress photographs with a trained autoencoder, and decompress them.

    \b
      aecodec compress photo.jpg            writes photo.aec beside it
      aecodec decompress photo.aec          writes photo.png
      aecodec info photo.aec                describes the file

    Exit codes: 0 all done, 1 some file failed (the others are done), 2 wrong usage, 130
    interrupted.
    """


# ------------------------------------------------------------------------- compress and decompress


@commands.command()
@inputs_argument
@click.option(
    "-q",
    "--quality",
    type=Whole(1, 100),
    default=DEFAULT_QUALITY,
    show_default=True,
    help="From 1 (smallest file) to 100 (best). SSIMULACRA 2, or with --tune psnr PSNR, is about"
    " that of JPEG at the same number.",
)
@click.option(
    "-e",
    "--effort",
    type=Whole(min(EFFORTS), max(EFFORTS)),
    default=DEFAULT_EFFORT,
    show_default=True,
    help="From 1 (fastest) to 9 (smallest file). Decoding takes the same time.",
)
@click.option(
    "--target-size",
    type=Count("bytes", "200000, 200k or 1.5M"),
    help="At most this many bytes (200k, 1.5M).",
)
@click.option(
    "--target-bpp", type=Number(0.0, min_open=True), help="At most this many bits per pixel."
)
@click.option(
    "--target-psnr", type=Number(1.0, 99.0), help="At least this PSNR in dB, of what is visible."
)
@click.option(
    "--target-ssimulacra2",
    type=Number(1.0, 99.0),
    help="At least this SSIMULACRA 2 score: 90 is hard to tell from the original, 70 is high"
    " quality, 50 medium.",
)
@click.option(
    "--lossless", is_flag=True, help="Store the pixels exactly, in 8 bits; takes no quality."
)
@click.option(
    "--without",
    type=FileName(),
    metavar="MASK",
    shell_complete=_file_names,
    help="A picture of the same size: what is white in it is not stored, but drawn from its"
    " surroundings (single files only).",
)
@click.option(
    "--importance",
    type=FileName(),
    metavar="MASK",
    shell_complete=_file_names,
    help="A picture of the same size: what is white in it gets more bits, what is black fewer"
    " (single files only).",
)
@click.option(
    "--denoise",
    type=Denoise(),
    help="Remove noise before the picture is coded: auto estimates its strength, a number is its"
    " standard deviation in 8-bit levels. Every decoder reads the file.",
)
@click.option(
    "--grain",
    is_flag=True,
    help="Describe the noise that --denoise removes, so that decoders add such noise again.",
)
@click.option(
    "--min-savings",
    type=Number(0.0, 100.0, max_open=True),
    metavar="PERCENT",
    help="Skip files that would shrink by less than this.",
)
@tune_option
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    help="The weights to use (see: aecodec models), whatever --tune says.",
)
@click.option(
    "--metadata",
    metavar="KINDS",
    callback=_kinds_of_metadata,
    default="all",
    show_default=True,
    help=f"The metadata to keep: all, none, or some of {','.join(METADATA)}.",
)
@click.option(
    "--strip-gps",
    is_flag=True,
    help="Remove positions and places from all metadata; a note names free text.",
)
@click.option("--strict", is_flag=True, help="Refuse a picture if a part of it would be lost.")
@folder_options
@output_options
def compress(
    inputs: tuple[str, ...],
    quality: int,
    effort: int,
    target_size: int | None,
    target_bpp: float | None,
    target_psnr: float | None,
    target_ssimulacra2: float | None,
    lossless: bool,
    without: str | None,
    importance: str | None,
    denoise: Strength | None,
    grain: bool,
    min_savings: float | None,
    tune: str | None,
    model: str | None,
    metadata: tuple[str, ...],
    strip_gps: bool,
    strict: bool,
    folders: Folders,
    output: str | None,
    force: bool,
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Compress pictures: photo.jpg becomes photo.aec beside it.

    Two inputs that would become the same file keep their suffix (a.jpg.aec, a.png.aec). `-` is
    standard input or output. -r writes the tree of a folder into the folder that -o names. After an
    interruption, run the same command again. Inputs and outputs may be remote (s3://bucket/folder).
    """
    run = conversion.Run(threads or 0, device, max_pixels)
    aims: dict[str, Any] = {
        "quality": quality,
        "target_size": target_size,
        "target_bpp": target_bpp,
        "target_psnr": target_psnr,
        "target_ssimulacra2": target_ssimulacra2,
        "lossless": lossless,
    }
    if _overrides("tune", "model"):
        model = None
    if _overrides("lossless", "denoise"):
        denoise = None
    if _overrides("lossless", "importance"):
        importance = None
    others = (("denoise", denoise), ("importance", importance))
    if not lossless or any(v is not None and _overrides(n, "lossless") for n, v in others):
        del aims["lossless"]
    aim = _chosen(aims)
    target = None
    if aim is not None and aim.startswith("target_"):
        target = Target.of(**{aim.removeprefix("target_"): aims[aim]})
    encoding = conversion.Encoding(
        quality=quality if aim == "quality" else DEFAULT_QUALITY,
        target=target,
        lossless=aim == "lossless",
        model=chosen(model, tune, for_psnr=aim == "target_psnr"),
        keep=metadata,
        strip_gps=strip_gps,
        strict=strict,
        effort=effort,
        min_savings=min_savings,
        denoise=denoise,
        grain=grain and denoise is not None,
    )
    if grain and denoise is None and not _is_default("grain"):
        raise click.UsageError("--grain describes the noise that --denoise removes: give both")
    if encoding.lossless and denoise is not None:
        raise click.UsageError("--lossless keeps noise, --denoise removes it: give one of them")
    given_masks = {"--without": without, "--importance": importance}
    masks = [name for name, path in given_masks.items() if path is not None]
    if encoding.lossless and importance is not None:
        raise click.UsageError("--lossless keeps every part as it is: give no --importance")
    if folders.are_meant(inputs, output):
        if masks:
            raise click.UsageError(f"{masks[0]} is for single files")
        return folders.convert(inputs, output, run, encoding, force=force, as_json=as_json)
    jobs, known = _plan(inputs, output, files.COMPRESSED)
    if min_savings is not None and any(files.STDIO in (j.source, j.target) for j in jobs):
        if not _is_default("min_savings"):
            raise click.UsageError("--min-savings: standard input and output cannot be skipped")
        encoding = dataclasses.replace(encoding, min_savings=None)
    if masks and len(jobs) > 1:
        raise click.UsageError(f"{masks[0]} is for a single file")
    how = conversion.Compression(encoding, run, without=without, importance=importance)
    aimed = aim is not None and aim != "quality"
    return _convert(jobs, how, conversion.Here(force, known), as_json, aimed=aimed)


def _is_default(name: str) -> bool:
    """Whether the value of an option is a default: ours, or the user's in the environment."""
    return not given(name)


def _overrides(option: str, other: str) -> bool:
    """Whether an option was given on the command line and another, which it excludes, was not.

    A variable of the other one does not count then.
    """
    return given(option) and not given(other)


def _chosen(options: Collection[str]) -> str | None:
    """The one of these exclusive options that was given.

    Options on the command line count first, then variables. Two of one kind are an error.
    """
    sources = click.core.ParameterSource
    context = click.get_current_context()
    for source in (sources.COMMANDLINE, sources.ENVIRONMENT):
        given = [name for name in options if context.get_parameter_source(name) is source]
        if len(given) > 1:
            names = [f"--{name.replace('_', '-')}" for name in given]
            if source is sources.ENVIRONMENT:
                names = [_variable(context, name) for name in given]
            raise click.UsageError(f"{' and '.join(names)}: give one of them")
        if given:
            return given[0]
    return None


@commands.command()
@inputs_argument
@click.option("--region", type=_Region(), help="Decode this part alone, in pixels.")
@click.option(
    "--preview",
    type=click.Choice([str(n) for n in PREVIEWS]),
    help="Decode a quick, coarse picture of 1/2 to 1/16 of the width and height.",
)
@click.option(
    "--scale",
    type=click.Choice([str(n) for n in SCALES]),
    help="Draw the picture, or the region, at twice the width and height. A network estimates the"
    " finer detail, which the file does not hold.",
)
@click.option("--no-grain", is_flag=True, help="Add no noise, also if the file describes some.")
@folder_options
@output_options
def decompress(
    inputs: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    preview: str | None,
    scale: str | None,
    no_grain: bool,
    folders: Folders,
    output: str | None,
    force: bool,
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Decompress files: photo.aec becomes photo.png beside it.

    The suffix of -o FILE chooses another format. `-` is standard input or output. -r writes the
    tree of a folder into the folder that -o names.
    """
    run = conversion.Run(threads or 0, device, max_pixels)
    given: dict[str, Any] = {"region": region, "preview": preview, "scale": scale}
    if folders.are_meant(inputs, output):
        if any(value is not None and not _is_default(name) for name, value in given.items()):
            raise click.UsageError("--region, --preview and --scale are for single files")
        if no_grain and not _is_default("no_grain"):
            raise click.UsageError("--no-grain is for single files")
        return folders.convert(inputs, output, run, force=force, as_json=as_json)
    for other in ("region", "scale"):  # a preview goes with neither
        part = _chosen([name for name in (other, "preview") if given[name] is not None])
        if part == "preview":
            given[other] = None
        elif part is not None:
            given["preview"] = None
    jobs, known = _plan(inputs, output, files.RESTORED)
    how = conversion.Decompression(
        run,
        region=given["region"],
        preview=None if given["preview"] is None else int(given["preview"]),
        scale=int(given["scale"] or 1),
        grain=not no_grain,
    )
    return _convert(jobs, how, conversion.Here(force, known), as_json)


def _plan(
    inputs: Sequence[str], output: str | None, naming: files.Naming
) -> tuple[list[files.Job], frozenset[files.Identity]]:
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...'.")
    try:
        jobs = files.plan(inputs, output, naming)
        for job in jobs:
            if naming is files.RESTORED:
                files.picture_format(job.target)
            else:
                files.refuse_picture_name(job.target)
    except files.UsageFault as fault:
        raise click.UsageError(str(fault)) from None
    return jobs, files.identities(inputs)


def _convert(
    jobs: list[files.Job],
    how: conversion.Compression | conversion.Decompression,
    storage: conversion.Here,
    as_json: bool,
    *,
    aimed: bool = False,
) -> int:
    """Convert the files one after the other. `aimed`: the result line names the quality."""
    to_stdout = any(job.target == files.STDIO for job in jobs)
    with Report(len(jobs), as_json, results_on_stderr=to_stdout) as report:
        for job in jobs:
            with report.file(job.source, target=job.target):
                if job.source != files.STDIO and os.path.isdir(job.source):
                    raise InputError(_FOLDER)
                with stages.collect() as seconds:
                    result = conversion.convert(job, how, storage)
                notes = result.notes
                if result.status == "done" and len(jobs) > 1:
                    notes += _earlier_name(job, files.NAMINGS[how.verb])
                for note in notes:
                    report.say(f"{files.shown(job.source)}: note: {note}")
                values = _values(result)
                if verbose():
                    report.say(f"{files.shown(job.source)}: {_timing(seconds, result.seconds)}")
                    values["stages"] = seconds
                found = f", quality {result.quality}" if aimed else ""
                report.result(_sentence(result, stale=values["stale"]) + found, values)
    return report.exit_code


def _values(result: conversion.Result) -> dict[str, Any]:
    """What --json says of a single file."""
    values = asdict(result)
    for name in ("key", "status", "time_ns", "deleted", "error", "error_type", "trace"):
        del values[name]
    left = result.status == "left"
    # Nothing was written: what had been at `target` before is still there.
    return {**values, "left": left, "stale": left and os.path.lexists(result.target)}


def _earlier_name(job: files.Job, naming: files.Naming) -> tuple[str, ...]:
    """What is said of a file with the name that this output has where no other is in its way."""
    other = naming.other(job.source, job.target)
    if os.path.basename(job.target) != naming.name(job.source, whole=True):
        return ()
    stays = os.path.isfile(other) and not os.path.samefile(other, job.source)
    return (f"{files.shown(other)} stays beside it: maybe its output of before",) if stays else ()


def _timing(seconds: dict[str, float], total: float) -> str:
    parts = {**seconds, "other": max(0.0, total - sum(seconds.values()))}
    return f"{total:.3f} s: " + ", ".join(f"{name} {part:.3f}" for name, part in parts.items())


def _sentence(result: conversion.Result, *, stale: bool) -> str:
    if result.status == "left":
        sizes = f"{size(result.bytes_in)} would become {size(result.bytes_out)}"
        stays = f"; {files.shown(result.target)} stays as it was" if stale else ""
        return f"{files.shown(result.source)}: skipped, {sizes}{stays}"
    return (
        f"{files.shown(result.source)} -> {files.shown(result.target)}"
        f"  {size(result.bytes_in)} -> {size(result.bytes_out)}  {result.bpp:.2f} bpp"
    )


# -------------------------------------------------------------------------------- info and verify


@commands.command()
@files_argument
@recursive_option
@pixels_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
@debug_option
def info(inputs: tuple[str, ...], recursive: bool, max_pixels: int, as_json: bool) -> int:
    """Describe .aec files without decoding them."""
    sources = _sources(inputs, recursive)
    with Report(len(sources), as_json, progress=False) as report:
        for source, fault in sources:
            with report.file(source):
                if fault is not None:
                    raise fault
                from aecodec import codec

                data = files.read_compressed(source)
                found = codec.read_info(data, max_pixels=max_pixels)
                name = _model_name(found.model)
                values = {"source": source, **asdict(found), "model_name": name}
                report.result(_page(source, found, name), values)
    return report.exit_code


def _sources(inputs: Sequence[str], recursive: bool) -> list[tuple[str, AecodecError | None]]:
    """The files that the inputs name, and with `recursive` those in folders.

    Each comes with its fault, if it has one already, so that faults are reported in this order,
    too.
    """
    found: list[tuple[str, AecodecError | None]] = []
    for path in inputs:
        if path == files.STDIO or not os.path.isdir(path):
            found.append((path, None))
        elif recursive:
            inside = list(_compressed_in(path))
            found += inside or [
                (path, InputError(f"there is no {files.SUFFIX} file in this folder"))
            ]
        else:
            found.append((path, InputError(_FOLDER)))
    return found


def _compressed_in(folder: str) -> Iterator[tuple[str, AecodecError | None]]:
    """The .aec files in a folder and below it, as `decompress -r` finds them."""
    from aecodec.batch.select import Fault, Note, Selection

    # With `include` the name alone decides, and no other file is opened.
    only = (f"*{files.SUFFIX}",)
    for item in Selection((folder,), None, files.RESTORED, recursive=True, include=only):
        if isinstance(item, Note):
            echo(f"aecodec: {files.shown(item.source)}: {item.text}", None, err=True)
        else:
            yield item.source, item.error if isinstance(item, Fault) else None


def _model_name(model: str) -> str | None:
    """The name of the installed weights with this id; None if there are none."""
    from aecodec.networks import weights

    found = weights.folders()
    # The default model first, as in `weights.by_id`: most files are made with it.
    for name in sorted(found, key=lambda name: name != weights.DEFAULT_MODEL):
        if _id_of_weights(found[name]) == model:
            return name
    return None


@functools.cache
def _id_of_weights(folder: Path) -> str | None:
    """The id of the weights in a folder; None if they are broken.

    Broken weights are no fault of the files that are looked at. The id is cached, because it needs
    the hash of megabytes.
    """
    from aecodec.networks import weights

    try:
        return weights.model_id(folder).hex()
    except WeightsError:
        return None


def _page(source: str, found: Any, model_name: str | None) -> str:
    model = f"{found.model} (not installed)"
    if model_name is not None:
        model = f"{files.shown(model_name)} ({found.model})"
    rows = [
        ("size", f"{found.width} x {found.height}, {found.mode}"),
        ("quality", str(found.quality)),
        ("model", model),
        ("bytes", f"{found.nbytes:,} ({found.bpp:.3f} bpp)"),
        ("tiles", f"{found.tiles} of at most {found.tile_size} px, {found.exact} stored exactly"),
        *([("steps", "finer in some parts, coarser in others")] if found.step_maps else []),
        ("format", found.version),
        ("sections", ", ".join(f"{name} {length:,}" for name, length in found.sections)),
    ]
    if found.resolution is not None:
        across, down = found.resolution
        rows.insert(1, ("density", f"{across:.4g} x {down:.4g} pixels an inch"))
    rows += [(keyword or "comment", _excerpt(text)) for keyword, text in found.texts]
    lines = [files.shown(source), *(f"  {files.shown(k):<8} {value}" for k, value in rows)]
    return "\n".join(lines)


def _excerpt(text: str) -> str:
    """A text as part of one line."""
    line = files.shown(" ".join(text.split()))
    return line if len(line) <= 70 else line[:67] + "..."


@commands.command()
@files_argument
@recursive_option
@click.option("--full", is_flag=True, help="Decode the picture, too.")
@threads_option("Threads to decode with.  [default: the cores]")
@device_option
@pixels_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file.")
@debug_option
def verify(
    inputs: tuple[str, ...],
    recursive: bool,
    full: bool,
    threads: int | None,
    device: str,
    max_pixels: int,
    as_json: bool,
) -> int:
    """Check that .aec files are complete and undamaged."""
    sources = _sources(inputs, recursive)
    with Report(len(sources), as_json, progress=full) as report:
        for source, fault in sources:
            with report.file(source):
                if fault is not None:
                    raise fault
                from aecodec import codec

                if full:
                    machine.require(machine.LEAST)
                data = files.read_compressed(source)
                codec.verify(
                    data, full=full, max_pixels=max_pixels, threads=threads or 0, device=device
                )
                report.result(f"{files.shown(source)}: ok", {"source": source})
    return report.exit_code


# ------------------------------------------------------------------------------ models and training


@commands.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
@debug_option
@click.pass_context
def models(context: click.Context, as_json: bool) -> int:
    """List the installed weights, or show the model card of one."""
    return 0 if context.invoked_subcommand else _list_models(as_json)


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
@debug_option
def list_models(as_json: bool) -> int:
    """List the installed weights: name, id, folder."""
    return _list_models(as_json)


@models.command("show")
@click.argument("name", required=False)
@debug_option
def show_model(name: str | None) -> int:
    """Print a model card: data, training, figures, limits. Default: the default model."""
    from aecodec.networks import weights

    with Report(1, False, progress=False) as report, report.file(name or weights.DEFAULT_MODEL):
        report.result(weights.card(name), {})
    return report.exit_code


def _list_models(as_json: bool) -> int:
    from aecodec.networks import weights

    found = weights.folders()
    with Report(len(found), as_json, progress=False) as report:
        for name, folder in found.items():
            with report.file(name):
                model = weights.load(folder).id.hex()  # only what can be loaded is listed
                values = {"name": name, "id": model, "folder": str(folder)}
                report.result(f"{name:<12}{model}  {files.shown(str(folder))}", values)
    return report.exit_code


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def env(as_json: bool) -> int:
    """Describe this installation, for bug reports.

    Prints versions, weights and settings. Nothing is sent anywhere.
    """
    with Report(1, as_json, progress=False) as report, report.file("env"):
        from aecodec.cli import environment

        found = environment.describe()
        report.result("\n".join(_described(found)), found)
    return report.exit_code


def _described(values: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _described(value, indent + "  ")
        elif isinstance(value, list):
            for one in value:
                yield from _described({name: one}, indent)
        else:
            yield f"{indent}{name}: {'-' if value is None else files.shown(str(value))}"
