"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight parts of photographs, of 192 x 192 pixels."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg"):
        for i in range(2):
            part = samples.photograph(name, (i * 130, 60, i * 130 + 192, 252))
            part.save(folder / f"{Path(name).stem}{i}.png")
    return folder
