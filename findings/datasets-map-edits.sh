#!/usr/bin/env bash
# datasets 5.2.0 drops what a `map` draws on a picture of a file, without an error or a warning.
#
# The guide shows `map` with a function that changes pictures. A picture that was opened from a file has a name,
# and datasets then stores the name alone. What was changed in place is lost; a changed copy is stored.
# Seen: after paste within the function, and after Dataset.from_dict of an edited picture, the old pixels are read.
# The same function on the same picture held as bytes keeps the change.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HOME="$folder" HF_HUB_OFFLINE=1
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile datasets==5.2.0 pillow==13.0.0
env/bin/python - <<'PY'
import datasets
from PIL import Image

datasets.disable_progress_bars()
features = datasets.Features({"image": datasets.Image()})
Image.new("RGB", (32, 32), "white").save("white.png")
as_file = {"bytes": None, "path": "white.png"}
as_bytes = {"bytes": open("white.png", "rb").read(), "path": None}


def blacken(row):
    row["image"].paste("black", (0, 0, 32, 32))
    return row


def blacken_copy(row):
    image = row["image"].copy()
    image.paste("black", (0, 0, 32, 32))
    return {"image": image}


def middle(source, function=None):
    data = datasets.Dataset.from_dict({"image": [source]}, features=features)
    return (data.map(function) if function else data)[0]["image"].getpixel((16, 16))


edited = Image.open("white.png")
edited.paste("black", (0, 0, 32, 32))
seen = {
    "file, edited in place": middle(as_file, blacken),
    "opened picture, edited before": middle(edited),
    "file, edited copy": middle(as_file, blacken_copy),
    "bytes, edited in place": middle(as_bytes, blacken),
}
for name, pixel in seen.items():
    print(f"{name}: {pixel}")
white, black = (255, 255, 255), (0, 0, 0)
assert list(seen.values()) == [white, white, black, black], "this has changed"
PY
