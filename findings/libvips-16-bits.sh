#!/usr/bin/env bash
# libvips 8.18.7 makes 16-bit colours of 8-bit ones unevenly: every second step of a ramp all but vanishes.
#
# The usual way from 8 to 16 bits is times 257, the linear one that the PNG specification calls the most accurate
# ("Sample depth rescaling").
# libvips has a way of its own for colours: an even v becomes 256 v, an odd one 256 v + 255.
# So 253 and 254 become 65023 and 65024, one apart, and 254 and 255 are 511 apart.
# Seen: the steps of colourspace("rgb16") are 511 and 1 by turns; those of grey pictures are all 257.
# sharp 0.35.5's toColourspace("rgb16") is the same call. Back in 8 bits nothing is seen of it: a picture loses
# when it is worked on in 16 bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  "pyvips[binary]==3.2.0" pyvips-binary==8.18.7 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import pyvips

ramp = np.arange(256, dtype=np.uint8)[None]


def converted(values, mode, wide):
    image = pyvips.Image.new_from_array(values).copy(interpretation=mode)
    return image.colourspace(wide).numpy().reshape(256, -1)[:, 0].astype(int)


colour = converted(np.stack([ramp] * 3, -1), "srgb", "rgb16")
grey = converted(ramp, "b-w", "grey16")
for name, found in [("colour", colour), ("grey", grey)]:
    print(f"{name}: 252 to 255 become {found[252:].tolist()}, steps {sorted(set(np.diff(found).tolist()))}")
assert set(np.diff(colour).tolist()) == {1, 511} and set(np.diff(grey).tolist()) == {257}, "this has changed"
PY
