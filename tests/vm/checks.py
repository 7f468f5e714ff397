"""What an engine has to do on a pure version 2 of control groups, checked inside the virtual machine as one user.

It runs inside, where no pytest is. Each function is one check; those of `NOT_FOR` are left out for some users.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labcontainers import Engine
from labcontainers.errors import ContainerExit
from labcontainers.kernel import cgroups, syscalls

BASE = "lab/base"
GROUPS = Path("/sys/fs/cgroup")
NONE = {"network": "none"}
LEVELS = {"root": "root", "user": "rootless", "single-id": "single-id"}
Check = Callable[[Engine, str], None]


def group_of(pid: int) -> Path:
    """The control group of a process, by the one line that version 2 has in /proc/PID/cgroup."""
    (line,) = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert line.startswith("0::"), line
    return GROUPS / line[3:].lstrip("/")


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


def control_groups_are_found_as_version_2(engine: Engine, who: str) -> None:
    found = cgroups.detect()
    if who == "single-id":
        assert (found.mode, found.unified) == ("none", None), found
        assert "Delegate=yes" in found.reason, found
    else:
        assert (found.mode, dict(found.v1)) == ("v2", {}), found
        assert {"cpu", "memory", "pids"} <= set(found.controllers), found


def doctor_names_the_level_and_judges_the_control_groups(engine: Engine, who: str) -> None:
    report = engine.doctor()
    assert report.level == LEVELS[who], str(report)
    check = report["control groups"]
    assert check.ok == (who != "single-id"), str(report)
    if check.ok:
        assert check.detail.startswith("v2: "), check
    else:
        assert "not delegated" in check.reason, check
        assert "Delegate=" in check.fix, check
    for name in ("overlay", "fresh /proc", "seccomp filter", "clone3", "veth and bridge"):
        assert report[name].ok, str(report)


def run_tells_exit_code_and_both_streams(engine: Engine, who: str) -> None:
    result = engine.containers.run(BASE, ["sh", "-c", "echo out; echo err >&2; exit 3"], remove=True, **NONE)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n"), result


def container_sees_its_own_group_as_the_top_and_read_only(engine: Engine, who: str) -> None:
    script = "cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | wc -l; mkdir /sys/fs/cgroup/x 2>&1"
    result = engine.containers.run(BASE, ["sh", "-c", script], remove=True, **NONE)
    own, *rest = result.stdout.splitlines()
    assert own == "0::/", result.stdout
    assert "Read-only" in rest[-1], result.stdout


def init_is_born_in_its_group(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, **NONE)
    assert group_of(container.state.pid).name == container.id
    names = [operation.name for operation in container.explain()]
    assert "join_cgroups" not in names, names
    assert "CLONE_INTO_CGROUP" in str(container.explain()), str(container.explain())
    container.remove(force=True)


def clone3_puts_a_child_into_a_group(engine: Engine, who: str) -> None:
    group = cgroups.detect().create("check-clone")
    fd = os.open(str(group.unified), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    pid = syscalls.clone(0, cgroup_fd=fd)
    if pid == 0:
        signal.pause()
    assert group.processes() == (pid,), group.processes()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(fd)
    assert group.remove(timeout_s=5) == ()


def group_is_killed_at_once_by_cgroup_kill(engine: Engine, who: str) -> None:
    group = cgroups.detect().create("check-kill")
    assert Path(f"{group.unified}/cgroup.kill").exists()
    fd = os.open(str(group.unified), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    pids = []
    for _ in range(3):
        pid = syscalls.clone(0, cgroup_fd=fd)
        if pid == 0:
            signal.pause()
        pids.append(pid)
    os.close(fd)
    group.freeze()
    assert group.frozen
    group.kill()
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [-9, -9, -9]
    assert group.remove(timeout_s=5) == ()


def memory_limit_kills_and_says_so(engine: Engine, who: str) -> None:
    hog = "x=a; while true; do x=$x$x; done"
    result = engine.containers.run(BASE, ["sh", "-c", hog], mem_limit="16m", remove=True, **NONE)
    assert result.oom_killed, result
    assert result.warnings == (), result.warnings
    told = ""
    try:
        result.check()
    except ContainerExit as error:
        told = str(error)
    assert "lack of memory" in told, told


def limits_are_written_into_the_group(engine: Engine, who: str) -> None:
    options = {"mem_limit": "64m", "cpus": 0.5, "pids_limit": 9}
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, **options, **NONE)
    assert container.warnings == (), container.warnings
    group = group_of(container.state.pid)
    texts = {name: (group / name).read_text().strip() for name in ("memory.max", "cpu.max", "pids.max", "memory.swap.max")}
    wanted = {"memory.max": str(64 << 20), "cpu.max": "50000 100000", "pids.max": "9"}
    assert wanted.items() <= texts.items(), texts
    assert texts["memory.swap.max"] == str(64 << 20), texts
    container.remove(force=True)


def every_limit_is_written_into_the_group(engine: Engine, who: str) -> None:
    options = {
        "mem_limit": "64m", "memswap_limit": "96m", "mem_reservation": "32m", "cpu_period": 50000, "cpu_quota": 25000, "cpu_shares": 512,
        "pids_limit": 30,
    }  # fmt: skip
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, **options, **NONE)
    assert container.warnings == (), container.warnings
    group = group_of(container.state.pid)
    wanted = {"memory.max": 64 << 20, "memory.swap.max": 32 << 20, "memory.low": 32 << 20, "cpu.max": "25000 50000", "cpu.weight": 20}
    texts = {name: (group / name).read_text().strip() for name in wanted}
    assert texts == {name: str(value) for name, value in wanted.items()}, texts
    container.remove(force=True)


def what_version_2_does_not_have_is_told(engine: Engine, who: str) -> None:
    result = engine.containers.run(BASE, ["true"], mem_limit="64m", mem_swappiness=5, oom_kill_disable=True, remove=True, **NONE)
    assert result.exit_code == 0, result
    assert len(result.warnings) == 2, result.warnings
    assert all("version 2" in text for text in result.warnings), result.warnings


def cpus_are_chosen(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, cpuset_cpus="0", **NONE)
    if "cpuset" in cgroups.detect().controllers:
        assert container.warnings == (), container.warnings
        assert (group_of(container.state.pid) / "cpuset.cpus").read_text().strip() == "0"
        assert container.exec(["nproc"]).stdout == "1\n"
    else:
        assert any("set of CPUs is not enforced" in text for text in container.warnings), container.warnings
    container.remove(force=True)


def a_rate_of_a_block_device_is_in_the_group_or_told(engine: Engine, who: str) -> None:
    disks = sorted(name for name in os.listdir("/sys/block") if os.path.exists(f"/dev/{name}"))
    if not disks:
        return
    numbers = Path(f"/sys/block/{disks[0]}/dev").read_text().strip()
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, device_read_bps=[f"/dev/{disks[0]}:1mb"], **NONE)
    limit = group_of(container.state.pid) / "io.max"
    written = limit.exists() and f"{numbers} rbps={1 << 20}" in limit.read_text()
    assert written != bool(container.warnings), (written, container.warnings)
    container.remove(force=True)


def limits_change_while_it_runs(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, mem_limit="64m", **NONE)
    group = group_of(container.state.pid)
    for size in (256, 32):
        told = container.update(mem_limit=f"{size}m", cpus=0.25, pids_limit=size)
        assert told == {"Warnings": []}, told
        wanted = {"memory.max": size << 20, "memory.swap.max": size << 20, "cpu.max": "25000 100000", "pids.max": size}
        texts = {name: (group / name).read_text().strip() for name in wanted}
        assert texts == {name: str(value) for name, value in wanted.items()}, texts
    assert container.update(memswap_limit="80m", mem_reservation="16m", cpu_shares=512) == {"Warnings": []}
    wanted = {"memory.max": 32 << 20, "memory.swap.max": 48 << 20, "memory.low": 16 << 20, "cpu.weight": 20}
    texts = {name: (group / name).read_text().strip() for name in wanted}
    assert texts == {name: str(value) for name, value in wanted.items()}, texts
    container.update(pids_limit=-1, memswap_limit=-1)
    assert (group / "pids.max").read_text().strip() == "max"
    assert (group / "memory.swap.max").read_text().strip() == "max"
    if "cpuset" in cgroups.detect().controllers:
        container.update(cpuset_cpus="0")
        assert (group / "cpuset.cpus").read_text().strip() == "0"
    container.remove(force=True)


def a_device_is_there_and_privileged_lifts_the_filter(engine: Engine, who: str) -> None:
    script = ["sh", "-c", "head -c 3 /dev/mine | wc -c; grep Seccomp: /proc/self/status"]
    for privileged, seccomp in ((False, "2"), (True, "0")):
        result = engine.containers.run(BASE, script, devices=["/dev/zero:/dev/mine"], privileged=privileged, remove=True, **NONE)
        assert result.stdout.split() == ["3", "Seccomp:", seccomp], result


def devices_are_held_by_a_program_of_the_group(engine: Engine, who: str) -> None:
    """The device is that of tunnels, which root may open without a capability, and which no container has by default."""
    assert os.stat("/dev/net/tun").st_rdev == os.makedev(10, 200)
    make, look, refused = (
        "mknod /dev/mine c 10 200; ",
        "(: </dev/mine) 2>&1 && echo read; (: >/dev/mine) 2>&1 && echo written; true",
        "not permitted",
    )

    def told(script: str, **options: Any) -> list[str]:
        result = engine.containers.run(BASE, ["sh", "-c", script], remove=True, **options, **NONE)
        assert result.exit_code == 0, result
        return [refused if refused in line else line for line in result.stdout.splitlines()]

    assert told(make + look, cap_add=["MKNOD"]) == [refused, refused]
    assert told(make + look, cap_add=["MKNOD"], device_cgroup_rules=["c 10:* rwm"]) == ["read", "written"]
    assert told(make + look, cap_add=["MKNOD"], device_cgroup_rules=["c 10:200 r"]) == ["read", refused]
    assert told(look, devices=["/dev/net/tun:/dev/mine:r"]) == ["read", refused]
    assert told(look, devices=["/dev/net/tun:/dev/mine"]) == ["read", "written"]
    assert told(look.replace("mine", "net/tun"), privileged=True) == ["read", "written"]
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, volumes=["/dev:/host"], **NONE)
    result = container.exec(["sh", "-c", ": </host/net/tun"])
    assert refused in result.stderr, result
    container.remove(force=True)


def a_paused_container_does_nothing_until_it_is_let_go_or_killed(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "while :; do echo line; sleep 0.02; done"], detach=True, **NONE)
    group = group_of(container.state.pid)
    wait_for(lambda: container.logs().text)
    container.pause()
    assert (container.status, (group / "cgroup.freeze").read_text()) == ("paused", "1\n"), container.state
    time.sleep(0.2)
    before = len(container.logs().text)
    time.sleep(0.5)
    assert len(container.logs().text) == before
    container.unpause()
    wait_for(lambda: len(container.logs().text) > before)
    container.pause()
    container.kill()
    wait_for(lambda: container.status == "exited")
    assert container.state.exit_code == 137, container.state
    wait_for(lambda: not group.exists())
    container.remove()


def a_container_whose_shim_was_killed_ends_and_is_started_again_by_its_policy(engine: Engine, who: str) -> None:
    for policy in ("no", "always"):
        container = engine.containers.run(BASE, ["sh", "-c", "sleep 1000 & wait"], detach=True, restart=policy, **NONE)
        pid, group = container.state.pid, group_of(container.state.pid)
        os.kill(json.loads((engine.paths.containers / container.id / "state.json").read_bytes())["shim_pid"], signal.SIGKILL)
        if policy == "no":
            wait_for(lambda container=container: container.status == "exited")
            assert (container.state.exit_code, container.state.error) == (137, "its shim died"), container.state
            wait_for(lambda group=group: not group.exists())
        else:
            wait_for(lambda container=container, pid=pid: container.state.pid not in (0, pid))
            assert container.exec(["true"]).ok
        container.remove(force=True)


def number_1_of_init_is_locked_and_passes_signals_on(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sleep", "100"], detach=True, init=True, **NONE)
    said = container.exec(["sh", "-c", "cat /proc/1/comm; readlink /proc/1/exe || echo locked"])
    assert said.stdout == "lab-init\nlocked\n", said
    container.stop(timeout_s=60)
    assert container.state.exit_code == 143, container.state
    container.remove()


def limits_that_cannot_be_enforced_are_told(engine: Engine, who: str) -> None:
    result = engine.containers.run(BASE, ["true"], mem_limit="64m", remove=True, **NONE)
    assert result.exit_code == 0, result
    assert any("memory limit is not enforced" in text for text in result.warnings), result.warnings


def pids_limit_holds(engine: Engine, who: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    result = engine.containers.run(BASE, ["sh", "-c", script], pids_limit=4, remove=True, **NONE)
    assert "fork" in result.stderr, result


def stats_come_from_the_group(engine: Engine, who: str) -> None:
    options = {"mem_limit": "64m"} if who != "single-id" else {}
    script = "sleep 100 & while true; do :; done"
    container = engine.containers.run(BASE, ["sh", "-c", script], detach=True, **options, **NONE)
    first = container.stats()
    wait_for(lambda: container.sample(first).cpu_ns > first.cpu_ns + 50_000_000)
    second = container.sample(first)
    assert second.cpu_percent > 10, second
    assert second.memory_bytes > 0, second
    assert second.pids == 2, second
    if options:
        assert second.memory_limit_bytes == 64 << 20, second
        assert second.cpu_ns <= cgroups.Cgroup(str(group_of(container.state.pid)), {}).read().cpu_ns, second
    container.remove(force=True)


def exec_joins_the_group_and_logs_are_kept(engine: Engine, who: str) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "echo up; sleep 100"], detach=True, **NONE)
    assert next(iter(container.logs(follow=True))).text == "up"
    result = container.exec(["sh", "-c", "cat /proc/self/cgroup /proc/1/cgroup; cat; exit 5"], stdin="fed")
    assert (result.stdout, result.exit_code) == ("0::/\n0::/\nfed", 5), result
    container.stop(timeout_s=0.2)
    assert container.state.exit_code == 137, container.state
    assert container.logs().text == "up\n"
    container.remove()


def build_runs_its_steps_and_the_image_runs(engine: Engine, who: str) -> None:
    text = "FROM lab/base\nRUN echo made > /made && cat /proc/self/cgroup\nRUN rm -r /var/log && mkdir /var/log\nCMD cat /made\n"
    engine.images.build("/lab/context", dockerfile_text=text, tags=["made"])
    result = engine.containers.run("made", remove=True, **NONE)
    assert result.stdout == "made\n", result


def bridge_joins_containers_and_publishes_a_port(engine: Engine, who: str) -> None:
    script = "while true; do echo hello | nc -l -p 7000; done"
    server = engine.containers.run(BASE, ["sh", "-c", script], detach=True, ports={"7000/tcp": ("127.0.0.1", 7001)})
    address = server.exec(["sh", "-c", "ip -4 -o addr show eth0"]).stdout.split()[3].partition("/")[0]
    asked = engine.containers.run(
        BASE, ["sh", "-c", f"for i in 1 2 3 4 5; do nc {address} 7000 </dev/null && break; sleep 1; done"], remove=True
    )
    assert asked.stdout == "hello\n", asked

    def answer() -> bytes:
        with socket.create_connection(("127.0.0.1", 7001), 10) as connection:
            return connection.recv(16)

    wait_for(lambda: answer() == b"hello\n")
    server.remove(force=True)


def nothing_is_left_when_the_engine_is_closed(engine: Engine, who: str) -> None:
    assert engine.containers.list(all=True) == []
    hierarchy = cgroups.detect()
    assert hierarchy.list() == (), hierarchy.list()
    engine.close()
    assert "overlay" not in Path("/proc/self/mountinfo").read_text()
    wait_for(lambda: not [name for name in os.listdir("/sys/class/net") if name.startswith("lab")])
    left = [path.name for path in GROUPS.rglob("*") if path.is_dir() and path.parent.name == "labcontainers"]
    assert left == [], left


CHECKS: tuple[Check, ...] = (
    control_groups_are_found_as_version_2,
    doctor_names_the_level_and_judges_the_control_groups,
    run_tells_exit_code_and_both_streams,
    container_sees_its_own_group_as_the_top_and_read_only,
    init_is_born_in_its_group,
    clone3_puts_a_child_into_a_group,
    group_is_killed_at_once_by_cgroup_kill,
    memory_limit_kills_and_says_so,
    limits_are_written_into_the_group,
    every_limit_is_written_into_the_group,
    what_version_2_does_not_have_is_told,
    cpus_are_chosen,
    a_rate_of_a_block_device_is_in_the_group_or_told,
    limits_change_while_it_runs,
    a_device_is_there_and_privileged_lifts_the_filter,
    devices_are_held_by_a_program_of_the_group,
    a_paused_container_does_nothing_until_it_is_let_go_or_killed,
    a_container_whose_shim_was_killed_ends_and_is_started_again_by_its_policy,
    number_1_of_init_is_locked_and_passes_signals_on,
    limits_that_cannot_be_enforced_are_told,
    pids_limit_holds,
    stats_come_from_the_group,
    exec_joins_the_group_and_logs_are_kept,
    build_runs_its_steps_and_the_image_runs,
    bridge_joins_containers_and_publishes_a_port,
    nothing_is_left_when_the_engine_is_closed,
)
WITHOUT_GROUPS = ("single-id",)
NOT_FOR: dict[str, tuple[str, ...]] = {
    "container_sees_its_own_group_as_the_top_and_read_only": WITHOUT_GROUPS,
    "init_is_born_in_its_group": WITHOUT_GROUPS,
    "clone3_puts_a_child_into_a_group": WITHOUT_GROUPS,
    "group_is_killed_at_once_by_cgroup_kill": WITHOUT_GROUPS,
    "memory_limit_kills_and_says_so": WITHOUT_GROUPS,
    "limits_are_written_into_the_group": WITHOUT_GROUPS,
    "every_limit_is_written_into_the_group": WITHOUT_GROUPS,
    "what_version_2_does_not_have_is_told": WITHOUT_GROUPS,
    "cpus_are_chosen": WITHOUT_GROUPS,
    "a_rate_of_a_block_device_is_in_the_group_or_told": WITHOUT_GROUPS,
    "limits_change_while_it_runs": WITHOUT_GROUPS,
    "devices_are_held_by_a_program_of_the_group": ("user", "single-id"),
    "a_paused_container_does_nothing_until_it_is_let_go_or_killed": WITHOUT_GROUPS,
    "a_container_whose_shim_was_killed_ends_and_is_started_again_by_its_policy": WITHOUT_GROUPS,
    "pids_limit_holds": WITHOUT_GROUPS,
    "limits_that_cannot_be_enforced_are_told": ("root", "user"),
}


def checks_for(who: str) -> list[str]:
    """The names of a user's checks, in their order."""
    return [check.__name__ for check in CHECKS if who not in NOT_FOR.get(check.__name__, ())]


def main(who: str) -> None:
    """Run this user's checks one after the other, each with its line of JSON."""
    names = checks_for(who)
    with Engine() as engine:
        for check in (check for check in CHECKS if check.__name__ in names):
            began = time.monotonic()
            error = ""
            try:
                check(engine, who)
            except BaseException:
                error = traceback.format_exc()[-3000:]
            took = round(time.monotonic() - began, 2)
            print(json.dumps({"who": who, "check": check.__name__, "error": error, "seconds": took}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
