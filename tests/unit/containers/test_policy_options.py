"""Restart policies and health checks as users write them: flags, docker-py's keywords, image configs, records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.policy import Healthcheck, health_keywords, restart_policy
from labcontainers.containers.recovery import is_due
from labcontainers.containers.state import ContainerState
from labcontainers.containers.status import summary
from labcontainers.errors import InvalidArgument

POLICIES = [
    ("no", "no"),
    ("", "no"),
    ("always", "always"),
    ("unless-stopped", "unless-stopped"),
    ("on-failure", "on-failure"),
    ("on-failure:0", "on-failure"),
    ("on-failure:5", "on-failure:5"),
    ({"Name": "on-failure", "MaximumRetryCount": 5}, "on-failure:5"),
    ({"Name": "always"}, "always"),
    ({}, "no"),
]


@pytest.mark.parametrize(("given_value", "expected"), POLICIES)
def test_a_policy_is_read_from_dockers_text_and_docker_pys_dict(given_value: object, expected: str) -> None:
    assert restart_policy(given_value) == expected


@given(st.one_of(st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.integers())), st.integers(), st.none()))
def test_any_value_is_a_policy_or_a_one_line_refusal(value: object) -> None:
    error = None
    try:
        assert restart_policy(restart_policy(value)) == restart_policy(value)
    except InvalidArgument as refusal:
        error = refusal
    assert error is None or (error.hint and "\n" not in error.message)


FLAGS: list[tuple[dict[str, Any], Any]] = [
    ({}, None),
    ({"off": True}, {"test": ["NONE"]}),
    ({"command": "curl x"}, {"test": "curl x"}),
    ({"command": "x", "interval": "1m30s", "retries": "3"}, {"test": "x", "interval": 90 * 10**9, "retries": 3}),
    ({"start_period": "500ms"}, {"test": None, "start_period": 5 * 10**8}),
]


@pytest.mark.parametrize(("flags", "expected"), FLAGS)
def test_flags_become_docker_pys_dict(flags: dict[str, Any], expected: Any) -> None:
    assert keywords(**flags) == expected


def keywords(*, command: str | None = None, retries: str | None = None, off: bool = False, **durations: str) -> Any:
    return health_keywords(command, durations, retries, off=off)


BAD_FLAGS: list[tuple[dict[str, Any], str]] = [
    ({"off": True, "command": "x"}, "conflicting options: --no-healthcheck and --health-cmd"),
    ({"off": True, "retries": "1"}, "conflicting options: --no-healthcheck and --health-retries"),
    ({"interval": "soon"}, "--health-interval: not a duration: 'soon'"),
    ({"start_interval": "-1s"}, "--health-start-interval: not a duration: '-1s'"),
    ({"retries": "some"}, "--health-retries: not a number from 0 on: 'some'"),
]


@pytest.mark.parametrize(("flags", "words"), BAD_FLAGS)
def test_bad_flags_are_refused_by_name(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        keywords(**flags)


def test_options_with_policy_and_check_survive_the_record() -> None:
    check = {"test": ["CMD", "a", "b"], "interval": 10**9, "start_interval": 10**8, "retries": 2}
    options = ContainerOptions.from_keywords(restart="on-failure:3", healthcheck=check)
    assert ContainerOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


IMAGE = Healthcheck(("CMD", "image"), interval_ns=7 * 10**9, retries=5)
MERGED = [
    (Healthcheck(), IMAGE, IMAGE),
    (Healthcheck(("CMD", "own")), IMAGE, Healthcheck(("CMD", "own"), interval_ns=7 * 10**9, retries=5)),
    (Healthcheck(retries=1), IMAGE, Healthcheck(("CMD", "image"), interval_ns=7 * 10**9, retries=1)),
    (Healthcheck(("NONE",)), IMAGE, Healthcheck(("NONE",), interval_ns=7 * 10**9, retries=5)),
    (Healthcheck(), Healthcheck(("NONE",)), Healthcheck(("NONE",))),
    (Healthcheck(retries=1), None, None),
    (Healthcheck(("CMD", "own")), None, Healthcheck(("CMD", "own"))),
]


@pytest.mark.parametrize(("own", "image", "expected"), MERGED)
def test_what_options_leave_open_comes_from_the_image(own: Healthcheck, image: Healthcheck | None, expected: Healthcheck | None) -> None:
    assert own.over(image) == expected


CONFIGS = [None, {}, {"Test": "text"}, {"Test": [1]}, {"Test": ["CMD", "x"], "Interval": "soon"}, {"Test": ["CMD", "x"], "Retries": -1}, []]


@pytest.mark.parametrize("value", CONFIGS)
def test_an_image_config_of_another_builder_that_makes_no_sense_checks_nothing(value: Any) -> None:
    found = Healthcheck.from_docker(value)
    assert found is None or found.over(None) is None


LOST = {"status": "exited", "exit_code": 137, "unattended": True}
# (policy, state, whether the next engine starts it again)
DUE: list[tuple[str, dict[str, Any], bool]] = [
    ("no", LOST, False),
    ("always", LOST, True),
    ("always", {**LOST, "stopped_by_hand": True}, True),
    ("always", {**LOST, "unattended": False}, False),
    ("always", {**LOST, "status": "created"}, False),
    ("always", {**LOST, "status": "running"}, False),
    ("unless-stopped", LOST, True),
    ("unless-stopped", {**LOST, "stopped_by_hand": True}, False),
    ("on-failure", LOST, True),
    ("on-failure", {**LOST, "exit_code": 0}, False),
    ("on-failure:2", {**LOST, "restart_count": 2}, False),
]


@pytest.mark.parametrize(("policy", "state", "expected"), DUE)
def test_the_next_engine_starts_what_dockers_daemon_would_at_boot(policy: str, state: dict[str, Any], expected: bool) -> None:
    assert is_due(policy, ContainerState(**state)) is expected


NOW = 1_000_000.0
SUMMARIES: list[tuple[dict[str, Any], str]] = [
    ({}, "Created"),
    ({"status": "running", "started_at": NOW - 180}, "Up 3 minutes"),
    ({"status": "running", "started_at": NOW - 180, "health": "healthy"}, "Up 3 minutes (healthy)"),
    ({"status": "running", "started_at": NOW - 180, "health": "starting"}, "Up 3 minutes (health: starting)"),
    ({"status": "paused", "started_at": NOW - 180, "health": "healthy"}, "Up 3 minutes (Paused)"),
    ({"status": "restarting", "finished_at": NOW - 5, "exit_code": 1}, "Restarting (1) 5 seconds ago"),
    ({"status": "exited", "finished_at": NOW - 7200, "exit_code": 0, "health": "unhealthy"}, "Exited (0) 2 hours ago"),
]


@pytest.mark.parametrize(("state", "expected"), SUMMARIES)
def test_a_state_reads_as_in_docker_ps(state: dict[str, Any], expected: str) -> None:
    assert summary(ContainerState(**state), NOW) == expected
