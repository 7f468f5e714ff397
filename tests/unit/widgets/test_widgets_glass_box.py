"""The glass box without a kernel or a browser: everything is in the first message, and the snapshot has its stages."""

from __future__ import annotations

import json

import pytest

from labcontainers.containers.explain.explanation import Explanation, Operation, explain
from labcontainers.containers.explain.operations import MAN
from labcontainers.containers.explain.parts import parts_of
from labcontainers.containers.isolation.namespace_map import NamespaceMap, Subject
from labcontainers.containers.planning.stages import NAMES, NOTED, PAUSE, STAGED, STAGES, stage_of
from labcontainers.errors import Unavailable
from labcontainers.kernel import syscalls
from labcontainers.widgets.glass_box import LONGEST, GlassBox
from tests.unit.containers.test_explanation import EARLIER, TIMES
from tests.unit.widgets.surfaces import RecordingSurface

HOST = Subject("host", "host", (1,), {"pid": 1, "net": 2})
WEB = Subject("web", "container", (9,), {"pid": 5, "net": 2})


def explanation() -> Explanation:
    return explain("web", EARLIER, {"timings_us": TIMES, "status": "running"}, "docker run image")


def test_everything_is_in_the_first_message() -> None:
    box = GlassBox(explanation())
    data = json.loads(json.dumps(box.everything()))
    found = data["explained"]
    assert (found["name"], found["made"], found["planned"], data["step"]) == ("web", True, False, None)
    assert found["docker"] == "docker run image"
    assert "unshare" in found["shell"]
    assert [stage["name"] for stage in found["stages"]] == list(NAMES)
    overlay = next(one for one in found["operations"] if one["name"] == "overlay")
    assert (overlay["stage"], overlay["man_page"], overlay["failed"]) == ("layers", "mount(2)", False)
    assert overlay["parts"] == ["layer 0", "writable layer"]
    assert overlay["note"]
    clone = next(one for one in found["operations"] if one["name"] == "clone")
    assert clone["parts"] == ["pid", "mnt", "net"]


def test_a_page_that_asks_gets_it_once_more_and_nothing_else_is_sent() -> None:
    box, surface = GlassBox(explanation()), RecordingSurface()
    box.show_on(surface)
    box.shown()
    box.watch("page", 1)
    box.act("next")
    box.replay()
    assert surface.updates == []
    assert surface.replays == [box.everything()]
    box.close()


def test_the_snapshot_has_each_stage_with_its_calls_in_few_lines() -> None:
    found = explanation()
    snapshot = GlassBox(found).snapshot()
    assert snapshot.text.splitlines() == found.brief()
    assert found.summary() in snapshot.html
    for operation in found:
        assert operation.man_page in snapshot.text
        assert operation.man_page in snapshot.html
    assert len(found.brief()) <= 2 + len(STAGES)


def test_what_failed_is_told_and_long_arguments_are_cut() -> None:
    operations = [Operation("bind", "x" * 9000, "no such file", 3, "move_mount(2)", values={"target": "/a"})]
    (operation,) = GlassBox(Explanation("web", operations)).everything()["explained"]["operations"]
    assert operation["failed"]
    assert operation["result"] == "no such file"
    assert len(operation["text"]) == LONGEST


def test_every_operation_has_a_stage_and_a_note() -> None:
    names = {*MAN, "etc_file", "prepare"} - {PAUSE}
    assert names - STAGED - {"unshare"} == set()
    assert names - NOTED == set()


@pytest.mark.parametrize(
    ("operation", "arguments", "stage"),
    [
        ("mount", {"target": "/proc"}, "mounts"),
        ("mount", {"target": "/dev/pts"}, "devices"),
        ("mount", {"target": "/devices"}, "mounts"),
        ("unshare", {"flags": syscalls.CLONE_NEWCGROUP}, "cgroup"),
        ("unshare", {"flags": syscalls.CLONE_NEWNET}, "namespaces"),
        ("of a later version", {}, "identity"),
    ],
)
def test_the_stage_follows_from_what_is_done_where(operation: str, arguments: dict[str, object], stage: str) -> None:
    assert stage_of(operation, arguments) == stage


def test_limits_read_as_people_say_them() -> None:
    assert parts_of("limit", {"path": "/sys/fs/cgroup/x/memory.max", "value": "67108864"}) == ["memory.max = 64MiB"]
    assert parts_of("limit", {"path": "/sys/fs/cgroup/x/pids.max", "value": "12"}) == ["pids.max = 12"]
    assert parts_of("network_offer", {}) == []


def test_who_shares_which_namespaces_is_there_and_can_be_looked_at_again() -> None:
    looks = [NamespaceMap([HOST]), NamespaceMap([HOST, WEB], unseen=3)]
    found = explanation()
    found.sharing = lambda: looks.pop(0)
    box, surface = GlassBox(found, clock=lambda: 7.0), RecordingSurface()
    box.show_on(surface)
    assert len(json.loads(json.dumps(box.everything()))["sharing"]["subjects"]) == 1
    box.act("sharing")
    sharing = surface.last("sharing")
    assert (sharing["time"], sharing["kinds"], sharing["unseen"]) == (7.0, ["pid", "net"], 3)
    assert sharing["subjects"][1] == {"name": "web", "kind": "container", "pids": [9], "cells": [(5, 1), (2, 0)]}
    assert box.everything()["sharing"] == sharing


def test_what_was_known_stays_where_nobody_can_look_any_more() -> None:
    def look() -> NamespaceMap:
        raise Unavailable("the engine is closed", "make another one")

    found = explanation()
    assert GlassBox(found).everything()["sharing"] is None
    found.sharing = look
    assert GlassBox(found).everything()["sharing"] is None
