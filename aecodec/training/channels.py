"""Learning rates and initial weights that suit the inputs of the blocks.

The residual stream holds principal components. The flat one is sixty times as large as most. With
one learning rate for all weights, those that read it change the output of a block sixty times as
much in a step. They close gates for good, and hidden channels die (after 34,000 steps 90 % in some
blocks). So these columns get steps in inverse proportion to the size of their input. `transplant`
resets hidden channels that do nothing, with weights of the same reach for every input. An export
leaves out what does nothing in the end (`pruned`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.geometry import ceil_div
from aecodec.model import Autoencoder
from aecodec.model.layers import Block
from aecodec.training.data import Batches, Photographs
from aecodec.training.loss import draw_levels
from aecodec.training.optim import SoapAdam

__all__ = ["Activity", "measure_activity", "pruned", "set_step_scales", "transplant"]

BATCHES = 6
ALIVE = 1e-3
"""Channels that together bring less than this share of a branch's output do nothing."""
WIDTH_UNIT = 16
"""ONNX Runtime computes with so many channels at once, on processors with AVX-512."""


@dataclasses.dataclass
class Activity:
    """Statistics of one block of the transforms; each a tensor with one value a channel.

    The input of a branch is stored under the name of its first layer (w1 or v1a), the input of its
    last layer under that one's (w2 or v2).
    """

    rms: dict[str, Tensor]  # root mean square of what the layer reads
    mean: dict[str, Tensor]
    variance: dict[str, Tensor]


Branch = tuple[str, str, tuple[str, ...]]
_DEPTHWISE: Branch = ("w1", "w2", ("w1", "dw"))
_GATED: Branch = ("v1a", "v2", ("v1a", "v1b"))


def _branches(block: Block) -> tuple[Branch, ...]:
    """The first layer, the last one, and the layers with a filter for each hidden channel."""
    return (_DEPTHWISE, _GATED) if block.gated else (_DEPTHWISE,)


def _blocks(model: Autoencoder) -> Iterator[tuple[str, Block]]:
    for part in ("analysis", "synthesis"):
        for name, module in getattr(model, part).named_modules():
            if isinstance(module, Block):
                yield f"{part}.{name}", module


@torch.no_grad()
def measure_activity(
    model: Autoencoder, photographs: Photographs, *, batch: int, crop: int, seed: int
) -> dict[str, Activity]:
    """Run some batches through `model`, and measure the inputs of every block of the transforms."""
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
        for first, last, _ in _branches(block):
            watch(name, first, getattr(block, first))
            watch(name, last, getattr(block, last))
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
    found: dict[str, Activity] = {}
    for (name, layer), values in sums.items():
        mean, square = torch.stack(values).mean(0)
        activity = found.setdefault(name, Activity({}, {}, {}))
        activity.rms[layer] = square.sqrt().clamp(min=1e-6)
        activity.mean[layer] = mean
        activity.variance[layer] = (square - mean.square()).clamp(min=0.0)
    return found


def set_step_scales(optimiser: SoapAdam, model: Autoencoder, activity: dict[str, Activity]) -> None:
    """Shorten the steps of weights whose input is larger than the typical one."""
    for name, block in _blocks(model):
        for first, _, layers in _branches(block):
            rms = activity[name].rms[first]
            typical = torch.exp(torch.log(rms).mean())
            for layer in (getattr(block, n) for n in layers if n != "dw"):
                scale = (typical / rms).clamp(max=1.0)[None, :, None, None]
                optimiser.state[layer.weight]["scale"] = scale
                # A bias is the weight of an input of 1.
                optimiser.state[layer.bias]["scale"] = typical.clamp(max=1.0).reshape(1)


