"""Where in a Dockerfile something is, and the faults found there, collected and raised once.

It must not know any instruction.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labcontainers.errors import DockerfileError, LabError, Unsupported

# How many faults, lines of one and characters of a line are shown.
_LISTED = 20
_WIDTH = 400


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile's name and its physical lines, without their line ends."""

    file: str
    lines: tuple[str, ...]

    def text(self, first_line: int, last_line: int) -> str:
        """The physical lines `first_line` to `last_line`, counted from 1."""
        return "\n".join(self.lines[first_line - 1 : last_line])


@dataclass(frozen=True, slots=True)
class Place:
    """Lines `first_line` to `last_line` of a source; `column` (from 1) is in `first_line`, 0 means the whole lines."""

    source: Source
    first_line: int
    last_line: int
    column: int = 0

    def fault(self, message: str, hint: str = "") -> DockerfileError:
        """A DockerfileError at this place, not raised."""
        return DockerfileError(
            message,
            hint,
            file=self.source.file,
            first_line=self.first_line,
            last_line=self.last_line,
            column=self.column,
            source=self.source.text(self.first_line, self.last_line),
        )

    def unsupported(self, what: str, hint: str = "") -> Unsupported:
        """An Unsupported that names the thing and this place, not raised."""
        return Unsupported(f"{self.source.file}:{self.first_line}: {what} is not supported", hint)


class Faults:
    """Collects what is wrong with one Dockerfile, so that a reader learns all of it at once."""

    def __init__(self) -> None:
        self._found: list[LabError] = []

    def add(self, fault: LabError) -> None:
        """Remember one fault."""
        self._found.append(fault)

    def raise_any(self) -> None:
        """Raise the one fault, or one DockerfileError that lists all, caused by a group of them; return when there is none.

        When every fault is something that this version lacks, the error is Unsupported.
        """
        if not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        # those without a place come last
        self._found.sort(key=lambda fault: fault.first_line if isinstance(fault, DockerfileError) else sys.maxsize)
        group = ExceptionGroup("faults of the Dockerfile", self._found)
        located = [fault for fault in self._found if isinstance(fault, DockerfileError)]
        if not located:
            raise Unsupported("; ".join(fault.message for fault in self._found), self._found[0].hint) from group
        texts = [f"line {fault.first_line}: {fault.message}" for fault in located]
        texts += [fault.message for fault in self._found if not isinstance(fault, DockerfileError)]
        listed = "; ".join(texts[:_LISTED]) + (f"; and {len(texts) - _LISTED} more" if len(texts) > _LISTED else "")
        first = located[0]
        raise DockerfileError(
            f"{len(self._found)} faults: {listed}",
            first.hint,
            file=first.file,
            first_line=first.first_line,
            last_line=first.last_line,
            column=first.column,
            source=first.source,
        ) from group


def faults_of(error: LabError) -> tuple[LabError, ...]:
    """The single faults behind an error that Faults raised; the error itself when it stands for one only."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):
        return tuple(fault for fault in cause.exceptions if isinstance(fault, LabError))
    return (error,)


def excerpt(error: DockerfileError) -> str:
    """The lines at fault with their numbers, a mark before each and a caret below the column; "" when the place is unknown."""
    if not error.first_line or not error.source:
        return ""
    lines = error.source.split("\n")
    width = len(str(error.first_line + min(len(lines), _LISTED) - 1))
    shown = []
    for number, line in enumerate(lines[:_LISTED], error.first_line):
        shown.append(f"{number:>{width}} | {line[:_WIDTH]}{'…' if len(line) > _WIDTH else ''}".rstrip())
        if 0 < error.column <= _WIDTH and number == error.first_line:
            lead = "".join("\t" if char == "\t" else " " for char in line[: error.column - 1])
            shown.append(f"{'':>{width}} | {lead}^")
    return "\n".join([*shown, "…"] if len(lines) > _LISTED else shown)


def told(error: DockerfileError) -> tuple[str, list[str]]:
    """What a reader is told: a first line without the hint, and the lines below it, of all faults the place, the source and a caret."""
    faults = faults_of(error)
    if len(faults) == 1:
        place = f"{error.file}:{error.first_line}" if error.first_line else error.file
        return f"{place}: {error.message}", excerpt(error).splitlines()
    lines: list[str] = []
    for fault in faults[:_LISTED]:
        lines += [str(fault), *(excerpt(fault).splitlines() if isinstance(fault, DockerfileError) else [])]
    if len(faults) > _LISTED:
        lines.append(f"and {len(faults) - _LISTED} more")
    return f"{error.file}: {len(faults)} faults", lines


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint with the known word most like `word`, or ""."""
    choices: Sequence[str] = sorted(known)
    found = difflib.get_close_matches(word.lower(), [choice.lower() for choice in choices], n=1, cutoff=0.6)
    match = next((choice for choice in choices if found and choice.lower() == found[0]), "")
    return f"did you mean {match}?" if match else ""
