"""Groups are made whole or not at all, limited, read and removed; on fabricated trees."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from labcontainers.errors import Conflict, InvalidArgument, KernelFailed, Unsupported
from labcontainers.kernel.cgroups import Cgroup, CgroupUsage, Hierarchy, Limits

ID = "0123abcd"


def hybrid(tmp_path: Path, *controllers: str) -> Hierarchy:
    names = controllers or ("cpu", "cpuacct", "memory", "pids", "freezer", "blkio", "cpuset")
    for name in (*names, "unified"):
        (tmp_path / name).mkdir()
    return Hierarchy("hybrid", {name: str(tmp_path / name) for name in names}, str(tmp_path / "unified"))


def version_2(tmp_path: Path, controllers: tuple[str, ...] = ("cpu", "memory", "pids", "io", "cpuset")) -> Hierarchy:
    (tmp_path / "cgroup.subtree_control").write_text("")
    return Hierarchy("v2", {}, str(tmp_path), controllers)


def fill(directory: str | Path, **texts: str) -> None:
    for name, text in texts.items():
        (Path(directory) / name.replace("__", ".")).write_text(text)


def text(directory: str | Path, name: str) -> str:
    return (Path(directory) / name).read_text().strip()


def left(tmp_path: Path) -> list[str]:
    return [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("labcontainers/*")]


def test_a_group_is_one_directory_in_each_hierarchy(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    assert set(group.v1) == {"cpu", "cpuacct", "memory", "pids", "freezer", "blkio"}
    assert all(path == str(tmp_path / name / "labcontainers" / ID) for name, path in group.v1.items())
    assert group.unified == str(tmp_path / "unified/labcontainers" / ID)
    assert all(Path(path).is_dir() for path in group.directories)
    assert group.remove() == ()
    assert left(tmp_path) == []
    assert group.remove() == (), "removing twice is fine"


def test_a_group_comes_back_from_its_json(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    assert Cgroup.from_json(group.to_json()) == group
    assert Cgroup.from_json({}) == Cgroup(None, {})


def test_of_two_who_make_one_id_one_gets_it_and_keeps_it(tmp_path: Path) -> None:
    hierarchy = hybrid(tmp_path)
    group = hierarchy.create(ID)
    with pytest.raises(Conflict, match=ID):
        hierarchy.create(ID)
    assert all(Path(path).is_dir() for path in group.directories)


def test_many_threads_make_the_first_groups_at_once(tmp_path: Path) -> None:
    hierarchy = hybrid(tmp_path)
    start = threading.Barrier(8)
    made: list[Cgroup] = []

    def make(number: int) -> None:
        start.wait()
        made.append(hierarchy.create(f"{number}"))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8


def test_a_group_that_cannot_be_made_everywhere_leaves_nothing(tmp_path: Path) -> None:
    hierarchy = hybrid(tmp_path)
    (tmp_path / "freezer").rmdir()
    with pytest.raises(KernelFailed, match="mkdir"):
        hierarchy.create(ID)
    assert left(tmp_path) == []


@pytest.mark.parametrize("bad", ["", "..", ".", "a/b", "../x"])
def test_an_id_that_leads_elsewhere_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InvalidArgument):
        hybrid(tmp_path).create(bad)


def test_a_cpuset_of_version_1_is_made_only_when_asked_and_inherits(tmp_path: Path) -> None:
    hierarchy = hybrid(tmp_path)
    fill(tmp_path / "cpuset", cpuset__cpus="0-3\n", cpuset__mems="0\n")
    parent = tmp_path / "cpuset/labcontainers"
    parent.mkdir()
    fill(parent, cpuset__cpus="\n", cpuset__mems="\n")
    assert "cpuset" not in hierarchy.create("without").v1
    with pytest.raises(KernelFailed):
        hierarchy.create(ID, cpuset=True)  # the kernel would have made the files of the new group
    assert (text(parent, "cpuset.cpus"), text(parent, "cpuset.mems")) == ("0-3", "0")
    assert not (parent / ID).exists()


def test_version_2_controllers_are_handed_on_at_every_level(tmp_path: Path) -> None:
    hierarchy = version_2(tmp_path, ("memory",))
    parent = tmp_path / "labcontainers"
    parent.mkdir()
    (parent / "cgroup.subtree_control").write_text("")
    group = hierarchy.create(ID)
    assert text(tmp_path, "cgroup.subtree_control") == "+memory"
    assert text(parent, "cgroup.subtree_control") == "+memory"
    assert group.directories == (str(parent / ID),)


def test_controllers_that_are_enabled_already_are_left_alone(tmp_path: Path) -> None:
    hierarchy = version_2(tmp_path, ("memory", "cpuset"))
    parent = tmp_path / "labcontainers"
    parent.mkdir()
    (parent / "cgroup.subtree_control").write_text("memory\n")
    hierarchy.create(ID)
    assert (text(tmp_path, "cgroup.subtree_control"), text(parent, "cgroup.subtree_control")) == ("", "memory")


def test_groups_that_a_crash_left_are_listed_and_found(tmp_path: Path) -> None:
    hierarchy = hybrid(tmp_path)
    hierarchy.create("a")
    (tmp_path / "pids/labcontainers/half").mkdir()
    assert hierarchy.list() == ("a", "half")
    found = hierarchy.find("half")
    assert found is not None
    assert found.directories == (str(tmp_path / "pids/labcontainers/half"),)
    assert found.remove() == ()
    assert hierarchy.find("half") is None


def test_a_group_goes_with_the_groups_in_it(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    (Path(group.v1["memory"]) / "inner/most").mkdir(parents=True)
    assert group.remove() == ()


def test_a_group_in_use_is_told(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    fill(group.v1["pids"], busy="")
    assert group.remove(timeout_s=0.01) == (group.v1["pids"],)


LIMITS = Limits(memory_bytes=64 << 20, memory_swap_bytes=96 << 20, cpus=1.5, pids=20, cpu_shares=512, cpuset_cpus="0")


def test_limits_of_version_1_are_written(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    fill(group.v1["memory"], memory__limit_in_bytes="", memory__memsw__limit_in_bytes="")
    fill(group.v1["cpu"], cpu__cfs_period_us="", cpu__cfs_quota_us="", cpu__shares="")
    fill(group.v1["pids"], pids__max="")
    (warning,) = group.apply(LIMITS)
    assert "set of CPUs is not enforced" in warning
    assert text(group.v1["memory"], "memory.limit_in_bytes") == str(64 << 20)
    assert text(group.v1["memory"], "memory.memsw.limit_in_bytes") == str(96 << 20)
    assert (text(group.v1["cpu"], "cpu.cfs_period_us"), text(group.v1["cpu"], "cpu.cfs_quota_us")) == ("100000", "150000")
    assert (text(group.v1["cpu"], "cpu.shares"), text(group.v1["pids"], "pids.max")) == ("512", "20")


def test_limits_of_version_2_are_written(tmp_path: Path) -> None:
    group = version_2(tmp_path).create(ID)
    assert group.unified is not None
    fill(group.unified, memory__max="", memory__swap__max="", cpu__max="", cpu__weight="", pids__max="", cpuset__cpus="")
    assert group.apply(LIMITS) == ()
    files = {name: text(group.unified, name) for name in ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max")}
    assert files == {
        "memory.max": str(64 << 20),
        "memory.swap.max": str(32 << 20),
        "cpu.max": "150000 100000",
        "cpu.weight": "20",
        "pids.max": "20",
    }
    assert text(group.unified, "cpuset.cpus") == "0"


@pytest.mark.parametrize(
    ("limits", "file", "value"),
    [
        (Limits(memory_bytes=8 << 20), "memory.swap.max", str(8 << 20)),
        (Limits(memory_bytes=8 << 20, memory_swap_bytes=8 << 20), "memory.swap.max", "0"),
        (Limits(memory_bytes=8 << 20, memory_swap_bytes=-1), "memory.swap.max", "max"),
        (Limits(cpus=0.001), "cpu.max", "1000 100000"),
        (Limits(pids=-1), "pids.max", "max"),
        (Limits(cpu_shares=2), "cpu.weight", "1"),
        (Limits(cpu_shares=1024), "cpu.weight", "39"),
        (Limits(cpu_shares=1 << 30), "cpu.weight", "10000"),
    ],
)
def test_limits_at_their_edges_are_what_the_kernel_takes(tmp_path: Path, limits: Limits, file: str, value: str) -> None:
    group = version_2(tmp_path).create(ID)
    assert group.unified is not None
    for name in ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"):
        (Path(group.unified) / name).write_text("")
    assert group.apply(limits) == ()
    assert text(group.unified, file) == value


DISK = "8:0"
ALL_V1: list[tuple[Limits, str, str, str]] = [
    (Limits(memory_reservation_bytes=5), "memory", "memory.soft_limit_in_bytes", "5"),
    (Limits(memory_swappiness=7), "memory", "memory.swappiness", "7"),
    (Limits(oom_kill_disable=True), "memory", "memory.oom_control", "1"),
    (Limits(cpu_period_us=20000), "cpu", "cpu.cfs_period_us", "20000"),
    (Limits(cpu_quota_us=-1), "cpu", "cpu.cfs_quota_us", "-1"),
    (Limits(cpuset_mems="0"), "cpuset", "cpuset.mems", "0"),
    (Limits(blkio_weight=500), "blkio", "blkio.weight", "500"),
    (Limits(blkio_weight_devices=((DISK, 10),)), "blkio", "blkio.weight_device", "8:0 10"),
    (Limits(device_read_bps=((DISK, 9),)), "blkio", "blkio.throttle.read_bps_device", "8:0 9"),
    (Limits(device_write_bps=((DISK, 9),)), "blkio", "blkio.throttle.write_bps_device", "8:0 9"),
    (Limits(device_read_iops=((DISK, 9),)), "blkio", "blkio.throttle.read_iops_device", "8:0 9"),
    (Limits(device_write_iops=((DISK, 0),)), "blkio", "blkio.throttle.write_iops_device", "8:0 0"),
]
ALL_V2: list[tuple[Limits, str, str]] = [
    (Limits(memory_reservation_bytes=5), "memory.low", "5"),
    (Limits(cpu_period_us=20000), "cpu.max", "max 20000"),
    (Limits(cpu_quota_us=5000), "cpu.max", "5000 100000"),
    (Limits(cpu_period_us=20000, cpu_quota_us=-1), "cpu.max", "max 20000"),
    (Limits(cpuset_mems="0"), "cpuset.mems", "0"),
    (Limits(blkio_weight=500), "io.weight", "default 4950"),
    (Limits(blkio_weight_devices=((DISK, 1000),)), "io.weight", "8:0 10000"),
    (Limits(device_read_bps=((DISK, 9),)), "io.max", "8:0 rbps=9"),
    (Limits(device_write_bps=((DISK, 9),)), "io.max", "8:0 wbps=9"),
    (Limits(device_read_iops=((DISK, 9),)), "io.max", "8:0 riops=9"),
    (Limits(device_write_iops=((DISK, 0),)), "io.max", "8:0 wiops=max"),
]


@pytest.mark.parametrize(("limits", "controller", "name", "value"), ALL_V1, ids=str)
def test_every_limit_has_its_file_in_version_1(tmp_path: Path, limits: Limits, controller: str, name: str, value: str) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / name).write_text("")
    assert Cgroup(None, {controller: str(tmp_path / "group")}).apply(limits) == ()
    assert text(tmp_path / "group", name) == value


@pytest.mark.parametrize(("limits", "name", "value"), ALL_V2, ids=str)
def test_every_limit_has_its_file_in_version_2(tmp_path: Path, limits: Limits, name: str, value: str) -> None:
    (tmp_path / name).write_text("")
    assert Cgroup(str(tmp_path), {}).apply(limits) == ()
    assert text(tmp_path, name) == value


def test_the_files_of_the_bfq_scheduler_are_written_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "io.bfq.weight").write_text("")
    (tmp_path / "blkio.bfq.weight").write_text("")
    assert Cgroup(str(tmp_path), {}).apply(Limits(blkio_weight=500)) == ()
    assert Cgroup(None, {"blkio": str(tmp_path)}).apply(Limits(blkio_weight=300)) == ()
    assert (text(tmp_path, "io.bfq.weight"), text(tmp_path, "blkio.bfq.weight")) == ("500", "300")


def test_what_version_2_does_not_have_is_a_warning(tmp_path: Path) -> None:
    assert Cgroup(str(tmp_path), {}).apply(Limits(memory_swappiness=5, oom_kill_disable=True)) == (
        "the swappiness is not enforced: version 2 of control groups has no such setting",
        "sparing it from the OOM killer is not enforced: version 2 of control groups has no such setting",
    )


def test_a_value_that_the_kernel_refuses_is_a_warning_at_a_start_and_an_error_for_an_update(tmp_path: Path) -> None:
    (tmp_path / "pids.max").mkdir()
    (warning,) = Cgroup(str(tmp_path), {}).apply(Limits(pids=5))
    assert warning == "the limit of processes is not enforced: pids.max=5: is a directory"
    with pytest.raises(KernelFailed, match=r"pids\.max=5"):
        Cgroup(str(tmp_path), {}).apply(Limits(pids=5), strict=True)


def test_a_group_gets_a_place_for_its_cpus_later(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    fill(tmp_path / "cpuset", cpuset__cpus="0-3\n", cpuset__mems="0\n")
    place = tmp_path / "cpuset/labcontainers" / ID
    place.mkdir(parents=True)
    for folder in (place.parent, place):
        fill(folder, cpuset__cpus="", cpuset__mems="", cgroup__procs="")
    hierarchy = Hierarchy("hybrid", {name: str(tmp_path / name) for name in (*group.v1, "cpuset")}, str(tmp_path / "unified"))
    grown = hierarchy.add_cpuset(group, ID)
    assert grown.v1 == {**group.v1, "cpuset": str(place)}
    assert (text(place, "cpuset.cpus"), text(place, "cpuset.mems")) == ("0-3", "0")


def test_version_2_hands_the_controller_of_cpus_on_later(tmp_path: Path) -> None:
    hierarchy = version_2(tmp_path)
    group = hierarchy.create(ID)
    (tmp_path / "labcontainers/cgroup.subtree_control").write_text("memory")
    assert hierarchy.add_cpuset(group, ID) == group
    assert text(tmp_path / "labcontainers", "cgroup.subtree_control") == "+cpuset"


def test_limits_without_a_controller_are_warnings_with_the_reason() -> None:
    warnings = Cgroup(None, {}, "no control group is delegated").apply(Limits(memory_bytes=1 << 20, pids=3))
    assert warnings == (
        "the memory limit is not enforced: no control group is delegated",
        "the limit of processes is not enforced: no control group is delegated",
    )


def test_a_controller_that_is_not_enabled_is_a_warning(tmp_path: Path) -> None:
    group = version_2(tmp_path, ()).create(ID)
    (warning,) = group.apply(Limits(memory_bytes=1 << 20))
    assert warning.startswith("the memory limit is not enforced: the controller memory is not enabled")


def test_no_limits_write_nothing_and_warn_of_nothing() -> None:
    assert Cgroup(None, {}).apply(Limits()) == ()


def test_usage_of_version_1_is_read(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    fill(group.v1["cpuacct"], cpuacct__usage="1500000000\n")
    fill(
        group.v1["memory"],
        memory__usage_in_bytes="5000000\n",
        memory__stat="cache 7\nhierarchical_memory_limit 16777216\ntotal_inactive_file 1000000\n",
    )
    fill(group.v1["pids"], pids__current="3\n")
    fill(group.v1["blkio"], blkio__throttle__io_service_bytes="8:0 Read 4096\n8:0 Write 1\n8:16 Read 4\n8:0 Total 4097\nTotal 4101\n")
    assert group.read() == CgroupUsage(1_500_000_000, 4_000_000, 16777216, 3, 4100, 1)


def test_a_version_1_that_counts_no_device_tells_nothing_of_storage(tmp_path: Path) -> None:
    # Linux 6.10 and newer, as long as no use of a device is limited
    group = hybrid(tmp_path).create(ID)
    fill(group.v1["blkio"], blkio__throttle__io_service_bytes_recursive="Total 0\n")
    assert (group.read().block_read_bytes, group.read().block_write_bytes) == (None, None)


def test_usage_of_version_2_is_read(tmp_path: Path) -> None:
    group = version_2(tmp_path).create(ID)
    assert group.unified is not None
    fill(
        group.unified,
        cpu__stat="usage_usec 1500\nuser_usec 1000\n",
        memory__current="5000000\n",
        memory__max="max\n",
        memory__stat="anon 4\ninactive_file 1000000\n",
        pids__current="3\n",
        io__stat="8:0 rbytes=4096 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=4 wbytes=0\n7:0 \n",
    )
    assert group.read() == CgroupUsage(1_500_000, 4_000_000, None, 3, 4100, 1)


def test_no_limit_of_version_1_is_none(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    fill(group.v1["memory"], memory__stat="hierarchical_memory_limit 9223372036854771712\n")
    assert group.read().memory_limit_bytes is None


def test_a_group_that_is_gone_has_used_nothing_known(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    group.remove()
    assert group.read() == CgroupUsage()
    assert Cgroup(None, {}).read() == CgroupUsage()
    assert group.processes() == ()
    group.kill()


def test_processes_are_those_of_the_group_and_of_the_groups_in_it(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    assert group.unified is not None
    inner = Path(group.unified) / "inner"
    inner.mkdir()
    fill(group.unified, cgroup__procs="10\n11\n")
    fill(inner, cgroup__procs="12\n0\n")
    assert group.processes() == (10, 11, 12)


def test_freezing_prefers_version_2_whose_frozen_processes_can_be_killed(tmp_path: Path) -> None:
    group = hybrid(tmp_path).create(ID)
    assert group.unified is not None
    fill(group.v1["freezer"], freezer__state="THAWED\n")
    group.thaw()
    assert text(group.v1["freezer"], "freezer.state") == "THAWED"
    assert not group.frozen
    fill(group.unified, cgroup__freeze="0\n", cgroup__events="populated 1\nfrozen 1\n")
    group.freeze()
    assert text(group.unified, "cgroup.freeze") == "1"
    assert group.frozen
    group.thaw()
    assert text(group.unified, "cgroup.freeze") == "0"


def test_freezing_without_a_group_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="pause"):
        Cgroup(None, {}).freeze()
