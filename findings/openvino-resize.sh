#!/usr/bin/env bash
# OpenVINO 2026.4.1 ignores the antialias and the keep_aspect_ratio_policy of an ONNX Resize.
#
# ONNX has both since Resize of opset 18. For what OpenVINO cannot convert, as the mode half_pixel_symmetric, read_model
# raises an error. Networks that make pictures smaller before the first layer have such a node.
# Seen, without an error: a checkerboard of 64 pixels, made 21 pixels wide with antialias, is to be even grey, and so it
# is in ONNX Runtime 1.32.0 and in onnx's reference. OpenVINO gives the pattern of a resize without antialias, in linear
# and cubic mode. With the policy "not_larger" a square picture in a box of 20 x 40 should be 20 x 20, and is 20 x 40.
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

board = (np.add.outer(np.arange(64), np.arange(64)) % 2).astype(np.float32)[None, None]
core = ov.Core()


def resize(sizes, **attributes):
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], axes=[2, 3], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, board.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    file = model.SerializeToString()
    reference = ReferenceEvaluator(model).run(None, {"x": board})[0]
    runtime = ort.InferenceSession(file).run(None, {"x": board})[0]
    assert runtime.shape == reference.shape and np.abs(runtime - reference).max() < 1e-4
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    found = core.compile_model(core.read_model(file), "CPU", config)({"x": board})[0]
    for name, image in (("ONNX Runtime", runtime), ("OpenVINO", found)):
        print(f"{attributes}, {name}: {image.shape[2:]}, from {image.min():.2f} to {image.max():.2f}")
    return runtime, found


for mode in ("linear", "cubic"):
    plain, same = resize([21, 21], mode=mode)
    assert np.abs(plain - same).max() < 1e-4
    right, found = resize([21, 21], mode=mode, antialias=1)
    assert np.ptp(right) < 0.1 and np.abs(found - plain).max() < 1e-4, "this has changed"
for policy, side in (("not_larger", 20), ("not_smaller", 40)):
    right, found = resize([20, 40], mode="linear", keep_aspect_ratio_policy=policy)
    assert right.shape[2:] == (side, side) and found.shape[2:] == (20, 40), "this has changed"
PY