@torch.no_grad()
def transplant(
    old: Autoencoder,
    new: Autoencoder,
    activity: dict[str, Activity],
    *,
    seed: int,
    idle: float = ALIVE,
) -> dict[str, tuple[int, int]]:
    """Give `new` the weights of `old`, whose blocks may be fewer, and wider or narrower inside.

    Of every branch the most active hidden channels are kept, as many as fit. Inactive channels (a
    share of at most `idle`) and new ones are reset: unit response to the usual size of each input,
    and no effect yet. The mean of what is left out goes into a bias, so that pictures hardly
    change. Blocks are matched by their numbers; new ones follow after them.

    Returns (kept, fresh) by branch. Raises ValueError if other shapes differ, or if `old` has
    blocks that `new` lacks.
    """
    rng = np.random.default_rng([seed, 0x7472])
    state = new.state_dict()
    before, after = dict(_blocks(old)), dict(_blocks(new))
    if missing := sorted(set(before) - set(after)):
        raise ValueError(f"the weights to start from have {', '.join(missing)} as well")
    inside = tuple(f"{name}." for name in before)
    for key, value in old.state_dict().items():
        if key.startswith(inside):
            continue
        if key not in state or state[key].shape != value.shape:
            raise ValueError(f"the weights to start from have another shape of {key}")
        state[key].copy_(value)
    facts = {}
    for name, block in after.items():
        was = before.get(name)
        # What a further block will read is what the last one of its row reads, or nearly so.
        seen = activity[max(n for n in activity if n <= name)]
        for branch in _branches(block):
            facts[f"{name}.{branch[1]}"] = _fill(block, was, branch, seen, rng, idle)
        if was is not None and was.gated and not block.gated:
            assert was.v2.bias is not None and block.w2.bias is not None
            block.w2.bias += was.v2.bias + was.v2.weight[:, :, 0, 0] @ seen.mean["v2"]
    return facts


def _by_effect(layer: nn.Conv2d, seen: Activity, name: str, idle: float) -> tuple[Tensor, int]:
    """The input channels of `layer`, the most active first; how many are active."""
    value = seen.variance[name] * layer.weight[:, :, 0, 0].square().sum(0)
    order = torch.argsort(value, descending=True)
    return order, int((torch.cumsum(value[order], 0) < (1.0 - idle) * value.sum()).sum()) + 1


@torch.no_grad()
def pruned(model: Autoencoder, activity: dict[str, Activity]) -> Autoencoder:
    """`model` without the hidden channels of the transforms that do nothing.

    Channels are kept so that the widths are multiples of WIDTH_UNIT. The mean of what is left out
    goes into a bias.
    """
    widths: dict[str, list[tuple[int, int]]] = {}
    for name, block in _blocks(model):
        part, row, _ = name.split(".")
        found = [0, 0]
        for i, (_, last, _) in enumerate(_branches(block)):
            layer = getattr(block, last)
            _, alive = _by_effect(layer, activity[name], last, ALIVE)
            found[i] = min(ceil_div(alive, WIDTH_UNIT) * WIDTH_UNIT, layer.in_channels)
        widths.setdefault(part + row.removeprefix("blocks"), []).append((found[0], found[1]))
    blocks: dict[str, Any] = {row: tuple(both) for row, both in widths.items()}
    narrow = Autoencoder(dataclasses.replace(model.config, **blocks))
    narrow.objective = model.objective
    transplant(model, narrow, activity, seed=0, idle=0.0)
    return narrow.eval()


def _fill(
    block: Block,
    was: Block | None,
    branch: Branch,
    seen: Activity,
    rng: np.random.Generator,
    idle: float,
) -> tuple[int, int]:
    """Copy one branch of `was` to `block`, if it has one; how many channels are kept, and fresh."""
    first, last, layers = branch
    target = getattr(block, last)
    read = seen.rms.get(first, seen.rms["w1"])
    for layer in layers:
        there = getattr(block, layer)
        if layer != "dw":  # unit response; a gated product half of that
            reach = (0.5 if layer == "v1a" else 1.0) / (read * read.numel() ** 0.5)
            noise = rng.standard_normal(tuple(there.weight.shape)).astype(np.float32)
            there.weight.copy_(torch.from_numpy(noise) * reach[None, :, None, None])
            there.bias.zero_()
    target.weight.zero_()
    target.bias.zero_()
    if was is None or branch not in _branches(was):
        return 0, target.in_channels
    source = getattr(was, last)
    weight, mean = source.weight[:, :, 0, 0], seen.mean[last]
    order, alive = _by_effect(source, seen, last, idle)
    kept = order[: min(alive, target.in_channels)].sort().values
    target.weight[:, : len(kept)] = source.weight[:, kept]
    target.bias.copy_(source.bias + weight @ mean - weight[:, kept] @ mean[kept])
    for layer in layers:
        there, here = getattr(block, layer), getattr(was, layer)
        there.weight[: len(kept)] = here.weight[kept]
        there.bias[: len(kept)] = here.bias[kept]
    return len(kept), target.in_channels - len(kept)
