"""SOAP for the matrices, Adam for everything else, in one optimiser.

SOAP (Vyas et al. 2024) is Adam in the slowly rotating eigenbasis of Shampoo's preconditioners. On
learned image codecs it needs up to 70 % fewer steps than Adam (arXiv 2601.20769). Whether that pays
depends on its overhead, which a large batch or a GPU hides. Muon (Jordan et al. 2024) was tried and
lost, see docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from aecodec.model import Autoencoder
from aecodec.model.layers import LevelTable, Spine

__all__ = ["SoapAdam", "parameter_groups"]

STATE_KEYS = ("step", "mean", "square", "left", "right", "left_axes", "right_axes", "scale")
"""Everything that a checkpoint keeps of a parameter's state."""


def _turned(moment: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
    """One power iteration: better eigenvectors of `moment` (n,n), and their order.

    Sorting by the estimated eigenvalues keeps the leading columns of QR dominant.
    """
    order = torch.argsort(torch.einsum("ij,ij->j", axes, moment @ axes), descending=True)
    return torch.linalg.qr(moment @ axes[:, order])[0], order


def _scaled(update: Tensor, state: dict[str, Tensor]) -> Tensor:
    """The update, shortened where `channels.set_step_scales` says so."""
    return update * state["scale"] if "scale" in state else update


class SoapAdam(torch.optim.Optimizer):
    """Groups carry `kind` ("soap" or "adam"), `lr`, `betas`, and for SOAP `every` and `memory`.

    `every` is the number of steps between two updates of the eigenbasis, `memory` the decay of
    Shampoo's moments.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "betas": (0.9, 0.98), "every": 20, "memory": 0.95})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if group["kind"] == "soap":
                    self._soap(group, p, p.grad.flatten(1).float(), state)
                else:
                    update = _scaled(self._adam(group, p.grad, state), state)
                    p.add_(update, alpha=-group["lr"])

    @staticmethod
    def _adam(group: dict[str, Any], gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Adam's direction for a gradient; its moments are in `state`."""
        beta1, beta2 = group["betas"]
        if "mean" not in state:
            state["step"] = torch.zeros(())
            state["mean"] = torch.zeros_like(gradient)
            state["square"] = torch.zeros_like(gradient)
        state["step"] += 1
        t = float(state["step"])
        state["mean"].lerp_(gradient, 1.0 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        denominator = (state["square"] / (1.0 - beta2**t)).sqrt_().add_(1e-8)
        direction: Tensor = (state["mean"] / (1.0 - beta1**t)).div_(denominator)
        return direction

    def _soap(
        self, group: dict[str, Any], p: nn.Parameter, gradient: Tensor, state: dict[str, Tensor]
    ) -> None:
        memory = group["memory"]
        if "left" not in state:  # the first gradient only starts the preconditioners
            state["left"] = gradient @ gradient.T
            state["right"] = gradient.T @ gradient
            for side in ("left", "right"):
                state[f"{side}_axes"] = torch.linalg.eigh(state[side])[1].flip(1).contiguous()
            return
        left, right = state["left_axes"], state["right_axes"]
        direction = self._adam(group, left.T @ gradient @ right, state)
        update = _scaled((left @ direction @ right.T).reshape(p.shape), state)
        p.add_(update, alpha=-group["lr"])
        state["left"].addmm_(gradient, gradient.T, beta=memory, alpha=1.0 - memory)
        state["right"].addmm_(gradient.T, gradient, beta=memory, alpha=1.0 - memory)
        step = int(state["step"])
        # Turn often at first, and never all matrices in the same step.
        if step < 20 or (step + p.numel() // 64) % group["every"] == 0:
            self._turn(state)

    @staticmethod
    def _turn(state: dict[str, Tensor]) -> None:
        """Update the eigenbases, and rotate Adam's moments into the new ones."""
        left, right = state["left_axes"], state["right_axes"]
        mean = left @ state["mean"] @ right.T
        state["left_axes"], rows = _turned(state["left"], left)
        state["right_axes"], columns = _turned(state["right"], right)
        state["mean"] = state["left_axes"].T @ mean @ state["right_axes"]
        state["square"] = state["square"][rows][:, columns].contiguous()


def parameter_groups(model: Autoencoder, *, soap: bool, lr: float) -> list[dict[str, Any]]:
    """Sort the parameters: matrices of the branches, the linear spine, table indexes, others."""
    kinds: dict[str, list[nn.Parameter]] = {"soap": [], "spine": [], "index": [], "rest": []}
    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, LevelTable) and module is model.scale_network.offset:
                kinds["index"].append(p)
            elif isinstance(module, Spine) and name == "weight":
                kinds["spine"].append(p)
            elif soap and p.ndim == 4 and p.shape[2] == 1 and min(p.shape[:2]) >= 16:
                # The eigenbasis of a very long side costs more than it brings.
                kinds["soap" if max(p.shape[:2]) <= 768 else "rest"].append(p)
            else:
                kinds["rest"].append(p)
    # Units differ: table indexes run over 64, the spine's orthonormal rows want small steps.
    factors = {"soap": 1.0, "spine": 0.3, "index": 10.0, "rest": 1.0}
    return [
        {
            "params": parameters,
            "kind": "soap" if kind == "soap" else "adam",
            "lr": lr * factors[kind],
            "base_lr": lr * factors[kind],
            "name": kind,
        }
        for kind, parameters in kinds.items()
        if parameters
    ]
