"""The namespace map of an engine: its running containers by name, and what else there is on the machine."""

from __future__ import annotations

import os

from labcontainers.containers.isolation.namespace_map import NamespaceMap, namespace_map
from labcontainers.containers.lifecycle import Lifecycle


def current_map(lifecycle: Lifecycle) -> NamespaceMap:
    """Which containers and processes share which namespaces now, with each other and with this process."""
    firsts = {}
    for record in lifecycle.list():
        if pid := lifecycle.state(record).pid:
            firsts[pid] = record.row.name
    return namespace_map(os.getpid(), firsts)
