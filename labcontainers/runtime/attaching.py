"""What attached clients ask of a shim: a container's streams from now on, another size of its terminal, to be let go.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import time

from labcontainers.runtime.audience import Audience
from labcontainers.runtime.handshake import Message
from labcontainers.runtime.journal import Journal
from labcontainers.runtime.stdio import Client
from labcontainers.runtime.streams import Streams


class Attaching:
    """The verbs, over what the shim has; made when one is asked for, since most containers are never attached to."""

    def __init__(self, request: Message, streams: Streams, audience: Audience, journal: Journal) -> None:
        self._request = request
        self._streams = streams
        self._audience = audience
        self._journal = journal

    def attach(self, client: Client, streams: list[int]) -> None:
        """Give this client the streams from now on; what came before is the log's first bytes, whose number it is told."""
        takes_input = self._streams.takes_input
        if 0 in streams and takes_input:
            self._streams.admit(client)
        logged = self._streams.log.size() if self._streams.log is not None else 0
        # Told before the first output is: the socket keeps the order.
        self._audience.tell(client, {"attached": {"tty": self._request.get("tty", False), "stdin": takes_input, "logged": logged}})
        client.streams = tuple(streams)
        self._journal.event("attach", time.time())

    def detach(self, client: Client, *, starter: bool) -> None:
        """The client goes, and the container stays, also if it was started for this client alone."""
        client.streams = ()
        if starter:
            self._request["foreground"] = False
        self._journal.event("detach", time.time())
        self._audience.tell(client, {"detached": True})

    def resize(self, client: Client, rows: int, columns: int) -> None:
        """Set the terminal's size, if there is one."""
        resized = self._streams.resize(rows, columns)
        if resized:
            self._journal.event("resize", time.time(), {"height": str(rows), "width": str(columns)})
        self._audience.tell(client, {"sized": resized})
