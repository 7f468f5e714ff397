"""A session's process as a plain process of this machine: the same socket and pipes, without a container."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from labcontainers.containers.sessions.dialects import Dialect
from labcontainers.containers.sessions.kept import Sessions
from labcontainers.containers.sessions.session import Session
from labcontainers.kernel.process_sessions import end_members, signal_members
from labcontainers.runtime.handshake import start_time


class HostPeer:
    """Plays containers.sessions.peer.ContainerPeer."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: str) -> None:
        self.control, theirs = socket.socketpair()
        self.output, their_output = os.pipe2(os.O_CLOEXEC)
        self.errors, their_errors = os.pipe2(os.O_CLOEXEC)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=their_output, stderr=their_errors, start_new_session=True, env=environment, cwd=folder
        )
        theirs.close()
        os.close(their_output)
        os.close(their_errors)
        self.began = start_time(self.process.pid)
        self._pidfd = os.pidfd_open(self.process.pid)

    def fileno(self) -> int:
        return self._pidfd

    def exit_code(self) -> int | None:
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: int, since_ticks: int, *, leader: bool) -> None:
        signal_members(self.process.pid, self.began, since_ticks, number, leader)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def hang_up(self) -> None:
        end_members(self.process.pid, self.began)

    def close(self) -> None:
        os.close(self._pidfd)
        self.process.wait()


class HostSessions(Sessions):
    """Keeps sessions whose processes run on this machine, in `folder`."""

    def __init__(self, folder: str) -> None:
        super().__init__(None)
        self._folder = folder

    def _opened(self, record: Any, dialect: Dialect, options: dict[str, Any]) -> Session:
        command = ("bash", "--posix") if dialect.language == "sh" else dialect.commands[0]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        peer = HostPeer(command, environment, options.get("working_dir") or self._folder)
        return Session(record.row.id, record.row.name, dialect, peer, environment, lambda: None)


class HostContainer:
    """Plays a Container of which only the sessions are asked for."""

    def __init__(self, name: str, folder: str) -> None:
        self.name, self.id = name, name * 8
        self.sessions = HostSessions(folder)

    def session(self, lang: str | None = None, id: str = "", **options: Any) -> Session:
        return self.sessions.get(SimpleNamespace(row=SimpleNamespace(id=self.id, name=self.name)), lang, id, **options)
