"""The question before what cannot be undone; it must not know what that is."""

from __future__ import annotations

import os

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag

FORCE = Flag(("-f", "--force"), "do not ask first; a cell, which has no standard input, is never asked", "switch")


def agreed(call: Invocation, warning: str) -> bool:
    """Whether to go on: with --force, in a cell, or for a line with a `y` on standard input, whose end is a no, as in Docker."""
    if call.force or call.stdin is None:
        return True
    call.on_output(1, f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ".encode())
    return _line(call.stdin).strip().lower() == b"y"


def _line(fd: int) -> bytes:
    """One line, and no byte after it, which is for whoever reads on."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(fd, 1)):
        line += byte
    return line
