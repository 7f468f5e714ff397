"""`inspect --security`: what the kernel says of a container, beside the defaults."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from labcontainers import Engine
from labcontainers.commands.table import execute, understand
from labcontainers.containers.isolation.security import ROOT, SINGLE, SUBORDINATE, SecurityReport
from labcontainers.errors import Conflict, InvalidArgument


def say(engine: Engine, *words: str) -> Any:
    return execute(lambda: engine, understand(words), on_output=lambda stream, data: None)


def report(engine: Engine, **options: Any) -> SecurityReport:
    return engine.containers.run("lab/base", ["sleep", "100"], detach=True, **{"network": "none", **options}).security()


def differing(found: SecurityReport) -> set[tuple[str, str]]:
    return {(each.topic, each.name) for each in found.differences}


def test_a_plain_container_is_as_by_default(engine: Engine) -> None:
    found = report(engine)
    assert differing(found) == set()
    assert found.level in ((ROOT,) if os.geteuid() == 0 else (SUBORDINATE, SINGLE))
    assert found.finding("capabilities", "effective").value.startswith("11: CHOWN ")
    assert found.finding("files", "/proc/sys").value == "read-only"
    assert found.finding("devices", "null").value == "c 1:3"
    assert "all is as by default" in repr(found)


OPTIONS: tuple[tuple[dict[str, Any], set[tuple[str, str]]], ...] = (
    ({"network": "host"}, {("namespaces", "net")}),
    ({"ipc_mode": "host"}, {("namespaces", "ipc")}),
    ({"cap_add": ["SYS_PTRACE"]}, {("capabilities", name) for name in ("effective", "permitted", "bounding")}),
    ({"cap_drop": ["CHOWN"]}, {("capabilities", "bounding")}),
    ({"security_opt": ["seccomp=unconfined"]}, {("filters", "seccomp")}),
    ({"security_opt": ["no-new-privileges"]}, {("filters", "no new privileges")}),
    ({"read_only": True}, {("files", "/")}),
    ({"security_opt": ["systempaths=unconfined"]}, {("files", "/proc/sys"), ("files", "/proc/keys")}),
)


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=str)
def test_what_an_option_changes_is_marked(engine: Engine, options: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    found = report(engine, **options)
    assert expected <= differing(found)
    assert all(topic in {topic for topic, _ in expected} | {"files"} for topic, _ in differing(found))
    assert "≠" in repr(found)
    assert "by default" in found._repr_html_()


@pytest.mark.needs("root")
def test_a_device_that_was_given_is_told(engine: Engine) -> None:
    found = report(engine, devices=["/dev/null:/dev/other"])
    assert [(each.name, each.value) for each in found.differences] == [("others", "other")]


@pytest.mark.needs("cgroups")
def test_limits_are_those_of_the_control_group(engine: Engine) -> None:
    found = report(engine, mem_limit="64m", pids_limit=20, cpus=0.5)
    told = {each.name: each.value for each in found if each.topic == "limits"}
    assert (told["memory"], told["processes"], told["CPUs"]) == ("64MiB", "20", "0.5")


@pytest.mark.needs("root")
def test_a_process_that_is_not_root_has_no_capability_and_ids_as_it_sees_them(engine: Engine) -> None:
    found = report(engine, user="1000:1000")
    assert differing(found) == set()
    assert found.finding("capabilities", "effective").value == "none"
    assert found.finding("identity", "runs as").value.startswith("1000:1000")


def test_it_is_a_flag_of_inspect(engine: Engine) -> None:
    engine.containers.run("lab/base", ["sleep", "100"], name="one", network="none", detach=True)
    engine.containers.run("lab/base", ["sleep", "100"], name="two", network="none", detach=True, read_only=True)
    assert say(engine, "inspect", "--security", "one").name == "one"
    both = str(say(engine, "inspect", "--security", "one", "two"))
    assert both.startswith("one: ")
    assert "\ntwo: " in both
    (document,) = map(json.loads, say(engine, "inspect", "--security", "--format", "json", "one").splitlines())
    assert {each["topic"] for each in document["Findings"]} >= {"namespaces", "capabilities", "filters", "files", "devices"}


def test_what_cannot_be_told_says_why(engine: Engine) -> None:
    engine.containers.create("lab/base", ["true"], name="idle", network="none")
    with pytest.raises(Conflict, match="container idle is not running"):
        say(engine, "inspect", "--security", "idle")
    with pytest.raises(InvalidArgument, match="--security: it does not go with --size"):
        say(engine, "inspect", "--security", "--size", "idle")
    with pytest.raises(InvalidArgument, match="--security: it does not go with --type image"):
        say(engine, "inspect", "--security", "--type", "image", "idle")
