"""What the trainings of small networks share: one schedule, an average, and no checkpoint.

Such a training takes less than an hour. It leaves the averaged weights and `log.jsonl`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import nn

__all__ = ["ShortSettings", "follow", "log", "parser", "save", "set_rate", "settings_of", "train"]


@dataclasses.dataclass(frozen=True)
class ShortSettings:
    """How to train."""

    minutes: float = 30.0
    steps: int | None = None  # in place of the minutes
    batch: int = 16
    crop: int = 64
    lr: float = 1e-3
    ema: float = 0.999
    seed: int = 1
    start_from: pathlib.Path | None = None  # the folder of a run
    threads: int = 1
    report_minutes: float = 6.0


def train(
    take_step: Callable[[float], None], report: Callable[[float], None], settings: ShortSettings
) -> None:
    """Take steps until the schedule is over, and report now and then, and at the end.

    Both functions are given the share of the schedule that is done.
    """
    begin, reported, step = time.monotonic(), -math.inf, 0

    def share() -> float:
        if settings.steps is not None:
            return step / settings.steps
        return (time.monotonic() - begin) / (60.0 * settings.minutes)

    while (done := share()) < 1.0:
        take_step(done)
        step += 1
        if time.monotonic() - reported > 60.0 * settings.report_minutes:
            reported = time.monotonic()
            report(done)
    report(1.0)


def set_rate(
    optimiser: torch.optim.Optimizer, lr: float, step: int, done: float, warm: int
) -> None:
    """The learning rate before a step: it rises over `warm` steps, and falls along a cosine."""
    factor = min(1.0, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * done))
    for group in optimiser.param_groups:
        group["lr"] = lr * factor


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, step: int, ema: float) -> None:
    """Move an average of the weights towards those of the network after so many steps."""
    decay = min(ema, step / (10.0 + step))
    for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
        ours.lerp_(theirs, 1.0 - decay)


def save(net: nn.Module, path: pathlib.Path) -> None:
    """Write the weights of a network, whole or not at all."""
    tensors = {name: value.contiguous().clone() for name, value in net.state_dict().items()}
    partial = path.with_name(f"{path.name}.part")
    save_file(tensors, partial)
    os.replace(partial, path)


def log(folder: pathlib.Path, line: dict[str, Any]) -> None:
    """Add a line to `log.jsonl`."""
    with open(folder / "log.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


# --- The command line -----------------------------------------------------------------------------

S = TypeVar("S", bound=ShortSettings)


def parser(description: str, defaults: ShortSettings) -> argparse.ArgumentParser:
    """The arguments that all have. Their names are those of the settings."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("photographs", type=pathlib.Path)
    made.add_argument("run", type=pathlib.Path, help="the folder of the run")
    made.add_argument("--minutes", type=float, required=True)
    made.add_argument("--start-from", type=pathlib.Path, help="the folder of an earlier run")
    made.add_argument("--learning-rate", type=float, default=defaults.lr, dest="lr")
    made.add_argument("--threads", type=int, default=defaults.threads)
    made.add_argument("--seed", type=int, default=defaults.seed)
    made.add_argument("--export", type=pathlib.Path, help="a folder for the graphs")
    return made


def settings_of(options: argparse.Namespace, kind: type[S]) -> S:
    """The settings that were given, and the defaults of the others."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in vars(options).items() if name in names})
