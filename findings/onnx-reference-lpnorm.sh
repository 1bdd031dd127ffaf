#!/usr/bin/env bash
# onnx 1.23.2: its reference implementation divides by the sum, not by the sum of magnitudes, in LpNormalization.
#
# The ONNX operator LpNormalization divides by the Lp norm along an axis, and its p is 1 or 2. An L1 norm is the sum of
# the magnitudes. onnx.reference is the implementation in Python that runtimes are compared with.
# Seen, without an error: with p=1 and values of both signs ReferenceEvaluator gives another result than ONNX Runtime
# 1.32.0 and OpenVINO 2026.4.1, with the wrong sign, or magnitudes above 1. Values of one sign and p=2 are right.
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
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(values, p):
    x = np.array([values], np.float32)
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)] for name in "xy"]
    graph = helper.make_graph([helper.make_node("LpNormalization", ["x"], ["y"], axis=1, p=p)], "norm", *ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    file = model.SerializeToString()
    core = ov.Core()
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    results = {
        "right": x / np.linalg.norm(x, p, axis=1, keepdims=True),
        "ONNX Runtime": ort.InferenceSession(file).run(None, {"x": x})[0],
        "OpenVINO": core.compile_model(core.read_model(file), "CPU", config)({"x": x})[0],
        "onnx.reference": ReferenceEvaluator(model).run(None, {"x": x})[0],
    }
    for name, result in results.items():
        print(f"p={p}, {values}, {name}: {np.round(result[0], 3).tolist()}")
    close = {name: np.allclose(result, results["right"], atol=1e-5) for name, result in results.items()}
    assert close["ONNX Runtime"] and close["OpenVINO"]
    return close["onnx.reference"], results["onnx.reference"][0]


assert run([1, 2, 5], 1)[0] and run([1, -2, 5], 2)[0]
for values in ([1, -2, 5], [1, 2, -5]):
    good, found = run(values, 1)
    assert not good and np.allclose(found, np.array(values) / sum(values)), "this has changed"
PY
