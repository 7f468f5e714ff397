"""What is said to a session's process in each language, and how it begins: a dialect is plain text in and out.

It must not know how the text travels. Standard input of the process is a socket for both directions. What it answers ends with a zero
byte: `ready 0 PID`, `began N`, `ended N CODE`, and for variables `value`, `table`, `took`, `unset`, `refused` and `lacking`, with N, the
name and what there is to say.

A POSIX shell reads lines from its input and executes a cell by `command eval`, which catches all that would end it but `exit` (POSIX,
2.8.1: errors in special built-ins and expansions). An interrupt is caught by a trap that makes such an error, since a trap alone would let
the cell go on. Bash catches none of these, but an interactive one goes back to its next line after them, so that it becomes one; cells run
in its PROMPT_COMMAND, where it is silent about jobs and `exit`, and the line that tells an aborted cell's end is sent when the cell has
begun. Cells get the real output, on which nothing else is written, an empty standard input, and not the socket.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from labcontainers.containers.sessions.values import as_json, as_table, as_text, check_name, from_table
from labcontainers.errors import InvalidArgument

LANGUAGES = ("sh", "bash", "python", "node")

_SAY = r"\command printf"
# what would make an interactive bash do more at its start and between its lines
_BASH_BEGINS = (
    'test -z "$BASH_VERSION" || { unset ENV PS1 PROMPT_COMMAND; case :$SHELLOPTS: in *:posix:*) set -- --posix;; esac; '
    'exec "$BASH" "$@" --norc --noprofile --noediting -i; }\n'
)
_SET_UP = (
    "exec 8>&1 9>&2 2>/dev/null; PS1= PS2= PS4='+ '; test -z \"$BASH_VERSION\" || set +H +m +o history\n"
    f"{_SAY} 'ready 0 %s %s\\0' $$ \"${{BASH_VERSION:+bash}}\" >&0\n"
)
# raises an error that `command eval` catches, once a cell runs
_TRAP = "trap 'case $__lab in 1) __lab=130; exec 2>/dev/null; ${__lab_end:?};; esac' INT"


class Dialect(ABC):
    """One language. `commands` are what to execute, the next one where a file is not there."""

    language: str
    commands: tuple[tuple[str, ...], ...]

    def greeting(self, given: Mapping[str, str]) -> bytes:
        """What is sent first; the answer is `ready`."""
        return b""

    @property
    def insists(self) -> bool:
        """Whether a cell may miss an interrupt, so that it gets another one."""
        return False

    def understood(self, ready: str) -> None:  # noqa: B027  # most dialects have nothing to learn
        """Take what stands after the pid in `ready`."""

    @abstractmethod
    def run(self, number: int, text: str) -> bytes:
        """Execute a text; raises InvalidArgument for one that cannot be sent."""

    def closing(self, number: int, code: int | None = None) -> bytes:
        """What is sent when the text has begun, and with an exit `code` again and again after an interrupt."""
        return b""

    @abstractmethod
    def push(self, number: int, values: Mapping[str, Any]) -> bytes:
        """Set variables; raises InvalidArgument and Unsupported."""

    @abstractmethod
    def pull(self, number: int, names: Sequence[str]) -> bytes:
        """Ask for variables; raises InvalidArgument."""

    @abstractmethod
    def value(self, name: str, data: str) -> Any:
        """What was answered as a `value`."""


class Shell(Dialect):
    """sh, whichever it is, and bash."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.commands = ((language,),)
        self._is_bash = False

    def greeting(self, given: Mapping[str, str]) -> bytes:
        back = f"ENV={quoted(given['ENV'])}; export ENV\n" if "ENV" in given else ""
        return f"{_BASH_BEGINS}{back}{_SET_UP}".encode("utf-8", "surrogateescape")

    @property
    def insists(self) -> bool:
        # one that comes just before a shell waits for a new program does not wake it, and when a program ends by itself just then, bash
        # takes the interrupt for that program's own business
        return True

    def understood(self, ready: str) -> None:
        self._is_bash = ready == "bash"

    def run(self, number: int, text: str) -> bytes:
        if "\0" in text:
            raise InvalidArgument("the cell's text has a zero byte, which no shell can read", "write it without")
        began = f"{_SAY} 'began {number}\\0' >&0"
        cell = f"\\command eval {quoted(text)} </dev/null >&8 2>&9 8>&- 9>&-"
        ended = f"{_SAY} 'ended {number} %s\\0'"
        if self._is_bash:
            told = f'unset PROMPT_COMMAND; {began}; {cell}; {ended} "$?" >&0'
            return f"PROMPT_COMMAND={quoted(told)}\n".encode("utf-8", "surrogateescape")
        inner = f'__lab=1; {cell}; __lab_code=$?; case "$__lab" in 130) __lab_code=130;; esac; __lab=; {ended} "$__lab_code" >&0'
        # the outer eval is for an interrupt that comes when the inner one has just ended
        told = f'case "$__lab" in 130) {ended} 130 >&0;; esac; __lab='
        return f"{_TRAP}; {began}; \\command eval {quoted(inner)}; {told}\n".encode("utf-8", "surrogateescape")

    def closing(self, number: int, code: int | None = None) -> bytes:
        return self._ended(number, code) if self._is_bash else b""

    @staticmethod
    def _ended(number: int, code: int | None) -> bytes:
        return f"{_SAY} 'ended {number} %s\\0' \"{'$?' if code is None else code}\" >&0\n".encode()

    def push(self, number: int, values: Mapping[str, Any]) -> bytes:
        texts = {check_name(self.language, name): as_text(name, _no_table(self.language, name, value)) for name, value in values.items()}
        lines = [
            f"\\command eval {quoted(f'{name}={quoted(text)}')} && {_SAY} 'took {number} {name}\\0' >&0\n" for name, text in texts.items()
        ]
        return "".join([*lines, self._ended(number, 0).decode()]).encode("utf-8", "surrogateescape")

    def pull(self, number: int, names: Sequence[str]) -> bytes:
        lines = [
            f'case "${{{check_name(self.language, name)}+x}}" in x) {_SAY} \'value {number} {name}=%s\\0\' "${name}" >&0;; '
            f"*) {_SAY} 'unset {number} {name}\\0' >&0;; esac\n"
            for name in names
        ]
        return "".join([*lines, self._ended(number, 0).decode()]).encode()

    def value(self, name: str, data: str) -> Any:
        return data


