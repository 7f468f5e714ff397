"""One connection to a running container's shim: signals, the end, and processes to enter.

It must not know records; what it is told, the shim has done.
"""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.process import Execution


class ShimClient:
    """A context manager; raises Conflict when the shim is gone."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # Through the folder's descriptor, since a socket's path is limited to 108 bytes (unix(7)).
            folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
            try:
                sock.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except OSError:
            sock.close()
            raise Conflict(f"container {name} is not running", "start it first") from None
        self._execution = Execution(Channel(sock, streams=True), name)

    def __enter__(self) -> ShimClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._execution.close()

    def signal(self, number: int) -> None:
        """Send a signal to the container's first process."""
        self._execution.signal(int(number))

    def attach(self) -> Execution:
        """Get the container's output from now on; the caller reads the execution and closes this client."""
        self._execution.channel.send({"attach": True})
        return self._execution

    def wait_ended(self, timeout_s: float | None) -> dict[str, Any] | None:
        """Block until the container has ended; None when it has not after `timeout_s` seconds."""
        return self._execution.wait_ended(timeout_s)

    def exec(self, request: dict[str, Any], fds: tuple[int, int, int]) -> int:
        """Start a process in the container on these descriptors; its pid. Raises StartFailed, or Conflict when it has ended."""
        try:
            self._execution.channel.send({"exec": request}, fds)
        except OSError:
            raise Conflict(f"container {self._name} is not running", "start it first") from None
        while True:
            message = self._execution.next()
            if message is None or (isinstance(message, dict) and "not_running" in message):
                raise Conflict(f"container {self._name} is not running", "start it first")
            if isinstance(message, dict) and "started" in message:
                return int(message["started"])

    def exec_exit_code(self, timeout_s: float | None = None) -> int | None:
        """The exit code of the process that `exec` started; 137 if the container ended; None when nothing came in time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                message = self._execution.next(None if deadline is None else deadline - time.monotonic())
            except TimeoutError:
                return None
            if message is None or (isinstance(message, dict) and "ended" in message):
                return 137
            if isinstance(message, dict) and "exited" in message:
                return int(message["exited"])

    def exec_signal(self, number: int) -> None:
        """Send a signal to the process that `exec` started."""
        self._execution.channel.send({"exec_signal": int(number)})


def read_streams(streams: dict[int, int], on_output: Any) -> None:
    """Read descriptors (descriptor -> stream number) until all have ended, passing on each piece; closes nothing."""
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    left = set(streams)
    while left:
        for fd, _ in poll.poll():
            data = os.read(fd, 65536)
            if data:
                on_output(streams[fd], data)
            else:
                poll.unregister(fd)
                left.discard(fd)
