"""The subcommand `inspect`, of whatever has a document; it must not know widgets: it returns a value."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from labcontainers.commands import networks
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.formatting import documents_of, format_document
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.options.forms import shown
from labcontainers.errors import InvalidArgument, NotFound


def inspect(call: Invocation) -> Any:
    """The documents of whatever has these names; of the same name, a container comes first, as in Docker."""
    if call.type and call.type not in _KINDS:
        raise InvalidArgument(f"--type: cannot inspect a {shown(call.type)}", f"use one of {', '.join(_KINDS)}")
    if call.security:
        return _security(call)
    return documents_of(call, call.names, lambda name: _document(call, name))


def _security(call: Invocation) -> Any:
    """What holds containers back: the report of one, a text of several, or as --format says."""
    if call.size or call.type not in (None, "", "container"):
        flag = "--size" if call.size else f"--type {call.type}"
        raise InvalidArgument(f"--security: it does not go with {flag}", "leave one of them out; it tells of containers")
    reports = [call.engine.containers.get(name).security() for name in call.names]
    if call.format:
        return format_document([report.to_dict() for report in reports], call.format)
    return reports[0] if len(reports) == 1 else Text("\n\n".join(map(repr, reports)))


def _document(call: Invocation, name: str) -> dict[str, Any]:
    for kind, document in _KINDS.items():
        if call.type in (None, "", kind):
            with contextlib.suppress(NotFound):
                return dict(document(call, name))
    wanted = call.type or "container, image, network or volume"
    raise NotFound(f"no such {wanted}: {name}", "`ps -a`, `images`, `network ls` and `volume ls` list what there is")


def _image_document(call: Invocation, name: str) -> dict[str, Any]:
    try:
        image = call.engine.images.find(name)
    except InvalidArgument:
        image = None
    if image is None:
        raise NotFound(f"no such image: {name}")
    return image.inspect()


# in Docker's order
_KINDS: dict[str, Callable[[Invocation, str], Any]] = {
    "container": lambda call, name: call.engine.containers.get(name).inspect(size=call.size),
    "image": _image_document,
    "network": networks.document_of,
    "volume": lambda call, name: call.engine.volumes.get(name).attrs,
}

COMMANDS = (
    Command(
        "inspect",
        "Show all that is known of containers, images, networks or volumes",
        inspect,
        (
            Flag(("-f", "--format"), "json, or such as {{.State.Status}} or {{json .Config}}", metavar="TEMPLATE"),
            Flag(("-s", "--size"), "with the size of a container's writable layer", "switch"),
            Flag(("--security",), "what holds a running container back, read from the kernel, beside the defaults", "switch"),
            Flag(("--type",), "only a container, an image, a network or a volume", metavar="TYPE"),
        ),
        (Argument("names", "names or ids", "+", "container image network volume"),),
    ),
)
