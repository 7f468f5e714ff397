"""Text to nodes: logical lines with their keyword, flags, arguments and here-documents, each located in the source.

It must not know what any instruction means, save which ones may carry here-documents.

Source: docs.docker.com "Dockerfile reference", Format and Parser directives; BuildKit's behaviour for blank and comment lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from labcontainers.build.dockerfile.argument_forms import is_json
from labcontainers.build.dockerfile.heredoc import Heredoc, find_heredocs
from labcontainers.build.dockerfile.source import Faults, Place, Source

DIRECTIVES = ("syntax", "escape", "check")
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_SLASH_DIRECTIVE = re.compile(r"//\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_HEREDOC_KEYWORDS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name=value` before an instruction's arguments; `value` is None when there is no `=`."""

    name: str
    value: str | None
    offset: int


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction as written.

    `text` is the logical line, continuations joined; `arguments` is what follows the flags and starts at `arguments_offset` of
    `text`. `joints` say which physical line and column each piece of `text` came from.
    """

    source: Source = field(repr=False)
    keyword: str
    text: str
    flags: tuple[Flag, ...]
    arguments: str
    arguments_offset: int
    first_line: int
    last_line: int
    joints: tuple[tuple[int, int, int], ...]
    comments: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    has_blank_continuation: bool = False

    @property
    def written_keyword(self) -> str:
        """The keyword in the letters of the file."""
        return self.text.split(None, 1)[0]

    @property
    def place(self) -> Place:
        """All lines of the instruction."""
        return Place(self.source, self.first_line, self.last_line)

    def place_at(self, offset: int) -> Place:
        """The physical line and column of a character of `text`."""
        start, line, column = next(joint for joint in reversed(self.joints) if joint[0] <= max(offset, 0))
        return Place(self.source, line, line, column + max(offset, 0) - start)

    def nested(self) -> Node:
        """The instruction that is this one's argument, as of ONBUILD."""
        return _split(replace(self, text=" " * self.arguments_offset + self.arguments))


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed file; `directives` maps the lower-case name of each parser directive to its value."""

    source: Source = field(repr=False)
    nodes: tuple[Node, ...]
    directives: Mapping[str, str] = field(default_factory=dict)

    @property
    def escape(self) -> str:
        """The escape character: backslash or backtick."""
        return self.directives.get("escape", "\\")


def parse(text: str, file: str, faults: Faults) -> Dockerfile:
    """The nodes of a Dockerfile; what cannot be split into instructions is added to `faults`."""
    lines = text.removeprefix("\ufeff").removesuffix("\n").split("\n")
    source = Source(file, tuple(line.rstrip("\r") for line in lines))
    directives = _read_directives(source, faults)
    escape = directives.get("escape", "\\")
    nodes = tuple(_read_nodes(source, escape, faults))
    if not nodes:
        faults.add(Place(source, 0, 0).fault("the file has no instructions", "begin with FROM"))
    return Dockerfile(source, nodes, directives)


def _read_directives(source: Source, faults: Faults) -> dict[str, str]:
    """The directives, by BuildKit's two readings: `escape` may be indented, but not stand below a line with `#!`; the others may."""
    lines = list(enumerate(source.lines, 1))
    indented = _directive_lines(source, [(number, line.lstrip()) for number, line in lines], faults)
    if source.lines[0].startswith("#!"):
        del lines[0]
    found = {name: value for name, value in _directive_lines(source, lines, Faults()).items() if name != "escape"}
    if "syntax" not in found:
        found.update(_other_syntax(lines))
    return {**found, **({"escape": indented["escape"]} if "escape" in indented else {})}


def _directive_lines(source: Source, lines: list[tuple[int, str]], faults: Faults) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in lines:
        match = _DIRECTIVE.fullmatch(line)
        if match is None or match[1].lower() not in DIRECTIVES:
            break
        name, value = match[1].lower(), match[2]
        place = Place(source, number, number, match.start(2) + 1)
        if name in found:
            faults.add(place.fault(f"only one {name} parser directive can be used"))
        elif name == "escape" and value not in ("\\", "`"):
            faults.add(place.fault(f"invalid escape directive: {value!r}", "the escape character is \\ or `"))
        else:
            found[name] = value
    return found


