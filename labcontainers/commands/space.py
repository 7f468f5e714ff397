"""The subcommands that tell and free space: `system df`, and `prune` of images, networks and everything; each returns a value.

They must not know widgets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labcontainers.commands.asking import FORCE, agreed
from labcontainers.commands.command import Command, Invocation
from labcontainers.commands.containers import filters_of
from labcontainers.commands.formatting import format_document, format_rows, is_table
from labcontainers.commands.image_listing import CREATED, NONE
from labcontainers.commands.listing import Listing, Text
from labcontainers.commands.parser import Flag
from labcontainers.containers.filters import prune_filters as container_prune_filters
from labcontainers.containers.options.flags import about
from labcontainers.images.selection import prune_filters
from labcontainers.oci.reference import parse_reference
from labcontainers.units import format_age, format_bytes

if TYPE_CHECKING:
    from labcontainers.engine.cache_told import CacheUsage
    from labcontainers.engine.space import DiskUsage, PrunedSystem
    from labcontainers.images.removal import PrunedImages

# Docker's words after `system` -> the commands below
WORDS = {"df": "system df", "prune": "system prune"}
_COLUMNS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}


def df(call: Invocation) -> Any:
    """The summary as a table, or with --verbose everything."""
    usage = call.engine.disk_usage()
    if call.verbose:
        return _everything(usage, call.format)
    fields: dict[str, Any] = {
        "Type": lambda kind: kind.name,
        "TotalCount": lambda kind: str(kind.total),
        "Active": lambda kind: str(kind.active),
        "Size": lambda kind: format_bytes(kind.size_bytes, 4),
        "Reclaimable": lambda kind: kind.reclaimable,
    }
    columns = {head: fields[name] for name, head in _COLUMNS.items()}
    return format_rows(usage.kinds, columns, fields, call.format, heads=_COLUMNS)


def _everything(usage: DiskUsage, template: str | None) -> Any:
    document = {
        "Images": _images(usage),
        "Containers": _containers(usage),
        "Volumes": _volumes(usage),
        "BuildCache": [_cache_row(one) for one in usage.cache],
    }
    if not is_table(template):
        return format_document([document], template)
    cache_bytes = format_bytes(usage.kinds[-1].size_bytes, 4)
    tables = (
        ("Images space usage:", "Images", _IMAGES),
        ("Containers space usage:", "Containers", _CONTAINERS),
        ("Local Volumes space usage:", "Volumes", _VOLUMES),
        (f"Build cache usage: {cache_bytes}", "BuildCache", _CACHE),
    )
    return Text("\n\n".join(f"{title}\n\n{_table(document[kind], columns)!r}" for title, kind, columns in tables))


_IMAGES = {
    "REPOSITORY": "Repository", "TAG": "Tag", "IMAGE ID": "ID", "CREATED": "CreatedSince", "SIZE": "Size", "SHARED SIZE": "SharedSize",
    "UNIQUE SIZE": "UniqueSize", "CONTAINERS": "Containers",
}  # fmt: skip
_CONTAINERS = {
    "CONTAINER ID": "ID", "IMAGE": "Image", "COMMAND": "Command", "LOCAL VOLUMES": "LocalVolumes", "SIZE": "Size", "CREATED": "RunningFor",
    "STATUS": "Status", "NAMES": "Names",
}  # fmt: skip
_VOLUMES = {"VOLUME NAME": "Name", "LINKS": "Links", "SIZE": "Size"}
_CACHE = {
    "CACHE ID": "ID", "CACHE TYPE": "CacheType", "SIZE": "Size", "CREATED": "CreatedSince", "LAST USED": "LastUsedSince",
    "USAGE": "UsageCount", "SHARED": "Shared",
}  # fmt: skip


def _table(rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> Listing[Mapping[str, str]]:
    def cell(field: str) -> Any:
        return lambda row: row[field].removeprefix("sha256:")[:12] if field == "ID" else row[field]

    return Listing(rows, {head: cell(field) for head, field in columns.items()})


def _ago(at: float) -> str:
    return f"{format_age(time.time() - at)} ago" if at > 0 else "N/A"


def _moment(at: float) -> str:
    return time.strftime(CREATED, time.localtime(at))


def _images(usage: DiskUsage) -> list[dict[str, str]]:
    rows = []
    for one in usage.images:
        for name in one.image.tags or one.image.repo_digests[:1] or ("",):
            reference = parse_reference(name) if name else None
            rows.append(
                {
                    "Repository": reference.repository if reference else NONE,
                    "Tag": (reference.tag if reference else "") or NONE,
                    "Digest": reference.digest if reference else "",
                    "ID": one.image.id,
                    "CreatedAt": _moment(one.image.created_at),
                    "CreatedSince": _ago(one.image.created_at),
                    "Size": format_bytes(one.size_bytes),
                    "VirtualSize": format_bytes(one.size_bytes, 4),
                    "SharedSize": format_bytes(one.shared_bytes, 4),
                    "UniqueSize": format_bytes(one.unique_bytes, 4),
                    "Containers": str(one.containers),
                }
            )
    return rows


def _containers(usage: DiskUsage) -> list[dict[str, str]]:
    return [
        {
            "ID": one.container.id,
            "Image": one.container.image,
            "Command": '"' + _shortened(" ".join(one.container.command)) + '"',
            "LocalVolumes": str(sum(mount["Type"] == "volume" for mount in one.container.mounts)),
            "Size": format_bytes(one.size_bytes),
            "CreatedAt": _moment(one.container.created_at),
            "RunningFor": _ago(one.container.created_at),
            "Status": one.container.summary(),
            "Names": one.container.name,
        }
        for one in usage.containers
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= 20 else text[:19] + "…"


def _volumes(usage: DiskUsage) -> list[dict[str, str]]:
    return [
        {
            "Name": one.volume.name,
            "Driver": one.volume.driver,
            "Mountpoint": str(one.volume.mountpoint),
            "Links": str(one.containers),
            "Size": format_bytes(one.size_bytes),
        }
        for one in usage.volumes
    ]


def _cache_row(one: CacheUsage) -> dict[str, str]:
    return {
        "ID": one.id,
        "CacheType": one.type,
        "Size": format_bytes(one.size_bytes),
        "CreatedAt": _moment(one.row.created_at),
        "CreatedSince": _ago(one.row.created_at),
        "LastUsedAt": _moment(one.row.used_at),
        "LastUsedSince": _ago(one.row.used_at),
        "UsageCount": str(one.row.uses),
        "InUse": "true" if one.in_use else "false",
        "Shared": "true" if one.shared else "false",
    }


# --- prune


def prune_images(call: Invocation) -> PrunedImages | None:
    with about("--filter"):
        filters = filters_of(call.filter)
        prune_filters(filters)  # what is wrong is told before anything is asked
    which = "all images without at least one container associated to them." if call.all else "all dangling images."
    return call.engine.images.prune(filters, all=call.all) if agreed(call, f"This will remove {which}") else None


def prune_networks(call: Invocation) -> None:
    """Only networks that users make are pruned, and there are none: nothing is told, as by Docker."""
    container_prune_filters(filters_of(call.filter))
    agreed(call, "This will remove all custom networks not used by at least one container.")


def prune_system(call: Invocation) -> PrunedSystem | None:
    from labcontainers.engine.space import check_filters

    filters = check_filters(filters_of(call.filter), volumes=call.volumes)
    whats = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if call.volumes else []),
        "all images without at least one container associated to them" if call.all else "all dangling images",
        "all build cache" if call.all else "unused build cache",
    ]
    lines = ["This will remove:", *(f"  - {what}" for what in whats), ""]
    if call.filter:
        lines += ["  Items to be pruned will be filtered with:", *(f"  - {text}" for text in sorted(call.filter)), ""]
    return call.engine.prune(filters, all=call.all, volumes=call.volumes) if agreed(call, "\n".join(lines)) else None


_FILTER = Flag(("--filter",), "KEY=VALUE with until, label or label!; repeatable", "list", "KEY=VALUE")
COMMANDS = (
    Command(
        "system df",
        "Show what images, containers, volumes and the build cache take on disk",
        df,
        (
            Flag(("-v", "--verbose"), "each of them", "switch"),
            Flag(("--format",), "table, json, or such as {{.Type}} {{.Size}}", metavar="TEMPLATE"),
        ),
    ),
    Command(
        "system prune",
        "Remove what nobody uses: ended containers, images without a name, what builds remember",
        prune_system,
        (
            Flag(("-a", "--all"), "images with a name, too", "switch"),
            Flag(("--volumes",), "anonymous volumes, too", "switch"),
            FORCE,
            _FILTER,
        ),
    ),
    Command(
        "image prune",
        "Remove images without a name that no container uses",
        prune_images,
        (Flag(("-a", "--all"), "those with a name, too", "switch"), FORCE, _FILTER),
    ),
    Command("network prune", "Remove networks that users made and nobody uses; there are none yet", prune_networks, (FORCE, _FILTER)),
)
