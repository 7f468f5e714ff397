"""Command lines in runc's form, ids of containers, and what this command imports before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labcontainers.bundles.arguments import MANY, SWITCH, TEXT, Flags, parse
from labcontainers.bundles.filters import tell
from labcontainers.bundles.states import check_id
from labcontainers.bundles.verbs import VERBS, signal_number
from labcontainers.errors import InvalidArgument
from tests.fakes.bundle import TOP

FLAGS = Flags(("--bundle -b", TEXT, ""), ("--env -e", MANY, ""), ("--force -f", SWITCH, ""))


def test_flags_are_taken_in_every_form() -> None:
    said = parse(["-b", "x", "--env=A=b", "-env", "C", "one", "--force", "--", "-b"], FLAGS, "test")
    assert (said.texts, said.many, said.switches) == ({"--bundle": "x"}, {"--env": ["A=b", "C"]}, {"--force"})
    assert said.rest == ["one", "-b"]


def test_what_follows_is_left_to_another_program() -> None:
    said = parse(["-e", "A", "one", "sh", "-e", "--force"], FLAGS, "test", until_first=True)
    assert said.rest == ["one", "sh", "-e", "--force"]
    assert said.switches == set()


@pytest.mark.parametrize("words", [["--nothing"], ["-b"], ["--force=maybe"], ["-x"]])
def test_wrong_flags_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        parse(words, FLAGS, "test")


def test_switch_may_be_given_a_value() -> None:
    assert parse(["--force=true"], FLAGS, "test").switches == {"--force"}
    assert parse(["-f", "--force=false"], FLAGS, "test").switches == set()


@pytest.mark.parametrize("container_id", ["a", "A-b_c.d+1", "0" * 64])
def test_ids(container_id: str) -> None:
    assert check_id(container_id) == container_id


@pytest.mark.parametrize(("text", "number"), [("KILL", 9), ("sigterm", 15), ("9", 9), ("0", 0), ("RTMIN", 34)])
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "65", "SIG", "_DFL", "-9", "9 "])
def test_no_signals(text: str) -> None:
    with pytest.raises(InvalidArgument):
        signal_number(text)


class Agent:
    """One that takes some bytes with the descriptor, and closes as soon as it has all."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.text = b""

    def sendmsg(self, parts: list[bytes], rights: list[tuple[int, int, bytes]], flags: int) -> int:
        assert rights[0][2] == (7).to_bytes(4, "little")
        self.text += parts[0][: self.at_once]
        return len(self.text)

    def sendall(self, rest: bytes) -> None:
        if self.text == b"state":
            raise BrokenPipeError
        self.text += rest


@pytest.mark.parametrize("at_once", [1, 5])
def test_an_agent_may_close_when_it_has_everything(at_once: int) -> None:
    agent = Agent(at_once)
    tell(agent, b"state", 7)
    assert agent.text == b"state"


def test_every_verb_tells_its_help() -> None:
    assert list(VERBS) == "create start run state kill delete exec list ps events pause resume update spec features".split()
    assert all(verb.text and all(text for _, _, text in verb.flags.rows) for verb in VERBS.values())


@pytest.mark.parametrize("module", ["creating", "execs", "ending", "command", "verbs"])
def test_heavy_modules_are_not_imported_for_a_start(module: str) -> None:
    heavy = {
        "typing",
        "re",
        "dataclasses",
        "json",
        "argparse",
        "subprocess",
        "pathlib",
        "contextlib",
        "enum",
        "hashlib",
        "labcontainers.errors",
    }
    script = f"import sys; sys.path.append({str(TOP)!r}); import labcontainers.bundles.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert heavy & set(done.stdout.split()) == set()
