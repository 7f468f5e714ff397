"""Control groups of both versions, from folders that were made up: files with notes, gauges, pressure, and limits where there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labcontainers.containers.usage.control_group import ControlGroup, Gauge
from labcontainers.containers.usage.group_reader import read_group
from labcontainers.kernel import cgroup_manual
from labcontainers.kernel.cgroup_limits import Limits, settings
from labcontainers.kernel.cgroups import Cgroup

PRESSURE = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=3\n"
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            1024                 524288               files
Max address space         unlimited            unlimited            bytes
Max locked memory         8388608              8388608              bytes
Max nice priority         0                    0
"""


def written(folder: Path, files: dict[str, str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return str(folder)


def read(group: Cgroup, proc: Path, previous: ControlGroup | None = None) -> ControlGroup:
    return read_group("web", 1, group, previous, network=False, proc=str(proc))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    written(tmp_path / "proc", {"meminfo": "MemTotal: 1000 kB\n", "stat": "btime 1\n"})
    written(tmp_path / "proc/1", {"limits": LIMITS})
    written(tmp_path / "proc/pressure", {"cpu": PRESSURE})
    return tmp_path / "proc"


def test_version_2_tells_files_gauges_and_its_own_pressure(tmp_path: Path, proc: Path) -> None:
    files = {
        "memory.max": "134217728\n",
        "memory.current": "67108864\n",
        "memory.peak": "100663296\n",
        "memory.stat": "anon 5\ninactive_file 0\n",
        "memory.high": "max\n",
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 1000\nnr_periods 8\nnr_throttled 2\n",
        "pids.max": "40\n",
        "pids.current": "7\n",
        "io.max": "\n",
        "cpu.pressure": PRESSURE,
    }
    found = read(Cgroup(written(tmp_path / "group", files), {}), proc)
    assert (found.version, found.pressure_of) == ("v2", "container")
    assert found.file("memory.max").plain == "128 MiB"
    assert found.file("memory.high").plain == "no limit"
    assert found.file("cpu.max").plain == "0.5 CPUs"
    assert found.file("io.max").plain == "none"
    assert found.file("memory.max").note
    assert found.file("memory.max").source == "admin-guide/cgroup-v2.rst"
    gauges = {gauge.name: gauge for gauge in found.gauges}
    assert (gauges["memory"].used, gauges["memory"].limit, gauges["memory"].share) == (67108864, 134217728, 0.5)
    assert "at most 96 MiB so far" in gauges["memory"].text
    assert "held back in 2 of 8 periods" in gauges["CPUs"].text
    assert gauges["CPUs"].limit == 0.5
    assert gauges["processes and threads"].text == "7 of 40 allowed"
    (pressure,) = found.pressure
    assert (pressure.resource, pressure.some, pressure.full) == ("cpu", (1.5, 0.25, 0.0), (0.5, 0.0, 0.0))
    with pytest.raises(KeyError):
        found.file("memory.limit_in_bytes")


def test_version_1_has_its_own_names_and_the_machines_pressure(tmp_path: Path, proc: Path) -> None:
    memory = {"memory.limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "4096", "memory.stat": "total_inactive_file 0\n"}
    cpu = {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}
    groups = {"memory": written(tmp_path / "memory", memory), "cpu": written(tmp_path / "cpu", cpu)}
    found = read(Cgroup(None, groups), proc)
    assert (found.version, found.pressure_of) == ("v1", "machine")
    assert found.file("memory.limit_in_bytes").plain == "no limit"
    assert found.file("cpu.cfs_quota_us").plain == "no limit"
    gauges = {gauge.name: gauge for gauge in found.gauges}
    assert not gauges["CPUs"].own
    assert not gauges["memory"].own


def test_a_controller_is_told_of_the_version_that_has_it(tmp_path: Path, proc: Path) -> None:
    v1 = {"pids": written(tmp_path / "pids", {"pids.max": "5", "pids.current": "2"})}
    unified = written(tmp_path / "unified", {"pids.max": "9", "cgroup.freeze": "0"})
    found = read(Cgroup(unified, v1), proc)
    assert found.version == "v1 and v2"
    assert [(file.name, file.value) for file in found] == [("pids.max", "5"), ("pids.current", "2"), ("cgroup.freeze", "0")]


def test_without_groups_the_limits_of_each_process_are_told(proc: Path) -> None:
    found = read(Cgroup(None, {}, "this user may make none"), proc)
    assert (found.version, found.reason, found.directories) == ("none", "this user may make none", ())
    assert [(file.name, file.value, file.plain) for file in found] == [
        ("RLIMIT_CPU", "unlimited", "no limit"),
        ("RLIMIT_NOFILE", "1024, can be raised to 524288", ""),
        ("RLIMIT_AS", "unlimited", "no limit"),
        ("RLIMIT_MEMLOCK", "8388608", "8 MiB"),
    ]
    assert "has no control group" in repr(found)
    assert "this user may make none" in repr(found)


def test_a_group_that_is_gone_is_told_as_none(tmp_path: Path, proc: Path) -> None:
    found = read(Cgroup(str(tmp_path / "nothing"), {}), proc)
    assert found.version == "none"


def test_the_manual_knows_every_file_that_a_limit_is_written_to() -> None:
    limits = Limits(
        memory_bytes=1, memory_swap_bytes=2, memory_reservation_bytes=1, memory_swappiness=1, oom_kill_disable=True, cpus=1.0,
        cpu_shares=2, cpuset_cpus="0", cpuset_mems="0", pids=1, device_read_bps=(("8:0", 1),), device_write_iops=(("8:0", 1),),
    )  # fmt: skip
    for version in (1, 2):
        known = {entry.name for entry in cgroup_manual.entries(version)}
        written_to = {name for setting in settings(limits) for name, _ in (setting.v1 if version == 1 else setting.v2)}
        assert written_to <= known


def test_forms_are_safe_and_whole(tmp_path: Path, proc: Path) -> None:
    found = read(Cgroup(written(tmp_path / "group", {"io.stat": "<b>8:0</b>\nmore"}), {}), proc)
    assert "<b>8:0" not in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["files"][0]["value"] == "<b>8:0</b>\nmore"
    assert "<b>8:0</b> · more" in repr(found)


@pytest.mark.parametrize(("used", "limit", "share"), [(1, 4, 0.25), (9, 4, 1.0), (1, None, None), (1, 0, None), (-1, 4, 0.0)])
def test_the_share_of_a_gauge_stays_in_its_bounds(used: float, limit: float | None, share: float | None) -> None:
    assert Gauge("x", used, limit, True, "").share == share
