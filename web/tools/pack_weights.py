"""Makes the web decoder's weights of `weights/NAME`: one file each, and the list of them.

    python web/tools/pack_weights.py small base small-eye

`web/weights/NAME-ID-DIGEST.aecw` holds what decoding needs and nothing else. Integers, on which
symbols depend, are kept to the last bit. The float networks' matrices are rounded to so many bits
for each row that no pixel moves by more than the one level by which machines differ anyway; what
is small is kept as it is.

The file is a gzip stream (which a browser reads by itself, and which ends in a CRC-32) of:

    u32     length of the directory
    ...     the directory, JSON in UTF-8: "id", "name", "config", and the list "parts"
    ...     the parts, one after another; each is "size" bytes long

A part is an array, named by "name", of "dtype" and "shape" (a graph is an array of bytes), or it
fills "into", the graph just before it, from the byte "at" on. "coding" says how numbers became
bytes:

    plain   little-endian numbers: first all their low bytes, then all second ones, and so on
    delta   the same, of the differences along the first axis, taken "times" times, each stored as
            an even number where it is not negative (2 d) and as an odd one where it is (-2 d - 1)
    anchors exp of a linear interpolation between "count" rows of float32, at (count - 1) * level[q]
    scaled  a float32 for each row, then the same of whole numbers, which it multiplies; they are
            stored as those of "delta" are
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import sys
import tempfile
import zlib
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from aecodec.networks.weights import model_id

ROOT = pathlib.Path(__file__).parents[2]
OUT = ROOT / "web" / "weights"
GRAPHS = ("mean_features", "context", "synthesis16", "synthesis8")
ENCODER_ONLY = ("curvature", "lambda", "y_thresholds")
SMOOTH = {"scale.index_offset": 2, "scale.level_bias": 2, "level": 2}
"""Arrays of a row for each quality, which change evenly from one to the next."""
BITS = {"mean_features": 13, "context": 13, "synthesis16": 14, "synthesis8": 14, "preview": 10}
"""Of a weight, its sign included. With one less in the syntheses, pixels of noise at quality 5 are
up to 3 levels off (tests/conformance/good/noise-q5.aec)."""
FEW = 1024
"""Arrays of no more numbers are kept as they are."""
CONFIG = ("latents", "hyper_latents", "context_blocks", "synthesis16", "synthesis8")


def planes(numbers: np.ndarray) -> bytes:
    """All first bytes, then all second ones: bytes of one kind compress best side by side."""
    size = numbers.dtype.itemsize
    numbers = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    return numbers.view(np.uint8).reshape(-1, size).T.tobytes()


def narrow(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers of any sign as unsigned ones of 1, 2 or 4 bytes."""
    folded = np.where(numbers < 0, -2 * numbers - 1, 2 * numbers)
    top = int(folded.max(initial=0))
    if top >= 1 << 32:
        raise ValueError("a difference of more than 32 bits")
    return folded.astype("u1" if top < 1 << 8 else "u2" if top < 1 << 16 else "u4")


