"""Nodes to typed instructions: every flag and argument checked for its shape, each still located in the file.

It must not know images, variables' values or what an instruction does to them.

Source: docs.docker.com "Dockerfile reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labcontainers.build.dockerfile.argument_forms import (
    FormFault,
    Pair,
    Word,
    key_values,
    list_or_json,
    optional_values,
    read_json,
    split_spaces,
)
from labcontainers.build.dockerfile.heredoc import Heredoc, is_operator, parse_heredoc
from labcontainers.build.dockerfile.parser import Dockerfile, Flag, Node, parse
from labcontainers.build.dockerfile.source import Faults, Place, nearest
from labcontainers.errors import InvalidArgument
from labcontainers.units import parse_duration_s

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")

# Flags of each instruction: "value", "bool" (value may be left out) or "repeat" (may be given more than once).
_FLAGS: dict[str, dict[str, str]] = {
    "FROM": {"platform": "value"},
    "RUN": {"mount": "repeat", "network": "value", "security": "value", "device": "repeat"},
    "COPY": {"from": "value", "chown": "value", "chmod": "value", "link": "bool", "exclude": "repeat", "parents": "bool"},
    "ADD": {
        "chown": "value", "chmod": "value", "link": "bool", "exclude": "repeat",
        "keep-git-dir": "bool", "checksum": "value", "unpack": "bool",
    },
    "HEALTHCHECK": {"interval": "value", "timeout": "value", "start-period": "value", "start-interval": "value", "retries": "value"},
}  # fmt: skip


def flags_of(keyword: str) -> dict[str, str]:
    """The flags of an instruction and their kinds: "value", "bool" or "repeat"."""
    return dict(_FLAGS.get(keyword, {}))


def keywords() -> tuple[str, ...]:
    """All instructions."""
    return tuple(_READERS)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all instructions have: the node that they were read from, and their flags by name."""

    node: Node
    flags: Mapping[str, tuple[Word, ...]]

    def flag(self, name: str) -> Word | None:
        """The value of a flag that may be given once, or None."""
        found = self.flags.get(name)
        return found[0] if found else None

    def is_set(self, name: str) -> bool:
        """Whether a boolean flag is on."""
        found = self.flag(name)
        return found is not None and found.text in ("", "1", "t", "T", "true", "TRUE", "True")

    def place_of(self, word: Word) -> Place:
        """Where a word of the arguments stands."""
        return self.node.place_at(self.node.arguments_offset + word.offset)

    def place_of_flag(self, name: str) -> Place:
        """Where a flag stands."""
        offset = next((flag.offset for flag in self.node.flags if flag.name == name), 0)
        return self.node.place_at(offset)


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """`FROM image [AS name]`."""

    image: Word
    stage_name: str


@dataclass(frozen=True, slots=True)
class Command(Instruction):
    """RUN, CMD, ENTRYPOINT or SHELL: the words of the exec form, or one word with the text of the shell form."""

    words: tuple[Word, ...]
    is_shell_form: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer(Instruction):
    """COPY or ADD; `files` are here-documents that stand for sources."""

    sources: tuple[Word, ...]
    files: tuple[Heredoc, ...]
    destination: Word


@dataclass(frozen=True, slots=True)
class Pairs(Instruction):
    """ENV, LABEL or ARG; `is_old_form` for `ENV key value`."""

    pairs: tuple[Pair, ...]
    is_old_form: bool = False


@dataclass(frozen=True, slots=True)
class Text(Instruction):
    """WORKDIR, USER, STOPSIGNAL or MAINTAINER: all arguments as one word."""

    word: Word


@dataclass(frozen=True, slots=True)
class Words(Instruction):
    """EXPOSE or VOLUME."""

    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """HEALTHCHECK: `command` is None for NONE."""

    command: tuple[Word, ...] | None
    is_shell_form: bool


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    """ONBUILD and the instruction that it keeps for later."""

    trigger: Instruction

    @property
    def text(self) -> str:
        """The instruction kept, as written, with its here-documents."""
        text = self.node.text.split(None, 1)[1].strip()
        return text + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in self.node.heredocs)


def read_dockerfile(text: str, file: str = "Dockerfile") -> tuple[Dockerfile, tuple[Instruction, ...]]:
    """A file's nodes and its instructions in order; raises once for everything that is not well formed."""
    faults = Faults()
    dockerfile = parse(text, file, faults)
    read = [read_instruction(node, dockerfile.escape, faults) for node in dockerfile.nodes]
    faults.raise_any()
    return dockerfile, tuple(instruction for instruction in read if instruction is not None)


