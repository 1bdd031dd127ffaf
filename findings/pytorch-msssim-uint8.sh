#!/usr/bin/env bash
# pytorch-msssim 1.0.0 says that any two pictures of 8-bit integers are equal: SSIM 1.0.
#
# Its README shows `ssim(X, Y, data_range=255)` for "non-negative RGB images (0~255)", the values of uint8 tensors.
# The Gaussian window is converted to the type of the pictures, so all its weights become 0.
# Seen: black against noise and a picture against its negative give 1.0 as uint8, and 0.00 and -0.97 as float32.
# ms_ssim raises an error for the same tensors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  pytorch-msssim==1.0.0 "torch>=2.13,<2.14" numpy==2.4.6
env/bin/python - <<'PY'
import torch
from pytorch_msssim import SSIM, ms_ssim, ssim

noise = torch.randint(0, 256, (1, 3, 192, 192), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
black = torch.zeros_like(noise)
for name, other in [("black", black), ("its negative", 255 - noise)]:
    found = ssim(noise, other, data_range=255).item()
    right = ssim(noise.float(), other.float(), data_range=255).item()
    print(f"noise against {name}: {found:.2f} as uint8, {right:.2f} as float32")
    assert found == 1.0 and right < 0.01, "this has changed"
assert SSIM(data_range=255)(noise, black).item() == 1.0, "this has changed"
try:
    ms_ssim(noise, black, data_range=255)
except RuntimeError as error:
    print("ms_ssim:", error)
else:
    raise AssertionError("this has changed")
PY
