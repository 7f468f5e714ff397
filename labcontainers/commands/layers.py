"""The subcommands that look into images: `image layers`, `image diff` and `image explore`; each returns a value.

It must not know widgets: what `image explore` returns is shown by magics.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import InvalidArgument
from labcontainers.units import format_bytes

if TYPE_CHECKING:
    from labcontainers.images.layers import ImageLayer

# names in a group of commands, and those of the commands
WORDS = {"layers": "image layers", "diff": "image diff", "explore": "image explore"}
_INSTRUCTION = 80


def layers(call: Invocation) -> Any:
    """The layers from the bottom up: what each instruction added, and how much."""
    from labcontainers.images.exploration import instruction
    from labcontainers.oci.digest import short

    image = call.engine.images.get(call.image)

    def counted(name: str) -> Any:
        return lambda layer: f"{layer.changes[name]:,}"

    def maker(layer: ImageLayer) -> str:
        text = instruction(layer.created_by)
        return text if call.no_trunc or len(text) <= _INSTRUCTION else text[: _INSTRUCTION - 1] + "…"

    columns = {
        "LAYER": lambda layer: str(layer.index),
        "SIZE": lambda layer: format_bytes(layer.size_bytes),
        "ADDED": counted("added"),
        "MODIFIED": counted("modified"),
        "REMOVED": counted("removed"),
        "CREATED BY": maker,
    }
    fields = {
        "Index": columns["LAYER"],
        "DiffID": lambda layer: layer.diff_id if call.no_trunc else short(layer.diff_id),
        "ChainID": lambda layer: layer.chain_id if call.no_trunc else short(layer.chain_id),
        "Size": columns["SIZE"],
        "Added": columns["ADDED"],
        "Modified": columns["MODIFIED"],
        "Removed": columns["REMOVED"],
        "CreatedBy": maker,
        "CreatedAt": lambda layer: layer.created,
    }
    return format_rows(image.layers, columns, fields, call.format)


def diff(call: Invocation) -> Any:
    """How two images differ: layers that they share, config, files."""
    if call.format not in (None, "json"):
        raise InvalidArgument(f"--format: {call.format!r} is not supported by image diff", "use json, or leave it out")
    images = call.engine.images
    found = images.get(call.before).diff(images.get(call.after), content=call.content)
    return Text(json.dumps(found.to_json())) if call.format == "json" else found


def explore(call: Invocation) -> Any:
    """The image, to be looked into: the layer explorer in a notebook, a summary elsewhere."""
    return call.engine.images.get(call.image).explore()


COMMANDS = (
    Command(
        "image layers",
        "List the layers of an image, what each changes and what made it",
        layers,
        (
            Flag(("--no-trunc",), "whole instructions and digests", "switch"),
            Flag(("--format",), "table, json, or such as {{.Index}} {{.Size}}", metavar="TEMPLATE"),
        ),
        (Argument("image", "name or id", "1", "image"),),
    ),
    Command(
        "image diff",
        "Show how two images differ: layers, config and files",
        diff,
        (
            Flag(("--content",), "compare what files hold, not their times", "switch"),
            Flag(("--format",), "json", metavar="FORMAT"),
        ),
        (Argument("before", "name or id", "1", "image"), Argument("after", "name or id", "1", "image")),
    ),
    Command(
        "image explore",
        "Look into the layers of an image",
        explore,
        (),
        (Argument("image", "name or id", "1", "image"),),
    ),
)
