"""What engine and shim wrote down becomes an explanation: also what earlier versions wrote, and what ended in the middle."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from labcontainers.containers.explain.explanation import Explanation, explain
from labcontainers.errors import Conflict, KernelFailed
from labcontainers.kernel import syscalls
from labcontainers.kernel.notes import Notes, reason_of

ID = "0123456789abcdef" * 4
V1 = f"/sys/fs/cgroup/memory/labcontainers/{ID}"
V2 = f"/sys/fs/cgroup/labcontainers/{ID}"
PLAN: list[list[Any]] = [
    ["join_cgroups", {"procs": [f"{V1}/cgroup.procs"]}],
    ["unshare", {"flags": syscalls.CLONE_NEWCGROUP}],
    ["network_offer", {}],
    ["overlay", {"lower": ["/l"], "upper": "/u", "work": "/w", "target": "/root", "userxattr": False, "volatile": False, "flags": 4}],
    ["bind", {"source": "/a", "target": "/a", "attributes": 0}],
    ["bind", {"source": "/b", "target": "/b", "attributes": 0}],
    ["network_wait", {}],
    ["account", {"user": ""}],
    ["exec", {"arguments": ["true"], "environment": ["A=1"]}],
]
# Of the version before entries had errors: one of the whole network among the engine's, times of limits and sockets together.
EARLIER: dict[str, Any] = {
    "cgroups": {"unified": None, "v1": {"memory": V1}},
    "warnings": [],
    "engine": [
        ["make_cgroups", {"paths": [V1], "spare": False}, 50],
        ["limit", {"path": f"{V1}/memory.limit_in_bytes", "value": "67108864"}, 90],
        ["limit", {"path": f"{V1}/memory.memsw.limit_in_bytes", "value": "134217728"}, None],
        ["listen", {"address": "0.0.0.0", "port": 8080, "to": 80}, 30],
        ["veth", {"outside": "lab01234567", "inside": "eth0", "bridge": "lab0", "address": "172.30.0.2/16", "gateway": "172.30.0.1"}, 900],
    ],
    "plan": PLAN,
    "clone_flags": syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET,
    "namespaces": 0,
    "environment": ["A=1"],
    "user": "",
    "working_dir": "/",
    "ports": [{"host_ip": "0.0.0.0", "host_port": 8080, "container_port": 80, "protocol": "tcp", "last_host_port": 0}],
}
TIMES = list(range(1, len(PLAN)))


def names(found: Explanation) -> list[str]:
    return [operation.name for operation in found]


def results(found: Explanation) -> list[str]:
    return [operation.result for operation in found]


def test_a_document_of_an_earlier_version_is_read_whole() -> None:
    found = explain("web", EARLIER, {"timings_us": TIMES, "status": "running"}, "docker run image")
    assert names(found) == [
        "make_cgroups", "limit", "limit", "listen", "clone", "join_cgroups", "unshare", "network_offer", "overlay", "bind", "bind",
        "veth", "network_wait", "account", "exec", "forward",
    ]  # fmt: skip
    assert set(results(found)) == {"ok"}
    assert [operation.duration_us for operation in found][:4] == [50, 90, None, 30]
    assert found[11].arguments == "lab01234567 on lab0 to eth0: 172.30.0.2/16, default route by 172.30.0.1"
    for wanted in ("ip link add lab0 type bridge", "ip address add 172.30.0.1/16 dev lab0", "address add 172.30.0.2/16 dev eth0"):
        assert wanted in found.shell
    assert "made web in" in repr(found)
    assert found.to_dict()["operations"][-1]["arguments"] == {"ports": [[8080, 80]]}


def test_a_failure_of_an_earlier_version_is_found_by_its_name() -> None:
    failure = {"operation": "account", "about": "", "message": "unable to find user me", "exit_code": 125, "refused": True}
    found = explain("web", EARLIER, {"error": failure})
    assert (names(found)[-1], found[-1].result) == ("account", "unable to find user me")
    assert set(results(found)[:-1]) == {"ok"}
    assert "did not make web" in repr(found)


def test_of_two_operations_of_one_name_the_times_tell_which_failed() -> None:
    failure = {"operation": "bind", "about": "/b", "message": "no such file or directory", "exit_code": 125, "timings_us": [1, 2, 3, 4, 5]}
    found = explain("web", EARLIER, {"error": failure})
    assert found[-1].values["target"] == "/b"
    assert [operation.duration_us for operation in found if operation.by == "init"] == [1, 2, 3, 4, 5, None]


def test_what_the_shim_could_not_do_is_the_last_that_is_told() -> None:
    failure = {"operation": "clone", "about": "", "message": "resource temporarily unavailable", "exit_code": 125}
    found = explain("web", EARLIER, {"error": failure})
    assert (names(found)[-1], found[-1].result) == ("clone", "resource temporarily unavailable")


def test_where_the_shim_died_before_it_told_anything_nothing_of_it_is_called_done() -> None:
    found = explain("web", EARLIER, {})
    assert {operation.result for operation in found if operation.by == "init"} == {"unknown"}
    assert not found.made


def test_a_start_that_failed_in_the_engine_has_no_process() -> None:
    entries = [["etc_file", {"path": "/c/etc/hosts"}, 7], ["listen", {"address": "0.0.0.0", "port": 80, "to": 80}, 9, "in use"]]
    for start in ({"engine": entries, "failed": True}, {**EARLIER, "engine": entries, "failed": True}):
        found = explain("web", start, {"timings_us": TIMES, "status": "exited"}, made=[["make_directories", {"path": "/c"}, 5]])
        assert names(found) == ["make_directories", "etc_file", "listen"]
        assert results(found) == ["ok", "ok", "in use"]
        assert [operation.man_page for operation in found] == ["mkdir(2)", "hosts(5)", "listen(2)"]


def test_a_limit_that_the_kernel_refused_is_told_and_the_rest_follows() -> None:
    refused = ["limit", {"path": f"{V1}/memory.memsw.limit_in_bytes", "value": "1"}, 3, "no such file or directory"]
    found = explain("web", {**EARLIER, "engine": [*EARLIER["engine"][:2], refused]}, {"timings_us": TIMES})
    assert (found[2].result, found.made) == ("no such file or directory", True)
    assert f"# not done: echo 1 > {V1}/memory.memsw.limit_in_bytes (no such file or directory)" in found.shell


def test_in_version_2_the_script_hands_controllers_on_and_enters_the_group() -> None:
    engine = [
        ["make_cgroups", {"paths": [V2], "spare": False}, 5],
        ["limit", {"path": f"{V2}/memory.max", "value": "67108864"}, 5],
        ["limit", {"path": f"{V2}/cpu.max", "value": "50000 100000"}, 5],
        ["device_filter", {"path": V2, "rules": ["c 1:3 rwm"]}, 5],
    ]
    plan = [operation for operation in PLAN if operation[0] != "join_cgroups"]
    start = {**EARLIER, "engine": engine, "plan": plan, "cgroups": {"unified": V2, "v1": {}}}
    lines = explain("web", start, {"timings_us": TIMES}).shell.splitlines()
    wanted = [
        "mkdir -p /sys/fs/cgroup/labcontainers",
        "echo +cpu > /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || :",
        "echo +cpu > /sys/fs/cgroup/labcontainers/cgroup.subtree_control 2>/dev/null || :",
        f"mkdir -p {V2}",
        f"echo 67108864 > {V2}/memory.max",
        f"echo '50000 100000' > {V2}/cpu.max",
        "# not done: a program for the kernel denies all devices but c 1:3 rwm (bpf(2))",
        f"echo $$ > {V2}/cgroup.procs",
    ]
    assert [line for line in lines if line in wanted] == wanted
    assert lines.index(wanted[-1]) < next(number for number, line in enumerate(lines) if line.startswith("exec unshare"))


def test_a_profile_does_not_fill_the_table() -> None:
    docker = "docker run --security-opt seccomp=/dev/fd/3 image 3<<'SECCOMP'\n" + '{"a":"' + "x" * 5000 + '"}\nSECCOMP'
    first, second, third, *_ = repr(explain("web", EARLIER, {"timings_us": TIMES}, docker)).splitlines()
    assert first.startswith("# docker run")
    assert len(second) < 250
    assert second.endswith("(5008 bytes)")
    assert third == "# SECCOMP"


def test_notes_keep_what_is_done_in_order_with_its_time_and_its_error() -> None:
    notes = Notes()
    with notes.timed("listen", port=0) as noted:
        noted["port"] = 7
    with pytest.raises(Conflict), notes.timed("listen", port=8):
        raise Conflict("port 8 is in use", "take another")
    notes.add("user_namespace", ids="single")
    first, second, third = notes.entries
    assert (first[:2], len(first)) == (["listen", {"port": 7}], 3)
    assert first[2] >= 0
    assert (second[0], second[3]) == ("listen", "port 8 is in use")
    assert third == ["user_namespace", {"ids": "single"}, None]


def test_what_is_blamed_is_told_once() -> None:
    notes = Notes()
    try:
        with notes.timed("veth"):
            raise OSError(errno.EPERM, "Operation not permitted")
    except OSError as error:
        outer = KernelFailed("netlink", errno.EPERM, "veth lab0")
        outer.__cause__ = error
    notes.blame(outer, "network", name="bridge")
    assert [entry[0] for entry in notes.entries] == ["veth"]
    notes.blame(Conflict("another"), "network", name="bridge")
    assert notes.entries[-1] == ["network", {"name": "bridge"}, None, "another"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOENT, "No such file or directory", "/x"), "no such file or directory"),
        (Conflict("one\nline", "hint"), r"one\nline"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_a_reason_is_one_line(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason
