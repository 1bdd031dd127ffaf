#!/usr/bin/env bash
# ONNX Runtime 1.32.0's Resize makes 8-bit pictures half a level darker, unless it is told to antialias.
#
# The operator's definition does not say how a value between two integers becomes one. Its reference
# implementation (onnx 1.23.2) rounds to the nearest, and so does PyTorch 2.13, of which such graphs are exported.
# ONNX Runtime cuts the fraction off.
# Seen, for noise made smaller, against the same in float32: without antialias the mean error is -0.50 of 255, and
# a value is up to 1.00 too dark; the reference implementation's is 0.00, and at most 0.50 either way.
# With antialias=1 ONNX Runtime's mean error is 0.01.
# So a graph that takes 8-bit pictures and resizes them sees darker ones than it was trained with.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

noise = np.random.default_rng(0).integers(0, 256, (1, 1, 126, 190), dtype=np.uint8)


def model(kind, antialias):
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=antialias)
    sizes = numpy_helper.from_array(np.array([1, 1, 50, 75], np.int64), "sizes")
    inputs = [helper.make_tensor_value_info("x", kind, noise.shape)]
    outputs = [helper.make_tensor_value_info("y", kind, [1, 1, 50, 75])]
    graph = helper.make_graph([node], "graph", inputs, outputs, [sizes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def resized(kind, antialias, picture):
    session = onnxruntime.InferenceSession(
        model(kind, antialias).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": picture})[0].astype(float)


for antialias in (0, 1):
    exact = resized(TensorProto.FLOAT, antialias, noise.astype(np.float32))
    found = resized(TensorProto.UINT8, antialias, noise) - exact
    reference = ReferenceEvaluator(model(TensorProto.UINT8, antialias)).run(None, {"x": noise})[0] - exact
    for name, errors in [("ONNX Runtime", found), ("onnx.reference", reference)]:
        span = f"from {errors.min():+.2f} to {errors.max():+.2f}"
        print(f"antialias={antialias}, {name}: mean error {errors.mean():+.2f}, {span}")
    assert abs(reference.mean()) < 0.1 and np.abs(reference).max() < 0.51
    assert abs(found.mean() - (0 if antialias else -0.5)) < 0.1, "this has changed"
PY
