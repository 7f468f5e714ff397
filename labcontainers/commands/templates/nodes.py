"""What a template consists of, as values; `at` is an offset in its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `nil` is None."""

    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """A path from the dot; an empty one is the dot itself."""

    path: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A path from a variable."""

    name: str
    path: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Nested:
    """A path from what a pipeline in parentheses gives."""

    pipeline: Pipeline
    path: tuple[str, ...]
    at: int


Operand: TypeAlias = Literal | Field | Variable | Function | Nested


@dataclass(frozen=True, slots=True)
class Command:
    """A value, or a function or method with its arguments."""

    words: tuple[Operand, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each with the value of the one before as its last argument; `names` are given the last value, new ones if `declares`."""

    commands: tuple[Command, ...]
    names: tuple[str, ...]
    declares: bool
    at: int


@dataclass(frozen=True, slots=True)
class Print:
    """An action."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """An `if`, `with` or `range`."""

    kind: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """A `break` or `continue`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Use:
    """A `template`: another one by its name, with a value as its dot."""

    name: str
    pipeline: Pipeline | None
    at: int


Node: TypeAlias = str | Print | Branch | Jump | Use
