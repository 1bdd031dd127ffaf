"""What a bug report needs to know of this machine: versions, weights, settings."""

from __future__ import annotations

import locale
import os
import platform
import sys
from importlib import metadata
from typing import Any

from aecodec import __version__, bitstream
from aecodec.errors import AecodecError, one_line
from aecodec.networks import runtime, weights

__all__ = ["describe"]

_PACKAGES = (
    "click",
    "constriction",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "pillow",
    "rich",
    "safetensors",
    "threadpoolctl",
    "zstandard",
    "torch",
)


def describe() -> dict[str, Any]:
    """Return what may matter, as plain values. Raises nothing: what fails is part of the answer."""
    return {
        "aecodec": __version__,
        "format": f"{bitstream.MAJOR}.{bitstream.MINOR}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": runtime.cores(),
        "encoding": f"{sys.getfilesystemencoding()}, {locale.getpreferredencoding(False)}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "pillow_features": _pillow_features(),
        "weights": [_weights(name) for name in weights.folders()],
        "coder": _coder(),
        "blas": _blas(),
        # After the weights: their known answers multiply.
        "matrix_product": _matrix_product(),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith("AECODEC_") or name in ("NO_COLOR", "OMP_NUM_THREADS")
        },
    }


def _version(package: str) -> str | None:
    """Asked of the package's metadata, so that nothing heavy is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _pillow_features() -> dict[str, str | None]:
    from aecodec.image.formats import library_version

    names = ("avif", "jpg", "jpg_2000", "libtiff", "littlecms2", "webp", "zlib")
    return {name: library_version(name) for name in names}


def _weights(name: str) -> dict[str, str]:
    """A folder of weights, and whether this machine computes what they expect."""
    folder = weights.folders()[name]
    found = {"name": name, "folder": str(folder)}
    try:
        found["id"] = weights.model_id(folder).hex()
        weights.load(folder).checked_scale_network()
    except AecodecError as error:
        return {**found, "state": one_line(error)}
    return {**found, "state": "ok"}


def _coder() -> str:
    """Which ANS coder is used: constriction's or our own."""
    try:
        from aecodec.entropy.backend import CODER
    except AecodecError as error:
        return one_line(error)
    return CODER


def _blas() -> list[dict[str, str | None]]:
    """The libraries that multiply NumPy's matrices, and the kernel that each chose."""
    import numpy as np
    from threadpoolctl import threadpool_info

    found = [
        {
            "library": library["internal_api"],
            "version": library.get("version"),
            "core": library.get("architecture"),
        }
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    if not found:  # such as Apple's Accelerate
        built = np.show_config(mode="dicts")
        blas = built.get("Build Dependencies", {}).get("blas", {})
        name, version = blas.get("name", "unknown"), blas.get("version")
        found.append({"library": name, "version": version, "core": None})
    return found


def _matrix_product() -> str:
    """Whether BLAS was right in all products that were checked in this process."""
    from aecodec.entropy.product import wrong_product

    if wrong := wrong_product():
        return f"BLAS multiplies wrongly here, {wrong}; it is not used, which takes longer"
    return "right"
