"""The subcommands that go back: checkpoint, checkpoints, rollback, and `image at`; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from typing import Any

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.files.checkpoint import Checkpoint, name_of
from labcontainers.images.image import Image
from labcontainers.oci.reference import parse_reference
from labcontainers.units import format_age, format_bytes, format_time

# Names in the group `checkpoint`, Docker's among them, and those of the commands.
WORDS = {"create": "checkpoint", "ls": "checkpoints", "list": "checkpoints", "rm": "checkpoint rm", "remove": "checkpoint rm"}
_CONTAINER = Argument("container", "name or id", "1", "container")


def checkpoint(call: Invocation) -> Any:
    """Keep a container's files; a terminal is told the checkpoint's label or number."""
    made: Checkpoint = call.engine.containers.get(call.container).checkpoint(call.label or "", pause=not call.no_pause)
    return Text(made.label or str(made.number)) if call.live else made


def checkpoints(call: Invocation) -> Any:
    """The line of them in a cell, a table at a terminal, or as --format says."""
    found = call.engine.containers.get(call.container).checkpoints
    if call.quiet:
        return Text("\n".join(str(one.number) for one in found))
    if not call.live and call.format is None:
        return found
    now = time.time()
    columns = {
        "CHECKPOINT": lambda one: f"{one.number}{' *' if one.current else ''}",
        "NAME": name_of,
        "AFTER": lambda one: str(one.parent),
        "CHANGED": lambda one: str(one.changed_files),
        "SIZE": lambda one: format_bytes(one.size_bytes),
        "CREATED": lambda one: f"{format_age(now - one.created_at)} ago",
    }
    fields = {
        "Number": lambda one: str(one.number),
        "Name": lambda one: one.label,
        "Parent": columns["AFTER"],
        "Base": lambda one: str(one.base),
        "Changed": columns["CHANGED"],
        "Size": columns["SIZE"],
        "CreatedAt": lambda one: format_time(one.created_at),
        "Automatic": lambda one: str(one.automatic).lower(),
        "Current": lambda one: str(one.current).lower(),
    }
    return format_rows(list(found), columns, fields, call.format)


def remove(call: Invocation) -> Text | None:
    """Take them away, in the order in which they are named; what is gone is told."""
    container = call.engine.containers.get(call.container)
    return Text("\n".join(for_each(call, call.steps, lambda step: container.checkpoints.get(step).remove())))


def rollback(call: Invocation) -> Text:
    """Back to a checkpoint; what became of the changes since is told."""
    container = call.engine.containers.get(call.container)
    head = container.checkpoints.head
    kept = container.rollback(call.step, force=call.force, discard=call.discard)
    now = container.checkpoints.head
    text = f"{container.name} is at {f'checkpoint {now}' if now else 'its image'} again"
    if kept is not None:
        text += f"; what it had changed since {f'checkpoint {head}' if head else 'its image'} is checkpoint {kept.number}"
    return Text(text)


def at(call: Invocation) -> Image | Text:
    """An earlier step of an image, as an image; a terminal is told its id."""
    if call.tag is not None:
        parse_reference(call.tag)
    image = call.engine.images.get(call.image)
    found: Image = image.at(instruction=int(call.step[1:])) if call.step[:1] == "#" and call.step[1:].isdecimal() else image.at(call.step)
    found = found.tag(call.tag) if call.tag is not None else found
    return Text(found.id) if call.live else found


COMMANDS = (
    Command(
        "checkpoint",
        "Keep the files of a container as they are now, to roll back to",
        checkpoint,
        (Flag(("--no-pause",), "let a running container go on meanwhile", "switch"),),
        (_CONTAINER, Argument("label", "a name for the checkpoint", "?")),
    ),
    Command(
        "checkpoints",
        "List the checkpoints of a container; 0 is its image",
        checkpoints,
        (
            Flag(("-q", "--quiet"), "only numbers", "switch"),
            Flag(("--format",), "table, json, or such as {{.Number}} {{.Name}}", metavar="TEMPLATE"),
        ),
        (_CONTAINER,),
    ),
    Command(
        "checkpoint rm",
        "Remove checkpoints of a container on which nothing lies",
        remove,
        (),
        (_CONTAINER, Argument("steps", "numbers or names", "+")),
    ),
    Command(
        "rollback",
        "Let the files of a container be again what they were at a checkpoint",
        rollback,
        (
            Flag(("-f", "--force"), "a running container, too: it is stopped, and started again afterwards", "switch"),
            Flag(("--discard",), "do not keep what has changed since as a checkpoint", "switch"),
        ),
        (_CONTAINER, Argument("step", "a checkpoint's number or name, or 0 for the image; else the last one", "?")),
    ),
)
IMAGE_COMMANDS = (
    Command(
        "image at",
        "Make an image of an earlier step of an image",
        at,
        (Flag(("-t", "--tag"), "name of the new image", metavar="NAME[:TAG]"),),
        (
            Argument("image", "name or id", "1", "image"),
            Argument("step", "a layer from 1, the beginning of its digest, or # and a number in the history"),
        ),
    ),
)
