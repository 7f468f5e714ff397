"""Here-documents of RUN, COPY and ADD: finding `<<NAME` words in a line, and what their bodies mean.

It must not know where the lines come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPERATOR = re.compile(r"(\d*)<<(-?)([ \t]*)([^<]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One here-document: `descriptor` as in `3<<X`, `chomp` for `<<-`, `expand` unless the delimiter was quoted, and its raw `content`.

    With `is_apart`, white space stands before its name: it may as well be an operator of arithmetic, as in `$((1 << 2))`.
    """

    name: str
    expand: bool
    chomp: bool
    descriptor: int
    content: str = ""
    is_apart: bool = False

    @property
    def text(self) -> str:
        """The body as a file gets it: leading tabs taken off each line for `<<-`."""
        return strip_tabs(self.content) if self.chomp else self.content


def strip_tabs(text: str) -> str:
    """`text` without the tabs at the start of its lines."""
    return re.sub(r"^\t+", "", text, flags=re.MULTILINE)


def parse_heredoc(word: str, escape: str) -> Heredoc | None:
    """The here-document that the raw word `word` announces, or None. Source: BuildKit's parser, POSIX sh 2.7.4."""
    match = _OPERATOR.fullmatch(word)
    if match is None or not match[4]:
        return None
    name, quoted = _unquote(match[4], escape)
    if not name or name is None:
        return None
    return Heredoc(name, not quoted, bool(match[2]), int(match[1] or 0), is_apart=bool(match[3]))


def is_operator(word: str) -> bool:
    """Whether a word is the operator alone, perhaps with white space behind, so that a name may follow."""
    match = _OPERATOR.fullmatch(word)
    return match is not None and not match[4]


def find_heredocs(line: str, escape: str) -> list[Heredoc]:
    """All here-documents announced in a logical line, in order; quotes hide what is inside them, and one that is not closed hides all."""
    found = (parse_heredoc(word, escape) for word in _shell_words(line, escape))
    return [heredoc for heredoc in found if heredoc is not None]


def _shell_words(line: str, escape: str) -> list[str]:
    words: list[str] = []
    word = ""
    quote = ""
    position = 0
    while position < len(line):
        char = line[position]
        if char == escape and quote != "'" and position + 1 < len(line):
            word += line[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace() and not (char in " \t" and is_operator(word)):
            if word:
                words.append(word)
            word = ""
            position += 1
            continue
        word += char
        position += 1
    if quote:
        return []
    return [*words, word] if word else words


def _unquote(text: str, escape: str) -> tuple[str | None, bool]:
    name = ""
    quote = ""
    quoted = False
    position = 0
    while position < len(text):
        char = text[position]
        if quote:
            if char == quote:
                quote = ""
            else:
                name += char
        elif char in "'\"":
            quote, quoted = char, True
        elif char == escape and position + 1 < len(text):
            position += 1
            name += text[position]
            quoted = True
        else:
            name += char
        position += 1
    return (None if quote else name), quoted
