"""What the attacks have in common: something of the host that they must not reach."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def outside(place: Path) -> Path:
    """A folder of the host that nothing may reach."""
    folder = place / "outside"
    folder.mkdir()
    (folder / "canary").write_text("host")
    return folder
