"""The subcommands `images` and `history`: what there is, and what made it; it must not know widgets: each returns a value."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import format_rows, is_table
from labcontainers.commands.listing import Text, align
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.options.flags import about
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.frames import moment
from labcontainers.images.history import MISSING, Step
from labcontainers.images.image import Image
from labcontainers.images.selection import LIST, list_filters, select
from labcontainers.oci.digest import short
from labcontainers.units import format_age, format_bytes

NONE = "<none>"
CREATED = "%Y-%m-%d %H:%M:%S %z %Z"
_INSTRUCTION = 45


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: an image by one of its names."""

    image: Image
    repository: str = NONE
    tag: str = NONE
    digest: str = NONE


_VALUES: Mapping[str, Any] = {
    "id": lambda row: row.image.id,
    "repository": lambda row: row.repository,
    "tag": lambda row: row.tag,
    "digest": lambda row: row.digest,
    "created": lambda row: moment(row.image.created_at),
    "size_bytes": lambda row: row.image.size_bytes,
}


def images(call: Invocation) -> Any:
    """The images as a table with a row for each name, as a tree, as ids, or as --format says."""
    found = _found(call)
    for problem in call.engine.images.problems():
        call.on_output(2, f"{problem.message} ({problem.hint})\n".encode())
    if call.tree:
        return _tree(call, found)
    wants = _wants_digests(call)
    rows = [row for image, names in found for row in _rows(image, names, digests=call.digests, wants=wants)]
    if call.quiet and is_table(call.format):
        return Text("\n".join(row.image.id if call.no_trunc else row.image.short_id for row in rows))
    shown = [("REPOSITORY", "Repository"), ("TAG", "Tag"), *([("DIGEST", "Digest")] if call.digests else [])]
    shown += [("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size")]
    fields = _fields(call)
    if any(row.image.read_only for row in rows) or "ReadOnly" in (call.format or ""):
        # As Podman marks images of its additional stores.
        shown.append(("R/O", "ReadOnly"))
        fields = {**fields, "ReadOnly": lambda row: str(row.image.read_only).lower()}
    return format_rows(rows, {head: fields[name] for head, name in shown}, fields, call.format, values=_VALUES)


def _fields(call: Invocation) -> Mapping[str, Any]:
    now = time.time()

    @cache
    def users() -> Counter[str]:
        return _users(call)

    return {
        "ID": lambda row: row.image.id if call.no_trunc else row.image.short_id,
        "Repository": lambda row: row.repository,
        "Tag": lambda row: row.tag,
        "CreatedSince": lambda row: f"{format_age(now - row.image.created_at)} ago" if row.image.created_at > 0 else "N/A",
        "CreatedAt": lambda row: time.strftime(CREATED, time.localtime(row.image.created_at)),
        "Size": lambda row: format_bytes(row.image.size_bytes),
        "VirtualSize": lambda row: format_bytes(row.image.size_bytes, 4),
        "Containers": lambda row: str(users()[row.image.id]),
        "Digest": lambda row: row.digest,
        # Docker measures these for `system df` alone
        "SharedSize": lambda row: "N/A",
        "UniqueSize": lambda row: "N/A",
    }


def _users(call: Invocation) -> Counter[str]:
    """How many containers there are of each image."""
    return Counter(container.image_id for container in call.engine.containers.list(all=True))


def _found(call: Invocation) -> list[tuple[Image, tuple[str, ...]]]:
    with about("--filter"):
        wanted = list_filters(filters_of(call.filter))
        if call.repository:
            wanted.setdefault("reference", []).extend(list_filters({"reference": call.repository})["reference"])

        def get(name: str) -> Image:
            image = call.engine.images.find(name)
            if image is None:
                raise NotFound(f"no such image: {name}", "`images` lists all images")
            return image

        return select(call.engine.images.list(all=True), wanted, get)


def _wants_digests(call: Invocation) -> bool:
    return call.digests or "Digest" in (call.format or "") or call.format == "json"


def _rows(image: Image, names: Sequence[str], *, digests: bool, wants: bool) -> list[Row]:
    """One for each tag, or tag and digest of its repository; a digest without a tag has its own (moby/cli, formatter/image.go)."""
    if not names:
        return [Row(image)]
    known: dict[str, list[str]] = {}
    for name in image.repo_digests:
        repository, _, digest = name.partition("@")
        known.setdefault(repository, []).append(digest)
    rows, tagged = [], {name.rpartition(":")[0] for name in image.tags}
    alone = []
    for name in names:
        repository, at, digest = name.partition("@")
        if not at:
            repository, _, tag = name.rpartition(":")
            own = known.get(repository, []) if wants else []
            rows += [Row(image, repository, tag, digest) for digest in own or [NONE]]
        elif repository not in tagged:
            alone.append(Row(image, repository, NONE, digest if wants else NONE))
    return [*rows, *(alone if digests else dict.fromkeys(alone))]


