"""The model's hyperparameters: one frozen dataclass, stored with the weights as `config.json`.

It lives outside `model/` because the light runtime (no torch) reads it as well.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

__all__ = ["SIZES", "ModelConfig"]

QUALITIES = 100
"""Qualities are the integers 1..QUALITIES."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Every number that fixes the networks' shapes and the integer tables' grid.

    Widths are in channels. "1/8" and "1/16" are the resolutions relative to the picture.
    """

    name: str = "small"
    # Transforms: the residual stream's width and the number of blocks.
    stream8: int = 96
    blocks8: int = 2
    latents: int = 320  # M: the stream's width at 1/16 and the number of latent channels
    blocks16: int = 3
    # The width inside a block. At 1/16 the analysis needs less than half of the synthesis'.
    analysis_inner8: int = 128
    analysis_inner16: int = 96
    synthesis_inner8: int = 128
    synthesis_inner16: int = 224
    # What a block's gated product may reach, at 1/8, at 1/16 and in the hyperprior: some way above
    # what photographs reach. Without a limit one odd patch in ten thousand drives a gate of the
    # synthesis open that was never open before, and comes back as garbage.
    gate_limit8: float = 4.0
    gate_limit16: float = 1.0
    gate_limit_prior: float = 64.0
    # Hyperprior.
    hyper_latents: int = 64  # N
    hyper_width: int = 128
    scale_width: int = 96
    mean_features: int = 128
    context_width: int = 192
    context_blocks: int = 1
    # Quality: log-lambda anchors, evenly spaced, between which every per-quality table is linear.
    anchors: int = 12
    lambda_min: float = 0.0004
    lambda_max: float = 0.5
    # The grid of scales: table i stands for scale 2 ** (scale_log2_min + i * scale_log2_step).
    tables: int = 64
    scale_log2_min: float = -3.184
    scale_log2_step: float = 0.1695
    # Bands of quality that share one set of tables of z.
    z_bands: int = 8

    def to_json(self) -> str:
        """The config as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from `to_json`'s dictionary; an unknown or missing name is a ValueError."""
        names = {f.name for f in dataclasses.fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(set(values) ^ names))
            raise ValueError(f"model config has unknown or missing entries: {odd}")
        return cls(**values)


SIZES: dict[str, ModelConfig] = {
    "tiny": ModelConfig(
        name="tiny",
        stream8=32,
        blocks8=1,
        latents=64,
        blocks16=1,
        analysis_inner8=32,
        analysis_inner16=32,
        synthesis_inner8=32,
        synthesis_inner16=48,
        hyper_latents=16,
        hyper_width=32,
        scale_width=32,
        mean_features=32,
        context_width=32,
    ),
    "small": ModelConfig(),
    "base": ModelConfig(
        name="base",
        stream8=192,
        blocks8=4,
        latents=320,
        blocks16=6,
        analysis_inner8=288,
        analysis_inner16=320,
        synthesis_inner8=288,
        synthesis_inner16=448,
        hyper_latents=96,
        hyper_width=192,
        scale_width=128,
        mean_features=192,
        context_width=320,
        context_blocks=2,
    ),
}
"""The named sizes: `tiny` for tests, `small` for two CPU cores, `base` for a GPU."""
