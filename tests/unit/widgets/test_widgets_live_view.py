"""The views of a running container without a kernel or a browser: only what changed is sent, and the end is told and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from labcontainers.containers.usage.control_group import ControlGroup, Gauge, GroupFile, Pressure
from labcontainers.containers.usage.ports import Port
from labcontainers.containers.usage.process_tree import ProcessRow, ProcessTree, ThreadRow
from labcontainers.errors import Conflict, LabError, NotFound
from labcontainers.widgets.cgroup_view import CgroupView
from labcontainers.widgets.live_view import KEEP_EVERY_S
from labcontainers.widgets.process_view import ProcessView
from tests.unit.widgets.surfaces import Clock, HandRounds, RecordingSurface

ROW = ProcessRow(
    pid=900, pid_inside=1, parent=5, user="root", user_outside="me", state="sleeping", cpu_percent=1.5, memory_bytes=4096,
    thread_count=2, threads=(ThreadRow(900, "a", "sleeping", 0.0), ThreadRow(901, "b", "running", 1.5)), namespaces=("mnt",),
    ports=(Port("tcp", "0.0.0.0", 80),), command="server",
)  # fmt: skip


class Looks:
    """What is seen by each look, in order; the last stays, and an error is raised."""

    def __init__(self, *seen: tuple[ProcessRow, ...] | Exception) -> None:
        self._seen = list(seen)

    def __call__(self, _: ProcessTree) -> ProcessTree:
        seen = self._seen.pop(0) if len(self._seen) > 1 else self._seen[0]
        if isinstance(seen, Exception):
            raise seen
        return ProcessTree("web", seen, look=self)


def view(*seen: tuple[ProcessRow, ...] | Exception, clock: Callable[[], float] | None = None) -> tuple[ProcessView, RecordingSurface]:
    rounds, surface = HandRounds(), RecordingSurface()
    made = ProcessView(ProcessTree("web", (ROW,), look=Looks(*seen)), clock=clock or Clock(), rounds=rounds)
    made.show_on(surface)
    made.shown()
    assert rounds.wants(made.beat)
    return made, surface


def test_everything_is_in_the_first_message() -> None:
    made, _ = view((ROW,))
    data = json.loads(json.dumps(made.everything()))
    assert (data["name"], data["state"]) == ("web", {"status": "live", "failure": None})
    parts = data["parts"]["changed"]
    assert parts["order"] == [900]
    assert parts["process 900"]["ports"] == ["80/tcp"]
    assert parts["process 900"]["threads"] == [[900, "a", "sleeping", 0.0], [901, "b", "running", 1.5]]


def test_only_what_changed_is_sent() -> None:
    child = replace(ROW, pid=950, parent=900, depth=1)
    busy = replace(child, cpu_percent=50.0)
    made, surface = view((ROW, child), (ROW, child), (ROW, busy), (ROW,))
    for _ in range(4):
        assert made.beat()
    batches = [update["parts"] for update in surface.updates]
    assert [sorted(batch["changed"]) for batch in batches] == [["order", "process 950"], ["process 950"], ["order"]]
    assert [batch["gone"] for batch in batches] == [[], [], ["process 950"]]


def test_a_container_that_ends_is_told_and_may_come_back() -> None:
    made, surface = view(Conflict("web is not running"), Conflict("web is not running"), (ROW,))
    assert made.beat()
    assert surface.last("state") == {"status": "ended", "failure": None}
    assert surface.kept_in_output == 1
    assert made.beat()
    assert len(surface.updates) == 1
    assert "before web ended" in made.snapshot().text
    assert made.beat()
    assert surface.last("state")["status"] == "live"


def test_of_one_that_is_removed_nothing_more_is_looked_at() -> None:
    made, surface = view(NotFound("no container web"))
    assert not made.beat()
    assert surface.last("state")["status"] == "removed"
    assert "server" in made.snapshot().html


def test_what_goes_wrong_is_shown_and_looked_at_again() -> None:
    made, surface = view(LabError("the disk is gone", "look for it"), (ROW,))
    assert made.beat()
    assert surface.last("state")["failure"] == {"message": "the disk is gone", "hint": "look for it"}
    assert made.beat()
    assert surface.last("state")["failure"] is None


def test_a_page_that_asks_gets_all_and_nobody_looks_when_no_page_does() -> None:
    made, surface = view((ROW,))
    made.replay()
    assert surface.replays == [made.everything()]
    made.watch("page", 1)
    assert surface.updates == [{"state": {"status": "live", "failure": None}}]
    assert made.beat()
    made.watch("page", 0)
    assert not made.beat()
    made.close()
    assert not made.beat()


def test_a_saved_notebook_is_renewed_now_and_then() -> None:
    clock = Clock()
    made, surface = view((ROW,), clock=clock)
    made.beat()
    assert surface.kept_in_state == 0
    clock.now += KEEP_EVERY_S
    made.beat()
    made.beat()
    assert surface.kept_in_state == 1


def test_control_groups_are_sent_file_by_file() -> None:
    file = GroupFile("pids.max", "pids", "limit", "/sys/pids.max", "40", "", "The most.", "cgroups(7)")
    other = GroupFile("pids.current", "pids", "usage", "/sys/pids.current", "7", "", "Now.", "cgroups(7)")
    gauges, pressure = (Gauge("CPUs", 0.1, 2.0, False, "0.1"),), (Pressure("cpu", (1, 2, 3), None, "n"),)
    first = ControlGroup("web", "v2", ("/sys",), "", gauges, (file, other), pressure)
    second = replace(first, files=(file, replace(other, value="8")))
    surface = RecordingSurface()
    made = CgroupView(replace(first, look=lambda _: second), clock=Clock(), rounds=HandRounds())
    made.show_on(surface)
    made.watch("page", 1)
    assert json.loads(json.dumps(made.everything()))["parts"]["changed"]["gauges"][0]["share"] == 0.05
    made.beat()
    (changed,) = surface.last("parts")["changed"].items()
    assert (changed[0], changed[1]["value"]) == ("file pids.current", "8")


def test_of_many_processes_and_files_a_saved_notebook_keeps_little() -> None:
    rows = tuple(replace(ROW, pid=900 + number) for number in range(300))
    made = ProcessView(ProcessTree("web", rows), clock=Clock(), rounds=HandRounds())
    assert "… and 292 more" in made.snapshot().text
    limit = GroupFile("pids.max", "pids", "limit", "/sys/pids.max", "40", "", "The most.", "cgroups(7)")
    files = (limit, *(GroupFile(f"file{number}", "pids", "usage", "/sys", "7", "", "note", "cgroups(7)") for number in range(100)))
    files += (replace(limit, name="memory.high", plain="no limit"),)
    gauges, pressure = (Gauge("CPUs", 0.1, 2.0, False, "0.1 of 2"),), (Pressure("cpu", (1, 2, 3), None, "n"),)
    groups = CgroupView(ControlGroup("web", "v2", ("/sys",), "", gauges, files, pressure), clock=Clock(), rounds=HandRounds())
    for form in (groups.snapshot().text, groups.snapshot().html):
        assert len(form) < 1000
        assert all(word in form for word in ("0.1 of 2", "1 %, 2 %, 3 %", "pids.max  40", "102 files in all", "as of"))
        assert "memory.high" not in form
