"""What a dashboard's pages ask for: images, volumes, networks, disk use, and the document of a thing; read when they ask.

It must not know pages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from labcontainers.errors import InvalidArgument

if TYPE_CHECKING:
    from labcontainers.engine.engine import Engine

Rows = list[dict[str, Any]]
MOST_ROWS = 5000


def images(engine: Engine) -> Rows:
    """A row for each name of an image, and for each image without one."""
    users = Counter(container.image_id for container in engine.containers.list(all=True))
    rows: Rows = []
    for image in engine.images.list(all=True):
        common = {
            "id": image.id,
            "created_at": image.created_at,
            "size_bytes": image.size_bytes,
            "containers": users[image.id],
            "read_only": image.read_only,
        }
        rows += [{**common, "name": name, "target": name} for name in image.tags] or [{**common, "name": "", "target": image.id}]
    return rows[:MOST_ROWS]


def volumes(engine: Engine) -> Rows:
    names = {container.id: container.name for container in engine.containers.list(all=True)}
    return [
        {
            "name": volume.name,
            "short": volume.short_id,
            "driver": volume.driver,
            "created_at": volume.created_at,
            "mountpoint": str(volume.mountpoint),
            "users": [names.get(user, user[:12]) for user in volume.users],
            "anonymous": volume.anonymous,
        }
        for volume in engine.volumes.list()[:MOST_ROWS]
    ]


def networks(engine: Engine) -> Rows:
    members: dict[str, list[str]] = {}
    for container in engine.containers.list():
        endpoint = engine.networks.find_endpoint(container.id)
        address = f" {endpoint.address}" if endpoint is not None and endpoint.address else ""
        members.setdefault(container.network, []).append(f"{container.name}{address}")
    return [
        {
            "name": network.name,
            "driver": network.driver,
            "subnet": network.subnet,
            "gateway": network.gateway,
            "bridge": network.bridge,
            "containers": sorted(members.get(network.name, [])),
        }
        for network in engine.networks.list()
    ]


def disk(engine: Engine) -> Rows:
    """`system df`: blocks while files are counted."""
    return [
        {
            "name": kind.name,
            "total": kind.total,
            "active": kind.active,
            "size_bytes": kind.size_bytes,
            "reclaimable_bytes": kind.reclaimable_bytes,
        }
        for kind in engine.disk_usage().kinds
    ]


TABLES: Mapping[str, Callable[[Engine], Rows]] = {"images": images, "volumes": volumes, "networks": networks, "disk": disk}


def table(engine: Engine, name: str) -> Rows:
    """The rows of a tab. Raises InvalidArgument for one that is not there."""
    if name not in TABLES:
        raise InvalidArgument(f"a dashboard has no table {name!r}", "load the page again")
    return TABLES[name](engine)


def document(engine: Engine, kind: str, name: str) -> str:
    """What `inspect` tells of a thing, as JSON. Raises NotFound, InvalidArgument."""
    if kind == "container":
        found: Any = engine.containers.get(name).inspect()
    elif kind == "image":
        found = engine.images.get(name).inspect()
    elif kind == "volume":
        found = engine.volumes.get(name).inspect()
    elif kind == "network":
        engine.networks.get(name)
        found = next(row for row in networks(engine) if row["name"] == name)
    else:
        raise InvalidArgument(f"a dashboard has no {kind!r}", "load the page again")
    return json.dumps(found, indent=2, ensure_ascii=False)
