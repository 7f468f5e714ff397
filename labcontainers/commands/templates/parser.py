"""A template's tokens as nodes; it must not know any value.

Source: pkg.go.dev/text/template, "Actions", "Pipelines" and "Variables".
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from labcontainers.commands.templates.lexer import HINT, Piece, Token, fault, number, pieces, unquote
from labcontainers.commands.templates.nodes import (
    Branch,
    Command,
    Field,
    Function,
    Jump,
    Literal,
    Nested,
    Node,
    Operand,
    Pipeline,
    Print,
    Use,
    Variable,
)
from labcontainers.errors import InvalidArgument

_CONSTANTS = {"true": True, "false": False, "nil": None}
_MOST_NESTED = 100


@dataclass(slots=True)
class Parser:
    """One parse; afterwards `defined` has the templates that the text defines. Raises InvalidArgument."""

    source: str
    functions: Container[str]
    defined: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    _pieces: list[Piece] = field(default_factory=list)
    _words: list[Token] = field(default_factory=list)
    _names: list[str] = field(default_factory=lambda: ["$"])
    _loops: int = 0
    _depth: int = 0
    _here: int = 0

    def parse(self) -> tuple[Node, ...]:
        """The nodes of the whole text."""
        self._pieces = pieces(self.source)[::-1]
        body, end = self._body(())
        assert end is None
        return body

    # --- actions

    def _body(self, ends: tuple[str, ...], opened: Token | None = None) -> tuple[tuple[Node, ...], Token | None]:
        """The nodes up to one of the words `ends`, and that word, whose action is not read on; None at the end of the text."""
        nodes: list[Node] = []
        while self._pieces:
            piece = self._pieces.pop()
            if piece.tokens is None:
                nodes.append(piece.text)
                continue
            self._words, self._here = list(piece.tokens[::-1]), piece.at
            if not self._words:
                raise self._fault(piece.at, "nothing between the braces")
            first = self._words[-1]
            if first.kind == "word" and first.text in ends:
                return tuple(nodes), self._words.pop()
            nodes += self._action(first)
        if opened is not None:
            raise self._fault(opened.at, f"{opened.text} without its end", "close it by {{end}}")
        return tuple(nodes), None

    def _action(self, first: Token) -> list[Node]:
        kind = first.text if first.kind == "word" else ""
        if kind in ("if", "with", "range"):
            return [self._branch(self._words.pop())]
        if kind in ("break", "continue"):
            self._words.pop()
            if not self._loops:
                raise self._fault(first.at, f"{kind} outside of a range", f"write {kind} between range and its end")
            self._finish(kind)
            return [Jump(kind)]
        if kind in ("else", "end"):
            raise self._fault(first.at, f"unexpected {kind}", f"{kind} belongs to an if, with or range before it")
        if kind == "template":
            return [self._use(self._words.pop())]
        if kind in ("define", "block"):
            return self._define(self._words.pop())
        pipeline = self._pipeline("the action")
        self._finish("the action")
        return [Print(pipeline)]

    def _branch(self, word: Token) -> Branch:
        """`word` has been read; what follows is its pipeline."""
        self._enter(word)
        known = len(self._names)
        pipeline = self._pipeline(word.text)
        self._finish(word.text)
        self._loops += word.text == "range"
        body, end = self._body(("else", "end"), word)
        self._loops -= word.text == "range"
        otherwise: tuple[Node, ...] = ()
        assert end is not None
        if end.text == "else" and self._words and self._words[-1].text == word.text and word.text != "range":
            # `else if` is an if inside the else, whose end is this one's too.
            otherwise = (self._branch(self._words.pop()),)
        else:
            self._finish(end.text)
            if end.text == "else":
                otherwise, last = self._body(("else", "end"), word)
                assert last is not None
                if last.text == "else":
                    raise self._fault(last.at, f"a second else of {word.text}", "an else is the last before the end")
                self._finish("end")
        del self._names[known:]
        self._depth -= 1
        return Branch(word.text, pipeline, body, otherwise)

    def _use(self, word: Token) -> Use:
        name = self._name(word)
        pipeline = self._pipeline(word.text) if self._words else None
        self._finish(word.text)
        return Use(name, pipeline, word.at)

    def _define(self, word: Token) -> list[Node]:
        self._enter(word)
        if word.text == "define" and self._depth > 1:
            raise self._fault(word.at, "unexpected define", "a template is defined outside of others")
        name = self._name(word)
        pipeline = self._pipeline(word.text) if word.text == "block" else None
        self._finish(word.text)
        names, loops, self._names, self._loops = self._names, self._loops, ["$"], 0
        body, _ = self._body(("end",), word)
        self._finish("end")
        self._names, self._loops = names, loops
        self._depth -= 1
        self.defined[name] = body
        return [Use(name, pipeline, word.at)] if word.text == "block" else []

    def _name(self, word: Token) -> str:
        token = self._words.pop() if self._words else word
        if token.kind not in ("string", "raw"):
            raise self._fault(token.at, f"{word.text} without a name", f'write {word.text} "NAME"')
        return str(unquote(token, self.source))

    def _enter(self, word: Token) -> None:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise self._fault(word.at, f"more than {_MOST_NESTED} actions or parentheses inside each other", "nest less")

    # --- pipelines

    def _pipeline(self, context: str, opened: Token | None = None) -> Pipeline:
        """Up to the closing parenthesis of `opened`, or else up to the end of the action."""
        at = self._words[-1].at if self._words else self._here
        names, declares = self._declaration(context)
        commands: list[Command] = []
        while not commands or (self._words and self._words[-1].text == "|" and self._words.pop()):
            commands.append(self._command(context, len(commands)))
        if opened is not None:
            if not self._words:
                raise self._fault(opened.at, "an open parenthesis", "close it by )")
            self._words.pop()
        # Only now, so that a variable is not known in its own value.
        if declares:
            self._names += names
        return Pipeline(tuple(commands), names, declares, at)

    def _declaration(self, context: str) -> tuple[tuple[str, ...], bool]:
        """The variables in front of := or =."""
        signs = [token.text for token in self._words[-2:-5:-1]]
        two = signs[:1] == [","] and signs[2:] in ([":="], ["="])
        if not self._words or self._words[-1].kind != "variable" or not (two or signs[:1] in ([":="], ["="])):
            return (), False
        tokens = [self._words.pop()]
        if two:
            if context != "range":
                raise self._fault(tokens[0].at, f"two variables for {context}", "only range gives two")
            self._words.pop()
            tokens.append(self._words.pop())
        declares = self._words.pop().text == ":="
        for token in tokens:
            if token.kind != "variable" or len(token.text) == 1:
                raise self._fault(token.at, f"{token.text} cannot be set", "a variable is such as $x")
            if not declares:
                self._known(token)
        return tuple(token.text for token in tokens), declares

    def _command(self, context: str, stage: int) -> Command:
        words: list[Operand] = []
        at = self._words[-1].at if self._words else self._here
        while self._words and self._words[-1].text not in ("|", ")"):
            token = self._words[-1]
            if words and token.glued and token.kind != "sign":
                raise self._fault(token.at, f"unexpected {token.text} right after another word", "put a space between them")
            words.append(self._operand())
        if not words:
            raise self._fault(at, f"missing value for {context}")
        if stage and isinstance(words[0], Literal):
            raise self._fault(at, "what follows | is no function", "write such as {{.Name | upper}}")
        return Command(tuple(words), at)

    def _operand(self) -> Operand:
        token = self._words.pop()
        if token.kind in ("string", "raw", "character"):
            return self._alone(Literal(unquote(token, self.source), token.at))
        if token.kind == "number":
            return self._alone(Literal(number(token, self.source), token.at))
        if token.kind == "dot":
            return self._alone(Field((), token.at))
        if token.kind == "field":
            return Field((token.text[1:], *self._path()), token.at)
        if token.kind == "variable":
            self._known(token)
            return Variable(token.text, self._path(), token.at)
        if token.text == "(":
            self._enter(token)
            pipeline = self._pipeline("the parentheses", token)
            self._depth -= 1
            return Nested(pipeline, self._path(), token.at)
        if token.text in _CONSTANTS:
            return self._alone(Literal(_CONSTANTS[token.text], token.at))
        if token.kind != "word":
            raise self._fault(token.at, f"unexpected {token.text}")
        if token.text not in self.functions:
            raise self._fault(token.at, f"function {token.text!r} not defined", "a field begins with a dot, such as {{.Name}}")
        return self._alone(Function(token.text, token.at))

    def _alone(self, operand: Operand) -> Operand:
        if self._words and self._words[-1].glued and self._words[-1].kind == "field":
            raise self._fault(self._words[-1].at, f"unexpected {self._words[-1].text}", "put what comes before in parentheses")
        return operand

    def _path(self) -> tuple[str, ...]:
        path: list[str] = []
        while self._words and self._words[-1].kind == "field" and self._words[-1].glued:
            path.append(self._words.pop().text[1:])
        return tuple(path)

    def _known(self, token: Token) -> None:
        if token.text not in self._names:
            raise self._fault(token.at, f"unknown variable {token.text}", f"set it first: {{{{{token.text} := .Name}}}}")

    def _finish(self, context: str) -> None:
        """The action must end here."""
        if self._words:
            raise self._fault(self._words[-1].at, f"unexpected {self._words[-1].text} after {context}")

    def _fault(self, at: int, message: str, hint: str = HINT) -> InvalidArgument:
        return fault(self.source, at, message, hint)
