"""Limits and kernel settings of a container on the real kernel: what it sees, what its control group holds, and what is told."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import InvalidArgument, NotFound, StartFailed
from labcontainers.kernel import capabilities, cgroups, syscalls
from labcontainers.kernel.cpu_lists import online_memory_nodes

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
PRIVILEGED = os.geteuid() == 0 and bool(syscalls.capget()[1] & capabilities.mask(["SYS_RESOURCE"]))


def sh(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run(BASE, ["sh", "-c", script], network=options.pop("network", "none"), remove=True, **options)
    result.check()
    return result.stdout


def sleeping(engine: Engine, **options: Any) -> Container:
    return engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, **options)


def text_of(container: Container, controller: str, name: str) -> str:
    """A file of the container's group of version 1."""
    return (Path(cgroups.detect().v1[controller]) / "labcontainers" / container.id / name).read_text().strip()


V1: list[tuple[dict[str, Any], str, str, str]] = [
    ({"mem_limit": "64m"}, "memory", "memory.limit_in_bytes", str(64 << 20)),
    ({"mem_limit": "64m"}, "memory", "memory.memsw.limit_in_bytes", str(128 << 20)),
    ({"mem_limit": "64m", "memswap_limit": "96m"}, "memory", "memory.memsw.limit_in_bytes", str(96 << 20)),
    ({"mem_reservation": "32m"}, "memory", "memory.soft_limit_in_bytes", str(32 << 20)),
    ({"mem_limit": "64m", "mem_swappiness": 7}, "memory", "memory.swappiness", "7"),
    ({"cpus": 0.5}, "cpu", "cpu.cfs_quota_us", "50000"),
    ({"cpu_period": 50000, "cpu_quota": 25000}, "cpu", "cpu.cfs_period_us", "50000"),
    ({"cpu_period": 50000, "cpu_quota": 25000}, "cpu", "cpu.cfs_quota_us", "25000"),
    ({"cpu_shares": 512}, "cpu", "cpu.shares", "512"),
    ({"pids_limit": 23}, "pids", "pids.max", "23"),
    ({"cpuset_cpus": "0"}, "cpuset", "cpuset.cpus", "0"),
    ({"cpuset_mems": "0"}, "cpuset", "cpuset.mems", "0"),
]


@pytest.mark.needs("root", "cgroups v1")
@pytest.mark.parametrize(("options", "controller", "name", "wanted"), V1, ids=str)
def test_a_limit_is_in_the_group_of_version_1(engine: Engine, options: dict[str, Any], controller: str, name: str, wanted: str) -> None:
    container = sleeping(engine, **options)
    assert container.warnings == ()
    assert text_of(container, controller, name) == wanted


@pytest.mark.needs("root", "cgroups v1")
def test_a_chosen_cpu_is_the_only_one_that_it_sees(engine: Engine) -> None:
    engine.containers.run(BASE, ["true"], network="none", remove=True)
    for _ in range(2):
        assert sh(engine, "grep Cpus_allowed_list /proc/self/status; nproc", cpuset_cpus="0").split() == ["Cpus_allowed_list:", "0", "1"]


@pytest.mark.needs("root", "cgroups v1")
def test_an_exec_is_in_every_control_group_of_its_container(engine: Engine) -> None:
    container = sleeping(engine, cpuset_cpus="0")
    own, first = (container.exec(["cat", f"/proc/{pid}/cgroup"]).stdout for pid in ("self", "1"))
    assert own == first
    assert all(line.endswith(":/") for line in own.splitlines() if "pids" in line or line.startswith("0:"))


@pytest.mark.needs("root", "cgroups v1")
def test_an_exec_stays_on_the_chosen_cpu(engine: Engine) -> None:
    assert sleeping(engine, cpuset_cpus="0").exec(["nproc"]).stdout == "1\n"


@pytest.mark.needs("root", "cgroups v1")
def test_one_that_is_spared_by_the_oom_killer_waits_instead(engine: Engine) -> None:
    container = sleeping(engine, mem_limit="64m", oom_kill_disable=True)
    assert "oom_kill_disable 1" in text_of(container, "memory", "memory.oom_control")