def _tree(call: Invocation, found: Sequence[tuple[Image, tuple[str, ...]]]) -> Text:
    """Each image with its names and, below it, its platform, as Docker 28's `--tree`; without a name only with --all."""
    for flag, given in (("--quiet", call.quiet), ("--digests", call.digests), ("--no-trunc", call.no_trunc), ("--format", call.format)):
        if given:
            raise InvalidArgument(f"--tree: it does not go with {flag}", "leave one of them out")
    users = _users(call)
    blocks = [_branch(image, names, bool(users[image.id])) for image, names in found if names or call.all]
    heads = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]
    lines = [heads, *(line for number, block in enumerate(blocks) for line in ([[""]] if number else []) + block)]
    padded = [
        [*line[:2], *(cell.rjust(len(head)) for cell, head in zip(line[2:4], heads[2:4], strict=True)), *line[4:]]
        if len(line) > 2
        else line
        for line in lines
    ]
    return Text("\n".join(align(padded)))


def _branch(image: Image, names: Sequence[str], used: bool) -> list[list[str]]:
    """The lines of one image: all names but the last stand alone."""
    *others, last = names or ("<untagged>",)
    cells = [format_bytes(image.size_bytes + image.stored_bytes), format_bytes(image.stored_bytes), "U" if used else ""]
    return [*([name] for name in others), [last, image.short_id, *cells], [f"└─ {image.platform}", short(image.manifest_digest), *cells]]


def history(call: Invocation) -> Any:
    """What made an image, the newest step first; in a notebook an object with a table, as `image.history`."""
    image = call.engine.images.get(call.image)
    steps = list(reversed(image.history.steps))

    def id_of(step: Step) -> str:
        return (step.image_id if call.no_trunc else short(step.image_id)) if step.image_id else MISSING

    def maker(step: Step) -> str:
        text = step.entry.created_by.replace("\t", " ")
        return text if call.no_trunc or len(text) <= _INSTRUCTION else text[: _INSTRUCTION - 1] + "…"

    def created_at(step: Step) -> str:
        """As Go's time.RFC3339, in local time."""
        at = time.localtime(step.created_at or 0)
        zone = time.strftime("%z", at)
        return (
            "N/A"
            if step.created_at is None
            else time.strftime("%Y-%m-%dT%H:%M:%S", at) + ("Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}")
        )

    def age(step: Step) -> str:
        return step.age if call.human else created_at(step)

    def size(step: Step) -> str:
        return format_bytes(step.size_bytes) if call.human else str(step.size_bytes)

    if call.quiet and is_table(call.format):
        return Text("\n".join(map(id_of, steps)))
    columns = {
        "IMAGE": id_of,
        "CREATED" if call.human else "CREATED AT": age,
        "CREATED BY": maker,
        "SIZE": size,
        "COMMENT": lambda step: step.entry.comment,
    }
    fields = {
        "ID": id_of,
        "CreatedSince": age,
        "CreatedAt": created_at,
        "CreatedBy": maker,
        "Size": size,
        "Comment": lambda step: step.entry.comment,
    }
    return format_rows(steps, columns, fields, call.format, heads={"ID": "IMAGE"})


_NO_TRUNC = Flag(("--no-trunc",), "whole ids", "switch")
_FORMAT = "table, json, or such as {}"
COMMANDS = (
    Command(
        "images",
        "List images",
        images,
        (
            Flag(("-a", "--all"), "untagged ones in the tree, too", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("--digests",), "with the digests by which registries know them", "switch"),
            _NO_TRUNC,
            Flag(("-f", "--filter"), f"KEY=VALUE with {', '.join(LIST)}; repeatable", "list", "KEY=VALUE"),
            Flag(("--format",), _FORMAT.format("{{.Repository}}:{{.Tag}}"), metavar="TEMPLATE"),
            Flag(("--tree",), "each image with its platform, and what it takes", "switch"),
        ),
        (Argument("repository", "only this repository, name or pattern such as me/*", "?", "image"),),
    ),
    Command(
        "history",
        "Show what made an image, and how much each step added",
        history,
        (
            Flag(("-H", "--human"), "sizes and times for people", "switch", default=True),
            Flag(("--no-trunc",), "whole ids and instructions", "switch"),
            Flag(("-q", "--quiet"), "only ids", "switch"),
            Flag(("--format",), _FORMAT.format("{{.CreatedBy}} {{.Size}}"), metavar="TEMPLATE"),
        ),
        (Argument("image", "name or id", "1", "image"),),
    ),
)
