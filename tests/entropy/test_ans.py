"""Our own ANS coder against constriction: the same words, the same symbols, the same errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import GOLDEN

from aecodec import bitstream, codec
from aecodec.entropy import ans, coder, models, steps
from aecodec.entropy.tables import TableSet
from aecodec.errors import CorruptError
from aecodec.networks import weights

constriction = pytest.importorskip("constriction")

ONE = 1 << ans.PRECISION
Stack = constriction.stream.stack.AnsCoder


def theirs(p: np.ndarray) -> object:
    return constriction.stream.model.Categorical(
        p.astype(np.float64) - 1.0, lazy=False, perfect=False
    )


@st.composite
def probabilities(draw: st.DrawFn) -> np.ndarray:
    """Of 2 to 600 symbols: even ones, a sharp peak, or many of the least possible."""
    count = draw(st.one_of(st.integers(2, 8), st.integers(2, 600)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = rng.random(count) ** draw(st.sampled_from([0.0, 1.0, 20.0]))
    p = np.maximum((weights / weights.sum() * (ONE - count)).astype(np.int64), 0) + 1
    p[rng.integers(count)] += ONE - p.sum()
    return p.astype(np.uint32)


def drawn(p: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Half by their probabilities, half evenly: rare symbols, too."""
    likely = rng.choice(len(p), count, p=p / ONE)
    return np.where(rng.random(count) < 0.5, likely, rng.integers(0, len(p), count)).astype(
        np.int32
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(probabilities(), st.integers(0, 500)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 16), st.integers(0, 50)), max_size=3),
    st.integers(0, 2**32),
)
def test_words_and_symbols_are_those_of_constriction(
    categorical: list[tuple[np.ndarray, int]], uniform: list[tuple[int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [(drawn(p, n, rng), ans.Categorical(p), theirs(p)) for p, n in categorical]
    for bits, n in uniform:
        symbols = rng.integers(0, 1 << bits, n).astype(np.int32)
        model = constriction.stream.model.Uniform(1 << bits)
        parts.append((symbols, ans.Uniform(1 << bits), model))
    one, two = ans.AnsCoder(), Stack()
    assert one.is_empty()
    for symbols, ours, other in reversed(parts):
        one.encode_reverse(symbols, ours)
        two.encode_reverse(symbols, other)
    words = one.get_compressed()
    assert words.dtype == np.uint32
    assert words.tolist() == two.get_compressed().tolist()
    one = ans.AnsCoder(words)
    for symbols, ours, _ in parts:
        found = one.decode(ours, len(symbols))
        assert found.dtype == np.int32
        assert found.tolist() == symbols.tolist()
    assert one.is_empty()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 2**32 - 1), max_size=40),
    st.lists(st.tuples(probabilities(), st.integers(0, 600), st.integers(0, 600)), max_size=3),
    st.integers(1, 16),
)
def test_words_that_nobody_wrote_decode_alike(
    words: list[int], parts: list[tuple[np.ndarray, int, int]], bits: int
) -> None:
    """Beyond the last word, too; and where symbols are given back, the words are as before."""
    array = np.array(words, np.uint32)
    if words and not words[-1]:
        for kind in (ans.AnsCoder, Stack):
            with pytest.raises(ValueError):
                kind(array)
        return
    one, two = ans.AnsCoder(array), Stack(array)
    for p, count, back in parts:
        ours, other = ans.Categorical(p), theirs(p)
        symbols = one.decode(ours, count)
        assert symbols.tolist() == two.decode(other, count).tolist()
        given_back = symbols[max(0, count - back) :]
        one.encode_reverse(given_back, ours)
        two.encode_reverse(given_back, other)
        assert one.get_compressed().tolist() == two.get_compressed().tolist()
        assert one.is_empty() == two.is_empty()
    model = constriction.stream.model.Uniform(1 << bits)
    assert one.decode(ans.Uniform(1 << bits), 50).tolist() == two.decode(model, 50).tolist()
    assert one.is_empty() == two.is_empty()


@pytest.mark.parametrize("size", [0, 1, 3, 1 << 25])
def test_uniform_models_have_a_power_of_two(size: int) -> None:
    with pytest.raises(ValueError, match="uniform"):
        ans.Uniform(size)


# --- In the codec -------------------------------------------------------------------------------


