"""The float networks and the weights.

`config.py` has the hyperparameters, `weights.py` finds and loads weights, `runtime.py` runs graphs,
`transforms.py` turns pixels into latents and back, `means.py` computes the mean of every latent.

ONNX Runtime is imported here alone. No output of these networks decides a probability. This file
imports nothing, so that finding weights stays fast.
"""
