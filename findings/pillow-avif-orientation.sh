#!/usr/bin/env bash
# Pillow 13.0.0 takes the orientation out of the caller's Exif object when it saves an AVIF.
#
# An argument of save is read, and not changed: JPEG, PNG, WebP and TIFF leave the Exif object as it is, and nothing in
# the documentation of AVIF says otherwise. Programs save one picture in several formats with one object.
# Seen: after the first save as AVIF the object has no orientation any more. That file is right. A JPEG and a second
# AVIF that are saved with the same object have none, without an error, and are shown lying on their side.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip --quiet --disable-pip-version-check install --no-compile pillow==13.0.0
env/bin/python - <<'PY'
from PIL import Image

ORIENTATION = 274
image = Image.new("RGB", (64, 48))
for suffix in ("jpg", "png", "webp", "tif", "avif"):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = []
    for name in (f"first.{suffix}", "second.jpg", f"third.{suffix}"):
        image.save(name, exif=exif)
        with Image.open(name) as file:
            found.append(file.getexif().get(ORIENTATION))
    print(f"{suffix}: orientation of the first file, a JPEG and another: {found}; object: {dict(exif)}")
    if suffix == "avif":
        assert found == [6, None, None] and ORIENTATION not in exif, "this has changed"
    else:
        assert found == [6, 6, 6] and exif[ORIENTATION] == 6, "this has changed"
with Image.open("first.jpg") as photograph:
    exif = photograph.getexif()
    photograph.save("copy.avif", exif=exif)
    photograph.save("copy.jpg", exif=exif)
with Image.open("copy.jpg") as copy:
    print("a photograph, saved as AVIF and then as JPEG:", copy.getexif().get(ORIENTATION))
    assert copy.getexif().get(ORIENTATION) is None, "this has changed"
PY
