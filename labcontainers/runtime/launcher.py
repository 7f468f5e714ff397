"""The fork server: one small single-threaded process per engine, from which every container and every worker is forked.

It must not import anything but the few standard modules it holds, and decides nothing. The engine's process may have threads
and gigabytes, so it never forks; this one can. As an ordinary user's it is root of that user's namespace (runtime.rootless).

Requests over its socket: `{"container": {…}}` with [channel, stdin?, listeners…], `{"worker": {…}}` with [channel],
`{"bridge_socket": true}` with [channel]. End of file on the socket ends it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from labcontainers.kernel import syscalls
from labcontainers.runtime import rootless
from labcontainers.runtime.handshake import Channel, Message
from labcontainers.runtime.rootless import Member
from labcontainers.runtime.shim import Shim


class Launcher:
    """The loop, and what a fork of it needs to know."""

    def __init__(self, channel: Channel, search_path: list[str]) -> None:
        self.channel = channel
        self.search_path = search_path
        self.member: Member | None = None
        self.bridge_fd = -1

    def enter(self, directory: str, ids: str) -> None:
        """Become root of the user's namespace, and tell the engine which ids it maps."""
        try:
            self.member, self.bridge_fd = rootless.enter(self.channel, directory, ids)
            self.channel.send({"ids": self.member.ids})
        except OSError as error:
            self.channel.send({"error": str(error), "errno": error.errno})
            os._exit(1)

    def serve(self) -> None:
        """Fork for each request until the engine goes away."""
        while True:
            message, fds = self.channel.receive()
            if message is None:
                break
            assert isinstance(message, dict)
            if "bridge_socket" in message:
                self._bridge_socket(fds[0])
            else:
                self._fork(message, fds)
            for fd in fds:
                os.close(fd)
        if self.member is not None:
            self.member.leave()

    def _fork(self, message: Message, fds: list[int]) -> None:
        if os.fork():
            return
        code = 1
        try:
            self.channel.close()
            if "container" in message:
                # No import may happen from here on: the next code may run inside a container's root.
                sys.path.clear()
                sys.meta_path.clear()
                Shim({**message["container"], "bridge_fd": self.bridge_fd}, fds, self.member).run()
            else:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                work(Channel.from_fd(os.dup(fds[0])), message["worker"], self.search_path)
            code = 0
        except BaseException as error:
            sys.stderr.write(f"labcontainers: {type(error).__name__}: {error}\n")
        finally:
            os._exit(code)

    def _bridge_socket(self, fd: int) -> None:
        channel = Channel.from_fd(os.dup(fd))
        try:
            namespace, sock = rootless.bridge_namespace(self.bridge_fd)
            if self.bridge_fd < 0:
                self.bridge_fd = namespace
                if self.member is not None:
                    self.member.register(namespace)
            else:
                os.close(namespace)
            channel.send({"result": None}, (sock,))
            os.close(sock)
        except OSError as error:
            channel.send({"error": {"type": "OSError", "errno": error.errno, "message": str(error), "path": ""}})
        finally:
            channel.close()


def work(channel: Channel, request: Message, search_path: list[str]) -> None:
    """Call `module:function` with the given arguments and send its result or its error, as JSON."""
    sys.path[:] = search_path
    syscalls.set_process_title("lab-worker")
    try:
        module, _, function = request["function"].partition(":")
        if not module.startswith("labcontainers."):
            raise ValueError(f"not a function of this package: {request['function']}")
        __import__(module)
        channel.send({"result": getattr(sys.modules[module], function)(**request["arguments"])})
    except BaseException as error:
        failure = {"type": type(error).__name__, "message": str(error), "errno": getattr(error, "errno", None)}
        channel.send({"error": {**failure, "path": str(getattr(error, "filename", None) or ""), "hint": getattr(error, "hint", "")}})


def main(fd: int, members: str, ids: str, search_path: list[str]) -> None:
    """Serve the engine at the other end of `fd`; with `members`, first become root of the user's namespace."""
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    syscalls.set_process_title("lab-launcher")
    launcher = Launcher(Channel.from_fd(fd), search_path)
    if members:
        launcher.enter(members, ids)
    else:
        launcher.channel.send({"ids": "host"})
    # Encoders and decoders that a fork could want later are looked up now.
    for codec in ("utf-8", "ascii", "latin-1"):
        "".encode(codec, "surrogateescape")
    gc.collect()
    gc.freeze()
    gc.disable()
    launcher.serve()
