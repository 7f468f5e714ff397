"""Freezing a container at its shim's end, with what is written down of it.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import time

from labcontainers.kernel.freezer import Freezer
from labcontainers.runtime.handshake import Message
from labcontainers.runtime.health import Health
from labcontainers.runtime.journal import Journal


class Pausing:
    """Whether one container is paused is told by the status in its journal; its health checks rest meanwhile."""

    def __init__(self, request: Message, journal: Journal, health: Health | None) -> None:
        self._request = request
        self._health = health
        self._journal = journal

    def set(self, wanted: bool) -> Message:
        """Freeze the container or let it go on, and write it down; what the asker is to be told: nothing if it was done."""
        status = self._journal.state["status"]
        if status != ("running" if wanted else "paused"):
            return {"conflict": "is already paused" if status == "paused" else f"is {status}, not {'running' if wanted else 'paused'}"}
        try:
            if wanted:
                self._freezer().freeze()
            else:
                self._freezer().thaw()
        except OSError as error:
            return {"failed": (error.strerror or "it did not stop in time").lower()}
        self._journal.state["status"] = "paused" if wanted else "running"
        self._journal.save()
        if self._health is not None:
            self._health.hold(wanted)
        self._journal.event("pause" if wanted else "unpause", time.time())
        return {}

    def let_die(self) -> None:
        """After SIGKILL of a paused one, or its end: what version 1 froze dies only once it is let go, and nothing may be born frozen."""
        self._freezer().thaw()

    def _freezer(self) -> Freezer:
        cgroups = self._request["cgroups"]
        return Freezer(cgroups.get("unified"), cgroups.get("v1") or {})
