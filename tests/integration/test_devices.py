"""Devices of a container on the real kernel: nodes of its own, and control groups that hold it to them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.errors import StartFailed, Unsupported
from labcontainers.kernel import cgroup_devices, device_filter

UNIFIED = next((path for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").exists()), None)


def output(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run("lab/base", ["sh", "-c", script], **{"network": "none", "remove": True, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


# major, minor, in hexadecimal as stat(1) prints them: Linux, Documentation/admin-guide/devices.txt
DEFAULT_NODES = {"null": "1,3", "zero": "1,5", "full": "1,7", "random": "1,8", "urandom": "1,9", "tty": "5,0"}


class TestNodes:
    def test_the_default_ones_are_dockers_character_devices_that_all_may_use(self, engine: Engine) -> None:
        script = f"cd /dev; stat -c '%n %F %t,%T %a' {' '.join(DEFAULT_NODES)}"
        expected = [f"{name} character special file {numbers} 666" for name, numbers in DEFAULT_NODES.items()]
        assert output(engine, script).splitlines() == expected

    def test_a_device_is_where_it_was_wanted_and_works(self, engine: Engine) -> None:
        script = "head -c 3 /dev/mine | wc -c; head -c 4 /data/deep/zero | wc -c; test -c /dev/sub/z && echo there"
        devices = ["/dev/zero:/dev/mine", "/dev/zero:/data/deep/zero", "/dev/zero:/dev/sub/z"]
        assert output(engine, script, devices=devices).split() == ["3", "4", "there"]

    def test_it_takes_the_place_of_a_default_one(self, engine: Engine) -> None:
        assert output(
            engine, "head -c 2 /dev/full | wc -c; echo x > /dev/full && echo written", devices=["/dev/null:/dev/full"]
        ).split() == [
            "0",
            "written",
        ]

    def test_a_directory_of_devices_is_all_of_them(self, engine: Engine) -> None:
        names = output(engine, "ls /dev/host", devices=["/dev:/dev/host"]).split()
        assert {"null", "zero", "full"} <= set(names)
        assert "pts" not in names

    def test_it_is_told_by_inspect_and_by_explain(self, engine: Engine) -> None:
        container = engine.containers.run("lab/base", ["true"], detach=True, network="none", devices=["/dev/zero:/dev/mine:rw"])
        container.wait(60)
        wanted = {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "rw"}
        assert container.inspect()["HostConfig"]["Devices"] == [wanted]
        assert any("/dev/mine" in operation.arguments for operation in container.explain())

    @pytest.mark.needs("root")
    def test_its_mode_in_the_container_is_not_that_of_the_host(self, engine: Engine) -> None:
        before = os.stat("/dev/full").st_mode
        script = "chmod 0600 /dev/mine /data/mine && stat -c %a /dev/mine /data/mine"
        assert output(engine, script, devices=["/dev/full:/dev/mine", "/dev/full:/data/mine"]).split() == ["600", "600"]
        assert os.stat("/dev/full").st_mode == before

    def test_where_the_image_has_a_directory_it_is_refused(self, engine: Engine) -> None:
        with pytest.raises(StartFailed) as caught:
            engine.containers.run("lab/base", ["true"], network="none", devices=["/dev/zero:/etc"])
        assert caught.value.exit_code == 125


# devices that no container has by default, and that root may open without harm and without a capability
HARMLESS = ("/dev/fuse", "/dev/loop-control", "/dev/autofs", "/dev/vga_arbiter")
DEVICE = next((path for path in HARMLESS if os.path.exists(path)), "")


def number() -> str:
    """Of that device, as mknod(1) takes it."""
    device = os.stat(DEVICE).st_rdev
    return f"{os.major(device)} {os.minor(device)}"


@pytest.mark.needs("root")
@pytest.mark.skipif(not DEVICE, reason=f"this host has none of {', '.join(HARMLESS)}")
class TestControlGroups:
    def test_a_device_may_be_read_alone(self, engine: Engine) -> None:
        script = "(: < /dev/mine) && echo read; (: > /dev/mine) 2>&1 || true"
        told = output(engine, script, devices=[f"{DEVICE}:/dev/mine:r"])
        assert told.split()[0] == "read"
        assert "Operation not permitted" in told

    def test_who_may_make_nodes_cannot_use_others_with_them(self, engine: Engine) -> None:
        told = output(engine, f"mknod /dev/other c {number()} && ls /dev/other; (: < /dev/other) 2>&1 || true", cap_add=["MKNOD"])
        assert told.split()[0] == "/dev/other"
        assert "Operation not permitted" in told

    def test_the_hosts_devices_seen_through_a_volume_cannot_be_used(self, engine: Engine) -> None:
        name = os.path.basename(DEVICE)
        told = output(engine, f"head -c 2 /host/zero | wc -c; (: < /host/{name}) 2>&1 || true", volumes=["/dev:/host"])
        assert told.split()[0] == "2"
        assert "Operation not permitted" in told

    def test_a_rule_allows_what_else_is_wanted(self, engine: Engine) -> None:
        script = f"mknod /dev/other c {number()} && (: < /dev/other) && echo read"
        rule = f"c {number().split()[0]}:* rwm"
        assert output(engine, script, cap_add=["MKNOD"], device_cgroup_rules=[rule]).strip() == "read"

    def test_an_exec_is_held_to_them_too(self, engine: Engine) -> None:
        container = engine.containers.run("lab/base", ["sleep", "60"], detach=True, network="none", volumes=["/dev:/host"])
        result = container.exec(["sh", "-c", f": < /host/{os.path.basename(DEVICE)}"])
        assert result.exit_code != 0
        assert "Operation not permitted" in result.stderr

    def test_no_group_for_devices_is_left_behind(self, engine: Engine) -> None:
        output(engine, "true", devices=[DEVICE])
        left = [path for path in Path("/sys/fs/cgroup/devices").glob("labcontainers/*") if path.is_dir()]
        assert left == []


@pytest.mark.needs("ordinary user")
class TestOrdinaryUser:
    def test_permissions_that_only_root_can_restrict_are_told(self, engine: Engine) -> None:
        result = engine.containers.run("lab/base", ["true"], network="none", remove=True, devices=["/dev/zero:/dev/mine:r"])
        assert any("only root can restrict" in warning for warning in result.warnings)

    def test_rules_of_control_groups_are_refused(self, engine: Engine) -> None:
        with pytest.raises(Unsupported, match="--device-cgroup-rule: only root can allow devices"):
            engine.containers.create("lab/base", ["true"], device_cgroup_rules=["c 10:200 rwm"])


@pytest.mark.needs("root")
def test_a_program_of_version_2_holds_a_group_to_its_devices() -> None:
    if UNIFIED is None or not os.access(UNIFIED / "cgroup.procs", os.W_OK):
        pytest.skip("no control groups of version 2 are writable here")
    group = UNIFIED / f"labcontainers-test-{os.getpid()}"
    group.mkdir()
    try:
        rules = [*cgroup_devices.DEFAULT_RULES, device_filter.parse_rule("c 1:11 r")]
        device_filter.attach(str(group), [rule for rule in rules if (rule.major, rule.minor) != (1, 5)])
        script = f"""
import os
open({str(group / "cgroup.procs")!r}, "w").write("0")
for path, flags in (("/dev/null", os.O_RDWR), ("/dev/zero", os.O_RDONLY), ("/dev/kmsg", os.O_RDONLY), ("/dev/kmsg", os.O_WRONLY)):
    try:
        os.close(os.open(path, flags))
        print("yes")
    except PermissionError:
        print("no")
"""
        ran = subprocess.run([shutil.which("python3") or sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["yes", "no", *(["yes", "no"] if stat.S_ISCHR(os.stat("/dev/kmsg").st_mode) else [])]
    finally:
        group.rmdir()
