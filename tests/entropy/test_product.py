"""A BLAS that multiplies wrongly: files stay right, and it is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import command
import known_fields
import numpy as np
import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec import codec
from aecodec.entropy import product as products
from aecodec.entropy.product import product, wrong_product
from aecodec.entropy.scales import ScaleNetwork
from aecodec.errors import KnownAnswerError
from aecodec.networks import weights

RIGHT = np.matmul


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Each test is a process that has not multiplied yet."""
    products._checked.clear()
    products._wrong.clear()
    yield
    products._checked.clear()
    products._wrong.clear()


def wrong(kind: str) -> Callable[..., np.ndarray]:
    """A product that is wrong from 1,000 rows or columns on, as of a faulty kernel for these."""

    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        c = RIGHT(a, b)
        if max(c.shape) < 1000:
            return c
        if kind == "garbage":
            c[c.shape[0] // 2 :] = 1e9
        elif kind == "one unit":
            c[-1, -1] += np.abs(c[c != 0]).min()
        elif kind == "rows swapped":
            c[[0, 1]] = c[[1, 0]]
        elif kind == "columns swapped":
            c[:, [0, 1]] = c[:, [1, 0]]
        elif kind == "not a number":
            c[0, 0] = np.nan
        return c

    return matmul


FAULTS = ["garbage", "one unit", "rows swapped", "columns swapped", "not a number"]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32),
)
def test_a_right_product_is_taken_for_right(
    shape: tuple[int, int, int], kind: type, seed: int
) -> None:
    m, k, n = shape
    rng = np.random.default_rng(seed)
    a = rng.integers(-4095, 4096, (m, k)).astype(kind)
    b = rng.integers(-50, 51, (k, n)).astype(kind)
    exact = a.astype(np.int64) @ b.astype(np.int64)
    assert np.array_equal(product(a, b), exact)
    assert wrong_product() is None
    products._wrong.append("on purpose")
    found = product(a, b)
    assert found.dtype == kind
    assert np.array_equal(found, exact)
    products._wrong.clear()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("shape", [(1536, 64, 48), (96, 96, 1024)])
def test_a_wrong_product_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, fault: str, shape: tuple[int, int, int]
) -> None:
    m, k, n = shape
    rng = np.random.default_rng(7)
    a = rng.integers(-4095, 4096, (m, k)).astype(np.float32)
    b = rng.integers(-20, 21, (k, n)).astype(np.float32)
    monkeypatch.setattr(np, "matmul", wrong(fault))
    assert not np.array_equal(np.matmul(a, b), RIGHT(a, b), equal_nan=True)
    assert np.array_equal(product(a, b), RIGHT(a, b))
    assert wrong_product() == f"float32 ({m},{k}) x ({k},{n})"


def test_a_machine_that_cannot_multiply_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the check that sees the product alone: the fallback is wrong here as well."""
    monkeypatch.setattr(products, "_is_right", lambda a, b, c: False)
    with pytest.raises(KnownAnswerError, match=r"multiplies wrongly.*float32 \(2,3\) x \(3,4\)"):
        product(np.ones((2, 3), np.float32), np.ones((3, 4), np.float32))


@pytest.mark.parametrize("fault", FAULTS)
def test_files_stay_right(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Of a picture with more than 1,000 latents; its symbols' CRC-32 is in each file."""
    picture = samples.photograph(box=(0, 0, 512, 512))
    expected = codec.compress(picture, 60)
    products._checked.clear()
    pixels = np.asarray(codec.decompress(expected))
    monkeypatch.setattr(np, "matmul", wrong(fault))
    for _ in range(2):  # as it is found out, and afterwards
        products._checked.clear()
        assert codec.compress(picture, 60) == expected
        assert wrong_product()
        assert np.array_equal(np.asarray(codec.decompress(expected)), pixels)


@pytest.mark.parametrize("name", known_fields.KNOWN)
def test_known_fields(name: str) -> None:
    """With BLAS and without."""
    chosen, known = weights.by_name(name), known_fields.KNOWN[name]
    network = ScaleNetwork(chosen.scale)
    assert {w: known_fields.checksum(chosen, network, w) for w in known_fields.WIDTHS} == known
    products._wrong.append("on purpose")
    assert known_fields.checksum(chosen, network, 64) == known[64]


def test_env_names_the_blas_and_the_coder() -> None:
    found = json.loads(command.run("env", "--json").stdout)
    assert found["coder"] in ("constriction", "own")
    assert found["blas"]
    assert all({"library", "version", "core"} <= set(library) for library in found["blas"])
    assert found["matrix_product"] == "right"
    own = json.loads(command.run("env", "--json", env={"AECODEC_CODER": "own"}).stdout)
    assert own["coder"] == "own"