@pytest.mark.needs("root", "cgroups v1")
def test_a_rate_of_a_block_device_is_in_the_group(engine: Engine) -> None:
    disks = [f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{name}")]
    if not disks:
        with pytest.raises(InvalidArgument, match="device"):
            sleeping(engine, device_read_bps=["/dev/sda:1mb"])
        return
    numbers = Path(f"/sys/block/{disks[0].rpartition('/')[2]}/dev").read_text().strip()
    rates = {"device_read_bps": "1mb", "device_write_bps": "2mb", "device_read_iops": "30", "device_write_iops": "40"}
    container = sleeping(engine, **{key: [f"{disks[0]}:{rate}"] for key, rate in rates.items()})
    assert container.warnings == ()
    for key, wanted in zip(rates, (1 << 20, 2 << 20, 30, 40), strict=True):
        assert text_of(container, "blkio", f"blkio.throttle.{key.removeprefix('device_')}_device") == f"{numbers} {wanted}"


def test_what_this_host_has_no_control_group_for_is_a_warning_that_is_kept(engine: Engine) -> None:
    hierarchy = cgroups.detect()
    container = sleeping(engine, cpu_shares=512, blkio_weight=300)
    weights = [text for text in container.warnings if "block devices" in text]
    has_weight = "blkio" in hierarchy.v1 and any(
        os.path.exists(f"{hierarchy.v1['blkio']}/labcontainers/{container.id}/{name}") for name in ("blkio.weight", "blkio.bfq.weight")
    )
    if not has_weight and hierarchy.mode != "v2":
        assert len(weights) == 1
        assert "is not enforced" in weights[0]
    assert any("CPU weight" in text for text in container.warnings) == ("cpu" not in hierarchy.v1 and "cpu" not in hierarchy.controllers)
    assert engine.containers.get(container.id).warnings == container.warnings


ULIMITS = [("nofile", "100:200", "-n", "100", "200"), ("core", "0", "-c", "0", "0"), ("fsize", "1048576", "-f", "1024", "1024")]


@pytest.mark.parametrize(("name", "values", "flag", "soft", "hard"), ULIMITS)
def test_a_ulimit_is_what_the_program_has(engine: Engine, name: str, values: str, flag: str, soft: str, hard: str) -> None:
    said = sh(engine, f"ulimit -S {flag}; ulimit -H {flag}", ulimits=[f"{name}={values}"]).split()
    # A shell counts the size of files in blocks of 512 or 1024 bytes.
    assert said in ([soft, hard], ["2048", "2048"])


def test_every_ulimit_of_linux_can_be_set_to_what_it_is(engine: Engine) -> None:
    names = ["as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime"]
    names += ["sigpending", "stack"]
    limits = [f"{name}={resource.getrlimit(getattr(resource, 'RLIMIT_' + name.upper()))[1]}" for name in names]
    result = engine.containers.run(BASE, ["true"], ulimits=[*limits, "locks=-1"], network="none", remove=True)
    assert (result.exit_code, result.warnings) == (0, ())


def test_a_ulimit_above_what_this_user_may_have_is_lowered_and_told(engine: Engine) -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    hard = most if PRIVILEGED else min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    result = engine.containers.run(BASE, ["sh", "-c", "ulimit -n"], ulimits=[f"nofile={most * 2}"], network="none", remove=True)
    assert result.stdout == f"{hard}\n"
    (warning,) = result.warnings
    assert f"nofile={most * 2}" in warning
    assert str(hard) in warning


def test_the_oom_score_is_set_and_never_below_what_this_user_may(engine: Engine) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert sh(engine, "cat /proc/self/oom_score_adj", oom_score_adj=900) == "900\n"
    result = engine.containers.run(BASE, ["cat", "/proc/self/oom_score_adj"], oom_score_adj=-900, network="none", remove=True)
    assert result.stdout == f"{-900 if PRIVILEGED else own}\n"
    assert bool(result.warnings) == (not PRIVILEGED)


def test_to_spare_one_without_a_memory_limit_from_the_oom_killer_is_told(engine: Engine) -> None:
    result = engine.containers.run(BASE, ["true"], oom_kill_disable=True, network="none", remove=True)
    assert any("no memory limit" in text for text in result.warnings)


def test_shared_memory_has_the_size(engine: Engine) -> None:
    assert sh(engine, "df -k /dev/shm | tail -n 1", shm_size="17m").split()[1] == str(17 << 10)
    assert sh(engine, "df -k /dev/shm | tail -n 1").split()[1] == str(64 << 10)


def test_sysctls_of_its_namespaces_are_set(engine: Engine) -> None:
    sysctls = {"net.ipv4.ip_forward": 1, "kernel.shmmax": 1234567, "fs.mqueue.queues_max": 17}
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/queues_max"
    assert sh(engine, script, sysctls=sysctls).split() == ["1", "1234567", "17"]


def test_a_sysctl_that_the_kernel_does_not_have_ends_the_start_by_name(engine: Engine) -> None:
    with pytest.raises(StartFailed, match=r"net\.no\.such"):
        engine.containers.run(BASE, ["true"], sysctls={"net.no.such": "1"}, network="none", remove=True)
    assert engine.containers.list(all=True) == []


def test_names_of_the_machine_are_what_was_asked(engine: Engine) -> None:
    script = "hostname; cat /proc/sys/kernel/domainname; cat /etc/hosts"
    said = sh(engine, script, hostname="box", domainname="lab.example")
    assert said.split()[:2] == ["box", "lab.example"]
    assert "box.lab.example box" in said


@pytest.mark.parametrize("who", [pytest.param(who, marks=pytest.mark.needs(who)) for who in ("root", "subids")])
def test_groups_are_added_by_name_and_by_number(engine: Engine, who: str) -> None:
    name, number = sh(engine, "tail -n 1 /etc/group | cut -d: -f1,3 | tr : ' '").split()
    assert set(sh(engine, "id -G", group_add=[name, 4242]).split()) >= {"0", number, "4242"}
    container = sleeping(engine, group_add=["4242"], user="65534")
    assert "4242" in container.exec(["id", "-G"]).stdout.split()
    with pytest.raises(StartFailed, match="unable to find group nosuch"):
        engine.containers.run(BASE, ["true"], group_add=["nosuch"], network="none", remove=True)


@pytest.mark.needs("single id")
def test_with_a_single_id_no_group_can_be_added(engine: Engine) -> None:
    with pytest.raises(StartFailed, match="cannot add group"):
        engine.containers.run(BASE, ["true"], group_add=["4242"], network="none", remove=True)


def test_stop_waits_as_long_as_the_container_says(engine: Engine) -> None:
    container = engine.containers.run(
        BASE, ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"], network="none", detach=True, stop_timeout=0
    )
    container.stop()
    assert container.state.exit_code == 137
    assert container.inspect()["Config"]["StopTimeout"] == 0


def test_the_file_of_the_id_is_written_once(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    container = engine.containers.create(BASE, ["true"], cidfile=str(path))
    assert path.read_text() == container.id
    with pytest.raises(InvalidArgument, match="container ID file found"):
        engine.containers.create(BASE, ["true"], cidfile=str(path))
    gone = tmp_path / "gone"
    with pytest.raises(NotFound):
        engine.containers.create("no-such-image", ["true"], cidfile=str(gone))
    assert not gone.exists()


def test_inspect_tells_all_that_was_asked(engine: Engine) -> None:
    asked: dict[str, Any] = {
        "mem_limit": "64m", "mem_reservation": "32m", "memswap_limit": "80m", "cpu_shares": 300, "cpu_period": 20000, "cpu_quota": 10000,
        "cpuset_cpus": "0", "cpuset_mems": online_memory_nodes().partition("-")[0].partition(",")[0], "pids_limit": 9, "blkio_weight": 20,
        "ulimits": ["nofile=5:6"], "oom_score_adj": 5, "shm_size": "8m", "sysctls": {"net.core.somaxconn": "99"}, "group_add": ["7"],
        "annotations": {"a": "b"}, "init": True, "mem_swappiness": 3, "oom_kill_disable": True,
    }  # fmt: skip
    document = engine.containers.create(BASE, ["true"], **asked).inspect()
    host = document["HostConfig"]
    wanted = {
        "Memory": 64 << 20, "MemoryReservation": 32 << 20, "MemorySwap": 80 << 20, "CpuShares": 300, "CpuPeriod": 20000, "CpuQuota": 10000,
        "CpusetCpus": "0", "PidsLimit": 9, "BlkioWeight": 20, "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 6}], "OomScoreAdj": 5,
        "ShmSize": 8 << 20, "Sysctls": {"net.core.somaxconn": "99"}, "GroupAdd": ["7"], "Annotations": {"a": "b"}, "Init": True,
        "MemorySwappiness": 3, "OomKillDisable": True, "Runtime": "labcontainers", "LogConfig": {"Type": "local", "Config": {}},
    }  # fmt: skip
    assert {key: host[key] for key in wanted} == wanted
