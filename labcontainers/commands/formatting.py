"""What Docker's `--format` makes of documents and of tables.

It must not know what they describe, but for the names of the fields that are lists or maps where they are null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from labcontainers.commands.command import Invocation, together
from labcontainers.commands.listing import Listing, Text, align
from labcontainers.commands.templates.template import Template
from labcontainers.commands.templates.values import Row, Shape
from labcontainers.containers.options.flags import about
from labcontainers.errors import NotFound

Fields = Mapping[str, Callable[[Any], Any]]

# Source: the Engine API's schemas of containers, images, networks and volumes (version 1.51)
_LISTS = """Env Cmd Entrypoint OnBuild Shell Binds VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt
    DeviceCgroupRules DeviceRequests Devices Ulimits MaskedPaths ReadonlyPaths ExecIDs Aliases DNSNames SecondaryIPAddresses
    SecondaryIPv6Addresses RepoTags RepoDigests Layers"""
_MAPS = """Labels Volumes ExposedPorts Options DriverOpts StorageOpt Sysctls Tmpfs Annotations Ports PortBindings Networks Containers"""
_OPTIONAL = """Health Healthcheck StopTimeout Init Annotations Mounts StorageOpt Sysctls Tmpfs SizeRw SizeRootFs Shell"""
DOCKERS = Shape(frozenset(_LISTS.split()), frozenset(_MAPS.split()), frozenset(_OPTIONAL.split()))


class Documents(list[dict[str, Any]]):
    """JSON documents, printed indented."""

    def __repr__(self) -> str:
        return json.dumps(list(self), indent=4, ensure_ascii=False)


@about("--format")
def format_document(documents: Sequence[Mapping[str, Any]], template: str | None) -> Any:
    """The documents, or the template filled in for each ("json" is one line for each). Raises as templates.template does."""
    if not template:
        return Documents([dict(document) for document in documents])
    parsed = Template("{{json .}}" if template == "json" else template, DOCKERS)
    return Text("\n".join(parsed.render(document) for document in documents))


def documents_of(call: Invocation, names: Sequence[str], find: Callable[[str], Mapping[str, Any]]) -> Any:
    """The documents of everything named, as format_document gives them; when something is not there, the others are told before that."""
    documents, missing = [], []
    for name in names:
        try:
            documents.append(find(name))
        except NotFound as error:
            missing.append(error)
    found = format_document(documents, call.format)
    if missing:
        call.on_output(1, f"{found}\n".encode())
        raise together(missing)
    return found


def is_table(template: str | None) -> bool:
    """Whether it asks for the columns that a listing has by itself."""
    return not template or template == "table"


@about("--format")
def format_rows(
    items: Sequence[Any],
    columns: Mapping[str, Callable[[Any], str]],
    fields: Fields,
    template: str | None,
    heads: Mapping[str, str] = MappingProxyType({}),
    values: Fields | None = None,
) -> Any:
    """A listing with `columns`, or the template filled in for each item with `fields`; `table …` puts the columns' heads above.

    `heads` are those of fields that are headed in another way here; `values` are the listing's.

    Of an item only the fields are looked at that the template has. As in Docker, \\t and \\n are a tab and a new line anywhere in it.
    """
    if is_table(template):
        return Listing(items, columns, values)
    assert template is not None
    body = template.removeprefix("table").strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    parsed = Template("{{json .}}" if body == "json" else body, DOCKERS)
    lines = [parsed.render(Row(item, fields)) for item in items]
    with_heads = template.startswith("table")
    if with_heads or not items:
        # a slip is told, whatever there is to list
        first = parsed.render({name: heads.get(name) or _head(name) for name in fields}, head=True)
        lines = align([line.split("\t") for line in (first, *lines)]) if with_heads else lines
    return Text("\n".join(lines))


def _head(field: str) -> Any:
    """`CreatedAt` as the head of a column: "CREATED AT"; a method's is its argument."""
    if field == "Label":
        return lambda key: key
    known = {"ID": "ID", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O", "PIDs": "PIDS"}
    known |= {"BlockIO": "BLOCK I/O", "RunningFor": "CREATED", "CreatedSince": "CREATED", "IPv4": "IPV4", "IPv6": "IPV6"}
    # as Docker heads them: VirtualSize is what Size is, with one digit more
    known |= {"VirtualSize": "SIZE"}
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in field).strip()
    return known.get(field, spaced.upper())
