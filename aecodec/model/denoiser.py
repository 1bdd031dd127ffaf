"""The denoiser in front of the encoder, and the estimator of the noise.

    noisy x, deviation sigma (in units of 255)
     | conv 6x6, stride 2
    1/2  block -------------------------------------- + -- block, block
     | conv 2x2, stride 2                             | repeat, conv 1x1   | conv 3x3, 12 planes
    1/4  block ---------------------- + -- block -----+                    | to 2x2 pixels
     | conv 2x2, stride 2             | repeat, conv 1x1                noise / sigma
    1/8  block, block ----------------+                                  |
                                                                        x - sigma * (noise / sigma)

The level is an input, as in FFDNet (Zhang et al. 2018). The shape is that of a small U-Net with
residual blocks and without normalisation, as DRUNet (Zhang et al. 2021). The output is the noise in
units of its deviation: with a level of 0 the picture stays what it is. The blocks are plain 3x3
convolutions of 32, 64 and 96 channels, which cost ONNX Runtime the least for what they learn.

The estimator is a few convolutions that say, for each 8x8 pixels, the deviation of the noise there
and how sure that is (the scale of a Laplace distribution): texture is unsure, sky is sure.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Denoiser", "NoiseEstimator"]

WIDTHS = (32, 64, 96)
FINEST = 0.5 / 255.0
"""The smallest deviation that the detail is divided by."""
LARGEST = 6.0
"""Detail beyond so many deviations is surely no noise."""


class _Block(nn.Module):
    """x + conv(relu(conv(x)))"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.second.weight, std=0.1 * (2.0 / (9 * width)) ** 0.5)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(F.relu(self.first(x)))
        return result


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(count)))


def _twice(x: Tensor) -> Tensor:
    """Each value four times: twice the height and width."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Denoiser(nn.Module):
    """(B,3,H,W) noisy pixels and (B,1,H,W) deviations, units of 255 -> (B,3,H,W).

    H and W are multiples of 8. With `bf16` the inner layers compute in bfloat16.
    """

    bf16 = False

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.head = nn.Conv2d(7, fine, 6, stride=2, padding=2)
        self.enter_fine = _blocks(fine, 1)
        self.down_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.enter_middle = _blocks(middle, 1)
        self.down_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = _blocks(coarse, 2)
        self.up_middle = nn.Conv2d(coarse, middle, 1)
        self.leave_middle = _blocks(middle, 1)
        self.up_fine = nn.Conv2d(middle, fine, 1)
        self.leave_fine = _blocks(fine, 2)
        self.tail = nn.Conv2d(fine, 12, 3, padding=1)

    def forward(self, noisy: Tensor, deviation: Tensor) -> Tensor:
        return noisy - deviation * self.noise(noisy, deviation)

    def noise(self, noisy: Tensor, deviation: Tensor) -> Tensor:
        """(B,3,H,W): the noise, in units of its deviation."""
        # Levels are small numbers of 255: the factor brings them to the range of the pixels.
        means = F.interpolate(F.avg_pool2d(noisy, 8), scale_factor=8.0, mode="nearest")
        detail = ((noisy - means) / deviation.clamp(min=FINEST)).clamp(-LARGEST, LARGEST)
        planes = torch.cat([noisy - 0.5, 4.0 * deviation, 0.25 * detail], 1)
        x = self.head(planes.contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            fine = self.enter_fine(x)
            middle = self.enter_middle(self.down_middle(fine))
            coarse = self.coarse(self.down_coarse(middle))
            middle = self.leave_middle(middle + _twice(self.up_middle(coarse)))
            fine = self.leave_fine(fine + _twice(self.up_fine(middle)))
        return F.pixel_shuffle(self.tail(fine.float()), 2)


class NoiseEstimator(nn.Module):
    """(B,3,H,W) pixels -> (B,2,H/8,W/8): the noise's deviation, and the logarithm of its scale.

    Both are in 8-bit levels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 6, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        planes = (x - 0.5).contiguous(memory_format=torch.channels_last)
        raw = self.layers(planes)
        return torch.cat([10.0 * F.softplus(raw[:, :1]), raw[:, 1:].clamp(-3.0, 5.0)], 1)
