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
    users = [user for text in call.for_user for user in text.split(",")]
    if not all(users):
        raise InvalidArgument("--for-user: an empty name", "name a user of this machine, or several with a comma between")
    if not call.images and not call.prune and not users:
        raise InvalidArgument("image share: no image is named", "name at least one image")
    place = call.folder / Path(call.store).expanduser()
    images = call.engine.images
    if call.remove:
        shared = images.unshare(call.images, place, prune=call.prune, users=users)
    else:
        shared = images.share(call.images, place, users=users)
    return Text(repr(shared)) if call.live else shared


COMMANDS = (
    Command(
        "image share",
        "Put images into a shared store, which others read without copying it",
        share,
        (
            Flag(("--store",), "folder of the shared store; made if it is not there", metavar="DIR", completes="path"),
            Flag(("--for-user",), "show the store to these users with their own ids; repeatable, for root", "list", "USER,…"),
            Flag(("--remove",), "take names out of the shared store instead", "switch"),
            Flag(("--prune",), "with --remove: delete what no image of the shared store needs, also under who uses it", "switch"),
        ),
        (Argument("images", "names or ids; a name without a tag means all its tags", "*", "image"),),
    ),
)

# In the group `image`.
WORDS = {"share": "image share"}
