"""The glass box without a kernel or a browser: everything is in the first message, and the snapshot is the explanation's own."""

from __future__ import annotations

import json

import pytest

from labcontainers.containers.explain.explanation import Explanation, Operation, explain
from labcontainers.containers.explain.operations import MAN
from labcontainers.containers.explain.parts import parts_of
from labcontainers.containers.planning.stages import NAMES, NOTED, PAUSE, STAGED, stage_of
from labcontainers.kernel import syscalls
from labcontainers.widgets.glass_box import LONGEST, GlassBox
from tests.unit.containers.test_explanation import EARLIER, TIMES
from tests.unit.widgets.surfaces import RecordingSurface


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


def test_the_snapshot_is_what_it_prints_as() -> None:
    found = explanation()
    snapshot = GlassBox(found).snapshot()
    assert (snapshot.text, snapshot.html) == (repr(found), found._repr_html_())


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
