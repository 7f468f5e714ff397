"""Dockerfiles that are written in parts, one for each cell of a notebook; it must not know magics, nor build anything."""

from __future__ import annotations

import html
import threading
from dataclasses import dataclass, replace

from labcontainers.build.dockerfile.parser import Node, parse
from labcontainers.build.dockerfile.source import Faults
from labcontainers.errors import InvalidArgument, NotFound


@dataclass(frozen=True, slots=True)
class Part:
    """What one cell gives: lines that end with a line break. `key` names the cell; "" where nothing does."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """A Dockerfile in parts. Its text is theirs, one after the other."""

    name: str
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """All of the Dockerfile."""
        return "".join(part.text for part in self.parts)

    @property
    def has_stage(self) -> bool:
        """Whether there is something to build: a FROM."""
        return any(node.keyword == "FROM" for node in _nodes(self.text))

    def with_part(self, key: str, text: str) -> Draft:
        """The same with the text of a cell: in the place of what that cell gave before, else at the end.

        Without a key the same text stands in its own place. Raises InvalidArgument where the text ends within an instruction.
        """
        part = _part(key, text)
        index = self._index(part)
        parts = (*self.parts[:index], part, *self.parts[index + 1 :])
        self._check_end(Draft(self.name, parts[: index + 1]))
        return replace(self, parts=parts)

    def until(self, key: str, text: str) -> Draft:
        """The parts from the first one to the one that with_part put in place."""
        return replace(self, parts=self.parts[: self._index(_part(key, text)) + 1])

    def origin(self, line: int) -> tuple[int, int]:
        """The number of the part that has this line of the text, and the line's number in it; all of them count from 1."""
        for number, part in enumerate(self.parts, 1):
            count = part.text.count("\n")
            if line <= count:
                return number, line
            line -= count
        return len(self.parts), line

    def _index(self, part: Part) -> int:
        for index, other in enumerate(self.parts):
            if part.key == other.key and (part.key or part.text == other.text):
                return index
        return len(self.parts)

    @staticmethod
    def _check_end(draft: Draft) -> None:
        # an instruction that goes on would take the first line of the cell that follows
        if len(_nodes(f"{draft.text}FROM x\n")) == len(_nodes(draft.text)):
            line = draft.origin(draft.text.count("\n"))[1]
            raise InvalidArgument(
                f"line {line} is within an instruction, and a part of a Dockerfile ends after one",
                "write the instruction's end in the same cell",
            )

    def __repr__(self) -> str:
        return self.text.rstrip("\n")

    def _repr_html_(self) -> str:
        pieces = [
            f"<div style='opacity:.6;font-size:smaller'>part {number}</div><pre style='margin:0 0 6px'>{html.escape(part.text)}</pre>"
            for number, part in enumerate(self.parts, 1)
        ]
        return "".join(pieces)


def _part(key: str, text: str) -> Part:
    return Part(key, text if text.endswith("\n") else f"{text}\n")


def _nodes(text: str) -> tuple[Node, ...]:
    return parse(text, "Dockerfile", Faults()).nodes


class Drafts:
    """The Dockerfiles in parts of this process, by their names. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drafts: dict[str, Draft] = {}

    def list(self) -> list[Draft]:
        """All of them, by name."""
        with self._lock:
            return [self._drafts[name] for name in sorted(self._drafts)]

    def find(self, name: str) -> Draft:
        """The one of this name; one without parts where there is none yet."""
        with self._lock:
            return self._drafts.get(name) or Draft(name)

    def get(self, name: str) -> Draft:
        """The one of this name; raises NotFound."""
        draft = self.find(name)
        if not draft.parts:
            raise NotFound(f"no Dockerfile in parts is named {name!r}", f"begin it in a cell: %%dockerfile --append {name}")
        return draft

    def keep(self, draft: Draft) -> None:
        """Keep it under its name, in the place of what was there."""
        with self._lock:
            self._drafts[draft.name] = draft

    def remove(self, name: str) -> None:
        """Forget it; raises NotFound."""
        self.get(name)
        with self._lock:
            self._drafts.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._drafts.clear()


DRAFTS = Drafts()
