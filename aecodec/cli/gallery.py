"""The command `aecodec gallery`: a folder of pictures as a web gallery of .aec files.

What it makes is a folder of plain files that any web server can give out: a page, thumbnails, the
.aec files and the decoder for browsers (`web/` of the source, the npm package `aecodec`). The
page's content security policy forbids it to load anything from elsewhere.

Light to import: `aecodec --help` imports this module.
"""

from __future__ import annotations

import dataclasses
import html
import io
import json
import os
import shutil
import string
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as quoted

import click

from aecodec import __version__, files
from aecodec.cli.console import Report, size
from aecodec.cli.options import FileName, Whole, device_option, pixels_option, threads_option
from aecodec.conversion import Encoding, Run
from aecodec.errors import AecodecError, InputError, OutputError, OutputExistsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aecodec.codec import Codec
    from aecodec.image.picture import PillowImage

__all__ = ["gallery"]

MARK = "gallery.json"
"""The file by which a folder is known to be a gallery that may be replaced."""
DECODER = (
    "aecodec.js",
    "aecodec-worker.js",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
TEMPLATES = Path(__file__).parent / "templates"
METADATA = ("none", "icc", "all")
_LONGEST_JPEG: Final = 65_500
"""Pixels a side that libjpeg takes."""


@dataclass(frozen=True)
class Shown:
    """One picture of a gallery."""

    name: str
    file: str
    thumbnail: str
    width: int
    height: int
    source_bytes: int
    aec_bytes: int
    jpeg_bytes: int | None
    """Of a JPEG with at least the same PSNR; None where there is none, as with transparency."""


@click.command()
@click.argument("folder", type=FileName(), metavar="FOLDER")
@click.option(
    "-o",
    "--output",
    type=FileName(),
    metavar="SITE",
    required=True,
    help="The folder to make.",
)
@click.option(
    "-q", "--quality", type=Whole(1, 100), default=75, show_default=True, help="Of the .aec files."
)
@click.option(
    "-e", "--effort", type=Whole(1, 9), default=1, show_default=True, help="Spent on each."
)
@click.option("-m", "--model", metavar="NAME", help="The weights to use (see: aecodec models).")
@click.option("--title", metavar="TEXT", help="Of the page.  [default: the folder's name]")
@click.option(
    "--thumbnail",
    type=Whole(64, 2048),
    default=480,
    show_default=True,
    metavar="PIXELS",
    help="Thumbnails' longer side.",
)
@click.option(
    "--metadata",
    type=click.Choice(METADATA),
    default="icc",
    show_default=True,
    help="What the .aec files keep; `all` publishes EXIF, and so where a photo was taken.",
)
@click.option(
    "--decoder",
    metavar="FOLDER",
    help="The decoder for browsers: `dist` of the npm package aecodec.  [default: in node_modules"
    " here or above, or web/dist of the source]",
)
@threads_option("Threads to compress with.  [default: the cores]")
@device_option
@pixels_option
@click.option(
    "-f", "--force", is_flag=True, help="Replace a gallery that is there and holds no other files."
)
def gallery(folder: str, output: str, **options: Any) -> int:
    """Make a web gallery of a folder of pictures.

    SITE works from any web server, and loads nothing from another one. To try it: python -m
    http.server -d SITE. Pictures in folders below are taken, too. Of .aec files the pixels and the
    ICC profile stay as they are.
    """
    with Report(1, as_json=False, progress=False) as whole, whole.file(folder):
        whole.exit_code = _gallery(folder, output, options)
    return whole.exit_code


def _gallery(folder: str, output: str, options: dict[str, Any]) -> int:
    from aecodec.networks import weights

    sources, unread = _pictures(Path(folder), Path(output))
    target = Path(output)
    _check_target(target, options["force"])
    decoder = _decoder(options["decoder"])
    model = weights.by_name(options["model"])
    keep = {"none": (), "icc": ("icc",), "all": Encoding.keep}[options["metadata"]]
    encoding = Encoding(
        quality=options["quality"], effort=options["effort"], model=options["model"], keep=keep
    )
    run = Run(options["threads"] or 0, options["device"], options["max_pixels"])
    coder, longest = run.codec(model), options["thumbnail"]
    shown: list[Shown] = []
    ids = {model.id.hex()}
    with Report(len(sources), as_json=False) as report, files.making_folder(target) as site:
        for kind in ("pictures", "thumbnails", "aecodec"):
            (site / kind).mkdir()
        for path, fault in unread:
            with report.file(path):
                raise fault
        names = _Names()

        def make(source: Path) -> _Made:
            return _made(source, names, encoding, coder, run, longest)

        for source, made in _each(sources, report, make):
            # A full disk is no fault of this picture, and ends the run.
            (site / made.shown.file).write_bytes(made.data)
            (site / made.shown.thumbnail).write_bytes(made.thumbnail)
            ids |= made.models
            shown.append(made.shown)
            for note in made.notes:
                report.say(f"aecodec: {files.shown(str(source))}: note: {note}")
        if not shown:
            raise InputError(f"none of {len(sources)} pictures could be used")
        decoder_bytes = _copy_decoder(decoder, site / "aecodec", ids)
        title = options["title"] or Path(folder).resolve().name or "Pictures"
        _write_page(site, _readable(title), shown, model.id.hex(), decoder_bytes)
        report.result(_sentence(shown, output, decoder_bytes), {})
    return report.exit_code


# ---------------------------------------------------------------------------------- what goes in


def _pictures(folder: Path, output: Path) -> tuple[list[Path], list[tuple[str, AecodecError]]]:
    """The pictures of a folder's tree, but for those of galleries; and folders that say nothing."""
    from aecodec.image.formats import photograph_kinds

    if not folder.is_dir():
        raise InputError("no such folder" if not folder.exists() else "not a folder")
    suffixes = photograph_kinds()[0] | {files.SUFFIX}
    found: list[Path] = []
    unread: list[tuple[str, AecodecError]] = []

    def refused(error: OSError) -> None:
        unread.append((str(error.filename), InputError(f"cannot be read: {files.reason(error)}")))

    own = output.resolve()
    for place, below, names in os.walk(folder, onerror=refused):
        below[:] = [
            name
            for name in below
            if not name.startswith(".")
            and (inner := Path(place, name).resolve()) != own
            and _listed(inner) is None
        ]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    if not found and not unread:
        raise InputError("there is no picture in this folder")
    return sorted(found), unread


class _Names:
    """Names for files of a web server: of each source its own, and none of them twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, source: Path) -> str:
        """A name without suffix, of letters that need no escaping in an address."""
        plain = (
            "".join(c if c.isalnum() or c in "-_" else "-" for c in source.stem)[:80] or "picture"
        )
        name, number = plain, 1
        while name.casefold() in self._taken:  # not all file systems tell A from a
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name.casefold())
        return name


def _each(
    sources: Sequence[Path], report: Report, make: Callable[[Path], _Made]
) -> Iterator[tuple[Path, _Made]]:
    """The pictures that can be used; the faults of the others are reported."""
    for source in sources:
        with report.file(str(source)):
            yield source, make(source)


@dataclass(frozen=True)
class _Made:
    """What one picture adds to a gallery."""

    shown: Shown
    data: bytes
    """Of the .aec file."""
    thumbnail: bytes
    notes: Sequence[str]
    """On what was lost of it."""
    models: set[str]
    """The ids of the weights that it needs."""


def _made(
    source: Path, names: _Names, encoding: Encoding, coder: Codec, run: Run, longest: int
) -> _Made:
    """Compress one picture, and make its thumbnail."""
    from aecodec import bitstream, codec
    from aecodec.image.picture import thumbnail

    notes: Sequence[str] = ()
    original: npt.NDArray[np.uint8] | None = None
    if source.suffix.lower() == files.SUFFIX:
        data = _with_metadata(files.read_compressed(str(source)), encoding.keep, run)
    else:
        loaded = encoding.load(files.read_picture(str(source)), run.max_pixels)
        notes = loaded.notes
        data = encoding.encode(loaded, coder)
        original = loaded.rgb if loaded.mode in ("L", "RGB") else None
    container = bitstream.parse(data, max_pixels=run.max_pixels)
    header = container.header
    picture = codec.decompress(data, **dataclasses.asdict(run))
    small = io.BytesIO()
    thumbnail(picture, longest).save(small, "WEBP", quality=70, method=6)
    jpeg_bytes = None if original is None else _jpeg_bytes(original, picture)
    name = names.of(source)
    shown = Shown(
        name=_readable(source.stem),
        file=f"pictures/{name}{files.SUFFIX}",
        thumbnail=f"thumbnails/{name}.webp",
        width=header.width,
        height=header.height,
        source_bytes=source.stat().st_size,
        aec_bytes=len(data),
        jpeg_bytes=jpeg_bytes,
    )
    exact = len(container.exact) == header.tile_count
    models = set() if exact else {header.model_id.hex()}
    return _Made(shown, data, small.getvalue(), notes, models)


def _readable(name: str) -> str:
    """A name as a page can hold it: a file's may have bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _with_metadata(data: bytes, keep: Collection[str], run: Run) -> bytes:
    """An .aec file with these kinds of metadata alone, and its profile, which its colours need."""
    from aecodec import bitstream

    container = bitstream.parse(data, max_pixels=run.max_pixels)
    wanted = {"icc", *(_FIELDS.get(kind, kind) for kind in keep)}
    found = container.metadata
    kept = {name: value for name, value in found.items() if name in wanted}
    if not any(value for name, value in found.items() if name not in wanted):
        return data
    return bitstream.pack(
        container.header,
        container.tiles,
        exact=container.exact,
        alpha=container.alpha,
        grain=container.grain,
        **kept,
    )


_FIELDS: Final = {"gainmap": "gain_map"}
"""Kinds of metadata that a container has under another name."""


def _jpeg_bytes(original: npt.NDArray[np.uint8], decoded: PillowImage) -> int | None:
    """The bytes of the smallest JPEG (4:2:0, optimised) as faithful by PSNR as `decoded` is.

    None where JPEG does not reach it, or has no such picture.
    """
    import numpy as np

    from aecodec import metrics
    from aecodec.image import rgb

    if max(decoded.size) > _LONGEST_JPEG:
        return None
    grey = decoded.mode == "L"
    source = original[..., 0] if grey else original
    wanted = metrics.psnr(source, np.asarray(decoded))

    def tried(quality: int) -> tuple[int, float]:
        data = rgb.jpeg(source, quality)
        return len(data), metrics.psnr(source, rgb.decode(data, decoded.mode))

    low, high, found = 1, 100, None
    while low <= high:
        middle = (low + high) // 2
        count, reached = tried(middle)
        if reached >= wanted:
            found, high = count, middle - 1
        else:
            low = middle + 1
    return found


# ---------------------------------------------------------------------------------- the decoder


def _decoder(given: str | None) -> Path:
    """The folder of the decoder for browsers. Raises AecodecError that says how to get it."""
    if given is not None:
        places = [Path(given), Path(given) / "dist"]
    else:
        here = Path.cwd()
        places = [up / "node_modules" / "aecodec" / "dist" for up in (here, *here.parents)]
        places.append(Path(__file__).parents[2] / "web" / "dist")
    for place in places:
        if all((place / name).is_file() for name in DECODER):
            return place
    if given is not None:
        missing = next(n for n in DECODER if not (places[0] / n).is_file())
        raise _NoDecoder(f"the decoder for browsers is not in {files.shown(given)}: no {missing}")
    raise _NoDecoder("a gallery needs the decoder for browsers, which is not installed")


class _NoDecoder(AecodecError):
    advice = (
        "`make web` in the source builds it as web/dist, or `npm install aecodec` brings it;"
        " --decoder names the folder"
    )


def _copy_decoder(decoder: Path, into: Path, ids: set[str]) -> int:
    """Copy the decoder with the weights of these ids; how many bytes a visitor fetches once."""
    total = 0
    (into / "weights").mkdir()
    for name in DECODER:
        shutil.copyfile(decoder / name, into / name)
        total += (into / name).stat().st_size
    for model in sorted(ids):
        found = next((decoder / "weights").glob(f"*-{model}-*.aecw"), None)
        if found is None:
            raise _NoDecoder(
                f"the decoder for browsers has no weights {model}: it is of another version"
            )
        shutil.copyfile(found, into / "weights" / found.name)
        total += found.stat().st_size
    return total


# ---------------------------------------------------------------------------------- what comes out


def _check_target(target: Path, force: bool) -> None:
    """Refuse a folder that cannot or must not be replaced, before any work is done."""
    name, real = files.shown(str(target)), target.resolve()
    if not real.parent.is_dir():
        raise OutputError(f"{name}: the folder to make it in does not exist")
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        listed = _listed(target)
        if listed is None:
            raise OutputExistsError(f"{name} exists and is no gallery of ours: it is left alone")
        if not force:
            raise OutputExistsError(f"{name} exists already (--force replaces it)")
        other = _of_another(target, listed)
        if other is not None:
            raise OutputExistsError(
                f"{name} holds a file that is not the gallery's: move"
                f" {files.shown(str(other))} away first"
            )
    # It is replaced by renaming, which these are not open to.
    here = Path.cwd()
    if real == here or real in here.parents:
        raise OutputError(f"{name} is the folder that you are in: start from another one")
    if os.path.ismount(real):
        raise OutputError(f"{name} is where a disk is mounted: name a folder in it")
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {name}: the folder that it is in is read-only")


def _listed(folder: Path) -> set[str] | None:
    """The files of pictures that a gallery of ours lists; None for a folder that is none."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        if not mark["made by"].startswith("aecodec gallery"):
            return None
        return {shown[kind] for shown in mark["pictures"] for kind in ("file", "thumbnail")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _of_another(gallery: Path, listed: set[str]) -> Path | None:
    """A file in a gallery that `aecodec gallery` did not put there."""
    own = {MARK, "index.html", "gallery.css", "gallery.js", *listed}
    for path in sorted(gallery.rglob("*")):
        inside = path.relative_to(gallery)
        if not path.is_dir() and inside.parts[0] != "aecodec" and inside.as_posix() not in own:
            return path
    return None


def _write_page(
    site: Path, title: str, shown: Sequence[Shown], model: str, decoder_bytes: int
) -> None:
    values = {
        "title": html.escape(title),
        "ratios": "\n".join(
            f"#p{n}{{--ratio:{picture.width / picture.height:.4f}}}"
            for n, picture in enumerate(shown)
        ),
        "summary": html.escape(_summary(shown)),
        "pictures": "\n".join(_item(n, picture) for n, picture in enumerate(shown)),
        "decoder": size(decoder_bytes),
        "model": model,
        "version": __version__,
    }
    page = string.Template((TEMPLATES / "gallery.html").read_text(encoding="utf-8"))
    (site / "index.html").write_text(page.substitute(values), encoding="utf-8")
    for name in ("gallery.css", "gallery.js"):
        shutil.copyfile(TEMPLATES / name, site / name)
    mark = {"made by": f"aecodec gallery {__version__}", "pictures": [vars(p) for p in shown]}
    (site / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _item(number: int, picture: Shown) -> str:
    name = html.escape(picture.name)
    facts = f"{picture.width} × {picture.height}, {size(picture.aec_bytes)}"
    if picture.jpeg_bytes is not None:
        facts += f"; as faithful a JPEG: {size(picture.jpeg_bytes)}"
    return (
        f'<li id="p{number}"><a href="{quoted(picture.file)}" data-width="{picture.width}"'
        f' data-height="{picture.height}" data-facts="{html.escape(facts)}">'
        f'<img src="{quoted(picture.thumbnail)}" width="{picture.width}" height="{picture.height}"'
        f' alt="{name}" loading="lazy" decoding="async"><span aria-hidden="true">{name}</span></a>'
        "</li>"
    )


def _summary(shown: Sequence[Shown]) -> str:
    """What the page says of bytes."""
    count = len(shown)
    total = size(sum(picture.aec_bytes for picture in shown))
    what = f"{count} picture{'s' if count != 1 else ''}, {total} as .aec files."
    compared = [p for p in shown if p.jpeg_bytes is not None]
    if not compared:
        return what
    ours = sum(p.aec_bytes for p in compared)
    theirs = sum(p.jpeg_bytes or 0 for p in compared)
    part = "" if len(compared) == count else f" (of {len(compared)} that can be compared)"
    share = 100 * (1 - ours / theirs)
    says = f"saves {share:.0f} %" if share >= 0 else f"takes {-share:.0f} % more"
    return f"{what} JPEGs of the same PSNR would have {size(theirs)}{part}: .aec {says}."


def _sentence(shown: Sequence[Shown], output: str, decoder_bytes: int) -> str:
    return (
        f"{files.shown(output)}: {_summary(shown)} Visitors fetch the decoder once:"
        f" {size(decoder_bytes)}, less where the server compresses."
    )
