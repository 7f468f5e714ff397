"""The subcommands on images; it must not know widgets: each returns a value."""

from __future__ import annotations

import os
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from labcontainers.commands.command import Command, Invocation, for_each
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.errors import InvalidArgument, Unsupported
from labcontainers.images.image import Image
from labcontainers.oci.reference import Reference, parse_reference
from labcontainers.units import format_age, format_bytes

_FILTERS = ("dangling", "reference", "label")
Row = tuple[Image, str]


def images(call: Invocation) -> Any:
    """The images as a table with a row for each name, as ids, or as --format says."""
    found = _found(call)
    if call.quiet and call.format is None:
        return Text("\n".join(dict.fromkeys(image.id if call.no_trunc else image.short_id for image, _ in found)))
    now = time.time()

    def id_of(row: Row) -> str:
        return row[0].id if call.no_trunc else row[0].short_id

    def repository(row: Row) -> str:
        return parse_reference(row[1]).repository if row[1] else "<none>"

    def tag_of(row: Row) -> str:
        return parse_reference(row[1]).tag if row[1] else "<none>"

    def created(row: Row) -> str:
        at = row[0].created_at
        return f"{format_age(now - at)} ago" if at > 0 else "N/A"

    def size(row: Row) -> str:
        return format_bytes(row[0].size_bytes)

    columns = {"REPOSITORY": repository, "TAG": tag_of, "IMAGE ID": id_of, "CREATED": created, "SIZE": size}
    fields = {
        "ID": id_of,
        "Repository": repository,
        "Tag": tag_of,
        "CreatedSince": created,
        "CreatedAt": lambda row: time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(row[0].created_at)),
        "Size": size,
    }
    return format_rows(found, columns, fields, call.format)


def _found(call: Invocation) -> list[Row]:
    wanted = filters_of(call.filter)
    for key in wanted:
        if key not in _FILTERS:
            raise InvalidArgument(f"unknown filter {key!r}", f"filters are {', '.join(_FILTERS)}")
    dangling = _dangling(wanted.get("dangling", []))
    found = [(image, tag) for image in call.engine.images.list(all=call.all or dangling is True) for tag in (image.tags or ("",))]
    if call.repository:
        reference = parse_reference(call.repository)
        tagged = ":" in call.repository.rpartition("/")[2]
        found = [row for row in found if row[1] and _named(row[1], reference, tagged)]
    if dangling is not None:
        found = [row for row in found if (not row[1]) is dangling]
    if "reference" in wanted:
        found = [row for row in found if row[1] and any(_like(row[1], pattern) for pattern in wanted["reference"])]
    return [row for row in found if all(_labelled(row[0], text) for text in wanted.get("label", []))]


def _dangling(texts: list[str]) -> bool | None:
    for text in texts:
        if text not in ("true", "false"):
            raise InvalidArgument(f"invalid filter 'dangling={text}'", "write dangling=true or dangling=false")
    return texts[-1] == "true" if texts else None


def _named(tag: str, reference: Reference, tagged: bool) -> bool:
    other = parse_reference(tag)
    return other.repository == reference.repository and (not tagged or other.tag == reference.tag)


def _like(tag: str, pattern: str) -> bool:
    reference = parse_reference(tag)
    return any(fnmatchcase(text, pattern) for text in (reference.repository, f"{reference.repository}:{reference.tag}"))


def _labelled(image: Image, text: str) -> bool:
    key, separator, value = text.partition("=")
    labels = dict(image.config.config.labels)
    return key in labels and (not separator or labels[key] == value)


def remove(call: Invocation) -> Text:
    """Untag, and delete what has no name left."""
    return Text("\n".join(for_each(call, call.images, lambda name: repr(call.engine.images.remove(name, force=call.force)))))


def tag(call: Invocation) -> Image | None:
    """The image with its names; a terminal is told nothing, as by Docker."""
    image = call.engine.images.tag(call.source, call.target)
    return None if call.live else image


def build(call: Invocation) -> Any:
    """Build; a cell's body, or standard input for `-f -` and for the path `-`, is the Dockerfile."""
    arguments = {}
    for text in call.build_arg:
        name, separator, value = text.partition("=")
        if not name:
            raise InvalidArgument(f"build: invalid --build-arg {text!r}", "write NAME=VALUE")
        if separator:
            arguments[name] = value
        elif name in os.environ:
            arguments[name] = os.environ[name]
    labels = dict(text.partition("=")[::2] for text in call.label)
    context, file, text = call.context or call.path or ".", call.file, call.body
    if "://" in context or context.startswith("git@"):
        raise Unsupported(f"build: a context from elsewhere is not supported yet: {context}", "fetch it, and name its folder")
    if text is None and "-" in (context, file):
        text, file, context = _standard_input(call), None, "." if context == "-" else context
    built = call.engine.images.build(
        call.folder / Path(context).expanduser(),
        dockerfile_text=text,
        dockerfile=file,
        tags=call.tag,
        build_args=arguments,
        target=call.target,
        no_cache=call.no_cache,
        network=call.network or "bridge",
        labels=labels,
        on_event=(lambda event: None) if call.quiet else call.on_event,
    )
    if call.iidfile is not None:
        (call.folder / call.iidfile).write_text(built.image.id, encoding="ascii")
    return Text(built.image.id) if call.quiet else built


def _standard_input(call: Invocation) -> str:
    if call.stdin is None:
        raise Unsupported("a cell has no standard input to read a Dockerfile from", "give it as the cell's body: %%dockerfile …")
    with open(call.stdin, encoding="utf-8", closefd=False) as file:
        return file.read()


COMMANDS = (
    Command(
        "images",
        "List images",
        images,
        (
            Flag(("-a", "--all"), "untagged ones, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("--no-trunc",), "whole ids", "switch"),
            Flag(("-f", "--filter"), "KEY=VALUE with dangling, reference or label; repeatable", "list", "KEY=VALUE"),
            Flag(("--format",), "table, json, or such as {{.Repository}}:{{.Tag}}", metavar="TEMPLATE"),
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
            Flag(("-f", "--file"), "the Dockerfile, from the context folder; - for standard input", metavar="PATH", completes="path"),
            Flag(("--context",), "folder that COPY and ADD take files from", metavar="FOLDER", completes="path"),
            Flag(("--build-arg",), "value of an ARG; repeatable", "list", "NAME=VALUE"),
            Flag(("--label",), "label KEY=VALUE; repeatable", "list", "KEY=VALUE"),
            Flag(("--target",), "build this stage only", metavar="STAGE"),
            Flag(("--no-cache",), "do every step anew", "switch"),
            Flag(("-q", "--quiet"), "no progress, and only the image's id at the end", "switch"),
            Flag(("--iidfile",), "write the image's id to this file", metavar="FILE", completes="path"),
            Flag(("--network",), "network of RUN: bridge, none or host", metavar="NETWORK", completes="network"),
        ),
        (Argument("path", "context folder", "?", "path"),),
    ),
)
