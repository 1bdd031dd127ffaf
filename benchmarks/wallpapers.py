"""Larger pictures than Kodak's, for `eye.py`: photographs at their full size, and illustrations.

    python benchmarks/wallpapers.py FOLDER [--packages FOLDER_OF_DEB_FILES]
    python benchmarks/eye.py FOLDER/photographs FOLDER/illustrations --json OUT.json ...

They come from Debian's packages of wallpapers, by `apt-get download`. FOLDER/photographs has the
middle (1536x1024) of sixteen photographs of 4 to 20 megapixels, as sensors and their software leave
them: softer than reduced ones. FOLDER/illustrations has 24 drawn or rendered pictures, reduced to
1280 pixels in width, of at most 768 rows.

No weights were trained on any of them: `aecodec.features` was compared with that of each wallpaper
of the training set, and those that were found there were left out.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PLASMA = "plasma-workspace-wallpapers", "usr/share/wallpapers/{}/contents/images/*x*.*"
MATE = "mate-backgrounds", "usr/share/backgrounds/mate/nature/{}.jpg"
UKUI = "ukui-wallpapers", "usr/share/backgrounds/{}.*"
GNOME = "gnome-backgrounds", "usr/share/backgrounds/gnome/{}.webp"
LOMIRI_16 = "lomiri-wallpapers-16.04", "usr/share/backgrounds/{}_by_*.jpg"
LOMIRI_20 = "lomiri-wallpapers-20.04", "usr/share/backgrounds/{}_by_*.jpg"

PHOTOGRAPHS = {
    LOMIRI_16: "Bridge Wine free friends greentock seeding sunset",
    LOMIRI_20: "Kleiber",
    MATE: "Aqua Garden LadyBird TwoWings YellowFlower",
    PLASMA: "EveningGlow FallenLeaf Path",
}
ILLUSTRATIONS = {
    PLASMA: "Altai Autumn Canopee Cascade Elarun Flow FlyingKonqui Honeywave Kay Kokkini Opal Patak"
    " SafeLanding Shell Volna",
    UKUI: "calla firstgeneration goldfish rhythm string the-mouse",
    GNOME: "symbolic-l truchet-l wood-d",
}


def unpacked(package: str, debs: Path, into: Path) -> Path:
    """The root of a package's files."""
    root = into / package
    if not root.exists():
        found = sorted(debs.glob(f"{package}_*.deb"))
        if not found:
            raise SystemExit(f"{debs} holds no {package}_*.deb")
        into.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", found[-1], root], check=True)
        print(found[-1].name)
    return root


def largest(root: Path, pattern: str) -> Image.Image:
    """The picture with the most pixels of those that a pattern finds."""
    found = [Image.open(path) for path in sorted(root.glob(pattern))]
    if not found:
        raise SystemExit(f"no {pattern}: another version of the package?")
    return max(found, key=lambda image: image.width * image.height).convert("RGB")


def middle(image: Image.Image, width: int, height: int) -> Image.Image:
    """At most so much of it, from its middle."""
    width, height = min(width, image.width), min(height, image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def main() -> None:
    """Get the packages and write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--packages", type=Path, help="a folder with the packages' files")
    options = parser.parse_args()
    missing = [name for name in ("apt-get", "dpkg-deb") if not shutil.which(name)]
    if "dpkg-deb" in missing or (missing and not options.packages):
        sys.exit(f"there is no {missing[-1]} here: it comes with Debian and its relatives")
    with tempfile.TemporaryDirectory() as temporary:
        debs = options.packages or Path(temporary)
        if not options.packages:
            names = sorted({package for package, _ in [*PHOTOGRAPHS, *ILLUSTRATIONS]})
            if subprocess.run(["apt-get", "download", "-qq", *names], cwd=debs).returncode:
                sys.exit("apt-get cannot download them: get their files, and name --packages")
        for kind, chosen in (("photographs", PHOTOGRAPHS), ("illustrations", ILLUSTRATIONS)):
            (options.folder / kind).mkdir(parents=True, exist_ok=True)
            for (package, pattern), names_of in chosen.items():
                root = unpacked(package, debs, Path(temporary) / "unpacked")
                for name in names_of.split():
                    image = largest(root, pattern.format(name))
                    if kind == "photographs":
                        image = middle(image, 1536, 1024)
                    else:
                        size = 1280, round(1280 * image.height / image.width)
                        image = image.resize(size, Image.Resampling.LANCZOS)
                        image = middle(image, 1280, 768)
                    image.save(options.folder / kind / f"{name}.png")


if __name__ == "__main__":
    main()
