#!/usr/bin/env bash
# OpenVINO 2026.4.1 cuts 64-bit numbers to 32 bits, though the output says 64.
#
# An ONNX model with int64 or float64 inputs compiles for the CPU without a message, and its outputs have the types i64
# and f64. (The page on the CPU lists i32 and f32 as inner types; it does not say that values are cut.) int64 holds
# indices, times, hashes and states of entropy coders. ONNX Runtime 1.32.0 computes with 64 bits.
# Seen, without an error: an Identity gives 5 for 2^33 + 5, and -2^31 for 2^31. Equal says that 5 and 2^33 + 5 are the
# same. float64 numbers keep 7 digits, and 1e300 becomes the greatest float32, 3.4e38, no infinity.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=onnxruntime,openvino,onnx \
  onnxruntime==1.32.0 openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
env/bin/python - <<'PY'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import helper


def run(operator, *arrays):
    names = "xyz"[: len(arrays)]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, arrays)
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, list(names), ["out"])], "one", inputs, [helper.make_empty_tensor_value_info("out")]
    )
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
    feed = dict(zip(names, arrays))
    right = ort.InferenceSession(file).run(None, feed)[0]
    core = ov.Core()
    network = core.compile_model(core.read_model(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = network(feed)[0]
    assert found.dtype == right.dtype
    kind = network.output(0).element_type.get_type_name()
    print(f"{operator}, output {kind}: {right.tolist()} became {found.tolist()}")
    return right, found


large = np.array([2**33 + 5, 2**31, -(2**40) + 3])
right, found = run("Identity", large)
assert (right == large).all() and (found == large.astype(np.int32)).all(), "this has changed"
right, found = run("Add", large, np.array([1, 1, 1]))
assert (right == large + 1).all() and (found == (large + 1).astype(np.int32)).all(), "this has changed"
right, found = run("Equal", large, np.array([5, 5, 5]))
assert not right.any() and found[0], "this has changed"
small = np.array([1 / 3, 1e8, 1e300])
right, found = run("Add", small, np.array([0, 1.0, 1]))
assert right[1] == 1e8 + 1 and found[1] == 1e8, "this has changed"
assert found[0] != right[0] and found[2] == np.finfo(np.float32).max, "this has changed"
PY
