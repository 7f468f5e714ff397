"""The flags on resources and the process as a Docker user types them: each comes through, wrong ones are refused with exit code 125."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands import table
from labcontainers.commands.command import Invocation
from labcontainers.errors import InvalidArgument, LabError, Unsupported

pytestmark = pytest.mark.alike("ordinary users")

BASE = "lab/base"
FLAGS: list[tuple[str, str, Any]] = [
    ("-m 64m", "HostConfig.Memory", 64 << 20),
    ("--memory 64m --memory-swap 80m", "HostConfig.MemorySwap", 80 << 20),
    ("-m 64m --memory-swap -1", "HostConfig.MemorySwap", -1),
    ("-m 64m", "HostConfig.MemorySwap", 128 << 20),
    ("--memory-reservation 32m", "HostConfig.MemoryReservation", 32 << 20),
    ("--memory-swappiness 5", "HostConfig.MemorySwappiness", 5),
    ("-m 64m --oom-kill-disable", "HostConfig.OomKillDisable", True),
    ("--cpus .5", "HostConfig.NanoCpus", 500_000_000),
    ("--cpu-period 20000", "HostConfig.CpuPeriod", 20000),
    ("--cpu-quota 5000", "HostConfig.CpuQuota", 5000),
    ("-c 512", "HostConfig.CpuShares", 512),
    ("--cpuset-cpus 0", "HostConfig.CpusetCpus", "0"),
    ("--cpuset-mems 0", "HostConfig.CpusetMems", "0"),
    ("--pids-limit 9", "HostConfig.PidsLimit", 9),
    ("--blkio-weight 300", "HostConfig.BlkioWeight", 300),
    (
        "--ulimit nofile=5:6 --ulimit core=0",
        "HostConfig.Ulimits",
        [{"Name": "nofile", "Hard": 6, "Soft": 5}, {"Name": "core", "Hard": 0, "Soft": 0}],
    ),
    ("--oom-score-adj 7", "HostConfig.OomScoreAdj", 7),
    ("--shm-size 8m", "HostConfig.ShmSize", 8 << 20),
    ("--sysctl net.core.somaxconn=99", "HostConfig.Sysctls", {"net.core.somaxconn": "99"}),
    ("--group-add 7 --group-add audio", "HostConfig.GroupAdd", ["7", "audio"]),
    ("--init", "HostConfig.Init", True),
    ("--annotation a=b", "HostConfig.Annotations", {"a": "b"}),
    ("--runtime labcontainers --isolation default --pull never -q", "HostConfig.Runtime", "labcontainers"),
    ("--pull missing --platform linux", "Platform", "linux"),
    ("--log-opt max-size=1m", "HostConfig.LogConfig", {"Type": "local", "Config": {"max-size": str(1 << 20)}}),
    ("--log-driver none", "HostConfig.LogConfig", {"Type": "none", "Config": {}}),
    ("--stop-timeout 3", "Config.StopTimeout", 3),
    ("--stop-signal INT", "Config.StopSignal", "SIGINT"),
    ("--domainname lab", "Config.Domainname", "lab"),
]
WRONG: list[tuple[str, type[LabError], str]] = [
    ("-m 1m", InvalidArgument, "too small"),
    ("--cpus 1 --cpu-quota 5000", InvalidArgument, "--cpus and --cpu-quota"),
    ("--cpuset-cpus 4000", InvalidArgument, "'4000'"),
    ("--device-read-bps /dev/null:1mb", InvalidArgument, "not a block device"),
    ("--ulimit x=5", InvalidArgument, "'x=5'"),
    ("--sysctl kernel.pid_max=5", InvalidArgument, "whole machine"),
    ("--pull sometimes", InvalidArgument, "'sometimes'"),
    ("--log-driver syslog", Unsupported, "syslog"),
    ("--runtime runc", Unsupported, "runc"),
    ("--platform linux/riscv64", Unsupported, "riscv64"),
    ("--kernel-memory lots", InvalidArgument, "--kernel-memory: not a size: 'lots'"),
    ("--cgroup-parent /x", Unsupported, "labcontainers"),
    ("--storage-opt size=1g", Unsupported, "quota"),
    ("--cpu-rt-runtime 5", Unsupported, "real-time"),
]


def command(engine: Engine, words: Sequence[str], said: list[bytes] | None = None, folder: Path = Path("/")) -> Any:
    """What a line gives, without a terminal around it."""
    found, rest = table.find(words)
    output = said if said is not None else []
    call = Invocation(lambda: engine, found.parse(rest), lambda stream, data: output.append(data), lambda event: None, folder)
    return found.function(call)


@pytest.mark.parametrize(("flags", "field", "wanted"), FLAGS, ids=[flags for flags, _, _ in FLAGS])
def test_a_flag_is_what_inspect_tells(engine: Engine, flags: str, field: str, wanted: Any) -> None:
    found: Any = command(engine, ["create", *flags.split(), BASE, "true"]).inspect()
    for part in field.split("."):
        found = found[part]
    assert found == wanted


@pytest.mark.parametrize(("flags", "kind", "words"), WRONG, ids=[flags for flags, _, _ in WRONG])
def test_a_wrong_flag_is_refused_before_anything_is_made(engine: Engine, flags: str, kind: type[LabError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        command(engine, ["create", *flags.split(), BASE, "true"])
    assert caught.value.exit_code == 125
    assert engine.containers.list(all=True) == []


def test_a_cidfile_lies_in_the_folder_of_the_command(engine: Engine, tmp_path: Path) -> None:
    container = command(engine, ["create", "--cidfile", "cid", BASE, "true"], folder=tmp_path)
    assert (tmp_path / "cid").read_text() == container.id
    with pytest.raises(InvalidArgument, match="container ID file found"):
        command(engine, ["create", "--cidfile", "cid", BASE, "true"], folder=tmp_path)


def test_update_prints_the_names_and_tells_what_is_not_enforced(engine: Engine) -> None:
    for name in ("one", "two"):
        engine.containers.create(BASE, ["true"], name=name)
    assert str(command(engine, ["update", "-m", "64m", "--memory-swap", "-1", "--cpus", "0.5", "-c", "99", "one", "two"])) == "one\ntwo"
    for name in ("one", "two"):
        host = engine.containers.get(name).inspect()["HostConfig"]
        assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["CpuShares"]) == (64 << 20, -1, 500_000_000, 99)


def test_update_of_nothing_is_refused(engine: Engine) -> None:
    engine.containers.create(BASE, ["true"], name="one")
    with pytest.raises(InvalidArgument, match="nothing to update"):
        command(engine, ["update", "one"])


def test_update_of_one_that_runs_tells_what_this_host_cannot_enforce(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, name="one")
    said: list[bytes] = []
    command(engine, ["update", "--blkio-weight", "300", "-m", "64m", "one"], said)
    told = b"".join(said).decode()
    limited = not engine.containers.run(BASE, ["true"], mem_limit="64m", network="none", remove=True).warnings
    assert ("one: the memory limit is not enforced" in told) == (not limited)
    assert container.inspect()["HostConfig"]["BlkioWeight"] == 300


def test_update_changes_the_restart_policy(engine: Engine) -> None:
    container = engine.containers.run(BASE, ["sleep", "1000"], network="none", detach=True, name="one")
    command(engine, ["update", "--restart", "on-failure:3", "one"])
    assert container.inspect()["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    container.remove(force=True)
