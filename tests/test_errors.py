"""The exception tree: its shape, its messages, and its way through a process pool."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from aecodec import errors

EXAMPLES: list[errors.AecodecError] = [
    errors.AecodecError("something"),
    errors.InputError("the picture is truncated"),
    errors.FormatError("bad"),
    errors.NotAecError("this is a JPEG"),
    errors.TruncatedError(10, 99),
    errors.TruncatedError(10, 39, exact=False),
    errors.CorruptError("the checksum of the header is wrong"),
    errors.UnsupportedError("format version 2"),
    errors.LimitError("too many pixels"),
    errors.WeightsError("no config.json"),
    errors.UnknownModelError("0123456789abcdef"),
    errors.UnknownModelError("0123456789abcdef", ("small 1111111111111111",)),
    errors.KnownAnswerError("mismatch"),
    errors.OutputError("disk full"),
    errors.OutputExistsError("photo.aec exists"),
    errors.DeviceError("no NVIDIA GPU"),
    errors.RequestError("100 bytes are not enough"),
]


def drawn_tree() -> dict[str, str]:
    """Parse the drawing in the module's docstring into {class: parent}."""
    assert errors.__doc__ is not None
    drawing = errors.__doc__.split("::\n\n", 1)[1].split("\n\n", 1)[0]
    tree: dict[str, str] = {}
    path: list[str] = []
    for line in drawing.splitlines():
        match = re.match(r"^    ((?:\|   |    )*)((?:[|`]-- )?)(\w+)", line)
        assert match, line
        depth = len(match[1]) // 4 + (1 if match[2] else 0)
        path = [*path[:depth], match[3]]
        tree[match[3]] = path[depth - 1] if depth else "Exception"
    return tree


def test_the_drawing_is_the_tree() -> None:
    classes = {
        name: cls.__bases__[0].__name__
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, Exception)
    }
    assert drawn_tree() == classes


FUNCTIONS = ("describe", "is_out_of_memory", "one_line", "with_advice")


def test_all_is_complete() -> None:
    assert set(errors.__all__) == {*drawn_tree(), *FUNCTIONS}


def test_every_class_has_an_example() -> None:
    assert {type(example).__name__ for example in EXAMPLES} == set(drawn_tree())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: f"{type(e).__name__}-{len(e.args)}")
def test_pickling_keeps_class_message_and_attributes(error: errors.AecodecError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object, as a pool passes it
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: f"{type(e).__name__}-{len(e.args)}")
def test_messages_are_one_line(error: errors.AecodecError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def test_truncation_says_n_of_m() -> None:
    assert str(errors.TruncatedError(10, 99)) == "truncated: 10 of 99 bytes"
    assert str(errors.TruncatedError(10, 39, exact=False)) == "truncated: 10 of at least 39 bytes"


def test_unknown_model_carries_its_id() -> None:
    error = errors.UnknownModelError("0123456789abcdef", ("1111111111111111 (small)",))
    assert error.model_id == "0123456789abcdef"
    assert "0123456789abcdef" in str(error)
    assert "1111111111111111 (small)" in str(error)


def test_one_line_flattens_and_never_is_empty() -> None:
    assert errors.one_line(OSError("a\n  b\tc")) == "a b c"
    assert errors.one_line(MemoryError()) == "MemoryError"


def test_advice_is_one_line_and_no_part_of_the_message() -> None:
    for example in EXAMPLES:
        assert "\n" not in example.advice
        assert not example.advice or example.advice not in str(example)
    assert errors.TruncatedError(1, 2).advice
    assert not errors.InputError("x").advice
