"""Words to values by a command's flags, as Docker's command line reads them (github.com/spf13/pflag).

It must not know any particular command. Short switches may be joined (`-qa`), a value follows its flag, stands after `=`, or directly
after a short flag (`-n5`); `--` ends the flags. Where a program's own arguments follow, the first word that is no flag ends them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labcontainers.errors import InvalidArgument, Unsupported

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; `kind` is "switch", "value" or "list". `choices` are words that its value may be, of which there may be more.

    `completes` names what else its value is: "image", "container", "network", "volume", "path", "signal", "mount" …, or several.
    """

    names: tuple[str, ...]
    help: str
    kind: str = "value"
    metavar: str = ""
    default: Any = None
    completes: str = ""
    choices: tuple[str, ...] = ()

    @property
    def destination(self) -> str:
        """The attribute that holds it: its first long name."""
        return next((name for name in self.names if name.startswith("--")), self.names[0]).lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Argument:
    """One positional; `count` is "1", "?", "*", "+" or "rest" (everything that follows, flags too)."""

    name: str
    help: str
    count: str = "1"
    completes: str = ""


@dataclass
class Words:
    """A command's words taken apart. `expects` is the flag whose value is still missing at the end."""

    values: dict[str, Any]
    given: list[str] = field(default_factory=list)
    expects: Flag | None = None
    flags_ended: bool = False


class Parser:
    """Takes words apart for one command, whose name is in every error. `later` tells what Docker's other flags would need."""

    def __init__(self, name: str, flags: Sequence[Flag], arguments: Sequence[Argument], later: Mapping[str, str]) -> None:
        self._name = name
        self._flags = {flag_name: flag for flag in flags for flag_name in flag.names}
        self._all = flags
        self._arguments = arguments
        self._later = later

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """The value of each flag and argument by its name; with `--help` only "help" counts. Raises InvalidArgument, Unsupported."""
        found = self.take_apart(words)
        if found.expects is not None:
            raise InvalidArgument(f"{self._name}: flag needs a value: {words[-1]}", self._hint)
        if not found.values["help"]:
            found.values.update(self._positional(found.given))
        return found.values

    def take_apart(self, words: Sequence[str]) -> Words:
        """The flags' values and the other words. Raises InvalidArgument and Unsupported."""
        found = Words({"help": False, **{flag.destination: _default(flag) for flag in self._all}})
        has_rest = any(argument.count == "rest" for argument in self._arguments)
        left = iter(words)
        for word in left:
            if found.flags_ended or not word.startswith("-") or word == "-":
                found.given.append(word)
                found.flags_ended = found.flags_ended or has_rest
            elif word == "--":
                found.flags_ended = True
            elif word.startswith("--"):
                self._long(word, left, found)
            else:
                self._short(word, left, found)
        return found

    def _long(self, word: str, left: Iterator[str], found: Words) -> None:
        name, separator, value = word.partition("=")
        if name == "--help":
            found.values["help"] = True
            return
        flag = self._known(name)
        if flag.kind == "switch":
            found.values[flag.destination] = self._truth(name, value) if separator else True
        else:
            self._put(found, flag, value if separator else next(left, None))

    def _short(self, word: str, left: Iterator[str], found: Words) -> None:
        for index, letter in enumerate(word[1:], 1):
            flag, rest = self._known("-" + letter, word), word[index + 1 :]
            if flag.kind == "switch":
                if rest.startswith("="):
                    found.values[flag.destination] = self._truth("-" + letter, rest[1:])
                    return
                found.values[flag.destination] = True
                continue
            self._put(found, flag, rest.removeprefix("=") if rest else next(left, None))
            return

    def _put(self, found: Words, flag: Flag, value: str | None) -> None:
        if value is None:
            found.expects = flag
        elif flag.kind == "list":
            found.values[flag.destination].append(value)
        else:
            found.values[flag.destination] = value

    def _truth(self, name: str, text: str) -> bool:
        if text.lower() not in _TRUE + _FALSE:
            raise InvalidArgument(f"{self._name}: not true or false: {name}={text}", f"write {name}, or {name}=false")
        return text.lower() in _TRUE

    def _known(self, name: str, word: str = "") -> Flag:
        flag = self._flags.get(name)
        if flag is not None:
            return flag
        within = f" in {word}" if word not in ("", name) else ""
        if name in self._later:
            raise Unsupported(f"{self._name}: {name}{within} is not supported yet: {self._later[name]}", "leave it out")
        whole = word if word and not within else name
        near = difflib.get_close_matches(whole.lstrip("-"), [known.lstrip("-") for known in self._flags if known.startswith("--")], n=1)
        one_dash = word and "-" + word in self._flags
        hint = f"did you mean -{word}?" if one_dash else f"did you mean --{near[0]}?" if near and len(whole) > 2 else self._hint
        raise InvalidArgument(f"{self._name}: unknown flag: {name}{within}", hint)

    def _positional(self, given: list[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        left = list(given)
        for argument in self._arguments:
            upper = argument.name.upper()
            if argument.count in ("1", "+") and not left:
                raise InvalidArgument(f"{self._name}: {upper} is missing", self._hint)
            if argument.count in ("1", "?"):
                values[argument.name] = left.pop(0) if left else None
            else:
                values[argument.name], left = left, []
        if left:
            raise InvalidArgument(f"{self._name}: one word too many: {left[0]!r}", self._hint)
        return values

    @property
    def _hint(self) -> str:
        return f"see: help {self._name}"


def _default(flag: Flag) -> Any:
    return {"switch": bool(flag.default), "list": []}.get(flag.kind, flag.default)
