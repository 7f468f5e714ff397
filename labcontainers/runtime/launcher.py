"""The fork server: one small single-threaded process per engine, from which every container and every worker is forked.

It must not import anything but the few standard modules it holds, and decides nothing. The engine's process may have threads
and gigabytes, so it never forks; this one can. As an ordinary user's it is root of that user's namespace (runtime.rootless).

Requests over its socket: `{"container": {…}}` with [channel, plan, stdin?, listeners…], `{"workshop": true}` with [channel],
`{"bridge_socket": true}` with [channel], `{"cradle": {…}}` to prepare the next container. End of file on the socket ends it.
"""

from __future__ import annotations

import codecs
import gc
import os
import select
import sys
import time

from labcontainers.kernel import syscalls
from labcontainers.kernel.lean import dumps, loads, signal, socket
from labcontainers.runtime import rootless
from labcontainers.runtime.cradle import Cradle
from labcontainers.runtime.handshake import Channel, Message, boot_id, receive_with, send_with, start_time
from labcontainers.runtime.rootless import Member
from labcontainers.runtime.shim import Shim
from labcontainers.runtime.stdio import Client


class Launcher:
    """The loop, and what a fork of it needs to know."""

    def __init__(self, channel: Channel, search_path: list[str]) -> None:
        self.channel = channel
        self.search_path = search_path
        self.member: Member | None = None
        self.bridge_fd = -1
        self.cradle: Cradle | None = None

    def enter(self, directory: str, ids: str) -> None:
        """Become root of the user's namespace, and tell the engine which ids it maps."""
        try:
            self.member, self.bridge_fd = rootless.enter(self.channel, directory, ids)
            self.channel.send({"ids": self.member.ids})
        except OSError as error:
            self.channel.send({"error": str(error), "errno": error.errno})
            os._exit(1)

    def serve(self) -> None:
        """Keep one forked process waiting for the next request, until the engine goes away.

        That the fork is done before it is needed saves its time; that this process does nothing else keeps its memory, which
        all shims share, unwritten.
        """
        while True:
            parent, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.fork() == 0:
                parent.close()
                self._wait_for_request(child)
            child.close()
            word, fds = receive_with(parent, 1)
            parent.close()
            if word == b"e":
                break
            if fds:
                self.bridge_fd = fds[0]
                if self.member is not None:
                    self.member.register(self.bridge_fd)
        if self.member is not None:
            self.member.leave()

    def _wait_for_request(self, parent: socket.socket) -> None:
        """In the forked process: take one request, tell the parent to fork the next process, and serve it; never returns."""
        code = 1
        try:
            message, fds = self._next_request(parent)
            self.channel.close()
            self._settle_cradle(message)
            if not isinstance(message, dict):
                parent.send(b"e")
            elif "bridge_socket" in message:
                self._bridge_socket(parent, Channel.from_fd(fds[0]))
            else:
                try:
                    parent.send(b"t")
                except OSError:
                    # The launcher was killed meanwhile; this request was taken, so it is served.
                    pass
                parent.close()
                self._serve_one(message, fds)
            code = 0
        except BrokenPipeError:
            # The launcher was killed, and the engine is gone.
            code = 0
        except BaseException as error:
            sys.stderr.write(f"labcontainers: {type(error).__name__}: {error}\n")
        finally:
            os._exit(code)

    def _next_request(self, parent: socket.socket) -> tuple[Message | tuple[int, bytes] | None, list[int]]:
        """The next request that ends this process' waiting; on the way it may be told to keep a cradle ready for a container."""
        while True:
            message, fds = self.channel.receive()
            if not isinstance(message, dict):
                return message, fds
            if "cradle" in message:
                if self.cradle is not None:
                    self.cradle.discard()
                self.cradle = Cradle(**message["cradle"], leave=(self.channel.fileno(), parent.fileno()))
            elif "workshop" in message and self.cradle is not None:
                # The cradle is of use to this process alone, so another child of the launcher becomes the workshop.
                if syscalls.clone(syscalls.CLONE_PARENT) == 0:
                    parent.close()
                    self.channel.close()
                    self.cradle.close()
                    self._serve_one(message, fds)
                    os._exit(0)
                for fd in fds:
                    os.close(fd)
            else:
                return message, fds

    def _settle_cradle(self, message: object) -> None:
        """Keep the cradle only for the start that it was made for."""
        request = message.get("container") if isinstance(message, dict) else None
        if self.cradle is not None and (request is None or request["cradle"] != self.cradle.token):
            self.cradle.discard()
            self.cradle = None

    def _serve_one(self, message: Message, fds: list[int]) -> None:
        if "container" in message:
            # No import may happen from here on: the next code may run inside a container's root.
            sys.path.clear()
            sys.meta_path.clear()
            Shim({**message["container"], "bridge_fd": self.bridge_fd}, fds, self.member, self.cradle).run()
        else:
            # imported by name and only here: this module must stay small
            sys.path[:] = self.search_path
            __import__("labcontainers.runtime.workshop")
            sys.modules["labcontainers.runtime.workshop"].serve(Channel.from_fd(fds[0]))

    def _bridge_socket(self, parent: socket.socket, channel: Channel) -> None:
        """Answer with a netlink socket of the bridge's network namespace; a new namespace is handed to the parent first."""
        try:
            namespace, sock = rootless.bridge_namespace(self.bridge_fd)
        except OSError as error:
            parent.send(b"t")
            channel.send({"error": {"type": "OSError", "errno": error.errno, "message": str(error), "path": ""}})
            return
        send_with(parent, b"t", (namespace,) if self.bridge_fd < 0 else ())
        channel.send({"result": None}, (sock,))


def rehearse() -> None:
    """Do once here what every fork does: codecs are found, code is specialized and its pages are mapped, in memory that is shared."""
    for codec in ("utf-8", "ascii", "latin-1"):
        codecs.lookup(codec)
    for _ in range(20):
        first, second = Channel.pair()
        poll = select.poll()
        poll.register(second.fileno(), select.POLLIN)
        first.send({"ready": True, "timings_us": [1, 2, 3], "made": ["a"], "error": None}, (first.fileno(),))
        poll.poll(0)
        _, fds = second.receive()
        for descriptor in (*fds, *os.pipe2(os.O_CLOEXEC)):
            os.close(descriptor)
        loads(dumps({"boot": boot_id(), "start": start_time(os.getpid()), "at": time.time()}))
        client = Client(second)
        client.send({"started": 1})
        first.receive()
        first.close()
        second.close()


def map_program() -> None:
    """Map all code and constants of the interpreter and its libraries here: a page that nobody else maps counts as the shim's own."""
    with open("/proc/self/maps", "rb") as maps:
        mappings = [line.split(None, 5) for line in maps]
    for span, permissions, *_, path in (fields for fields in mappings if len(fields) == 6):
        if permissions[1:2] != b"w" and path.startswith(b"/"):
            first, last = (int(address, 16) for address in span.split(b"-"))
            try:
                syscalls.madvise(first, last - first, syscalls.MADV_POPULATE_READ)
            except OSError:
                # an old kernel, or a mapping without access: it stays as it is
                pass


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
    rehearse()
    map_program()
    gc.collect()
    gc.freeze()
    gc.disable()
    launcher.serve()
