"""What separates real containers from each other and from this process, as the kernel tells it."""

from __future__ import annotations

import json
import os

import pytest

import labcontainers
from labcontainers import Container, Engine, session
from labcontainers.commands.table import execute, understand
from labcontainers.errors import Conflict, NotFound


def sleeper(engine: Engine, name: str, **options: object) -> Container:
    return engine.containers.run("lab/base", ["sleep", "1000"], detach=True, name=name, **options)


def namespaces(found: object) -> dict[str, bool]:
    return {row.name: row.same for row in found if row.topic == "namespaces"}


def test_two_containers_have_all_of_their_own_but_what_they_are_told_to_share(engine: Engine) -> None:
    one = sleeper(engine, "one", network="none")
    two = sleeper(engine, "two", network="container:one", pid_mode="container:one")
    apart = engine.compare(one, sleeper(engine, "three", network="none"))
    assert {kind for kind, same in namespaces(apart).items() if not same} >= {"pid", "mount", "network", "ipc", "uts (host name)"}
    joined = namespaces(engine.compare("one", two))
    assert joined["pid"]
    assert joined["network"]
    assert not joined["mount"]
    assert engine.compare(one, one).differences == ()


def test_a_container_differs_from_the_host_as_it_was_asked_to(engine: Engine) -> None:
    sleeper(engine, "open", network="host", pid_mode="host", security_opt=["no-new-privileges"], cap_drop=["ALL"])
    found = engine.compare("host", "open")
    same = namespaces(found)
    assert same["pid"]
    assert same["network"]
    assert not same["mount"]
    assert int(found.row("namespaces", "network").values[0]) == os.stat("/proc/self/ns/net").st_ino
    assert found.row("capabilities", "in effect").values[1] == "none"
    assert found.row("confinement", "seccomp").values[1].startswith("filter")
    assert found.row("confinement", "no new privileges").values[1] == "yes"
    assert found.row("mounts", "/").same is False
    assert found.row("network", "addresses").same
    document = json.loads(found.to_json())
    assert document["processes"][0]["pid"] == os.getpid()
    closed = engine.compare("host", sleeper(engine, "closed", network="none"))
    assert closed.row("network", "interfaces").values[1] == "lo"


def test_a_volume_that_both_have_is_shared(engine: Engine) -> None:
    one = sleeper(engine, "one", volumes=["common:/data"], network="none")
    two = sleeper(engine, "two", volumes=["common:/data"], network="none", read_only=True)
    found = engine.compare(one, two)
    assert found.row("mounts", "/data").same
    assert "shared" in found.row("mounts", "/data").values[0]
    assert "own" in found.row("mounts", "/proc").values[0]
    assert "read-only" in found.row("mounts", "/").values[1]


def test_only_what_runs_can_be_compared(engine: Engine) -> None:
    engine.containers.create("lab/base", ["true"], name="still")
    with pytest.raises(Conflict, match="still is not running"):
        engine.compare("still", "host")
    with pytest.raises(NotFound):
        engine.compare("nobody", "host")


def test_the_map_tells_who_shares_what(engine: Engine) -> None:
    sleeper(engine, "one", network="none")
    sleeper(engine, "two", network="container:one")
    sleeper(engine, "three", network="host")
    found = engine.namespace_map()
    host, one, two, three = (found.subject(name).namespaces for name in ("host", "one", "two", "three"))
    assert one["net"] == two["net"] != host["net"]
    assert three["net"] == host["net"]
    assert len({one["pid"], two["pid"], three["pid"], host["pid"]}) == 4
    assert {"one", "two"} <= set(found.groups("net")[one["net"]])
    assert os.getpid() in found.subject("host").pids
    assert "one" in repr(found)


def test_the_commands_and_the_function_say_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper(engine, "one", network="none")
    monkeypatch.setattr(session, "current_engine", lambda: engine)
    said = execute(lambda: engine, understand(["compare", "one", "host"]))
    assert said.names == ("one", "host")
    assert namespaces(said) == namespaces(labcontainers.compare("one", "host"))
    assert execute(lambda: engine, understand(["container", "namespaces"])).subject("one").kind == "container"
