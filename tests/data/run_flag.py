"""What a row about a flag of `docker run` is made of: a real command line, and what shows that the flag did its work.

It must not know any particular flag, nor how a line is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labcontainers import Container, Engine

# where a line needs a block device of this machine
DISK = "/dev/DISK"


@dataclass(frozen=True)
class Seen:
    """What there is after a line: the output of its last command, and the container that it named `it`."""

    engine: Engine
    output: str
    value: Any
    folder: Path
    disk: str

    @property
    def container(self) -> Container:
        return self.engine.containers.get("it")


@dataclass(frozen=True)
class Group:
    """A file of the container's control group in each version, and what is in it. In version 2 nothing may answer to it."""

    controller: str
    v1: str
    v1_value: str
    v2: str = ""
    v2_value: str = ""


Proof = Callable[[Seen], None]


@dataclass(frozen=True)
class Row:
    """One flag. `line` is what a user writes after `labcontainers`, several commands joined by `&&`.

    What shows that it worked is one or several of `shows`, a pattern in the output of the last command; `tells`, a field of the inspect
    document with its value; `group`; and `proof`, a function whose docstring says what it looks at. `shows` alone reads what the program
    inside found, mostly in /proc or /sys.

    `fails` are words of the error that the line ends with, where that is what the flag is for; then it has made no container.

    `pipe` is fed to standard input, `typed` typed at a terminal, and `interrupt` is output after which the user presses Ctrl-C. `but` are
    uses that are refused. `refused` names an ability of tests/conftest.py with which all of the line is refused, and the words.
    """

    flags: tuple[str, ...]
    line: str
    shows: str = ""
    tells: tuple[str, Any] | None = None
    group: Group | None = None
    proof: Proof | None = None
    fails: str = ""
    pipe: str | None = None
    typed: str | None = None
    interrupt: str = ""
    but: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refused: tuple[str, str] | None = None


@dataclass(frozen=True)
class Missing:
    """A flag that is refused, and a use of it."""

    flags: tuple[str, ...]
    use: str
