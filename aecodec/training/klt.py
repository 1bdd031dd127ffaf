"""KLT initialisation: at step 0 the model is already a working linear transform codec.

The principal components of 8x8x3 patches become the first 1x1 convolution. Those of the
2x2-unshuffled result become the second, their transposes the synthesis. Every residual branch
starts at zero (layers.Block), so the untrained model is a two-stage block KLT. Training moves away
from it, which compares the autoencoder with PCA.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.model import Autoencoder
from aecodec.training.data import Photographs

__all__ = ["initialise_klt"]


def _principal(features: list[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The first `count` principal axes (count, C) and the standard deviations along them."""
    channels = features[0].shape[1]
    moment = torch.zeros(channels, channels, dtype=torch.float64)
    samples = 0
    for f in features:
        flat = f.permute(1, 0, 2, 3).reshape(channels, -1).double()
        moment += flat @ flat.T
        samples += flat.shape[1]
    values, axes = torch.linalg.eigh(moment / samples)
    axes = axes.flip(1)[:, :count].T
    # A sign convention makes the result the same on every machine.
    axes = axes * torch.sign(axes[torch.arange(count), axes.abs().argmax(dim=1)])[:, None]
    return axes.float(), values.flip(0)[:count].clamp(min=1e-12).sqrt().float()


@torch.no_grad()
def initialise_klt(model: Autoencoder, photographs: Photographs, *, crops: int, seed: int) -> None:
    """Set the spine of `model` from `crops` random crops of 192 px."""
    rng = np.random.default_rng([seed, 0x6B6C74])
    size = 192
    pictures = []
    for _ in range(crops):
        crop = photographs.crop(rng, size)
        x = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None]
        pictures.append(x.float() / 255.0 - 0.5)
    config = model.config
    patches = [F.pixel_unshuffle(x, 8) for x in pictures]
    first, _ = _principal(patches, config.stream8)
    folded = [F.pixel_unshuffle(F.conv2d(p, first[:, :, None, None]), 2) for p in patches]
    second, std = _principal(folded, config.latents)
    a, s = model.analysis, model.synthesis
    a.input.weight.copy_(first[:, :, None, None])
    a.down.weight.copy_(second[:, :, None, None])
    s.up.weight.copy_(second.T[:, :, None, None])
    s.output.weight.copy_(first.T[:, :, None, None])
    for spine in (a.input, a.down, s.up, s.output):
        assert spine.bias is not None
        spine.bias.zero_()
    model.set_latent_std(std)
