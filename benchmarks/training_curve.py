"""The scaling curve of the training: BD-rate against steps, with its extrapolation.

    python benchmarks/training_curve.py [--runs benchmarks/training]

Every `NAME.jsonl` in the folder is the log of a run (`aecodec train` writes `log.jsonl`). A run
that was continued with a new schedule is one file. `trials.json` holds short trials of recipes. The
script draws `scaling.svg`, and prints what the fit predicts for ten and a hundred times the steps.

- The fit uses the ends of schedules alone (a learning rate of zero), because most of the gain of a
  schedule comes while its learning rate falls.
- A log whose first line says `grown_from` is that of a model that started from smaller weights. Its
  steps are counted on from theirs, and nothing is fitted to it.
- Points of `--finish` are drawn apart and not fitted: it trains the decoder on other symbols.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parent
ON_THE_WAY = ("#1f6f8b", "#6d28d9", "#047857")


def ends(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points of a log at which a schedule ended, without those of `--finish`."""
    return [point for point in log if point.get("schedule_ended") and not point.get("finish")]


def fitted(points: list[tuple[float, float]]) -> tuple[float, float, float] | None:
    """(floor, factor, exponent) of 100 + bd = floor + factor * steps^-exponent, least squares."""
    from scipy.optimize import curve_fit

    if len(points) < 3:
        return None
    steps, rates = np.array(points, float).T
    found, _ = curve_fit(
        lambda s, floor, factor, exponent: floor + factor * (s / 1000.0) ** -exponent,
        steps,
        100.0 + rates,
        p0=(45.0, 20.0, 0.3),
        bounds=((20.0, 0.0, 0.05), (80.0, 500.0, 2.0)),
        maxfev=20000,
    )
    return float(found[0]), float(found[1]), float(found[2])


def predict(fit: tuple[float, float, float], steps: float) -> float:
    """The BD-rate in % that the fit predicts."""
    floor, factor, exponent = fit
    return float(floor + factor * (steps / 1000.0) ** -exponent - 100.0)


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "training")
    folder = parser.parse_args().runs

    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    trials = json.loads((folder / "trials.json").read_text(encoding="utf-8"))["trials"]
    # A trial whose curve has no range of PSNR in common with JPEG has no BD-rate.
    trials = [trial for trial in trials if trial["bd_rate_jpeg"] is not None]
    best = min(trials, key=lambda trial: float(trial["bd_rate_jpeg"]))
    axes.scatter(
        [t["steps"] for t in trials],
        [t["bd_rate_jpeg"] for t in trials],
        marker="x",
        color="#888888",
        label="short trials",
    )
    logs = sorted(folder.glob("*.jsonl"), reverse=True)  # small before base
    for number, path in enumerate(logs):
        log = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        colour = ON_THE_WAY[number % len(ON_THE_WAY)]
        for finish, style in ((False, ".-"), (True, "*:")):
            some = [point for point in log if point.get("finish", False) == finish]
            if some:
                steps, rates = ([point[key] for point in some] for key in ("step", "bd_rate_jpeg"))
                label = f"{path.stem}, {'finishing' if finish else 'on the way'}"
                axes.plot(steps, rates, style, color=colour, lw=1, label=label)
        done = [(point["step"], point["bd_rate_jpeg"]) for point in ends(log)]
        axes.plot(
            *zip(*done, strict=True),
            "o",
            color="#c2410c",
            label=None if number else "ends of schedules",
        )
        grown = "grown_from" in log[0]
        anchors = [(best["steps"], best["bd_rate_jpeg"]), *done]
        fit = None if grown else fitted(anchors)
        last = log[-1]
        print(
            f"{path.stem}: {last['step']} steps, {last['megapixels']:.0f} MP,"
            f" {last['hours']:.2f} h: {last['bd_rate_jpeg']:+.2f} % on held-out pictures"
        )
        if fit is None:
            continue
        wide = np.geomspace(anchors[0][0], 100 * last["step"], 200)
        axes.plot(wide, [predict(fit, s) for s in wide], "--", color="#c2410c", lw=1, label="fit")
        for times in (10, 100):
            print(
                f"  the fit at {times} times the steps: {predict(fit, times * last['step']):+.1f} %"
            )
        if len(anchors) == 3:
            print("  (three points fix the fit's three numbers: a guess, not a measurement)")
    axes.set_xscale("log")
    axes.set_xlabel("steps (8 crops of 256 px each)")
    axes.set_ylabel("BD-rate against JPEG, % (held-out pictures)")
    axes.grid(True, which="both", alpha=0.2)
    low = math.floor(axes.get_ylim()[0] / 5) * 5
    axes.set_ylim(low, None)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(folder / "scaling.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
