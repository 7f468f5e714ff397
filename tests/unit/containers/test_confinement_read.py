"""What holds a process back, read from files as the kernel writes them, of either version of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcontainers.containers.isolation.confinement import Confinement, read_confinement
from labcontainers.containers.isolation.process_facts import read_process
from labcontainers.containers.isolation.security import SecurityReport

STATUS = """Name:	sleep
Uid:	1 1 1 1
Gid:	1 1 1 1
Groups:	
CapInh:	{0}
CapPrm:	{1}
CapEff:	{1}
CapBnd:	{1}
CapAmb:	{0}
Seccomp:	2
"""
MOUNTS = """1 0 0:1 / / rw - overlay overlay rw
2 1 0:2 / /proc rw - proc proc rw
3 2 0:3 / /proc/keys ro - tmpfs tmpfs ro
4 2 0:4 /null /proc/timer_list rw - devtmpfs dev rw
5 2 0:2 /sys /proc/sys ro - proc proc rw
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for pid, groups in (("7", "4:memory:/lab/x\n3:pids,cpu:/lab/x\n0::/lab/x\n"), ("self", "4:memory:/\n3:pids,cpu:/\n0::/\n")):
        folder = tmp_path / "proc" / pid
        (folder / "ns").mkdir(parents=True)
        (folder / "status").write_text(STATUS.format("0" * 16, f"{1 << 13:016x}"))
        (folder / "mountinfo").write_text(MOUNTS)
        (folder / "cgroup").write_text(groups)
        for path in ("proc/keys", "proc/timer_list", "proc/kcore", "proc/sys", "proc/bus", "dev"):
            (folder / "root" / path).mkdir(parents=True)
    return tmp_path


def confined(place: Path) -> Confinement:
    return read_confinement(7, str(place / "proc"), str(place / "cgroup"))


def fill(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_path_is_masked_by_an_empty_file_system_or_the_null_device(place: Path) -> None:
    paths = confined(place).paths
    assert [paths[f"/proc/{name}"] for name in ("keys", "timer_list", "kcore", "acpi")] == [
        "masked",
        "masked",
        "open",
        "not on this machine",
    ]
    assert [paths[f"/proc/{name}"] for name in ("sys", "bus")] == ["read-only", "open"]


def test_the_sets_of_capabilities_are_told_apart(place: Path) -> None:
    sets = confined(place).sets
    assert (sets["effective"], sets["inheritable"]) == (frozenset({"NET_RAW"}), frozenset())


def test_limits_of_version_1(place: Path) -> None:
    fill(place / "cgroup/memory/lab/x", memory__limit_in_bytes="67108864\n", memory__memsw__limit_in_bytes="9223372036854771712\n")
    fill(place / "cgroup/pids,cpu/lab/x", pids__max="max\n", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    assert confined(place).limits == {"memory": "64MiB", "memory and swap": "no limit", "CPUs": "0.5", "processes": "no limit"}


def test_limits_of_version_2(place: Path) -> None:
    (place / "proc/7/cgroup").write_text("0::/lab/x\n")
    fill(place / "cgroup", cgroup__procs="")
    fill(place / "cgroup/lab/x", memory__max="1048576\n", memory__swap__max="1048576\n", pids__max="20\n", cpu__max="150000 100000\n")
    assert confined(place).limits == {"memory": "1MiB", "memory and swap": "2MiB", "CPUs": "1.5", "processes": "20"}


def test_a_process_in_the_groups_of_who_asks_has_none_of_its_own(place: Path) -> None:
    (place / "proc/7/cgroup").write_text((place / "proc/self/cgroup").read_text())
    assert confined(place).limits is None


def test_what_cannot_be_looked_at_is_unknown_and_no_difference(place: Path) -> None:
    (place / "proc/7/mountinfo").unlink()
    (place / "proc/7/root/dev").rmdir()
    (place / "proc/7/ns/net").symlink_to("nothing")
    report = SecurityReport("web", confined(place), read_process(7, str(place / "proc")))
    unknown = [(each.topic, each.name) for each in report if each.same is None]
    assert unknown == [("namespaces", "net"), ("files", "mounts"), ("devices", "/dev")]
    assert "?" in repr(report)


def test_no_process_is_told(place: Path) -> None:
    with pytest.raises(ProcessLookupError):
        read_confinement(8, str(place / "proc"))
