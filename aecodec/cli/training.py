"""The commands `aecodec train` and `aecodec export`: options, messages and exit codes.

Light to import, because `aecodec --help` imports this module. The commands import torch when they
run. Where the extra `train` is missing, they say so in one line.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec import files
from aecodec.cli.console import Report, needs_extra
from aecodec.cli.options import Folder, Number, Whole, given
from aecodec.errors import AecodecError, InputError, OutputError, is_out_of_memory, one_line
from aecodec.networks.config import DEVICES, OBJECTIVES, SIZES

__all__ = ["export", "train"]

# Before click 8.4 its types are not generic.
if TYPE_CHECKING:
    NoiseType = click.ParamType[tuple[float, float]]
else:
    NoiseType = click.ParamType


class _Noise(NoiseType):
    """LOW:HIGH in 8-bit levels."""

    name = "LOW:HIGH"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        number = r"(\d{1,3}(?:\.\d{0,6})?)"
        found = re.fullmatch(f"{number}:{number}", str(value).strip())
        low, high = (float(part) for part in found.groups()) if found else (1.0, 0.0)
        if not low <= high <= 255.0:
            self.fail(
                f"{value!r} is no range of noise: give LOW:HIGH in 8-bit levels, such as 5:30"
            )
        return low, high


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default="small",
    show_default=True,
    help="The size of the networks.",
)
@click.option(
    "--out",
    required=True,
    type=Folder(file_okay=False, path_type=Path),
    help="The folder of the run: checkpoint and logs. An existing run is continued.",
)
@click.option("--steps", type=Whole(1), help="Length of the training in steps.")
@click.option("--minutes", type=Number(0, min_open=True), help="Length of the training in minutes.")
@click.option("--batch", type=Whole(1), help="Crops in a batch.")
@click.option("--accumulate", type=Whole(1), help="Batches in a step.")
@click.option("--crop", type=Whole(64), help="Side of a crop, a multiple of 64 pixels.")
@click.option(
    "--learning-rate",
    "lr",
    type=Number(0, min_open=True),
    help="Learning rate of Adam, before it falls.  [default: 0.0025]",
)
@click.option(
    "--drawings",
    type=Number(0, 1),
    help="Share of the crops with synthetic drawings.  [default: 0.01]",
)
@click.option(
    "--illustrations",
    type=Number(0, 1),
    help="Share of the crops that become synthetic illustrations.  [default: 0]",
)
@click.option(
    "--enlarged",
    type=Number(0, 1),
    help="Share of the crops that show a part of themselves enlarged, as soft as photographs of"
    " large sensors.  [default: 0]",
)
@click.option(
    "--noise",
    type=_Noise(),
    help="Train a denoising autoencoder: the encoder sees crops with noise of LOW to HIGH 8-bit"
    " levels, and the loss is against the clean ones.",
)
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    help="What the training aims at: squared error, or what people see (SSIMULACRA 2 and a share "
    "of squared error).  [default: psnr]",
)
@click.option(
    "--mse-share",
    type=Number(0, 1),
    help="Share of squared error in the objective for the eye.  [default: 0.25]",
)
@click.option(
    "--sparse",
    is_flag=True,
    help="A sparse autoencoder, for study: the L1 norm of the latents in place of their bits.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="Second stage: freeze the encoder, and fine-tune the decoder on really quantised symbols. "
    "Needs --start-from, and keeps its size.",
)
@click.option(
    "--licence",
    "licences",
    multiple=True,
    metavar="PATTERN",
    help="Train only on photographs with this licence in FOLDER/sources.csv; * stands for any"
    " characters. May be given several times.",
)
@click.option("--seed", type=Whole(0), help="Seed of crops, noise and the initial weights.")
@click.option("--threads", type=Whole(1), help="CPU threads.  [default: all]")
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="auto: a GPU if there is one.",
)
@click.option(
    "--start-from",
    type=click.Path(exists=True, path_type=Path),
    help="A run or exported weights to start from: of the same size, or with fewer blocks, or with "
    "other hidden widths.",
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

    The same command continues a run that was stopped or killed.
    """
    if (settings["steps"] is None) == (settings["minutes"] is None):
        raise click.UsageError("give the length of the training: --steps or --minutes")
    if given("mse_share") and settings["objective"] != "eye":
        raise click.UsageError("--mse-share is for --objective eye: give both")
    with Report(1, as_json=False) as report, report.file(str(out)), _training():
        from aecodec.training import trainer

        chosen = {name: value for name, value in settings.items() if value is not None}
        trainer.train(
            folder,
            out,
            trainer.Settings(**chosen),
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
    help="The training photographs: the integer tables are counted on a sample of them.",
)
@click.option(
    "--calibrate",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Pictures on which quality q gets the PSNR of JPEG, or its SSIMULACRA 2 if the run was for"
    " the eye.  [default: the held-out ones]",
)
@click.option(
    "-o",
    "--output",
    type=Folder(file_okay=False, path_type=Path),
    help="The folder to write the weights to.  [default: weights/NAME-OF-RUN]",
)
@click.option(
    "--prune/--no-prune",
    default=True,
    show_default=True,
    help="Leave out hidden channels of the transforms that contribute nothing to photographs.",
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Replace weights that are in the output folder. Files made with them can then not be"
    " decoded.",
)
def export(
    run: Path,
    photographs: Path,
    calibrate: Path | None,
    output: Path | None,
    prune: bool,
    force: bool,
) -> int:
    """Make a folder of weights from a training run."""
    folder = output or Path("weights", run.resolve().name)
    with Report(1, as_json=False) as report, report.file(str(run)), _training():
        from aecodec.training import export as exporter

        facts = exporter.export(
            run,
            folder,
            photographs=photographs,
            calibrate_on=calibrate,
            prune=prune,
            force=force,
        )
        if not facts["card_names_sources"]:
            card = files.shown(str(folder / "README.md"))
            report.say(f"{card} is kept as it was: it has no place for the table of sources")
        report.result(f"{files.shown(str(run))} -> {files.shown(str(folder))}", {})
    return report.exit_code


@contextlib.contextmanager
def _training() -> Iterator[None]:
    """Around code that needs the extra `train`; translates errors of bad input."""
    try:
        with needs_extra("train"):
            yield
    except ValueError as error:
        raise InputError(one_line(error)) from error
    except FloatingPointError as error:
        raise AecodecError(one_line(error)) from error
    except OSError as error:
        if is_out_of_memory(error) or error.filename is None:
            raise
        name = files.shown(os.fsdecode(error.filename))
        raise OutputError(f"{name}: {files.reason(error)}") from error
