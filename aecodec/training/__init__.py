"""Training: data, KLT initialisation, loss, optimiser, trainer, validation, export.

Imports torch, numpy, Pillow, safetensors and tensorboard only (and onnx for the export), so that it
runs on a GPU machine with little installed.
"""
