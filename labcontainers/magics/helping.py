"""`%container run?`: what IPython would look up as an object named `run`, is asked of the command."""

from __future__ import annotations

import re

_ASKED = re.compile(r"^\s*%%?container\s+([a-z]+(?:[ \t]+[a-z]+)?)\s*\?{1,2}\s*$")


def asked_for_help(lines: list[str]) -> list[str]:
    """Transform a cell's lines: one line that is a command's name and ? alone becomes `%container help NAME`."""
    match = _ASKED.match(lines[0]) if len(lines) == 1 else None
    if match is None:
        return lines
    from labcontainers.commands.table import find
    from labcontainers.errors import LabError

    words = match[1].split()
    try:
        _, rest = find(words)
    except LabError:
        return lines
    return lines if rest else [f"%container help {' '.join(words)}\n"]
