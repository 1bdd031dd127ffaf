"""Measuring: a picture through a codec at a quality, by the bytes of the whole file.

The process is warm: every codec is loaded, and has coded a picture, before anything is timed; what
loading costs, and how much memory coding takes, is measured apart, in processes of its own. A
codec's round trip on a picture is checked before it is timed there. What was measured is kept in a
results file, one JSON object a line, and is not measured again while codec, settings, versions,
picture and machine are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aecodec import files, metrics
from aecodec.arrays import Pixels
from aecodec.bench import codecs
from aecodec.bench.codecs import Codec, Coder
from aecodec.bench.pictures import Photograph
from aecodec.errors import AecodecError, InputError, OutputError
from aecodec.machine import cores, peak_mib
from aecodec.networks.ssimulacra2 import ssimulacra2

__all__ = ["Point", "Probe", "Store", "machine", "measure", "probe"]


_FORMAT = {"aecodec bench results": 1}
_MEASURES = "PSNR, MS-SSIM, SSIMULACRA 2.1"
"""What a point tells: one that was measured for less is measured again."""
_NEAR = 25.0
"""dB; another picture is further away, if it has more than one colour."""
_LONGEST_HEAD = 1000  # characters; a file without ends of lines is not read to its end


@dataclasses.dataclass(frozen=True)
class Point:
    """One picture through one codec at one quality."""

    quality: float
    nbytes: int
    psnr: float | None  # dB over RGB; None where the pixels came back exactly
    ms_ssim: float | None  # None for sides below metrics.MS_SSIM_SMALLEST_SIDE
    ssimulacra2: float | None  # None for sides below 8
    encode_s: float
    decode_s: float


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a codec costs before and beside the coding of one picture, in fresh processes."""

    load_s: float  # to import, load and code a first picture of 64x64
    encode_mib: float | None  # the process's largest resident memory; None where unknown
    decode_mib: float | None
    megapixels: float  # of the picture that was coded


Kept = TypeVar("Kept", Point, Probe)


def machine() -> dict[str, Any]:
    """What timings depend on beside the codecs: processor, cores, system, Python."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        name = _processor(Path("/proc/cpuinfo").read_text(encoding="utf-8")) or name
    return {
        "cpu": name,
        "cores": cores(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor(cpuinfo: str) -> str:
    """The first processor's name; "" where Linux says none.

    With its family and model: virtual machines call processors of several generations alike, and
    the same networks take twice as long on one as on the next.
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    said: dict[str, str] = {}
    for key, _, value in lines:
        said.setdefault(key.strip(), value.strip())
    name = said.get("model name", "")
    numbers = [f"{key.split()[-1]} {said[key]}" for key in ("cpu family", "model") if key in said]
    return f"{name} ({', '.join(numbers)})" if name and numbers else name


class Store:
    """The results file: append-only, so that an interruption loses one line at most."""

    def __init__(self, path: str, *, again: bool = False) -> None:
        """Read what is kept; `again` ignores it. Raises InputError for a file of another kind."""
        self.path = path
        self.damaged = 0
        self._kept: dict[str, dict[str, Any]] = {}
        self._ends_whole = True
        self._empty = True
        self._read(again)

    def _read(self, again: bool) -> None:
        name = files.shown(self.path)
        if Path(self.path).is_fifo():
            raise InputError(f"{name}: is a pipe, not a results file")
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                head = file.readline(_LONGEST_HEAD)
                if head and _parsed(head) != _FORMAT:
                    raise InputError(f"{name}: exists and is no results file of aecodec bench")
                text = head + file.read()
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise InputError(f"{name}: is a folder, not a results file") from None
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {files.reason(error)}") from error
        self._empty = not text
        self._ends_whole = text.endswith("\n") or not text
        for line in text.splitlines()[1:]:
            record = _parsed(line)
            key, value = (record or {}).get("key"), (record or {}).get("value")
            if not isinstance(key, str) or not isinstance(value, dict):
                self.damaged += 1  # the last line of a run that was killed
            elif not again:
                self._kept[key] = value

    def check(self) -> None:
        """Begin the file, before anything is measured in vain. Raises OutputError."""
        was_empty = self._empty
        try:
            self._append("")
        except OutputError:
            if was_empty:  # part of a head would be another kind of file to the next run
                with contextlib.suppress(OSError):
                    os.truncate(self.path, 0)
            raise

    def get(self, key: str, kind: type[Kept]) -> Kept | None:
        """What is kept under `key`; None also for what is no such thing."""
        kept = self._kept.get(key)
        fields = {field.name: "None" in str(field.type) for field in dataclasses.fields(kind)}
        if kept is None or set(kept) != set(fields):
            return None
        for name, may_be_none in fields.items():
            value = kept[name]
            if not (may_be_none if value is None else type(value) in (int, float)):
                return None
        return kind(**kept)

    def put(self, key: str, value: dict[str, Any], about: dict[str, Any]) -> None:
        """Keep `value`; `about` says to human readers what it is. Raises OutputError."""
        self._kept[key] = value
        self._append(json.dumps({**about, "value": value, "key": key}) + "\n")

    def _append(self, text: str) -> None:
        """Write what is nothing or a whole line, after what such a file begins with."""
        if self._empty:
            text = json.dumps(_FORMAT) + "\n" + text
        elif not self._ends_whole:
            text = "\n" + text
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            name = files.shown(self.path)
            raise OutputError(
                f"cannot write the results file {name}: {files.reason(error)}"
            ) from error
        self._empty, self._ends_whole = False, True


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


