"""The commands about the builder: `builder prune` and `du`, and the same and a few more as `buildx`; each returns a value.

They must not know widgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.commands.asking import FORCE, agreed
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import format_rows
from labcontainers.commands.listing import Text
from labcontainers.commands.parser import Argument, Flag
from labcontainers.containers.options.flags import about
from labcontainers.errors import InvalidArgument, NotFound
from labcontainers.oci.descriptor import host_platform
from labcontainers.units import format_bytes, format_memory, parse_memory_bytes
from labcontainers.version import __version__

if TYPE_CHECKING:
    from labcontainers.engine.cache_told import PrunedBuilds

# The one builder, by the name that Docker's own has.
NAME, DRIVER = "default", "labcontainers"
# Docker's words after `builder` and `buildx` -> commands
WORDS = {"prune": "builder prune", "du": "builder du", "build": "build"}
BUILDX_WORDS = {**WORDS, "b": "build", "version": "buildx version", "ls": "buildx ls", "inspect": "buildx inspect"}
_SPACES = ("reserved_space", "max_used_space", "min_free_space")


def du(call: Invocation) -> Any:
    """What the build cache holds, as `buildx du` tells it."""
    only_builder(call.builder)
    found = call.engine.images.build_cache.usage(filters_of(call.filter))
    if not call.format:
        return found.verbose() if call.verbose else found
    fields: Mapping[str, Any] = {
        "ID": lambda one: one.id,
        "Reclaimable": lambda one: str(not one.in_use).lower(),
        "Size": lambda one: format_bytes(one.size_bytes, 4),
        "Shared": lambda one: str(one.shared).lower(),
        "Mutable": lambda one: str(one.is_folder).lower(),
        "InUse": lambda one: str(one.in_use).lower(),
        "Type": lambda one: one.type,
        "Description": lambda one: one.row.about,
        "UsageCount": lambda one: str(one.row.uses),
        "LastUsedSince": lambda one: one.cells()[3],
    }
    heads = {"LastUsedSince": "LAST ACCESSED", "InUse": "IN USE"}
    columns = {heads.get(name, name.upper()): fields[name] for name in ("ID", "Reclaimable", "Size", "LastUsedSince")}
    return format_rows(found, columns, fields, call.format, heads=heads)


def prune(call: Invocation) -> PrunedBuilds | Text | None:
    """Remove what builds keep."""
    from labcontainers.engine.cache_filters import cache_filter

    only_builder(call.builder)
    filters = filters_of(call.filter)
    cache_filter(filters)  # what is wrong is told before anything is asked
    spaces = _spaces(call)
    which = "all build cache" if call.all else "all dangling build cache"
    if not agreed(call, f"This will remove {which}."):
        return None
    pruned = call.engine.images.build_cache.prune(filters, all=call.all, **spaces)
    return Text(pruned.verbose()) if call.verbose else pruned


def _spaces(call: Invocation) -> dict[str, int]:
    """The limits in bytes; --keep-storage is --reserved-space by its earlier name. Raises InvalidArgument."""
    if call.keep_storage is not None and call.reserved_space is not None:
        raise InvalidArgument("--keep-storage: stands beside --reserved-space, which means the same", "leave one of them out")
    said = {name: getattr(call, name) for name in _SPACES}
    flags = {name: "--" + name.replace("_", "-") for name in _SPACES}
    if call.keep_storage is not None:
        said["reserved_space"], flags["reserved_space"] = call.keep_storage, "--keep-storage"
    found = {}
    for name, text in said.items():
        if text is not None:
            with about(flags[name]):
                found[name] = parse_memory_bytes(text)
    return found


def only_builder(name: str | None) -> None:
    """Raises NotFound for the name of any other builder."""
    if name not in (None, "", NAME):
        raise NotFound(f"--builder: no such builder: {name}", f"there is one, {NAME}: leave the flag out")


def version(call: Invocation) -> Text:
    """The builder's version."""
    return Text(f"{DRIVER} {__version__}")


def ls(call: Invocation) -> Any:
    """The one builder."""
    rows = [{"Name": f"{NAME}*", "DriverEndpoint": DRIVER, "Status": "running", "Buildkit": f"v{__version__}", "Platforms": _platforms()}]
    heads = {"Name": "NAME/NODE", "DriverEndpoint": "DRIVER/ENDPOINT", "Buildkit": "BUILDKIT", "Status": "STATUS", "Platforms": "PLATFORMS"}
    fields = {name: (lambda row, name=name: row[name]) for name in rows[0]}
    return format_rows(rows, {heads[name]: field for name, field in fields.items()}, fields, call.format, heads=heads)


def inspect(call: Invocation) -> Text:
    """The one builder, with what it keeps by itself."""
    from labcontainers.engine.gc_settings import load_gc_settings

    if call.name not in (None, NAME):
        raise NotFound(f"no such builder: {call.name}", f"there is one: {NAME}")
    settings = load_gc_settings()
    most = "3/5 of the disk, 20GiB at most" if settings.most_bytes is None else format_memory(settings.most_bytes)
    lines = [
        ("Name", NAME), ("Driver", DRIVER), ("", ""), ("Nodes", ""), ("Name", NAME), ("Endpoint", "this process"), ("Status", "running"),
        ("Version", __version__), ("Platforms", _platforms()), ("GC Policy", "" if settings.enabled else "off"),
    ]  # fmt: skip
    if settings.enabled:
        lines += [
            (" Keep Duration", f"{settings.keep_s / 3600:g}h"),
            (" Reserved Space", format_memory(settings.reserved_bytes)),
            (" Max Used Space", most),
            (" Min Free Space", format_memory(settings.free_bytes)),
        ]
    return Text("\n".join(f"{name + ':':<17}{value}".rstrip() if name else "" for name, value in lines))


def _platforms() -> str:
    return str(host_platform())


_FILTER = Flag(("--filter",), "KEY=VALUE with id, type, description, inuse, shared, mutable or until; repeatable", "list", "KEY=VALUE")
BUILDER = Flag(("--builder",), "the builder, of which there is one: default", metavar="NAME")
_FORMAT = Flag(("--format",), "table, json, or such as {{.ID}} {{.Size}}", metavar="TEMPLATE")
COMMANDS = (
    Command(
        "builder du",
        "Show what the build cache holds: steps and the folders of RUN --mount=type=cache",
        du,
        (_FILTER, Flag(("--verbose",), "all that is known of each", "switch"), _FORMAT, BUILDER),
    ),
    Command(
        "builder prune",
        "Remove what builds keep and no image needs",
        prune,
        (
            Flag(("-a", "--all"), "what images need, too", "switch"),
            _FILTER,
            FORCE,
            Flag(("--keep-storage",), "another name of --reserved-space", metavar="SIZE"),
            Flag(("--reserved-space",), "so much stays: only what was used longest ago goes", metavar="SIZE"),
            Flag(("--max-used-space",), "no more than this stays", metavar="SIZE"),
            Flag(("--min-free-space",), "so much shall be free on the disk", metavar="SIZE"),
            Flag(("--verbose",), "all that is known of what went", "switch"),
            BUILDER,
        ),
    ),
    Command("buildx version", "Show the builder's version", version),
    Command("buildx ls", "List the builders, of which there is one", ls, (_FORMAT,)),
    Command(
        "buildx inspect",
        "Show the builder, with what it keeps by itself",
        inspect,
        (Flag(("--bootstrap",), "nothing needs to be started", "switch"),),
        (Argument("name", "the builder", "?"),),
    ),
)
