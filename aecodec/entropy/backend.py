"""Which ANS coder codes: constriction's, or our own where there is none for this machine.

Their words are the same, so nothing but speed depends on it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError

__all__ = ["CODER", "CODER_VARIABLE", "AnsCoder", "categorical", "uniform"]

CODER_VARIABLE = "AECODEC_CODER"
"""Environment variable: `own` or `constriction`, for tests and measurements."""


def _choose() -> str:
    wanted = os.environ.get(CODER_VARIABLE, "")
    if wanted not in ("", "own", "constriction"):
        raise InputError(f"{CODER_VARIABLE}={wanted}: give own or constriction")
    if wanted != "own":
        try:
            import constriction  # noqa: F401
        except ImportError:
            if wanted:
                raise InputError(
                    f"{CODER_VARIABLE}=constriction, which can't be imported here"
                ) from None
            return "own"
        return "constriction"
    return "own"


CODER = _choose()
"""The name of the coder that is used: "constriction" or "own"."""

if CODER == "constriction":
    import constriction

    _AnsCoder, _model = constriction.stream.stack.AnsCoder, constriction.stream.model

    def categorical(probabilities: npt.NDArray[np.uint32]) -> object:
        """The model of the symbols 0, 1, ... by their probabilities, which sum to 2^24."""
        # constriction adds 1 to every scaled probability, so P - 1 gives exactly the CDF of P;
        # `perfect=True` would fit its own rounding instead.
        return _model.Categorical(probabilities.astype(np.float64) - 1.0, lazy=False, perfect=False)

    def uniform(size: int) -> object:
        """The model of the symbols 0 to size - 1, all of one probability."""
        return _model.Uniform(size)

else:
    from aecodec.entropy.ans import AnsCoder as _AnsCoder
    from aecodec.entropy.ans import Categorical, Uniform

    def categorical(probabilities: npt.NDArray[np.uint32]) -> object:
        """The model of the symbols 0, 1, ... by their probabilities, which sum to 2^24."""
        return Categorical(probabilities)

    def uniform(size: int) -> object:
        """The model of the symbols 0 to size - 1, all of one probability."""
        return Uniform(size)


AnsCoder: Any = _AnsCoder
"""A stack: `encode_reverse(symbols, model)` puts symbols, `decode(model, count)` takes them."""


def _begin() -> None:
    """Use the coder once. At its first use constriction looks numpy up, with a lock around it.

    No fork happens during an import (`forks.py`), and so none leaves that lock locked in a child.
    """
    coder, symbols = AnsCoder(), np.zeros(1, np.int32)
    for model in (categorical(np.array([2**23, 2**23], np.uint32)), uniform(2)):
        coder.encode_reverse(symbols, model)
    again = AnsCoder(coder.get_compressed())
    for model in (uniform(2), categorical(np.array([2**23, 2**23], np.uint32))):
        again.decode(model, 1)


_begin()