def read_instruction(node: Node, escape: str, faults: Faults) -> Instruction | None:
    """One instruction, or None when it has faults, which are added to `faults`."""
    reader = _READERS.get(node.keyword)
    if reader is None:
        hint = nearest(node.keyword, _READERS) or "instructions are " + ", ".join(_READERS)
        faults.add(node.place_at(0).fault(f"unknown instruction: {node.written_keyword}", hint))
        return None
    flags = _read_flags(node, faults)
    if not node.arguments and node.keyword not in ("CMD", "ENTRYPOINT"):
        few = "at least one argument" if node.keyword in ("ENV", "LABEL", "ARG", "EXPOSE", "VOLUME") else "arguments"
        faults.add(node.place_at(0).fault(f"{node.keyword} requires {few}"))
        return None
    try:
        return reader(node, flags, escape)
    except FormFault as fault:
        faults.add(node.place_at(node.arguments_offset + fault.offset).fault(fault.message, fault.hint))
        return None
    except InvalidArgument as error:
        faults.add(node.place_at(0).fault(error.message, error.hint))
        return None


def _read_flags(node: Node, faults: Faults) -> dict[str, tuple[Word, ...]]:
    known = _FLAGS.get(node.keyword, {})
    found: dict[str, tuple[Word, ...]] = {}
    for flag in node.flags:
        place = node.place_at(flag.offset)
        kind = known.get(flag.name)
        if kind is None:
            other = "flags are " + ", ".join("--" + name for name in known) if known else f"{node.keyword} has no flags"
            faults.add(place.fault(f"unknown flag: --{flag.name}", nearest(flag.name, known).replace("mean ", "mean --") or other))
        elif flag.name in found and kind != "repeat":
            faults.add(place.fault(f"duplicate flag specified: --{flag.name}"))
        elif (message := _flag_value_fault(flag, kind)) is not None:
            faults.add(place.fault(message))
        elif kind != "value" or flag.value:
            # an empty value is as none
            found[flag.name] = (*found.get(flag.name, ()), Word(flag.value or "", flag.offset - node.arguments_offset))
    return found


def _flag_value_fault(flag: Flag, kind: str) -> str | None:
    if kind != "bool":
        return f"missing a value on flag: --{flag.name}" if flag.value is None else None
    if flag.value is None or flag.value.lower() in ("true", "false", "1", "0", "t", "f"):
        return None
    return f"expecting boolean value for flag --{flag.name}, not: {flag.value}"


