#!/usr/bin/env bash
# onnxruntime 1.32.0: disable_telemetry_events() comes too late, even as the first call after the import.
#
# The Python wheel for Linux keeps a device id and a queue of events in the user's cache folder.
# Seen: a process that imports onnxruntime, calls disable_telemetry_events() at once, and runs a model leaves
# .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid and onnxruntime.db behind, as one that does not call it.
# With ORT_DISABLE_TELEMETRY=1 set before the import it leaves nothing. Without a network the same is seen.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install onnxruntime==1.32.0 onnx==1.20.0 numpy==2.4.6
cat > run.py <<'PY'
import sys
import time

import numpy as np
import onnxruntime

if sys.argv[1] == "call":
    onnxruntime.disable_telemetry_events()
from onnx import TensorProto, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
session.run(None, {"x": np.zeros(1, np.float32)})
time.sleep(8)
PY
left() { # the files in a new home after a run: left CALL VARIABLE
  home=$(mktemp -d "$folder/home.XXXX")
  env -u CI -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME ${2:+ORT_DISABLE_TELEMETRY=$2} HOME="$home" \
    env/bin/python run.py "$1" >/dev/null 2>&1
  (cd "$home" && find . -type f | sort | tr '\n' ' ')
}
expected="./.cache/Microsoft/DeveloperTools/.onnxruntime/deviceid ./.cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db "
plain=$(left none "") called=$(left call "") variable=$(left none 1)
echo "nothing done: $plain"
echo "disable_telemetry_events(): $called"
echo "ORT_DISABLE_TELEMETRY=1: $variable"
[ "$plain" = "$expected" ] && [ "$called" = "$expected" ] && [ -z "$variable" ] || { echo "this has changed" >&2; exit 1; }
