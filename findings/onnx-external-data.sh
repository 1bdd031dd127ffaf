#!/usr/bin/env bash
# onnx 1.23.2 adds the weights to a data file that is there, when a model is saved over an older one.
#
# convert_model_to_external_data, which save_model calls, documents "FileExistsError: If a file already exists in
# location". It looks for `location` in the working folder, while the file is written beside the model.
# Seen: in the working folder the second save is refused. In another folder every save appends: three saves of
# one model of 4000 bytes leave a file of 12,000 bytes, with the two older models' weights in it. The models load
# right, so what is seen of it is only the size.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile onnx==1.23.2 numpy==2.4.6
env/bin/python - <<'PY'
import os

import numpy as np
import onnx
from onnx import helper, numpy_helper


def save(value, path):
    weights = numpy_helper.from_array(np.full(1000, value, np.float32), "weights")
    output = helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1000])
    node = helper.make_node("Identity", ["weights"], ["output"])
    model = helper.make_model(helper.make_graph([node], "graph", [], [output], [weights]))
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin")


os.mkdir("models")
sizes = []
for value in (1, 2, 3):
    save(value, "models/model.onnx")
    sizes.append(os.path.getsize("models/weights.bin"))
    loaded = numpy_helper.to_array(onnx.load("models/model.onnx").graph.initializer[0])
    assert (loaded == value).all()
first = np.fromfile("models/weights.bin", np.float32)[:1000]
print(f"in another folder: {sizes} bytes after each save; the first 1000 weights are still {set(first.tolist())}")
assert sizes == [4000, 8000, 12000] and (first == 1).all(), "this has changed"
save(1, "model.onnx")
try:
    save(2, "model.onnx")
except FileExistsError as error:
    print("in the working folder:", error)
else:
    raise AssertionError("this has changed")
PY
