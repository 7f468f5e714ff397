"""Limits of a bundle's control groups, read back from the kernel's files, and groups that are gone when the container is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.bundle import Bundle

pytestmark = pytest.mark.needs("busybox", "root", "cgroups")
V1 = Path("/sys/fs/cgroup/memory").is_dir()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    found = Bundle(tmp_path)
    found.config["linux"]["cgroupsPath"] = f"/labcontainers-test-{os.getpid()}/group"
    return found


def group(bundle: Bundle, controller: str) -> Path:
    path = bundle.config["linux"]["cgroupsPath"].strip("/")
    return Path("/sys/fs/cgroup", *([controller] if V1 else []), path)


def value(bundle: Bundle, controller: str, v1: str, v2: str) -> str:
    return (group(bundle, controller) / (v1 if V1 else v2)).read_text().strip()


def test_limits_are_what_the_kernel_has(bundle: Bundle) -> None:
    bundle.config["linux"]["resources"] |= {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0"},
        "pids": {"limit": 77},
    }
    bundle.says("sleep 1000").call("run", "-d", "one")
    assert value(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(bundle, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    assert value(bundle, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
    assert value(bundle, "cpu", "cpu.shares", "cpu.weight") == ("512" if V1 else "20")
    assert value(bundle, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert value(bundle, "pids", "pids.max", "pids.max") == "77"
    pid = bundle.state()["pid"]
    assert str(pid) in (group(bundle, "pids") / "cgroup.procs").read_text().split()
    bundle.call("update", "--memory", "96m", "--pids-limit", "-1", "--cpu-quota", "30000", "--cpu-share", "1024", "one")
    assert value(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(96 << 20)
    assert value(bundle, "pids", "pids.max", "pids.max") == "max"
    assert value(bundle, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "30000"
    (bundle.path / "resources.json").write_text(json.dumps({"pids": {"limit": 55}}))
    with open(bundle.path / "resources.json") as file:
        bundle.call("update", "-r", "-", "one", stdin=file)
    assert value(bundle, "pids", "pids.max", "pids.max") == "55"
    bundle.call("delete", "-f", "one")
    assert not group(bundle, "pids").exists()
    assert not group(bundle, "pids").parent.exists()


def test_only_allowed_devices_work(bundle: Bundle) -> None:
    bundle.config["linux"]["devices"] = [{"type": "c", "path": "/dev/mem1", "major": 1, "minor": 1}]
    bundle.config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
    done = bundle.says("echo x > /dev/null && echo null; head -c 1 /dev/mem1; true").run()
    assert done.stdout == "null\n"
    assert "not permitted" in done.stderr


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"pids": {"limit": 10}, "hugepageLimits": [{"pageSize": "3KB", "limit": 1}]}, "hugepageLimits (3KB)"),
        ({"memory": {"limit": 1}}, ""),
        ({"cpu": {"cpus": "4000"}}, "linux.resources.cpu.cpus: '4000' cannot be written"),
        ({"unified": {"../x": "1"}}, "linux.resources.unified.../x"),
    ],
)
def test_limit_that_cannot_be_kept_leaves_nothing(bundle: Bundle, resources: dict[str, Any], message: str) -> None:
    bundle.config["linux"]["resources"] |= resources
    done = bundle.says("true").run(ok=False)
    assert message in done.stderr
    assert bundle.nothing_left()
    assert not group(bundle, "pids").exists()


def test_groups_can_be_done_without(bundle: Bundle) -> None:
    bundle.says("cat /proc/self/cgroup")
    out = bundle.call("--cgroup-manager", "disabled", "run", "one").stdout
    assert "labcontainers-test" not in out


def test_containers_of_two_roots_may_have_the_same_id(bundle: Bundle, tmp_path: Path) -> None:
    del bundle.config["linux"]["cgroupsPath"]
    bundle.says("sleep 1000").call("run", "-d", "one")
    other = Bundle(tmp_path / "other")
    other.says("sleep 1000").call("run", "-d", "one")
    first, second = (json.loads(each.call("ps", "-f", "json", "one").stdout) for each in (bundle, other))
    assert len(first) == len(second) == 1
    assert first != second
    for each in (bundle, other):
        each.call("delete", "-f", "one")


def test_group_of_others_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    other = Bundle(tmp_path / "other")
    for path in (bundle.config["linux"]["cgroupsPath"], "/", "/../x", "."):
        other.config["linux"]["cgroupsPath"] = path
        done = other.says("true").run(ok=False)
        assert done.returncode == 1
        assert "linux.cgroupsPath" in done.stderr
        assert other.nothing_left()
    assert bundle.state()["status"] == "running"
    bundle.call("delete", "-f", "one")
    assert not group(bundle, "pids").exists()


def test_update_of_what_does_not_run_is_refused(bundle: Bundle) -> None:
    bundle.says("true").run(flags=("--keep",))
    assert "not running" in bundle.call("update", "--pids-limit", "5", "one", ok=False).stderr
    bundle.call("delete", "one")


@pytest.mark.parametrize("words", [["--memory", "much"], ["--pids-limit", "x"], ["-r", "none.json"], ["--cpu-shares", "-3"]])
def test_wrong_update_is_told(bundle: Bundle, words: list[str]) -> None:
    bundle.says("sleep 1000").call("run", "-d", "one")
    done = bundle.call("update", *words, "one", ok=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    bundle.call("delete", "-f", "one")
