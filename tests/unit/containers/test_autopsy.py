"""What an autopsy says of each way to die, as text and as HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labcontainers.containers.autopsy import Autopsy
from labcontainers.containers.exit_codes import explained
from labcontainers.containers.result import RunResult
from labcontainers.errors import ContainerExit
from labcontainers.runtime import cleanup

BASE = Autopsy(
    "web", "lab/base", ("sh", "-c", "x < y"), "exited", 1, started_at=1000.0, finished_at=1004.2, lines=("starting", "bad <thing>")
)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, ""),
        (3, ""),
        (125, "could not be made or started"),
        (126, "cannot be executed"),
        (127, "no such program"),
        (130, "SIGINT ended it: sent by Ctrl-C"),
        (134, "SIGABRT ended it: the program ended itself by abort()"),
        (137, "SIGKILL ended it: nobody can catch it"),
        (139, "SIGSEGV ended it"),
        (143, "SIGTERM ended it: sent by `stop`"),
        (159, "SIGSYS ended it: a system call that the seccomp profile forbids"),
        (130 + 100, ""),
    ],
)
def test_an_exit_code_is_explained(code: int, words: str) -> None:
    assert explained(code).startswith(words) if not words else words in explained(code)
    assert bool(explained(code)) == bool(words)


def test_a_plain_failure_shows_its_last_lines_and_how_to_go_on() -> None:
    text = repr(BASE)
    assert text.splitlines()[0] == "web ended with exit code 1"
    assert "ran 4.2 s" in text
    assert "    bad <thing>" in text
    assert text.splitlines()[-2:] == ["    %container logs --tail 50 web", "    %container start -a web"]
    assert "memory" not in text
    assert "bad &lt;thing&gt;" in BASE._repr_html_()
    assert "x &lt; y" in BASE._repr_html_()


def test_a_lack_of_memory_tells_limit_and_peak_and_gives_more() -> None:
    died = replace(BASE, exit_code=137, oom_killed=True, memory_limit_bytes=64 << 20, memory_peak_bytes=(64 << 20) - 4096)
    text = repr(died)
    assert "web ended with exit code 137, out of memory" in text
    assert "its memory limit was reached" in text
    assert "limit 64MiB, at most 64MiB used" in text
    assert died.next_steps[0] == "%container update --memory 128m --memory-swap 128m web"
    assert replace(died, there=False, program="labcontainers").next_steps == ("labcontainers run -m 128m lab/base …",)


def test_a_raw_socket_that_was_refused_is_given_by_a_capability() -> None:
    died = replace(BASE, command=("ping", "-c", "1", "web"), lines=("ping: permission denied (are you root?)",))
    assert died.next_steps[0] == "%container run --cap-add NET_RAW lab/base ping -c 1 web"


def test_a_kill_tells_who_sent_it_as_far_as_that_is_known() -> None:
    died = replace(BASE, exit_code=137, memory_limit_bytes=64 << 20)
    assert "nobody sent it by this engine" in died.explanation
    assert "limit was not the cause" in died.explanation
    assert "events" in died.next_steps[0]
    assert "of this engine sent it" in replace(died, signals=(15, 9)).explanation


def test_health_and_restarts_are_told() -> None:
    died = replace(BASE, restart_count=4, restart_policy="on-failure:4", health="unhealthy", health_said="3 failed in a row; no route")
    assert "restarts  4 (policy on-failure:4)" in repr(died)
    assert "health    unhealthy: 3 failed in a row; no route" in repr(died)
    assert "%container update --restart no web" in died.next_steps


def test_one_that_never_ran_tells_why_and_one_that_runs_or_ended_well_has_not_died() -> None:
    never = replace(BASE, status="created", exit_code=127, started_at=None, finished_at=None, error="exec: no such file: nosuch", lines=())
    assert repr(never).splitlines()[:2] == ["web could not be started", "  why       exec: no such file: nosuch"]
    assert repr(replace(BASE, status="running", exit_code=0)).startswith("web is running")
    well = replace(BASE, exit_code=0)
    assert not well.died
    assert well.verdict == "web ended well"
    assert well.next_steps == ()


def test_it_fits_on_a_screen() -> None:
    long = replace(BASE, exit_code=137, oom_killed=True, restart_count=1, health="unhealthy", lines=tuple(map(str, range(10))))
    assert len(repr(long).splitlines()) <= 24


def test_a_result_and_its_error_have_one() -> None:
    result = RunResult("c" * 64, "it", ("nosuch",), 127, b"", b"sh: nosuch: not found\n", 0.1, image="lab/base", removed=True)
    with pytest.raises(ContainerExit) as raised:
        result.check()
    autopsy = raised.value.autopsy
    assert isinstance(autopsy, Autopsy)
    assert autopsy.lines == ("sh: nosuch: not found",)
    assert not any("start -a" in step for step in autopsy.next_steps)


@pytest.mark.parametrize(("name", "version"), [("memory.peak", "unified"), ("memory.max_usage_in_bytes", "v1")])
def test_the_peak_is_read_from_either_version_of_control_groups(tmp_path: Path, name: str, version: str) -> None:
    groups: dict[str, object] = {"unified": str(tmp_path)} if version == "unified" else {"v1": {"memory": str(tmp_path)}}
    assert cleanup.memory_peak(groups) == {}
    (tmp_path / name).write_text("123456\n")
    assert cleanup.memory_peak(groups) == {"memory_peak_bytes": 123456}
