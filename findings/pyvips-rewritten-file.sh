#!/usr/bin/env bash
# pyvips 3.2.0 (libvips 8.18.7) reads the old picture from a file that has been written again.
#
# new_from_file is documented to load an image from a file. libvips keeps the results of operations, loading
# too, under their arguments: the name is one, the file's date and size are not.
# Seen: after the file is written again, by Pillow or by pyvips itself, in other pixels or in another size, the
# same process reads what was there first. Only revalidate=True reads the file; then later readings are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile \
  "pyvips[binary]==3.2.0" pyvips-binary==8.18.7 pillow==13.0.0
env/bin/python - <<'PY'
import pyvips
from PIL import Image


def read(**options):
    image = pyvips.Image.new_from_file("grey.png", **options)
    return image.width, image.height, image.avg()


Image.new("L", (64, 48), 10).save("grey.png")
seen = [read()]
Image.new("L", (32, 16), 200).save("grey.png")
seen += [read(), read(revalidate=True), read()]
(pyvips.Image.black(8, 8) + 77).cast("uchar").write_to_file("grey.png")
seen += [read()]
print("width, height and mean of the file at each reading:", *seen, sep="\n")
print("in the file:", Image.open("grey.png").size, Image.open("grey.png").getpixel((0, 0)))
old, new = (64, 48, 10.0), (32, 16, 200.0)
assert seen == [old, old, new, new, new], "this has changed"
assert Image.open("grey.png").getpixel((0, 0)) == 77
PY
