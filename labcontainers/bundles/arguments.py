"""Command lines in the form of runc's: global flags, a command, its flags (`--name value` or `--name=value`), its arguments.

It must not know what commands do; it imports nothing, since each container starts with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# What kind of value a flag takes.
SWITCH, TEXT, MANY, NUMBER = "switch", "text", "many", "number"


class Flags:
    """The flags of one command: `--name` -> kind, short names -> name, and what help says of each."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        """Rows are names ("--bundle -b"), kind, and help."""
        self.rows = rows
        self.kinds: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for names, kind, _ in rows:
            first = names.split()[0]
            self.kinds[first] = kind
            for name in names.split():
                self.names[name] = first


class Parsed:
    """The values of a command line: `texts` by flag, lists for those that may be repeated, `switches` that are on, and `rest`."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.many: dict[str, list[str]] = {}
        self.switches: set[str] = set()
        self.rest: list[str] = []

    def number(self, name: str, default: int = 0) -> int:
        """The whole number of a flag; raises InvalidArgument."""
        text = self.texts.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            refuse(f"{name}: {text!r} is not a whole number")
        return value


def refuse(message: str) -> NoReturn:
    """Raise InvalidArgument."""
    from labcontainers.errors import InvalidArgument

    raise InvalidArgument(message, "`labcontainers-oci --help` tells the commands and flags")


def parse(words: list[str], flags: Flags, where: str, *, until_first: bool = False) -> Parsed:
    """Take the flags out of `words`; with `until_first` what follows the first other word is left as it is, as after `--`."""
    found = Parsed()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            found.rest += words[at:]
            break
        if len(word) < 2 or word[0] != "-":
            found.rest.append(word)
            if until_first:
                found.rest += words[at:]
                break
            continue
        name, separator, value = word.partition("=")
        # one dash is enough before a long name, as for Go's flags
        known = flags.names.get(name) or flags.names.get("-" + name)
        if known is None:
            refuse(f"{where}: there is no flag {name}")
        if flags.kinds[known] == SWITCH:
            _switch(found, known, value if separator else "true")
            continue
        if not separator:
            if at == len(words):
                refuse(f"{where}: {name} needs a value")
            value = words[at]
            at += 1
        if flags.kinds[known] == MANY:
            found.many.setdefault(known, []).append(value)
        else:
            found.texts[known] = value
    return found


def _switch(found: Parsed, name: str, value: str) -> None:
    if value in ("true", "1", "t", "T", "TRUE", "True"):
        found.switches.add(name)
    elif value in ("false", "0", "f", "F", "FALSE", "False"):
        found.switches.discard(name)
    else:
        refuse(f"{name}: {value!r} is neither true nor false")
