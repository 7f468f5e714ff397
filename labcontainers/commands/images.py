"""The subcommands on images; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from labcontainers.commands.command import Argument, Command, Flag, Invocation
from labcontainers.commands.listing import Listing, Text
from labcontainers.errors import InvalidArgument, LabError, NotFound
from labcontainers.images.image import Image
from labcontainers.oci.reference import parse_reference
from labcontainers.units import format_age, format_bytes


def images(call: Invocation) -> Any:
    found = [(image, tag) for image in call.engine.images.list(all=call.all) for tag in (image.tags or ("",))]
    if call.repository:
        wanted = parse_reference(call.repository)
        found = [(image, tag) for image, tag in found if tag and parse_reference(tag).repository == wanted.repository]
    if call.quiet:
        return Text("\n".join(dict.fromkeys(image.short_id for image, _ in found)))
    now = time.time()

    def repository(row: tuple[Image, str]) -> str:
        return parse_reference(row[1]).repository if row[1] else "<none>"

    def created(row: tuple[Image, str]) -> str:
        at = row[0].created_at
        return f"{format_age(now - at)} ago" if at > 0 else "N/A"

    return Listing(
        found,
        {
            "REPOSITORY": repository,
            "TAG": lambda row: parse_reference(row[1]).tag if row[1] else "<none>",
            "IMAGE ID": lambda row: row[0].short_id,
            "CREATED": created,
            "SIZE": lambda row: format_bytes(row[0].size_bytes),
        },
    )


def remove(call: Invocation) -> Any:
    lines, failures = [], []
    for name in call.images:
        try:
            lines.append(repr(call.engine.images.remove(name, force=call.force)))
        except LabError as error:
            failures.append(error)
    if failures:
        raise failures[0] if len(failures) == 1 else NotFound("; ".join(error.message for error in failures), failures[0].hint)
    return Text("\n".join(lines))


def tag(call: Invocation) -> Image:
    return call.engine.images.tag(call.source, call.target)


def build(call: Invocation) -> Any:
    arguments = {}
    for text in call.build_arg:
        name, separator, value = text.partition("=")
        if not name:
            raise InvalidArgument(f"build: invalid --build-arg {text!r}", "write NAME=VALUE")
        if separator:
            arguments[name] = value
    labels = dict(text.partition("=")[::2] for text in call.label)
    path = call.folder / Path(call.context or call.path or ".").expanduser()
    return call.engine.images.build(
        path,
        dockerfile_text=call.body,
        dockerfile=call.file,
        tags=call.tag,
        build_args=arguments,
        target=call.target,
        no_cache=call.no_cache,
        network=call.network or "bridge",
        labels=labels,
        on_event=call.on_event,
    )


COMMANDS = (
    Command(
        "images",
        "List images",
        images,
        (
            Flag(("-a", "--all"), "untagged ones, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
        ),
        (Argument("repository", "only this repository", "?", "image"),),
    ),
    Command(
        "rmi",
        "Remove images",
        remove,
        (Flag(("-f", "--force"), "with all their names, and although a container uses them", "switch"),),
        (Argument("images", "names or ids", "+", "image"),),
    ),
    Command(
        "tag", "Give an image one more name", tag, (), (Argument("source", "name or id", "1", "image"), Argument("target", "new name"))
    ),
    Command(
        "build",
        "Build an image from a Dockerfile",
        build,
        (
            Flag(("-t", "--tag"), "name of the image; repeatable", "list", "NAME[:TAG]"),
            Flag(("-f", "--file"), "the Dockerfile, from the context folder", metavar="PATH", completes="path"),
            Flag(("--context",), "folder that COPY and ADD take files from", metavar="FOLDER", completes="path"),
            Flag(("--build-arg",), "value of an ARG; repeatable", "list", "NAME=VALUE"),
            Flag(("--label",), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
            Flag(("--target",), "build this stage only", metavar="STAGE"),
            Flag(("--no-cache",), "do every step anew", "switch"),
            Flag(("--network",), "network of RUN: bridge, none or host", metavar="NETWORK", completes="network"),
        ),
        (Argument("path", "context folder", "?", "path"),),
    ),
)
