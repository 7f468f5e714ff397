"""The flag by which a container is made step by step, and where it may be; it must not know who asks."""

from __future__ import annotations

from labcontainers.commands.command import Invocation
from labcontainers.commands.parser import Flag
from labcontainers.errors import InvalidArgument, Unsupported

STEP = Flag(("--step",), "make it stage by stage, and look at it between: a Stepper with next(), look(), finish() and abort()", "switch")


def check_steps(call: Invocation, fed: bool) -> None:
    """Raises Unsupported where nobody could go on with it, and InvalidArgument where it is `fed` by a terminal or a cell."""
    if call.live:
        raise Unsupported("--step: this command ends before the next step", "use it in a notebook, or containers.run(step=True) in Python")
    if fed:
        raise InvalidArgument("--step: it goes on detached, with no input", "leave out -a, -i and the cell's body")
