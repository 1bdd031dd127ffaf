"""Other kinds of autoencoder from the same trainer: the linear one, and the sparse one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import samples
import torch
from torch import Tensor

from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.model import Autoencoder
from aecodec.networks import weights
from aecodec.networks.config import SIZES
from aecodec.training import export as exporter
from aecodec.training.loss import rate_distortion
from aecodec.training.trainer import Settings, train


def test_a_linear_autoencoder_is_trained_exported_and_used(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec without a block: cells and tiles work with no margin at all."""
    narrow = dataclasses.replace(SIZES["tiny"], name="linear", stream8=64, latents=192)
    blocks = dict.fromkeys(("analysis8", "analysis16", "synthesis16", "synthesis8"), ())
    narrow = dataclasses.replace(narrow, **blocks)
    assert blocks.items() <= dataclasses.asdict(SIZES["linear"]).items()
    monkeypatch.setitem(SIZES, "linear", narrow)
    settings = Settings(size="linear", steps=4, batch=2, crop=64, warmup=2, lr=1e-4)
    train(photographs, tmp_path / "run", settings, device="cpu")
    exporter.export(tmp_path / "run", tmp_path / "weights", photographs=photographs, pictures=6)
    codec = Codec(weights.load(tmp_path / "weights"))
    picture = np.asarray(samples.photograph("astronaut.png", (100, 0, 100 + 333, 210)))
    data = codec.compress(picture, quality=80)
    error = codec.decode_rgb(bitstream.parse(data)).astype(float) - picture
    assert -10 * np.log10(np.mean(error**2) / 255**2) > 24.0  # a KLT, hardly trained
    assert len(data) < picture.size / 8


def test_of_a_sparse_autoencoder_bits_do_not_move_the_latents() -> None:
    torch.manual_seed(0)
    model = Autoencoder(SIZES["tiny"])
    x, level = torch.rand(2, 3, 64, 64), torch.tensor([0.3, 0.6])

    def felt(of: str) -> dict[str, bool]:
        """Which parameters have a gradient of this part of a sparse autoencoder's loss."""
        model.zero_grad(set_to_none=True)
        output = model(x, level)
        loss: Tensor = getattr(output, of)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        moved = ("analysis.input.weight", "scale_network.output.weight", "log_gain.table")
        gradients = {name: p.grad for name, p in model.named_parameters() if name in moved}
        return {n: g is not None and bool(g.abs().sum() > 0) for n, g in gradients.items()}

    assert felt("y_bits")["analysis.input.weight"]
    assert model(x, level).norm is None
    model.sparse = True
    bits, norm = felt("y_bits"), felt("norm")
    assert not bits["analysis.input.weight"] and bits["scale_network.output.weight"]
    assert norm["analysis.input.weight"] and not norm["scale_network.output.weight"]
    assert norm["log_gain.table"]


def test_the_norm_of_sparse_latents_is_a_part_of_the_loss() -> None:
    torch.manual_seed(0)
    model = Autoencoder(SIZES["tiny"])
    model.sparse = True
    x, level, lam = torch.rand(2, 3, 64, 64), torch.tensor([0.3, 0.6]), torch.full((2,), 0.0125)
    output = model(x, level, noise=False)
    gain = model.gain(level)
    v = model.analysis(x) * gain
    loss, parts = rate_distortion(output, x, lam)
    assert torch.allclose(parts["norm1"], v.abs().sum(dim=(1, 2, 3)) / 64**2, rtol=1e-4)
    without, _ = rate_distortion(dataclasses.replace(output, norm=None), x, lam)
    assert torch.allclose(loss - without, parts["norm1"].mean(), rtol=1e-4)
