"""One connection to a running container's shim: signals, the end, and processes to enter.

It must not know records; what it is told, the shim has done.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labcontainers.errors import Conflict
from labcontainers.kernel.interrupts import LOOK_AGAIN_S
from labcontainers.runtime.handshake import Channel
from labcontainers.runtime.process import Execution


class ShimClient:
    """A context manager; raises Conflict when the shim is gone."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._terminal = -1
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
        self.close()

    def close(self) -> None:
        """Let go of the connection, and of a terminal that nobody took."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        self._execution.close()

    def disconnect(self) -> None:
        """Let who reads in another thread come to the end, before close()."""
        self._execution.channel.disconnect()

    def fileno(self) -> int:
        """A descriptor that is readable when the shim has told something."""
        return self._execution.channel.fileno()

    def signal(self, number: int, *, stop: bool = False, keep: bool = False) -> None:
        """As Execution.signal."""
        self._execution.signal(int(number), stop=stop, keep=keep)

    def ask(self, message: dict[str, Any], about: str) -> dict[str, Any]:
        """Send a message and wait for the answer, which has the key `about`. Raises Conflict when the container has ended."""
        try:
            self._execution.channel.send(message)
        except OSError:
            raise Conflict(f"container {self._name} is not running", "start it first") from None
        while True:
            answer = self._execution.next()
            if answer is None or (isinstance(answer, dict) and "ended" in answer and not answer["ended"].get("restarting")):
                raise Conflict(f"container {self._name} is not running", "start it first")
            if isinstance(answer, dict) and about in answer:
                return answer

    def rename(self, name: str) -> None:
        """Tell the shim under which name events are to be told from now on."""
        self._execution.channel.send({"rename": name})

    def attach(self, streams: Sequence[int]) -> tuple[Execution, dict[str, Any]]:
        """Get these streams from now on; the execution, which the caller closes, and whether there is a terminal (`tty`), whether input is
        taken (`stdin`), and how many bytes the log had before (`logged`).
        """
        return self._execution, self.ask({"attach": list(streams)}, "attached")["attached"]

    def resize(self, rows: int, columns: int) -> bool:
        """Set the size of the container's terminal; whether it has one."""
        return bool(self.ask({"resize": [rows, columns]}, "sized")["sized"])

    def take_terminal(self) -> int:
        """The terminal of the process that `exec` started, which the caller closes."""
        fd, self._terminal = self._terminal, -1
        return fd

    def wait_ended(self, timeout_s: float | None, *, last: bool = False) -> dict[str, Any] | None:
        """Block until the container has ended, with `last` for good; None when it has not after `timeout_s` seconds."""
        return self._execution.wait_ended(timeout_s, last=last)

    def exec(self, request: dict[str, Any], fds: tuple[int, int, int]) -> int:
        """Start a process in the container on these descriptors; its pid. Raises StartFailed, or Conflict when it has ended."""
        try:
            self._execution.channel.send({"exec": request}, fds)
        except OSError:
            raise Conflict(f"container {self._name} is not running", "start it first") from None
        while True:
            message = self._execution.next()
            if isinstance(message, dict) and message.get("not_running") == "paused":
                raise Conflict(f"container {self._name} is paused", "unpause the container before exec")
            if isinstance(message, dict) and message.get("not_running") == "restarting":
                raise Conflict(f"container {self._name} is restarting", "wait until the container is running")
            if message is None or (isinstance(message, dict) and "not_running" in message):
                raise Conflict(f"container {self._name} is not running", "start it first")
            if isinstance(message, dict) and "terminal" in message:
                self._terminal = message["fd"]
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


def read_streams(streams: dict[int, int], on_output: Any, over: Callable[[], bool] = lambda: False) -> None:
    """Read descriptors (descriptor -> stream number) until all have ended, or it is `over`, passing on each piece; closes nothing."""
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    left = set(streams)
    while left and not over():
        for fd, _ in poll.poll(LOOK_AGAIN_S * 1000):
            data = os.read(fd, 65536)
            if data:
                on_output(streams[fd], data)
            else:
                poll.unregister(fd)
                left.discard(fd)
