"""The hyperparameters of the model: one frozen dataclass, stored as `config.json`.

It is not in `model/`, because the runtime without torch reads it as well.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

__all__ = ["DEVICES", "OBJECTIVES", "SIZES", "Blocks", "ModelConfig"]

QUALITIES = 100
"""Qualities are the integers 1..QUALITIES."""

DEVICES = ("auto", "cpu", "cuda")
"""The devices for the networks; "auto" is a GPU if one can be used."""

OBJECTIVES = ("psnr", "eye")
"""The objectives of training: squared error, or visible differences."""

Blocks = tuple[tuple[int, int], ...]
"""(depthwise, gated): the hidden widths of every block, first to last."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """All numbers that define the shapes of the networks and the grid of the integer tables.

    Widths are in channels. "1/8" and "1/16" are the resolutions relative to the picture.
    """

    name: str = "small"
    # Transforms: the widths of the residual stream, and for every block the hidden widths of its
    # depthwise and its gated branch (0: without). Trials chose them: gates at 1/16 gain next to
    # nothing, blocks of the synthesis at 1/8 gain most.
    stream8: int = 96
    latents: int = 320  # M: the stream's width at 1/16 and the number of latent channels
    analysis8: Blocks = ((64, 0), (64, 128))
    analysis16: Blocks = ((64, 0), (64, 0), (64, 0))
    synthesis16: Blocks = ((128, 0), (128, 0), (128, 128))
    synthesis8: Blocks = ((128, 128), (128, 128), (32, 128))
    # Limits of the input of the last layer in a block's branches, at 1/8, at 1/16 and in the
    # hyperprior. They are well above the values of photographs. Without them, one odd patch in ten
    # thousand (a gaudy drawing) makes activations that training never saw, and decodes to garbage.
    gate_limit8: float = 4.0
    gate_limit16: float = 1.0
    gate_limit_prior: float = 64.0
    # Hyperprior.
    hyper_latents: int = 64  # N
    hyper_width: int = 128
    scale_width: int = 96
    symbol_width: int = 48  # channels for the symbols of step 0 in the scales of step 1
    mean_features: int = 128
    mean_hidden: int = 64
    context_known: int = 128  # how many channels' known latents the context's 1x1 layers see
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
    # The objective of the training, "psnr" or "eye". It also defines the quality scale.
    objective: str = "psnr"

    def to_json(self) -> str:
        """The config as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build from the dictionary of `to_json`; ValueError for an unknown or missing name."""
        names = {f.name for f in dataclasses.fields(cls)}
        # Old configs have no objective: it was squared error.
        differ = set(values | {"objective": cls.objective}) ^ names
        if differ:
            odd = ", ".join(sorted(differ))
            raise ValueError(f"model config has unknown or missing entries: {odd}")
        lists = {k: v for k, v in values.items() if isinstance(v, list)}  # JSON has no tuples
        try:
            pairs = {k: tuple((int(a), int(b)) for a, b in v) for k, v in lists.items()}
        except TypeError as error:
            raise ValueError("the blocks of a model config are pairs of widths") from error
        return cls(**values | pairs)

    @property
    def analysis_reach8(self) -> int:
        """The receptive field of the analysis' blocks at 1/8, in pixels to each side."""
        return 8 * len(self.analysis8)

    @property
    def analysis_reach16(self) -> int:
        """The receptive field of the analysis' blocks at 1/16, in pixels to each side."""
        return 16 * len(self.analysis16)

    @property
    def context_reach(self) -> int:
        """The receptive field of the context beyond a tile, in latents."""
        return self.context_blocks

    @property
    def synthesis_reach8(self) -> int:
        """The receptive field of the synthesis' blocks at 1/8, in pixels to each side."""
        return 8 * len(self.synthesis8)

    @property
    def synthesis_reach16(self) -> int:
        """The receptive field of the synthesis' blocks at 1/16, in pixels to each side."""
        return 16 * len(self.synthesis16)

    @property
    def synthesis_reach(self) -> int:
        """How many pixels beyond its own 16x16 a latent can change."""
        return self.synthesis_reach8 + self.synthesis_reach16


SIZES: dict[str, ModelConfig] = {
    "tiny": ModelConfig(
        name="tiny",
        stream8=32,
        latents=64,
        analysis8=((32, 32),),
        analysis16=((32, 32),),
        synthesis16=((48, 48),),
        synthesis8=((32, 32),),
        hyper_latents=16,
        hyper_width=32,
        scale_width=32,
        symbol_width=8,
        mean_features=32,
        mean_hidden=32,
        context_known=32,
        context_width=32,
    ),
    "small": ModelConfig(),
    # Like small, with wider transforms and one block more in each row, so its training can begin
    # with the weights of small (`aecodec train --start-from`). The widths are those that stayed
    # alive in a training with depthwise branches of 128 and 256.
    "base": ModelConfig(
        name="base",
        analysis8=((64, 128), (64, 128), (96, 128)),
        analysis16=((80, 0), (64, 0), (48, 0), (64, 0)),
        synthesis16=((96, 0), (128, 0), (112, 128), (224, 0)),
        synthesis8=((128, 320), (224, 320), (128, 320), (256, 320)),
        context_blocks=2,
    ),
    "linear": ModelConfig(
        name="linear", analysis8=(), analysis16=(), synthesis16=(), synthesis8=()
    ),
}
"""The named sizes: `tiny` for tests, `small` to be quick, `base` for smaller files.

The transforms of `linear` are small's without blocks: matrices of 16x16 pixels, at first a KLT."""
