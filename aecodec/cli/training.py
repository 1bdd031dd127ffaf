"""The commands `aecodec train` and `aecodec export`: options, messages and exit codes.

Light to import: `aecodec --help` imports this module. torch is imported when they run; where the
extra `train` is missing, they say so in one line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from aecodec import files
from aecodec.cli.console import Report, needs_extra
from aecodec.cli.options import Whole
from aecodec.errors import InputError, one_line
from aecodec.networks.config import DEVICES, OBJECTIVES, SIZES

__all__ = ["export", "train"]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", type=click.Choice(list(SIZES)), default="small", show_default=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's folder: checkpoint and logs. A run that is there already goes on.",
)
@click.option("--steps", type=Whole(1), help="Length of the training in steps, or ...")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="... in minutes.")
@click.option("--batch", type=Whole(1), help="Crops a step.")
@click.option("--accumulate", type=Whole(1), help="Batches a step.")
@click.option("--crop", type=Whole(64), help="Side of a crop, a multiple of 64 pixels.")
@click.option(
    "--learning-rate",
    "lr",
    type=click.FloatRange(0, min_open=True),
    help="Of Adam, before it falls.  [default: 0.0025]",
)
@click.option(
    "--drawings",
    type=click.FloatRange(0, 1),
    help="Share of the crops that are drawn upon.  [default: 0.01]",
)
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    help="What the training aims at: squared error, or what people see (SSIMULACRA 2 and a share "
    "of squared error).  [default: psnr]",
)
@click.option(
    "--mse-share",
    type=click.FloatRange(0, 1),
    help="Share of squared error in the objective for the eye.  [default: 0.25]",
)
@click.option(
    "--finish",
    is_flag=True,
    help="Train only what a decoder has, on the symbols that encoders really code: the last part "
    "of a training. It starts from --start-from, whose size it keeps.",
)
@click.option("--seed", type=Whole(0), help="Of crops, noise and the start.")
@click.option("--threads", type=Whole(1), help="CPU threads.  [default: all]")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option(
    "--start-from",
    type=click.Path(exists=True, path_type=Path),
    help="Weights of an earlier run or export to begin with, of the same size, or with fewer "
    "blocks, or blocks of other widths inside.",
)
def train(
    folder: Path,
    out: Path,
    device: str,
    threads: int | None,
    start_from: Path | None,
    **settings: Any,
) -> int:
    """Train a model on a folder of photographs.

    The same command again goes on where the run stopped, however it stopped.
    """
    if (settings["steps"] is None) == (settings["minutes"] is None):
        raise click.UsageError("give the length of the training: either --steps or --minutes")
    with Report(1, as_json=False) as report, report.file(str(out)), _training():
        from aecodec.training import trainer

        given = {name: value for name, value in settings.items() if value is not None}
        trainer.train(
            folder,
            out,
            trainer.Settings(**given),
            device=device,
            threads=threads,
            start_from=start_from,
        )
    return report.exit_code


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--photographs",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder it was trained on: the integer tables are counted on a sample of it.",
)
@click.option(
    "--calibrate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Pictures on which quality q gets JPEG's PSNR, or SSIMULACRA 2 if the run was for the eye."
    "  [default: the held-out ones]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of weights to make.  [default: weights/NAME-OF-RUN]",
)
@click.option(
    "--prune/--no-prune",
    default=True,
    show_default=True,
    help="Leave out hidden channels of the transforms that do nothing: quicker, for photographs "
    "as good.",
)
def export(
    run: Path, photographs: Path, calibrate: Path | None, output: Path | None, prune: bool
) -> int:
    """Make a folder of weights from a training run."""
    folder = output or Path("weights", run.resolve().name)
    with Report(1, as_json=False) as report, report.file(str(run)), _training():
        from aecodec.training import export as exporter

        exporter.export(run, folder, photographs=photographs, calibrate_on=calibrate, prune=prune)
        report.result(f"{files.shown(str(run))} -> {files.shown(str(folder))}", {})
    return report.exit_code


@contextlib.contextmanager
def _training() -> Iterator[None]:
    """Around what needs the extra `train`; names bad input."""
    try:
        with needs_extra("train"):
            yield
    except ValueError as error:
        raise InputError(one_line(error)) from error
