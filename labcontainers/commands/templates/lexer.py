"""A template's text as pieces: what is between actions, and the tokens of each action.

It must not know what tokens mean. Source: pkg.go.dev/text/template, "Text and spaces" and "Arguments"; go.dev/ref/spec, "Lexical elements".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labcontainers.errors import InvalidArgument

HINT = "such as {{.Name}}, {{json .}}, or {{range .Items}}{{.}} {{end}}"
_SPACES = " \t\r\n"
_TRIM_LEFT = re.compile(r"-[ \t\r\n]")
_CLOSE = re.compile(r"(?P<trim>[ \t\r\n]-)?\}\}")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n])
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<raw>`[^`]*`)
      | (?P<character>'(?:[^'\\\n]|\\.)+')
      | (?P<number>[+-]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)(?!\w))
      | (?P<field>\.[^\W\d]\w*)
      | (?P<dot>\.(?!\w))
      | (?P<variable>\$\w*)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>:=|[=,|()])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action; `at` is its offset in the template, `glued` that no space is before it."""

    kind: str
    text: str
    at: int
    glued: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, or the tokens of one action that begins at `at`."""

    at: int
    text: str = ""
    tokens: tuple[Token, ...] | None = None


def place(source: str, at: int) -> str:
    """Where an offset is, for who looks for it: "template at line 1, column 3"."""
    before = source[:at]
    return f"template at line {before.count(chr(10)) + 1}, column {at - (before.rfind(chr(10)) + 1) + 1}"


def fault(source: str, at: int, message: str, hint: str = HINT) -> InvalidArgument:
    """The error with its place, to be raised."""
    return InvalidArgument(f"{place(source, at)}: {message}: {source!r}", hint)


def pieces(source: str) -> list[Piece]:
    """The template taken apart, without its comments. Raises InvalidArgument."""
    found: list[Piece] = []
    at, trims = 0, False
    while True:
        start = source.find("{{", at)
        text = source[at : start if start >= 0 else None]
        text = text.lstrip(_SPACES) if trims else text
        if start < 0:
            return [*found, Piece(at, text)] if text else found
        inside = start + 2
        if _TRIM_LEFT.match(source, inside):
            text, inside = text.rstrip(_SPACES), inside + 2
        if text:
            found.append(Piece(at, text))
        if source.startswith("/*", inside):
            close = _comment(source, start, inside)
        else:
            tokens, close = _tokens(source, start, inside)
            found.append(Piece(start, tokens=tokens))
        at, trims = close.end(), close["trim"] is not None


def _comment(source: str, start: int, inside: int) -> re.Match[str]:
    end = source.find("*/", inside + 2)
    if end < 0:
        raise fault(source, start, "unclosed comment", "end it by */}}")
    close = _CLOSE.match(source, end + 2)
    if close is None:
        raise fault(source, end, "comment ends before the closing braces", "write }} right after */")
    return close


def _tokens(source: str, start: int, at: int) -> tuple[tuple[Token, ...], re.Match[str]]:
    """The tokens up to the closing braces, and these."""
    tokens: list[Token] = []
    glued = False
    while True:
        close = _CLOSE.match(source, at)
        if close is not None:
            return tuple(tokens), close
        if at >= len(source):
            raise fault(source, start, "an open {{", "close it by }}")
        match = _TOKEN.match(source, at)
        if match is None:
            raise _unknown_character(source, at)
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(Token(kind, match[0], at, glued))
        glued = kind != "space"
        at = match.end()


def _unknown_character(source: str, at: int) -> InvalidArgument:
    if source[at] in "\"`'":
        return fault(source, at, "unterminated quoted string", "close the quote")
    if source[at] in "+-.0123456789":
        word = re.match(r"[+-]?[\w.]*", source[at:])
        return fault(source, at, f"bad number syntax {word[0] if word else ''!r}", "there is no arithmetic in templates")
    return fault(source, at, f"unexpected {source[at]!r}")


def unquote(token: Token, source: str) -> str | int:
    """What a quoted token says; a character is its number. Raises InvalidArgument for an escape that Go does not know."""
    if token.kind == "raw":
        return token.text[1:-1]

    def escaped(match: re.Match[str]) -> str:
        for digits, base in ((match[1], 16), (match[2], 16), (match[3], 16), (match[4], 8)):
            if digits is not None and int(digits, base) <= 0x10FFFF:
                return chr(int(digits, base))
        if match[5] not in _ESCAPED:
            raise fault(source, token.at, f"unknown escape {match[0]} in {token.text}", "write \\\\ for a backslash")
        return _ESCAPED[match[5]]

    text = _ESCAPE.sub(escaped, token.text[1:-1])
    if token.kind == "string":
        return text
    if len(text) != 1:
        raise fault(source, token.at, f"more than one character in {token.text}", 'write a text in "double quotes"')
    return ord(text)


def number(token: Token, source: str) -> int | float:
    """A number token's value. Raises InvalidArgument."""
    text = token.text.replace("_", "")
    try:
        if re.fullmatch(r"[+-]?0[0-7]+", text):
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise fault(source, token.at, f"bad number syntax {token.text!r}") from None
