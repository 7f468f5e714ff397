"""Where a card's data come from, over a container that is played."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labcontainers.containers.container import Container
from labcontainers.containers.logs import LogLine
from labcontainers.errors import Conflict, InvalidArgument, NotFound
from labcontainers.networks.ports import PortBinding
from labcontainers.widgets.source import ContainerSource, port_link

HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
LINKS = [
    (PortBinding("0.0.0.0", 8080, 80, "tcp"), {}, ("8080 → 80/tcp", "0.0.0.0", 8080, "")),
    (PortBinding("127.0.0.1", 8080, 80, "tcp"), {}, ("8080 → 80/tcp", "127.0.0.1", 8080, "")),
    (PortBinding("", 8080, 80, "tcp"), {}, ("8080 → 80/tcp", "0.0.0.0", 8080, "")),
    (PortBinding("0.0.0.0", 8080, 80, "tcp"), HUB, ("8080 → 80/tcp", "0.0.0.0", 8080, "/user/ada/proxy/8080/")),
    (PortBinding("0.0.0.0", 5353, 53, "udp"), HUB, ("5353 → 53/udp", "", 5353, "")),
    (PortBinding("", 0, 80, "tcp"), HUB, ("80/tcp", "", 0, "")),
]


class Reader:
    """A log reader over what was written so far."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def read(self) -> Iterator[LogLine]:
        while self.written:
            yield LogLine(1, 1, self.written.pop(0))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class Played:
    """A container whose every answer is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.done: list[str] = []
        self.reader = Reader()
        self.id, self.name, self.image, self.created_at = "f" * 64, "web", "lab/base", 5.0
        self.command = ["sh", "-c", "echo 'a b'"]
        self.ports: list[PortBinding] = []
        self.warnings = ("no limit",)
        self.level = "single id, no control groups"

    def _answer(self, value: Any) -> Any:
        if self.error is not None:
            raise self.error
        return value

    @property
    def state(self) -> Any:
        return self._answer(SimpleNamespace(status="running", exit_code=0, oom_killed=False, error="", started_at=1.0, finished_at=None))

    @property
    def checkpoints(self) -> Any:
        named = SimpleNamespace(number=1, label="first", automatic=False, parent=0, created_at=2.0, current=False)
        return [named, SimpleNamespace(number=2, label="", automatic=True, parent=1, created_at=3.0, current=True)]

    def rollback(self, step: int) -> None:
        self.done.append(f"rollback {step}")

    def meter(self) -> Any:
        return SimpleNamespace(sample=lambda: self._answer("a sample"))

    def log_reader(self) -> Any:
        return self._answer(self.reader)

    def stop(self) -> None:
        self.done.append("stop")

    def restart(self) -> None:
        self.done.append("restart")

    def remove(self, *, force: bool = False) -> None:
        self.done.append(f"remove force={force}")


def source_of(played: Played) -> ContainerSource:
    return ContainerSource(cast("Container", played))


@pytest.mark.parametrize(("port", "environment", "expected"), LINKS)
def test_port_leads_where_it_can_be_opened(port: PortBinding, environment: dict[str, str], expected: tuple[str, str, int, str]) -> None:
    link = port_link(port, environment)
    assert (link["text"], link["host"], link["port"], link["path"]) == expected


def test_facts_have_the_command_as_a_shell_would_take_it() -> None:
    assert source_of(Played()).facts()["command"] == """sh -c 'echo '"'"'a b'"'"''"""


def test_facts_have_the_level_with_what_it_means() -> None:
    facts = source_of(Played()).facts()
    assert facts["level"] == "single id, no control groups"
    assert facts["level_means"].startswith("root of the container is the user who started it")
    assert facts["level_means"].endswith("so that no limit is the kernel's")


def test_state_has_the_line_of_checkpoints_and_a_click_rolls_back() -> None:
    played = Played()
    source = source_of(played)
    points = source.state()["checkpoints"]
    assert [(point["number"], point["label"], point["parent"], point["current"]) for point in points] == [
        (1, "first", 0, False),
        (2, "before a rollback", 1, True),
    ]
    source.act("rollback 1")
    assert played.done == ["rollback 1"]
    for action in ("rollback", "rollback x", "rollback -1"):
        with pytest.raises(InvalidArgument, match="a card cannot do this"):
            source.act(action)


def test_container_that_is_gone_is_removed_and_says_nothing_more() -> None:
    source = source_of(Played(NotFound("no such container: web")))
    assert source.state()["status"] == "removed"
    assert source.sample() is None
    assert source.new_lines(10) == []


def test_container_that_does_not_run_has_no_sample() -> None:
    assert source_of(Played(Conflict("web is not running"))).sample() is None


def test_lines_are_given_once_and_never_more_than_asked_for() -> None:
    played = Played()
    source = source_of(played)
    played.reader.written += [b"1", b"2", b"3"]
    assert [line.data for line in source.new_lines(2)] == [b"1", b"2"]
    assert [line.data for line in source.new_lines(2)] == [b"3"]
    assert source.new_lines(2) == []
    played.reader.written.append(b"4")
    assert [line.data for line in source.new_lines(2)] == [b"4"]
    source.close()
    assert played.reader.closed


@pytest.mark.parametrize(("action", "done"), [("stop", "stop"), ("restart", "restart"), ("remove", "remove force=True")])
def test_act_is_the_containers_own(action: str, done: str) -> None:
    played = Played()
    source_of(played).act(action)
    assert played.done == [done]


def test_act_that_no_button_has_is_refused() -> None:
    played = Played()
    with pytest.raises(InvalidArgument, match="explode"):
        source_of(played).act("explode")
    assert played.done == []
