"""Steps and starts that suit what the blocks of the transforms read.

The residual stream holds principal components: the flat one is sixty times as large as most. With
one learning rate for all, the weights that read it move a block's output sixty times as far a
step; they close gates for good, and hidden channels die (after 34,000 steps 90 % of some blocks').
So those columns get steps in inverse proportion to their input's size, and `transplant` gives
hidden channels that do nothing a new start, with weights of the same reach for every input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.model import Autoencoder
from aecodec.model.layers import Block
from aecodec.training.data import Batches, Photographs
from aecodec.training.loss import draw_levels
from aecodec.training.optim import SoapAdam

__all__ = ["Activity", "measure_activity", "set_step_scales", "transplant"]

BATCHES = 6
ALIVE = 1e-3
"""Channels that together bring less than this share of a branch's output do nothing."""


@dataclasses.dataclass
class Activity:
    """What was seen of one block of the transforms; each a tensor of one value a channel."""

    first: Tensor  # root mean square of what w1 reads
    second: Tensor  # ... of what v1a and v1b read
    mean_w: Tensor  # mean of what w2 reads
    mean_v: Tensor  # ... of what v2 reads
    hidden_w: Tensor  # variance of what w2 reads
    hidden_v: Tensor  # ... of what v2 reads


def _blocks(model: Autoencoder) -> Iterator[tuple[str, Block]]:
    for part in ("analysis", "synthesis"):
        for name, module in getattr(model, part).named_modules():
            if isinstance(module, Block):
                yield f"{part}.{name}", module


@torch.no_grad()
def measure_activity(
    model: Autoencoder, photographs: Photographs, *, batch: int, crop: int, seed: int
) -> dict[str, Activity]:
    """Run some batches through `model`, and see what every block of the transforms reads."""
    sums: dict[tuple[str, str], list[Tensor]] = {}
    hooks = []

    def watch(block: str, layer: str, module: nn.Module) -> None:
        def see(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> None:
            x = inputs[0].float()
            sums.setdefault((block, layer), []).append(
                torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))])
            )

        hooks.append(module.register_forward_hook(see))

    for name, block in _blocks(model):
        for layer in ("w1", "v1a", "w2", "v2"):
            watch(name, layer, getattr(block, layer))
    where = next(model.parameters()).device
    # The same pictures on every process, and not those that training begins with.
    stream = Batches(photographs, batch, crop, seed + 0x5CA1E, 0).stream(0)
    torch.manual_seed(seed)
    for _ in range(BATCHES):
        pixels, uniform = next(stream)
        x = torch.from_numpy(pixels).to(where).permute(0, 3, 1, 2).float() / 255.0
        level = draw_levels(torch.from_numpy(uniform), model.config).to(where)
        model(x.contiguous(memory_format=torch.channels_last), level)
    for hook in hooks:
        hook.remove()
    seen = {key: torch.stack(values).mean(0) for key, values in sums.items()}
    return {
        name: Activity(
            first=seen[name, "w1"][1].sqrt().clamp(min=1e-6),
            second=seen[name, "v1a"][1].sqrt().clamp(min=1e-6),
            mean_w=seen[name, "w2"][0],
            mean_v=seen[name, "v2"][0],
            hidden_w=(seen[name, "w2"][1] - seen[name, "w2"][0].square()).clamp(min=0.0),
            hidden_v=(seen[name, "v2"][1] - seen[name, "v2"][0].square()).clamp(min=0.0),
        )
        for name, _ in _blocks(model)
    }


def set_step_scales(optimiser: SoapAdam, model: Autoencoder, activity: dict[str, Activity]) -> None:
    """Shorten the steps of those weights whose input is larger than the typical one."""
    for name, block in _blocks(model):
        for layer, rms in (
            (block.w1, activity[name].first),
            (block.v1a, activity[name].second),
            (block.v1b, activity[name].second),
        ):
            typical = torch.exp(torch.log(rms).mean())
            scale = (typical / rms).clamp(max=1.0)[None, :, None, None]
            optimiser.state[layer.weight]["scale"] = scale
            assert layer.bias is not None
            # A bias is the weight of an input of 1.
            optimiser.state[layer.bias]["scale"] = typical.clamp(max=1.0).reshape(1)


@torch.no_grad()
def transplant(
    old: Autoencoder, new: Autoencoder, activity: dict[str, Activity], *, seed: int
) -> dict[str, tuple[int, int]]:
    """Give `new` the weights of `old`, whose blocks may be wider or narrower inside.

    Of every branch the hidden channels that do most are kept, as many as fit. Those that do
    nothing, and those that are new, start afresh: unit response to each input's usual size, and no
    effect yet. Of what is left out the mean goes into a bias, so that pictures hardly change.

    Returns (kept, fresh) by branch. Raises ValueError where other shapes differ.
    """
    rng = np.random.default_rng([seed, 0x7472])
    state = new.state_dict()
    blocks = dict(_blocks(old))
    inside = tuple(f"{name}." for name in blocks)
    for key, value in old.state_dict().items():
        if key.startswith(inside) and not key.endswith(("w2.bias", "v2.bias")):
            continue
        if key not in state or state[key].shape != value.shape:
            raise ValueError(f"the weights to start from have another shape of {key}")
        state[key].copy_(value)
    facts = {}
    for name, fresh in _blocks(new):
        if name not in blocks:
            raise ValueError(f"the weights to start from have no {name}")
        seen, was = activity[name], blocks[name]
        for last, read, hidden, mean, layers in (
            ("w2", seen.first, seen.hidden_w, seen.mean_w, ("w1", "dw")),
            ("v2", seen.second, seen.hidden_v, seen.mean_v, ("v1a", "v1b")),
        ):
            before = getattr(was, last).weight
            value = hidden * before[:, :, 0, 0].square().sum(0)
            order = torch.argsort(value, descending=True)
            alive = int((torch.cumsum(value[order], 0) < (1.0 - ALIVE) * value.sum()).sum()) + 1
            target = getattr(fresh, last).weight
            kept = order[: min(alive, target.shape[1])].sort().values
            target.zero_()
            target[:, : len(kept)] = before[:, kept]
            constant = before[:, :, 0, 0] @ mean - before[:, kept, 0, 0] @ mean[kept]
            getattr(fresh, last).bias.copy_(getattr(was, last).bias + constant)
            for layer in layers:
                there, here = getattr(fresh, layer), getattr(was, layer)
                if layer != "dw":  # unit response; a gated product half of that
                    reach = (0.5 if layer == "v1a" else 1.0) / (read * read.numel() ** 0.5)
                    noise = rng.standard_normal(tuple(there.weight.shape)).astype(np.float32)
                    there.weight.copy_(torch.from_numpy(noise) * reach[None, :, None, None])
                    there.bias.zero_()
                there.weight[: len(kept)] = here.weight[kept]
                there.bias[: len(kept)] = here.bias[kept]
            facts[f"{name}.{last}"] = (len(kept), target.shape[1] - len(kept))
    return facts
