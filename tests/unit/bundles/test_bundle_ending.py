"""A container that ends: what is written about processes that die at that moment, and groups that are busy for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labcontainers.bundles import ending
from labcontainers.bundles.groups import Groups
from labcontainers.bundles.states import State
from labcontainers.kernel import cgroup_files
from labcontainers.kernel.freezer import Freezer


def groups_at(folder: Path) -> Groups:
    """Groups of version 1, as plain folders."""
    found = []
    for name in ("cpu", "freezer", "pids"):
        (folder / name).mkdir()
        found.append({"name": name, "fstype": "cgroup", "data": name, "point": str(folder), "path": str(folder / name)})
    return Groups(found, [one["path"] for one in found])


def test_process_that_dies_while_it_is_let_go_moves_nobody_else(tmp_path: Path) -> None:
    groups = groups_at(tmp_path)
    for name in ("cgroup.procs", "freezer.state"):
        (tmp_path / "freezer" / name).touch()

    class Dying:
        """Alive when it is first looked at."""

        def __init__(self) -> None:
            self.looks: Iterator[int] = iter((4321, 0, 0))
            self.groups = groups
            self.freezer = Freezer("", groups.v1)

        @property
        def pid(self) -> int:
            return next(self.looks)

    ending._thaw(cast("State", Dying()))
    assert (tmp_path / "freezer/cgroup.procs").read_text() == "4321"
    assert (tmp_path / "freezer/freezer.state").read_text() == "THAWED"


def test_every_group_is_tried_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = groups_at(tmp_path)
    killed: list[int] = []
    busy = {str(tmp_path / "cpu"): 4, str(tmp_path / "pids"): 2}

    def remove(directory: str) -> bool:
        busy[directory] = busy.get(directory, 0) - 1
        if busy[directory] >= 0:
            return False
        os.rmdir(directory)
        return True

    monkeypatch.setattr(cgroup_files, "remove", remove)
    monkeypatch.setattr(cgroup_files, "pids", lambda directory: (17, os.getpid()) if directory.endswith("pids") else ())
    fake: Any = SimpleNamespace(**{**vars(os), "kill": lambda pid, number: killed.append(pid)})
    monkeypatch.setattr("labcontainers.bundles.groups.os", fake)
    groups.remove()
    assert list(tmp_path.iterdir()) == []
    assert killed == [17, 17]