class Recording(ans.AnsCoder):
    """Remembers what was taken; `written` holds the words of each, put anew."""

    written: ClassVar[list[tuple[list[int], list[int]]]] = []

    def __init__(self, words: np.ndarray | None = None) -> None:
        super().__init__(words)
        self._before = [] if words is None else words.tolist()
        self._taken: list[tuple[np.ndarray, ans.Categorical | ans.Uniform]] = []

    def decode(self, model: ans.Categorical | ans.Uniform, count: int) -> np.ndarray:
        symbols = super().decode(model, count)
        self._taken.append((symbols.copy(), model))  # the caller changes its own
        return symbols

    def encode_reverse(self, symbols: np.ndarray, model: ans.Categorical | ans.Uniform) -> None:
        super().encode_reverse(symbols, model)
        if self._taken:  # a decoder gives back what it took too much of
            last, same = self._taken.pop()
            assert same is model
            assert np.array_equal(last[len(last) - len(symbols) :], symbols)
            self._taken.append((last[: len(last) - len(symbols)], model))

    def is_empty(self) -> bool:
        new = ans.AnsCoder()
        for symbols, model in reversed(self._taken):
            new.encode_reverse(symbols, model)
        self.written.append((self._before, new.get_compressed().tolist()))
        return super().is_empty()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The codec with our own ANS coder. Tables keep their models, so weights are read anew."""
    caches = (weights.load, weights.by_id, codec._codec, steps.map_tables)
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(coder, "AnsCoder", Recording)
    monkeypatch.setattr(models, "categorical", ans.Categorical)
    monkeypatch.setattr(coder, "uniform", ans.Uniform)
    Recording.written.clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.aec")), ids=lambda path: path.name)
def test_golden_files_come_back_and_are_written_to_the_bit(path: Path) -> None:
    """That the symbols are right says their CRC-32 in the file."""
    data = path.read_bytes()
    codec.decompress(data)
    tiles = bitstream.parse(data).tiles
    words = [np.frombuffer(tile[4:], "<u4").tolist() for tile in tiles]
    assert sorted(before for before, _ in Recording.written) == sorted(words)
    assert all(before == after for before, after in Recording.written)


# What a process of its own writes and reads with either coder.
BOTH_WAYS = """
import sys, zlib
import numpy as np
from PIL import Image
import aecodec
from aecodec.entropy import backend
wave = np.add.outer(np.arange(120) ** 2, np.arange(160) ** 2)
pixels = np.stack([wave // k % 256 for k in (7, 31, 90)], axis=2).astype(np.uint8)
pixels[40:80, 50:90] = 200
data = [aecodec.compress(Image.fromarray(pixels), q) for q in (10, 60, 99)]
back = [np.asarray(aecodec.decompress(one)) for one in data]
print(backend.CODER, *(zlib.crc32(one) for one in data), *(zlib.crc32(one) for one in back))
print("constriction" in sys.modules)
"""


def in_a_process(coder_name: str, code: str = BOTH_WAYS) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AECODEC_CODER": coder_name}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


def test_either_coder_writes_the_same_files() -> None:
    one, two = in_a_process("own"), in_a_process("constriction")
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert one.stdout.split()[0] == "own"
    assert one.stdout.split()[-1] == "False"
    assert two.stdout.split()[0] == "constriction"
    assert one.stdout.split()[1:-1] == two.stdout.split()[1:-1]


ABSENT = """
import sys
sys.modules["constriction"] = None  # an import of it fails
from aecodec.entropy import backend
print(backend.CODER)
"""


def test_without_constriction_our_own_is_used() -> None:
    done = in_a_process("", ABSENT)
    assert done.stdout.strip() == "own", done.stderr


@pytest.mark.parametrize("wanted", ["constriction", "rans"])
def test_a_coder_that_is_not_there_is_one_line(wanted: str) -> None:
    done = in_a_process(wanted, ABSENT)
    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith("aecodec.errors.InputError: AECODEC_CODER=")


@pytest.mark.usefixtures("own")
def test_corrupt_words_are_the_same_errors() -> None:
    with pytest.raises(CorruptError, match="whole words"):
        coder.Decoder(b"\1\2\3")
    with pytest.raises(CorruptError, match="end"):
        coder.Decoder(b"\1\0\0\0\0\0\0\0")
    tables = TableSet(
        np.array([1 << 22, 1 << 23, 1 << 22], np.uint32),
        np.array([3], np.int32),
        np.array([0], np.int32),
    )
    decoder = coder.Decoder(b"\1\2\3\4" * 500)
    decoder.take(tables.groups(np.zeros(20, np.uint8)))
    with pytest.raises(CorruptError, match="more than"):
        decoder.finish()
