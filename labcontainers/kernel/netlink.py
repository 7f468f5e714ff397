"""Network interfaces, addresses and routes by rtnetlink(7), through pyroute2, on one thread of its own.

It must not know networks or containers, and it changes no process' namespace: it acts where the socket that it is given was opened.
pyroute2's calls fail under a running event loop, such as a notebook's, and importing it takes 200 ms: so it lives on the thread
`lab-netlink`, which is started when it is first needed.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from labcontainers.errors import Conflict, KernelFailed, Unavailable
from labcontainers.kernel.interrupts import begin_thread
from labcontainers.kernel.notes import Notes

Result = TypeVar("Result")
_Job = tuple[Callable[[], Any], "Future[Any]"]

_IPV4 = 2
_LOOPBACK = 1
_IFF_UP = 1
# Deletions wait for a pause of the other work: each takes the kernel 10 to 30 ms, and many are done by then, since a veth pair
# ends with the network namespace of either end.
_PAUSE_S = 0.05
_OVERDUE_S = 1.0


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface; `master` is the index of the bridge that it is a port of, or 0."""

    index: int
    name: str
    mac: str
    kind: str
    up: bool
    master: int


class Netlink:
    """The thread, and the verbs on it. Thread-safe; a verb blocks until the kernel has answered.

    `fd` is a netlink socket (SOCK_DGRAM) that was opened in the network namespace meant; it stays the caller's. None means this
    process' own namespace. `notes` are told of each message that changes something.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._own: Any = None
        self._later: list[tuple[float, Callable[[], object]]] = []

    # --- the thread

    def start(self) -> None:
        """Start the thread and let it import pyroute2, without waiting."""
        self._submit(_import)

    def close(self) -> None:
        """Do what is put off, end the thread and close its socket. Idempotent."""
        with self._lock:
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` on the thread, for other families of netlink; its result, or what it raised."""
        if threading.current_thread() is self._thread:
            return work()
        return self._submit(work).result()

    def when_idle(self, work: Callable[[], object], delay_s: float = _PAUSE_S) -> None:
        """Run `work` on the thread after `delay_s` seconds, in a pause of the other work; close() does it at once. Does not block.

        What it raises is logged and goes no further.
        """
        self._submit(lambda: self._put_off(work, delay_s))

    def _put_off(self, work: Callable[[], object], delay_s: float = _PAUSE_S) -> None:
        bisect.insort(self._later, (time.monotonic() + delay_s, work), key=lambda item: item[0])

    def _submit(self, work: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise Unavailable("the engine is closed", "make a new Engine")
            if self._thread is None:
                # A daemon, so that a program that forgets to close its engine still ends.
                self._thread = threading.Thread(target=self._run, name="lab-netlink", daemon=True)
                begin_thread(self._thread)
            self._jobs.put((work, future))
        return future

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            if self._later and now - self._later[0][0] > _OVERDUE_S:
                self._do_next_of_later()
            try:
                job = self._jobs.get(timeout=max(self._later[0][0] - now, 0) if self._later else None)
            except queue.Empty:
                self._do_next_of_later()
                continue
            if job is None:
                break
            work, future = job
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del job, work, future
        while self._later:
            self._do_next_of_later()
        if self._own is not None:
            self._own.close()

    def _do_next_of_later(self) -> None:
        _, work = self._later.pop(0)
        try:
            work()
        except Exception:
            logging.getLogger(__name__).debug("put-off work failed", exc_info=True)

    @contextlib.contextmanager
    def _route(self, fd: int | None) -> Iterator[Any]:
        """pyroute2's IPRoute on the socket `fd`, or the lasting one; only on the thread. It joins no groups: nobody reads their news."""
        from pyroute2 import IPRoute

        if fd is None:
            if self._own is None:
                self._own = IPRoute(groups=0)
            yield self._own
            return
        route = IPRoute(fileno=fd, groups=0)
        try:
            yield route
        finally:
            route.close()

    def _do(self, what: str, work: Callable[[Any], Result], fd: int | None) -> Result:
        """Run `work` with an IPRoute on the thread; every error of netlink becomes KernelFailed here, about `what`."""

        def job(own_fd: int | None) -> Result:
            from pyroute2.netlink.exceptions import NetlinkError

            try:
                with self._route(own_fd) as route:
                    return work(route)
            except NetlinkError as error:
                raise KernelFailed("netlink", error.code, what, _hint(error.code)) from error
            except (OSError, ValueError) as error:
                code = getattr(error, "errno", None) or errno.EINVAL
                raise KernelFailed("netlink", code, what, _hint(code)) from error

        copy = None if fd is None else os.dup(fd)
        if threading.current_thread() is self._thread:
            return job(copy)
        try:
            future = self._submit(lambda: job(copy))
        except Unavailable:
            if copy is not None:
                os.close(copy)
            raise
        return future.result()

    # --- the verbs

    def ensure_bridge(
        self, name: str, address: str, prefix_length: int, *, mac: str, fd: int | None = None, notes: Notes | None = None
    ) -> int:
        """A bridge with this address, up; returns its index. The MAC address is its mark: one that is there with another one is
        somebody else's, and raises Conflict. Several processes may do it at once. Raises KernelFailed.
        """
        told = notes or Notes()

        def work(route: Any) -> int:
            link = _find(route, name)
            if link is None:
                with told.timed("bridge", interface=name, mac=mac):
                    _tolerate(errno.EEXIST, lambda: route.link("add", ifname=name, kind="bridge", address=mac))
                link = _find(route, name)
            if link is None or link.mac != mac:
                raise Conflict(f"the network interface {name} belongs to somebody else", "it is left alone; another name is needed")
            if not link.up:
                # Going up comes last, so that a bridge that is up is complete.
                with told.timed("address", interface=name, address=f"{address}/{prefix_length}"):
                    _tolerate(errno.EEXIST, lambda: route.addr("add", index=link.index, address=address, prefixlen=prefix_length))
                if fd is not None:
                    with told.timed("link_up", interface="lo"):
                        route.link("set", index=_LOOPBACK, state="up")
                with told.timed("link_up", interface=name):
                    route.link("set", index=link.index, state="up")
            return link.index

        return self._do(f"bridge {name}", work, fd)

    def add_veth(self, name: str, peer: str, peer_pid: int, bridge: int, *, peer_mac: str = "", fd: int | None = None) -> None:
        """A veth pair (veth(4)): `name` up and a port of the bridge with this index, `peer` in the namespace of the process `peer_pid`.

        An old interface called `name` is replaced. Raises KernelFailed.
        """
        inside = {"ifname": peer, "net_ns_pid": peer_pid, **({"address": peer_mac} if peer_mac else {})}

        def add(route: Any) -> object:
            return route.link("add", ifname=name, kind="veth", master=bridge, state="up", peer=inside)

        def work(route: Any) -> None:
            if _tolerate(errno.EEXIST, lambda: add(route)):
                _tolerate(errno.ENODEV, lambda: route.link("del", ifname=name))
                add(route)

        self._do(f"veth {name}", work, fd)

    def configure(
        self, fd: int, interface: str, address: str, prefix_length: int, gateway: str, *, rename: str = "", notes: Notes | None = None
    ) -> str:
        """In the namespace of the socket `fd`: the address, `lo` and the interface up (called `rename` from then on), the default
        route. Returns the interface's MAC address; raises KernelFailed.
        """
        told = notes or Notes()

        def work(route: Any) -> str:
            link = _find(route, interface)
            if link is None:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            with told.timed("address", interface=rename or interface, address=f"{address}/{prefix_length}", inside=True):
                route.addr("add", index=link.index, address=address, prefixlen=prefix_length)
            with told.timed("link_up", interface=rename or interface, inside=True):
                route.link("set", index=link.index, state="up", **({"ifname": rename} if rename else {}))
            with told.timed("link_up", interface="lo", inside=True):
                route.link("set", index=_LOOPBACK, state="up")
            if gateway:
                with told.timed("route", gateway=gateway, inside=True):
                    route.route("add", dst="default", gateway=gateway)
            return link.mac

        return self._do(f"interface {interface}", work, fd)

    def lo_up(self, fd: int) -> None:
        """Bring `lo` up in the namespace of the socket `fd`. Raises KernelFailed."""
        self._do("lo", lambda route: route.link("set", index=_LOOPBACK, state="up"), fd)

    def delete_link(self, name: str, *, fd: int | None = None) -> None:
        """Remove the interface that has this name now, in the background once there is a pause. Absent is fine; does not block."""
        copy = None if fd is None else os.dup(fd)

        def close() -> None:
            if copy is not None:
                os.close(copy)

        def find() -> None:
            link = None
            with contextlib.suppress(KernelFailed):
                link = self._do(f"interface {name}", lambda route: _find(route, name), copy)
            if link is None:
                close()
            else:
                self._put_off(lambda: delete(link.index))

        def delete(index: int) -> None:
            # By its index: a later interface of the same name is another one.
            try:
                self._do(f"interface {name}", lambda route: _tolerate(errno.ENODEV, lambda: route.link("del", index=index)), copy)
            finally:
                close()

        try:
            self._submit(find)
        except BaseException:
            close()
            raise

    def delete_link_now(self, name: str, *, fd: int | None = None) -> None:
        """Remove an interface and wait until it is gone, 10 to 30 ms; absent is fine. Raises KernelFailed."""
        self._do(f"interface {name}", lambda route: _tolerate(errno.ENODEV, lambda: route.link("del", ifname=name)), fd)

    @staticmethod
    def has_link(name: str) -> bool:
        """Whether this process' own namespace has an interface with this name; needs neither the thread nor pyroute2."""
        try:
            return socket.if_nametoindex(name) > 0
        except OSError:
            return False

    def find(self, name: str, *, fd: int | None = None) -> Link | None:
        """The interface with this name, or None. Raises KernelFailed."""
        return self._do(f"interface {name}", lambda route: _find(route, name), fd)

    def list(self, *, fd: int | None = None) -> tuple[Link, ...]:
        """Every interface of the namespace. Raises KernelFailed."""
        return self._do("interfaces", lambda route: tuple(_link(message) for message in route.get_links()), fd)

    def networks_in_use(self, *, fd: int | None = None) -> tuple[str, ...]:
        """Every IPv4 network of the namespace's addresses and routes as "address/length", without the default route."""

        def work(route: Any) -> tuple[str, ...]:
            found = [f"{message.get('address')}/{message['prefixlen']}" for message in route.get_addr(family=_IPV4)]
            routes = ((message.get("dst"), message["dst_len"]) for message in route.get_routes(family=_IPV4))
            return tuple(dict.fromkeys([*found, *(f"{target}/{length}" for target, length in routes if target)]))

        return self._do("addresses", work, fd)


def _import() -> None:
    import pyroute2  # noqa: F401  # what it costs is to be paid now


def _hint(code: int | None) -> str:
    if code in (errno.EPERM, errno.EACCES):
        return "this user may not change network interfaces: `doctor` tells what is missing"
    return "the kernel has no such device: load its module (bridge, veth)" if code == errno.EOPNOTSUPP else ""


def _find(route: Any, name: str) -> Link | None:
    found: list[Link] = []
    _tolerate(errno.ENODEV, lambda: found.extend(_link(message) for message in route.link("get", ifname=name)))
    return found[0] if found else None


def _link(message: Any) -> Link:
    kind = message.get(("linkinfo", "kind")) or ""
    return Link(
        index=message["index"],
        name=message.get("ifname") or "",
        mac=message.get("address") or "",
        kind=kind,
        up=bool(message["flags"] & _IFF_UP),
        master=message.get("master") or 0,
    )


def _tolerate(code: int, work: Callable[[], object]) -> bool:
    """Run `work`; True when it failed with this error number and with no other."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        work()
    except NetlinkError as error:
        if error.code != code:
            raise
        return True
    return False
