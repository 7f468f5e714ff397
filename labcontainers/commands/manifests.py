"""The subcommands on manifests and on lists of them for several platforms; it must not know widgets or HTTP."""

from __future__ import annotations

import json
from typing import Any

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag

WORDS = ("inspect", "create", "annotate", "push", "rm")


def inspect(call: Invocation) -> Text:
    """A list that was begun here, else what the registry has under the name, as JSON."""
    lists = call.engine.images.transfers.manifest_lists()
    data = lists.index(call.name).to_bytes() if lists.has(call.name) else lists.fetch(call.name).data
    return Text(json.dumps(json.loads(data), indent=3))


def create(call: Invocation) -> Text:
    return Text(
        f"Created manifest list {call.engine.images.transfers.manifest_lists().create(call.list, call.manifests, amend=call.amend)}"
    )


def annotate(call: Invocation) -> None:
    said: dict[str, Any] = {"os": call.os, "architecture": call.arch, "variant": call.variant}
    lists = call.engine.images.transfers.manifest_lists()
    lists.annotate(call.list, call.manifest, {key: value for key, value in said.items() if value is not None})


def push(call: Invocation) -> Text:
    """The digest, as Docker prints it."""
    return Text(call.engine.images.transfers.manifest_lists().push(call.list, purge=call.purge))


def remove(call: Invocation) -> Text:
    lists = call.engine.images.transfers.manifest_lists()
    return Text("\n".join(for_each(call, call.lists, lists.remove)))


_LIST = Argument("list", "name of the list, with its registry")
COMMANDS = (
    Command(
        "manifest inspect",
        "Show a manifest or a list of them, as a registry has it",
        inspect,
        (),
        (Argument("name", "name of an image or of a list", "1", "image"),),
    ),
    Command(
        "manifest create",
        "Begin a list of manifests for several platforms",
        create,
        (Flag(("-a", "--amend"), "put them into a list that is there", "switch"),),
        (_LIST, Argument("manifests", "names that the registry has", "+")),
    ),
    Command(
        "manifest annotate",
        "Say the platform of a manifest in a list",
        annotate,
        (
            Flag(("--arch",), "architecture, such as arm64", metavar="ARCHITECTURE"),
            Flag(("--os",), "operating system, such as linux", metavar="OS"),
            Flag(("--variant",), "variant of the architecture, such as v7", metavar="VARIANT"),
        ),
        (_LIST, Argument("manifest", "name of the manifest")),
    ),
    Command(
        "manifest push",
        "Send a list to its registry",
        push,
        (Flag(("-p", "--purge"), "forget the list afterwards", "switch"),),
        (_LIST,),
    ),
    Command("manifest rm", "Forget lists", remove, (), (Argument("lists", "names of lists", "+"),)),
)
