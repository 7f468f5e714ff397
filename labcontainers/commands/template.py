"""Go's text templates, as far as Docker users write them after `--format`.

It must not know what is printed. Fields, indices, variables, `range`, `if`, `else`, `end`, pipelines, parentheses and Docker's functions
are there; anything else raises Unsupported. Source: pkg.go.dev/text/template, docs.docker.com "Format command and log output".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument, NotFound, Unsupported

_ACTION = re.compile(r"(\s*)\{\{(-\s)?(.*?)(\s-)?\}\}(\s*)", re.DOTALL)
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|-?\d+(?:\.\d+)?|\$?\.?[A-Za-z_][\w.]*|\$|\.|:=|[|(),])')
_VARIABLE = re.compile(r"\$\w*")
_HINT = "fields, range, if, index, join and json are supported, such as {{.State.Status}}"


@dataclass
class _Block:
    """A `range`, an `if` or the whole: what is between it and its `end`, and after its `else`."""

    words: list[str]
    body: list[Any] = field(default_factory=list)
    otherwise: list[Any] = field(default_factory=list)
    in_otherwise: bool = False

    def add(self, node: Any) -> None:
        (self.otherwise if self.in_otherwise else self.body).append(node)


class Template:
    """One parsed template; raises InvalidArgument for a broken one and Unsupported for what is not there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root = self._parse(text.replace("\\t", "\t").replace("\\n", "\n"))

    def render(self, value: Any) -> str:
        """The text for one value (mappings, sequences, texts, numbers; a callable is a method). Raises NotFound for an unknown field."""
        return "".join(self._render(self._root.body, value, {"$": value}))

    # --- text to nodes

    def _parse(self, text: str) -> _Block:
        stack, at = [_Block([])], 0
        for match in _ACTION.finditer(text):
            before, trims, inside, trims_after, after = match.groups()
            stack[-1].add(text[at : match.start()] + ("" if trims else before))
            self._act(inside.strip(), stack)
            at = match.end() if trims_after else match.end() - len(after)
        if len(stack) > 1:
            raise InvalidArgument(f"template without {{{{end}}}}: {self._text!r}", _HINT)
        stack[0].add(text[at:])
        if "{{" in text[at:]:
            raise InvalidArgument(f"template with an open {{{{: {self._text!r}", _HINT)
        return stack[0]

    def _act(self, inside: str, stack: list[_Block]) -> None:
        if inside.startswith("/*"):
            return
        words = self._tokens(inside)
        if not words:
            raise InvalidArgument(f"template with nothing between braces: {self._text!r}", _HINT)
        if words[0] in ("range", "if"):
            stack.append(_Block(words))
        elif words[0] in ("else", "end"):
            if len(stack) == 1 or len(words) > 1:
                raise Unsupported(f"templates are not supported with {{{{{inside}}}}}: {self._text!r}", _HINT)
            if words[0] == "else":
                stack[-1].in_otherwise = True
            else:
                block = stack.pop()
                stack[-1].add(block)
        elif words[0] in ("with", "template", "define", "block", "break", "continue"):
            raise Unsupported(f"templates are not supported with {words[0]}: {self._text!r}", _HINT)
        else:
            stack[-1].add(words)

    def _tokens(self, inside: str) -> list[str]:
        words, at = [], 0
        while at < len(inside.rstrip()):
            match = _TOKEN.match(inside, at)
            if match is None:
                raise Unsupported(f"templates are not supported with {inside[at:].strip()!r}: {self._text!r}", _HINT)
            words.append(match[1])
            at = match.end()
        return words

    # --- nodes to text

    def _render(self, nodes: Sequence[Any], dot: Any, names: dict[str, Any]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, str):
                yield node
            elif isinstance(node, _Block):
                yield from self._block(node, dot, names)
            elif ":=" in node[1:2] and _VARIABLE.fullmatch(node[0]):
                names[node[0]] = self._evaluate(node[2:], dot, names)
            else:
                yield text_of(self._evaluate(node, dot, names))

    def _block(self, block: _Block, dot: Any, names: dict[str, Any]) -> Iterator[str]:
        words = block.words[1:]
        variables: list[str] = []
        if ":=" in words:
            at = words.index(":=")
            variables, words = [word for word in words[:at] if word != ","], words[at + 1 :]
        value = self._evaluate(words, dot, names)
        if block.words[0] == "if":
            yield from self._render(block.body if value else block.otherwise, dot, dict(names))
            return
        pairs = sorted(value.items()) if isinstance(value, Mapping) else list(enumerate(value or ()))
        for key, item in pairs:
            bound = dict(zip(variables, (key, item) if len(variables) == 2 else (item,), strict=False))
            yield from self._render(block.body, item, {**names, **bound})
        if not pairs:
            yield from self._render(block.otherwise, dot, dict(names))

    def _evaluate(self, words: list[str], dot: Any, names: Mapping[str, Any]) -> Any:
        """A pipeline: each command's value is the next one's last argument."""
        given: list[Any] = []
        left = list(words)
        while True:
            command: list[Any] = []
            while left and left[0] not in ("|", ")"):
                command.append(self._operand(left, dot, names))
            given = [self._call([*command, *given])]
            if not left or left[0] == ")":
                return given[0]
            left.pop(0)

    def _operand(self, left: list[str], dot: Any, names: Mapping[str, Any]) -> Any:
        word = left.pop(0)
        if word == "(":
            depth, at = 1, 0
            while depth and at < len(left):
                depth += {"(": 1, ")": -1}.get(left[at], 0)
                at += 1
            if depth:
                raise InvalidArgument(f"template with an open parenthesis: {self._text!r}", _HINT)
            value = self._evaluate(left[: at - 1], dot, names)
            del left[:at]
            return _field(value, left.pop(0)) if left and left[0].startswith(".") and left[0] != "." else value
        if word[0] in '"`':
            return json.loads(word) if word[0] == '"' else word[1:-1]
        if word[0] == ".":
            return _field(dot, word)
        if word[0] == "$":
            name, point, path = word.partition(".")
            if name not in names:
                raise InvalidArgument(f"template with an unknown variable {name}: {self._text!r}", _HINT)
            return _field(names[name], "." + path) if point else names[name]
        if re.fullmatch(r"-?\d+(\.\d+)?", word):
            return float(word) if "." in word else int(word)
        if word in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[word]
        if word not in _FUNCTIONS:
            raise Unsupported(f"templates are not supported with {word!r}: {self._text!r}", _HINT)
        return _FUNCTIONS[word]

    def _call(self, command: list[Any]) -> Any:
        if not command:
            raise InvalidArgument(f"template with nothing to print: {self._text!r}", _HINT)
        first, *arguments = command
        try:
            if callable(first):
                return first(*arguments)
            if arguments:
                raise TypeError("it takes no argument")
            return first
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidArgument(f"template cannot be filled in: {self._text!r}: {error}", _HINT) from None
        except LookupError as error:
            raise NotFound(f"template: nothing at {error} in {self._text!r}", "`{{json .}}` shows all") from None


def _field(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            there = f"fields are {', '.join(map(str, value))}" if isinstance(value, Mapping) and value else "`{{json .}}` shows all fields"
            raise NotFound(f"no field {name!r} in {path}", there)
        value = value[name]
    return value


def text_of(value: Any) -> str:
    """A value as Go's templates print it: [a b], map[k:v], true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{text_of(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(text_of, value))}]"
    return "<no value>" if value is None else str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key]
    return value


def _json(value: Any) -> str:
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    return json.dumps(value, ensure_ascii=False)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json,
    "join": lambda items, separator: separator.join(map(text_of, items or ())),
    "split": lambda text, separator: text.split(separator),
    "lower": lambda text: text_of(text).lower(),
    "upper": lambda text: text_of(text).upper(),
    "title": lambda text: text_of(text).title(),
    "truncate": lambda text, length: text_of(text)[:length],
    "len": lambda value: len(value or ()),
    "index": _index,
    "print": lambda *values: "".join(map(text_of, values)),
    "println": lambda *values: " ".join(map(text_of, values)) + "\n",
    "eq": lambda value, *others: value in others,
    "ne": lambda value, other: value != other,
    "not": lambda value: not value,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
}
