"""The report: one HTML file with everything in it, for a browser without a network.

Jinja2 fills `templates/report.html` with the tables, escaping everything; the page's script draws
the curves and runs the slider from JSON that stands in the page. A content security policy in the
page forbids every request.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from aecodec import __version__
from aecodec.bench import curves
from aecodec.bench.comparison import Comparison, listed
from aecodec.bench.curves import Bd, Curve
from aecodec.bench.scenes import Scene
from aecodec.bench.table import percent, speed

__all__ = ["of_comparison", "of_files"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """One figure of the summary."""

    figure: str
    text: str
    good: bool


def of_comparison(found: Comparison, scenes: Sequence[Scene]) -> str:
    """The page of `aecodec bench`."""
    titles = found.titles()
    ours = next((c.name for c in found.measured if c.name.partition(":")[0] == "aecodec"), None)
    names = [codec.title for codec in found.measured]
    rivals = _listed(names[1:]) if len(names) < 6 else f"{len(names) - 1} others"
    count = len(found.pictures)
    return _page(
        title=f"{names[0]} against {rivals}" if len(names) > 1 else names[0],
        subtitle=f"{count} picture{'s' if count != 1 else ''}, real file bytes · {found.day} · "
        f"{found.machine['cpu']}, {found.machine['cores']} cores",
        found=found,
        titles=titles,
        claims=[] if ours is None else _claims(found, ours),
        method=curves.METHOD,
        matrices=_matrices(found),
        per_picture=_per_picture(found),
        jpegs=[picture.name for picture in found.pictures if picture.from_jpeg],
        notes=[
            *_notes([(picture.name, picture.notes) for picture in found.pictures]),
            *(f"{note}." for note in found.notes()),
        ],
        speeds=_speeds(found),
        data=_data(found),
        scenes=[scene.as_json() for scene in scenes],
        rows=[],
    )


def of_files(
    original: str,
    rows: Sequence[Sequence[str]],
    scene: Scene,
    notes: Sequence[tuple[str, Sequence[str]]] = (),
) -> str:
    """The page of `aecodec compare`; with each picture's name its notes."""
    return _page(
        title=original,
        subtitle=f"{len(rows)} file{'s' if len(rows) != 1 else ''} against the original, "
        f"{scene.width} × {scene.height}",
        found=None,
        claims=[],
        jpegs=[],
        notes=_notes(notes),
        data={},
        scenes=[scene.as_json()],
        rows=rows,
    )


