"""The model's torch definition behind the interface of `runtime.Runtime`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from aecodec.codec import Codec
from aecodec.coding.tile import TileCodec
from aecodec.networks.weights import Weights
from aecodec.training.checkpoint import load_ema
from aecodec.training.graphs import GRAPHS

T = TypeVar("T")


class TorchRuntime:
    """Runs each graph as the torch module that it was traced from."""

    def __init__(self, weights: Weights, *, onednn: bool = True) -> None:
        model, _ = load_ema(weights.folder)
        self.modules = {name: graph(model).eval() for name, graph in GRAPHS.items()}
        self.onednn = onednn
        self.threads = self.workers = 1

    def run(self, name: str, **inputs: np.ndarray) -> list[Any]:
        tensors = {key: torch.from_numpy(np.array(value)) for key, value in inputs.items()}
        with torch.no_grad(), torch.backends.mkldnn.flags(enabled=self.onednn):
            outputs = self.modules[name](**tensors)
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        return [output.numpy() for output in outputs]

    def working(self, per_thread: bool = False) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def submit(self, work: Callable[..., T], *args: Any) -> Callable[[], T]:
        return functools.cache(functools.partial(work, *args))


def torch_codec(weights: Weights, *, onednn: bool = True) -> Codec:
    """A codec whose float networks are torch's."""
    codec = Codec(weights)
    codec.tiles = TileCodec(weights, TorchRuntime(weights, onednn=onednn))  # type: ignore[arg-type]
    return codec
