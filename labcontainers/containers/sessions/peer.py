"""The other end of a session: its process in the container, by its socket, its output and its signals.

It must not know what is said.
"""

from __future__ import annotations

import contextlib
import os
import signal as signals
import socket
from typing import Any, Protocol

from labcontainers.containers.exec import exec_options, exec_request
from labcontainers.containers.lifecycle import Lifecycle
from labcontainers.containers.register import Record
from labcontainers.containers.shim_client import ShimClient
from labcontainers.errors import LabError
from labcontainers.kernel.process_sessions import now_ticks
from labcontainers.runtime.handshake import start_time


class Peer(Protocol):
    """What a session needs of its process. The descriptors belong to who holds it; close() closes the rest."""

    control: socket.socket
    output: int
    errors: int

    def fileno(self) -> int:
        """A descriptor that is readable when the process may have ended."""

    def exit_code(self) -> int | None:
        """Its exit code once it has ended; None before."""

    def signal(self, number: int, since_ticks: int, *, leader: bool) -> None:
        """Send a signal to the processes of its kernel session that began at `since_ticks` or later, with `leader` to itself as well."""

    def kill(self) -> None:
        """End the process itself at once."""

    def hang_up(self) -> None:
        """End all that it left behind in its kernel session: SIGHUP, and SIGKILL a little later."""

    def close(self) -> None:
        """Let go of the process."""


class ContainerPeer:
    """A process that was started in a container by exec, with a socket as its standard input."""

    def __init__(self, lifecycle: Lifecycle, record: Record, command: tuple[str, ...], options: dict[str, Any]) -> None:
        """Start it; raises as exec does (StartFailed, Conflict, InvalidArgument)."""
        self._lifecycle = lifecycle
        self._record = record
        self._code: int | None = None
        words, checked = exec_options(command, **options)
        self._client: ShimClient = lifecycle.client(record)
        try:
            request = exec_request(lifecycle, record, words, checked, False)
            self._start(request)
        except BaseException:
            self._client.close()
            raise

    def _start(self, request: dict[str, Any]) -> None:
        self.control, theirs = socket.socketpair()
        self.output, their_output = os.pipe2(os.O_CLOEXEC)
        self.errors, their_errors = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = self._client.exec(request, (theirs.fileno(), their_output, their_errors))
        except BaseException:
            self.control.close()
            os.close(self.output)
            os.close(self.errors)
            raise
        finally:
            theirs.close()
            os.close(their_output)
            os.close(their_errors)
        self._began = start_time(self._pid) or now_ticks()

    def fileno(self) -> int:
        return self._client.fileno()

    def exit_code(self) -> int | None:
        if self._code is None:
            self._code = self._client.exec_exit_code(0)
        return self._code

    def signal(self, number: int, since_ticks: int, *, leader: bool) -> None:
        told = self._tell_others("signal_members", number=number, since_ticks=since_ticks, with_leader=leader)
        if leader and not told:
            with contextlib.suppress(OSError):
                self._client.exec_signal(number)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._client.exec_signal(signals.SIGKILL)

    def hang_up(self) -> None:
        self._tell_others("end_members")

    def _tell_others(self, function: str, **arguments: int) -> int:
        """Have it done by who may signal what belongs to container ids; how many processes got a signal."""
        with contextlib.suppress(LabError):
            if self._lifecycle.state(self._record).running:
                where = f"labcontainers.kernel.process_sessions:{function}"
                return int(self._lifecycle.launcher.call(where, leader=self._pid, began_ticks=self._began, **arguments))
        return 0

    def close(self) -> None:
        self._client.close()
