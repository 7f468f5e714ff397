"""Variable expansion of Dockerfile words: `$x`, `${x:-word}`, `${x##pattern}`, `${x//pattern/text}` with quotes and escapes.

It must not know instructions or where variables come from.

Source: docs.docker.com "Dockerfile reference", Environment replacement; POSIX sh 2.6.2; BuildKit where those are silent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Lookup = Callable[[str], str | None]
_SPECIAL = "@*#?-$!0"
_CLOSE = "close the quote, or write a backslash before it"
_BRACE = "write ${name}, or \\$ for a dollar sign"
_MODIFIERS = "modifiers are :- - :+ + :? ? # ## % %% / and //"


class ExpansionFault(ValueError):
    """A word that cannot be expanded; `offset` is the character at fault. Turned into a DockerfileError by the caller."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


def expand(text: str, lookup: Lookup, escape: str = "\\", *, quotes: bool = True) -> str:
    """`text` with variables replaced, quotes removed and escapes resolved; unset variables become empty. Raises ExpansionFault.

    Without `quotes`, as in a here-document, quote characters are like any other.
    """
    return "".join(piece.text for piece in _Expander(text, lookup, escape, quotes).until(""))


def expand_words(text: str, lookup: Lookup, escape: str = "\\") -> list[str]:
    """Like expand, but white space outside quotes, in `text` or in a variable's value, separates words."""
    words: list[str] = []
    word: str | None = None
    for piece in _Expander(text, lookup, escape).until(""):
        if piece.raw:
            word = (word or "") + piece.text
            continue
        for part in re.split(r"(\s+)", piece.text):
            if part.isspace():
                words += [] if word is None else [word]
                word = None
            elif part:
                word = (word or "") + part
    return words if word is None else [*words, word]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Expanded text; `raw` text was quoted or escaped and does not separate words."""

    text: str
    raw: bool


class _Expander:
    def __init__(self, text: str, lookup: Lookup, escape: str, quotes: bool = True) -> None:
        self.quotes = quotes
        self.text = text
        self.position = 0
        self.lookup = lookup
        self.escape = escape

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self) -> str:
        char = self.peek()
        self.position += len(char)
        return char

    def until(self, stop: str, keep_escapes: bool = False) -> list[_Piece]:
        """Expand up to and with the character `stop`, or to the end when it is ""."""
        start = self.position
        pieces: list[_Piece] = []
        while char := self.peek():
            if char == stop:
                self.take()
                return pieces
            if char == "'" and self.quotes:
                pieces.append(_Piece(self._single_quoted(), True))
            elif char == '"' and self.quotes:
                pieces.append(_Piece(self._double_quoted(), True))
            elif char == "$":
                pieces.append(_Piece(self._dollar(), False))
            elif self.take() == self.escape:
                following = self.take()
                if following:
                    pieces.append(_Piece(("\\" if keep_escapes else "") + following, True))
            else:
                pieces.append(_Piece(char, False))
        if stop:
            raise ExpansionFault(f"unexpected end of statement while looking for matching {stop}", max(start - 1, 0))
        return pieces

    def _single_quoted(self) -> str:
        start = self.position
        end = self.text.find("'", start + 1)
        if end < 0:
            raise ExpansionFault("unexpected end of statement while looking for matching single-quote", start, _CLOSE)
        self.position = end + 1
        return self.text[start + 1 : end]

    def _double_quoted(self) -> str:
        start = self.position
        self.take()
        result = ""
        while char := self.peek():
            if char == '"':
                self.take()
                return result
            if char == "$":
                result += self._dollar()
            elif self.take() == self.escape:
                following = self.peek()
                if following and following in f'"${self.escape}':
                    result += self.take()
                elif following:
                    result += char
            else:
                result += char
        raise ExpansionFault("unexpected end of statement while looking for matching double-quote", start, _CLOSE)

    def _dollar(self) -> str:
        start = self.position
        self.take()
        if self.peek() == "{":
            self.take()
            return self._braced(start)
        name = self._name()
        return (self.lookup(name) or "") if name else "$"

    def _name(self) -> str:
        if self.peek() and self.peek() in _SPECIAL and not self.peek().isdigit():
            return self.take()
        pattern = r"\d+" if self.peek().isdigit() else r"\w*"
        match = re.compile(pattern).match(self.text, self.position)
        name = match[0] if match else ""
        self.position += len(name)
        return name

    def _braced(self, start: int) -> str:
        name = self._name()
        if not name:
            raise ExpansionFault("syntax error: bad substitution", start, _BRACE)
        value = self.lookup(name)
        operator = self.take()
        if operator == "}":
            return value or ""
        if not operator:
            raise ExpansionFault("syntax error: missing '}'", start, _BRACE)
        empty_is_unset = operator == ":"
        if empty_is_unset:
            operator = self.take()
        if operator in ("-", "+", "?") and operator:
            return self._conditional(name, value, operator, empty_is_unset, start)
        if operator in ("#", "%") and not empty_is_unset:
            greedy = self.peek() == operator
            if greedy:
                self.take()
            pattern = self._joined("}", start, keep_escapes=True)
            trim = trim_prefix if operator == "#" else trim_suffix
            return trim(value or "", pattern, greedy=greedy)
        if operator == "/" and not empty_is_unset:
            return self._replaced(value or "", start)
        shown = (":" if empty_is_unset else "") + operator
        raise ExpansionFault(f"unsupported modifier ({shown}) in substitution", self.position - 1, _MODIFIERS)

    def _joined(self, stop: str, start: int, keep_escapes: bool = False) -> str:
        try:
            return "".join(piece.text for piece in self.until(stop, keep_escapes))
        except ExpansionFault as fault:
            if self.position >= len(self.text) and "matching " + stop in fault.message:
                raise ExpansionFault(f"syntax error: missing {stop!r}", start) from None
            raise

    def _conditional(self, name: str, value: str | None, operator: str, empty_is_unset: bool, start: int) -> str:
        word = self._joined("}", start)
        missing = value is None or (empty_is_unset and value == "")
        if operator == "-":
            return word if missing else value or ""
        if operator == "+":
            return "" if missing else word
        if missing:
            message = word or f"is not allowed to be {'unset' if value is None else 'empty'}"
            raise ExpansionFault(f"{name}: {message}", start)
        return value or ""

    def _replaced(self, value: str, start: int) -> str:
        every = self.peek() == "/"
        if every:
            self.take()
        pattern = self._joined("/", start, keep_escapes=True)
        replacement = self._joined("}", start)
        matcher = re.compile(pattern_to_regex(pattern, greedy=True), re.DOTALL)
        return matcher.sub(lambda _: replacement, value, count=0 if every else 1)


def pattern_to_regex(pattern: str, *, greedy: bool) -> str:
    """A regular expression for a shell pattern with `*`, `?` and backslash escapes."""
    lazy = "" if greedy else "?"
    result, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\" and position + 1 < len(pattern):
            position += 1
            result += re.escape(pattern[position])
        elif char == "*":
            result += ".*" + lazy
        elif char == "?":
            result += "."
        else:
            result += re.escape(char)
        position += 1
    return result


def trim_prefix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest, or the longest, prefix that matches the shell `pattern`."""
    match = re.compile(pattern_to_regex(pattern, greedy=greedy), re.DOTALL).match(value)
    return value[match.end() :] if match else value


def trim_suffix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest, or the longest, suffix that matches the shell `pattern`."""
    matcher = re.compile(pattern_to_regex(pattern, greedy=True), re.DOTALL)
    starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    cut = next((start for start in starts if matcher.fullmatch(value, start)), len(value))
    return value[:cut]
