"""The same symbols everywhere: other runtimes, other threads, golden files."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import reference
import samples
from coded import decoded_symbols, pixels
from paths import GOLDEN

import aecodec
from aecodec import bitstream
from aecodec.codec import Codec
from aecodec.coding.tile import _hash
from aecodec.geometry import Box
from aecodec.networks import weights
from aecodec.networks.runtime import Options


@pytest.fixture(scope="module")
def variants(either: weights.Weights) -> dict[str, Codec]:
    made = {
        f"{threads} threads, optimised {optimise}": Codec(either, Options(threads, optimise))
        for threads, optimise in itertools.product((1, 2, 4), (True, False))
    }
    made["torch, oneDNN"] = reference.torch_codec(either)
    made["torch, plain"] = reference.torch_codec(either, onednn=False)
    return made


@pytest.mark.parametrize("quality", [15, 75, 98])
def test_whoever_wrote_it_everyone_decodes_the_same_symbols(
    variants: dict[str, Codec], quality: int
) -> None:
    picture = samples.photograph("chelsea.png", (60, 30, 260, 180))
    for writer in variants.values():
        data = writer.compress(picture, quality)
        results = []
        for reader in variants.values():
            # Raises CorruptError if the hash of the decoded symbols differs.
            symbols = decoded_symbols(reader, data)
            results.append((symbols, pixels(reader.decode(bitstream.parse(data)))))
        for symbols, picture_back in results[1:]:
            for a, b in zip(results[0][0], symbols, strict=True):
                assert np.array_equal(a, b)
            assert np.abs(picture_back - results[0][1]).max() <= 1


def test_floats_of_both_runtimes_agree(either: weights.Weights) -> None:
    rgb = np.asarray(samples.photograph(box=(0, 0, 320, 256)))
    coder, torch_coder = Codec(either), reference.torch_codec(either)
    box = Box(0, 0, 320, 256)
    y, y_torch = (one.tiles.analyse(rgb, box) for one in (coder, torch_coder))
    assert np.abs(y - y_torch).max() < 1e-3
    for quality in (20, 90):
        point = either.at(quality)
        one, other = (c.tiles.quantise(y, point) for c in (coder, torch_coder))
        for ours, theirs in zip(one.groups, other.groups, strict=True):
            assert np.array_equal(ours.indexes, theirs.indexes)
        for ours, theirs in zip(one.symbols, other.symbols, strict=True):
            assert np.mean(ours != theirs) < 1e-3  # a tie may round either way: the encoder's


def golden() -> list[dict]:
    return json.loads((GOLDEN / "golden.json").read_text())


@pytest.mark.parametrize("entry", golden(), ids=lambda entry: entry["file"])
def test_golden_files_decode_to_the_recorded_symbols(entry: dict) -> None:
    data = (GOLDEN / entry["file"]).read_bytes()
    container = bitstream.parse(data)
    coder = Codec(weights.by_id(container.header.model_id))
    arrays = decoded_symbols(coder, data)
    # Of each tile z_hat, a map if there is one, both steps' symbols, and both steps' table indexes.
    count = 6 if container.header.step_maps else 5
    found = [_hash(*arrays[i : i + count - 2]) for i in range(0, len(arrays), count)]
    hashes = [f"{int.from_bytes(value, 'little'):08x}" for value in found]
    assert hashes == entry["hashes"]
    picture = aecodec.decompress(data)
    assert [picture.mode, *picture.size] == entry["picture"]
    means = np.asarray(picture.convert("RGB"), np.float64).mean(axis=(0, 1))
    assert np.abs(means - entry["means"]).max() < 0.5