class Program(Dialect):
    """Languages with a driver of ours inside: python and node."""

    def __init__(self, language: str) -> None:
        self.language = language
        if language == "python":
            driver = _driver("python_driver.py")
            self.commands = (("python3", "-u", "-c", driver), ("python", "-u", "-c", driver))
        else:
            # Node cannot move a descriptor away from where cells would find it.
            start = 'command -v node >/dev/null || exit 127; exec node -e "$0" 3<&0 </dev/null'
            self.commands = (("sh", "-c", start, _driver("node_driver.js")),)

    def run(self, number: int, text: str) -> bytes:
        return _request("run", number, text=text)

    def push(self, number: int, values: Mapping[str, Any]) -> bytes:
        packed = {check_name(self.language, name): self._packed(name, value) for name, value in values.items()}
        return _request("push", number, values=packed)

    def _packed(self, name: str, value: Any) -> dict[str, Any]:
        return as_table(self.language, name, value) or {"json": as_json(self.language, name, value)}

    def pull(self, number: int, names: Sequence[str]) -> bytes:
        return _request("pull", number, names=[check_name(self.language, name) for name in names])

    def value(self, name: str, data: str) -> Any:
        return json.loads(data)


def dialect_of(language: str) -> Dialect:
    """A new one; raises InvalidArgument for a language that is not there."""
    if language in ("sh", "bash"):
        return Shell(language)
    if language in ("python", "node"):
        return Program(language)
    raise InvalidArgument(f"no sessions in this language: {language!r}", f"there are {', '.join(LANGUAGES)}")


def table(name: str, data: str) -> Any:
    """What was answered as a `table`; raises Unsupported."""
    return from_table(name, data)


def quoted(text: str) -> str:
    """`text` as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _no_table(language: str, name: str, value: Any) -> Any:
    as_table(language, name, value)
    return value


def _request(what: str, number: int, **more: Any) -> bytes:
    return json.dumps({"do": what, "number": number, **more}).encode() + b"\n"


@cache
def _driver(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
