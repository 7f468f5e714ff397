"""Namespaces of the host and of other containers, on the real kernel."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.containers.container import Container
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from tests import leaks
from tests.waiting import until

KINDS = ("pid", "ipc", "uts", "net", "mnt", "cgroup")
SHOW = "for kind in " + " ".join(KINDS) + "; do readlink /proc/self/ns/$kind; done"


def output(engine: Engine, script: str, **options: Any) -> str:
    result = engine.containers.run("lab/base", ["sh", "-c", script], **{"network": "none", "remove": True, **options})
    assert result.exit_code == 0, result.stderr
    return result.stdout


def namespaces(text: str) -> dict[str, str]:
    return dict(zip(KINDS, text.split(), strict=True))


def hosts() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}


@pytest.fixture
def owner(engine: Engine) -> Container:
    """A container that others may join, with a file in its /dev/shm."""
    script = "echo shared > /dev/shm/file; exec sleep 300"
    made = engine.containers.run(
        "lab/base", ["sh", "-c", script], name="owner", detach=True, network="none", ipc_mode="shareable", extra_hosts=["db:10.1.2.3"]
    )
    until(lambda: made.exec(["cat", "/dev/shm/file"]).stdout == "shared\n", "the file is there")
    return made


class TestOfTheHost:
    MODES = (("pid_mode", "pid"), ("ipc_mode", "ipc"), ("uts_mode", "uts"), ("network", "net"))

    @pytest.mark.parametrize(("option", "kind"), MODES)
    def test_one_is_the_hosts_and_all_others_are_not(self, engine: Engine, option: str, kind: str) -> None:
        seen = namespaces(output(engine, SHOW, **{option: "host"}))
        own = hosts()
        assert {name for name in ("pid", "ipc", "uts", "net", "mnt") if seen[name] == own[name]} == {kind}

    def test_an_exec_is_in_the_same_namespaces(self, engine: Engine) -> None:
        options = {"pid_mode": "host", "ipc_mode": "host", "uts_mode": "host", "network": "host", "cgroupns": "host"}
        container = engine.containers.run("lab/base", ["sleep", "300"], detach=True, **options)
        result = container.exec(["sh", "-c", SHOW])
        assert result.exit_code == 0, result.stderr
        own = hosts()
        assert {kind for kind, link in namespaces(result.stdout).items() if link == own[kind]} == set(KINDS) - {"mnt"}

    def test_the_hosts_processes_are_seen_and_system_paths_stay_read_only(self, engine: Engine) -> None:
        script = f"test -d /proc/{os.getpid()} && echo seen; (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo kept"
        assert output(engine, script, pid_mode="host").split() == ["seen", "kept"]

    def test_what_a_container_left_in_the_hosts_pid_namespace_ends_with_it(self, engine: Engine) -> None:
        output(engine, "sleep 4713 & sleep 4713 & true", pid_mode="host")
        left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"4713" in _read(path)]
        assert left == []

    def test_the_host_name_is_the_hosts(self, engine: Engine) -> None:
        told = output(engine, "hostname; cat /etc/hostname; echo $HOSTNAME", uts_mode="host").split()
        assert set(told) == {os.uname().nodename}

    def test_ipc_none_has_no_shared_memory(self, engine: Engine) -> None:
        assert output(engine, "test -e /dev/shm || echo none", ipc_mode="none").strip() == "none"


class TestOfAnotherContainer:
    def test_all_that_can_be_shared_is(self, engine: Engine, owner: Container) -> None:
        mode = "container:owner"
        seen = namespaces(output(engine, SHOW, pid_mode=mode, ipc_mode=mode, network=mode))
        theirs = namespaces(owner.exec(["sh", "-c", SHOW]).stdout)
        assert {kind for kind in ("pid", "ipc", "net", "mnt", "uts") if seen[kind] == theirs[kind]} == {"pid", "ipc", "net"}

    def test_processes_are_seen_both_ways(self, engine: Engine, owner: Container) -> None:
        guest = engine.containers.run("lab/base", ["sleep", "4714"], detach=True, network="none", pid_mode="container:owner")
        assert "sleep 4714" in owner.exec(["ps"]).stdout
        assert "sleep 300" in guest.exec(["ps"]).stdout

    def test_shared_memory_is_shared(self, engine: Engine, owner: Container) -> None:
        assert output(engine, "cat /dev/shm/file; echo back > /dev/shm/answer", ipc_mode="container:owner") == "shared\n"
        assert owner.exec(["cat", "/dev/shm/answer"]).stdout == "back\n"

    def test_a_shared_network_comes_with_its_names(self, engine: Engine, owner: Container) -> None:
        told = output(engine, "hostname; cat /etc/hosts", network="container:owner")
        assert told.splitlines()[0] == owner.short_id
        assert "10.1.2.3\tdb" in told

    def test_two_reach_each_other_on_the_loopback(self, engine: Engine, owner: Container) -> None:
        server = "echo hello > /page; while true; do nc -l -p 8000 -e cat /page || exit 1; done"
        engine.containers.run("lab/base", ["sh", "-c", server], detach=True, network="container:owner")
        until(lambda: owner.exec(["nc", "-w", "2", "127.0.0.1", "8000"], stdin="").stdout == "hello\n", "the other one answers")

    def test_who_shares_a_pid_namespace_ends_with_its_owner_and_says_so(self, engine: Engine, owner: Container) -> None:
        guest = engine.containers.run("lab/base", ["sleep", "300"], detach=True, network="none", pid_mode="container:owner")
        owner.kill("KILL")
        assert owner.wait(60) == 137
        assert guest.wait(60) == 137
        assert guest.inspect()["State"]["Error"] == "container owner, whose pid namespace it shared, has ended"
        with pytest.raises(Conflict, match="cannot join the pid namespace of a non running container: container owner is exited"):
            guest.start()
        assert guest.status == "exited"

    def test_the_shim_has_a_hold_on_the_mount_namespace_by_which_it_finds_what_is_left(self, engine: Engine, owner: Container) -> None:
        # Else the next container could get the namespace's number, and be taken for what is left of this one.
        guest = engine.containers.run("lab/base", ["sleep", "300"], detach=True, network="none", pid_mode="container:owner")
        namespace = os.readlink(f"/proc/{guest.state.pid}/ns/mnt")
        (shim,) = [pid for pid in leaks.descendants() if leaks.describe(pid).startswith(f"lab-shim {guest.name}")]
        held = []
        for path in Path(f"/proc/{shim}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                held.append(os.readlink(path))
        assert held.count(namespace) == 1
        guest.kill()

    def test_a_guest_that_ends_leaves_its_owner_alone_and_nothing_behind(self, engine: Engine, owner: Container) -> None:
        output(engine, "sleep 4715 & true", pid_mode="container:owner")
        assert owner.status == "running"
        assert "4715" not in owner.exec(["ps"]).stdout

    def test_a_guest_is_stopped_and_started_again(self, engine: Engine, owner: Container) -> None:
        guest = engine.containers.run("lab/base", ["sleep", "300"], detach=True, network="container:owner", pid_mode="container:owner")
        guest.stop(0)
        assert guest.start().status == "running"

    def test_inspect_names_the_owner_by_its_id(self, engine: Engine, owner: Container) -> None:
        guest = engine.containers.create("lab/base", ["true"], network="container:owner", pid_mode=f"container:{owner.short_id}")
        told = guest.inspect()["HostConfig"]
        assert (told["NetworkMode"], told["PidMode"]) == (f"container:{owner.id}", f"container:{owner.id}")

    def test_what_cannot_be_joined_is_refused(self, engine: Engine, owner: Container) -> None:
        engine.containers.create("lab/base", ["true"], name="idle")
        with pytest.raises(NotFound, match="no such container: nobody"):
            engine.containers.create("lab/base", ["true"], pid_mode="container:nobody")
        with pytest.raises(Conflict, match="container idle is created"):
            engine.containers.run("lab/base", ["true"], network="none", pid_mode="container:idle", remove=True)
        with pytest.raises(Conflict, match="container idle: non-shareable IPC"):
            engine.containers.create("lab/base", ["true"], ipc_mode="container:idle")
        with pytest.raises(InvalidArgument, match=r"port publishing \(--publish\) and the container type network mode"):
            engine.containers.create("lab/base", ["true"], network="container:owner", ports=["80"])
        assert [container.name for container in engine.containers.list(all=True)] == ["idle", "owner"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_paused_guest_does_not_keep_its_owner_from_ending(engine: Engine, owner: Container) -> None:
    guest = engine.containers.run("lab/base", ["sleep", "300"], detach=True, network="none", pid_mode="container:owner")
    guest.kill("STOP")
    owner.kill("KILL")
    assert (owner.wait(60), guest.wait(60)) == (137, 137)
