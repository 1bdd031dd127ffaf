#!/usr/bin/env bash
# torchmetrics 1.9.0 gives wrong values of total variation and PSNR-B for 8-bit pictures.
#
# Pictures are uint8 as Pillow and torchvision read them. torchmetrics' PSNR of uint8 is that of the same numbers as
# float32, and its SSIM, VIF and other metrics raise an error for uint8.
# Seen, without an error: total_variation is four times too high, and PSNR-B is 8 dB too high: the differences of 8-bit
# numbers wrap around. The classes TotalVariation and PeakSignalNoiseRatioWithBlockedEffect do the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  torchmetrics==1.9.0 "torch>=2.13,<2.14" numpy==2.4.6
env/bin/python - <<'PY'
import math

import torch
from torchmetrics import image as classes
from torchmetrics.functional import image as metrics

generator = torch.Generator().manual_seed(0)
coarse = torch.rand((2, 1, 16, 16), generator=generator)
first = torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 1)
second = (first + 0.1 * torch.randn(first.shape, generator=generator)).clamp(0, 1)
first, second = ((255 * x).round().to(torch.uint8) for x in (first, second))


def both(name, metric):
    eight, right = (float(metric(*(x.to(kind) for x in (second, first)))) for kind in (torch.uint8, torch.float32))
    print(f"{name}: uint8 {eight:.2f}, float32 {right:.2f}")
    return eight, right


eight, right = both("PSNR", lambda x, y: metrics.peak_signal_noise_ratio(x, y, data_range=255.0))
assert math.isclose(eight, right, rel_tol=1e-4)
for name, metric in {
    "total_variation": lambda x, y: metrics.total_variation(x),
    "TotalVariation": lambda x, y: classes.TotalVariation()(x),
}.items():
    eight, right = both(name, metric)
    assert eight > 2 * right, "this has changed"
for name, metric in {
    "PSNR-B, function": lambda x, y: metrics.peak_signal_noise_ratio_with_blocked_effect(x, y, data_range=255.0),
    "PSNR-B, class": lambda x, y: classes.PeakSignalNoiseRatioWithBlockedEffect(data_range=255.0)(x, y),
}.items():
    eight, right = both(name, metric)
    assert eight > right + 5, "this has changed"
try:
    metrics.structural_similarity_index_measure(second, first, data_range=255.0)
except RuntimeError as error:
    print("SSIM:", error)
else:
    raise SystemExit("this has changed")
PY