# --------------------------------------------------------------------------------------- measuring


def measure(
    codec: Codec, photograph: Photograph, store: Store, *, repeats: int = 1
) -> Iterator[Point]:
    """The picture's points at every quality of the codec, from the store where it has them.

    Each is timed `repeats` times, and the shortest times count. Raises AecodecError where the
    codec fails, or gives back another picture.
    """
    settings = (codec.name, codec.settings, codec.versions, machine(), repeats)
    checked = False
    for quality in codec.qualities:
        key = _key(settings, photograph.digest, quality, _MEASURES)
        kept = store.get(key, Point)
        if kept is None:
            coder = _loaded(codec)
            if not checked:
                check(codec, coder, photograph)
                checked = True
            point = _measured(coder, photograph.rgb, quality, repeats)
            about = {"codec": codec.name, "picture": photograph.name}
            store.put(key, dataclasses.asdict(point), about)
            yield point
        else:
            yield kept


@functools.lru_cache(maxsize=32)
def _loaded(codec: Codec) -> Coder:
    return codec.load()


def check(codec: Codec, coder: Coder, photograph: Photograph) -> None:
    """Refuse a codec that does not give this picture back, before it is timed."""
    rgb = photograph.rgb
    quality = codec.qualities[len(codec.qualities) // 2]
    restored = coder.decode(coder.encode(rgb, quality))
    if restored.shape != rgb.shape or restored.dtype != rgb.dtype:
        raise AecodecError(
            f"the round trip of {files.shown(photograph.name)} gave {restored.shape} "
            f"{restored.dtype} for {rgb.shape} {rgb.dtype}"
        )
    mean = np.broadcast_to(np.rint(rgb.mean(axis=(0, 1))).astype(np.uint8), rgb.shape)
    # At a middle quality a picture is nearer to the original than its mean colour is. To one of
    # hardly more than one colour that mean is nearer still: there it is enough to be near.
    if metrics.psnr(rgb, restored) < min(metrics.psnr(rgb, mean) - 1, _NEAR):
        name = files.shown(photograph.name)
        raise AecodecError(f"the round trip of {name} gave another picture")


def _measured(coder: Coder, rgb: Pixels, quality: float, repeats: int) -> Point:
    encoding, decoding = math.inf, math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        data = coder.encode(rgb, quality)
        between = time.perf_counter()
        restored = coder.decode(data)
        end = time.perf_counter()
        encoding, decoding = min(encoding, between - start), min(decoding, end - between)
    value = metrics.psnr(rgb, restored)
    return Point(
        quality=quality,
        nbytes=len(data),
        psnr=value if math.isfinite(value) else None,
        ms_ssim=metrics.ms_ssim(rgb, restored),
        ssimulacra2=ssimulacra2(rgb, restored),
        encode_s=encoding,
        decode_s=decoding,
    )


# ------------------------------------------------------------------------ loading and memory, apart


def probe(codec: Codec, photograph: Photograph, store: Store) -> Probe:
    """Load and code in fresh processes, one to encode and one to decode."""
    settings = (codec.name, codec.settings, codec.versions, machine(), "probe")
    key = _key(settings, photograph.digest)
    kept = store.get(key, Probe)
    if kept is not None:
        return kept
    quality = codec.qualities[len(codec.qualities) // 2]
    data, load_s, encode_mib = _alone(_probe_encoding, codec.name, photograph.rgb, quality)
    decode_mib = _alone(_probe_decoding, codec.name, data)
    found = Probe(load_s, encode_mib, decode_mib, photograph.pixels / 1e6)
    store.put(key, dataclasses.asdict(found), {"codec": codec.name, "picture": photograph.name})
    return found


def _alone(work: Callable[..., Any], *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _probe_encoding(name: str, rgb: Pixels, quality: float) -> tuple[bytes, float, float | None]:
    codec = codecs.find(name)
    start = time.perf_counter()
    coder = codec.load()
    load_s = time.perf_counter() - start
    return coder.encode(rgb, quality), load_s, peak_mib()


def _probe_decoding(name: str, data: bytes) -> float | None:
    codecs.find(name).load().decode(data)
    return peak_mib()