def _notes(pictures: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """A sentence for each note, with the pictures that it is about."""
    by_note: dict[str, list[str]] = {}
    for name, notes in pictures:
        for note in notes:
            by_note.setdefault(note, []).append(name)
    return [f"{listed(names)}: {note}." for note, names in by_note.items()]


def _page(**values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("aecodec.bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, speed=speed, tint=tint)
    return environment.get_template("report.html").render(version=__version__, **values)


def tint(value: float | None) -> str:
    """How strongly a cell of a table is coloured: 0 to 1 as CSS, with the side it is on."""
    if value is None:
        return ""
    strength = min(1.0, abs(value) / 60) ** 0.7
    return f"--s:{strength:.2f}" if math.isfinite(value) else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


# ------------------------------------------------------------------------------------ the summary


def _claims(found: Comparison, ours: str) -> list[Claim]:
    """What aecodec saves, or costs, against each codec that people use."""
    made = []
    for other in found.measured:
        if other.name == ours or other.name.partition(":")[0].startswith(("aecodec", "klt")):
            continue
        known = [
            (label, bd.value)
            for metric, label in (("psnr", "PSNR"), ("ssimulacra2", "SSIMULACRA 2"))
            if metric in found.bd and (bd := found.bd[metric][ours][other.name]).value is not None
        ]
        if not known:
            continue
        (label, value), *more = known
        text = f"{_more_or_fewer(value)} bytes than {other.title} at equal {label}"
        for label, also in more:
            text += f", {abs(also):.0f} % {_more_or_fewer(also)} at equal {label}"
        good = round(value) <= 0
        made.append(Claim(figure=f"{abs(value):.0f} %", text=text, good=good))
    codec = next(c for c in found.measured if c.name == ours)
    for what, verb in (("encode_s", "encoded"), ("decode_s", "decoded")):
        text = f"megapixels {verb} a second on {found.machine['cores']} cores"
        made.append(Claim(speed(codec.speed(what)), text, True))
    return made


def _more_or_fewer(percent: float) -> str:
    return "fewer" if round(percent) <= 0 else "more"


# ------------------------------------------------------------------------------------- the tables


def _matrices(found: Comparison) -> list[dict[str, Any]]:
    """Each way to compute the BD-rates of all against all."""
    names = list(found.titles())
    measured = [codec.name for codec in found.measured]
    made = []
    for metric in found.metrics:
        made.append(_matrix(found, metric, names, "mean curves", lambda bd: bd.value))
    if len(found.pictures) > 1:
        made.append(_matrix(found, "psnr", measured, "mean of pictures", lambda bd: bd.of_images))
    return made


def _matrix(
    found: Comparison, metric: str, names: Sequence[str], how: str, pick: Any
) -> dict[str, Any]:
    label = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA 2"}[metric]
    columns = [name for name in names if name in {c.name for c in found.measured}]
    if found.anchor not in columns:
        columns.append(found.anchor)

    def cell(test: str, anchor: str) -> dict[str, Any]:
        if test == anchor:
            return {"same": True, "value": None, "hint": ""}
        bd = found.bd[metric][test][anchor]
        return {"same": False, "value": pick(bd), "hint": _hint(bd, how, len(found.pictures))}

    return {
        "label": f"{label}, {how}",
        "columns": columns,
        "rows": [(test, [cell(test, anchor) for anchor in columns]) for test in names],
    }


def _hint(bd: Bd, how: str, count: int) -> str:
    if how == "mean of pictures":
        return f"{bd.images} of {count} pictures have a common range"
    if bd.value is None or bd.low is None or bd.high is None:
        return "no common range"
    return f"common range {bd.low:.2f} to {bd.high:.2f}"


def _per_picture(found: Comparison) -> list[dict[str, Any]]:
    anchor = next((c for c in found.measured if c.name == found.anchor), None)
    if anchor is None:
        return []
    others = [codec for codec in found.measured if codec is not anchor]
    return [
        {
            "name": picture.name,
            "size": f"{picture.width} × {picture.height}",
            "jpeg": picture.from_jpeg,
            "values": [
                curves.bd_rate(anchor.curve_of(picture.name), codec.curve_of(picture.name)).value
                for codec in others
            ],
        }
        for picture in found.pictures
    ]


def _speeds(found: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": codec.name,
            "title": codec.title,
            "settings": codec.settings,
            "versions": ", ".join(codec.versions),
            "bd": found.against_anchor(codec.name).value,
            "encode": codec.speed("encode_s"),
            "decode": codec.speed("decode_s"),
            "probe": codec.probe,
        }
        for codec in found.measured
    ]


# ------------------------------------------------------------------------------- for the script


def _data(found: Comparison) -> dict[str, Any]:
    """What the page's script draws."""
    means = [codec.mean_curve() for codec in found.measured]
    return {
        "metrics": [(metric, curves.METRICS[metric]) for metric in found.metrics],  # in this order
        "pictures": [picture.name for picture in found.pictures],
        "anchor": found.titles()[found.anchor],
        "curves": [
            {
                "name": curve.name,
                "title": curve.title,
                "measured": curve.measured,
                "mean": _drawn(curve, found.metrics),
                "pictures": {}
                if codec is None
                else {name: _drawn(codec.curve_of(name), found.metrics) for name in codec.points},
            }
            for curve, codec in [
                *zip(means, found.measured, strict=True),
                *((curve, None) for curve in found.others),
            ]
        ],
        "speeds": [
            {key: entry[key] for key in ("name", "title", "bd", "encode", "decode")}
            for entry in _speeds(found)
        ],
    }


def _drawn(curve: Curve, metrics: Sequence[str]) -> dict[str, list[list[float]]]:
    return {
        metric: [[round(rate, 5), round(value, 4)] for rate, value in curve.points(metric)]
        for metric in metrics
    }
