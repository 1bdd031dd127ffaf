#!/usr/bin/env bash
# safetensors 0.8.0 saves NumPy arrays in other orders with their values mixed up; 0.7.0 saved them right.
#
# The documentation of `safetensors.numpy` asks for contiguous arrays. Version 0.7.0 copied others into order.
# Version 0.8.0 writes the memory as it lies, under the array's shape, without an error or a warning.
# Seen: a transposed matrix comes back with the right shape and wrong values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
cat > save.py <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

matrix = np.arange(6, dtype=np.float32).reshape(3, 2).T
save_file({"matrix": matrix}, "matrix.safetensors")
back = load_file("matrix.safetensors")["matrix"]
assert np.array_equal(back, load(save({"matrix": matrix}))["matrix"])
print(f"safetensors {safetensors.__version__}: saved {matrix.tolist()}, loaded {back.tolist()}")
right = np.array_equal(back, matrix)
assert back.shape == matrix.shape and right == (sys.argv[1] == "right")
in_order = load(save({"matrix": np.ascontiguousarray(matrix)}))["matrix"]
assert np.array_equal(in_order, matrix)
PY
for expected in 0.7.0:right 0.8.0:wrong; do
  env/bin/python -m pip --quiet --disable-pip-version-check install safetensors=="${expected%:*}" numpy==2.4.6
  env/bin/python save.py "${expected#*:}"
done