def _other_syntax(lines: list[tuple[int, str]]) -> dict[str, str]:
    """The syntax directive of a file in another language: `// syntax=`, or a JSON object."""
    for _, line in lines:
        match = _SLASH_DIRECTIVE.fullmatch(line)
        if match is None or match[1].lower() not in DIRECTIVES:
            break
        if match[1].lower() == "syntax":
            return {"syntax": match[2]}
    text = "\n".join(line for _, line in lines)
    if not text.lstrip().startswith("{"):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    syntax = value.get("syntax") if isinstance(value, dict) else None
    return {"syntax": syntax} if isinstance(syntax, str) else {}


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


class _Lines:
    """The physical lines, taken one after the other."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.number = 0

    def take(self) -> str | None:
        if self.number >= len(self.source.lines):
            return None
        self.number += 1
        return self.source.lines[self.number - 1]


def _read_nodes(source: Source, escape: str, faults: Faults) -> Iterator[Node]:
    lines = _Lines(source)
    quoted = re.escape(escape)
    continuation = re.compile(rf"(?:(?<=[^{quoted}])|^){quoted}[ \t]*$")
    comments: list[str] = []
    while (line := lines.take()) is not None:
        if _is_comment(line):
            comments.append(line.strip()[1:].strip())
            continue
        if not line.strip():
            comments = []
            continue
        node = _split(_join(line, lines, continuation, tuple(comments)))
        comments = []
        if not node.keyword:
            continue
        if node.keyword in _HEREDOC_KEYWORDS or (node.keyword == "ONBUILD" and node.nested().keyword in _HEREDOC_KEYWORDS):
            node = _with_heredocs(node, lines, escape, faults)
        yield node


def _join(line: str, lines: _Lines, continuation: re.Pattern[str], comments: tuple[str, ...]) -> Node:
    """Join continued lines; comment lines and blank lines between them are left out."""
    first = lines.number
    indent = len(line) - len(line.lstrip())
    line = line.lstrip()
    text, joints, blank = "", [(0, first, indent + 1)], False
    match = continuation.search(line)
    text = line[: match.start()] if match else line
    while match:
        following = lines.take()
        if following is None:
            break
        if _is_comment(following):
            continue
        if not following.strip():
            blank = True
            continue
        match = continuation.search(following)
        joints.append((len(text), lines.number, 1))
        text += following[: match.start()] if match else following
    return Node(lines.source, "", text, (), "", 0, first, lines.number, tuple(joints), comments, (), blank)


def _split(node: Node) -> Node:
    """Take the keyword and the flags off a logical line."""
    match = re.match(r"(\s*)(\S+)\s*", node.text)
    keyword = match[2].upper() if match else ""
    flags, offset = _take_flags(node.text.rstrip(), match.end() if match else len(node.text))
    return replace(node, keyword=keyword, flags=flags, arguments=node.text[offset:].strip(), arguments_offset=offset)


def _take_flags(text: str, position: int) -> tuple[tuple[Flag, ...], int]:
    """Words that begin with `--`, unquoted, and where the first other word begins; a lone `--` ends them."""
    flags: list[Flag] = []
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), position
        start = position
        word, position = _flag_word(text, position)
        if word == "--":
            while position < len(text) and text[position].isspace():
                position += 1
            return tuple(flags), position
        name, equals, value = word[2:].partition("=")
        flags.append(Flag(name, value if equals else None, start))


def _flag_word(text: str, position: int) -> tuple[str, int]:
    word, quote = "", ""
    while position < len(text):
        char = text[position]
        if not quote and char.isspace():
            break
        position += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "\\":
            if position < len(text):
                word += text[position]
                position += 1
        else:
            word += char
    return word, position


def _with_heredocs(node: Node, lines: _Lines, escape: str, faults: Faults) -> Node:
    if "<<" not in node.arguments or is_json(node.arguments):
        return node
    read = []
    for heredoc in find_heredocs(node.arguments, escape):
        start = lines.number
        body: list[str] = []
        while (line := lines.take()) is not None:
            if (line.lstrip("\t") if heredoc.chomp else line) == heredoc.name:
                break
            body.append(line + "\n")
        else:
            if heredoc.is_apart:
                lines.number = start
                continue
            offset = node.arguments_offset + node.arguments.find("<<")
            faults.add(node.place_at(offset).fault(f"unterminated heredoc: {heredoc.name}", f"end it by a line {heredoc.name}"))
            lines.number = max(lines.number, start)
        read.append(replace(heredoc, content="".join(body)))
    return replace(node, heredocs=tuple(read), last_line=lines.number)