class Packer:
    """The parts of one file of weights."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.data: list[bytes] = []

    def add(self, data: bytes, **said: Any) -> None:
        self.parts.append({**said, "size": len(data)})
        # The planes of bytes are of different kinds: each is deflated alone.
        width = said.get("width", 1)
        head = len(data) % width if said["coding"] != "scaled" else 4 * said["shape"][0]
        planes = [data[:head]] + [
            data[head:][k * ((len(data) - head) // width) :][: (len(data) - head) // width]
            for k in range(width)
        ]
        assert b"".join(planes) == data
        self.data += [plane for plane in planes if plane]

    def plain(self, numbers: np.ndarray, **said: Any) -> None:
        self.add(
            planes(numbers), coding="plain", dtype=str(numbers.dtype), shape=numbers.shape, **said
        )

    def delta(self, numbers: np.ndarray, times: int, **said: Any) -> None:
        # Floats of one sign are ordered as their bits are.
        whole = (numbers.view(np.int32) if numbers.dtype == np.float32 else numbers).astype(
            np.int64
        )
        for _ in range(times):
            whole = np.diff(whole, axis=0, prepend=0)
        stored = narrow(whole)
        kind = {"coding": "delta", "times": times, "width": stored.dtype.itemsize}
        self.add(planes(stored), **kind, dtype=str(numbers.dtype), shape=numbers.shape, **said)

    def anchors(self, numbers: np.ndarray, level: np.ndarray, count: int, **said: Any) -> None:
        """What the exporter interpolated, positive numbers (101, n), as what it came from."""
        place = level[1:].astype(np.float64) * (count - 1)
        before = np.minimum(place.astype(int), count - 2)
        share = np.zeros((len(place), count))
        each = np.arange(len(place))
        share[each, before], share[each, before + 1] = 1 - (place - before), place - before
        wanted = numbers[1:].astype(np.float64)
        rows = np.linalg.lstsq(share, np.log(wanted), rcond=None)[0].astype(np.float32)
        off = np.abs(np.exp(share @ rows.astype(np.float64)) / wanted - 1).max()
        if off > 2e-5:
            raise ValueError(f"{said}: not what lies between {count} anchors: {off:.1e} off")
        kind = {"coding": "anchors", "count": count}
        self.add(planes(rows.ravel()), **kind, dtype="float32", shape=numbers.shape, **said)

    def scaled(self, numbers: np.ndarray, bits: int, **said: Any) -> None:
        rows = numbers.reshape(len(numbers), -1).astype(np.float64)
        unit = (np.abs(rows).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)).astype(np.float32)
        unit[unit == 0] = 1
        stored = narrow(np.rint(rows / unit).astype(np.int64))
        kind = {"coding": "scaled", "width": stored.dtype.itemsize}
        data = planes(unit.ravel()) + planes(stored)
        self.add(data, **kind, dtype="float32", shape=numbers.shape, **said)

    def finish(self, about: dict[str, Any]) -> bytes:
        directory = json.dumps({**about, "parts": self.parts}, separators=(",", ":")).encode()
        parts = [len(directory).to_bytes(4, "little") + directory, *self.data]
        return gzipped(parts)


def gzipped(parts: list[bytes]) -> bytes:
    """One gzip stream of all parts, each deflated as suits it best.

    zlib finds repetitions even in what is as good as noise, and spends more on them than their
    bytes' own code would take; so half of the parts are smaller without any.
    """
    made, crc, size = [b"\x1f\x8b\x08" + bytes(6) + b"\xff"], 0, 0
    for part in parts:
        streams = []
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE):
            # A deflate stream that is flushed ends at a byte, and another one may follow it.
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
            streams.append(deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH))
        made.append(min(streams, key=len))
        crc, size = zlib.crc32(part, crc), size + len(part)
    made.append(zlib.compressobj(9, zlib.DEFLATED, -15).flush())  # the last block, empty
    made.append(crc.to_bytes(4, "little") + size.to_bytes(4, "little"))
    return b"".join(made)


def float_graph(path: pathlib.Path) -> onnx.ModelProto:
    """The graph with its weights in float32 and ready to run: what a session would do with it at
    its start is done, as far as it holds on every machine."""
    model = onnx.load(path)
    halves = {i.name for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT16}
    renamed, kept = {}, []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in halves:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    for node in kept:
        for at, name in enumerate(node.input):
            node.input[at] = renamed.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for tensor in model.graph.initializer:
        if tensor.name in halves:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/graph.onnx"
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def add_graph(packer: Packer, name: str, path: pathlib.Path) -> None:
    """The graph without its weights, zeros in their place; then the weights."""
    model = float_graph(path)
    model.producer_name = model.producer_version = model.doc_string = ""
    fills = []
    for number, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 16:
            continue
        # A mark to find the place by, and then zeros.
        mark = hashlib.sha256(f"{name} {number}".encode()).digest() * (values.nbytes // 32 + 1)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        tensor.raw_data = mark[: values.nbytes]
        fills.append((values, tensor.raw_data))
    data = bytearray(model.SerializeToString())
    found = []
    for values, mark in fills:
        at = data.index(mark)
        if data.find(mark, at + 1) >= 0:
            raise ValueError(f"{path}: the place of an array of weights is not certain")
        found.append((values, at))
    for values, at in found:
        data[at : at + values.nbytes] = bytes(values.nbytes)
    packer.add(bytes(data), name=name, coding="plain", dtype="uint8", shape=[len(data)])
    for values, at in found:
        depthwise = values.ndim == 4 and values.shape[1] == 1
        # What each row's sum is read of is small: halves hold it, as they do in the original.
        half = np.array_equal(values.astype(np.float16).astype(np.float32), values)
        if values.ndim >= 2 and not depthwise and values.size > FEW and values.shape[0] > 12:
            packer.scaled(values, BITS[name], into=name, at=at)
        else:
            packer.plain(values.astype(np.float16) if half else values, into=name, at=at)


def pack(folder: pathlib.Path) -> tuple[str, bytes]:
    """The id of the weights in `folder`, and the web decoder's file of them."""
    from safetensors.numpy import load_file

    packer = Packer()
    config = json.loads((folder / "config.json").read_text())
    arrays = load_file(folder / "tables.safetensors")
    for name, numbers in sorted(arrays.items(), key=lambda item: (item[0] != "level", item[0])):
        if name in ENCODER_ONLY:
            continue
        if name in SMOOTH:
            packer.delta(numbers, SMOOTH[name], name=name)
        elif name == "gain":
            packer.anchors(numbers, arrays["level"], config["anchors"], name=name)
        elif name == "preview":
            packer.scaled(numbers, BITS[name], name=name)
        elif numbers.dtype == np.int32:
            packer.delta(numbers, 0, name=name)
        else:
            packer.plain(numbers, name=name)
    for name in GRAPHS:
        add_graph(packer, name, folder / f"{name}.onnx")
    name = model_id(folder).hex()
    about = {"id": name, "name": folder.name, "config": {key: config[key] for key in CONFIG}}
    return name, packer.finish(about)


def main(names: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    listed = {}
    for name in names:
        folder = ROOT / "weights" / name
        found, data = pack(folder)
        digest = hashlib.sha256(data).hexdigest()
        file = f"{name}-{found}-{digest[:8]}.aecw"
        for old in OUT.glob(f"{name}-*.aecw"):
            if old.name != file:
                old.unlink()
        (OUT / file).write_bytes(data)
        listed[found] = {"name": name, "file": file, "bytes": len(data), "sha256": digest}
        print(f"{file}: {len(data)} bytes")
    text = "// Made by tools/pack_weights.py: which weights there are, by model id.\n"
    text += f"export const WEIGHTS = {json.dumps(listed, indent=2)};\n"
    (ROOT / "web" / "src" / "manifest.js").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:] or ["small", "base", "small-eye"])
