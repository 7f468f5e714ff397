"""Published ports: connections accepted on the host's sockets are joined to connections made inside the container.

It must not import anything but what the launcher holds. Listening sockets belong to the network namespace they were made in,
so one process inside the container's namespace can hold both ends, for root and for ordinary users alike, without a firewall rule.
"""

from __future__ import annotations

import errno
import os
import select

from labcontainers.kernel.lean import socket
from labcontainers.runtime.handshake import accept

_CHUNK = 65536
_BACKLOG_BYTES = 1 << 18


class _Half:
    """One direction's source: a socket, what waits to be written to its peer, and whether it has ended."""

    __slots__ = ("connected", "ended", "fd", "peer", "pending", "sock")

    def __init__(self, sock: socket.socket, connected: bool) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.connected = connected
        self.pending = bytearray()
        self.ended = False
        self.peer: _Half = self


def serve(targets: dict[int, tuple[str, int]]) -> None:
    """Forward for ever: listening descriptor -> (address, port) inside this network namespace."""
    poll = select.epoll()
    listeners = {fd: socket.socket(fileno=fd) for fd in targets}
    halves: dict[int, _Half] = {}
    for fd, listener in listeners.items():
        listener.setblocking(False)
        poll.register(fd, select.EPOLLIN)
    while True:
        for fd, events in poll.poll():
            if fd in listeners:
                _accept(poll, halves, listeners[fd], targets[fd])
            elif fd in halves:
                _move(poll, halves, halves[fd], events)


def _accept(poll: select.epoll, halves: dict[int, _Half], listener: socket.socket, target: tuple[str, int]) -> None:
    try:
        outside = accept(listener)
    except OSError:
        return
    inside = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    outside.setblocking(False)
    result = inside.connect_ex(target)
    if result not in (0, errno.EINPROGRESS):
        outside.close()
        inside.close()
        return
    first, second = _Half(outside, True), _Half(inside, result == 0)
    first.peer, second.peer = second, first
    for half in (first, second):
        halves[half.fd] = half
        poll.register(half.fd, 0)
        _interest(poll, half)


def _interest(poll: select.epoll, half: _Half) -> None:
    """Read while the peer's backlog is small; write while there is something to write or a connection to finish."""
    wanted = 0
    if half.connected and not half.ended and len(half.peer.pending) < _BACKLOG_BYTES:
        wanted |= select.EPOLLIN
    if half.pending or not half.connected:
        wanted |= select.EPOLLOUT
    poll.modify(half.fd, wanted)


def _move(poll: select.epoll, halves: dict[int, _Half], half: _Half, events: int) -> None:
    try:
        if not half.connected and events & (select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP):
            problem = half.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                raise OSError(problem, os.strerror(problem))
            half.connected = True
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not half.ended:
            _read(half)
        if half.pending:
            del half.pending[: half.sock.send(half.pending)]
            _pass_on_end(half)
    except BlockingIOError:
        pass
    except OSError:
        _close(poll, halves, half)
        return
    if half.ended and half.peer.ended and not half.pending and not half.peer.pending:
        _close(poll, halves, half)
        return
    _interest(poll, half)
    _interest(poll, half.peer)


def _read(half: _Half) -> None:
    peer = half.peer
    data = half.sock.recv(_CHUNK)
    if not data:
        half.ended = True
        _pass_on_end(peer)
        return
    peer.pending += data
    if peer.connected:
        try:
            del peer.pending[: peer.sock.send(peer.pending)]
        except BlockingIOError:
            pass


def _pass_on_end(half: _Half) -> None:
    """When all that its source sent has been written, half-close this socket as the source did."""
    if half.peer.ended and not half.pending and half.connected:
        half.sock.shutdown(socket.SHUT_WR)


def _close(poll: select.epoll, halves: dict[int, _Half], half: _Half) -> None:
    for side in (half, half.peer):
        if halves.pop(side.fd, None) is not None:
            poll.unregister(side.fd)
            side.sock.close()
