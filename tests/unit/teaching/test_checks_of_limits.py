"""The checks of lesson 6 on made-up control groups of both versions, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labcontainers.containers.state import ContainerState
from labcontainers.teaching import lesson_06 as lesson
from tests.unit.teaching.made_up import PID, MadeUpContainer, MadeUpMachine

MIB = 1 << 20
V1_MOST = 9223372036854771712


def verdict(check: Any, place: MadeUpMachine, container: MadeUpContainer | None = None) -> str:
    return str(check(container or MadeUpContainer(), machine=place.machine).verdict)


@pytest.mark.parametrize(
    ("version", "name", "value", "wanted"),
    [
        (1, "memory__limit_in_bytes", 64 * MIB, "passed"),
        (1, "memory__limit_in_bytes", 65 * MIB, "not yet"),
        (1, "memory__limit_in_bytes", V1_MOST, "not yet"),
        (2, "memory__max", 32 * MIB, "passed"),
        (2, "memory__max", 128 * MIB, "not yet"),
        (2, "memory__max", "max", "not yet"),
    ],
)
def test_memory_is_what_the_groups_file_says(tmp_path: Path, version: int, name: str, value: Any, wanted: str) -> None:
    place = MadeUpMachine(tmp_path, version)
    place.limit("memory", **{name: value})
    assert verdict(lesson.memory, place) == wanted


@pytest.mark.parametrize(
    ("version", "files", "wanted"),
    [
        (1, {"cpu__cfs_quota_us": 25000, "cpu__cfs_period_us": 100000}, "passed"),
        (1, {"cpu__cfs_quota_us": 50000, "cpu__cfs_period_us": 100000}, "not yet"),
        (1, {"cpu__cfs_quota_us": -1, "cpu__cfs_period_us": 100000}, "not yet"),
        (2, {"cpu__max": "10000 100000"}, "passed"),
        (2, {"cpu__max": "max 100000"}, "not yet"),
    ],
)
def test_cpu_is_quota_by_period(tmp_path: Path, version: int, files: dict[str, Any], wanted: str) -> None:
    place = MadeUpMachine(tmp_path, version)
    place.limit("cpu", **files)
    assert verdict(lesson.cpu, place) == wanted


@pytest.mark.parametrize(("most", "refused", "wanted"), [(20, 3, "passed"), (20, 0, "not yet"), (21, 3, "not yet"), ("max", 0, "not yet")])
def test_pids_asks_for_a_limit_that_was_met(tmp_path: Path, most: Any, refused: int, wanted: str) -> None:
    place = MadeUpMachine(tmp_path)
    place.limit("pids", pids__max=most, pids__events=f"max {refused}")
    assert verdict(lesson.pids, place) == wanted


@pytest.mark.parametrize(
    ("first", "now", "wanted"),
    [
        ([("/g/memory.limit_in_bytes", str(32 * MIB))], 64 * MIB, "passed"),
        ([("/g/memory.limit_in_bytes", str(32 * MIB))], V1_MOST, "passed"),
        ([("/g/memory.limit_in_bytes", str(32 * MIB))], 48 * MIB, "not yet"),
        ([("/g/pids.max", "7")], 64 * MIB, "not yet"),
    ],
)
def test_updated_compares_the_start_with_now(tmp_path: Path, first: list[tuple[str, str]], now: int, wanted: str) -> None:
    place = MadeUpMachine(tmp_path)
    place.limit("memory", memory__limit_in_bytes=now)
    assert verdict(lesson.updated, place, MadeUpContainer(started_with=tuple(first))) == wanted


@pytest.mark.parametrize(
    ("state", "warnings", "wanted"),
    [
        (ContainerState("exited", exit_code=137, oom_killed=True), (), "passed"),
        (ContainerState("exited", exit_code=137), (), "not yet"),
        (ContainerState("running", PID), (), "not yet"),
        (ContainerState("exited"), ("the memory limit is not enforced: …",), "not here"),
    ],
)
def test_oom_is_what_the_shim_recorded(state: ContainerState, warnings: tuple[str, ...], wanted: str) -> None:
    assert lesson.oom(MadeUpContainer(state=state, warnings=warnings)).verdict == wanted


@pytest.mark.parametrize("check", [lesson.memory, lesson.cpu, lesson.pids, lesson.updated])
def test_without_a_group_of_its_own_it_is_not_here_and_says_why(tmp_path: Path, check: Any) -> None:
    place = MadeUpMachine(tmp_path)
    place.join("/user.slice")
    outcome = check(MadeUpContainer(warnings=("the memory limit is not enforced: no groups",)), machine=place.machine)
    assert outcome.verdict == "not here"
    assert "no groups" in outcome.found


@pytest.mark.parametrize("check", [lesson.memory, lesson.cpu, lesson.pids, lesson.updated])
def test_of_one_that_has_ended_there_is_no_group_yet(tmp_path: Path, check: Any) -> None:
    assert verdict(check, MadeUpMachine(tmp_path), MadeUpContainer(state=ContainerState("exited"))) == "not yet"


def test_a_hierarchy_of_which_only_a_part_is_mounted_is_read_at_its_place(tmp_path: Path) -> None:
    place = MadeUpMachine(tmp_path, 2)
    place.limit("memory", memory__max=MIB)
    place.process("self", mountinfo=f"30 1 0:9 /docker/x {place.groups}/unified rw - cgroup2 none rw\n")
    place.join(f"/docker/x/labcontainers/{MadeUpContainer.id}")
    assert verdict(lesson.memory, place) == "passed"
