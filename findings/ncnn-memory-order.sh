#!/usr/bin/env bash
# ncnn 1.0.20261020 takes a transposed NumPy array with its values in another order.
#
# ncnn.Mat(array) is how a NumPy picture becomes the input of a network. A network takes (channels, height, width), and
# a picture is (height, width, channels), so a transpose stands before nearly every call. ncnn reads the shape of the
# array, and not its strides; its documentation of the Python module does not say so.
# Seen, without an error: of .transpose(2, 0, 1) of a picture, of one of its channels and of a turned plane nearly all
# values are wrong, also after Mat.clone(). np.ascontiguousarray before the call helps.
# ONNX Runtime 1.32.0 takes the same arrays right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=ncnn \
  ncnn==1.0.20261020 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
env/bin/python - <<'PY'
import ncnn
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

value = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["y"])],
    "same",
    [value("x", TensorProto.FLOAT, ["c", "h", "w"])],
    [value("y", TensorProto.FLOAT, ["c", "h", "w"])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString())

pixels = np.random.default_rng(0).random((24, 36, 3), dtype=np.float32)
arrays = {
    "transpose(2, 0, 1)": pixels.transpose(2, 0, 1),
    "one channel of the picture": pixels[..., 1],
    "turned": np.ascontiguousarray(pixels[..., 0]).T,
}
for name, array in arrays.items():
    copy = np.ascontiguousarray(array)
    assert (np.array(ncnn.Mat(copy)) == array).all()
    if array.ndim == 3:
        assert (session.run(None, {"x": array})[0] == array).all()
    found = {"Mat": np.array(ncnn.Mat(array)), "clone": np.array(ncnn.Mat(array).clone())}
    for way, values in found.items():
        assert values.shape == array.shape
        equal = (values == array).mean()
        print(f"{name}, {way}: {100 * equal:.0f} % of the values are right")
        assert equal < 0.2, "this has changed"
PY
