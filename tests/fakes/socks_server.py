"""A SOCKS 5 proxy on loopback, in this process, that leads every connection to one place and notes what was wanted (RFC 1928, RFC 1929)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading


class SocksServer:
    """`wanted` has the host and port of each connection, `users` user and password of those who gave some; `refuse` refuses all."""

    def __init__(self, target: str, *, user: str = "", password: str = "", refuse: bool = False) -> None:
        self.wanted: list[tuple[str, int]] = []
        self.users: list[tuple[str, str]] = []
        host, _, port = target.rpartition(":")
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, struct.error):
                    proxy._serve(self.request, (host, int(port)), (user, password), refuse)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> SocksServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, client: socket.socket, target: tuple[str, int], login: tuple[str, str], refuse: bool) -> None:
        client.settimeout(30)
        methods = _exactly(client, _exactly(client, 2)[1])
        if login[0]:
            client.sendall(b"\x05\x02" if 2 in methods else b"\x05\xff")
            _exactly(client, 1)
            user = _exactly(client, _exactly(client, 1)[0]).decode()
            password = _exactly(client, _exactly(client, 1)[0]).decode()
            self.users.append((user, password))
            client.sendall(b"\x01\x00" if (user, password) == login else b"\x01\x01")
        else:
            client.sendall(b"\x05\x00")
        kind = _exactly(client, 4)[3]
        host = _exactly(client, _exactly(client, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(_exactly(client, 4))
        self.wanted.append((host, struct.unpack("!H", _exactly(client, 2))[0]))
        if refuse:
            client.sendall(b"\x05\x02\x00\x01" + bytes(6))
            return
        with socket.create_connection(target) as far:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=_copy, args=(far, client), daemon=True)
            back.start()
            _copy(client, far)
            back.join()


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            raise OSError("the client went away")
        data += more
    return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
