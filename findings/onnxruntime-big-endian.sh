#!/usr/bin/env bash
# ONNX Runtime 1.32.0 and OpenVINO 2026.4.1 compute with the swapped bytes of a big-endian array.
#
# A NumPy array is its values, and its dtype says how they are stored. FITS pictures from astropy and raw 16-bit pixels
# of PNG, PNM and DICOM files (dtype ">u2") are big-endian arrays. Neither documentation speaks of the byte order.
# Seen, without an error: ONNX Runtime, which checks that the type is "tensor(float)", takes 1.0 for 4.6e-41 and the
# uint16 258 for 513, by InferenceSession.run, by OrtValue and by an IO binding. OpenVINO's Tensor and constant do so,
# too; its compiled model called with the array itself is right.
# onnx 1.23.2 (numpy_helper.from_array) raises an error, and so does PyTorch's from_numpy.
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
from onnx import helper, numpy_helper
from openvino import opset13


def model(kind):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    ends = [[helper.make_tensor_value_info(name, kind, ["n"])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", *ends)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


def by_binding(session, array):
    binding = session.io_binding()
    binding.bind_cpu_input("x", array)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    return binding.copy_outputs_to_cpu()[0]


core = ov.Core()
for kind, values in (("float32", [1, 2, 100]), ("uint16", [1, 258, 1000])):
    native = np.array(values, kind)
    big = native.astype(native.dtype.newbyteorder(">"))
    assert (big == native).all()
    session = ort.InferenceSession(model(kind))
    network = core.compile_model(core.read_model(model(kind)), "CPU")
    ways = {
        "ONNX Runtime, run": lambda array: session.run(None, {"x": array})[0],
        "ONNX Runtime, OrtValue": lambda array: ort.OrtValue.ortvalue_from_numpy(array).numpy(),
        "ONNX Runtime, IO binding": lambda array: by_binding(session, array),
        "OpenVINO, Tensor": lambda array: network({"x": ov.Tensor(array)})[0],
        "OpenVINO, constant": lambda array: opset13.constant(array).data,
        "OpenVINO, array": lambda array: network({"x": array})[0],
    }
    for name, way in ways.items():
        assert (way(native) == native).all()
        found = way(big)
        print(f"{kind}, {name}: {big.tolist()} became {found.tolist()}")
        assert (found == (native if name == "OpenVINO, array" else native.byteswap())).all(), "this has changed"
    try:
        numpy_helper.from_array(big)
    except ValueError as error:
        print(f"{kind}, onnx: {error}")
    else:
        raise SystemExit("this has changed")
PY
