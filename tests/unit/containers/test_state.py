"""The state of a container whose directory is taken away while somebody looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labcontainers.containers.state import read_state, read_values, settle
from labcontainers.errors import NotFound


def test_a_container_that_was_never_started_is_created(tmp_path: Path) -> None:
    assert read_state(tmp_path, "box").status == "created"
    assert settle(tmp_path, "box").status == "created"


@pytest.mark.parametrize("read", [read_state, settle, read_values])
def test_a_container_without_a_directory_is_none(tmp_path: Path, read: Callable[[Path, str], object]) -> None:
    with pytest.raises(NotFound, match="no such container: box"):
        read(tmp_path / "gone", "box")


def test_a_container_that_goes_while_its_end_is_written_down_is_none(tmp_path: Path) -> None:
    # its shim is dead, and who removes it was faster
    (tmp_path / "state.json").write_text(json.dumps({"status": "running", "pid": 0}))
    with pytest.raises(NotFound, match="no such container: box"):
        read_state(tmp_path, "box")
