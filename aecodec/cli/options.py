"""Options that several commands share: kinds of values, threads, device, limit on pixels."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aecodec.bitstream import DEFAULT_MAX_PIXELS
from aecodec.coding.strength import MOST, Strength, checked
from aecodec.networks.config import DEVICES
from aecodec.networks.weights import DEFAULT_TUNE, TUNED

__all__ = [
    "Count",
    "Denoise",
    "FileName",
    "Folder",
    "Number",
    "RegionType",
    "Whole",
    "device_option",
    "given",
    "pixels_option",
    "threads_option",
    "tune_option",
]

# Before click 8.4 its types are not generic.
if TYPE_CHECKING:
    _CountType = click.ParamType[int]
    _DenoiseType = click.ParamType[Strength]
    _NameType = click.ParamType[str]
    RegionType = click.ParamType[tuple[int, int, int, int]]
else:
    _CountType = _DenoiseType = _NameType = RegionType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class Count(_CountType):
    """A whole number above 0 such as 200000, 200k, 1.5M or 2G."""

    def __init__(self, name: str, example: str) -> None:
        self.name, self._example = name, example

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15})(?:\.(\d{0,15}))?\s*([kKMG]?)B?", str(value).strip())
        count = 0
        if found:  # in integers: as a float 1.001k would be 1000.9999
            part = found[2] or ""
            count = int(found[1] + part) * _UNITS[found[3].lower()] // 10 ** len(part)
        if not count:
            self.fail(f"{value!r} is not a number of {self.name}: give {self._example}")
        return count


class Denoise(_DenoiseType):
    """`auto`, or the deviation of the noise in 8-bit levels."""

    name = "auto|LEVELS"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Strength:
        try:
            return checked(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor a number above 0 and at most {MOST:g}")


class FileName(_NameType):
    """A path or an address. An empty one, such as an unset variable of a script, is none."""

    name = "path"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> str:
        if not value:
            self.fail("'' is no name of a file or folder", parameter, context)
        return str(value)


class Folder(click.Path):
    """A folder to write to. An empty name would be the working directory."""

    def convert(
        self,
        value: str | os.PathLike[str],
        parameter: click.Parameter | None,
        context: click.Context | None,
    ) -> Any:
        if not os.fspath(value):
            self.fail("'' is no name of a folder", parameter, context)
        return super().convert(value, parameter, context)


class Whole(click.IntRange):
    """A whole number within bounds; the lower bound is set."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        try:
            found: int = super().convert(value, parameter, context)
        except click.BadParameter:  # click says "integer range" and "0<=x"
            bounds = f"from {self.min} " + ("up" if self.max is None else f"to {self.max}")
            self.fail(f"{value!r} is not a whole number {bounds}", parameter, context)
        return found


class Number(click.FloatRange):
    """A number within bounds, neither infinite nor NaN."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> float:
        found: float = super().convert(value, parameter, context)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number", parameter, context)
        return found


def given(name: str) -> bool:
    """Whether an option of the running command was given on its command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def threads_option(text: str) -> Callable[[F], F]:
    """Add `--threads` with this help text."""
    return click.option("--threads", type=Whole(1), help=text)


def tune_option(command: F) -> F:
    return click.option(
        "--tune",
        type=click.Choice(list(TUNED)),
        help="Weights for what people see (by SSIMULACRA 2), or for PSNR."
        f"  [default: {DEFAULT_TUNE}]",
    )(command)


def device_option(command: F) -> F:
    """Add `--device`."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="cuda: an NVIDIA GPU; auto: a GPU if onnxruntime-gpu finds one, else the CPU.",
    )(command)


def pixels_option(command: F) -> F:
    """Add `--max-pixels`."""
    return click.option(
        "--max-pixels",
        type=Count("pixels", "400000000 or 400M"),
        default=DEFAULT_MAX_PIXELS,
        show_default=True,
        help="Refuse larger pictures before memory is taken for them.",
    )(command)
