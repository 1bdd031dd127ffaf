#!/usr/bin/env bash
# zstandard 0.25.0 decompresses the first of several frames, and drops the others without a word.
#
# RFC 8878, section 3: "A Zstandard compressed file is made up of one or more frames", and decoders give the contents
# of all of them, one after another. Files become so by "cat a.zst b.zst", by appending to a log, by pzstd.
# Seen: zstandard.decompress and ZstdDecompressor.decompress return the content of the first frame, and no error.
# stream_reader and copy_stream return all of the same bytes, and so does pyzstd 0.19.1. With allow_extra_data=False
# decompress raises an error; there is no argument with which it goes on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile zstandard==0.25.0 pyzstd==0.19.1
env/bin/python - <<'PY'
import io

import pyzstd
import zstandard

parts = [b"first half, ", b"second half"]
data = b"".join(zstandard.compress(part) for part in parts)
assert pyzstd.decompress(data) == b"".join(parts)
decoder = zstandard.ZstdDecompressor()
copied = io.BytesIO()
decoder.copy_stream(io.BytesIO(data), copied)
first = {
    "zstandard.decompress": zstandard.decompress(data),
    "ZstdDecompressor.decompress": decoder.decompress(data),
}
whole = {
    "stream_reader": decoder.stream_reader(io.BytesIO(data)).read(),
    "copy_stream": copied.getvalue(),
}
for name, content in (first | whole).items():
    print(f"{name}: {content!r}")
try:
    decoder.decompress(data, allow_extra_data=False)
except zstandard.ZstdError as error:
    print("allow_extra_data=False:", error)
else:
    raise SystemExit("this has changed")
assert all(content == parts[0] for content in first.values()), "this has changed"
assert all(content == b"".join(parts) for content in whole.values()), "this has changed"
PY