def _from(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words = split_spaces(node.arguments)
    if len(words) == 1:
        return From(node, flags, words[0], "")
    if len(words) != 3 or words[1].text.lower() != "as":
        raise FormFault("FROM requires either one or three arguments", words[1].offset, "write FROM image AS name")
    name = words[2].text.lower()
    if not _STAGE_NAME.fullmatch(name):
        raise FormFault(
            f"invalid name for build stage: {words[2].text!r}",
            words[2].offset,
            "a name begins with a letter and goes on with a-z 0-9 - _ .",
        )
    return From(node, flags, words[0], name)


def _command(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words = None if node.heredocs else read_json(node.arguments)
    if words is not None:
        if not words and node.keyword == "RUN":
            raise FormFault("RUN requires at least one argument")
        return Command(node, flags, words, False)
    return Command(node, flags, (Word(node.arguments, 0),), True, node.heredocs)


def _shell(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words = read_json(node.arguments)
    if not words:
        raise FormFault("SHELL requires the arguments to be in JSON form", 0, 'write SHELL ["/bin/bash", "-c"]')
    return Command(node, flags, words, False)


def _transfer(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words, is_json = list_or_json(node.arguments)
    if len(words) < 2:
        raise FormFault(f"{node.keyword} requires at least two arguments, but only one was provided", 0, "add the destination")
    *given, destination = words if is_json else _joined(words)
    heredocs = list(node.heredocs)
    files: list[Heredoc] = []
    sources: list[Word] = []
    for word in given:
        heredoc = None if is_json else parse_heredoc(word.text, escape)
        if heredoc is None:
            sources.append(word)
        else:
            found = next((body for body in heredocs if body.name == heredoc.name), None)
            if found is None:
                problem = f"the here-document {heredoc.name} has no body: a quote in the line is not closed"
                raise FormFault(problem, word.offset, "close the quote, or write a backslash before it")
            files.append(found)
            heredocs.remove(found)
    if not is_json and parse_heredoc(destination.text, escape) is not None:
        raise FormFault(f"{node.keyword} cannot accept a heredoc as a destination", destination.offset)
    if len(given) > 1 and not names_directory(destination.text) and "$" not in destination.text:
        raise FormFault(
            f"when using {node.keyword} with more than one source file, the destination must be a directory and end with a /",
            destination.offset,
            f"write {destination.text}/",
        )
    return Transfer(node, flags, tuple(sources), tuple(files), destination)


def _joined(words: Sequence[Word]) -> list[Word]:
    """The words, with the name of a here-document joined to an operator that stands apart from it."""
    found: list[Word] = []
    for word in words:
        if found and is_operator(found[-1].text):
            found[-1] = Word(f"{found[-1].text} {word.text}", found[-1].offset)
        else:
            found.append(word)
    return found


def names_directory(destination: str) -> bool:
    """Whether a destination can only be a directory: it ends with `/`, or its last part is `.` or `..`."""
    return destination.rsplit("/", 1)[-1] in ("", ".", "..")


def _pairs(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    pairs, is_old_form = key_values(node.arguments, escape, node.keyword)
    return Pairs(node, flags, pairs, is_old_form)


def _arg(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    return Pairs(node, flags, optional_values(node.arguments, escape))


def _text(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    return Text(node, flags, Word(node.arguments, 0))


def _user_or_signal(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words = split_spaces(node.arguments)
    if len(words) > 1 and "$" not in node.arguments:
        raise FormFault(f"{node.keyword} requires exactly one argument", words[1].offset)
    return Text(node, flags, Word(node.arguments, 0))


def _words(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    words = list_or_json(node.arguments)[0] if node.keyword == "VOLUME" else split_spaces(node.arguments)
    if any(not word.text.strip() for word in words) or not words:
        raise FormFault(f"{node.keyword} requires at least one argument, none of them empty")
    return Words(node, flags, words)


def _healthcheck(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    kind, _, rest = node.arguments.partition(" ")
    if kind.upper() == "NONE":
        if rest.strip():
            raise FormFault("HEALTHCHECK NONE takes no arguments", len(kind) + 1)
        return Healthcheck(node, flags, None, False)
    if kind.upper() != "CMD":
        raise FormFault(f"unknown type {kind!r} in HEALTHCHECK", 0, "try CMD or NONE")
    if not rest.strip():
        raise FormFault("missing command after HEALTHCHECK CMD")
    for name in ("interval", "timeout", "start-period", "start-interval"):
        if name not in flags:
            continue
        text = flags[name][0].text
        if text.strip("0") and re.fullmatch(r"[\d.]+", text):
            raise FormFault(f"--{name} of HEALTHCHECK has no unit: {text}", flags[name][0].offset, f"write --{name}={text}s")
        if 0 < parse_duration_s(text) < 0.001:
            raise FormFault(f"--{name} of HEALTHCHECK cannot be less than 1ms")
    if "retries" in flags and not re.fullmatch(r"\+?[0-9]{1,9}", flags["retries"][0].text):
        raise FormFault(f"--retries of HEALTHCHECK is no number: {flags['retries'][0].text}")
    words = read_json(rest.strip())
    if words == ():
        raise FormFault("missing command after HEALTHCHECK CMD")
    return Healthcheck(node, flags, (Word(rest.strip(), 4),) if words is None else words, words is None)


def _onbuild(node: Node, flags: Mapping[str, tuple[Word, ...]], escape: str) -> Instruction:
    inner = node.nested()
    if inner.keyword == "ONBUILD":
        raise FormFault("chaining ONBUILD via `ONBUILD ONBUILD` is not allowed")
    if inner.keyword in ("FROM", "MAINTAINER"):
        raise FormFault(f"{inner.keyword} is not allowed as an ONBUILD trigger")
    faults = Faults()
    trigger = read_instruction(inner, escape, faults)
    faults.raise_any()
    assert trigger is not None
    return Onbuild(node, flags, trigger)


_Reader = Callable[[Node, Mapping[str, tuple[Word, ...]], str], Instruction]
_READERS: dict[str, _Reader] = {
    "FROM": _from,
    "RUN": _command,
    "CMD": _command,
    "ENTRYPOINT": _command,
    "SHELL": _shell,
    "COPY": _transfer,
    "ADD": _transfer,
    "ENV": _pairs,
    "LABEL": _pairs,
    "ARG": _arg,
    "WORKDIR": _text,
    "USER": _user_or_signal,
    "STOPSIGNAL": _user_or_signal,
    "MAINTAINER": _text,
    "EXPOSE": _words,
    "VOLUME": _words,
    "HEALTHCHECK": _healthcheck,
    "ONBUILD": _onbuild,
}
