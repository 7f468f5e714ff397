"""A container's spec becomes a list of operations, purely."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from labcontainers.kernel import mounts, syscalls
from labcontainers.runtime import plan as plans
from labcontainers.runtime.spec import (
    BindMount,
    ContainerSpec,
    DeviceNode,
    ExecSpec,
    HostTraits,
    ImageMount,
    Namespaces,
    TemporaryMount,
)

SPEC = ContainerSpec(
    arguments=("sh", "-c", "true"),
    environment=("A=1",),
    lower=("/s/l/2", "/s/l/1"),
    upper="/c/upper",
    work="/c/work",
    root="/c/root",
    hostname="box",
    user="alice",
    capabilities=0x21,
    seccomp=b"\x06\0\0\0\0\0\xff\x7f",
    procs=("/cg/memory/x/cgroup.procs",),
)
ROOT = HostTraits("host", "v2")
HOSTS = {
    "root": ROOT,
    "hybrid": HostTraits("host", "hybrid"),
    "subordinate": HostTraits("subordinate", "v2"),
    "single": HostTraits("single"),
}
SPECS = {
    "plain": SPEC,
    "bridge": replace(SPEC, network="bridge"),
    "host": replace(SPEC, network="host", hostname=""),
    "locked": replace(SPEC, no_new_privileges=True, read_only=True, volatile=True),
    "mounts": replace(SPEC, mounts=(BindMount("/h", "/data", True), TemporaryMount("/scratch", "size=1m")), working_dir="/data/in"),
    "bare": replace(SPEC, lower=(), procs=(), seccomp=b""),
}
# what Docker masks and makes read-only
DOCKER_MASKED = {
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
}  # fmt: skip
DOCKER_READ_ONLY = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
ORDERS = [
    ("join_cgroups", "unshare"),
    ("unshare", "private"),
    ("private", "overlay"),
    ("overlay", "mount"),
    ("mount", "device"),
    ("device", "mask"),
    ("mask", "pivot"),
    ("pivot", "account"),
    ("pivot", "readonly"),
    ("sysctl", "readonly"),
    ("readonly", "account"),
    ("account", "bounding"),
    ("bounding", "identity"),
    ("seccomp", "identity"),
    ("identity", "chdir"),
    ("chdir", "exec"),
]


def names(plan: plans.Plan) -> list[str]:
    return [name for name, _ in plan]


def first(plan: plans.Plan, name: str) -> dict[str, Any]:
    return next(arguments for found, arguments in plan if found == name)


def every(plan: plans.Plan, name: str) -> list[dict[str, Any]]:
    return [arguments for found, arguments in plan if found == name]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("spec", SPECS)
def test_plan_is_plain_values_and_always_the_same_and_ends_with_exec(spec: str, host: str) -> None:
    plan = plans.plan_container(SPECS[spec], HOSTS[host])
    assert json.loads(json.dumps(plan)) == plan == plans.plan_container(SPECS[spec], HOSTS[host])
    assert plan[-1] == ["exec", {"arguments": ["sh", "-c", "true"], "environment": ["A=1"]}]
    assert names(plan).count("exec") == 1


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("spec", SPECS)
def test_every_operation_of_a_plan_can_be_carried_out(spec: str, host: str) -> None:
    from labcontainers.runtime.handshake import Channel
    from labcontainers.runtime.init import Process
    from labcontainers.runtime.rootfs import RootFileSystem, operation_table

    ours, theirs = Channel.pair()
    known = {*operation_table(RootFileSystem()), *Process(ours).table(), "exec"}
    ours.close()
    theirs.close()
    assert set(names(plans.plan_container(SPECS[spec], HOSTS[host]))) <= known


@pytest.mark.parametrize(("earlier", "later"), ORDERS)
def test_operations_come_in_the_order_that_safety_needs(earlier: str, later: str) -> None:
    order = names(plans.plan_container(SPEC, ROOT))
    assert order.index(earlier) < order.index(later)


def test_with_no_new_privileges_the_filter_comes_last_since_no_privilege_is_needed_for_it() -> None:
    order = names(plans.plan_container(SPECS["locked"], ROOT))
    assert order[-4:] == ["chdir", "no_new_privs", "seccomp", "exec"]


def test_masked_and_read_only_paths_are_at_least_dockers() -> None:
    plan = plans.plan_container(SPEC, ROOT)
    assert {each["path"] for each in every(plan, "mask")} >= DOCKER_MASKED
    assert {each["path"] for each in every(plan, "readonly")} >= DOCKER_READ_ONLY


def test_own_mounts_refuse_links_of_the_image_and_user_mounts_come_after_them_and_before_the_masks() -> None:
    plan = plans.plan_container(SPECS["mounts"], ROOT)
    own = [each for each in every(plan, "mount") if each["fstype"] != "tmpfs" or each["target"] == "/dev"]
    assert all(each["strict"] for each in own)
    user = [index for index, (name, arguments) in enumerate(plan) if arguments.get("target") in ("/data", "/scratch")]
    last_own = max(index for index, (_, arguments) in enumerate(plan) if arguments.get("target") in ("/proc", "/dev", "/sys"))
    assert last_own < min(user) < max(user) < names(plan).index("mask")
    assert first(plan, "bind") == {"source": "/h", "target": "/data", "attributes": mounts.MOUNT_ATTR_RDONLY}
    assert first(plan, "make_directory")["path"] == "/data/in"


@pytest.mark.parametrize("target", ["/proc", "/sys", "/dev/shm", "/dev/mqueue"])
def test_kernel_file_systems_have_neither_programs_nor_devices(target: str) -> None:
    mount = next(each for each in every(plans.plan_container(SPEC, ROOT), "mount") if each["target"] == target)
    wanted = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
    assert mount["flags"] & wanted == wanted


@pytest.mark.parametrize(("host", "bound"), [("root", False), ("subordinate", True), ("single", True)])
def test_devices_are_bound_where_a_user_namespace_forbids_to_make_them(host: str, bound: bool) -> None:
    devices = every(plans.plan_container(SPEC, HOSTS[host]), "device")
    assert {each["path"] for each in devices} == {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
    assert {each["bind"] for each in devices} == {bound}


def test_single_id_cannot_give_terminals_to_group_5() -> None:
    data = {
        host: next(e for e in every(plans.plan_container(SPEC, HOSTS[host]), "mount") if e["fstype"] == "devpts")["data"] for host in HOSTS
    }
    assert "gid=5" not in data.pop("single")
    assert all("gid=5" in text for text in data.values())


@pytest.mark.parametrize(
    ("network", "has", "lacks"),
    [
        ("none", {"loopback"}, {"network_offer", "network_wait"}),
        ("bridge", {"loopback", "network_offer", "network_wait"}, set()),
        ("host", set(), {"loopback", "network_offer", "network_wait"}),
    ],
)
def test_network_decides_what_is_asked_of_the_engine(network: str, has: set[str], lacks: set[str]) -> None:
    found = set(names(plans.plan_container(replace(SPEC, network=network), ROOT)))
    assert has <= found
    assert not lacks & found


def test_host_network_is_not_left_and_keeps_the_hosts_parameters() -> None:
    assert plans.clone_flags(SPEC) & syscalls.CLONE_NEWNET
    assert not plans.clone_flags(SPECS["host"]) & syscalls.CLONE_NEWNET
    assert not plans.exec_namespaces("host") & syscalls.CLONE_NEWNET
    assert plans.exec_namespaces("none") & syscalls.CLONE_NEWNET
    assert not every(plans.plan_container(SPECS["host"], ROOT), "sysctl")


def test_overlay_carries_the_hosts_traits_and_no_device_of_a_layer_works() -> None:
    assert first(plans.plan_container(SPECS["locked"], HOSTS["single"]), "overlay") == {
        "lower": ["/s/l/2", "/s/l/1"],
        "upper": "/c/upper",
        "work": "/c/work",
        "target": "/c/root",
        "userxattr": True,
        "volatile": True,
        "flags": mounts.MOUNT_ATTR_NODEV,
    }
    assert not first(plans.plan_container(SPEC, ROOT), "overlay")["userxattr"]


def test_exec_is_as_confined_as_the_workload() -> None:
    spec = ExecSpec(SPEC.arguments, SPEC.environment, "/", "alice", SPEC.capabilities, SPEC.seccomp, False, (), 0)
    confinement = {"keyring", "account", "bounding", "seccomp", "identity", "chdir", "exec"}
    of_exec = plans.plan_exec(spec, ROOT)
    of_run = [operation for operation in plans.plan_container(SPEC, ROOT) if operation[0] in confinement]
    assert of_exec == of_run


def test_process_settings_are_done_last_and_only_when_asked() -> None:
    plain = [name for name, _ in plans.plan_container(SPEC, HostTraits())]
    assert not {"domainname", "oom_score", "rlimit"} & set(plain)
    asked = replace(
        SPEC, domainname="lab", oom_score_adj=0, rlimits=((7, 10, 20),), groups=("video", "5"), init=True, sysctls={"kernel.shmmax": "1"}
    )
    plan = plans.plan_container(asked, HostTraits())
    found = dict(plan)
    assert found["domainname"] == {"name": "lab"}
    assert found["oom_score"] == {"value": 0}
    assert found["rlimit"] == {"kind": 7, "soft": 10, "hard": 20}
    assert found["account"]["groups"] == ["video", "5"]
    assert (found["identity"]["init"], found["exec"]["init"]) == (True, True)
    names = [name for name, _ in plan]
    assert names.index("oom_score") > names.index("pivot")
    assert names.index("rlimit") < names.index("account")


def test_mounts_that_hear_of_the_hosts_are_taken_before_the_namespace_is_made_deaf() -> None:
    slave = BindMount("/h", "/data", True, "rslave", read_only_below=False)
    plan = plans.plan_container(replace(SPEC, mounts=(slave, BindMount("/v", "/part", subpath="a", recursive=False))), ROOT)
    names = [name for name, _ in plan]
    assert names.index("join") < names.index("private")
    assert every(plan, "join") == [{"source": "/h", "target": "/data", "propagation": "rslave", "recursive": True}]
    assert every(plan, "bind") == [
        {"source": "/h", "target": "/data", "attributes": 1, "below": False, "joined": True},
        {"source": "/v", "target": "/part", "attributes": 0, "recursive": False, "subpath": "a"},
    ]


def test_several_layers_of_another_image_are_put_together_and_one_is_bound_as_it_is() -> None:
    several, one = ImageMount(("/l/2", "/l/1"), "/c/images/0", "/a", "etc"), ImageMount(("/l/1",), "/c/images/1", "/b")
    plan = plans.plan_container(replace(SPEC, mounts=(several, one)), HOSTS["subordinate"])
    assert every(plan, "layers") == [{"lower": ["/l/2", "/l/1"], "target": "/c/images/0", "userxattr": True}]
    bound = [(each["source"], each.get("subpath", ""), each["attributes"] & 1) for each in every(plan, "bind") if each["target"] in "/a/b"]
    assert bound == [("/c/images/0", "etc", 1), ("/l/1", "", 1)]


SHARED = [
    (Namespaces(pid="host"), "none", syscalls.CLONE_NEWPID),
    (Namespaces(pid="joined"), "none", syscalls.CLONE_NEWPID),
    (Namespaces(ipc="host"), "none", syscalls.CLONE_NEWIPC),
    (Namespaces(uts="host"), "none", syscalls.CLONE_NEWUTS),
    (Namespaces(), "joined", syscalls.CLONE_NEWNET),
]


@pytest.mark.parametrize(("kinds", "network", "missing"), SHARED, ids=str)
def test_a_shared_namespace_is_not_made_and_an_exec_enters_it_unless_it_is_the_hosts(kinds: Namespaces, network: str, missing: int) -> None:
    own = plans.clone_flags(replace(SPEC, network="none"))
    assert plans.clone_flags(replace(SPEC, namespaces=kinds, network=network)) == own & ~missing
    is_hosts = "host" in (kinds.pid, kinds.ipc, kinds.uts)
    assert bool(plans.exec_namespaces(network, kinds) & missing) == (not is_hosts)


def test_in_a_joined_network_nothing_is_brought_up_or_set() -> None:
    plan = plans.plan_container(replace(SPEC, network="joined"), ROOT)
    assert not {"loopback", "network_offer", "network_wait", "sysctl"} & set(names(plan))


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_with_system_paths_nothing_is_hidden_and_proc_is_the_containers(host: HostTraits) -> None:
    plan = plans.plan_container(replace(SPEC, system_paths=True, writable_sys=True), host)
    assert not {"mask", "readonly"} & set(names(plan))
    sysfs = next(arguments for arguments in every(plan, "mount") if arguments["fstype"] == "sysfs")
    assert not sysfs["flags"] & mounts.MS_RDONLY


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_an_ordinary_user_binds_what_root_makes(host: HostTraits) -> None:
    device = DeviceNode("/dev/mine", "/dev/zero", "c", 1, 5)
    plan = plans.plan_container(replace(SPEC, devices=(device,), namespaces=Namespaces(pid="host", ipc="host")), host)
    assert ("bind_device" in names(plan)) == host.rootless
    assert ("device_node" in names(plan)) == (not host.rootless)
    assert ({"source": "/proc", "target": "/proc"} in every(plan, "bind_kernel")) == host.rootless


def test_a_profile_of_apparmor_comes_before_anything_that_could_forbid_it() -> None:
    plan = names(plans.plan_container(replace(SPEC, apparmor="docker-default"), ROOT))
    assert plan.index("readonly") < plan.index("apparmor") < plan.index("seccomp") < plan.index("exec")
