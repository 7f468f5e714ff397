"""Variable expansion of Dockerfile words: `$x`, `${x:-word}`, `${x##pattern}`, `${x//pattern/text}` with quotes and escapes.

It must not know instructions or where variables come from.

Source: docs.docker.com "Dockerfile reference", Environment replacement; POSIX sh 2.6.2; BuildKit where those are silent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from labcontainers.build.dockerfile.shellpatterns import PatternFault, substitute, trim_prefix, trim_suffix

MAX_DEPTH = 50
MAX_LENGTH = 4 * 1024 * 1024
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
    """Like expand, but white space outside quotes, in `text` or in a variable's value, separates words; none is empty."""
    words: list[str] = []
    word = ""
    for piece in _Expander(text, lookup, escape).until(""):
        if piece.raw:
            word += piece.text
            continue
        for part in re.split(r"(\s+)", piece.text):
            if part.isspace():
                words += [word] if word else []
                word = ""
            else:
                word += part
    return [*words, word] if word else words


@dataclass(frozen=True, slots=True)
class _Piece:
    """Expanded text; `raw` text was quoted or escaped and does not separate words."""

    text: str
    raw: bool


class _Expander:
    """One reading of a text. While `raw`, as in patterns, escape characters are kept before what they escape."""

    def __init__(self, text: str, lookup: Lookup, escape: str, quotes: bool = True) -> None:
        self.quotes = quotes
        self.text = text
        self.position = 0
        self.find = lookup
        self.escape = escape
        self.raw = False
        self.depth = 0
        self.length = 0
        self.plain = re.compile("[^$}/" + re.escape(escape) + ("'\"" if quotes else "") + "]+")

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def take(self) -> str:
        char = self.peek()
        self.position += len(char)
        return char

    def lookup(self, name: str) -> str | None:
        """A variable's value; raises ExpansionFault when all values together are too long."""
        value = self.find(name)
        self.length += len(value or "")
        if self.length > MAX_LENGTH:
            raise ExpansionFault(f"what ${name} expands to is too long: more than {MAX_LENGTH} characters", self.position - 1)
        return value

    def until(self, stop: str) -> list[_Piece]:
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
            elif char == self.escape:
                self.take()
                following = self.take()
                pieces.append(_Piece((self.escape if self.raw else "") + following, bool(following) or self.raw))
            else:
                plain = self.plain.match(self.text, self.position)
                text = plain[0] if plain else char
                self.position += len(text)
                pieces.append(_Piece(text, False))
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
        result: list[str] = []
        while char := self.peek():
            if char == '"':
                self.take()
                return "".join(result)
            if char == "$":
                result.append(self._dollar())
                continue
            if self.take() == self.escape:
                result.append(self.escape if self.raw else "")
                following = self.peek()
                if following and following in f'"${self.escape}':
                    char = self.take()
                elif not following:
                    continue
            result.append(char)
        raise ExpansionFault("unexpected end of statement while looking for matching double-quote", start, _CLOSE)

    def _dollar(self) -> str:
        start = self.position
        self.take()
        if self.peek() == "{":
            self.take()
            if self.depth >= MAX_DEPTH:
                raise ExpansionFault(f"variables are nested more than {MAX_DEPTH} deep", start, "give a part of it a name by ENV or ARG")
            self.depth += 1
            value = self._braced(start)
            self.depth -= 1
            return value
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
            pattern = self._joined("}", start, raw=True)
            trim = trim_prefix if operator == "#" else trim_suffix
            return self._matched(start, lambda: trim(value or "", pattern, greedy=greedy))
        if operator == "/" and not empty_is_unset:
            return self._replaced(value or "", start)
        shown = (":" if empty_is_unset else "") + operator
        raise ExpansionFault(f"unsupported modifier ({shown}) in substitution", self.position - 1, _MODIFIERS)

    def _joined(self, stop: str, start: int, raw: bool = False) -> str:
        outer, self.raw = self.raw, raw
        try:
            return "".join(piece.text for piece in self.until(stop))
        except ExpansionFault as fault:
            if self.position >= len(self.text) and "matching " + stop in fault.message:
                missing = "missing '/' in ${}" if stop == "/" else "missing '}'"
                raise ExpansionFault(f"syntax error: {missing}", start, _BRACE if stop == "}" else "write ${name/pattern/text}") from None
            raise
        finally:
            self.raw = outer

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
        pattern = self._joined("/", start, raw=True)
        replacement = self._joined("}", start, raw=True)
        if len(replacement) * len(value) > MAX_LENGTH:
            raise ExpansionFault(f"what is put in is too long: more than {MAX_LENGTH} characters", start)
        return self._matched(start, lambda: substitute(value, pattern, replacement, every=every))

    def _matched(self, start: int, match: Callable[[], str]) -> str:
        try:
            return match()
        except PatternFault as fault:
            raise ExpansionFault(str(fault), start, "a backslash may stand before * ? } / and itself") from None
