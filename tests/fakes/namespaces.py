"""Network namespaces for tests: a sleeping process in each, entered by nsenter(1); nothing here touches this process' own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

WAIT_S = 10.0
_OFFER = "import socket, sys; s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0); " + (
    "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'], [s.fileno()])"
)


class Namespace:
    """A network namespace, held by a process; with `owned` it belongs to a new user namespace, as an ordinary user's does.

    With `beside`, the namespace belongs to the same user namespace as that one.
    """

    def __init__(self, *, owned: bool = False, beside: Namespace | None = None) -> None:
        self.owned = owned or (beside is not None and beside.owned)
        make = ["unshare", *(["--user", "--map-root-user"] if owned else []), "--net", "sleep", "1000"]
        self.process = subprocess.Popen([*(beside._enter(net=False) if beside is not None and beside.owned else []), *make])
        self.pid = self.process.pid
        end = time.monotonic() + WAIT_S
        while not self._ready():
            assert self.process.poll() is None, "the namespace could not be made"
            assert time.monotonic() < end, "waited for too long"
            time.sleep(0.005)

    def _ready(self) -> bool:
        with open(f"/proc/{self.pid}/comm", encoding="ascii") as file:
            return file.read() == "sleep\n" and self.name != os.readlink("/proc/self/ns/net")

    @property
    def name(self) -> str:
        return os.readlink(f"/proc/{self.pid}/ns/net")

    def _enter(self, net: bool = True) -> list[str]:
        user = ["--user", "--preserve-credentials"] if self.owned else []
        return ["nsenter", "--target", str(self.pid), *user, *(["--net"] if net else []), "--"]

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
        """Start a command in it, its output piped."""
        return subprocess.Popen([*self._enter(), *command], stdout=subprocess.PIPE, text=True, **options)

    def run(self, *command: str) -> str:
        """Run a command in it; what it printed."""
        return subprocess.run([*self._enter(), *command], capture_output=True, text=True, check=True, timeout=WAIT_S).stdout

    def python(self, program: str) -> str:
        return self.run(sys.executable, "-I", "-c", program)

    def netlink_socket(self) -> int:
        """A netlink socket that was opened inside, as a container's init passes it out; the caller closes it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with ours, theirs:
            command = [*self._enter(), sys.executable, "-I", "-c", _OFFER, str(theirs.fileno())]
            subprocess.run(command, pass_fds=[theirs.fileno()], check=True, timeout=WAIT_S)
            return socket.recv_fds(ours, 1, 1)[1][0]

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
