"""The magics' own flags: `--out NAME`, and `--append NAME` of a build; it must not know how a command works."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from labcontainers.commands.parser import Flag
from labcontainers.errors import InvalidArgument

OUT = Flag(("--out",), "keep the result in this variable", metavar="NAME")

APPEND = Flag(("--append",), "continue the Dockerfile of this name with the cell, and build all of it", metavar="NAME", completes="draft")


def own_flags(command: str) -> tuple[Flag, ...]:
    """Those that the magics add to a command."""
    return (OUT, APPEND) if command == "build" else (OUT,)


def variable_name(arguments: Mapping[str, Any]) -> str | None:
    """The name that `--out` gives, if any; raises InvalidArgument for what cannot be a variable."""
    name = arguments[OUT.destination]
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise InvalidArgument(f"--out needs the name of a variable, not {name!r}", "write --out result")
    return None if name is None else str(name)
