"""All results of a run: the source of the table, the JSON, the CSV and the report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import platform
from collections.abc import Sequence
from datetime import date
from typing import Any

from aecodec import files, metrics
from aecodec.bench import curves
from aecodec.bench.curves import Bd, Curve, Measured
from aecodec.bench.pictures import Photograph

__all__ = ["Comparison", "compare_all", "listed"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Codecs measured on the same pictures, and published curves."""

    pictures: list[Photograph]
    measured: list[Measured]
    others: list[Curve]
    anchor: str
    bd: dict[str, dict[str, dict[str, Bd]]]
    """Metric -> test -> anchor."""
    machine: dict[str, Any]
    day: str

    @property
    def metrics(self) -> list[str]:
        """The measures that all pictures are large enough for, PSNR first."""
        return list(self.bd)

    def titles(self) -> dict[str, str]:
        """Name -> title, measured codecs first."""
        named: list[Measured | Curve] = [*self.measured, *self.others]
        return {entry.name: entry.title for entry in named}

    def notes(self) -> list[str]:
        """Sentences about the figures that some pictures have no part in."""
        made = []
        smallest = min(self.pictures, key=lambda picture: min(picture.width, picture.height))
        for metric, side in (("ms_ssim", metrics.MS_SSIM_SMALLEST_SIDE), ("ssimulacra2", 8)):
            if metric not in self.metrics:
                made.append(
                    f"{curves.METRICS[metric].removesuffix(' (dB)')} is left out:"
                    f" {files.shown(smallest.name)} has a side below {side} pixels"
                )
        for codec in self.measured:
            if codec.exact:
                made.append(
                    f"{codec.title} gives {listed(codec.exact)} back exactly at some quality. Equal"
                    " pictures have no PSNR, so its mean curve by PSNR lacks these qualities"
                )
        return made

    def against_anchor(self, name: str, metric: str = "psnr") -> Bd:
        """The BD-rate of one codec; 0 for the anchor itself."""
        if name == self.anchor:
            return Bd(0.0, None, None, 0.0, len(self.pictures))
        return self.bd[metric][name].get(self.anchor, Bd(None))


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of some pictures' names, and how many more there are."""
    text = ", ".join(files.shown(name) for name in names[:most])
    return text + (f" and {len(names) - most} more" if len(names) > most else "")


def compare_all(
    pictures: Sequence[Photograph],
    measured: Sequence[Measured],
    others: Sequence[Curve],
    anchor: str,
    machine: dict[str, Any],
) -> Comparison:
    """Compute the BD-rate of every codec against every other."""
    points = [point for codec in measured for of in codec.points.values() for point in of]
    shared = [
        metric
        for metric in curves.METRICS
        if metric == "psnr" or all(getattr(point, metric) is not None for point in points)
    ]
    return Comparison(
        pictures=list(pictures),
        measured=list(measured),
        others=list(others),
        anchor=anchor,
        bd={metric: curves.matrix(measured, others, metric) for metric in shared},
        machine=machine,
        day=date.today().isoformat(),
    )


def to_json(found: Comparison) -> str:
    """Curves and BD-rates; the single points are in the CSV.

    Each entry of "curves" has the format of CompressAI's published results.
    """
    document = {
        "name": "aecodec bench",
        "date": found.day,
        "machine": found.machine,
        "system": platform.platform(terse=True),
        "pictures": [
            {
                "name": picture.name,
                "width": picture.width,
                "height": picture.height,
                "stored_as_jpeg": picture.from_jpeg,
            }
            for picture in found.pictures
        ],
        "notes": found.notes(),
        "anchor": found.anchor,
        "bd_rate_method": curves.METHOD,
        "bd_rate_percent": {
            metric: {
                test: {anchor: _bd(value) for anchor, value in row.items()}
                for test, row in found.bd[metric].items()
            }
            for metric in found.metrics
        },
        "curves": [compressai(codec) for codec in found.measured],
        "overlaid": [curve.name for curve in found.others],
    }
    return json.dumps(document, indent=1) + "\n"


def _bd(value: Bd) -> dict[str, Any]:
    rounded = {
        "mean_curves": value.value,
        "mean_of_images": value.of_images,
        "from": value.low,
        "to": value.high,
    }
    made: dict[str, Any] = {
        key: None if number is None else round(number, 4) for key, number in rounded.items()
    }
    return {**made, "images": value.images}


def compressai(codec: Measured) -> dict[str, Any]:
    """The mean curve of a codec in CompressAI's format; times are seconds a picture."""
    mean = codec.mean_curve()
    columns = list(zip(*codec.points.values(), strict=True))
    similarity = [
        None
        if any(point.ms_ssim is None for point in column)
        else sum(point.ms_ssim or 0.0 for point in column) / len(column)
        for column in columns
    ]
    entry: dict[str, Any] = {
        "name": codec.name,
        "title": codec.title,
        "description": codec.settings,
        "versions": list(codec.versions),
        "quality": codec.qualities,
        "megapixels_per_second": {
            "encoding": codec.speed("encode_s"),
            "decoding": codec.speed("decode_s"),
        },
        "apart": None if codec.probe is None else dataclasses.asdict(codec.probe),
        "results": {
            "bpp": list(mean.bpp),
            "psnr-rgb": list(mean.psnr),
            "ms-ssim-rgb": similarity,
            "encoding_time": codec.seconds("encode_s"),
            "decoding_time": codec.seconds("decode_s"),
        },
    }
    if any(value is not None for value in mean.ssimulacra2):
        entry["results"]["ssimulacra2"] = list(mean.ssimulacra2)
    if entry["results"]["ms-ssim-rgb"][0] is None:
        del entry["results"]["ms-ssim-rgb"]
    return entry


def to_csv(found: Comparison) -> str:
    """One line for each codec, picture and quality."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "codec",
            "picture",
            "width",
            "height",
            "quality",
            "bytes",
            "bpp",
            "psnr_db",
            "ms_ssim",
            "ssimulacra2",
            "encode_s",
            "decode_s",
            "encode_mps",
            "decode_mps",
        ]
    )
    for codec in found.measured:
        for picture in found.pictures:
            for p in codec.points[picture.name]:
                rate = metrics.bits_per_pixel(p.nbytes, picture.width, picture.height)
                writer.writerow(
                    [
                        *(codec.name, picture.name, picture.width, picture.height),
                        *(f"{p.quality:g}", p.nbytes, f"{rate:.6f}"),
                        *("" if p.psnr is None else f"{p.psnr:.4f}",),
                        *("" if p.ms_ssim is None else f"{p.ms_ssim:.6f}",),
                        *("" if p.ssimulacra2 is None else f"{p.ssimulacra2:.4f}",),
                        *(f"{p.encode_s:.5f}", f"{p.decode_s:.5f}"),
                        *(f"{picture.pixels / 1e6 / p.encode_s:.3f}",),
                        *(f"{picture.pixels / 1e6 / p.decode_s:.3f}",),
                    ]
                )
    return file.getvalue()
