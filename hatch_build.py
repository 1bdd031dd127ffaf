"""Build hook: the wheel carries `weights/` as `aecodec/weights_data/`.

Only real wheels do. An editable install reads `weights/` where it lies, so that newly exported
weights are found at once and no stale copy stands beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WeightsHook(BuildHookInterface):
    """Add every file below `weights/` to a standard wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it gathers the wheel's files."""
        if version != "standard":
            return
        weights = Path(self.root, "weights")
        if not weights.is_dir():
            raise FileNotFoundError(f"{weights} is missing: the wheel would not be able to decode")
        for path in sorted(weights.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                inside = path.relative_to(weights).as_posix()
                build_data["force_include"][str(path)] = f"aecodec/weights_data/{inside}"
