#!/usr/bin/env bash
# onnx 1.23.2: the reference implementation of pooling with ceil_mode=1 moves all windows.
#
# The specification adds windows that hang over the end. Expected: the others stay. Seen for AveragePool and
# LpPool of 7x7 values, windows of 3x3 in steps of 3: the mean of the first window is 8, the reference says 4,
# as if one row and column of padding stood before the picture. MaxPool is right, and so is ONNX Runtime.
# A converter that is tested against the reference alone learns the wrong result.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)


def both(operator, **attributes):
    node = helper.make_node(
        operator, ["x"], ["y"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1, **attributes
    )
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 1, 3, 3))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    (reference,) = ReferenceEvaluator(model).run(None, {"x": x})
    (runtime,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    first = reference[0, 0, 0, 0], runtime[0, 0, 0, 0]
    print(f"{operator}: first window by the reference {first[0]:g}, by ONNX Runtime {first[1]:g}")
    return first


window = x[0, 0, :3, :3]
assert both("AveragePool") == (4, window.mean()) and window.mean() == 8
assert both("LpPool", p=1) == (16, window.sum()) and window.sum() == 72
assert both("MaxPool") == (window.max(), window.max())
PY
