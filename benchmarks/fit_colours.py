"""Fit the model that tells the order of a picture's channels: `aecodec/uses/colours.safetensors`.

    python benchmarks/fit_colours.py PHOTOGRAPHS... [--leave-out FOLDER]

Softmax regression over the six orders, with the plain exchange of red and blue weighed once more:
that is what happens. The photographs in FOLDER are not fitted to. Of these the area under the ROC
curve is printed for each order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track
from safetensors.numpy import save_file

from aecodec.image.small import shrunk
from aecodec.uses import colours

Floats = npt.NDArray[np.float32]

DECAY = 3e-4
"""Of the weights, which makes rare colours count less."""


def main() -> None:
    """Fit, write, and measure on what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--leave-out", type=Path)
    options = parser.parse_args()
    paths = sorted(path for folder in options.folders for path in folder.rglob("*.*"))
    seen: list[Floats] = []
    left_out: list[Floats] = []
    for path in track(paths, "looking"):
        with Image.open(path) as file:
            small = shrunk(np.asarray(file.convert("RGB")), colours.LONGEST)
        out = options.leave_out is not None and path.is_relative_to(options.leave_out)
        (left_out if out else seen).append(
            np.stack([colours.shares(small[..., order]) for order in colours.ORDERS])
        )
    weights = fitted(torch.from_numpy(np.stack(seen)))
    target = Path(colours.__file__).with_suffix(".safetensors")
    save_file({"weights": weights.numpy().astype(np.float16)}, target)
    print(f"{len(seen)} photographs: {target}")
    if left_out:
        z = np.stack(left_out) @ weights.numpy()
        found = [np.delete(z, k, axis=1).max(1) - z[:, k] for k in range(len(colours.ORDERS))]
        for order, figures in zip(colours.ORDERS[1:], found[1:], strict=True):
            area = (np.subtract.outer(figures, found[0]) > 0).mean()
            name = "".join("RGB"[channel] for channel in order)
            print(f"{name}: area under the ROC curve {area:.3f} of {len(left_out)} photographs")


def fitted(seen: torch.Tensor) -> torch.Tensor:
    """The weights (F,) for shares (n,6,F) of photographs in each order, theirs first."""
    weights = torch.zeros(seen.shape[2], requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=300)
    reverse = colours.ORDERS.index((2, 1, 0))

    def cost() -> torch.Tensor:
        optimiser.zero_grad()
        z = seen @ weights
        loss = -torch.log_softmax(z, 1)[:, 0].mean()
        loss = loss - torch.log_softmax(z[:, [0, reverse]], 1)[:, 0].mean()
        loss = loss + DECAY * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(cost)  # type: ignore[no-untyped-call]
    return weights.detach()


if __name__ == "__main__":
    main()
