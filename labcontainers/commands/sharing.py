"""The subcommand on shared image stores; it must not know widgets: it returns a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import InvalidArgument


def share(call: Invocation) -> Any:
    """Put images into a shared store, or with --remove their names out of it."""
    if not call.store:
        raise InvalidArgument("image share: --store is missing", "name the folder of the shared image store")
    if call.prune and not call.remove:
        raise InvalidArgument("--prune: it goes with --remove alone", "add --remove, with names or without")
    if not call.images and not call.prune:
        raise InvalidArgument("image share: no image is named", "name at least one image")
    place = call.folder / Path(call.store).expanduser()
    images = call.engine.images
    shared = images.unshare(call.images, place, prune=call.prune) if call.remove else images.share(call.images, place)
    return Text(repr(shared)) if call.live else shared


COMMANDS = (
    Command(
        "image share",
        "Put images into a shared store, which others read without copying it",
        share,
        (
            Flag(("--store",), "folder of the shared store; made if it is not there", metavar="DIR", completes="path"),
            Flag(("--remove",), "take names out of the shared store instead", "switch"),
            Flag(("--prune",), "with --remove: delete what no image of the shared store needs, also under who uses it", "switch"),
        ),
        (Argument("images", "names or ids; a name without a tag means all its tags", "*", "image"),),
    ),
)

# In the group `image`.
WORDS = {"share": "image share"}
