"""A bundle's plan on paper: which operations in which order, mount options as the kernel's numbers, limits as files of control groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labcontainers.bundles import resources
from labcontainers.bundles.groups import Groups
from labcontainers.bundles.inside import BundleProcess
from labcontainers.bundles.mount_options import MountOptions, known
from labcontainers.bundles.mounting import BundleRoot
from labcontainers.bundles.plan import Circumstances, capability_mask, no_capabilities, plan_container, plan_exec
from labcontainers.bundles.templates import template
from labcontainers.kernel import mounts as m
from labcontainers.oci.runtime_spec import RESOURCES, VERSION, parse_config
from labcontainers.runtime import special_mounts
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.rootfs import operation_table
from labcontainers.runtime.terminal import Terminal


def checked(**changes: Any) -> dict[str, Any]:
    document = json.loads(json.dumps(template(VERSION)))
    for path, value in changes.items():
        *above, last = path.split("__")
        inner = document
        for key in above:
            inner = inner[key]
        inner[last] = value
    return parse_config(document)


def names(plan: list[list[Any]]) -> list[str]:
    return [name for name, _ in plan]


def test_operations_come_in_the_order_of_the_kernel() -> None:
    plan = plan_container(checked(), Circumstances(cgroups=[{"name": "", "fstype": "cgroup2", "data": "", "point": "/x", "path": "/x/y"}]))
    once = [name for at, name in enumerate(names(plan)) if at == 0 or plan[at - 1][0] != name]
    assert (
        once
        == (
            "unshare loopback hostname bundle_root file_system cgroup_mount default_device link ptmx terminal mask readonly "
            "pivot finish keyring enter_directory become find_program wait_start limit last exec"
        ).split()
    )


def test_every_operation_is_known_inside() -> None:
    config = checked(
        domainname="d",
        process__scheduler={"policy": "SCHED_OTHER"},
        process__ioPriority={"class": "IOPRIO_CLASS_BE"},
        process__apparmorProfile="x",
        process__user={"uid": 1, "gid": 1, "umask": 1},
        linux__personality={"domain": "LINUX"},
        linux__sysctl={"net.x": "1"},
        linux__rootfsPropagation="shared",
        linux__devices=[{"type": "c", "path": "/dev/x", "major": 1, "minor": 1}],
        hooks={"createContainer": [{"path": "/x"}], "startContainer": [{"path": "/x"}]},
    )
    config["mounts"].append({"destination": "/x", "type": "bind", "source": "/y", "options": [], "uidMappings": [], "gidMappings": []})
    ours, theirs = Channel.pair()
    root = BundleRoot()
    process = BundleProcess(theirs, {"state": {}, "hooks": {}, "listener": -1, "filter": None})
    table = {**operation_table(root), **special_mounts.operations(root, {}), **process.bundle_operations(), **root.bundle_operations()}
    table.update(Terminal(root, theirs).table())
    for host in (Circumstances(), Circumstances(user_namespace=True, pivot=False, keyring=False)):
        for plan in (plan_container(config, host), plan_exec(config["process"], host, seccomp=True)):
            assert set(names(plan)) <= {*table, "exec"}
            json.dumps(plan)
    ours.close()
    theirs.close()


def test_hooks_of_the_container_run_before_and_after_the_root_is_entered() -> None:
    hooks = {kind: [{"path": "/x"}] for kind in ("createRuntime", "createContainer", "startContainer")}
    found = names(plan_container(checked(hooks=hooks), Circumstances()))
    last = len(found) - 1 - found[::-1].index("hooks")
    order = [*map(found.index, ("runtime_hooks", "hooks", "pivot", "wait_start")), last]
    assert order == sorted(order)


def test_devices_are_bound_in_a_user_namespace() -> None:
    config = checked(linux__devices=[{"type": "b", "path": "/dev/x", "major": 7, "minor": 1}])
    made = [step for step in plan_container(config, Circumstances()) if step[0] == "device_node"]
    assert made == [["device_node", {"path": "/dev/x", "kind": "b", "major": 7, "minor": 1, "mode": 0o666, "uid": 0, "gid": 0}]]
    bound = [step for step in plan_container(config, Circumstances(user_namespace=True)) if step[0] == "bundle_device"]
    assert bound == [["bundle_device", {"path": "/dev/x", "kind": "b", "major": 7, "minor": 1, "tree": -1}]]


def test_nothing_is_made_in_the_hosts_own_devices() -> None:
    config = checked()
    config["mounts"] = [{**config["mounts"][0], "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}]
    assert not {"default_device", "link", "ptmx"} & set(names(plan_container(config, Circumstances())))


@pytest.mark.parametrize(
    ("options", "flags", "attributes", "clear"),
    [
        (["ro", "nosuid"], m.MS_RDONLY | m.MS_NOSUID, m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOSUID, 0),
        (["ro", "rw"], 0, 0, m.MOUNT_ATTR_RDONLY),
        (["rw", "ro"], m.MS_RDONLY, m.MOUNT_ATTR_RDONLY, 0),
        (["noatime"], m.MS_NOATIME, m.MOUNT_ATTR_NOATIME, m.MOUNT_ATTR_ATIME),
        (["defaults", ""], 0, 0, 0),
        (["sync", "mand", "lazytime"], m.MS_SYNCHRONOUS | m.MS_MANDLOCK | m.MS_LAZYTIME, 0, 0),
    ],
)
def test_plain_options(options: list[str], flags: int, attributes: int, clear: int) -> None:
    found = MountOptions(options)
    assert (found.flags, found.attributes, found.clear, found.data) == (flags, attributes, clear, "")


def test_other_options() -> None:
    found = MountOptions(["rbind", "rro", "rnoexec", "rslave", "unbindable", "tmpcopyup", "ridmap", "size=3m", "mode=755"])
    assert (found.bind, found.id_map, found.copy_up, found.data) == ("rbind", "ridmap", True, "size=3m,mode=755")
    assert found.rec_attributes == m.MOUNT_ATTR_RDONLY | m.MOUNT_ATTR_NOEXEC
    assert found.propagations == [m.MS_SLAVE | m.MS_REC, m.MS_UNBINDABLE]


def test_every_known_option_is_no_data_of_a_file_system() -> None:
    assert MountOptions(known()).data == ""


def test_capabilities_are_bits() -> None:
    assert capability_mask(["CAP_CHOWN", "cap_kill", "CAP_ODD"]) == 0b100001
    assert no_capabilities(checked(process__capabilities={"bounding": ["CAP_ODD", "CAP_KILL"]})["process"]) == ["CAP_ODD"]


def settings(**wanted: Any) -> dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    return {what: (v1, v2) for what, _, v1, v2 in resources.settings(RESOURCES(wanted, "resources"))}


def test_limits_become_files_of_both_versions() -> None:
    found = settings(
        memory={"limit": 100, "swap": 150, "reservation": 50, "swappiness": 7},
        cpu={"shares": 1024, "quota": 5000, "period": 10000, "cpus": "0-1", "burst": 100, "idle": 1},
        pids={"limit": 9},
        hugepageLimits=[{"pageSize": "2MB", "limit": 4}],
        rdma={"mlx": {"hcaHandles": 3}},
    )
    assert found == {
        "memory.limit": ([("memory.limit_in_bytes", "100")], [("memory.max", "100")]),
        "memory.swap": ([("memory.memsw.limit_in_bytes", "150")], [("memory.swap.max", "50")]),
        "memory.reservation": ([("memory.soft_limit_in_bytes", "50")], [("memory.low", "50")]),
        "memory.swappiness": ([("memory.swappiness", "7")], []),
        "cpu.cpus": ([("cpuset.cpus", "0-1")], [("cpuset.cpus", "0-1")]),
        "cpu.shares": ([("cpu.shares", "1024")], [("cpu.weight", "39")]),
        "cpu.period": ([("cpu.cfs_period_us", "10000")], [("cpu.max", "5000 10000")]),
        "cpu.quota": ([("cpu.cfs_quota_us", "5000")], [("cpu.max", "5000 10000")]),
        "cpu.burst": ([("cpu.cfs_burst_us", "100")], [("cpu.max.burst", "100")]),
        "cpu.idle": ([("cpu.idle", "1")], [("cpu.idle", "1")]),
        "pids.limit": ([("pids.max", "9")], [("pids.max", "9")]),
        "hugepageLimits (2MB)": ([("hugetlb.2MB.limit_in_bytes", "4")], [("hugetlb.2MB.max", "4")]),
        "rdma.mlx": ([("rdma.max", "mlx hca_handle=3")], [("rdma.max", "mlx hca_handle=3")]),
    }


def test_unlimited_is_said_in_each_versions_words() -> None:
    found = settings(memory={"limit": -1, "swap": -1}, pids={"limit": -1}, cpu={"quota": -1})
    assert found["memory.limit"] == ([("memory.limit_in_bytes", "-1")], [("memory.max", "max")])
    assert found["memory.swap"] == ([("memory.memsw.limit_in_bytes", "-1")], [("memory.swap.max", "max")])
    assert found["pids.limit"][1] == [("pids.max", "max")]
    assert found["cpu.quota"][1] == [("cpu.max", "max")]


def test_version_2_takes_a_period_with_its_quota_or_keeps_the_one_it_has(tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    group = Groups([{"name": "", "fstype": "cgroup2", "data": "", "point": str(tmp_path), "path": str(tmp_path)}])
    for before, wanted, after in (
        ("max 10000", {"quota": 500, "period": 2000}, "500 2000"),
        ("300 10000", {"period": 20000}, "300 20000"),
        ("max 10000", {"period": 20000}, "max 20000"),
        ("300", {"quota": 400}, "400"),
    ):
        file.write_text(before[: len(after)])  # a plain file keeps what is not written over
        resources.apply(group, RESOURCES({"cpu": wanted}, "resources"))
        assert file.read_text() == after


def test_no_limit_of_memory_lifts_that_of_swap_too() -> None:
    found = settings(memory={"limit": -1})
    assert found["memory.swap"][0][0] == ("memory.memsw.limit_in_bytes", "-1")
    assert found["memory.swap"][1][0] == ("memory.swap.max", "max")
    assert "memory.swap" not in settings(memory={"limit": 100})
