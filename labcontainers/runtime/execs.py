"""The processes that entered a running container by `exec`, at the shim's end.

It must not import anything but what the launcher holds.
"""

from __future__ import annotations

import os

from labcontainers.kernel.lean import Callable, signal
from labcontainers.runtime import enter
from labcontainers.runtime.handshake import CHUNK_BYTES, Message
from labcontainers.runtime.init import become_workload
from labcontainers.runtime.journal import Journal
from labcontainers.runtime.reactor import Reactor
from labcontainers.runtime.stdio import Client


class Execs:
    """All of one container; `tell(client, message)` answers who asked for one, `journal` has their events."""

    def __init__(self, reactor: Reactor, tell: Callable[[Client, Message], None], journal: Journal) -> None:
        self._reactor = reactor
        self._tell = tell
        self._journal = journal
        self._entered: dict[int, enter.Entered] = {}

    def start(self, client: Client, init_pidfd: int, request: Message, fds: list[int]) -> None:
        """Start one; the client hears that it started, or why not, and later its exit code."""
        entered = enter.Entered(client)
        entered.hang_up = bool(request.get("hang_up"))
        try:
            entered.start(init_pidfd, request, fds, become_workload)
        except OSError as error:
            self._tell(client, {"error": {"operation": "setns", "about": "", "message": str(error), "exit_code": 125}})
            return
        if (shown := request.get("shown")) is not None:  # engines of older versions say nothing of it
            # Told while the process is on its way, which does not wait for it.
            entered.exec_id = self._journal.tell_exec(shown)
        fd = entered.status.fileno()
        self._entered[fd] = entered
        self._reactor.watch(fd, lambda: self._on_status(entered))

    def signal(self, client: Client, number: int) -> None:
        """Send a signal to what this client started."""
        for entered in self._entered.values():
            if entered.client is client:
                entered.kill(number)

    def finish(self) -> None:
        """Tell the exit codes of all that ended with the container."""
        for fd, entered in list(self._entered.items()):
            self._forget(fd)
            self._end(entered)

    def _on_status(self, entered: enter.Entered) -> None:
        had = entered.terminal
        answer = entered.on_status()
        if entered.terminal != had:
            self._pass_on(entered)
        if answer is None:
            return
        self._forget(entered.status.fileno())
        entered.status.close()
        self._tell(entered.client, answer)
        if entered.pidfd >= 0:
            self._entered[entered.pidfd] = entered
            self._reactor.watch(entered.pidfd, lambda: self._on_exit(entered))
            if entered.left:
                entered.kill(signal.SIGHUP)
        else:
            entered.reap()

    def _pass_on(self, entered: enter.Entered) -> None:
        """Give the terminal to who asked for it; both ends are kept, so that the process does not hang up with him."""
        try:
            entered.client.channel.send({"terminal": True}, entered.terminal[:1])
        except OSError:
            self._drain(entered)

    def detach(self, client: Client) -> None:
        """The client has gone: what it started goes on, or gets SIGHUP if that was wanted. What a terminal gets is thrown away."""
        for entered in self._entered.values():
            if entered.client is not client:
                continue
            if entered.terminal:
                self._drain(entered)
            if entered.hang_up:
                entered.left = True
                entered.kill(signal.SIGHUP)

    def _drain(self, entered: enter.Entered) -> None:
        master = entered.terminal[0]
        self._reactor.watch(master, lambda: self._discard(master))

    def _discard(self, master: int) -> None:
        try:
            os.read(master, CHUNK_BYTES)
        except OSError:
            self._reactor.forget(master)

    def _on_exit(self, entered: enter.Entered) -> None:
        self._forget(entered.pidfd)
        for fd in entered.terminal:
            self._reactor.forget(fd)
        self._end(entered)

    def _end(self, entered: enter.Entered) -> None:
        code = entered.reap()
        self._journal.tell_exec_end(entered.exec_id, code)
        self._tell(entered.client, {"exited": code})

    def _forget(self, fd: int) -> None:
        self._reactor.forget(fd)
        self._entered.pop(fd, None)
