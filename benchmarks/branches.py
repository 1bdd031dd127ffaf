"""What each branch of each residual block contributes: the BD-rate without it.

    python benchmarks/branches.py RUN FOLDER [--json benchmarks/training/branches.json]

RUN is the folder of a training, or exported weights. FOLDER holds its photographs; those that the
training holds out are measured. A branch is switched off by replacing the input of its last layer
by the mean of that input. Nothing is trained afterwards. The figures show where multiplications
earn nothing (`aecodec train --start-from` continues with other widths and more blocks). They do
not show what more training could teach a branch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from aecodec.model import Autoencoder
from aecodec.model.layers import Block
from aecodec.training.checkpoint import load_ema
from aecodec.training.data import Batches, Photographs, find_photographs, split_validation
from aecodec.training.loss import draw_levels
from aecodec.training.validation import Validation

HELD_OUT = 24
BATCHES = 8


def branches(model: Autoencoder) -> dict[str, nn.Conv2d]:
    """The last layer of every branch, by name."""
    found = {}
    for name, block in model.named_modules():
        if isinstance(block, Block):
            found[f"{name}.w2"] = block.w2
            if block.gated:
                found[f"{name}.v2"] = block.v2
    return found


@torch.no_grad()
def means(model: Autoencoder, photographs: Photographs) -> dict[str, Tensor]:
    """The mean input of the last layer of every branch."""
    sums: dict[str, list[Tensor]] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _, inputs, __, name=name: sums.setdefault(name, []).append(
                inputs[0].mean((0, 2, 3))
            )
        )
        for name, layer in branches(model).items()
    ]
    stream = Batches(photographs, 8, 256, 0, 0).stream(0)
    for _ in range(BATCHES):
        pixels, uniform = next(stream)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
        model(x, draw_levels(torch.from_numpy(uniform), model.config), noise=False)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(values).mean(0) for name, values in sums.items()}


@torch.no_grad()
def measure(
    model: Autoencoder, photographs: Photographs, validation: Validation
) -> dict[str, float | None]:
    """BD-rate against JPEG in percent of the whole model (""), and without each branch.

    None where the curves have no range of PSNR in common.
    """
    cpu = torch.device("cpu")

    def bd_rate() -> float | None:
        rate: float | None = validation.measure(model, cpu)["bd_rate_jpeg"]
        return rate

    found = {"": bd_rate()}
    average = means(model, photographs)
    for name, layer in branches(model).items():
        assert layer.bias is not None
        weight, bias = layer.weight.clone(), layer.bias.clone()
        layer.bias += weight[:, :, 0, 0] @ average[name]
        layer.weight.zero_()
        found[name] = bd_rate()
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return found


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model, facts = load_ema(options.run)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    paths, held_out = split_validation(find_photographs(options.folder), HELD_OUT)
    photographs = Photographs(paths[:64], smallest=256)
    # Half of the pictures held out tell enough, in half of the time.
    found = measure(model, photographs, Validation(held_out[::2]))
    table = Table("branch", "hidden", "BD-rate without it, %", "worth, %")
    layers = branches(model)
    whole = found[""]
    for name, rate in found.items():
        hidden = str(layers[name].in_channels) if name else ""
        worth = "no common range"
        if rate is not None and whole is not None:
            worth = f"{rate - whole:.2f}"
        table.add_row(name or "(all)", hidden, "" if rate is None else f"{rate:.2f}", worth)
    Console().print(table)
    if options.json:
        results = {
            "steps": facts["step"],
            "config": facts["config"],
            "held_out": len(held_out[::2]),
            "bd_rate_jpeg": found.pop(""),
            "without": found,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
