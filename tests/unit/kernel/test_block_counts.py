"""Counting of the disks by version 1 of control groups is begun once, and only for disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labcontainers.kernel import block_counts, cgroup_files, cgroups


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is written to the group's files, in turn."""
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(cgroup_files, "write", lambda path, text: told.append((os.path.basename(path), text)))
    return told


def devices(folder: Path, **numbers: str) -> str:
    for name, number in numbers.items():
        (folder / name).mkdir()
        (folder / name / "dev").write_text(f"{number}\n")
        if not name.startswith("loop"):
            (folder / name / "device").mkdir()
    return str(folder)


def test_a_disk_that_is_not_counted_gets_a_limit_that_limits_nothing_and_loses_it(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    found = devices(tmp_path, sda="8:0", loop0="7:0")
    block_counts.start(str(tmp_path), found)
    assert written == [("blkio.throttle.read_bps_device", f"8:0 {1 << 62}"), ("blkio.throttle.read_bps_device", "8:0 0")]


def test_what_is_counted_already_is_left_alone(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    (tmp_path / "blkio.throttle.io_service_bytes").write_text("8:0 Read 0\n8:0 Total 0\nTotal 0\n")
    block_counts.start(str(tmp_path), devices(tmp_path, sda="8:0", sdb="8:16"))
    assert [text.split()[0] for _, text in written] == ["8:16", "8:16"]


def test_a_disk_that_cannot_be_limited_hinders_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def write(_: str, text: str) -> None:
        told.append(text)
        if text.startswith("8:0"):
            raise OSError(19, "No such device")

    monkeypatch.setattr(cgroup_files, "write", write)
    block_counts.start(str(tmp_path), devices(tmp_path, sda="8:0", sdb="8:16"))
    assert f"8:16 {1 << 62}" in told
    assert "8:16 0" in told


def test_a_machine_without_devices_is_left_alone(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    block_counts.start(str(tmp_path), str(tmp_path / "none"))
    assert written == []


def test_a_group_that_used_no_disk_is_told_as_zero_where_disks_are_counted(tmp_path: Path) -> None:
    top = tmp_path / "blkio"
    group = top / "labcontainers" / "one"
    group.mkdir(parents=True)
    (top / "blkio.throttle.io_service_bytes").write_text("8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n")
    (group / "blkio.throttle.io_service_bytes_recursive").write_text("Total 0\n")
    used = cgroups.Cgroup(None, {"blkio": str(group)}).read()
    assert (used.block_read_bytes, used.block_write_bytes) == (0, 0)
