"""Who is connected to a shim: the engine that started the container, and whoever came by its socket.

It must not import anything but what the launcher holds, and knows no meaning of the messages.
"""

from __future__ import annotations

import os
import struct

from labcontainers.kernel.lean import Callable, socket
from labcontainers.runtime.handshake import Channel, Message, accept
from labcontainers.runtime.reactor import POLLIN, POLLOUT, Reactor
from labcontainers.runtime.stdio import SLOW_CLIENT_BYTES, Client


def peer_credentials(connection: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process at the other end, by SO_PEERCRED (unix(7))."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, gid = struct.unpack("=3i", packed)
    return pid, uid, gid


class Audience:
    """The clients. `answer(client, message, fds)` is called for each message, `on_gone(client)` once one has gone.

    Standard input comes as the message {"input": bytes}. `on_pressure(full)` tells whether some client is so slow that the container's
    output should wait.
    """

    def __init__(
        self,
        reactor: Reactor,
        answer: Callable[[Client, Message, list[int]], None],
        on_gone: Callable[[Client], None],
        on_pressure: Callable[[bool], None],
    ) -> None:
        self.clients: list[Client] = []
        self._reactor = reactor
        self._answer = answer
        self._on_gone = on_gone
        self._on_pressure = on_pressure

    def add(self, client: Client) -> None:
        """Listen to one more."""
        self.clients.append(client)
        self._reactor.watch(client.channel.fileno(), lambda: self._on_client(client))

    def listen(self, directory: str) -> None:
        """Serve `shim.sock`, bound through a descriptor since a socket's path is limited to 108 bytes (unix(7))."""
        folder = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        path = f"/proc/self/fd/{folder}/shim.sock"
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(path)
        server.listen(16)
        os.close(folder)
        self._reactor.watch(server.fileno(), lambda: self._on_connection(server))

    def tell(self, client: Client, message: Message) -> None:
        """Send a message, or keep it while the client is slow."""
        client.send(message)
        if client in self.clients:
            self._flush_later(client)

    def output(self, stream: int, data: bytes) -> None:
        """Pass the container's output on to all that want it."""
        for client in tuple(self.clients):
            if stream in client.streams:
                client.send_stream(stream, data)
                self._flush_later(client)

    def finish(self, message: Message) -> None:
        """Tell everyone the last message, waiting half a minute for a slow client."""
        for client in self.clients:
            client.channel.sock.settimeout(30)
            client.finish(message)

    def _on_connection(self, server: socket.socket) -> None:
        connection = accept(server)
        _, uid, _ = peer_credentials(connection)
        if uid == os.geteuid():
            self.add(Client(Channel(connection)))
        else:
            connection.close()

    def _flush_later(self, client: Client) -> None:
        """While a client is slow, watch for room in its socket; when it is very slow, let the container's pipes fill."""
        # One that has gone without reading may have sent before: it is let go at the end of that.
        self._reactor.change(client.channel.fileno(), POLLIN | (POLLOUT if client.pending_bytes else 0))
        self._weigh()

    def _weigh(self) -> None:
        self._on_pressure(any(other.pending_bytes > SLOW_CLIENT_BYTES for other in self.clients))

    def drop(self, client: Client) -> None:
        """Let one go."""
        if client not in self.clients:
            return
        self._reactor.forget(client.channel.fileno())
        self.clients.remove(client)
        client.channel.close()
        self._weigh()  # the container may have waited for this one alone
        self._on_gone(client)

    def _on_client(self, client: Client) -> None:
        if client.pending_bytes:
            client.flush()
            self._flush_later(client)
        try:
            message, fds = client.receive()
        except BlockingIOError:
            return
        except (ValueError, IndexError):
            self.drop(client)
            return
        if message is None:
            self.drop(client)
        else:
            try:
                self._answer(client, message if isinstance(message, dict) else {"input": message[1]}, fds)
            except Exception:
                # No engine of this version speaks so; the container must not suffer from it.
                self.drop(client)
        for fd in fds:
            os.close(fd)
