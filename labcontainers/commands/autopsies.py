"""The subcommand `autopsy`: why a container died; it must not know widgets: it returns a value."""

from __future__ import annotations

from dataclasses import replace

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import CONTAINER
from labcontainers.containers.autopsy import Autopsy


def autopsy(call: Invocation) -> Autopsy:
    """The next steps are told in the words of who asks."""
    return replace(call.engine.containers.get(call.container).autopsy(), program=call.program)


COMMANDS = (Command("autopsy", "Tell why a container died, and what to try next", autopsy, (), (CONTAINER,)),)
