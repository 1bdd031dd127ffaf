"""The fuzzer's targets hold on its seeds and on every input that once failed."""

from __future__ import annotations

import random
import sys

import pytest
from paths import TESTS

sys.path.insert(0, str(TESTS / "fuzz"))

import corpus
import targets

from aecodec import bitstream
from aecodec.errors import CorruptError


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_and_old_failures(name: str) -> None:
    for data in corpus.seeds(name):
        targets.TARGETS[name](data)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_some_damaged_seeds(name: str) -> None:
    """A thousandth of what the fuzzer does, where it is not installed."""
    rng = random.Random(name)
    seeds = corpus.seeds(name)
    for _ in range(150):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        targets.TARGETS[name](bytes(data[:8192]))


def test_the_seal_makes_checksums_right() -> None:
    """Else the fuzzer would never get past them."""
    for data in corpus.containers():
        assert targets.seal(data) == data
        damaged = bytearray(data)
        damaged[-1] ^= 1
        with pytest.raises(CorruptError):
            bitstream.parse(bytes(damaged))
        sealed = bitstream.parse(targets.seal(bytes(damaged)))
        assert sealed.header == bitstream.parse(data).header


def test_every_target_has_seeds_and_a_dictionary() -> None:
    assert set(targets.TARGETS) == set(corpus.SEEDS) == set(corpus.WORDS)
    for name in targets.TARGETS:
        assert corpus.seeds(name)
        assert all(line[0] == line[-1] == '"' for line in corpus.dictionary(name).splitlines())
