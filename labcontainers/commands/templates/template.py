"""A parsed template, and what it makes of a value; it must not know what is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labcontainers.commands.templates.functions import FUNCTIONS, HEAD_FUNCTIONS, LAZY
from labcontainers.commands.templates.lexer import HINT, fault, place
from labcontainers.commands.templates.nodes import (
    Branch,
    Command,
    Field,
    Function,
    Jump,
    Literal,
    Node,
    Operand,
    Pipeline,
    Print,
    Use,
    Variable,
)
from labcontainers.commands.templates.parser import Parser
from labcontainers.commands.templates.values import NOTHING, Nothing, Shape, text_of, type_of
from labcontainers.errors import InvalidArgument, NotFound

_KNOWN = frozenset((*FUNCTIONS, *LAZY))
_MOST_USED = 100
_NO_SHAPE = Shape()


class Template:
    """One parsed template; raises InvalidArgument, with line and column, for a broken one.

    `shape` tells which fields are lists or maps where they are null.
    """

    def __init__(self, text: str, shape: Shape = _NO_SHAPE) -> None:
        self._text = text
        self._shape = shape
        parser = Parser(text, _KNOWN)
        self._nodes = parser.parse()
        self._defined = parser.defined

    def render(self, value: Any, *, head: bool = False) -> str:
        """The text for one value (mappings, sequences, texts, numbers; a callable is a method); for `head`, that above a column.

        Raises NotFound for an unknown field, and InvalidArgument for what functions cannot do; both with line and column.
        """
        run = _Run(self._text, self._shape, self._defined, head)
        try:
            run.walk(self._nodes, value, {"$": [value]})
        except RecursionError:
            raise fault(self._text, 0, "too many actions and templates inside each other", "nest less") from None
        return "".join(run.written)


# A variable is a list with its one value, so that what is set in an inner scope is seen outside.
_Scope = dict[str, list[Any]]


class _Run:
    def __init__(self, text: str, shape: Shape, defined: Mapping[str, tuple[Node, ...]], head: bool) -> None:
        self._text = text
        self._shape = shape
        self._defined = defined
        self._functions = HEAD_FUNCTIONS if head else FUNCTIONS
        self._used = 0
        self.written: list[str] = []

    # --- actions

    def walk(self, nodes: Sequence[Node], dot: Any, scope: _Scope) -> str:
        """Write the nodes; which jump was met, or ""."""
        for node in nodes:
            if isinstance(node, str):
                self.written.append(node)
            elif isinstance(node, Print):
                value = self._pipeline(node.pipeline, dot, scope)
                if not node.pipeline.names:
                    self.written.append(text_of(value))
            elif isinstance(node, Jump):
                return node.kind
            elif isinstance(node, Use):
                self._use(node, dot, scope)
            elif jump := self._branch(node, dot, scope):
                return jump
        return ""

    def _branch(self, node: Branch, dot: Any, scope: _Scope) -> str:
        inner = dict(scope)
        if node.kind == "range":
            return self._range(node, dot, inner)
        value = self._pipeline(node.pipeline, dot, inner)
        if not value:
            return self.walk(node.otherwise, dot, inner)
        return self.walk(node.body, value if node.kind == "with" else dot, inner)

    def _range(self, node: Branch, dot: Any, scope: _Scope) -> str:
        at, names = node.pipeline.at, node.pipeline.names
        value = self._pipeline(node.pipeline, dot, scope, sets=False)
        before = dict(scope)
        empty = True
        for key, item in self._pairs(value, at, len(names)):
            empty = False
            inner = dict(before)
            bound = (key, item) if len(names) == 2 else (item,)
            for name, each in zip(names, bound, strict=False):
                self._set(inner, name, each, declares=node.pipeline.declares)
            if self.walk(node.body, item, inner) == "break":
                break
        return self.walk(node.otherwise, dot, before) if empty else ""

    def _pairs(self, value: Any, at: int, names: int) -> Iterable[tuple[Any, Any]]:
        if isinstance(value, Mapping):
            return sorted(value.items())
        if isinstance(value, list | tuple):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool):
            if names == 2:
                raise self._fault(at, f"can't use {value} to iterate over more than one variable")
            return ((number, number) for number in range(value))
        if value is None or isinstance(value, Nothing):
            return ()
        raise self._fault(at, f"range can't iterate over {text_of(value)}", "range is for lists and maps")

    def _use(self, node: Use, dot: Any, scope: _Scope) -> None:
        if node.name not in self._defined:
            raise self._fault(node.at, f"template {node.name!r} not defined", "define it first: {{define NAME}}…{{end}}")
        value = NOTHING if node.pipeline is None else self._pipeline(node.pipeline, dot, scope)
        self._used += 1
        if self._used > _MOST_USED:
            raise self._fault(node.at, f"more than {_MOST_USED} templates inside each other")
        self.walk(self._defined[node.name], value, {"$": [value]})
        self._used -= 1

    # --- values

    def _pipeline(self, pipeline: Pipeline, dot: Any, scope: _Scope, *, sets: bool = True) -> Any:
        given: list[Any] = []
        for command in pipeline.commands:
            given = [self._command(command, dot, scope, [None if isinstance(value, Nothing) else value for value in given])]
        for name in pipeline.names if sets else ():
            self._set(scope, name, given[0], declares=pipeline.declares)
        return given[0]

    def _set(self, scope: _Scope, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            scope[name] = [value]
        else:
            scope[name][0] = value

    def _command(self, command: Command, dot: Any, scope: _Scope, given: list[Any]) -> Any:
        first, *words = command.words
        if isinstance(first, Function):
            return self._call(first, words, dot, scope, given)
        if isinstance(first, Literal) and first.value is None:
            raise self._fault(first.at, "nil is not a command")
        value = self._operand(first, dot, scope, method=bool(words or given))
        if not words and not given:
            return value
        if not callable(value):
            raise self._fault(first.at, "can't give argument to what is no function", "pipe it on: {{.Name | upper}}")
        return self._method(first, value, [*(self._argument(word, dot, scope) for word in words), *given])

    def _call(self, function: Function, words: list[Operand], dot: Any, scope: _Scope, given: list[Any]) -> Any:
        if function.name in ("and", "or"):
            return self._lazy(function, words, dot, scope, given)
        arguments = [*(self._argument(word, dot, scope) for word in words), *given]
        if function.name == "call":
            raise self._fault(function.at, "error calling call: it needs a function", 'a method is called as {{.Label "key"}}')
        try:
            return self._functions[function.name](function.name, arguments)
        except ValueError as error:
            raise self._fault(function.at, f"error calling {function.name}: {error}") from None

    def _lazy(self, function: Function, words: list[Operand], dot: Any, scope: _Scope, given: list[Any]) -> Any:
        """The first argument that is false, or true for `or`; else the last one. None after it is looked at."""
        if not words and not given:
            raise self._fault(function.at, f"wrong number of args for {function.name}: want at least 1 got 0")
        value: Any = None
        for word in words:
            value = self._argument(word, dot, scope)
            if bool(value) is (function.name == "or"):
                return value
        return given[0] if given else value

    def _argument(self, word: Operand, dot: Any, scope: _Scope) -> Any:
        if isinstance(word, Function):
            return self._call(word, [], dot, scope, [])
        value = self._operand(word, dot, scope, method=False)
        return None if isinstance(value, Nothing) else value

    def _operand(self, word: Operand, dot: Any, scope: _Scope, *, method: bool) -> Any:
        """Its value; a method itself where a `method` is called, or else what it gives without arguments."""
        if isinstance(word, Literal):
            return word.value
        if isinstance(word, Field):
            value = self._walk_path(dot, word.path, word.at)
        elif isinstance(word, Variable):
            if word.name not in scope:
                raise self._fault(word.at, f"unknown variable {word.name}")
            value = self._walk_path(scope[word.name][0], word.path, word.at)
        elif isinstance(word, Function):
            raise AssertionError("a function is called, not looked up")
        else:
            value = self._walk_path(self._pipeline(word.pipeline, dot, scope), word.path, word.at)
        if callable(value) and not method:
            return self._method(word, value, [])
        return value

    def _method(self, word: Operand, method: Any, arguments: list[Any]) -> Any:
        try:
            return method(*arguments)
        except TypeError:
            name = self._text[word.at :].split("}")[0].split()[0]
            raise self._fault(word.at, f"wrong number of args for {name}: got {len(arguments)}", 'such as {{.Label "key"}}') from None

    def _walk_path(self, value: Any, path: tuple[str, ...], at: int) -> Any:
        before = ""
        for name in path:
            value = self._field(value, before, name, path, at)
            before = name
        return value

    def _field(self, value: Any, before: str, name: str, path: tuple[str, ...], at: int) -> Any:
        """Field `name` of the value of field `before`; what is null is a list or map where the shape says so."""
        if isinstance(value, Mapping) and name in value:
            return self._shape.nil(name) if value[name] is None else value[name]
        if isinstance(value, Mapping) and before in self._shape.maps:
            return NOTHING
        if isinstance(value, Mapping) and name in self._shape.optional:
            return self._shape.nil(name)
        if value is None or isinstance(value, Nothing):
            raise self._missing(at, f"nil pointer evaluating .{name} in .{'.'.join(path)}", "`{{json .}}` shows all fields")
        if isinstance(value, Mapping):
            there = f"fields are {', '.join(map(str, value))}" if value else "`{{json .}}` shows all fields"
            raise self._missing(at, f"no field {name!r} in .{'.'.join(path)}", there)
        raise self._missing(at, f"no field {name!r} in .{'.'.join(path)}, which is a {type_of(value)}", "`{{json .}}` shows all fields")

    def _missing(self, at: int, message: str, hint: str) -> NotFound:
        return NotFound(f"{place(self._text, at)}: {message}: {self._text!r}", hint)

    def _fault(self, at: int, message: str, hint: str = HINT) -> InvalidArgument:
        return fault(self._text, at, message, hint)
