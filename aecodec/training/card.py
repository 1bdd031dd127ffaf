"""The model card that `aecodec export` writes beside the weights, to be completed by hand.

The table of sources stands between two marks. An export to the same folder renews it there, and
leaves the rest of the card as it is.
"""

from __future__ import annotations

import re
from typing import Any, Final

from aecodec.networks.config import ModelConfig

__all__ = ["CARD", "has_sources", "new_card", "renewed_card"]

CARD: Final = "README.md"
BEGIN: Final = "<!-- sources:begin (written by `aecodec export`) -->"
END: Final = "<!-- sources:end -->"
_BETWEEN: Final = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)


def new_card(config: ModelConfig, facts: dict[str, Any]) -> str:
    """A card from the facts of a run (`checkpoint.read_facts`)."""
    settings = facts["settings"]
    return f"""# {config.name}

Weights of aecodec, one set for every quality from 1 to 100.

| | |
|---|---|
| steps | {facts["step"]} |
| pixels seen | {facts["pixels"] / 1e6:.0f} megapixels |
| hours | {facts["elapsed"] / 3600:.2f} |
| batch, crop | {settings["batch"]} x {settings["crop"]} px |
| optimiser | {settings["optimiser"]}, learning rate {settings["lr"]} |
| objective | {_objective(settings)} |
| quality q | {_calibrated(config)} |

## Training data

{_marked(facts)}

To be completed: measured figures, intended use, limits, date.
"""


def has_sources(card: str) -> bool:
    """Whether a card has the marks between which its sources are renewed."""
    return _BETWEEN.search(card) is not None


def renewed_card(card: str, facts: dict[str, Any]) -> str:
    """The card with the sources of this run between its marks; as it is, if it has none."""
    return _BETWEEN.sub(lambda _: _marked(facts), card, count=1)


def _marked(facts: dict[str, Any]) -> str:
    return "\n\n".join((BEGIN, *_sources(facts), END))


def _sources(facts: dict[str, Any]) -> list[str]:
    """Paragraphs about the pictures of a run, and of the runs that its weights come from."""
    rows = facts.get("sources", [])
    paragraphs = []
    if not rows:
        paragraphs.append("The sources of the photographs are not recorded.")
    else:
        count = sum(row["pictures"] for row in rows)
        megapixels = sum(row["megapixels"] for row in rows)
        paragraphs += [f"{count:,} photographs of {megapixels:,.1f} megapixels.", _table(rows)]
        if steps := facts.get("unrecorded"):
            paragraphs.append(f"Those of the first {steps:,} steps are not recorded.")
    if origin := facts.get("origin"):
        begun = f"The training began with weights of {origin['step']:,} steps."
        earlier = _sources(origin)
        if rows and earlier == paragraphs:
            paragraphs.append(f"{begun} Their photographs are described by the same table.")
        else:
            paragraphs += [f"{begun} About their photographs:", *earlier]
    return paragraphs


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| source | licence | photographs | megapixels |", "|---|---|---|---|"]
    for row in rows:
        source, licence = (_cell(row[name]) for name in ("source", "licence"))
        lines.append(f"| {source} | {licence} | {row['pictures']:,} | {row['megapixels']:,.1f} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """A text as Markdown shows it, in a cell of a table."""
    return re.sub(r"([\\|`*_\[\]<>])", r"\\\1", text) or "not stated"


def _objective(settings: dict[str, Any]) -> str:
    if settings.get("objective", "psnr") == "psnr":
        return "squared error"
    share = settings["mse_share"]
    return f"for the eye: {share:.0%} squared error, the rest SSIMULACRA 2's raw distortion"


def _calibrated(config: ModelConfig) -> str:
    measure = "SSIMULACRA 2" if config.objective == "eye" else "PSNR"
    return f"the mean {measure} of JPEG 4:2:0 at q on the calibration pictures"
