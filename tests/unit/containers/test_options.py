"""Every option of a container checked by name and value before anything is made."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainers.containers.options.container import ContainerOptions
from labcontainers.containers.options.forms import split_command
from labcontainers.containers.options.mount import Mount
from labcontainers.containers.options.process import signal_name, signal_number
from labcontainers.containers.options.security import SecurityOptions
from labcontainers.errors import InvalidArgument, LabError, Unsupported

make = ContainerOptions.from_keywords

READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": None, "user": None}, {}),
    ({"user": ":0"}, {"user": ":0"}),
    ({"environment": {"A": 1, "B": None}}, {"environment": ("A=1", "B=")}),
    ({"environment": ["A=1", "A=x=y"]}, {"environment": ("A=1", "A=x=y")}),
    ({"mem_limit": "64m", "cpus": "0.5", "pids_limit": "10"}, {"memory_bytes": 64 << 20, "cpus": 0.5, "pids_limit": 10}),
    ({"mem_limit": 64 << 20, "nano_cpus": 500_000_000, "pids_limit": -1}, {"memory_bytes": 64 << 20, "cpus": 0.5, "pids_limit": None}),
    ({"volumes": {"/": {"bind": "/host", "mode": "ro"}}}, {"volumes": (Mount("/", "/host", True, mode="ro"),)}),
    ({"volumes": ["/:/host/"]}, {"volumes": (Mount("/", "/host"),)}),
    ({"auto_remove": True, "network_mode": "none"}, {"remove": True, "network": "none"}),
    ({"entrypoint": "sh"}, {"entrypoint": ("sh",)}),
    ({"entrypoint": ""}, {"entrypoint": ()}),
    ({"labels": ["a=1", "b"]}, {"labels": (("a", "1"), ("b", ""))}),
    ({"security_opt": ["no-new-privileges"]}, {"security": SecurityOptions(no_new_privileges=True)}),
    ({"stop_signal": "int"}, {"stop_signal": "SIGINT"}),
    ({"tmpfs": ["/x:size=1m", "/y"]}, {"tmpfs": (("/x", "size=1m"), ("/y", ""))}),
]
REFUSED: list[tuple[dict[str, Any], type[LabError], str, str]] = [
    ({"memlimit": "1g"}, InvalidArgument, "unknown option 'memlimit'", "did you mean mem_limit?"),
    ({"enviroment": {}}, InvalidArgument, "unknown option 'enviroment'", "did you mean environment?"),
    ({"qqq": 1}, InvalidArgument, "unknown option 'qqq'", "options are "),
    ({"links": {"a": "b"}}, Unsupported, "'links'", "leave it out"),
    ({"networking_config": {}}, Unsupported, "'networking_config'", "leave it out"),
    ({"read_only": "yes"}, InvalidArgument, "read_only is True or False, not 'yes'", ""),
    ({"volumes": {"/": {}}}, InvalidArgument, "'/' has no target", "bind"),
    ({"volumes": {"/": "/x"}}, InvalidArgument, "has no target", "bind"),
    ({"volumes": ["/:/"]}, InvalidArgument, "target", ""),
    ({"volumes": ["/:/host/.."]}, InvalidArgument, "target", ""),
    ({"volumes": ["/no/such\nfolder:/x"]}, InvalidArgument, "does not exist: '/no/such\\nfolder'", "make it first"),
    ({"volumes": 5}, InvalidArgument, "volumes is a list", ""),
    ({"nano_cpus": "half"}, InvalidArgument, "'half'", "use cpus"),
    ({"hostname": "a_b"}, InvalidArgument, "'a_b'", "letters"),
    ({"stop_signal": "SIGNONE"}, InvalidArgument, "'SIGNONE'", "TERM"),
    ({"tmpfs": ["/x:exce"]}, InvalidArgument, "'exce'", "size="),
    ({"ports": ["80:80"], "network": "none"}, InvalidArgument, "--publish and --network none", "bridge"),
    ({"environment": "A=1"}, InvalidArgument, "environment is a dict or a list", ""),
    ({"name": "-x"}, InvalidArgument, "'-x'", "a-zA-Z0-9"),
]


@pytest.mark.parametrize(("keywords", "wanted"), READ, ids=str)
def test_keywords_become_options(keywords: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert make(**keywords) == ContainerOptions(**wanted)


@pytest.mark.parametrize(("keywords", "kind", "message", "hint"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_bad_option_is_refused_by_name(keywords: dict[str, Any], kind: type[LabError], message: str, hint: str) -> None:
    with pytest.raises(kind) as caught:
        make(**keywords)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_variable_without_value_is_passed_on_from_this_process() -> None:
    assert make(environment=["PATH", "LAB_NOT_SET_ANYWHERE"]).environment == (f"PATH={os.environ['PATH']}",)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *(("TERM", "SIGTERM"), ("sigterm", "SIGTERM"), ("15", "SIGTERM"), (9, "SIGKILL"), (signal.SIGINT, "SIGINT")),
        *(("RTMIN", "SIGRTMIN"), ("SIGRTMIN+3", "37"), ("RTMAX-1", "63"), (40, "40")),
    ],
)
def test_a_signal_is_known_by_name_and_number(value: str | int, name: str) -> None:
    assert signal_name(int(value) if isinstance(value, int) else value) == name
    assert signal_number(name) == signal_number(value)


@pytest.mark.parametrize("value", ["", "0", "65", "999", "-1", "KILLER", "RTMIN+99", "9.0", "²"])
def test_what_is_no_signal_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        signal_number(value)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [(None, ()), ("", ()), ("sh -c 'echo a b'", ("sh", "-c", "echo a b")), (["a b", ""], ("a b", "")), (("x",), ("x",))],
)
def test_a_command_is_a_list_or_a_text_as_for_a_shell(command: Any, wanted: tuple[str, ...]) -> None:
    assert split_command(command) == wanted


@pytest.mark.parametrize("command", ["a 'b", ["a\0b"], ["a", 1]])
def test_a_command_that_cannot_be_executed_is_refused(command: Any) -> None:
    with pytest.raises(InvalidArgument):
        split_command(command)


KEYS = [
    "name",
    "environment",
    "volumes",
    "tmpfs",
    "working_dir",
    "user",
    "mem_limit",
    "cpus",
    "nano_cpus",
    "pids_limit",
    "ports",
    "network",
]
KEYS += ["entrypoint", "labels", "hostname", "security_opt", "read_only", "stop_signal", "remove", "tty", "colour"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | st.binary(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=4
)


def attempt(function: Callable[..., Any], **keywords: object) -> Any:
    """What the function returns, or the error of ours that it raises."""
    try:
        return function(**keywords)
    except LabError as error:
        return error


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_any_value_is_taken_or_refused_in_one_line(keywords: dict[str, Any]) -> None:
    found = attempt(make, **keywords)
    if isinstance(found, LabError):
        assert "\n" not in found.message
    else:
        assert ContainerOptions.from_json(json.loads(json.dumps(found.to_json()))) == found
