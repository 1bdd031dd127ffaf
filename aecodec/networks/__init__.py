"""The float networks and the weights: `config.py`, `weights.py` and `runtime.py`.

ONNX Runtime is imported here alone. Nothing that these networks compute decides a probability.
This file imports nothing, so that finding weights stays quick.
"""
