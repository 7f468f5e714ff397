"""`update` changes limits of a container that runs, at once, and of its record for every later start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers import Container, Engine
from labcontainers.errors import InvalidArgument, KernelFailed
from labcontainers.kernel import cgroups

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
MB = 1 << 20
# what version 1 shows where there is no limit: the most that its counter of pages holds
UNLIMITED = "9223372036854771712"
on_version_1 = pytest.mark.needs("root", "cgroups v1")


def sleeping(engine: Engine, **options: Any) -> Container:
    return engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, **options)


def text_of(container: Container, controller: str, name: str) -> str:
    return (Path(cgroups.detect().v1[controller]) / "labcontainers" / container.id / name).read_text().strip()


@on_version_1
@pytest.mark.parametrize(("before", "after"), [(64, 256), (256, 64), (None, 64)])
def test_memory_is_raised_and_lowered_while_it_runs(engine: Engine, before: int | None, after: int) -> None:
    container = sleeping(engine, **({"mem_limit": before * MB} if before else {}))
    assert container.update(mem_limit=f"{after}m") == {"Warnings": []}
    assert text_of(container, "memory", "memory.limit_in_bytes") == str(after * MB)
    assert text_of(container, "memory", "memory.memsw.limit_in_bytes") == str(2 * after * MB)
    assert engine.containers.get(container.id).inspect()["HostConfig"]["Memory"] == after * MB


@on_version_1
@pytest.mark.parametrize(
    ("options", "controller", "name", "wanted"),
    [
        ({"cpus": 0.25}, "cpu", "cpu.cfs_quota_us", "25000"),
        ({"cpu_shares": 77}, "cpu", "cpu.shares", "77"),
        ({"pids_limit": 12}, "pids", "pids.max", "12"),
        ({"pids_limit": -1}, "pids", "pids.max", "max"),
        ({"mem_reservation": "16m"}, "memory", "memory.soft_limit_in_bytes", str(16 * MB)),
        ({"memswap_limit": "96m"}, "memory", "memory.memsw.limit_in_bytes", str(96 * MB)),
        ({"memswap_limit": -1}, "memory", "memory.memsw.limit_in_bytes", UNLIMITED),
        ({"cpu_period": 50000}, "cpu", "cpu.cfs_period_us", "50000"),
        ({"cpu_quota": 12000}, "cpu", "cpu.cfs_quota_us", "12000"),
        ({"cpuset_cpus": "0"}, "cpuset", "cpuset.cpus", "0"),
        ({"cpuset_mems": "0"}, "cpuset", "cpuset.mems", "0"),
    ],
)
def test_a_limit_changes_at_once(engine: Engine, options: dict[str, Any], controller: str, name: str, wanted: str) -> None:
    container = sleeping(engine, pids_limit=50, mem_limit="64m")
    assert container.update(**options) == {"Warnings": []}
    assert text_of(container, controller, name) == wanted
    (pid,) = (Path(cgroups.detect().v1[controller]) / "labcontainers" / container.id / "cgroup.procs").read_text().split()
    assert int(pid) == container.state.pid


@on_version_1
def test_quota_and_period_change_together_and_a_quota_is_taken_away(engine: Engine) -> None:
    container = sleeping(engine, cpu_period=50000, cpu_quota=10000)
    container.update(cpu_quota=20000)
    assert (text_of(container, "cpu", "cpu.cfs_period_us"), text_of(container, "cpu", "cpu.cfs_quota_us")) == ("50000", "20000")
    container.update(cpu_quota=-1)
    assert text_of(container, "cpu", "cpu.cfs_quota_us") == "-1"


@on_version_1
def test_cpus_are_chosen_for_one_that_runs_on_all_and_nothing_of_that_is_left(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sh", "-c", "sleep 1000 & wait"], network="none", detach=True)
    container.exec(["true"])
    container.update(cpuset_cpus="0")
    group = Path(cgroups.detect().v1["cpuset"]) / "labcontainers" / container.id
    assert (group / "cpuset.cpus").read_text().strip() == "0"
    assert len((group / "cgroup.procs").read_text().split()) == 2
    assert container.exec(["nproc"]).stdout == "1\n"
    container.stop(timeout_s=0)
    assert not group.exists()
    container.start()
    assert container.exec(["nproc"]).stdout == "1\n"


@on_version_1
def test_a_limit_below_what_is_in_use_is_refused_and_not_recorded(engine: Engine) -> None:
    script = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); echo ready; sleep 1000; echo $x"
    container = engine.containers.run(BASE, ["sh", "-c", script], network="none", detach=True, mem_limit="200m", memswap_limit="200m")
    assert next(iter(container.logs(follow=True))).text == "ready"
    with pytest.raises(KernelFailed, match=r"memory\.limit_in_bytes"):
        container.update(mem_limit="6m", memswap_limit="6m")
    assert container.inspect()["HostConfig"]["Memory"] == 200 * MB


def test_one_that_does_not_run_starts_with_what_was_updated(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], network="none", pids_limit=50, labels={"kept": "yes"})
    other = engine.containers.get(container.id)
    container.update(pids_limit=17, mem_limit="64m", cpu_shares=99)
    document = other.inspect()
    assert [document["HostConfig"][key] for key in ("PidsLimit", "Memory", "CpuShares")] == [17, 64 * MB, 99]
    assert document["Config"]["Labels"]["kept"] == "yes"
    other.start()
    assert other.wait(60) == 0


def test_zero_leaves_a_limit_as_it_is(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"], mem_limit="64m", cpu_shares=99)
    container.update(mem_limit=0, cpu_shares=0, pids_limit=5)
    host = container.inspect()["HostConfig"]
    assert (host["Memory"], host["CpuShares"], host["PidsLimit"]) == (64 * MB, 99, 5)


def test_an_update_is_an_event(engine: Engine) -> None:
    container = engine.containers.create(BASE, ["true"])
    container.update(cpu_shares=5)
    assert [event.action for event in engine.events.read() if event.id == container.id][-1] == "update"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidArgument, "nothing to update"),
        ({"image": "x"}, InvalidArgument, "'image' cannot be updated"),
        ({"mem_limit": "lots"}, InvalidArgument, "lots"),
        ({"mem_limit": "500m"}, InvalidArgument, "--memory-swap 104857600 is smaller than --memory 524288000"),
        ({"cpu_quota": 5000}, InvalidArgument, "--cpus and --cpu-quota"),
        ({"kernel_memory": "lots"}, InvalidArgument, "--kernel-memory: not a size"),
        ({"cpuset_cpus": "0-9999"}, InvalidArgument, "not available"),
    ],
)
def test_a_bad_update_is_refused_and_nothing_changes(engine: Engine, options: dict[str, Any], error: type[Exception], words: str) -> None:
    container = engine.containers.create(BASE, ["true"], mem_limit="64m", memswap_limit="100m", cpus=0.5)
    before = container.inspect()
    with pytest.raises(error, match=words):
        container.update(**options)
    assert container.inspect() == before
