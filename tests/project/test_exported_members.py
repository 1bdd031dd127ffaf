"""The public surface: what `aecodec` offers, and that importing it costs next to nothing."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys

import pytest

import aecodec
from aecodec import codec, errors, pillow_plugin
from aecodec.uses import descriptors
from aecodec.uses.dream import augment
from aecodec.uses.mend import mend

FUNCTIONS = {
    "augment": augment,
    "compress": codec.compress,
    "decompress": codec.decompress,
    "features": descriptors.features,
    "mend": mend,
    "open": pillow_plugin.open,
    "read_info": codec.read_info,
    "register_pillow": pillow_plugin.register,
}
EXCEPTIONS = [
    "AecodecError",
    "CorruptError",
    "DeviceError",
    "FormatError",
    "InputError",
    "KnownAnswerError",
    "LimitError",
    "NotAecError",
    "OutputError",
    "OutputExistsError",
    "RequestError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "WeightsError",
]


def test_all_is_what_is_promised() -> None:
    assert aecodec.__all__ == [*EXCEPTIONS, "__version__", *FUNCTIONS]
    assert set(aecodec.__all__) <= set(dir(aecodec))
    namespace: dict[str, object] = {}
    exec("from aecodec import *", namespace)
    assert set(aecodec.__all__) <= set(namespace)


def test_functions_are_those_of_their_modules() -> None:
    for name, function in FUNCTIONS.items():
        assert getattr(aecodec, name) is function


def test_every_error_is_exported_and_hangs_on_one_root() -> None:
    tree = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert sorted(tree) == EXCEPTIONS
    for name, value in tree.items():
        assert issubclass(value, aecodec.AecodecError)
        assert getattr(aecodec, name) is value


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d*)?", aecodec.__version__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'frobnicate'"):
        aecodec.frobnicate  # noqa: B018


def loaded_after(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `statement`."""
    code = f"import json, sys\n{statement}\nprint(json.dumps([n for n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_is_light() -> None:
    heavy = {"PIL", "click", "constriction", "numpy", "onnxruntime", "rich", "torch", "zstandard"}
    assert not loaded_after("import aecodec") & heavy


def test_the_codec_needs_no_torch_and_starts_no_runtime() -> None:
    assert not loaded_after("from aecodec import compress, decompress") & {"onnxruntime", "torch"}
