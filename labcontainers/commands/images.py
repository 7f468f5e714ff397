"""The subcommands that name and remove images; it must not know widgets: each returns a value."""

from __future__ import annotations

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import NotFound
from labcontainers.images.image import Image


def remove(call: Invocation) -> Text:
    """Untag, and delete what has no name left; with --force, one that is not there is told of and is no failure."""

    def act(name: str) -> str:
        try:
            return repr(call.engine.images.remove(name, force=call.force, no_prune=call.no_prune))
        except NotFound as error:
            if not call.force:
                raise
            call.on_output(2, f"{error.message}\n".encode())
            return ""

    return Text("\n".join(for_each(call, call.images, act)))


def tag(call: Invocation) -> Image | None:
    """The image with its names; a terminal is told nothing, as by Docker."""
    image = call.engine.images.tag(call.source, call.target)
    return None if call.live else image


COMMANDS = (
    Command(
        "rmi",
        "Remove images",
        remove,
        (
            Flag(("-f", "--force"), "with all their names, and although a container uses them", "switch"),
            Flag(("--no-prune",), "keep their layers until the next prune", "switch"),
        ),
        (Argument("images", "names or ids", "+", "image"),),
    ),
    Command(
        "tag", "Give an image one more name", tag, (), (Argument("source", "name or id", "1", "image"), Argument("target", "new name"))
    ),
)
