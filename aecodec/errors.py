"""All errors that aecodec raises on purpose, in one tree.

::

    AecodecError                    the base class of all of them
    |-- InputError                  the picture to compress is unreadable, unsupported or too large
    |-- FormatError                 the bytes to decompress are not a valid .aec file
    |   |-- NotAecError             they are no .aec file at all
    |   |-- TruncatedError          the end is missing: "N of M bytes"
    |   |-- CorruptError            damaged: checksums, contradictions, desynchronised symbols
    |   `-- UnsupportedError        valid, but made for a newer aecodec; names the unknown part
    |-- RequestError                this picture cannot give what was asked for: a target, a region
    |-- LimitError                  larger than a limit that the caller can raise; says how
    |-- WeightsError                a folder of weights is missing, damaged or incomplete
    |   |-- UnknownModelError       the file was written with weights that are not installed
    |   `-- KnownAnswerError        this machine does not compute what the weights expect
    |-- DeviceError                 the requested device cannot be used here
    `-- OutputError                 the result cannot be written as requested
        `-- OutputExistsError       because the output exists already

The message is always one clear line that can be shown after the name of the file. The attribute
`advice` says what the user can do. Errors of other libraries (Pillow, zstandard, ONNX Runtime, the
operating system) are translated where they occur; a bad file never lets one of them reach a caller.
A ``ValueError`` or ``TypeError`` means that the *caller* passed an impossible argument.

Errors with figures keep them in ``args`` and build their message in ``__str__``, so that they can
be pickled on their way back from a worker process.
"""

from __future__ import annotations

__all__ = [
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
    "describe",
    "is_out_of_memory",
    "one_line",
    "with_advice",
]


class AecodecError(Exception):
    """The base class of all errors. `advice` says what the user can do; it may be empty."""

    advice: str = ""


class InputError(AecodecError):
    """The picture to compress cannot be read, is of an unsupported kind, or is too large."""

    def __init__(self, *args: object, advice: str = "") -> None:
        super().__init__(*args)
        if advice:
            self.advice = advice


class FormatError(AecodecError):
    """The bytes are not an .aec file that this version can decode."""


class NotAecError(FormatError):
    """The bytes do not begin like an .aec file."""

    advice = "`aecodec compress` makes an .aec file from a picture"


class TruncatedError(FormatError):
    """The file ends too early: it has ``actual`` of ``expected`` bytes.

    ``exact`` is false if even the header, which states the length, is incomplete. ``expected`` is
    then a lower bound.
    """

    advice = "copy or download it again"

    def __init__(self, actual: int, expected: int, exact: bool = True) -> None:
        super().__init__(actual, expected, exact)
        self.actual = actual
        self.expected = expected
        self.exact = exact

    def __str__(self) -> str:
        bound = "" if self.exact else "at least "
        return f"truncated: {self.actual} of {bound}{self.expected} bytes"


class CorruptError(FormatError):
    """The file contradicts itself: a checksum, a count or the decoded symbols are wrong."""

    advice = "copy or download it again"


class UnsupportedError(FormatError):
    """The file uses a part of the format that this version does not know, which is named."""

    advice = "a newer version may read it: pip install --upgrade aecodec"


class LimitError(AecodecError):
    """Larger than a limit that protects memory. The message says how to raise the limit."""


class RequestError(AecodecError):
    """This picture cannot give what was asked for: an unreachable target, a region outside."""


class WeightsError(AecodecError):
    """A set of weights cannot be used: missing, damaged, incomplete or inconsistent."""


class UnknownModelError(WeightsError):
    """The file names weights that are not installed; ``model_id`` is their id in hexadecimal."""

    advice = "set AECODEC_WEIGHTS to further folders of weights; `aecodec models` lists all"

    def __init__(self, model_id: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(model_id, known)
        self.model_id = model_id
        self.known = known

    def __str__(self) -> str:
        here = f"; installed: {', '.join(self.known)}" if self.known else ""
        return f"written with weights {self.model_id}, which are not installed{here}"


class KnownAnswerError(WeightsError):
    """The known-answer test of the weights failed on this machine, so nothing may be decoded."""

    advice = "please report it, with the output of `aecodec env`"


class DeviceError(AecodecError):
    """The requested device does not exist, or nothing installed can use it."""

    advice = "leave out --device, or see docs/gpu.md"


class OutputError(AecodecError):
    """The result cannot be written, or its format cannot hold it."""


class OutputExistsError(OutputError):
    """The output exists already, and the caller did not ask to replace it."""


_OUT_OF_MEMORY = (
    "allocate memory",  # ONNX Runtime; the system's ENOMEM; the loader of a library
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "can't start new thread",  # Python's threads need room for a stack
    "failed to map segment",  # of a library that is being imported
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, of whatever library, says that there was not enough memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(part in text for part in _OUT_OF_MEMORY)


def describe(error: Exception) -> str:
    """Any error as one line for a user, after the name of the file that it is about."""
    if isinstance(error, AecodecError):
        return with_advice(error)
    if is_out_of_memory(error):
        return "not enough memory"
    return f"unexpected error: {type(error).__name__}: {one_line(error)}"


def with_advice(error: AecodecError) -> str:
    """One of our own errors as one line, with its advice."""
    return one_line(error) + (f" ({error.advice})" if error.advice else "")


def one_line(error: BaseException) -> str:
    """The text of another library's error as one line, for a message of our own.

    Falls back on the name of the class if the error has no text (as ``MemoryError``).
    """
    return " ".join(str(error).split()) or type(error).__name__
