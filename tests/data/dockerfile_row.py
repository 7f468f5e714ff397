"""What a row about Dockerfiles, or about a flag of `build`, is made of: a Dockerfile that is built, and what shows that it worked.

It must not know any particular instruction, nor how a row is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# the folder that every row is built in: what is in it, and modes that are not 0644
CONTEXT: Mapping[str, str] = {
    "app.txt": "of the app\n",
    "run.sh": "#!/bin/sh\necho of the script\n",
    "data/one": "1\n",
    "data/two.log": "2\n",
    "data/deep/three": "3\n",
    "left-out.txt": "nobody sees this\n",
    ".dockerignore": "left-out.*\n!left-out.md\n",
    "left-out.md": "but this\n",
    "other.Dockerfile": "FROM lab/base\nRUN echo from the other file\n",
    "token": "a secret\n",
}
EXECUTABLE = frozenset({"run.sh"})


@dataclass(frozen=True)
class Row:
    """One form of an instruction, or one flag. `text` is the Dockerfile; `flags` stand before the context on `build`'s command line.

    What shows that it worked is one or several of `said`, a pattern in what the last RUN wrote; `runs`, a command in a container of the
    image, with `prints`, a pattern in its output; `tells`, a field of the image's inspect document with its value; `fails`, words of the
    error that it is refused with; `shown`, a pattern in what the command itself shows; `file`, one that it wrote, with a pattern.
    `needs` are abilities of tests/conftest.py; `unless` is one with which this cannot be.
    """

    what: str
    text: str
    flags: str = ""
    said: str = ""
    runs: str = ""
    prints: str = ""
    tells: tuple[str, Any] | None = None
    fails: str = ""
    shown: str = ""
    file: tuple[str, str] | None = None
    needs: tuple[str, ...] = ()
    unless: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Elsewhere:
    """One that needs servers, agents or processes around it: the tests that show it, a file in tests/integration."""

    what: str
    test: str


@dataclass(frozen=True)
class Refused:
    """One that is refused; why is what the user is told."""

    what: str
    text: str
    flags: str = ""
